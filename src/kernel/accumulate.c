// SPDX-License-Identifier: Apache-2.0
// Aggregates: which kinds take which types, and the way every update and merge goes: in blocks of rows from
// which nulls and skipped rows are taken out first, so that no aggregate looks at validity.
#include "kernel/accumulate.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "column/bitmap.h"
#include "column/schema.h"
#include "kernel/accumulator_state.h"

static const char *kind_name(qn_aggregate_kind kind) {
  switch (kind) {
#define X(value, name, has_argument)                                                                         \
  case value:                                                                                                \
    return name;
    QN_AGGREGATE_LIST(X)
#undef X
  }
  return "?";
}

static bool is_number(qn_type type) {
  return type == QN_INT32 || type == QN_INT64 || type == QN_FLOAT32 || type == QN_FLOAT64;
}

static bool is_float(qn_type type) {
  return type == QN_FLOAT32 || type == QN_FLOAT64;
}

// What an argument must be; NULL if it is that.
static const char *wanted_argument(qn_aggregate_kind kind, qn_type argument) {
  switch (kind) {
  case QN_AGG_SUM:
  case QN_AGG_AVG:
  case QN_AGG_VAR_SAMP:
  case QN_AGG_VAR_POP:
  case QN_AGG_STDDEV_SAMP:
  case QN_AGG_STDDEV_POP:
  case QN_AGG_APPROX_QUANTILE:
  case QN_AGG_QUANTILE:
  case QN_AGG_CORR:
    return is_number(argument) ? NULL : "a number (int32, int64, float32, float64)";
  case QN_AGG_BOOL_AND:
  case QN_AGG_BOOL_OR:
    return argument == QN_BOOL ? NULL : "bool";
  default:
    return NULL;
  }
}

qn_status qn_aggregate_type(qn_aggregate_kind kind, qn_type argument, qn_type *out, qn_error *err) {
  const char *wanted = wanted_argument(kind, argument);
  if (wanted != NULL) {
    return qn_fail(err, QN_ERR_TYPE, "%s takes %s, not %s", kind_name(kind), wanted, qn_type_name(argument));
  }
  switch (kind) {
  case QN_AGG_COUNT_ROWS:
  case QN_AGG_COUNT:
  case QN_AGG_APPROX_DISTINCT:
    *out = QN_INT64;
    break;
  case QN_AGG_SUM:
    *out = is_float(argument) ? QN_FLOAT64 : QN_INT64;
    break;
  case QN_AGG_AVG:
  case QN_AGG_VAR_SAMP:
  case QN_AGG_VAR_POP:
  case QN_AGG_STDDEV_SAMP:
  case QN_AGG_STDDEV_POP:
  case QN_AGG_APPROX_QUANTILE:
  case QN_AGG_QUANTILE:
  case QN_AGG_CORR:
    *out = QN_FLOAT64;
    break;
  default:
    *out = argument;
  }
  return QN_OK;
}

void qn_aggregate_state_types(qn_aggregate_kind kind, qn_type argument, qn_type *types, int *n_columns) {
  const qn_type sum_part = is_float(argument) ? QN_FLOAT64 : QN_INT64;

  *n_columns = 1;
  types[0] = argument;
  switch (kind) {
  case QN_AGG_COUNT_ROWS:
  case QN_AGG_COUNT:
    types[0] = QN_INT64;
    break;
  case QN_AGG_SUM: // low and high half, or sum and error; avg: and count
  case QN_AGG_AVG:
    types[0] = sum_part;
    types[1] = sum_part;
    types[2] = QN_INT64;
    *n_columns = kind == QN_AGG_AVG ? 3 : 2;
    break;
  case QN_AGG_VAR_SAMP: // count, mean, sum of squared distances
  case QN_AGG_VAR_POP:
  case QN_AGG_STDDEV_SAMP:
  case QN_AGG_STDDEV_POP:
    types[0] = QN_INT64;
    types[1] = QN_FLOAT64;
    types[2] = QN_FLOAT64;
    *n_columns = 3;
    break;
  case QN_AGG_FIRST: // value, order
    types[1] = QN_INT64;
    *n_columns = 2;
    break;
  case QN_AGG_APPROX_DISTINCT:
  case QN_AGG_APPROX_QUANTILE:
  case QN_AGG_QUANTILE:
    types[0] = QN_BINARY;
    break;
  case QN_AGG_CORR: // count, means, sums of squared distances and of products
    types[0] = QN_INT64;
    for (int c = 1; c < 6; c++) {
      types[c] = QN_FLOAT64;
    }
    *n_columns = 6;
    break;
  default:
    break;
  }
}

