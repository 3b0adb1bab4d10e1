// SPDX-License-Identifier: Apache-2.0
// Distinct by some of the columns: of the rows of a key the smallest by all its columns stays, so that the
// result is the same on any number of ranks. (Distinct by all columns is a reduce.) Rows meet by hash of the
// key and are sorted.
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "exec/run.h"
#include "exec/sorter.h"

typedef struct distinct_op {
  qn_op op;
  qn_sorter *sorter;
  qn_batch *last; // one row: the one before
  const qn_column **columns[2];
  qn_order *orders; // [n_keys]
} distinct_op;

static qn_status push_distinct(qn_op *op, const qn_batch *batch, qn_error *err) {
  return qn_sorter_append(((distinct_op *)op)->sorter, batch, err);
}

static bool is_same_key(distinct_op *state, const qn_batch *a, int64_t row_a, const qn_batch *b,
                        int64_t row_b) {
  const qn_dataset *node = state->op.node;

  for (int k = 0; k < node->n_keys; k++) {
    state->columns[0][k] = &a->columns[node->keys[k]];
    state->columns[1][k] = &b->columns[node->keys[k]];
  }
  return qn_compare_rows(state->columns[0], row_a, state->columns[1], row_b, state->orders, node->n_keys) ==
         0;
}

static qn_status push_first_rows(distinct_op *state, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *kept = NULL;
  qn_batch *last = NULL;
  int64_t n = 0;
  int32_t *rows = malloc((size_t)batch->n_rows * sizeof *rows);

  QN_REQUIRE(rows != NULL, err, QN_ERR_MEMORY, "no memory for distinct rows");
  for (int64_t row = 0; row < batch->n_rows; row++) {
    const bool is_known = row > 0 ? is_same_key(state, batch, row, batch, row - 1)
                                  : state->last != NULL && is_same_key(state, batch, row, state->last, 0);
    rows[n] = (int32_t)row;
    n += !is_known;
  }
  QN_TRY(qn_batch_slice(batch, batch->n_rows - 1, 1, &last, err));
  qn_batch_free(state->last);
  state->last = last;
  if (n > 0) {
    QN_TRY(qn_batch_gather(batch, rows, n, &kept, err));
    QN_TRY(qn_op_push(state->op.next, kept, err));
  }

done:
  free(rows);
  qn_batch_free(kept);
  return status;
}

static qn_status finish_distinct(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  distinct_op *state = (distinct_op *)op;
  qn_batch *batch = NULL;

  QN_TRY(qn_sorter_finish(state->sorter, err));
  for (;;) {
    QN_TRY(qn_sorter_next(state->sorter, &batch, err));
    if (batch == NULL) {
      break;
    }
    QN_TRY(push_first_rows(state, batch, err));
    qn_batch_free(batch);
    batch = NULL;
    QN_TRY(qn_comm_poll(op->run->comm, err));
  }
  QN_TRY(qn_op_finish(op->next, err));

done:
  qn_batch_free(batch);
  return status;
}

static void close_distinct(qn_op *op) {
  distinct_op *state = (distinct_op *)op;

  qn_sorter_free(state->sorter);
  state->sorter = NULL;
  qn_batch_free(state->last);
  state->last = NULL;
}

static const qn_op_ops distinct_ops = {.name = "distinct",
                                       .state_size = sizeof(distinct_op),
                                       .push = push_distinct,
                                       .finish = finish_distinct,
                                       .close = close_distinct};

// All columns in the order they are sorted by: the keys first.
static int *sort_columns(qn_run *run, const qn_dataset *node) {
  const int n = node->schema->n_columns;
  int n_columns = node->n_keys;
  int *columns = qn_arena_alloc(&run->arena, (int64_t)sizeof *columns * (n + node->n_keys));

  for (int k = 0; columns != NULL && k < node->n_keys; k++) {
    columns[k] = node->keys[k];
  }
  for (int c = 0; columns != NULL && c < n; c++) {
    bool is_key = false;
    for (int k = 0; k < node->n_keys; k++) {
      is_key = is_key || node->keys[k] == c;
    }
    if (!is_key) {
      columns[n_columns++] = c;
    }
  }
  return columns;
}

qn_status qn_make_distinct(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_op *op = NULL;
  const int n = node->schema->n_columns;
  int *columns = sort_columns(run, node);

  QN_TRY(qn_op_new(run, &distinct_ops, node, next, &op, err));
  distinct_op *state = (distinct_op *)op;
  state->orders = qn_arena_alloc(&run->arena, (int64_t)sizeof *state->orders * (n + 1));
  for (int side = 0; side < 2; side++) {
    state->columns[side] = qn_arena_alloc(&run->arena, (int64_t)sizeof(qn_column *) * (node->n_keys + 1));
  }
  QN_REQUIRE(columns != NULL && state->orders != NULL && state->columns[0] != NULL &&
                 state->columns[1] != NULL,
             err, QN_ERR_MEMORY, "no memory for an operator");
  QN_TRY(qn_sorter_new(node->schema, columns, state->orders, n, run->scratch, &state->sorter, err));
  *out = op;
  if (!qn_plan_is_partitioned(node->inputs[0], node->keys, node->n_keys)) {
    QN_TRY(qn_make_hash_exchange(run, node->schema, node->keys, node->n_keys, op, out, err));
  }

done:
  return status;
}
