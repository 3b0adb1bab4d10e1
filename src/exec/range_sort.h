// SPDX-License-Identifier: Apache-2.0
// A sort over all ranks: rows are appended on every rank, and come out in order, rank 0's before rank 1's,
// about as many on each. Sort and window use it.
#pragma once
#include "exec/order_columns.h"
#include "exec/run.h"

typedef struct qn_range_sort qn_range_sort;

/// Where rows with equal keys lie. They come in the order of the ranks that they were appended on, and there
/// as they came.
typedef enum {
  QN_TIES_APART,   // on any ranks
  QN_TIES_TOGETHER // rows that agree in the order's main columns are on one rank
} qn_range_ties;

/// Local. Rows of `schema` in `order`, which must stay. `op` is the operator that sorts.
qn_status qn_range_sort_new(qn_op *op, const qn_schema *schema, const qn_order_columns *order,
                            qn_range_ties ties, qn_range_sort **out, qn_error *err);
/// Local.
qn_status qn_range_sort_append(qn_range_sort *sort, const qn_batch *batch, qn_error *err);
/// Collective. All rows have come: they go to the ranks of their ranges.
qn_status qn_range_sort_finish(qn_range_sort *sort, qn_error *err);
/// Local. Rows of this rank, once finished.
int64_t qn_range_sort_n_rows(const qn_range_sort *sort);
/// Local. The next rows in order, owned by the caller; NULL at the end.
qn_status qn_range_sort_next(qn_range_sort *sort, qn_batch **out, qn_error *err);
/// Local, but polls. Pushes the first n_rows of the rows that are left into op->next, as far as that wants
/// any.
qn_status qn_range_sort_push(qn_range_sort *sort, int64_t n_rows, qn_error *err);
void qn_range_sort_free(qn_range_sort *sort);
