// SPDX-License-Identifier: Apache-2.0
// The kernels of byte_scan.h with AVX-512 VBMI2: one compare a mask, and positions by compressing 0 .. 63
// with it, without a branch for up to 16 of them. The preprocessor leaves it out where the processor is no
// x86.
#include <stddef.h>
#include "io/byte_scan.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define SCAN_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi,bmi2,popcnt")))
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
  static const uint8_t positions[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                        16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                        32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                        48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
  const __m512i found = _mm512_maskz_compress_epi8(mask, _mm512_loadu_si512((const void *)positions));
  const __m512i bases = _mm512_set1_epi32((int)base);
  const int n = count_bits(mask);

  _mm512_storeu_si512(out, _mm512_add_epi32(bases, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(found))));
  if (__builtin_expect(n > 16, 0)) {
    const __m128i second = _mm512_extracti32x4_epi32(found, 1);
    const __m128i third = _mm512_extracti32x4_epi32(found, 2);
    const __m128i fourth = _mm512_extracti32x4_epi32(found, 3);
    _mm512_storeu_si512(out + 16, _mm512_add_epi32(bases, _mm512_cvtepu8_epi32(second)));
    _mm512_storeu_si512(out + 32, _mm512_add_epi32(bases, _mm512_cvtepu8_epi32(third)));
    _mm512_storeu_si512(out + 48, _mm512_add_epi32(bases, _mm512_cvtepu8_epi32(fourth)));
  }
}

#include "io/byte_scan.inc"

static const qn_scan_kernels kernels = {.name = "avx512", .scan_csv = scan_csv, .scan_lines = scan_lines};

const qn_scan_kernels *qn_scan_kernels_avx512(void) {
  const bool runs = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi2") &&
                    qn_scan_kernels_avx2() != NULL;
  return runs ? &kernels : NULL;
}

#else

const qn_scan_kernels *qn_scan_kernels_avx512(void) {
  return NULL;
}

#endif
