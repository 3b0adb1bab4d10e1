// SPDX-License-Identifier: Apache-2.0
// Every aggregate of every type it takes: against the plainest way to compute it, and whole against parts
// whose states are merged.
#include <math.h>
#include "column/builder.h"
#include "kernel/accumulate.h"
#include "kernel/ref_rows.h"

static const double fraction = 0.3;

/// The rows of one group that count.
typedef struct {
  int64_t n;
  int32_t *rows;
} group_rows;

typedef struct {
  qn_batch *batch;
  const qn_column *argument;
  int64_t n_rows;
  int64_t n_groups;
  int32_t *groups;
  uint8_t *skip;
  int64_t *order;
} sample;

// Numbers of moderate size where sums are wanted, so that the order of additions changes nothing that
// matters.
static qn_batch *tame_floats(kit_random *random, qn_type type, int64_t n_rows) {
  qn_batch *batch = NULL;
  qn_schema *schema = NULL;
  qn_column column = {0};
  qn_column_builder builder;
  qn_column_builder_init(&builder, type);
  for (int64_t i = 0; i < n_rows; i++) {
    const double value = (double)(kit_random_below(random, 2000000) - 500000) / 1024;
    const float narrow = (float)value;
    if (kit_random_below(random, 10) == 0) {
      QN_CHECK_OK(qn_column_builder_append_null(&builder, &kit_error));
    } else {
      QN_CHECK_OK(qn_column_builder_append_value(
          &builder, type == QN_FLOAT32 ? (const void *)&narrow : (const void *)&value, &kit_error));
    }
  }
  QN_CHECK_OK(qn_column_builder_finish(&builder, &column, &kit_error));
  QN_CHECK_OK(qn_schema_parse(type == QN_FLOAT32 ? "a float32" : "a float64", &schema, &kit_error));
  QN_CHECK_OK(qn_batch_new_take(schema, n_rows, &column, &batch, &kit_error));
  qn_schema_free(schema);
  return batch;
}

static bool is_sum(qn_aggregate_kind kind) {
  return kind == QN_AGG_SUM || kind == QN_AGG_AVG || kind == QN_AGG_VAR_SAMP || kind == QN_AGG_VAR_POP ||
         kind == QN_AGG_STDDEV_SAMP || kind == QN_AGG_STDDEV_POP;
}

static sample sample_new(kit_random *random, qn_aggregate_kind kind, qn_type type, int64_t n_rows,
                         int64_t n_groups, bool has_skip) {
  sample out = {.n_rows = n_rows, .n_groups = n_groups};
  char schema[32];
  snprintf(schema, sizeof schema, "a %s", qn_type_name(type));
  const bool is_float = type == QN_FLOAT32 || type == QN_FLOAT64;
  out.batch =
      is_float && is_sum(kind) ? tame_floats(random, type, n_rows) : kit_random_batch(random, schema, n_rows);
  out.argument = &out.batch->columns[0];
  out.groups = malloc(((size_t)n_rows + 1) * sizeof *out.groups);
  out.order = malloc(((size_t)n_rows + 1) * sizeof *out.order);
  out.skip = has_skip ? malloc((size_t)n_rows + 1) : NULL;
  for (int64_t i = 0; i < n_rows; i++) {
    out.groups[i] = (int32_t)kit_random_below(random, n_groups);
    out.order[i] = i;
    if (has_skip) {
      out.skip[i] = (uint8_t)(kit_random_below(random, 4) == 0);
    }
  }
  for (int64_t i = n_rows - 1; i > 0; i--) { // shuffle
    const int64_t j = kit_random_below(random, i + 1);
    const int64_t order = out.order[i];
    out.order[i] = out.order[j];
    out.order[j] = order;
  }
  return out;
}

static void sample_free(sample *input) {
  qn_batch_free(input->batch);
  free(input->groups);
  free(input->order);
  free(input->skip);
}

static group_rows rows_of(const sample *input, qn_aggregate_kind kind, int64_t group) {
  group_rows out = {.rows = malloc(((size_t)input->n_rows + 1) * sizeof(int32_t))};
  for (int64_t i = 0; i < input->n_rows; i++) {
    const bool is_skipped = input->skip != NULL && input->skip[i] != 0;
    const bool is_null = kind != QN_AGG_COUNT_ROWS && qn_column_is_null(input->argument, i);
    if (input->groups[i] == group && !is_skipped && !is_null) {
      out.rows[out.n++] = (int32_t)i;
    }
  }
  return out;
}

