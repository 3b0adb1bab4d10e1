// SPDX-License-Identifier: Apache-2.0
// Aggregates at their edges: overflow, rounding, NaN, empty groups, sketches and what is refused.
#include <math.h>
#include "base/hash.h"
#include "column/builder.h"
#include "kernel/accumulate.h"
#include "kernel/ref_rows.h"

enum { MANY = 200000 };

static qn_accumulator *new_accumulator(qn_aggregate_kind kind, qn_type type, double parameter) {
  qn_accumulator *out = NULL;
  QN_CHECK_OK(qn_accumulator_new(kind, type, parameter, &out, &kit_error));
  return out;
}

static qn_column column_of(qn_type type, const void *values, int64_t n) {
  return (qn_column){.type = type, .n_rows = n, .values = values};
}

// All values into group 0, of one group and of two: those are different loops.
static void update_all(qn_accumulator *accumulator, const qn_column *column, int64_t n_groups) {
  int32_t *groups = calloc((size_t)column->n_rows + 1, sizeof *groups);
  int64_t *order = calloc((size_t)column->n_rows + 1, sizeof *order);
  QN_CHECK_OK(
      qn_accumulator_update(accumulator, column, groups, column->n_rows, n_groups, NULL, order, &kit_error));
  free(order);
  free(groups);
}

// The result of group 0, which is not null.
static qn_column result_of(const qn_accumulator *accumulator) {
  qn_column out = {0};
  QN_CHECK_OK(qn_accumulator_result(accumulator, 0, 1, &out, &kit_error));
  QN_CHECK(!qn_column_is_null(&out, 0));
  return out;
}

static double float_result(qn_aggregate_kind kind, qn_type type, double parameter, const void *values,
                           int64_t n, int64_t n_groups) {
  qn_accumulator *accumulator = new_accumulator(kind, type, parameter);
  const qn_column column = column_of(type, values, n);
  update_all(accumulator, &column, n_groups);
  qn_column result = result_of(accumulator);
  const double out = ref_float(&result, 0);
  qn_column_release(&result);
  qn_accumulator_free(accumulator);
  return out;
}

static int64_t int_result(qn_aggregate_kind kind, qn_type type, const void *values, int64_t n,
                          int64_t n_groups) {
  qn_accumulator *accumulator = new_accumulator(kind, type, 0);
  const qn_column column = column_of(type, values, n);
  update_all(accumulator, &column, n_groups);
  qn_column result = result_of(accumulator);
  const int64_t out = ref_int(&result, 0);
  qn_column_release(&result);
  qn_accumulator_free(accumulator);
  return out;
}

static void integer_sums_overflow_only_at_the_end(void) {
  const int64_t back[] = {INT64_MAX, INT64_MAX, -INT64_MAX, -5, INT64_MIN, INT64_MAX};
  const int64_t over[] = {INT64_MAX, 1};
  const int64_t under[] = {INT64_MIN, -1, -1};
  for (int64_t n_groups = 1; n_groups <= 2; n_groups++) {
    QN_CHECK_INT(int_result(QN_AGG_SUM, QN_INT64, back, 6, n_groups), INT64_MAX - 6);
    const int64_t *columns[] = {over, under};
    for (int c = 0; c < 2; c++) {
      qn_accumulator *accumulator = new_accumulator(QN_AGG_SUM, QN_INT64, 0);
      const qn_column column = column_of(QN_INT64, columns[c], 2 + c);
      qn_column result = {0};
      update_all(accumulator, &column, n_groups);
      QN_CHECK_FAILS(qn_accumulator_result(accumulator, 0, 1, &result, &kit_error), QN_ERR_VALUE);
      QN_CHECK_MESSAGE("does not fit int64");
      qn_accumulator_free(accumulator);
    }
    QN_CHECK_FLOAT(float_result(QN_AGG_AVG, QN_INT64, 0, over, 2, n_groups), 0x1p62, 0);
  }
}

