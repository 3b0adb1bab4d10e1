// SPDX-License-Identifier: Apache-2.0
// Nanoseconds of processor time per row of the kernels that group-by, join and sort stand on: one process,
// data made up here. Each figure is the best of three runs.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/hash.h"
#include "base/memory.h"
#include "kernel/accumulate.h"
#include "kernel/group_table.h"
#include "kernel/hash_columns.h"
#include "kernel/join_index.h"
#include "kernel/sort_rows.h"

enum { N_RUNS = 3 };

// Time of this process on its core: what else the machine does counts little.
static int64_t cpu_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void must(qn_status status, const qn_error *err) {
  if (status != QN_OK) {
    fprintf(stderr, "%s\n", err->message);
    exit(1);
  }
}

static void *must_alloc(int64_t size) {
  void *memory = qn_memory_alloc(size);
  if (memory == NULL) {
    fprintf(stderr, "no memory for %" PRId64 " bytes\n", size);
    exit(1);
  }
  memset(memory, 0, (size_t)size);
  return memory;
}

static uint64_t number_at(int64_t i, uint64_t seed) {
  return qn_hash_mix((uint64_t)i * 0x9e3779b97f4a7c15u + seed);
}

// n_rows numbers from 0 to n_values - 1; n_values 0: any.
static qn_column make_ints(int64_t n_rows, int64_t n_values) {
  int64_t *values = must_alloc(n_rows * 8);
  for (int64_t i = 0; i < n_rows; i++) {
    const uint64_t number = number_at(i, 1);
    values[i] = n_values > 0 ? (int64_t)(number % (uint64_t)n_values) : (int64_t)number;
  }
  return (qn_column){.type = QN_INT64, .n_rows = n_rows, .values = values};
}

static qn_column make_floats(int64_t n_rows) {
  double *values = must_alloc(n_rows * 8);
  for (int64_t i = 0; i < n_rows; i++) {
    values[i] = (double)(int64_t)number_at(i, 2) * 0x1p-50;
  }
  return (qn_column){.type = QN_FLOAT64, .n_rows = n_rows, .values = values};
}

// Words as in natural text: rank r comes with a frequency of 1 / r; 3 to 12 letters and some longer.
static qn_column make_words(int64_t n_rows, int64_t n_words) {
  int32_t *offsets = must_alloc((n_rows + 1) * 4);
  uint8_t *bytes = must_alloc(n_rows * 20);
  int64_t at = 0;
  for (int64_t i = 0; i < n_rows; i++) {
    const double fraction = (double)(number_at(i, 3) >> 11) * 0x1p-53;
    const int64_t rank = (int64_t)exp(fraction * log((double)n_words));
    const uint64_t letters = number_at(rank, 4);
    const int64_t size = 3 + (int64_t)(letters % 10) + (letters % 97 == 0 ? 8 : 0);
    for (int64_t k = 0; k < size; k++) {
      bytes[at + k] = (uint8_t)('a' + (letters >> (k * 5 % 60)) % 26);
    }
    at += size;
    offsets[i + 1] = (int32_t)at;
  }
  return (qn_column){.type = QN_UTF8, .n_rows = n_rows, .offsets = offsets, .bytes = bytes};
}

static void free_column(qn_column *column) {
  qn_memory_free((void *)(uintptr_t)column->values);
  qn_memory_free((void *)(uintptr_t)column->offsets);
  qn_memory_free((void *)(uintptr_t)column->bytes);
}

static void report(const char *what, int64_t ns, int64_t n_rows) {
  printf("%-44s %8.2f ns/row\n", what, (double)ns / (double)n_rows);
  fflush(stdout);
}

static qn_column cut(const qn_column *column, int64_t first, int64_t n) {
  qn_column part = *column;
  part.n_rows = n;
  if (column->offsets != NULL) {
    part.offsets = column->offsets + first;
  } else {
    part.values = (const uint8_t *)column->values + first * qn_type_width(column->type);
  }
  return part;
}

