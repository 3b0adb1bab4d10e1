// SPDX-License-Identifier: Apache-2.0
// Window: rows of a partition meet on one rank (all on rank 0 without partition keys) and are sorted by
// partition and order. Then they pass in chunks of whole partitions, small ones many at a time; a chunk is a
// spool, so that a partition larger than memory is no error.
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "exec/key_exchange.h"
#include "exec/order_columns.h"
#include "exec/row_changes.h"
#include "exec/run.h"
#include "exec/sorter.h"
#include "exec/spool.h"
#include "exec/window_functions.h"

typedef struct window_op {
  qn_op op;
  qn_order_columns order;
  int *order_columns; // [node->n_order]
  qn_sorter *sorter;
  qn_window_calc **calcs; // [node->n_functions]
  qn_batch *before;       // the last sorted batch
  uint8_t *partitions;    // [capacity] of the sorted batch at hand
  uint8_t *peers;
  int64_t capacity;
  qn_spool *rows;   // of the chunk; NULL: none so far
  int64_t *lengths; // of its partitions
  int64_t n_partitions, lengths_capacity;
} window_op;

static qn_status push_window(qn_op *op, const qn_batch *batch, qn_error *err) {
  return qn_sorter_append(((window_op *)op)->sorter, batch, err);
}

static qn_status make_room(window_op *state, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;

  if (n_rows > state->capacity) {
    qn_memory_free(state->partitions);
    qn_memory_free(state->peers);
    state->capacity = 0;
    state->partitions = qn_memory_alloc(n_rows);
    state->peers = qn_memory_alloc(n_rows);
    QN_REQUIRE(state->partitions != NULL && state->peers != NULL, err, QN_ERR_MEMORY,
               "no memory for a window");
    state->capacity = n_rows;
  }

done:
  return status;
}

// Finds where partitions and peers begin in a sorted batch. Without an order all rows of a partition are
// peers.
static qn_status find_starts(window_op *state, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = state->op.node;
  const size_t n = (size_t)batch->n_rows;

  QN_TRY(make_room(state, batch->n_rows, err));
  memset(state->partitions, 0, n);
  qn_mark_changes(state->before, batch, node->keys, node->n_keys, state->partitions);
  memcpy(state->peers, state->partitions, n);
  qn_mark_changes(state->before, batch, state->order_columns, node->n_order, state->peers);

done:
  return status;
}

static qn_status count_partitions(window_op *state, const uint8_t *starts, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;

  for (int64_t i = 0; i < n_rows; i++) {
    if (starts[i] == 0) {
      state->lengths[state->n_partitions - 1]++;
      continue;
    }
    if (state->n_partitions == state->lengths_capacity) {
      const int64_t capacity = 2 * state->lengths_capacity + QN_BATCH_ROWS;
      int64_t *lengths = qn_memory_resize(state->lengths, capacity * (int64_t)sizeof *lengths);
      QN_REQUIRE(lengths != NULL, err, QN_ERR_MEMORY, "no memory for %lld partitions", (long long)capacity);
      state->lengths = lengths;
      state->lengths_capacity = capacity;
    }
    state->lengths[state->n_partitions++] = 1;
  }

done:
  return status;
}

// Adds rows [first, first + n_rows) of a sorted batch to the chunk.
static qn_status add_rows(window_op *state, const qn_batch *batch, int64_t first, int64_t n_rows,
                          qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = state->op.node;
  qn_batch *part = NULL;

  if (n_rows == 0) {
    goto done;
  }
  QN_TRY(qn_batch_slice(batch, first, n_rows, &part, err));
  if (state->rows == NULL) {
    QN_TRY(qn_spool_new(batch->schema, state->op.run->scratch, &state->rows, err));
  }
  QN_TRY(count_partitions(state, state->partitions + first, n_rows, err));
  QN_TRY(qn_spool_append(state->rows, part, err));
  const qn_window_rows rows = {
      .batch = part, .partitions = state->partitions + first, .peers = state->peers + first};
  for (int f = 0; f < node->n_functions; f++) {
    QN_TRY(qn_window_calc_add(state->calcs[f], &rows, err));
  }

done:
  qn_batch_free(part);
  return status;
}

// The batch with the functions' values behind its columns.
static qn_status add_values(const window_op *state, const qn_batch *batch, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = state->op.node;
  int n = 0;
  qn_column *columns = calloc((size_t)node->schema->n_columns + 1, sizeof *columns);

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for %d columns", node->schema->n_columns);
  for (; n < batch->n_columns; n++) {
    columns[n] = qn_column_share(&batch->columns[n]);
  }
  for (int f = 0; f < node->n_functions; f++, n++) {
    QN_TRY(qn_window_calc_read(state->calcs[f], batch, state->lengths, &columns[n], err));
  }
  n = 0; // taken over by the batch
  QN_TRY(qn_batch_new_take(node->schema, batch->n_rows, columns, out, err));

done:
  for (int c = 0; c < n; c++) {
    qn_column_release(&columns[c]);
  }
  free(columns);
  return status;
}

static void clear_chunk(window_op *state) {
  for (int f = 0; state->calcs != NULL && f < state->op.node->n_functions && state->calcs[f] != NULL; f++) {
    qn_window_calc_clear(state->calcs[f]);
  }
  qn_spool_free(state->rows);
  state->rows = NULL;
  state->n_partitions = 0;
}