static void float_sums_keep_what_is_small(void) {
  double values[2002];
  values[0] = 1e16;
  for (int i = 1; i <= 2000; i++) {
    values[i] = i % 2 == 0 ? 1.0 : 0.1;
  }
  values[2001] = -1e16;
  for (int64_t n_groups = 1; n_groups <= 2; n_groups++) {
    QN_CHECK_FLOAT(float_result(QN_AGG_SUM, QN_FLOAT64, 0, values, 2002, n_groups), 1100.0, 1e-10);
    const double zeros[] = {-0.0, -0.0};
    QN_CHECK_FLOAT(float_result(QN_AGG_SUM, QN_FLOAT64, 0, zeros, 2, n_groups), 0.0, 0);
    const double infinite[] = {1.0, INFINITY, 2.0};
    QN_CHECK(isinf(float_result(QN_AGG_SUM, QN_FLOAT64, 0, infinite, 3, n_groups)));
    const double undefined[] = {INFINITY, 1.0, -INFINITY};
    QN_CHECK(isnan(float_result(QN_AGG_SUM, QN_FLOAT64, 0, undefined, 3, n_groups)));
    const float third[] = {0.5f, 0.25f, 16777216.0f};
    QN_CHECK_FLOAT(float_result(QN_AGG_SUM, QN_FLOAT32, 0, third, 3, n_groups), 16777216.75, 0);
  }
}

static void sums_do_not_depend_on_the_split(void) {
  kit_random random = {.state = 61};
  enum { N = 5000 };
  static double values[N];
  static int32_t groups[N];
  for (int i = 0; i < N; i++) {
    values[i] = ((double)kit_random_below(&random, 1000000007) - 5e8) / 997.0;
  }
  const double whole = float_result(QN_AGG_SUM, QN_FLOAT64, 0, values, N, 1);
  for (int64_t n_parts = 2; n_parts <= 16; n_parts *= 2) {
    qn_accumulator *merged = new_accumulator(QN_AGG_SUM, QN_FLOAT64, 0);
    for (int64_t p = 0; p < n_parts; p++) {
      qn_accumulator *part = new_accumulator(QN_AGG_SUM, QN_FLOAT64, 0);
      qn_column state[QN_MOST_STATE_COLUMNS] = {{0}};
      const int64_t first = N * p / n_parts;
      const qn_column column = column_of(QN_FLOAT64, values + first, N * (p + 1) / n_parts - first);
      update_all(part, &column, 1);
      QN_CHECK_OK(qn_accumulator_state(part, 0, 1, state, &kit_error));
      QN_CHECK_OK(qn_accumulator_merge(merged, state, groups, 1, 1, &kit_error));
      qn_column_release(&state[0]);
      qn_column_release(&state[1]);
      qn_accumulator_free(part);
    }
    qn_column result = result_of(merged);
    QN_CHECK(qn_column_float64(&result, 0) == whole); // to the bit
    qn_column_release(&result);
    qn_accumulator_free(merged);
  }
}

static void extremes_of_integers_may_be_the_largest_there_are(void) {
  const int64_t largest[] = {INT64_MAX, INT64_MAX};
  const int64_t least[] = {INT64_MIN};
  const int32_t days[] = {INT32_MAX, INT32_MIN};
  for (int64_t n_groups = 1; n_groups <= 2; n_groups++) {
    QN_CHECK_INT(int_result(QN_AGG_MIN, QN_INT64, largest, 2, n_groups), INT64_MAX);
    QN_CHECK_INT(int_result(QN_AGG_MAX, QN_INT64, largest, 2, n_groups), INT64_MAX);
    QN_CHECK_INT(int_result(QN_AGG_MAX, QN_TIMESTAMP, least, 1, n_groups), INT64_MIN);
    QN_CHECK_INT(int_result(QN_AGG_ANY, QN_INT64, least, 1, n_groups), INT64_MIN);
    QN_CHECK_INT(int_result(QN_AGG_MIN, QN_DATE, days, 2, n_groups), INT32_MIN);
    QN_CHECK_INT(int_result(QN_AGG_MAX, QN_DATE, days, 2, n_groups), INT32_MAX);
  }
}

static void nan_is_the_largest_float(void) {
  const double values[] = {1.0, NAN, -INFINITY, INFINITY};
  const double only[] = {-NAN};
  const float narrow[] = {NAN, 2.0f};
  for (int64_t n_groups = 1; n_groups <= 2; n_groups++) {
    QN_CHECK(isnan(float_result(QN_AGG_MAX, QN_FLOAT64, 0, values, 4, n_groups)));
    QN_CHECK(float_result(QN_AGG_MIN, QN_FLOAT64, 0, values, 4, n_groups) == -INFINITY);
    QN_CHECK(isnan(float_result(QN_AGG_MIN, QN_FLOAT64, 0, only, 1, n_groups)));
    QN_CHECK(isnan(float_result(QN_AGG_MAX, QN_FLOAT32, 0, narrow, 2, n_groups)));
    QN_CHECK_FLOAT(float_result(QN_AGG_MIN, QN_FLOAT32, 0, narrow, 2, n_groups), 2.0, 0);
  }
}