static const qn_accumulator_ops *find_ops(qn_aggregate_kind kind, qn_type argument) {
  switch (kind) {
  case QN_AGG_COUNT_ROWS:
  case QN_AGG_COUNT:
    return &qn_accumulate_count;
  case QN_AGG_SUM:
  case QN_AGG_AVG:
    return is_float(argument) ? &qn_accumulate_float_sum : &qn_accumulate_int_sum;
  case QN_AGG_VAR_SAMP:
  case QN_AGG_VAR_POP:
  case QN_AGG_STDDEV_SAMP:
  case QN_AGG_STDDEV_POP:
    return &qn_accumulate_moments;
  case QN_AGG_FIRST:
    return qn_type_is_text(argument) ? &qn_accumulate_text : &qn_accumulate_first;
  case QN_AGG_APPROX_DISTINCT:
    return &qn_accumulate_distinct;
  case QN_AGG_APPROX_QUANTILE:
    return &qn_accumulate_quantile;
  case QN_AGG_QUANTILE:
    return &qn_accumulate_values;
  case QN_AGG_CORR:
    return &qn_accumulate_correlation;
  default:
    return qn_type_is_text(argument) ? &qn_accumulate_text : &qn_accumulate_extreme;
  }
}

qn_status qn_accumulator_new(qn_aggregate_kind kind, qn_type argument, double parameter, qn_accumulator **out,
                             qn_error *err) {
  qn_status status = QN_OK;
  qn_accumulator *accumulator = NULL;
  qn_type result = QN_BOOL;

  QN_TRY(qn_aggregate_type(kind, argument, &result, err));
  const bool has_fraction = kind == QN_AGG_APPROX_QUANTILE || kind == QN_AGG_QUANTILE;
  QN_REQUIRE(!has_fraction || (parameter >= 0.0 && parameter <= 1.0), err, QN_ERR_ARG,
             "the fraction of %s is %g; it must be from 0 to 1", kind_name(kind), parameter);
  const qn_accumulator_ops *ops = find_ops(kind, argument);
  accumulator = calloc(1, ops->size);
  QN_REQUIRE(accumulator != NULL, err, QN_ERR_MEMORY, "no memory for an accumulator of %s", kind_name(kind));
  accumulator->ops = ops;
  accumulator->kind = kind;
  accumulator->argument = argument;
  accumulator->parameter = parameter;
  *out = accumulator;

done:
  return status;
}

void qn_accumulator_free(qn_accumulator *accumulator) {
  if (accumulator != NULL) {
    accumulator->ops->release(accumulator);
    free(accumulator);
  }
}

static qn_status grow(qn_accumulator *accumulator, int64_t n_groups, qn_error *err) {
  qn_status status = QN_OK;
  if (n_groups > accumulator->n_groups) {
    QN_TRY(accumulator->ops->grow(accumulator, n_groups, err));
    accumulator->n_groups = n_groups;
  }

done:
  return status;
}

static const uint8_t *validity_of(const qn_column *column) {
  return column != NULL && column->n_nulls != 0 ? column->validity : NULL;
}

// The rows of a block that are neither null nor skipped, and their groups.
static int64_t choose_rows(const qn_update *block, const uint8_t *skip, const int32_t *groups, int32_t *rows,
                           int32_t *kept_groups) {
  const uint8_t *validity = validity_of(block->argument);
  const uint8_t *second = validity_of(block->second);
  int64_t n = 0;

  for (int64_t row = block->first; row < block->first + block->n_block; row++) {
    const int is_valid = validity == NULL || qn_bitmap_get(validity, row);
    const int is_second_valid = second == NULL || qn_bitmap_get(second, row);
    const int is_skipped = skip != NULL && skip[row] != 0;
    rows[n] = (int32_t)row;
    kept_groups[n] = groups[row];
    n += is_valid & is_second_valid & !is_skipped;
  }
  return n;
}

// Calls update, or merge if there is a state, with each block of the rows that count. `all`: its columns and
// order.
static qn_status take_rows(qn_accumulator *accumulator, const qn_update *all, const qn_column *state,
                           const int32_t *groups, int64_t n_rows, const uint8_t *skip, qn_error *err) {
  qn_status status = QN_OK;
  const bool has_gaps =
      skip != NULL || validity_of(all->argument) != NULL || validity_of(all->second) != NULL;
  int32_t rows[QN_UPDATE_ROWS];
  int32_t kept_groups[QN_UPDATE_ROWS];

  for (int64_t first = 0; first < n_rows; first += QN_UPDATE_ROWS) {
    const int64_t n_block = n_rows - first < QN_UPDATE_ROWS ? n_rows - first : QN_UPDATE_ROWS;
    qn_update block = *all;
    block.groups = groups + first;
    block.first = first;
    block.n_block = n_block;
    block.n = n_block;
    if (has_gaps) {
      block.n = choose_rows(&block, skip, groups, rows, kept_groups);
      block.rows = rows;
      block.groups = kept_groups;
    }
    if (state != NULL) {
      QN_TRY(accumulator->ops->merge(accumulator, &block, state, err));
    } else {
      QN_TRY(accumulator->ops->update(accumulator, &block, err));
    }
  }

done:
  return status;
}