static void bench_hash(const char *what, const qn_column *key) {
  int64_t best = INT64_MAX;
  uint64_t *hashes = must_alloc(QN_BATCH_ROWS * 8);
  for (int run = 0; run < N_RUNS; run++) {
    const int64_t start = cpu_ns();
    for (int64_t first = 0; first < key->n_rows; first += QN_BATCH_ROWS) {
      const int64_t n = key->n_rows - first < QN_BATCH_ROWS ? key->n_rows - first : QN_BATCH_ROWS;
      const qn_column part = cut(key, first, n);
      const qn_column *keys[] = {&part};
      qn_hash_columns(keys, 1, n, hashes);
    }
    const int64_t ns = cpu_ns() - start;
    best = ns < best ? ns : best;
  }
  qn_memory_free(hashes);
  report(what, best, key->n_rows);
}

// Hash and group as an aggregation does, a batch at a time; then find; the groups of all rows in `groups`.
static int64_t bench_group(const char *what, const qn_column *key, int32_t *groups) {
  int64_t best = INT64_MAX;
  int64_t best_find = INT64_MAX;
  int64_t n_groups = 0;
  uint64_t *hashes = must_alloc(QN_BATCH_ROWS * 8);
  char text[64];
  qn_error err = {0};

  for (int run = 0; run < N_RUNS; run++) {
    qn_group_table *table = NULL;
    must(qn_group_table_new(&key->type, 1, &table, &err), &err);
    for (int pass = 0; pass < 2; pass++) {
      const int64_t start = cpu_ns();
      for (int64_t first = 0; first < key->n_rows; first += QN_BATCH_ROWS) {
        const int64_t n = key->n_rows - first < QN_BATCH_ROWS ? key->n_rows - first : QN_BATCH_ROWS;
        const qn_column part = cut(key, first, n);
        const qn_column *keys[] = {&part};
        qn_hash_columns(keys, 1, n, hashes);
        if (pass == 0) {
          must(qn_group_table_add(table, keys, hashes, n, groups + first, &err), &err);
        } else {
          qn_group_table_find(table, keys, hashes, n, groups + first);
        }
      }
      const int64_t ns = cpu_ns() - start;
      best = pass == 0 && ns < best ? ns : best;
      best_find = pass == 1 && ns < best_find ? ns : best_find;
    }
    n_groups = qn_group_table_n_groups(table);
    qn_group_table_free(table);
  }
  qn_memory_free(hashes);
  snprintf(text, sizeof text, "%s (%" PRId64 " groups): add", what, n_groups);
  report(text, best, key->n_rows);
  snprintf(text, sizeof text, "%s (%" PRId64 " groups): find", what, n_groups);
  report(text, best_find, key->n_rows);
  return n_groups;
}

static void bench_accumulate(const char *what, qn_aggregate_kind kind, const qn_column *argument,
                             const int32_t *groups, int64_t n_groups) {
  int64_t best = INT64_MAX;
  qn_error err = {0};

  for (int run = 0; run < N_RUNS; run++) {
    qn_accumulator *accumulator = NULL;
    must(qn_accumulator_new(kind, argument->type, 0.5, &accumulator, &err), &err);
    const int64_t start = cpu_ns();
    for (int64_t first = 0; first < argument->n_rows; first += QN_BATCH_ROWS) {
      const int64_t n = argument->n_rows - first < QN_BATCH_ROWS ? argument->n_rows - first : QN_BATCH_ROWS;
      const qn_column part = cut(argument, first, n);
      must(qn_accumulator_update(accumulator, &part, groups + first, n, n_groups, NULL, NULL, &err), &err);
    }
    const int64_t ns = cpu_ns() - start;
    best = ns < best ? ns : best;
    qn_accumulator_free(accumulator);
  }
  char text[64];
  snprintf(text, sizeof text, "%s (%" PRId64 " groups)", what, n_groups);
  report(text, best, argument->n_rows);
}

