// SPDX-License-Identifier: Apache-2.0
// Who owns the numbers of qn_rows: memory within the budget, and else files in scratch without a name,
// mapped. The kernel writes mapped pages out and reads them in again, so they do not count against the
// budget.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>
#include "ml/rows.h"

/// Local. Rows of a rank with room for n_local rows whose numbers are yet to be written: x or x32, y and w
/// (each if asked for). For sparse rows x is left out; see qn_rows_new_sparse(). lanes, first_row and so on
/// are set.
typedef struct qn_rows_shape {
  int64_t n_total;
  int n_lanes, n_columns;
  bool has_label, has_weight, is_float32, is_sparse, is_exact;
  const char *scratch; // folder; NULL: never map
} qn_rows_shape;
qn_status qn_rows_new(const qn_rows_shape *shape, int n_ranks, int rank, qn_rows **out, qn_error *err);
/// Local. Room for the values of sparse rows: starts [n_local + 1] is filled in by the caller afterwards.
qn_status qn_rows_new_sparse(qn_rows *rows, int64_t n_values, qn_error *err);

/// The same memory to write to.
double *qn_rows_write_x(qn_rows *rows);
float *qn_rows_write_x32(qn_rows *rows);
double *qn_rows_write_y(qn_rows *rows);
double *qn_rows_write_w(qn_rows *rows);
int64_t *qn_rows_write_starts(qn_rows *rows);
int32_t *qn_rows_write_columns(qn_rows *rows);
double *qn_rows_write_values(qn_rows *rows);
