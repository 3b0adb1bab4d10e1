// SPDX-License-Identifier: Apache-2.0
// Limit and zip with index, which must know how many rows the ranks before have; and union.
#include <stdlib.h>

#include "base/check.h"
#include "exec/rows_before.h"
#include "exec/spool.h"

typedef struct number_op {
  qn_op op;
  qn_spool *spool;
} number_op;

static void close_number(qn_op *op) {
  number_op *state = (number_op *)op;

  qn_spool_free(state->spool);
  state->spool = NULL;
}

static qn_status new_number(qn_run *run, const qn_op_ops *ops, const qn_dataset *node, qn_op *next,
                            qn_op **out, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_op_new(run, ops, node, next, out, err));
  QN_TRY(qn_spool_new(node->inputs[0]->schema, run->scratch, &((number_op *)*out)->spool, err));

done:
  return status;
}

// --- limit
// ------------------------------------------------------------------------------------------------------------

static qn_status push_limit(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const number_op *state = (const number_op *)op;
  qn_batch *first = NULL;
  const int64_t wanted = op->node->n - qn_spool_n_rows(state->spool);

  if (wanted > 0) {
    QN_TRY(qn_batch_slice(batch, 0, wanted < batch->n_rows ? wanted : batch->n_rows, &first, err));
    QN_TRY(qn_spool_append(state->spool, first, err));
  }
  op->is_full = wanted <= batch->n_rows;

done:
  qn_batch_free(first);
  return status;
}

static qn_status finish_limit(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  const number_op *state = (const number_op *)op;
  qn_batch *batch = NULL;
  int64_t before = 0;

  QN_TRY(qn_rows_before(op->run, qn_spool_n_rows(state->spool), &before, err));
  QN_TRY(qn_spool_rewind(state->spool, err));
  for (int64_t left = op->node->n - before; left > 0;) {
    QN_TRY(qn_spool_next(state->spool, &batch, err));
    if (batch == NULL) {
      break;
    }
    qn_batch *first = NULL;
    QN_TRY(qn_batch_slice(batch, 0, left < batch->n_rows ? left : batch->n_rows, &first, err));
    qn_batch_free(batch);
    batch = first;
    left -= batch->n_rows;
    QN_TRY(qn_op_push(op->next, batch, err));
    qn_batch_free(batch);
    batch = NULL;
  }
  QN_TRY(qn_op_finish(op->next, err));

done:
  qn_batch_free(batch);
  return status;
}

static const qn_op_ops limit_ops = {.name = "limit",
                                    .state_size = sizeof(number_op),
                                    .push = push_limit,
                                    .finish = finish_limit,
                                    .close = close_number};

qn_status qn_make_limit(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(new_number(run, &limit_ops, node, next, out, err));
  (*out)->is_full = node->n == 0;

done:
  return status;
}

// --- zip with index
// ---------------------------------------------------------------------------------------------------

static qn_status push_zip(qn_op *op, const qn_batch *batch, qn_error *err) {
  return qn_spool_append(((number_op *)op)->spool, batch, err);
}

static qn_status push_numbered_rows(qn_op *op, const qn_batch *batch, int64_t first, qn_error *err) {
  qn_status status = QN_OK;
  const int n = batch->n_columns;
  qn_batch *made = NULL;
  void *values = NULL;
  qn_column *columns = calloc((size_t)n + 1, sizeof *columns);

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory");
  QN_TRY(qn_column_fixed(QN_INT64, batch->n_rows, &columns[n], &values, err));
  for (int c = 0; c < n; c++) {
    columns[c] = qn_column_share(&batch->columns[c]);
  }
  for (int64_t row = 0; row < batch->n_rows; row++) {
    ((int64_t *)values)[row] = first + row;
  }
  QN_TRY(qn_batch_new_take(op->node->schema, batch->n_rows, columns, &made, err));
  QN_TRY(qn_op_push(op->next, made, err));

done:
  free(columns);
  qn_batch_free(made);
  return status;
}

typedef struct numbering {
  qn_op *op;
  int64_t next;
} numbering;

static qn_status push_numbered(void *ctx, const qn_batch *batch, qn_error *err) {
  numbering *numbers = ctx;
  const int64_t first = numbers->next;

  numbers->next += batch->n_rows;
  return push_numbered_rows(numbers->op, batch, first, err);
}

static qn_status finish_zip(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  const number_op *state = (const number_op *)op;
  numbering numbers = {.op = op};

  QN_TRY(qn_rows_before(op->run, qn_spool_n_rows(state->spool), &numbers.next, err));
  QN_TRY(qn_spool_drain(state->spool, push_numbered, &numbers, err));
  QN_TRY(qn_op_finish(op->next, err));

done:
  return status;
}

static const qn_op_ops zip_ops = {.name = "zip with index",
                                  .state_size = sizeof(number_op),
                                  .push = push_zip,
                                  .finish = finish_zip,
                                  .close = close_number};

qn_status qn_make_zip(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  return new_number(run, &zip_ops, node, next, out, err);
}

// --- union
// ------------------------------------------------------------------------------------------------------------

typedef struct union_op {
  qn_op op;
  int n_open; // pipelines that have not finished
} union_op;

static qn_status push_union(qn_op *op, const qn_batch *batch, qn_error *err) {
  return qn_op_push(op->next, batch, err);
}

static qn_status finish_union(qn_op *op, qn_error *err) {
  union_op *state = (union_op *)op;
  return --state->n_open > 0 ? QN_OK : qn_op_finish(op->next, err);
}

static const qn_op_ops union_ops = {.name = "union",
                                    .state_size = sizeof(union_op),
                                    .is_streaming = true,
                                    .push = push_union,
                                    .finish = finish_union};

qn_status qn_make_union(qn_run *run, const qn_dataset *node, int n_inputs, qn_op *next, qn_op **out,
                        qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_op_new(run, &union_ops, node, next, out, err));
  ((union_op *)*out)->n_open = n_inputs;

done:
  return status;
}
