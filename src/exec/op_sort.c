// SPDX-License-Identifier: Apache-2.0
// Sort: over all ranks, rank 0 has the first rows.
#include "base/check.h"
#include "exec/range_sort.h"

typedef struct sort_op {
  qn_op op;
  qn_order_columns order;
  qn_range_sort *sort;
} sort_op;

static qn_status push_sort(qn_op *op, const qn_batch *batch, qn_error *err) {
  return qn_range_sort_append(((sort_op *)op)->sort, batch, err);
}

static qn_status finish_sort(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  sort_op *state = (sort_op *)op;

  QN_TRY(qn_range_sort_finish(state->sort, err));
  QN_TRY(qn_range_sort_push(state->sort, INT64_MAX, err));
  qn_range_sort_free(state->sort);
  state->sort = NULL;
  QN_TRY(qn_op_finish(op->next, err));

done:
  return status;
}

static void close_sort(qn_op *op) {
  sort_op *state = (sort_op *)op;

  qn_range_sort_free(state->sort);
  state->sort = NULL;
}

static const qn_op_ops sort_ops = {.name = "sort",
                                   .state_size = sizeof(sort_op),
                                   .push = push_sort,
                                   .finish = finish_sort,
                                   .close = close_sort};

qn_status qn_make_sort(qn_run *run, const qn_dataset *node, bool input_has_order, qn_op *next, qn_op **out,
                       qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_op_new(run, &sort_ops, node, next, out, err));
  sort_op *state = (sort_op *)*out;
  state->op.is_spread = true;
  QN_TRY(qn_order_columns_init(&state->order, node->schema, &run->arena, err));
  qn_order_columns_add_order(&state->order, node->order, node->n_order);
  if (!input_has_order) {
    qn_order_columns_add_rest(&state->order);
  }
  QN_TRY(qn_range_sort_new(&state->op, node->schema, &state->order, QN_TIES_APART, &state->sort, err));

done:
  return status;
}
