// SPDX-License-Identifier: Apache-2.0
// Distinct by some of the columns: of the rows of a key the smallest by all its columns stays, so that the
// result is the same on any number of ranks. (Distinct by all columns is a reduce.) Rows meet by hash of the
// key and are sorted. Before that each rank keeps rows of keys that come often, and sends the smallest of
// each only: else one rank would get them all.
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "exec/drain_sorter.h"
#include "exec/run.h"
#include "kernel/frequent_rows.h"
#include "kernel/hash_columns.h"

enum {
  HELD_ROWS = 1 << 15,
  FEW_FREQUENT = 128 // rows: fewer than one in so many are not worth being held
};

typedef struct distinct_op {
  qn_op op;
  int *sort_columns;          // [columns of the schema] the keys first
  qn_sorter *sorter;          // after the exchange
  qn_frequent_keys *frequent; // before it
  qn_batch_builder held;      // before it: rows of keys that come often
  qn_batch *last;             // one row: the one before
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

static qn_status push_first_rows(void *ctx, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  distinct_op *state = ctx;
  qn_batch *kept = NULL;
  qn_batch *last = NULL;
  int64_t n = 0;
  int32_t *rows = qn_memory_alloc(batch->n_rows * (int64_t)sizeof *rows);

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
  qn_memory_free(rows);
  qn_batch_free(kept);
  return status;
}

static qn_status finish_distinct(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_drain_sorter(((distinct_op *)op)->sorter, op->run->comm, push_first_rows, op, err));
  QN_TRY(qn_op_finish(op->next, err));

done:
  return status;
}

static void close_distinct(qn_op *op) {
  distinct_op *state = (distinct_op *)op;

  qn_sorter_free(state->sorter);
  state->sorter = NULL;
  free(state->frequent);
  state->frequent = NULL;
  qn_batch_builder_release(&state->held);
  qn_batch_free(state->last);
  state->last = NULL;
}

// The rows of a batch that are the smallest of their key.
static qn_status smallest_rows(distinct_op *state, const qn_batch *batch, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = state->op.node;
  const int n_columns = node->schema->n_columns;
  int64_t n = 0;
  int32_t *rows = qn_memory_alloc(batch->n_rows * (int64_t)sizeof *rows);
  const qn_column **columns = calloc((size_t)n_columns + 1, sizeof(qn_column *));

  QN_REQUIRE(rows != NULL && columns != NULL, err, QN_ERR_MEMORY, "no memory for distinct rows");
  for (int c = 0; c < n_columns; c++) {
    columns[c] = &batch->columns[state->sort_columns[c]];
  }
  QN_TRY(qn_sort_rows(columns, state->orders, n_columns, batch->n_rows, rows, err));
  for (int64_t i = 0; i < batch->n_rows; i++) {
    if (n == 0 || !is_same_key(state, batch, rows[i], batch, rows[n - 1])) {
      rows[n++] = rows[i]; // n <= i: what is overwritten has been read
    }
  }
  QN_TRY(qn_batch_gather(batch, rows, n, out, err));

done:
  free(columns);
  qn_memory_free(rows);
  return status;
}

// Thins the rows that are held; sends them on if that is wanted or did not make them few.
static qn_status thin_held(distinct_op *state, bool must_send, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *rows = NULL;
  qn_batch *kept = NULL;

  if (state->held.n_rows == 0) {
    goto done;
  }
  QN_TRY(qn_batch_builder_finish(&state->held, &rows, err));
  QN_TRY(smallest_rows(state, rows, &kept, err));
  if (must_send || kept->n_rows > HELD_ROWS / 2) {
    QN_TRY(qn_op_push(state->op.next, kept, err));
  } else {
    QN_TRY(qn_batch_builder_append_range(&state->held, kept, 0, kept->n_rows, err));
  }

done:
  qn_batch_free(rows);
  qn_batch_free(kept);
  return status;
}

static bool is_held_full(const distinct_op *state) {
  const int64_t budget = qn_memory_budget();
  return state->held.n_rows >= HELD_ROWS ||
         (budget > 0 && qn_batch_builder_n_bytes(&state->held) > budget / 16);
}

