// SPDX-License-Identifier: Apache-2.0
// Sums are kept in lanes, which compilers turn into vectors of what width the processor has.
#include "ml/als_kernels.h"

#include <string.h>

#include "ml/wide.h"

static void gather(const float *factors, int64_t k, const int32_t *others, int64_t n, int64_t width,
                   float *rows) {
  for (int64_t i = 0; i < n; i++) {
    memcpy(rows + i * width, factors + others[i] * k, (size_t)k * sizeof *rows);
    memset(rows + i * width + k, 0, (size_t)(width - k) * sizeof *rows);
  }
  const int64_t n_whole = (n + QN_ALS_ROWS - 1) / QN_ALS_ROWS * QN_ALS_ROWS;
  memset(rows + n * width, 0, (size_t)((n_whole - n) * width) * sizeof *rows);
}

QN_WIDE static void multiply(const float *rows, int64_t n, int64_t width, const float *x, float *out) {
  for (int64_t i = 0; i < n; i++) {
    float sums[QN_ALS_LANES] = {0};
    for (int64_t j = 0; j < width; j += QN_ALS_LANES) {
      for (int lane = 0; lane < QN_ALS_LANES; lane++) {
        sums[lane] += rows[i * width + j + lane] * x[j + lane];
      }
    }
    for (int half = QN_ALS_LANES / 2; half > 0; half /= 2) {
      for (int lane = 0; lane < half; lane++) {
        sums[lane] += sums[lane + half];
      }
    }
    out[i] = sums[0];
  }
}

QN_WIDE static void add(const float *restrict rows, int64_t n, int64_t width, const float *coefficients,
                        float *restrict sums) {
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < width; j++) {
      sums[j] += coefficients[i] * rows[i * width + j];
    }
  }
}

const qn_als_kernels qn_als_plain_kernels = {.gather = gather, .multiply = multiply, .add = add};
