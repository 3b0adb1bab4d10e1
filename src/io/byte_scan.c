// SPDX-License-Identifier: Apache-2.0
// The state machine, the plain kernels (eight bytes at a time in a register) and the choice of a kernel.
#include "io/byte_scan.h"
#include <string.h>

static bool is_blank(char byte) {
  return byte == ' ' || byte == '\t';
}

qn_csv_state qn_csv_next_state(const qn_csv_dialect *dialect, qn_csv_state state, char byte, bool *is_end) {
  *is_end = false;
  if (state == QN_CSV_QUOTED) {
    return byte == dialect->quote ? QN_CSV_FIELD_START : QN_CSV_QUOTED;
  }
  if (byte == '\n') {
    *is_end = true;
    return QN_CSV_ROW_START;
  }
  if (state == QN_CSV_COMMENT ||
      (state == QN_CSV_ROW_START && dialect->comment != '\0' && byte == dialect->comment)) {
    return QN_CSV_COMMENT;
  }
  if (byte == dialect->separator) {
    *is_end = true;
    return QN_CSV_FIELD_START;
  }
  if (state == QN_CSV_UNQUOTED) {
    return QN_CSV_UNQUOTED;
  }
  if (byte == dialect->quote) {
    return QN_CSV_QUOTED;
  }
  return dialect->trim && is_blank(byte) ? QN_CSV_FIELD_START : QN_CSV_UNQUOTED;
}

void qn_csv_scan_bytes(const qn_csv_dialect *dialect, const char *data, int64_t first, int64_t end,
                       qn_csv_scan *scan) {
  qn_csv_state state = scan->state;
  uint32_t *ends = scan->ends + scan->n_ends;

  for (int64_t i = first; i < end; i++) {
    bool is_end;
    state = qn_csv_next_state(dialect, state, data[i], &is_end);
    *ends = (uint32_t)i;
    ends += is_end;
    scan->n_rows += is_end && data[i] == '\n';
    scan->has_quotes |= data[i] == dialect->quote;
  }
  scan->state = state;
  scan->n_ends = ends - scan->ends;
}

#define SCAN_TARGET
typedef struct plain_needles {
  uint64_t separator, quote;
} plain_needles;
#define SCAN_NEEDLES plain_needles

static const uint64_t every_byte = 0x0101010101010101u;

static inline plain_needles make_needles(const qn_csv_dialect *dialect) {
  return (plain_needles){.separator = every_byte * (uint8_t)dialect->separator,
                         .quote = every_byte * (uint8_t)dialect->quote};
}

/// A bit per byte of `word` that equals the needle's byte (exact for all bytes, not only for the first).
static inline uint64_t match_word(uint64_t word, uint64_t needle) {
  const uint64_t low = 0x7f7f7f7f7f7f7f7fu;
  const uint64_t differs = word ^ needle;
  const uint64_t zero = ~(((differs & low) + low) | differs | low); // 0x80 in each byte that is equal
  return ((zero >> 7) * 0x0102040810204080u) >> 56;
}

static inline uint64_t load_word(const char *data) {
  uint64_t word;
  memcpy(&word, data, sizeof word);
  return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? word : __builtin_bswap64(word);
}

static inline uint64_t match_lines(const char *data) {
  uint64_t mask = 0;
  for (int i = 0; i < 8; i++) {
    mask |= match_word(load_word(data + 8 * i), every_byte * '\n') << (8 * i);
  }
  return mask;
}

static inline void match_csv(const char *data, const plain_needles *needles, uint64_t *separators,
                             uint64_t *lines, uint64_t *quotes) {
  *separators = *lines = *quotes = 0;
  for (int i = 0; i < 8; i++) {
    const uint64_t word = load_word(data + 8 * i);
    *separators |= match_word(word, needles->separator) << (8 * i);
    *lines |= match_word(word, every_byte * '\n') << (8 * i);
    *quotes |= match_word(word, needles->quote) << (8 * i);
  }
}

static inline void put_positions(uint32_t *out, uint32_t base, uint64_t mask) {
  for (; mask != 0; mask &= mask - 1) {
    *out++ = base + (uint32_t)__builtin_ctzll(mask);
  }
}

static inline int count_bits(uint64_t mask) {
  return __builtin_popcountll(mask);
}

#include "io/byte_scan.inc"

static const qn_scan_kernels plain_kernels = {
    .name = "plain", .scan_csv = scan_csv, .scan_lines = scan_lines};

int qn_scan_kernels_all(const qn_scan_kernels *out[QN_SCAN_MAX_KERNELS]) {
  int n = 0;

  out[n++] = &plain_kernels;
  if (qn_scan_kernels_avx2() != NULL) {
    out[n++] = qn_scan_kernels_avx2();
  }
  if (qn_scan_kernels_avx512() != NULL) {
    out[n++] = qn_scan_kernels_avx512();
  }
  return n;
}

const qn_scan_kernels *qn_scan_kernels_best(void) {
  const qn_scan_kernels *all[QN_SCAN_MAX_KERNELS];

  return all[qn_scan_kernels_all(all) - 1];
}