// The row whose value min, max, any and first give.
static int32_t ref_chosen_row(const sample *input, qn_aggregate_kind kind, group_rows rows) {
  int32_t chosen = rows.rows[0];
  for (int64_t k = 1; k < rows.n; k++) {
    const int32_t row = rows.rows[k];
    const int order = ref_compare_values(input->argument, row, input->argument, chosen);
    bool is_better = order < 0;
    if (kind == QN_AGG_MAX || kind == QN_AGG_BOOL_OR) {
      is_better = order > 0;
    } else if (kind == QN_AGG_FIRST) {
      is_better = input->order[row] < input->order[chosen];
    }
    chosen = is_better ? row : chosen;
  }
  return chosen;
}

static int64_t ref_distinct(const sample *input, group_rows rows) {
  int64_t n = 0;
  for (int64_t i = 0; i < rows.n; i++) {
    bool is_new = true;
    for (int64_t j = 0; j < i && is_new; j++) {
      is_new = ref_compare_values(input->argument, rows.rows[i], input->argument, rows.rows[j]) != 0;
    }
    n += is_new;
  }
  return n;
}

static int compare_doubles(const void *a, const void *b) {
  return ref_compare_doubles(*(const double *)a, *(const double *)b);
}

static double ref_quantile(const sample *input, group_rows rows) {
  double *values = malloc(((size_t)rows.n + 1) * sizeof *values);
  for (int64_t k = 0; k < rows.n; k++) {
    values[k] = ref_float(input->argument, rows.rows[k]);
  }
  qsort(values, (size_t)rows.n, sizeof *values, compare_doubles);
  const int64_t rank = (int64_t)ceil(fraction * (double)rows.n);
  const double found = values[rank > 0 ? rank - 1 : 0];
  free(values);
  return found;
}

static double ref_int_average(const sample *input, group_rows rows) {
  __int128 sum = 0;
  for (int64_t k = 0; k < rows.n; k++) {
    sum += ref_int(input->argument, rows.rows[k]);
  }
  return (double)sum / (double)rows.n;
}

static long double ref_moment(const sample *input, group_rows rows, qn_aggregate_kind kind) {
  long double sum = 0;
  long double squares = 0;
  for (int64_t k = 0; k < rows.n; k++) {
    sum += (long double)ref_float(input->argument, rows.rows[k]);
  }
  const long double mean = sum / (long double)rows.n;
  for (int64_t k = 0; k < rows.n; k++) {
    const long double distance = (long double)ref_float(input->argument, rows.rows[k]) - mean;
    squares += distance * distance;
  }
  switch (kind) {
  case QN_AGG_SUM:
    return sum;
  case QN_AGG_AVG:
    return mean;
  case QN_AGG_VAR_SAMP:
    return squares / (long double)(rows.n - 1);
  case QN_AGG_VAR_POP:
    return squares / (long double)rows.n;
  case QN_AGG_STDDEV_SAMP:
    return sqrtl(squares / (long double)(rows.n - 1));
  default:
    return sqrtl(squares / (long double)rows.n);
  }
}

static bool is_near(double found, double wanted, double tolerance) {
  if (isnan(found) || isnan(wanted) || isinf(found) || isinf(wanted)) {
    return ref_compare_doubles(found, wanted) == 0;
  }
  return fabs(found - wanted) <= tolerance * fmax(1.0, fabs(wanted));
}

// A sum of integers that leaves int64 is an error.
static bool check_int_sum(const qn_accumulator *whole, int64_t group, const sample *input, group_rows rows) {
  __int128 sum = 0;
  qn_column result = {0};
  for (int64_t k = 0; k < rows.n; k++) {
    sum += ref_int(input->argument, rows.rows[k]);
  }
  if (sum > INT64_MAX || sum < INT64_MIN) {
    return qn_accumulator_result(whole, group, 1, &result, &kit_error) == QN_ERR_VALUE;
  }
  QN_CHECK_OK(qn_accumulator_result(whole, group, 1, &result, &kit_error));
  const bool is_right =
      rows.n == 0 ? qn_column_is_null(&result, 0) : qn_column_int64(&result, 0) == (int64_t)sum;
  qn_column_release(&result);
  return is_right;
}

