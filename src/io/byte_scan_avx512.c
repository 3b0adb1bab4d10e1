// SPDX-License-Identifier: Apache-2.0
// The kernels of byte_scan.h with AVX-512 VBMI2: one compare a mask. The preprocessor leaves it out where the
// processor is no x86.
#include <stddef.h>
#include "io/byte_scan.h"

#if defined(__x86_64__)
#include "column/positions_avx512.h"

#define SCAN_TARGET QN_AVX512_TARGET
typedef struct avx512_needles {
  __m512i separator, quote, line;
} avx512_needles;
#define SCAN_NEEDLES avx512_needles

SCAN_TARGET static inline avx512_needles make_needles(const qn_csv_dialect *dialect) {
  return (avx512_needles){.separator = _mm512_set1_epi8(dialect->separator),
                          .quote = _mm512_set1_epi8(dialect->quote),
                          .line = _mm512_set1_epi8('\n')};
}

SCAN_TARGET static inline uint64_t match_lines(const char *data) {
  return _mm512_cmpeq_epi8_mask(_mm512_loadu_si512((const void *)data), _mm512_set1_epi8('\n'));
}

SCAN_TARGET static inline void match_csv(const char *data, const avx512_needles *needles,
                                         uint64_t *separators, uint64_t *lines, uint64_t *quotes) {
  const __m512i block = _mm512_loadu_si512((const void *)data);
  *separators = _mm512_cmpeq_epi8_mask(block, needles->separator);
  *lines = _mm512_cmpeq_epi8_mask(block, needles->line);
  *quotes = _mm512_cmpeq_epi8_mask(block, needles->quote);
}

SCAN_TARGET static inline int count_bits(uint64_t mask) {
  return (int)_mm_popcnt_u64(mask);
}

SCAN_TARGET static inline void put_positions(uint32_t *out, uint32_t base, uint64_t mask) {
  qn_put_positions_avx512(out, base, mask);
}

#include "io/byte_scan.inc"

static const qn_scan_kernels kernels = {.name = "avx512", .scan_csv = scan_csv, .scan_lines = scan_lines};

const qn_scan_kernels *qn_scan_kernels_avx512(void) {
  return qn_avx512_runs() ? &kernels : NULL;
}

#else

const qn_scan_kernels *qn_scan_kernels_avx512(void) {
  return NULL;
}

#endif
