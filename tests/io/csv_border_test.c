// SPDX-License-Identifier: Apache-2.0
// The state at a cut is found right from few bytes, or the reader before the cut notices that it was not.
#include "base/memory.h"
#include "io/csv_border.h"
#include "io/io_fixture.h"

static const qn_csv_dialect dialect = {.separator = ',', .quote = '"'};

typedef struct border_check {
  int64_t n_cuts, n_wrong;
} border_check;

/// Compares what is found at every cut of `text` with the machine run over all bytes before.
static border_check check_cuts(const io_folder *folder, const char *text, int n_columns, int64_t near_bytes,
                               int64_t far_bytes) {
  char path[400];
  border_check result = {0};
  qn_csv_state wanted = QN_CSV_ROW_START, found = QN_CSV_ROW_START;
  qn_csv_border border = {.kernels = qn_scan_kernels_best(),
                          .dialect = dialect,
                          .n_columns = n_columns,
                          .near_bytes = near_bytes,
                          .exact_bytes = 1,
                          .far_bytes = far_bytes};
  io_write_text(folder, "border.csv", text, path);
  const qn_file file = {.path = path, .n_bytes = (int64_t)strlen(text)};
  for (int64_t cut = 1; cut < file.n_bytes; cut++) {
    bool is_end;
    wanted = qn_csv_next_state(&dialect, wanted, text[cut - 1], &is_end);
    QN_CHECK_OK(qn_csv_border_find(&border, &file, (qn_csv_place){0}, cut, &found, &kit_error));
    result.n_cuts++;
    result.n_wrong += found != wanted;
  }
  qn_csv_border_release(&border);
  return result;
}

static char *repeat(const char *text, int n) {
  const size_t size = strlen(text);
  char *all = malloc(size * (size_t)n + 1);
  for (int i = 0; i < n; i++) {
    memcpy(all + size * (size_t)i, text, size);
  }
  all[size * (size_t)n] = '\0';
  return all;
}

static void files_of_the_usual_kinds_are_cut_right_everywhere(void) {
  io_folder folder = io_folder_make();
  static const struct {
    const char *text;
    int n_columns;
  } cases[] = {
      {"1,abc,2.5\n22,de,3\n", 3},           // no quotes
      {"1,\"abc\",2.5\n22,\"d,e\",3\n", 3},  // quotes
      {"1,\"a\nb,c,d\n\",2\n", 3},           // line ends in quotes
      {"1,\"\",\"\"\n2,3,4\n", 3},           // empty fields in quotes, and only these
      {"1,\",\",\"\n\"\n2,\"\"\"\",4\n", 3}, // fields of what else ends fields
      {"5\",6\",x\n7,8 \"y\" z,9\n", 3},     // quotes as inches
      {"\"a\"\n\"b\"\n\"c\"\"d\"\n", 1},     // one column
      {"\"1\",\"2\"\r\n\"3\",\"4\"\r\n", 2},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char *text = repeat(cases[i].text, 20);
    const border_check near = check_cuts(&folder, text, cases[i].n_columns, 100, 200);
    QN_CHECK_INT(near.n_wrong, 0);
    QN_CHECK(near.n_cuts > 100);
    free(text);
  }
  io_folder_remove(&folder);
}

static void random_texts_without_rows_in_quotes_are_cut_right(void) {
  io_folder folder = io_folder_make();
  kit_random random = {.state = 2};
  static const char bytes[] = "abc,,\n\"\"\"";
  for (int round = 0; round < 300; round++) {
    char text[200];
    const int64_t size = 1 + kit_random_below(&random, 198);
    for (int64_t i = 0; i < size; i++) {
      text[i] = bytes[kit_random_below(&random, 9)];
    }
    text[size] = '\0';
    // 8 regular rows under one belief and none under the others do not come by chance
    QN_CHECK_INT(check_cuts(&folder, text, 7, 16, 1000).n_wrong, 0);
  }
  io_folder_remove(&folder);
}