static bool result_is_right(const sample *input, qn_aggregate_kind kind, group_rows rows,
                            const qn_column *result, int64_t at) {
  const bool is_null = qn_column_is_null(result, at);
  switch (kind) {
  case QN_AGG_COUNT_ROWS:
  case QN_AGG_COUNT:
    return !is_null && qn_column_int64(result, at) == rows.n;
  case QN_AGG_APPROX_DISTINCT: {
    const int64_t n = ref_distinct(input, rows);
    const int64_t found = qn_column_int64(result, at);
    return !is_null && (n <= 128 ? found == n : llabs(found - n) <= n / 12);
  }
  case QN_AGG_VAR_SAMP:
  case QN_AGG_STDDEV_SAMP:
    if (rows.n <= 1) {
      return is_null;
    }
    break;
  default:
    break;
  }
  if (rows.n == 0 || is_null) {
    return rows.n == 0 && is_null;
  }
  if (kind == QN_AGG_APPROX_QUANTILE) {
    const double wanted = ref_quantile(input, rows);
    const double found = qn_column_float64(result, at);
    return ref_compare_doubles(found, wanted) == 0 || fabs(found - wanted) <= fabs(wanted) / 256;
  }
  if (kind == QN_AGG_AVG && (input->argument->type == QN_INT32 || input->argument->type == QN_INT64)) {
    return qn_column_float64(result, at) == ref_int_average(input, rows);
  }
  if (is_sum(kind)) {
    return is_near(qn_column_float64(result, at), (double)ref_moment(input, rows, kind), 1e-11);
  }
  return ref_compare_values(result, at, input->argument, ref_chosen_row(input, kind, rows)) == 0;
}

static void check_whole(const qn_accumulator *whole, const sample *input, qn_aggregate_kind kind) {
  const bool is_int_sum =
      kind == QN_AGG_SUM && (input->argument->type == QN_INT32 || input->argument->type == QN_INT64);
  qn_column result = {0};
  int64_t n_wrong = 0;
  if (!is_int_sum) {
    QN_CHECK_OK(qn_accumulator_result(whole, 0, input->n_groups, &result, &kit_error));
  }
  for (int64_t g = 0; g < input->n_groups; g++) {
    group_rows rows = rows_of(input, kind, g);
    n_wrong +=
        !(is_int_sum ? check_int_sum(whole, g, input, rows) : result_is_right(input, kind, rows, &result, g));
    free(rows.rows);
  }
  QN_CHECK_INT(n_wrong, 0);
  qn_column_release(&result);
}

static qn_accumulator *new_accumulator(qn_aggregate_kind kind, qn_type type) {
  qn_accumulator *out = NULL;
  QN_CHECK_OK(qn_accumulator_new(kind, type, fraction, &out, &kit_error));
  return out;
}

// Rows that fulfil i % n_parts == part, as an update with the others skipped.
static void update_part(qn_accumulator *accumulator, const sample *input, int64_t part, int64_t n_parts) {
  uint8_t *skip = malloc((size_t)input->n_rows + 1);
  for (int64_t i = 0; i < input->n_rows; i++) {
    skip[i] = i % n_parts != part || (input->skip != NULL && input->skip[i] != 0);
  }
  QN_CHECK_OK(qn_accumulator_update(accumulator, input->argument, input->groups, input->n_rows,
                                    input->n_groups, skip, input->order, &kit_error));
  free(skip);
}

// Merges the state of `from`, some groups at a time, into groups of the opposite number.
static void merge_reversed(qn_accumulator *to, const qn_accumulator *from, qn_aggregate_kind kind,
                           qn_type type, int64_t n_groups) {
  qn_type types[QN_MOST_STATE_COLUMNS];
  int n_columns = 0;
  const int64_t step = n_groups / 3 + 1;
  int32_t *groups = malloc((size_t)n_groups * sizeof *groups);
  qn_aggregate_state_types(kind, type, types, &n_columns);
  for (int64_t first = 0; first < n_groups; first += step) {
    const int64_t n = n_groups - first < step ? n_groups - first : step;
    qn_column state[QN_MOST_STATE_COLUMNS] = {{0}};
    QN_CHECK_OK(qn_accumulator_state(from, first, n, state, &kit_error));
    for (int64_t i = 0; i < n; i++) {
      groups[i] = (int32_t)(n_groups - 1 - (first + i));
    }
    for (int c = 0; c < n_columns; c++) {
      QN_CHECK_INT(state[c].type, types[c]);
    }
    QN_CHECK_OK(qn_accumulator_merge(to, state, groups, n, n_groups, &kit_error));
    for (int c = 0; c < n_columns; c++) {
      qn_column_release(&state[c]);
    }
  }
  free(groups);
}

