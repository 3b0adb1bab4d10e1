// SPDX-License-Identifier: Apache-2.0
// Aggregates: state per group, updated a batch at a time, merged between ranks as columns.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "column/batch.h"

/// X(enum value, SQL name, has an argument)
#define QN_AGGREGATE_LIST(X)                                                                                 \
  X(QN_AGG_COUNT_ROWS, "count(*)", false)                                                                    \
  X(QN_AGG_COUNT, "count", true)                                                                             \
  X(QN_AGG_SUM, "sum", true)                                                                                 \
  X(QN_AGG_MIN, "min", true)                                                                                 \
  X(QN_AGG_MAX, "max", true)                                                                                 \
  X(QN_AGG_AVG, "avg", true)                                                                                 \
  X(QN_AGG_VAR_SAMP, "variance", true)                                                                       \
  X(QN_AGG_VAR_POP, "var_pop", true)                                                                         \
  X(QN_AGG_STDDEV_SAMP, "stddev", true)                                                                      \
  X(QN_AGG_STDDEV_POP, "stddev_pop", true)                                                                   \
  X(QN_AGG_ANY, "any_value", true)                                                                           \
  X(QN_AGG_FIRST, "first", true)                                                                             \
  X(QN_AGG_BOOL_AND, "bool_and", true)                                                                       \
  X(QN_AGG_BOOL_OR, "bool_or", true)                                                                         \
  X(QN_AGG_APPROX_DISTINCT, "approx_count_distinct", true)                                                   \
  X(QN_AGG_APPROX_QUANTILE, "approx_quantile", true)                                                         \
  X(QN_AGG_QUANTILE, "quantile_cont", true)                                                                  \
  X(QN_AGG_CORR, "corr", true)

typedef enum {
#define X(value, name, has_argument) value,
  QN_AGGREGATE_LIST(X)
#undef X
} qn_aggregate_kind;

typedef struct qn_accumulator qn_accumulator;

/// The type of the result; QN_ERR_TYPE if the aggregate does not take such an argument. sum of int32 and
/// int64 is int64 (overflow is an error), of floats float64; avg, variance, stddev are float64; count is
/// int64; min, max, first, any have the argument's type; approx_quantile, quantile_cont and corr (of whose
/// two arguments each is asked for) are float64.
qn_status qn_aggregate_type(qn_aggregate_kind kind, qn_type argument, qn_type *out, qn_error *err);
enum { QN_MOST_STATE_COLUMNS = 6 };
/// Columns of the state that passes between ranks: types [*n_columns <= QN_MOST_STATE_COLUMNS].
void qn_aggregate_state_types(qn_aggregate_kind kind, qn_type argument, qn_type *types, int *n_columns);

/// `parameter`: the fraction of a quantile, 0 to 1. quantile_cont is exact: linear between the values around
/// place fraction * (n - 1), NaN above all numbers; it keeps all values. The answer of approx_quantile is the
/// value of rank ceil(fraction * n) (1 is the smallest; exact for the smallest and largest), at most 1/256 of
/// itself off. approx_count_distinct is exact up to 128 values, then has a standard error of 1.6 %. any_value
/// is the smallest. Sums of integers are exact (128 bits), those of floats compensated. All but sum and avg
/// of floats, variance, stddev and corr give the same bits for any order of updates and merges. Errors:
/// QN_ERR_TYPE, QN_ERR_ARG (a fraction outside 0 to 1), QN_ERR_MEMORY.
qn_status qn_accumulator_new(qn_aggregate_kind kind, qn_type argument, double parameter, qn_accumulator **out,
                             qn_error *err);
void qn_accumulator_free(qn_accumulator *accumulator);
/// Rows rows of `argument` (NULL for count(*)) into groups[i]; groups are < n_groups, new groups begin empty.
/// Null arguments are left out (first and any too). `skip`: if not NULL rows with skip[i] != 0 are left out.
/// `order` [n_rows] (only first; else NULL): the value with
/// the smallest order, which is below INT64_MAX, wins; orders are all different.
qn_status qn_accumulator_update(qn_accumulator *accumulator, const qn_column *argument, const int32_t *groups,
                                int64_t n_rows, int64_t n_groups, const uint8_t *skip, const int64_t *order,
                                qn_error *err);
/// As qn_accumulator_update(), for corr, whose rows count if neither argument is null.
qn_status qn_accumulator_update_pairs(qn_accumulator *accumulator, const qn_column *x, const qn_column *y,
                                      const int32_t *groups, int64_t n_rows, int64_t n_groups,
                                      const uint8_t *skip, qn_error *err);
/// State rows of another accumulator (from qn_accumulator_state) into groups[i].
qn_status qn_accumulator_merge(qn_accumulator *accumulator, const qn_column *state, const int32_t *groups,
                               int64_t n_rows, int64_t n_groups, qn_error *err);
/// The state of groups [first, first + n) as columns (out: as many as qn_aggregate_state_types() says).
qn_status qn_accumulator_state(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                               qn_error *err);
/// The results of groups [first, first + n); SQL's answers for groups without a value (count 0, else null).
/// Errors: QN_ERR_VALUE if a sum of integers leaves int64, or if text passes 2^31 - 1 bytes (ask for fewer
/// groups).
qn_status qn_accumulator_result(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                                qn_error *err);
int64_t qn_accumulator_n_bytes(const qn_accumulator *accumulator);
void qn_accumulator_clear(qn_accumulator *accumulator);