static qn_status check_argument(const qn_accumulator *accumulator, const qn_column *argument, qn_error *err) {
  const bool is_right = argument != NULL && argument->type == accumulator->argument;
  return is_right ? QN_OK
                  : qn_fail(err, QN_ERR_TYPE, "%s of %s was given %s", kind_name(accumulator->kind),
                            qn_type_name(accumulator->argument),
                            argument != NULL ? qn_type_name(argument->type) : "nothing");
}

qn_status qn_accumulator_update(qn_accumulator *accumulator, const qn_column *argument, const int32_t *groups,
                                int64_t n_rows, int64_t n_groups, const uint8_t *skip, const int64_t *order,
                                qn_error *err) {
  qn_status status = QN_OK;
  const qn_aggregate_kind kind = accumulator->kind;
  const qn_update all = {.argument = kind == QN_AGG_COUNT_ROWS ? NULL : argument, .order = order};

  if (kind != QN_AGG_COUNT_ROWS) {
    QN_TRY(check_argument(accumulator, argument, err));
  }
  QN_REQUIRE(kind != QN_AGG_FIRST || order != NULL, err, QN_ERR_ARG, "first was given no order");
  QN_REQUIRE(kind != QN_AGG_CORR || n_rows == 0, err, QN_ERR_ARG, "corr was given one argument");
  QN_TRY(grow(accumulator, n_groups, err));
  QN_TRY(take_rows(accumulator, &all, NULL, groups, n_rows, skip, err));

done:
  return status;
}

qn_status qn_accumulator_update_pairs(qn_accumulator *accumulator, const qn_column *x, const qn_column *y,
                                      const int32_t *groups, int64_t n_rows, int64_t n_groups,
                                      const uint8_t *skip, qn_error *err) {
  qn_status status = QN_OK;
  const qn_update all = {.argument = x, .second = y};

  assert(accumulator->kind == QN_AGG_CORR);
  QN_TRY(check_argument(accumulator, x, err));
  QN_REQUIRE(is_number(y->type), err, QN_ERR_TYPE, "corr was given %s", qn_type_name(y->type));
  QN_TRY(grow(accumulator, n_groups, err));
  QN_TRY(take_rows(accumulator, &all, NULL, groups, n_rows, skip, err));

done:
  return status;
}

qn_status qn_accumulator_merge(qn_accumulator *accumulator, const qn_column *state, const int32_t *groups,
                               int64_t n_rows, int64_t n_groups, qn_error *err) {
  qn_status status = QN_OK;
  qn_type types[QN_MOST_STATE_COLUMNS];
  int n_columns = 0;

  qn_aggregate_state_types(accumulator->kind, accumulator->argument, types, &n_columns);
  for (int c = 0; c < n_columns; c++) {
    QN_REQUIRE(state[c].type == types[c] && state[c].n_rows >= n_rows, err, QN_ERR_TYPE,
               "state column %d of %s has %" PRId64 " rows of %s; %" PRId64 " of %s were expected", c,
               kind_name(accumulator->kind), state[c].n_rows, qn_type_name(state[c].type), n_rows,
               qn_type_name(types[c]));
  }
  QN_TRY(grow(accumulator, n_groups, err));
  const qn_update all = {.argument = &state[0]};
  QN_TRY(take_rows(accumulator, &all, state, groups, n_rows, NULL, err));

done:
  return status;
}

qn_status qn_accumulator_state(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                               qn_error *err) {
  qn_status status = QN_OK;
  qn_type types[QN_MOST_STATE_COLUMNS];
  int n_columns = 0;

  qn_aggregate_state_types(accumulator->kind, accumulator->argument, types, &n_columns);
  memset(out, 0, (size_t)n_columns * sizeof *out);
  QN_REQUIRE(first >= 0 && n >= 0 && first <= accumulator->n_groups - n, err, QN_ERR_ARG,
             "groups %" PRId64 " to %" PRId64 " of %" PRId64, first, first + n, accumulator->n_groups);
  QN_TRY(accumulator->ops->state(accumulator, first, n, out, err));

done:
  for (int c = 0; status != QN_OK && c < n_columns; c++) {
    qn_column_release(&out[c]);
  }
  return status;
}

qn_status qn_accumulator_result(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                                qn_error *err) {
  qn_status status = QN_OK;

  *out = (qn_column){0};
  QN_REQUIRE(first >= 0 && n >= 0 && first <= accumulator->n_groups - n, err, QN_ERR_ARG,
             "groups %" PRId64 " to %" PRId64 " of %" PRId64, first, first + n, accumulator->n_groups);
  QN_TRY(accumulator->ops->result(accumulator, first, n, out, err));

done:
  if (status != QN_OK) {
    qn_column_release(out);
  }
  return status;
}

int64_t qn_accumulator_n_bytes(const qn_accumulator *accumulator) {
  return accumulator->ops->n_bytes(accumulator);
}

void qn_accumulator_clear(qn_accumulator *accumulator) {
  accumulator->ops->clear(accumulator);
  accumulator->n_groups = 0;
}
