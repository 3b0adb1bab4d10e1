// SPDX-License-Identifier: Apache-2.0
// Threads and speed of BLAS.
#include "ml/blas.h"
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <quern/doctor.h>
#include "base/clock.h"
#include "base/memory.h"

// Of the matrices whose product shows how fast this processor is: large enough to be at full speed.
enum { SIDE = 256, SIDE_OF_THREADS = 512, LEAST_RUNS = 4, MOST_RUNS = 24, ENOUGH_NS = 20000000 };

// Versions of OpenBLAS older than the processor do not know it and take kernels of 2004, a fifth as fast.
// Those made for several processors can be told which kernels to take, and choose again; the symbols are
// missing in others.
extern void gotoblas_dynamic_init(void) __attribute__((weak));
extern void gotoblas_dynamic_quit(void) __attribute__((weak));
extern void *gotoblas __attribute__((weak));

static const char *better_kernels(void) {
#if defined(__x86_64__)
  static const char *const old[] = {"Prescott", "Core2", "Penryn", "Dunnington", "Nehalem"};
  const char *name = openblas_get_corename();
  bool is_old = false;

  for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
    is_old = is_old || strcasecmp(name, old[i]) == 0;
  }
  if (is_old && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")) {
    return "SkylakeX";
  }
  return is_old && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? "Haswell" : NULL;
#else
  return NULL;
#endif
}

static void choose_kernels(void) {
  const char *wanted = getenv("OPENBLAS_CORETYPE") == NULL ? better_kernels() : NULL;

  if (wanted != NULL && gotoblas_dynamic_init != NULL && gotoblas_dynamic_quit != NULL && &gotoblas != NULL) {
    setenv("OPENBLAS_CORETYPE", wanted, 0);
    gotoblas_dynamic_quit();
    gotoblas = NULL;
    gotoblas_dynamic_init();
  }
}

QN_API qn_blas_facts qn_blas_look(void) {
  qn_blas_facts facts = {0};

  choose_kernels(); // what is named are those that will multiply
  snprintf(facts.name, sizeof facts.name, "%s", openblas_get_config());
  snprintf(facts.kernels, sizeof facts.kernels, "%s", openblas_get_corename());
  facts.is_old = better_kernels() != NULL;
  return facts;
}

void qn_blas_library(char *out, size_t size) {
  const qn_blas_facts facts = qn_blas_look(); // "OpenBLAS 0.3.21 DYNAMIC_ARCH ..."
  const size_t name = strcspn(facts.name, " ");
  const size_t version = facts.name[name] == '\0' ? 0 : 1 + strcspn(facts.name + name + 1, " ");

  snprintf(out, size, "%.*s %s", (int)(name + version), facts.name, facts.kernels);
}

void qn_blas_set_threads(int n_threads) {
  choose_kernels();
  openblas_set_num_threads(n_threads);
}

static void multiply(bool is_float32, blasint n, const void *a, const void *b, void *c) {
  if (is_float32) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, c, n);
  } else {
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, c, n);
  }
}

static void fill(bool is_float32, int64_t n, void *values) {
  for (int64_t i = 0; i < n; i++) {
    if (is_float32) {
      ((float *)values)[i] = (float)(i % 17);
    } else {
      ((double *)values)[i] = (double)(i % 17);
    }
  }
}

// The best of many short runs: where others want the cores too, one of less than a time slice is left alone
// sooner or later, while a long one never is.
double qn_blas_gemm_rate(bool is_float32) {
  const int64_t side = openblas_get_num_threads() > 1 ? SIDE_OF_THREADS : SIDE;
  const int64_t n_bytes = side * side * (is_float32 ? 4 : 8);
  void *a = qn_memory_alloc(n_bytes);
  void *b = qn_memory_alloc(n_bytes);
  void *c = qn_memory_alloc(n_bytes);
  int64_t best_ns = 0;

  if (a != NULL && b != NULL && c != NULL) {
    fill(is_float32, side * side, a);
    fill(is_float32, side * side, b);
    multiply(is_float32, (blasint)side, a, b, c); // wakes threads and pages
    const int64_t begin = qn_clock_ns();
    for (int i = 0; i < LEAST_RUNS || (i < MOST_RUNS && qn_clock_ns() - begin < ENOUGH_NS); i++) {
      const int64_t start = qn_clock_ns();
      multiply(is_float32, (blasint)side, a, b, c);
      const int64_t took = qn_clock_ns() - start;
      best_ns = best_ns == 0 || took < best_ns ? took : best_ns;
    }
  }
  qn_memory_free(a);
  qn_memory_free(b);
  qn_memory_free(c);
  return best_ns == 0 ? 0 : 2.0 * (double)(side * side * side) * 1e9 / (double)best_ns;
}