/// A file of n_rows rows of which one has a text of some 60 KiB that looks like rows with `n_fields` fields.
static void make_trap(qn_buffer *csv, qn_buffer *wanted, int n_rows, int n_fields) {
  qn_buffer_printf(csv, NULL, "a,b\n");
  for (int i = 0; i < n_rows; i++) {
    qn_buffer_printf(csv, NULL, "%d,%s", i, i == n_rows / 2 ? "\"" : "x\n");
    qn_buffer_printf(wanted, NULL, "%d|%s", i, i == n_rows / 2 ? "" : "x\n");
    for (int line = 0; i == n_rows / 2 && line < 6000; line++) {
      char row[40];
      snprintf(row, sizeof row, "%d%cyyy\n", line, n_fields == 2 ? ',' : ';');
      qn_buffer_append(csv, row, (int64_t)strlen(row), NULL);
      qn_buffer_append(wanted, row, (int64_t)strlen(row), NULL);
    }
    if (i == n_rows / 2) {
      qn_buffer_printf(csv, NULL, "\"\n");
      qn_buffer_printf(wanted, NULL, "\n");
    }
  }
  qn_buffer_terminate(csv, NULL);
  qn_buffer_terminate(wanted, NULL);
}

static char *read_split(const char *path, int64_t split_bytes, int n_ranks) {
  qn_file_list files = {0};
  qn_csv_format format = {0};
  qn_source *source = NULL;
  QN_CHECK_OK(qn_file_list_resolve(path, &files, &kit_error));
  QN_CHECK_OK(qn_csv_sniff(&files, &(qn_csv_options){.schema = "a int64, b utf8"}, &format, &kit_error));
  QN_CHECK_OK(qn_csv_source_new(&files, &format, split_bytes, n_ranks, NULL, NULL, &source, &kit_error));
  char *text = io_read_all(source);
  qn_source_free(source);
  qn_csv_format_release(&format);
  qn_file_list_release(&files);
  return text;
}

static void a_quoted_text_that_looks_like_rows_is_read_right_or_refused(void) {
  io_folder folder = io_folder_make();
  char path[400];
  for (int n_fields = 1; n_fields <= 2; n_fields++) {
    qn_buffer csv = {0}, wanted = {0};
    make_trap(&csv, &wanted, 1000000, n_fields); // the trap lies behind 4 MiB
    io_write(&folder, "trap.csv", csv.data, csv.size, path);
    char *alone = read_split(path, 20000, 1);
    QN_CHECK(strcmp(alone, (const char *)wanted.data) == 0);
    char *shared = read_split(path, 20000, 2);
    if (n_fields == 1) {
      QN_CHECK(strcmp(shared, (const char *)wanted.data) == 0);
    } else {
      QN_CHECK(strstr(shared, "trap.csv: the file is cut at byte ") != NULL);
      QN_CHECK(strstr(shared, "a quoted field holds what looks like rows of the file; compress the file") !=
               NULL);
    }
    free(alone);
    free(shared);
    qn_buffer_release(&csv);
    qn_buffer_release(&wanted);
  }
  qn_buffer csv = {0}, wanted = {0};
  make_trap(&csv, &wanted, 1000, 2); // near the file's begin nothing is believed
  io_write(&folder, "trap.csv", csv.data, csv.size, path);
  char *shared = read_split(path, 20000, 2);
  QN_CHECK(strcmp(shared, (const char *)wanted.data) == 0);
  free(shared);
  qn_buffer_release(&csv);
  qn_buffer_release(&wanted);
  io_folder_remove(&folder);
}

int main(void) {
  KIT_RUN(files_of_the_usual_kinds_are_cut_right_everywhere);
  KIT_RUN(random_texts_without_rows_in_quotes_are_cut_right);
  KIT_RUN(a_quoted_text_that_looks_like_rows_is_read_right_or_refused);
  return kit_result();
}