static void variance_keeps_its_digits_far_from_zero(void) {
  const double values[] = {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16};
  QN_CHECK_FLOAT(float_result(QN_AGG_VAR_SAMP, QN_FLOAT64, 0, values, 4, 1), 30.0, 1e-9);
  QN_CHECK_FLOAT(float_result(QN_AGG_VAR_POP, QN_FLOAT64, 0, values, 4, 2), 22.5, 1e-9);
  QN_CHECK_FLOAT(float_result(QN_AGG_STDDEV_POP, QN_FLOAT64, 0, values, 1, 1), 0.0, 0);
}

static void groups_without_values_give_what_sql_says(void) {
  static const qn_aggregate_kind kinds[] = {
#define X(value, name, has_argument) value,
      QN_AGGREGATE_LIST(X)
#undef X
  };
  for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
    for (int type = 0; type < QN_N_TYPES; type++) {
      qn_type result_type = QN_BOOL;
      qn_column nulls = {0}, result = {0}, state[QN_MOST_STATE_COLUMNS] = {{0}};
      qn_type types[QN_MOST_STATE_COLUMNS];
      int n_columns = 0;
      const int32_t groups[3] = {0, 2, 0};
      const int64_t order[3] = {0, 1, 2};
      if (qn_aggregate_type(kinds[k], (qn_type)type, &result_type, NULL) != QN_OK) {
        continue;
      }
      const bool is_count =
          kinds[k] == QN_AGG_COUNT || kinds[k] == QN_AGG_COUNT_ROWS || kinds[k] == QN_AGG_APPROX_DISTINCT;
      qn_accumulator *accumulator = new_accumulator(kinds[k], (qn_type)type, 0.5);
      QN_CHECK_OK(qn_column_all_null((qn_type)type, 3, &nulls, &kit_error));
      QN_CHECK_OK(qn_accumulator_update(accumulator, &nulls, groups, 0, 4, NULL, order, &kit_error));
      if (kinds[k] == QN_AGG_CORR) {
        QN_CHECK_OK(qn_accumulator_update_pairs(accumulator, &nulls, &nulls, groups, 3, 4, NULL, &kit_error));
      } else if (kinds[k] != QN_AGG_COUNT_ROWS) {
        QN_CHECK_OK(qn_accumulator_update(accumulator, &nulls, groups, 3, 4, NULL, order, &kit_error));
      }
      for (int pass = 0; pass < 2; pass++) { // the second after merging the empty state
        QN_CHECK_OK(qn_accumulator_result(accumulator, 0, 4, &result, &kit_error));
        QN_CHECK_INT(result.type, result_type);
        QN_CHECK_INT(result.n_nulls, is_count ? 0 : 4);
        QN_CHECK(!is_count || qn_column_int64(&result, 2) == 0);
        qn_column_release(&result);
        QN_CHECK_OK(qn_accumulator_state(accumulator, 0, 3, state, &kit_error));
        QN_CHECK_OK(qn_accumulator_merge(accumulator, state, groups, 3, 4, &kit_error));
        qn_aggregate_state_types(kinds[k], (qn_type)type, types, &n_columns);
        for (int c = 0; c < n_columns; c++) {
          qn_column_release(&state[c]);
        }
      }
      qn_column_release(&nulls);
      qn_accumulator_free(accumulator);
    }
  }
}

static void first_is_that_of_the_smallest_order(void) {
  qn_batch *batch = kit_batch("a utf8, b int32", "~|~\nsecond, and longer than eight|2\nx|3\n");
  const int32_t groups[] = {0, 0, 0};
  const int64_t order[] = {-1, INT64_MIN, 5};
  for (int c = 0; c < 2; c++) {
    const qn_column *argument = &batch->columns[c];
    qn_accumulator *accumulator = new_accumulator(QN_AGG_FIRST, argument->type, 0);
    QN_CHECK_OK(qn_accumulator_update(accumulator, argument, groups, 3, 1, NULL, order, &kit_error));
    qn_column result = result_of(accumulator);
    QN_CHECK(ref_compare_values(&result, 0, argument, 1) == 0);
    qn_column_release(&result);
    QN_CHECK_FAILS(qn_accumulator_update(accumulator, argument, groups, 3, 1, NULL, NULL, &kit_error),
                   QN_ERR_ARG);
    qn_accumulator_free(accumulator);
  }
  qn_batch_free(batch);
}

