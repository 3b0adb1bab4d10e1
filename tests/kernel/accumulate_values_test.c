// SPDX-License-Identifier: Apache-2.0
// quantile_cont and corr against plain versions, and the choice of a word that quantiles rest on.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "kernel/accumulate.h"
#include "kernel/ref_rows.h"
#include "kernel/select_word.h"

enum { N_ROWS = 30000, N_GROUPS = 7 };

static int compare_words(const void *a, const void *b) {
  const int64_t x = *(const int64_t *)a;
  const int64_t y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static void check_choice(const int64_t *words, int64_t n, int64_t k) {
  int64_t *sorted = malloc((size_t)n * sizeof *sorted);
  int64_t *moved = malloc((size_t)n * sizeof *moved);
  memcpy(sorted, words, (size_t)n * sizeof *sorted);
  memcpy(moved, words, (size_t)n * sizeof *moved);
  qsort(sorted, (size_t)n, sizeof *sorted, compare_words);
  QN_CHECK_INT(qn_select_word(moved, n, k), sorted[k]);
  QN_CHECK_INT(moved[k], sorted[k]);
  for (int64_t i = 0; i < n; i++) {
    if (i < k ? moved[i] > moved[k] : moved[i] < moved[k]) {
      QN_CHECK_INT(i, -1);
    }
  }
  qsort(moved, (size_t)n, sizeof *moved, compare_words);
  QN_CHECK(memcmp(moved, sorted, (size_t)n * sizeof *moved) == 0);
  free(sorted);
  free(moved);
}

static void a_word_is_chosen_as_sorting_would(void) {
  kit_random random = {.state = 5};
  static int64_t words[4000];
  for (int shape = 0; shape < 6; shape++) {
    for (int64_t n = 1; n <= 4000; n = n * 5 / 2 + 1) {
      for (int64_t i = 0; i < n; i++) {
        const int64_t any = (int64_t)qn_hash_mix(kit_random_below(&random, 1u << 30));
        const int64_t shapes[] = {any, i, -i, any % 5, 7, i < n / 2 ? i : n - i};
        words[i] = shapes[shape];
      }
      words[0] = shape == 0 ? INT64_MIN : words[0];
      words[n - 1] = shape == 0 ? INT64_MAX : words[n - 1];
      const int64_t places[] = {0, n / 4, n / 2, n - 1, (int64_t)kit_random_below(&random, (uint64_t)n)};
      for (int p = 0; p < 5; p++) {
        check_choice(words, n, places[p]);
      }
    }
  }
}

// For pivots of the middle of three places: most of a partition is on one side, again and again.
static void bad_pivots_do_not_make_it_slow(void) {
  enum { N = 1 << 17 };
  static int64_t words[N];
  for (int64_t i = 0; i < N; i++) {
    words[i] = i;
  }
  for (int64_t n = N; n > 3; n -= 2) { // places that will be looked at hold the smallest of what is left
    const int64_t places[] = {n / 4, n / 2, n - 1 - n / 4};
    for (int p = 0; p < 2; p++) {
      const int64_t swapped = words[p];
      words[p] = words[places[p]];
      words[places[p]] = swapped;
    }
  }
  static int64_t moved[N];
  memcpy(moved, words, sizeof moved);
  QN_CHECK_INT(qn_select_word(moved, N, N - 2), N - 2);
}

static int compare_doubles(const void *a, const void *b) {
  return ref_compare_doubles(*(const double *)a, *(const double *)b);
}

static double wanted_quantile(const double *values, const int32_t *groups, int32_t group, double fraction) {
  static double sorted[N_ROWS];
  int64_t n = 0;
  for (int64_t i = 0; i < N_ROWS; i++) {
    sorted[n] = values[i];
    n += groups[i] == group;
  }
  qsort(sorted, (size_t)n, sizeof *sorted, compare_doubles);
  const double place = fraction * (double)(n - 1);
  const int64_t k = (int64_t)place;
  const double low = sorted[k];
  const double high = sorted[k + 1 < n ? k + 1 : k];
  return low == high || place == (double)k ? low : low + (place - (double)k) * (high - low);
}

static void free_states(qn_column *state, int n) {
  for (int c = 0; c < n; c++) {
    qn_column_release(&state[c]);
  }
}

// The rows of each of n_parts in an accumulator of its own, then merged.
static qn_accumulator *merge_parts(qn_aggregate_kind kind, double fraction, const qn_column *x,
                                   const qn_column *y, const int32_t *groups, int64_t n_parts) {
  qn_accumulator *merged = NULL;
  static const int32_t identity[N_GROUPS] = {0, 1, 2, 3, 4, 5, 6};
  QN_CHECK_OK(qn_accumulator_new(kind, x->type, fraction, &merged, &kit_error));
  for (int64_t p = 0; p < n_parts; p++) {
    qn_accumulator *part = NULL;
    qn_column state[QN_MOST_STATE_COLUMNS] = {{0}};
    uint8_t *skip = malloc((size_t)x->n_rows);
    for (int64_t i = 0; i < x->n_rows; i++) {
      skip[i] = i % n_parts != p;
    }
    QN_CHECK_OK(qn_accumulator_new(kind, x->type, fraction, &part, &kit_error));
    if (y != NULL) {
      QN_CHECK_OK(qn_accumulator_update_pairs(part, x, y, groups, x->n_rows, N_GROUPS, skip, &kit_error));
    } else {
      QN_CHECK_OK(qn_accumulator_update(part, x, groups, x->n_rows, N_GROUPS, skip, NULL, &kit_error));
    }
    QN_CHECK_OK(qn_accumulator_state(part, 0, N_GROUPS, state, &kit_error));
    QN_CHECK_OK(qn_accumulator_merge(merged, state, identity, N_GROUPS, N_GROUPS, &kit_error));
    free_states(state, QN_MOST_STATE_COLUMNS);
    qn_accumulator_free(part);
    free(skip);
  }
  return merged;
}

static void quantiles_are_exact_however_rows_are_split(void) {
  kit_random random = {.state = 17};
  static double values[N_ROWS];
  static int32_t groups[N_ROWS];
  for (int64_t i = 0; i < N_ROWS; i++) { // group 5 has few, group 6 none
    groups[i] = i < 3 ? 5 : (int32_t)kit_random_below(&random, 5);
    values[i] = groups[i] == 4 ? (double)kit_random_below(&random, 3)
                               : (double)kit_random_below(&random, 1000003) / 7.0 - 5e4;
  }
  values[10] = NAN;
  values[11] = -INFINITY;
  const qn_column x = {.type = QN_FLOAT64, .n_rows = N_ROWS, .values = values};
  static const double fractions[] = {0, 0.1, 0.5, 0.999, 1};
  for (int f = 0; f < 5; f++) {
    for (int64_t n_parts = 1; n_parts <= 8; n_parts += 3) {
      qn_accumulator *merged = merge_parts(QN_AGG_QUANTILE, fractions[f], &x, NULL, groups, n_parts);
      qn_column result = {0};
      QN_CHECK_OK(qn_accumulator_result(merged, 0, N_GROUPS, &result, &kit_error));
      for (int32_t g = 0; g < 6; g++) {
        const double wanted = wanted_quantile(values, groups, g, fractions[f]);
        QN_CHECK(ref_compare_doubles(qn_column_float64(&result, g), wanted) == 0);
      }
      QN_CHECK(qn_column_is_null(&result, 6));
      qn_column_release(&result);
      qn_accumulator_free(merged);
    }
  }
}

static double wanted_correlation(const double *x, const double *y, const int32_t *groups, int32_t group) {
  long double n = 0, sum_x = 0, sum_y = 0, xx = 0, yy = 0, xy = 0;
  for (int64_t i = 0; i < N_ROWS; i++) {
    n += groups[i] == group;
    sum_x += groups[i] == group ? (long double)x[i] : 0;
    sum_y += groups[i] == group ? (long double)y[i] : 0;
  }
  for (int64_t i = 0; i < N_ROWS; i++) {
    if (groups[i] == group) {
      const long double dx = (long double)x[i] - sum_x / n;
      const long double dy = (long double)y[i] - sum_y / n;
      xx += dx * dx;
      yy += dy * dy;
      xy += dx * dy;
    }
  }
  return (double)(xy / sqrtl(xx * yy));
}

static void correlations_are_near_however_rows_are_split(void) {
  kit_random random = {.state = 23};
  static double x[N_ROWS], y[N_ROWS];
  static int32_t groups[N_ROWS];
  static const double slopes[] = {0, 1, -1, 0.3, -0.01};
  for (int64_t i = 0; i < N_ROWS; i++) { // group 5: one row; group 6: all x the same
    groups[i] = i == 0 ? 5 : i < 100 ? 6 : (int32_t)kit_random_below(&random, 5);
    x[i] = groups[i] == 6 ? 3.5 : 1e6 + (double)kit_random_below(&random, 1000);
    y[i] = (groups[i] < 5 ? slopes[groups[i]] * x[i] : 0) + (double)kit_random_below(&random, 50);
  }
  const qn_column column_x = {.type = QN_FLOAT64, .n_rows = N_ROWS, .values = x};
  const qn_column column_y = {.type = QN_FLOAT64, .n_rows = N_ROWS, .values = y};
  for (int64_t n_parts = 1; n_parts <= 8; n_parts += 3) {
    qn_accumulator *merged = merge_parts(QN_AGG_CORR, 0, &column_x, &column_y, groups, n_parts);
    qn_column result = {0};
    QN_CHECK_OK(qn_accumulator_result(merged, 0, N_GROUPS, &result, &kit_error));
    for (int32_t g = 0; g < 5; g++) {
      QN_CHECK_FLOAT(qn_column_float64(&result, g), wanted_correlation(x, y, groups, g), 1e-9);
    }
    QN_CHECK(qn_column_is_null(&result, 5));
    QN_CHECK(qn_column_is_null(&result, 6));
    qn_column_release(&result);
    qn_accumulator_free(merged);
  }
}

static void rows_with_a_null_on_either_side_do_not_correlate(void) {
  static const double x[] = {1, 2, 3, 100, 4};
  static const int32_t y[] = {2, 4, 6, -9, 8};
  static const uint8_t validity_x[] = {0x17};
  static const uint8_t validity_y[] = {0x1e};
  static const int32_t groups[5] = {0};
  qn_accumulator *accumulator = NULL;
  qn_column result = {0};
  const qn_column column_x = {
      .type = QN_FLOAT64, .n_rows = 5, .n_nulls = 1, .validity = validity_x, .values = x};
  const qn_column column_y = {
      .type = QN_INT32, .n_rows = 5, .n_nulls = 1, .validity = validity_y, .values = y};
  QN_CHECK_OK(qn_accumulator_new(QN_AGG_CORR, QN_FLOAT64, 0, &accumulator, &kit_error));
  QN_CHECK_OK(qn_accumulator_update_pairs(accumulator, &column_x, &column_y, groups, 5, 1, NULL, &kit_error));
  QN_CHECK_OK(qn_accumulator_result(accumulator, 0, 1, &result, &kit_error));
  QN_CHECK_FLOAT(qn_column_float64(&result, 0), 1.0, 1e-15);
  qn_column_release(&result);
  qn_accumulator_free(accumulator);
}

int main(void) {
  KIT_RUN(a_word_is_chosen_as_sorting_would);
  KIT_RUN(bad_pivots_do_not_make_it_slow);
  KIT_RUN(quantiles_are_exact_however_rows_are_split);
  KIT_RUN(correlations_are_near_however_rows_are_split);
  KIT_RUN(rows_with_a_null_on_either_side_do_not_correlate);
  return kit_result();
}
