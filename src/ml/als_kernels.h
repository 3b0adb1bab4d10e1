// SPDX-License-Identifier: Apache-2.0
// The loops of als_descent.h over rows of factors: in plain C, and for AVX-512. Each adds in an order that
// the sizes alone decide.
#pragma once
#include <stdint.h>

enum {
  QN_ALS_LANES = 16, // rows are as wide as a multiple of it, what is added being 0,
  QN_ALS_ROWS = 8    // and as many as a multiple of it
};

typedef struct qn_als_kernels {
  /// rows [n, made whole; width]: the rows others[0 .. n - 1] of factors [.., k].
  void (*gather)(const float *factors, int64_t k, const int32_t *others, int64_t n, int64_t width,
                 float *rows);
  /// out [n]: each row times x [width].
  void (*multiply)(const float *rows, int64_t n, int64_t width, const float *x, float *out);
  /// sums [width] += each row times its coefficient.
  void (*add)(const float *rows, int64_t n, int64_t width, const float *coefficients, float *sums);
} qn_als_kernels;

extern const qn_als_kernels qn_als_plain_kernels;
/// NULL if the processor has no AVX-512.
const qn_als_kernels *qn_als_avx512_kernels(void);
