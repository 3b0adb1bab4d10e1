// SPDX-License-Identifier: Apache-2.0
// Merges sorted runs of rows, each in a spool, into batches of rows in order.
#pragma once
#include <stdint.h>
#include "exec/spool.h"
#include "kernel/sort_rows.h"

typedef struct qn_run_merge qn_run_merge;

/// What makes the order: columns of the rows' schema.
typedef struct qn_merge_order {
  const int *columns;
  const qn_order *orders;
  int n;
} qn_merge_order;

/// Local. Rows with equal keys come in the order of their runs. The runs are read once (qn_spool_take) and
/// stay the caller's; `order` must stay too. Batches have at most batch_rows rows.
qn_status qn_run_merge_new(const qn_schema *schema, const qn_merge_order *order, qn_spool *const *runs,
                           int n_runs, int64_t batch_rows, qn_run_merge **out, qn_error *err);
/// The next rows, owned by the caller; NULL at the end.
qn_status qn_run_merge_next(qn_run_merge *merge, qn_batch **out, qn_error *err);
void qn_run_merge_free(qn_run_merge *merge);