// Ever smaller long texts: each replaces the one before.
static void replaced_texts_do_not_pile_up(void) {
  enum { SIZE = 1000, N = 20000 };
  static uint8_t bytes[SIZE];
  const int32_t offsets[] = {0, SIZE};
  const int32_t group = 3;
  qn_accumulator *accumulator = new_accumulator(QN_AGG_MIN, QN_BINARY, 0);
  qn_column result = {0};
  memset(bytes, 'x', sizeof bytes);
  for (uint32_t i = 0; i < N; i++) {
    // From size to size, so that the old place does not always do.
    const qn_column column = {.type = QN_BINARY,
                              .n_rows = 1,
                              .offsets = (const int32_t[]){0, offsets[1] - (int32_t)(i * 7919 % 500)},
                              .bytes = bytes};
    bytes[12] = (uint8_t)((N - i) >> 8);
    bytes[13] = (uint8_t)(N - i);
    QN_CHECK_OK(qn_accumulator_update(accumulator, &column, &group, 1, 4, NULL, NULL, &kit_error));
  }
  QN_CHECK(qn_accumulator_n_bytes(accumulator) < 400000);
  QN_CHECK_OK(qn_accumulator_result(accumulator, 3, 1, &result, &kit_error));
  QN_CHECK_INT(qn_column_text(&result, 0).size, SIZE - (int64_t)(N - 1) * 7919 % 500);
  QN_CHECK_INT(qn_column_text(&result, 0).data[13], 1);
  qn_column_release(&result);
  qn_accumulator_free(accumulator);
}

static void distinct_counts_are_exact_when_small_and_near_when_large(void) {
  static int64_t values[MANY];
  for (int64_t i = 0; i < MANY; i++) {
    values[i] = (i * 7) % 128;
  }
  QN_CHECK_INT(int_result(QN_AGG_APPROX_DISTINCT, QN_INT64, values, MANY, 1), 128);
  for (int64_t n = 129; n <= MANY; n = n * 3 / 2) {
    for (int64_t i = 0; i < MANY; i++) {
      values[i] = i % n * 12345;
    }
    const int64_t found = int_result(QN_AGG_APPROX_DISTINCT, QN_INT64, values, MANY, 2);
    QN_CHECK_FLOAT((double)found / (double)n, 1.0, 0.06);
  }
}

static void quantiles_are_within_their_bound(void) {
  static double values[MANY];
  for (int64_t i = 0; i < MANY; i++) { // in no order, from 1e-3 to 1e6
    values[i] = pow(10, (double)(i * 99991 % MANY) / MANY * 9 - 3);
  }
  static const double fractions[] = {0, 0.001, 0.25, 0.5, 0.75, 0.99, 1};
  for (int f = 0; f < 7; f++) {
    const double rank = fmax(1, ceil(fractions[f] * MANY));
    const double wanted = pow(10, (rank - 1) / MANY * 9 - 3);
    const double found =
        float_result(QN_AGG_APPROX_QUANTILE, QN_FLOAT64, fractions[f], values, MANY, 1 + f % 2);
    QN_CHECK_FLOAT(found / wanted, 1.0, fractions[f] == 0 || fractions[f] == 1 ? 1e-12 : 1.0 / 256);
  }
  const int32_t ints[] = {-5, 7, 7, 100, 3};
  QN_CHECK_FLOAT(float_result(QN_AGG_APPROX_QUANTILE, QN_INT32, 0.5, ints, 5, 1), 7.0, 7.0 / 256);
  const double special[] = {NAN, -INFINITY, 0.0, -0.0, -1e-310};
  QN_CHECK(isnan(float_result(QN_AGG_APPROX_QUANTILE, QN_FLOAT64, 1, special, 5, 1)));
  QN_CHECK(float_result(QN_AGG_APPROX_QUANTILE, QN_FLOAT64, 0, special, 5, 1) == -INFINITY);
  QN_CHECK_FLOAT(float_result(QN_AGG_APPROX_QUANTILE, QN_FLOAT64, 0.6, special, 5, 1), 0, 0);
}

static void refuse_state(qn_aggregate_kind kind, const void *bytes, int64_t size) {
  qn_accumulator *accumulator = new_accumulator(kind, QN_INT64, 0.5);
  const int32_t offsets[] = {0, (int32_t)size};
  const int32_t group = 0;
  const qn_column state = {.type = QN_BINARY, .n_rows = 1, .offsets = offsets, .bytes = bytes};
  QN_CHECK_FAILS(qn_accumulator_merge(accumulator, &state, &group, 1, 1, &kit_error), QN_ERR_FORMAT);
  qn_accumulator_free(accumulator);
}

