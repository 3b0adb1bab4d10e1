// SPDX-License-Identifier: Apache-2.0
// What the aggregates share: their common head, the blocks of rows that updates and merges come in, and
// loading these rows' values in the form a loop wants. For accumulate*.c only.
#pragma once
#include "base/buffer.h"
#include "kernel/accumulate.h"
#include "kernel/column_assemble.h"

enum {
  QN_UPDATE_ROWS = 1024,
  QN_MANY_GROUPS = 4096, // beyond it states are not all in the nearest cache, and fetching ahead pays,
  QN_GROUPS_AHEAD = 16   // this many rows
};

/// Up to QN_UPDATE_ROWS rows of a batch, without those that are null or to be skipped.
typedef struct qn_update {
  const qn_column *argument; // of a merge: the first state column; NULL for count(*)
  const qn_column *second;   // of an update of corr, else NULL
  const int32_t *groups;     // [n]
  const int32_t *rows;       // [n], ascending; NULL: first, first + 1, ...
  int64_t first;             // the block is rows [first, first + n_block) of the argument
  int64_t n_block;
  int64_t n;
  const int64_t *order; // by row of the batch, or NULL
} qn_update;

typedef struct qn_accumulator_ops {
  size_t size; // of the struct that begins with a qn_accumulator
  /// Makes the groups [accumulator->n_groups, n_groups) empty ones.
  qn_status (*grow)(qn_accumulator *accumulator, int64_t n_groups, qn_error *err);
  qn_status (*update)(qn_accumulator *accumulator, const qn_update *update, qn_error *err);
  /// update->argument is &state[0]; rows where that is null are left out.
  qn_status (*merge)(qn_accumulator *accumulator, const qn_update *update, const qn_column *state,
                     qn_error *err);
  /// Writes zeroed columns; on failure the caller releases them.
  qn_status (*state)(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                     qn_error *err);
  qn_status (*result)(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                      qn_error *err);
  int64_t (*n_bytes)(const qn_accumulator *accumulator);
  void (*clear)(qn_accumulator *accumulator); // n_groups is set to 0 by the caller
  void (*release)(qn_accumulator *accumulator);
} qn_accumulator_ops;

struct qn_accumulator {
  const qn_accumulator_ops *ops;
  qn_aggregate_kind kind;
  qn_type argument;
  double parameter;
  int64_t n_groups;
};

/// One file each.
extern const qn_accumulator_ops qn_accumulate_count;
extern const qn_accumulator_ops qn_accumulate_int_sum;   // sum and avg of int32, int64
extern const qn_accumulator_ops qn_accumulate_float_sum; // sum and avg of float32, float64
extern const qn_accumulator_ops qn_accumulate_moments;
extern const qn_accumulator_ops qn_accumulate_extreme; // min, max, any, bool_and, bool_or of all but text
extern const qn_accumulator_ops qn_accumulate_first;
extern const qn_accumulator_ops qn_accumulate_text; // min, max, any, first of text
extern const qn_accumulator_ops qn_accumulate_distinct;
extern const qn_accumulator_ops qn_accumulate_quantile;
extern const qn_accumulator_ops qn_accumulate_values; // quantile_cont
extern const qn_accumulator_ops qn_accumulate_correlation;

static inline int64_t qn_update_row(const qn_update *update, int64_t k) {
  return update->rows != NULL ? update->rows[k] : update->first + k;
}

/// The kept values of `column`, which has the batch's rows; `scratch` has QN_UPDATE_ROWS places. Integers of
/// any width and bool:
const int64_t *qn_update_load_ints(const qn_update *update, const qn_column *column, int64_t *scratch);
/// Numbers of any type:
const double *qn_update_load_floats(const qn_update *update, const qn_column *column, double *scratch);

/// Adds `more` (NULL: one each) to the groups' counts; is_large: there are more than QN_MANY_GROUPS groups.
void qn_update_add_counts(const qn_update *update, int64_t *counts, const int64_t *more, bool is_large);

/// n values of a fixed-width type to be filled in, and a validity with all bits clear.
qn_status qn_result_begin(qn_type type, int64_t n, qn_column *column, void **values, qn_buffer *validity,
                          qn_error *err);
