// SPDX-License-Identifier: Apache-2.0
// Products take 8 rows at a time, whose sums over lanes make one vector; sums take 4 columns of vectors, each
// in 4 registers by turns, so that no addition waits for the one before.
#include "ml/als_kernels.h"

#include <stddef.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

enum { LANES = QN_ALS_LANES, ROWS = QN_ALS_ROWS, TURNS = 4, MOST_VECTORS = 4, AHEAD = 8 };

#define WIDE __attribute__((target("avx512f")))
#define INLINE WIDE static inline __attribute__((always_inline))

WIDE static void gather(const float *factors, int64_t k, const int32_t *others, int64_t n, int64_t width,
                        float *rows) {
  const __mmask16 rest = (__mmask16)((1u << k % LANES) - 1);
  const __m512 zero = _mm512_setzero_ps();
  int64_t i = 0;

  for (; i < n; i++) {
    const float *from = factors + others[i] * k;
    float *to = rows + i * width;
    const float *ahead = factors + others[i + AHEAD < n ? i + AHEAD : n - 1] * k;
    int64_t j = 0;
    for (; j + LANES <= k; j += LANES) {
      _mm_prefetch((const char *)(ahead + j), _MM_HINT_T0);
      _mm512_storeu_ps(to + j, _mm512_loadu_ps(from + j));
    }
    if (rest != 0) {
      _mm_prefetch((const char *)(ahead + k - 1), _MM_HINT_T0);
      _mm512_storeu_ps(to + j, _mm512_maskz_loadu_ps(rest, from + j));
    }
  }
  for (; i % ROWS != 0; i++) {
    for (int64_t j = 0; j < width; j += LANES) {
      _mm512_storeu_ps(rows + i * width + j, zero);
    }
  }
}

INLINE __m512 add_neighbours(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
}

INLINE __m512 add_pairs(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
}

// The sum of the lanes of each of 8 vectors.
INLINE __m256 sums_of_eight(const __m512 v[ROWS]) {
  const __m512 low = add_pairs(add_neighbours(v[0], v[1]), add_neighbours(v[2], v[3]));
  const __m512 high = add_pairs(add_neighbours(v[4], v[5]), add_neighbours(v[6], v[7]));
  const __m512 halves =
      _mm512_add_ps(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xdd));
  const __m512 sums = _mm512_add_ps(halves, _mm512_shuffle_f32x4(halves, halves, 0xb1));
  return _mm512_castps512_ps256(_mm512_shuffle_f32x4(sums, sums, 0x08));
}

WIDE static void multiply(const float *rows, int64_t n, int64_t width, const float *x, float *out) {
  for (int64_t i = 0; i < n; i += ROWS) {
    __m512 sums[ROWS];
    for (int row = 0; row < ROWS; row++) {
      sums[row] = _mm512_setzero_ps();
    }
    for (int64_t j = 0; j < width; j += LANES) {
      const __m512 of_x = _mm512_loadu_ps(x + j);
      for (int row = 0; row < ROWS; row++) {
        sums[row] = _mm512_fmadd_ps(_mm512_loadu_ps(rows + (i + row) * width + j), of_x, sums[row]);
      }
    }
    _mm256_storeu_ps(out + i, sums_of_eight(sums));
  }
}

INLINE void add_columns(const float *rows, int64_t n, int64_t width, const float *coefficients, float *sums,
                        const int n_vectors) {
  __m512 own[TURNS][MOST_VECTORS];

  for (int v = 0; v < n_vectors; v++) {
    own[0][v] = _mm512_loadu_ps(sums + v * LANES);
    for (int turn = 1; turn < TURNS; turn++) {
      own[turn][v] = _mm512_setzero_ps();
    }
  }
  for (int64_t i = 0; i < n; i += TURNS) {
    for (int turn = 0; turn < TURNS; turn++) {
      const __m512 coefficient = _mm512_set1_ps(coefficients[i + turn]);
      const float *row = rows + (i + turn) * width;
      for (int v = 0; v < n_vectors; v++) {
        own[turn][v] = _mm512_fmadd_ps(coefficient, _mm512_loadu_ps(row + v * LANES), own[turn][v]);
      }
    }
  }
  for (int v = 0; v < n_vectors; v++) {
    const __m512 low = _mm512_add_ps(own[0][v], own[1][v]);
    _mm512_storeu_ps(sums + v * LANES, _mm512_add_ps(low, _mm512_add_ps(own[2][v], own[3][v])));
  }
}

WIDE static void add(const float *rows, int64_t n, int64_t width, const float *coefficients, float *sums) {
  int64_t j = 0;

  for (; width - j >= MOST_VECTORS * LANES; j += MOST_VECTORS * LANES) {
    add_columns(rows + j, n, width, coefficients, sums + j, MOST_VECTORS);
  }
  switch ((width - j) / LANES) {
  case 3:
    add_columns(rows + j, n, width, coefficients, sums + j, 3);
    break;
  case 2:
    add_columns(rows + j, n, width, coefficients, sums + j, 2);
    break;
  case 1:
    add_columns(rows + j, n, width, coefficients, sums + j, 1);
    break;
  default:
    break;
  }
}

const qn_als_kernels *qn_als_avx512_kernels(void) {
  static const qn_als_kernels kernels = {.gather = gather, .multiply = multiply, .add = add};
  return __builtin_cpu_supports("avx512f") ? &kernels : NULL;
}

#else

const qn_als_kernels *qn_als_avx512_kernels(void) {
  return NULL;
}

#endif
