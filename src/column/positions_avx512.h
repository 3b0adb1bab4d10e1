// SPDX-License-Identifier: Apache-2.0
// Positions of the bits of a mask with AVX-512 VBMI2: 0 .. 63 compressed by the mask, without a branch for up
// to 16 of them. For the files of that instruction set only.
#pragma once
#include <immintrin.h>
#include <stdint.h>

#define QN_AVX512_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi,bmi2,popcnt")))

static inline int qn_avx512_runs(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi2") &&
         __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("popcnt");
}

/// Writes base + each position, and up to 15 words behind them. Returns how many.
QN_AVX512_TARGET static inline int qn_put_positions_avx512(uint32_t *out, uint32_t base, uint64_t mask) {
  static const uint8_t positions[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                        16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                        32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                        48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
  const __m512i found = _mm512_maskz_compress_epi8(mask, _mm512_loadu_si512((const void *)positions));
  const __m512i bases = _mm512_set1_epi32((int)base);
  const int n = (int)_mm_popcnt_u64(mask);

  _mm512_storeu_si512(out, _mm512_add_epi32(bases, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(found))));
  if (__builtin_expect(n > 16, 0)) {
    const __m128i second = _mm512_extracti32x4_epi32(found, 1);
    const __m128i third = _mm512_extracti32x4_epi32(found, 2);
    const __m128i fourth = _mm512_extracti32x4_epi32(found, 3);
    _mm512_storeu_si512(out + 16, _mm512_add_epi32(bases, _mm512_cvtepu8_epi32(second)));
    _mm512_storeu_si512(out + 32, _mm512_add_epi32(bases, _mm512_cvtepu8_epi32(third)));
    _mm512_storeu_si512(out + 48, _mm512_add_epi32(bases, _mm512_cvtepu8_epi32(fourth)));
  }
  return n;
}
