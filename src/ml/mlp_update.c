// SPDX-License-Identifier: Apache-2.0
// Steps of descent. Each parameter is computed alone and without contraction, so the wider instructions give
// the same bits. (Compiled without errno for roots, which would keep them from being taken several at once.)
#include <math.h>
#include "ml/mlp_train.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE void adam(int64_t n, float decay, float rate, const float *restrict gradient,
                        float *restrict moments, float *restrict squares, float *restrict parameters) {
  for (int64_t i = 0; i < n; i++) {
    const float slope = gradient[i] + decay * parameters[i];
    moments[i] = 0.9f * moments[i] + 0.1f * slope;
    squares[i] = 0.999f * squares[i] + 0.001f * slope * slope;
    parameters[i] -= rate * moments[i] / (sqrtf(squares[i]) + 1e-8f);
  }
}

ALWAYS_INLINE void momentum_descent(int64_t n, float decay, float rate, float momentum,
                                    const float *restrict gradient, float *restrict moments,
                                    float *restrict parameters) {
  for (int64_t i = 0; i < n; i++) {
    moments[i] = momentum * moments[i] - rate * (gradient[i] + decay * parameters[i]);
    parameters[i] += moments[i];
  }
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void wide_adam(int64_t n, float decay, float rate,
                                                         const float *gradient, float *moments,
                                                         float *squares, float *parameters) {
  adam(n, decay, rate, gradient, moments, squares, parameters);
}

__attribute__((target("avx512f"))) static void wide_momentum(int64_t n, float decay, float rate,
                                                             float momentum, const float *gradient,
                                                             float *moments, float *parameters) {
  momentum_descent(n, decay, rate, momentum, gradient, moments, parameters);
}
#endif

void qn_mlp_adam(int64_t n, float decay, float rate, const float *gradient, float *moments, float *squares,
                 float *parameters) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) {
    wide_adam(n, decay, rate, gradient, moments, squares, parameters);
    return;
  }
#endif
  adam(n, decay, rate, gradient, moments, squares, parameters);
}

void qn_mlp_momentum(int64_t n, float decay, float rate, float momentum, const float *gradient,
                     float *moments, float *parameters) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) {
    wide_momentum(n, decay, rate, momentum, gradient, moments, parameters);
    return;
  }
#endif
  momentum_descent(n, decay, rate, momentum, gradient, moments, parameters);
}
