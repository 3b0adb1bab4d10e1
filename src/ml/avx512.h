// SPDX-License-Identifier: Apache-2.0
// For loops that are written for AVX-512: how they are compiled, and whether they may run.
#pragma once
#include <stdbool.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define QN_AVX512 __attribute__((target("avx512f,avx512dq,avx512vl")))
#define QN_AVX512_INLINE QN_AVX512 static inline __attribute__((always_inline))

static inline bool qn_avx512_runs(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
#else
static inline bool qn_avx512_runs(void) {
  return false;
}
#endif

/// As equal groups of at most `most` as n can be cut into: the size of the next one.
static inline int qn_next_group(int n, int most) {
  const int n_groups = (n + most - 1) / most;
  return (n + n_groups - 1) / n_groups;
}