// Holds the rows of keys that come often, and passes the others on.
static qn_status push_here(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  distinct_op *state = (distinct_op *)op;
  const qn_dataset *node = op->node;
  const int64_t n = batch->n_rows;
  qn_batch *others = NULL;
  uint64_t *hashes = qn_memory_alloc(n * (int64_t)sizeof *hashes);
  int32_t *rows = qn_memory_alloc(2 * n * (int64_t)sizeof *rows);

  QN_REQUIRE(hashes != NULL && rows != NULL, err, QN_ERR_MEMORY, "no memory for distinct rows");
  for (int k = 0; k < node->n_keys; k++) {
    state->columns[0][k] = &batch->columns[node->keys[k]];
  }
  qn_hash_columns(state->columns[0], node->n_keys, n, hashes);
  const int64_t n_frequent = qn_frequent_split(state->frequent, hashes, n, rows, rows + n);
  if (n_frequent * FEW_FREQUENT < n) {
    QN_TRY(qn_op_push(op->next, batch, err));
    goto done;
  }
  QN_TRY(qn_batch_builder_append_gather(&state->held, batch, rows, n_frequent, err));
  QN_TRY(qn_batch_gather(batch, rows + n, n - n_frequent, &others, err));
  if (others->n_rows > 0) {
    QN_TRY(qn_op_push(op->next, others, err));
  }
  if (is_held_full(state)) {
    QN_TRY(thin_held(state, false, err));
  }

done:
  qn_memory_free(hashes);
  qn_memory_free(rows);
  qn_batch_free(others);
  return status;
}

static qn_status finish_here(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(thin_held((distinct_op *)op, true, err));
  QN_TRY(qn_op_finish(op->next, err));

done:
  return status;
}

static const qn_op_ops here_ops = {.name = "distinct here",
                                   .state_size = sizeof(distinct_op),
                                   .push = push_here,
                                   .finish = finish_here,
                                   .close = close_distinct};

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

static qn_status new_distinct(qn_run *run, const qn_op_ops *ops, const qn_dataset *node, qn_op *next,
                              distinct_op **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_op *op = NULL;

  QN_TRY(qn_op_new(run, ops, node, next, &op, err));
  distinct_op *state = (distinct_op *)op;
  QN_TRY(qn_batch_builder_init(&state->held, node->schema, err));
  state->sort_columns = sort_columns(run, node);
  state->orders = qn_arena_alloc(&run->arena, (int64_t)sizeof *state->orders * (node->schema->n_columns + 1));
  for (int side = 0; side < 2; side++) {
    state->columns[side] = qn_arena_alloc(&run->arena, (int64_t)sizeof(qn_column *) * (node->n_keys + 1));
  }
  QN_REQUIRE(state->sort_columns != NULL && state->orders != NULL && state->columns[0] != NULL &&
                 state->columns[1] != NULL,
             err, QN_ERR_MEMORY, "no memory for an operator");
  *out = state;

done:
  return status;
}

qn_status qn_make_distinct(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  distinct_op *final = NULL;
  distinct_op *here = NULL;
  qn_op *exchange = NULL;

  QN_TRY(new_distinct(run, &distinct_ops, node, next, &final, err));
  QN_TRY(qn_sorter_new(node->schema, final->sort_columns, final->orders, node->schema->n_columns,
                       run->scratch, &final->sorter, err));
  *out = &final->op;
  if (qn_comm_size(run->comm) == 1 || qn_plan_is_partitioned(node->inputs[0], node->keys, node->n_keys)) {
    goto done;
  }
  QN_TRY(qn_make_hash_exchange(run, node->schema, node->keys, node->n_keys, *out, &exchange, err));
  QN_TRY(new_distinct(run, &here_ops, node, exchange, &here, err));
  here->frequent = calloc(1, sizeof *here->frequent);
  QN_REQUIRE(here->frequent != NULL, err, QN_ERR_MEMORY, "no memory for an operator");
  *out = &here->op;

done:
  return status;
}
