// SPDX-License-Identifier: Apache-2.0
// Every kernel finds what the state machine finds, whatever the bytes and wherever the scan is cut.
#include "io/byte_scan.h"
#include "kit/kit.h"

enum { MOST = 700 };

static const qn_csv_dialect plain = {.separator = ',', .quote = '"'};
static const qn_csv_dialect dialects[] = {{.separator = ',', .quote = '"'},
                                          {.separator = ';', .quote = '\''},
                                          {.separator = ',', .quote = '"', .comment = '#'},
                                          {.separator = '\t', .quote = '"', .trim = true},
                                          {.separator = '|', .quote = '"', .comment = '#', .trim = true}};

/// Random bytes with many of those that mean something; `tame`: quotes only where RFC 4180 has them.
static void make_text(kit_random *random, const qn_csv_dialect *dialect, bool tame, char *text,
                      int64_t size) {
  const char bytes[] = {dialect->separator, '\n', tame ? 'y' : dialect->quote, 'x', 'x', 'z', ' ', '#'};
  for (int64_t i = 0; i < size;) {
    if (tame && kit_random_below(random, 12) == 0 && size - i > 40) {
      text[i++] = dialect->separator;
      text[i++] = dialect->quote;
      for (int64_t n = kit_random_below(random, 30); n > 0; n--) {
        const int64_t pick = kit_random_below(random, 4);
        text[i++] = pick == 0 ? '\n' : pick == 1 ? dialect->separator : 'q';
      }
      text[i++] = dialect->quote;
      text[i++] = dialect->separator;
    } else {
      text[i++] = bytes[kit_random_below(random, 8)];
    }
  }
  memset(text + size, dialect->quote, 64); // must not be looked at
}

static void check_scan(const qn_scan_kernels *kernels, const qn_csv_dialect *dialect, const char *text,
                       int64_t size, int64_t cut, qn_csv_state state) {
  uint32_t wanted_ends[MOST + QN_SCAN_SLACK], ends[MOST + QN_SCAN_SLACK];
  qn_csv_scan wanted = {.ends = wanted_ends, .state = state}, scan = {.ends = ends, .state = state};
  qn_csv_scan_bytes(dialect, text, 0, size, &wanted);
  kernels->scan_csv(dialect, text, 0, cut, &scan);
  kernels->scan_csv(dialect, text, cut, size, &scan);
  const bool same = scan.n_ends == wanted.n_ends && scan.n_rows == wanted.n_rows &&
                    scan.state == wanted.state && scan.has_quotes == wanted.has_quotes &&
                    memcmp(ends, wanted_ends, (size_t)wanted.n_ends * sizeof *ends) == 0;
  if (!same) {
    printf("  kernel %s, state %d, size %d, cut %d: %.*s\n", kernels->name, (int)state, (int)size, (int)cut,
           (int)size, text);
  }
  QN_CHECK(same);
}

static void kernels_agree_with_the_machine(void) {
  const qn_scan_kernels *kernels[QN_SCAN_MAX_KERNELS];
  const int n_kernels = qn_scan_kernels_all(kernels);
  char text[MOST + 64];
  kit_random random = {.state = 41};
  for (int round = 0; round < 4000; round++) {
    const qn_csv_dialect *dialect = &dialects[round % 5];
    const int64_t size = kit_random_below(&random, MOST);
    const bool has_comments = dialect->comment != '\0';
    make_text(&random, dialect, round % 3 != 0, text, size);
    for (int k = 0; k < n_kernels; k++) {
      const qn_csv_state state = (qn_csv_state)kit_random_below(&random, has_comments ? 5 : 4);
      check_scan(kernels[k], dialect, text, size, kit_random_below(&random, size + 1), state);
    }
  }
}

static void kernels_agree_on_every_short_text(void) {
  const qn_scan_kernels *kernels[QN_SCAN_MAX_KERNELS];
  const int n_kernels = qn_scan_kernels_all(kernels);
  static const char bytes[] = {',', '\n', '"', 'x'};
  for (int code = 0; code < 4096; code++) { // all texts of six of these bytes, across the edge of a block
    char text[80 + 64];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 6; i++) {
      text[61 + i] = bytes[(code >> (2 * i)) & 3];
    }
    for (int k = 0; k < n_kernels; k++) {
      check_scan(kernels[k], &plain, text, 70, 70, QN_CSV_ROW_START);
      check_scan(kernels[k], &plain, text, 70, 64, QN_CSV_QUOTED);
    }
  }
}

static void line_ends_are_found_by_all_kernels(void) {
  const qn_scan_kernels *kernels[QN_SCAN_MAX_KERNELS];
  const int n_kernels = qn_scan_kernels_all(kernels);
  char text[MOST + 64];
  uint32_t ends[MOST + QN_SCAN_SLACK];
  kit_random random = {.state = 7};
  for (int round = 0; round < 2000; round++) {
    const int64_t size = kit_random_below(&random, MOST);
    const int64_t first = kit_random_below(&random, size + 1), rare = 1 + kit_random_below(&random, 40);
    for (int64_t i = 0; i < size + 64; i++) {
      text[i] = kit_random_below(&random, rare) == 0 ? '\n' : (char)kit_random_below(&random, 256);
    }
    for (int k = 0; k < n_kernels; k++) {
      const int64_t n = kernels[k]->scan_lines(text, first, size, ends);
      int64_t found = 0;
      for (int64_t i = first; i < size; i++) {
        if (text[i] == '\n') {
          QN_CHECK(found < n && ends[found] == i);
          found++;
        }
      }
      QN_CHECK_INT(n, found);
    }
  }
}

static void a_quote_inside_an_unquoted_field_is_a_byte(void) {
  uint32_t ends[200];
  qn_csv_scan scan = {.ends = ends};
  const char text[] = "a,5\" x 3\",b\n\"q\"\"r,\n\",\"\"\n";
  qn_csv_scan_bytes(&plain, text, 0, (int64_t)strlen(text), &scan);
  QN_CHECK_INT(scan.n_ends, 5);
  QN_CHECK_INT(scan.n_rows, 2);
  QN_CHECK_INT(ends[2], 11);
  QN_CHECK_INT(ends[3], 20);
}

int main(void) {
  KIT_RUN(kernels_agree_with_the_machine);
  KIT_RUN(kernels_agree_on_every_short_text);
  KIT_RUN(line_ends_are_found_by_all_kernels);
  KIT_RUN(a_quote_inside_an_unquoted_field_is_a_byte);
  return kit_result();
}