// Gives out the rows of the chunk with their values.
static qn_status end_chunk(window_op *state, qn_error *err) {
  qn_status status = QN_OK;
  const qn_op *op = &state->op;
  qn_batch *batch = NULL, *made = NULL;

  if (state->rows == NULL) {
    goto done;
  }
  for (int f = 0; f < op->node->n_functions; f++) {
    QN_TRY(qn_window_calc_end(state->calcs[f], err));
  }
  QN_TRY(qn_spool_rewind(state->rows, err));
  for (;;) {
    QN_TRY(qn_spool_take(state->rows, &batch, err));
    if (batch == NULL) {
      break;
    }
    QN_TRY(add_values(state, batch, &made, err));
    QN_TRY(qn_op_push(op->next, made, err));
    qn_batch_free(batch);
    qn_batch_free(made);
    batch = NULL;
    made = NULL;
    QN_TRY(qn_comm_poll(op->run->comm, err));
  }
  clear_chunk(state);

done:
  qn_batch_free(batch);
  qn_batch_free(made);
  return status;
}

// Adds a sorted batch; where a partition begins and the chunk is large enough the chunk ends.
static qn_status add_batch(window_op *state, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  int64_t last = batch->n_rows - 1;
  const int64_t n_before = state->rows == NULL ? 0 : qn_spool_n_rows(state->rows);

  QN_TRY(find_starts(state, batch, err));
  while (last >= 0 && state->partitions[last] == 0) {
    last--;
  }
  if (last >= 0 && n_before + last >= QN_BATCH_ROWS / 2) {
    QN_TRY(add_rows(state, batch, 0, last, err));
    QN_TRY(end_chunk(state, err));
    QN_TRY(add_rows(state, batch, last, batch->n_rows - last, err));
  } else {
    QN_TRY(add_rows(state, batch, 0, batch->n_rows, err));
  }

done:
  return status;
}

static qn_status finish_window(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  window_op *state = (window_op *)op;
  qn_batch *batch = NULL;

  QN_TRY(qn_sorter_finish(state->sorter, err));
  while (!qn_op_is_full(op->next)) {
    QN_TRY(qn_sorter_next(state->sorter, &batch, err));
    if (batch == NULL) {
      break;
    }
    QN_TRY(add_batch(state, batch, err));
    qn_batch_free(state->before);
    state->before = batch;
    batch = NULL;
    QN_TRY(qn_comm_poll(op->run->comm, err));
  }
  QN_TRY(end_chunk(state, err));
  QN_TRY(qn_op_finish(op->next, err));

done:
  qn_batch_free(batch);
  return status;
}

static void close_window(qn_op *op) {
  window_op *state = (window_op *)op;

  clear_chunk(state);
  for (int f = 0; state->calcs != NULL && f < op->node->n_functions; f++) {
    qn_window_calc_free(state->calcs[f]);
  }
  qn_sorter_free(state->sorter);
  qn_batch_free(state->before);
  qn_memory_free(state->partitions);
  qn_memory_free(state->peers);
  qn_memory_free(state->lengths);
  *state = (window_op){.op = state->op};
}

static const qn_op_ops window_ops = {.name = "window",
                                     .state_size = sizeof(window_op),
                                     .push = push_window,
                                     .finish = finish_window,
                                     .close = close_window};

static qn_status new_calcs(window_op *state, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = state->op.node;
  qn_run *run = state->op.run;

  state->calcs = qn_arena_alloc(&run->arena, (int64_t)sizeof(qn_window_calc *) * (node->n_functions + 1));
  state->order_columns = qn_arena_alloc(&run->arena, (int64_t)sizeof(int) * (node->n_order + 1));
  QN_REQUIRE(state->calcs != NULL && state->order_columns != NULL, err, QN_ERR_MEMORY,
             "no memory for a window");
  for (int i = 0; i < node->n_order; i++) {
    state->order_columns[i] = node->order[i].column;
  }
  for (int f = 0; f < node->n_functions; f++) {
    QN_TRY(qn_window_calc_new(&node->functions[f], node->inputs[0]->schema, run->scratch, &state->calcs[f],
                              err));
  }

done:
  return status;
}

qn_status qn_make_window(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_schema *input = node->inputs[0]->schema;
  qn_op *op = NULL;

  QN_TRY(qn_op_new(run, &window_ops, node, next, &op, err));
  window_op *state = (window_op *)op;
  qn_order_columns *order = &state->order;
  QN_TRY(new_calcs(state, err));
  QN_TRY(qn_order_columns_init(order, input, &run->arena, err));
  qn_order_columns_add_keys(order, node->keys, node->n_keys);
  qn_order_columns_add_order(order, node->order, node->n_order);
  qn_order_columns_add_rest(order);
  QN_TRY(qn_sorter_new(input, order->columns, order->orders, order->n, run->scratch, &state->sorter, err));
  qn_sorter_set_main_keys(state->sorter, order->n_main);
  QN_TRY(qn_make_key_exchange(run, node, op, &op, err));
  QN_TRY(qn_make_first_rows(run, node, op, out, err));

done:
  return status;
}