static void check_equal_results(const qn_accumulator *whole, const qn_accumulator *merged,
                                const sample *input, qn_aggregate_kind kind) {
  int64_t n_wrong = 0;
  for (int64_t g = 0; g < input->n_groups; g++) {
    qn_column a = {0}, b = {0};
    const qn_status status = qn_accumulator_result(whole, g, 1, &a, &kit_error);
    n_wrong += qn_accumulator_result(merged, input->n_groups - 1 - g, 1, &b, &kit_error) != status;
    if (status == QN_OK) {
      const bool is_null = qn_column_is_null(&a, 0);
      n_wrong += is_null != qn_column_is_null(&b, 0);
      if (!is_null && is_sum(kind) && a.type == QN_FLOAT64) {
        n_wrong += !is_near(qn_column_float64(&b, 0), qn_column_float64(&a, 0), 1e-11);
      } else if (!is_null) {
        n_wrong += ref_compare_values(&a, 0, &b, 0) != 0;
      }
    }
    qn_column_release(&a);
    qn_column_release(&b);
  }
  QN_CHECK_INT(n_wrong, 0);
}

static void check_parts(const qn_accumulator *whole, const sample *input, qn_aggregate_kind kind,
                        int64_t n_parts) {
  const qn_type type = input->argument->type;
  qn_accumulator *merged = new_accumulator(kind, type);
  for (int64_t k = 0; k < n_parts; k++) {
    qn_accumulator *part = new_accumulator(kind, type);
    update_part(part, input, n_parts - 1 - k, n_parts);
    merge_reversed(merged, part, kind, type, input->n_groups);
    qn_accumulator_free(part);
  }
  check_equal_results(whole, merged, input, kind);
  qn_accumulator_free(merged);
}

static void check_kind(kit_random *random, qn_aggregate_kind kind, qn_type type, int64_t n_rows,
                       int64_t n_groups, bool has_skip) {
  sample input = sample_new(random, kind, type, n_rows, n_groups, has_skip);
  qn_accumulator *whole = new_accumulator(kind, type);
  for (int pass = 0; pass < 2; pass++) { // the second after clear
    QN_CHECK_OK(qn_accumulator_update(whole, kind == QN_AGG_COUNT_ROWS ? NULL : input.argument, input.groups,
                                      n_rows, n_groups, input.skip, input.order, &kit_error));
    check_whole(whole, &input, kind);
    QN_CHECK(qn_accumulator_n_bytes(whole) > 0);
    if (pass == 0) {
      qn_accumulator_clear(whole);
    }
  }
  check_parts(whole, &input, kind, 1);
  check_parts(whole, &input, kind, 3);
  qn_accumulator_free(whole);
  sample_free(&input);
}

static void every_kind_of_every_type_is_right(void) {
  static const int64_t group_counts[] = {1, 7, 900};
  static const qn_aggregate_kind kinds[] = {
#define X(value, name, has_argument) value,
      QN_AGGREGATE_LIST(X)
#undef X
  };
  kit_random random = {.state = 51};
  for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
    for (int type = 0; type < QN_N_TYPES; type++) {
      qn_type result = QN_BOOL;
      const bool has_own_test = kinds[k] == QN_AGG_QUANTILE || kinds[k] == QN_AGG_CORR;
      if (has_own_test || qn_aggregate_type(kinds[k], (qn_type)type, &result, NULL) != QN_OK) {
        continue;
      }
      for (int z = 0; z < REF_N_SIZES; z++) {
        const int64_t n_groups = group_counts[(z + (int)k) % 3];
        const int64_t n_rows = ref_sizes[z] > 1000 ? 2500 : ref_sizes[z];
        check_kind(&random, kinds[k], (qn_type)type, n_rows, n_groups, z % 2 == 1);
      }
      check_kind(&random, kinds[k], (qn_type)type, 3000, 1, false);
      check_kind(&random, kinds[k], (qn_type)type, 3000, 20, true);
    }
  }
}

int main(void) {
  KIT_RUN(every_kind_of_every_type_is_right);
  return kit_result();
}
