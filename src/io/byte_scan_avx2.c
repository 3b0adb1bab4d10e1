// SPDX-License-Identifier: Apache-2.0
// The kernels of byte_scan.h with AVX2: two compares of 32 bytes a mask, positions by counting trailing
// zeros, eight at a time whether needed or not. The preprocessor leaves it out where the processor is no x86.
#include <stddef.h>
#include "io/byte_scan.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define SCAN_TARGET __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))
typedef struct avx2_needles {
  __m256i separator, quote, line;
} avx2_needles;
#define SCAN_NEEDLES avx2_needles

SCAN_TARGET static inline avx2_needles make_needles(const qn_csv_dialect *dialect) {
  return (avx2_needles){.separator = _mm256_set1_epi8(dialect->separator),
                        .quote = _mm256_set1_epi8(dialect->quote),
                        .line = _mm256_set1_epi8('\n')};
}

SCAN_TARGET static inline uint64_t match_both(__m256i low, __m256i high, __m256i needle) {
  const uint32_t low_mask = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, needle));
  const uint32_t high_mask = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, needle));
  return low_mask | ((uint64_t)high_mask << 32);
}

SCAN_TARGET static inline uint64_t match_lines(const char *data) {
  return match_both(_mm256_loadu_si256((const void *)data), _mm256_loadu_si256((const void *)(data + 32)),
                    _mm256_set1_epi8('\n'));
}

SCAN_TARGET static inline void match_csv(const char *data, const avx2_needles *needles, uint64_t *separators,
                                         uint64_t *lines, uint64_t *quotes) {
  const __m256i low = _mm256_loadu_si256((const void *)data);
  const __m256i high = _mm256_loadu_si256((const void *)(data + 32));
  *separators = match_both(low, high, needles->separator);
  *lines = match_both(low, high, needles->line);
  *quotes = match_both(low, high, needles->quote);
}

SCAN_TARGET static inline void put_eight(uint32_t *out, uint32_t base, uint64_t *mask) {
  for (int i = 0; i < 8; i++) {
    out[i] = base + (uint32_t)_tzcnt_u64(*mask);
    *mask = _blsr_u64(*mask);
  }
}

SCAN_TARGET static inline void put_positions(uint32_t *out, uint32_t base, uint64_t mask) {
  put_eight(out, base, &mask);
  while (__builtin_expect(mask != 0, 0)) {
    out += 8;
    put_eight(out, base, &mask);
  }
}

SCAN_TARGET static inline int count_bits(uint64_t mask) {
  return (int)_mm_popcnt_u64(mask);
}

#include "io/byte_scan.inc"

static const qn_scan_kernels kernels = {.name = "avx2", .scan_csv = scan_csv, .scan_lines = scan_lines};

const qn_scan_kernels *qn_scan_kernels_avx2(void) {
  const bool runs = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
  return runs ? &kernels : NULL;
}

#else

const qn_scan_kernels *qn_scan_kernels_avx2(void) {
  return NULL;
}

#endif