static void bench_sort(const char *what, const qn_column *key) {
  int64_t best = INT64_MAX;
  int32_t *rows = must_alloc(key->n_rows * 4);
  const qn_column *keys[] = {key};
  const qn_order order = {0};
  qn_error err = {0};

  for (int run = 0; run < N_RUNS; run++) {
    const int64_t start = cpu_ns();
    must(qn_sort_rows(keys, &order, 1, key->n_rows, rows, &err), &err);
    const int64_t ns = cpu_ns() - start;
    best = ns < best ? ns : best;
  }
  qn_memory_free(rows);
  report(what, best, key->n_rows);
}

static void bench_join_index(const int32_t *groups, int64_t n_rows, int64_t n_groups) {
  int64_t best = INT64_MAX;
  qn_error err = {0};

  for (int run = 0; run < N_RUNS; run++) {
    qn_join_index index = {0};
    const int64_t start = cpu_ns();
    must(qn_join_index_init(&index, groups, n_rows, n_groups, &err), &err);
    const int64_t ns = cpu_ns() - start;
    best = ns < best ? ns : best;
    qn_join_index_release(&index);
  }
  report("join index", best, n_rows);
}

static void bench_groups(int64_t n_rows, int64_t n_values) {
  qn_column key = make_ints(n_rows, n_values);
  qn_column ints = make_ints(n_rows, 1000000);
  qn_column floats = make_floats(n_rows);
  int32_t *groups = must_alloc(n_rows * 4);

  const int64_t n_groups = bench_group("int64", &key, groups);
  bench_accumulate("  count", QN_AGG_COUNT, &ints, groups, n_groups);
  bench_accumulate("  sum of int64", QN_AGG_SUM, &ints, groups, n_groups);
  bench_accumulate("  sum of float64", QN_AGG_SUM, &floats, groups, n_groups);
  bench_accumulate("  avg of float64", QN_AGG_AVG, &floats, groups, n_groups);
  bench_accumulate("  min of int64", QN_AGG_MIN, &ints, groups, n_groups);
  bench_accumulate("  variance of float64", QN_AGG_VAR_SAMP, &floats, groups, n_groups);
  bench_join_index(groups, n_rows, n_groups);
  qn_memory_free(groups);
  free_column(&key);
  free_column(&ints);
  free_column(&floats);
}

static void bench_words(int64_t n_rows, int64_t n_words) {
  qn_column words = make_words(n_rows, n_words);
  int32_t *groups = must_alloc(n_rows * 4);
  bench_hash("hash text words", &words);
  bench_group("text words", &words, groups);
  qn_memory_free(groups);
  free_column(&words);
}

int main(void) {
  const int64_t n = 10000000;
  qn_column ints = make_ints(n, 0);
  qn_column small_ints = make_ints(n, 1000000);
  qn_column floats = make_floats(n);
  qn_column words = make_words(1000000, 300000);
  int32_t *zeros = must_alloc(n * 4);

  bench_hash("hash int64", &ints);
  bench_groups(n, 100);
  bench_groups(n, 100000);
  bench_groups(2 * n, 30000000);
  bench_words(n, 100000);
  bench_words(n, 10000000);
  bench_accumulate("sum of int64", QN_AGG_SUM, &ints, zeros, 1);
  bench_accumulate("sum of float64", QN_AGG_SUM, &floats, zeros, 1);
  bench_accumulate("max of float64", QN_AGG_MAX, &floats, zeros, 1);
  bench_accumulate("approx_count_distinct of int64", QN_AGG_APPROX_DISTINCT, &ints, zeros, 1);
  bench_accumulate("approx_quantile of float64", QN_AGG_APPROX_QUANTILE, &floats, zeros, 1);
  bench_sort("sort 10^7 int64, any", &ints);
  bench_sort("sort 10^7 int64 below 10^6", &small_ints);
  bench_sort("sort 10^7 float64", &floats);
  bench_sort("sort 10^6 words", &words);

  free_column(&ints);
  free_column(&small_ints);
  free_column(&floats);
  free_column(&words);
  qn_memory_free(zeros);
  return 0;
}