static void broken_states_are_refused(void) {
  static uint8_t registers[4096];
  registers[77] = 54;
  refuse_state(QN_AGG_APPROX_DISTINCT, registers, 4096);
  refuse_state(QN_AGG_APPROX_DISTINCT, registers, 12);
  refuse_state(QN_AGG_APPROX_DISTINCT, registers, 129 * 8);
  const uint64_t low_bucket[] = {0, 0, 1};
  const uint64_t high_bucket[] = {0, 0, UINT64_MAX};
  const uint64_t no_count[] = {0, 0, UINT64_C(300000) << 44};
  refuse_state(QN_AGG_APPROX_QUANTILE, low_bucket, 24);
  refuse_state(QN_AGG_APPROX_QUANTILE, high_bucket, 24);
  refuse_state(QN_AGG_APPROX_QUANTILE, no_count, 24);
  refuse_state(QN_AGG_APPROX_QUANTILE, no_count, 16);
  refuse_state(QN_AGG_APPROX_QUANTILE, no_count, 23);
  refuse_state(QN_AGG_QUANTILE, no_count, 20);
}

static void wrong_types_are_refused(void) {
  qn_type type = QN_BOOL;
  qn_accumulator *accumulator = NULL;
  QN_CHECK_FAILS(qn_aggregate_type(QN_AGG_SUM, QN_UTF8, &type, &kit_error), QN_ERR_TYPE);
  QN_CHECK_MESSAGE("sum takes a number");
  QN_CHECK_FAILS(qn_aggregate_type(QN_AGG_BOOL_AND, QN_INT32, &type, &kit_error), QN_ERR_TYPE);
  QN_CHECK_FAILS(qn_aggregate_type(QN_AGG_APPROX_QUANTILE, QN_DATE, &type, &kit_error), QN_ERR_TYPE);
  QN_CHECK_FAILS(qn_accumulator_new(QN_AGG_AVG, QN_TIMESTAMP, 0, &accumulator, &kit_error), QN_ERR_TYPE);
  QN_CHECK_FAILS(qn_accumulator_new(QN_AGG_APPROX_QUANTILE, QN_INT32, 1.5, &accumulator, &kit_error),
                 QN_ERR_ARG);
  QN_CHECK_FAILS(qn_accumulator_new(QN_AGG_APPROX_QUANTILE, QN_INT32, NAN, &accumulator, &kit_error),
                 QN_ERR_ARG);

  accumulator = new_accumulator(QN_AGG_SUM, QN_INT64, 0);
  const int32_t values[] = {1};
  const int32_t group = 0;
  const qn_column column = column_of(QN_INT32, values, 1);
  QN_CHECK_FAILS(qn_accumulator_update(accumulator, &column, &group, 1, 1, NULL, NULL, &kit_error),
                 QN_ERR_TYPE);
  QN_CHECK_FAILS(qn_accumulator_update(accumulator, NULL, &group, 1, 1, NULL, NULL, &kit_error), QN_ERR_TYPE);
  QN_CHECK_FAILS(qn_accumulator_merge(accumulator, &column, &group, 1, 1, &kit_error), QN_ERR_TYPE);
  qn_column result[2] = {{0}};
  QN_CHECK_FAILS(qn_accumulator_result(accumulator, 0, 1, result, &kit_error), QN_ERR_ARG);
  QN_CHECK_FAILS(qn_accumulator_state(accumulator, 0, -1, result, &kit_error), QN_ERR_ARG);
  qn_accumulator_free(accumulator);
}

int main(void) {
  KIT_RUN(integer_sums_overflow_only_at_the_end);
  KIT_RUN(float_sums_keep_what_is_small);
  KIT_RUN(sums_do_not_depend_on_the_split);
  KIT_RUN(extremes_of_integers_may_be_the_largest_there_are);
  KIT_RUN(nan_is_the_largest_float);
  KIT_RUN(variance_keeps_its_digits_far_from_zero);
  KIT_RUN(groups_without_values_give_what_sql_says);
  KIT_RUN(first_is_that_of_the_smallest_order);
  KIT_RUN(replaced_texts_do_not_pile_up);
  KIT_RUN(distinct_counts_are_exact_when_small_and_near_when_large);
  KIT_RUN(quantiles_are_within_their_bound);
  KIT_RUN(broken_states_are_refused);
  KIT_RUN(wrong_types_are_refused);
  return kit_result();
}
