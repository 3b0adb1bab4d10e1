// SPDX-License-Identifier: Apache-2.0
// Window: rows of a partition meet on one rank and are sorted by partition and order. Then they pass in
// chunks of whole partitions, small ones many at a time; a chunk is a spool, so that a partition larger than
// memory is no error.
//
// Without partition keys all rows are one partition, which is sorted over all ranks; then one rank after the
// other goes through its rows, from where the rank before it stopped. Functions that need rows of other ranks
// (lag, lead) have all rows on rank 0 instead.
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "exec/key_exchange.h"
#include "exec/range_sort.h"
#include "exec/row_changes.h"
#include "exec/sorter.h"
#include "exec/spool.h"
#include "exec/window_functions.h"

typedef struct window_op {
  qn_op op;
  qn_order_columns order;
  int *order_columns; // [node->n_order]
  qn_sorter *sorter;
  qn_range_sort *spread;  // in place of the sorter: one partition over all ranks
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
  const window_op *state = (const window_op *)op;
  return state->spread != NULL ? qn_range_sort_append(state->spread, batch, err)
                               : qn_sorter_append(state->sorter, batch, err);
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
    if (starts[i] == 0 && state->n_partitions > 0) {
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

static qn_status add_all(window_op *state, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;

  QN_TRY(qn_sorter_finish(state->sorter, err));
  while (!qn_op_is_full(state->op.next)) {
    QN_TRY(qn_sorter_next(state->sorter, &batch, err));
    if (batch == NULL) {
      break;
    }
    QN_TRY(add_batch(state, batch, err));
    qn_batch_free(state->before);
    state->before = batch;
    batch = NULL;
    QN_TRY(qn_comm_poll(state->op.run->comm, err));
  }

done:
  qn_batch_free(batch);
  return status;
}

// --- one partition over all ranks

// Goes on from what the rank before has saved.
static qn_status load_calcs(const window_op *state, const qn_buffer *saved, qn_error *err) {
  qn_status status = QN_OK;
  int64_t at = 0;

  for (int f = 0; saved->size > 0 && f < state->op.node->n_functions; f++) {
    int64_t used = 0;
    QN_TRY(qn_window_calc_load(state->calcs[f], saved->data + at, saved->size - at, &used, err));
    at += used;
  }

done:
  return status;
}

// Adds all rows of this rank, of which the first one begins the partition or goes on with it.
static qn_status add_stretch(window_op *state, bool is_first, qn_buffer *saved, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = state->op.node;
  qn_batch *batch = NULL;
  bool goes_on = !is_first;

  QN_TRY(load_calcs(state, saved, err));
  for (;;) {
    QN_TRY(qn_range_sort_next(state->spread, &batch, err));
    if (batch == NULL) {
      break;
    }
    QN_TRY(find_starts(state, batch, err));
    if (goes_on && batch->n_rows > 0) {
      state->partitions[0] = 0;
      state->peers[0] = node->n_order > 0; // peers are on one rank
      goes_on = false;
    }
    QN_TRY(add_rows(state, batch, 0, batch->n_rows, err));
    qn_batch_free(state->before);
    state->before = batch;
    batch = NULL;
    QN_TRY(qn_comm_poll(state->op.run->comm, err));
  }
  saved->size = 0;
  for (int f = 0; f < node->n_functions; f++) {
    QN_TRY(qn_window_calc_save(state->calcs[f], saved, err));
  }

done:
  qn_batch_free(batch);
  return status;
}

// Collective. Each rank that has rows adds them in its turn. Without an order all rows are peers, whose end
// is known only then.
static qn_status add_in_turn(window_op *state, qn_error *err) {
  qn_status status = QN_OK;
  qn_comm *comm = state->op.run->comm;
  const int n_ranks = qn_comm_size(comm), rank = qn_comm_rank(comm);
  const int64_t n_rows = qn_range_sort_n_rows(state->spread);
  qn_buffer counts = {0}, saved = {0}, all = {0};
  bool is_first = true;
  int64_t *sizes = calloc((size_t)n_ranks, sizeof *sizes);

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory for a window");
  QN_TRY(qn_comm_gather(comm, &n_rows, sizeof n_rows, &counts, sizes, err));
  for (int r = 0; r < n_ranks; r++) {
    if (((const int64_t *)(const void *)counts.data)[r] == 0) {
      continue;
    }
    if (r == rank) {
      QN_TRY(add_stretch(state, is_first, &saved, err));
    }
    all.size = 0;
    QN_TRY(qn_comm_gather(comm, saved.data, r == rank ? saved.size : 0, &all, sizes, err));
    saved.size = 0;
    QN_TRY(qn_buffer_append(&saved, all.data, all.size, err));
    is_first = false;
  }
  if (state->op.node->n_order == 0) {
    QN_TRY(load_calcs(state, &saved, err));
  }

done:
  free(sizes);
  qn_buffer_release(&counts);
  qn_buffer_release(&saved);
  qn_buffer_release(&all);
  return status;
}

static qn_status finish_window(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  window_op *state = (window_op *)op;

  if (state->spread != NULL) {
    QN_TRY(qn_range_sort_finish(state->spread, err));
    QN_TRY(add_in_turn(state, err));
  } else {
    QN_TRY(add_all(state, err));
  }
  QN_TRY(end_chunk(state, err));
  QN_TRY(qn_op_finish(op->next, err));

done:
  return status;
}

static void close_window(qn_op *op) {
  window_op *state = (window_op *)op;

  clear_chunk(state);
  for (int f = 0; state->calcs != NULL && f < op->node->n_functions; f++) {
    qn_window_calc_free(state->calcs[f]);
  }
  qn_sorter_free(state->sorter);
  qn_range_sort_free(state->spread);
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

static bool can_be_spread(const window_op *state) {
  bool can = state->op.node->n_keys == 0 && qn_comm_size(state->op.run->comm) > 1;
  for (int f = 0; can && f < state->op.node->n_functions; f++) {
    can = qn_window_calc_can_go_on(state->calcs[f]);
  }
  return can;
}

static qn_status make_sorter(window_op *state, qn_op **first, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = state->op.node;
  const qn_schema *input = node->inputs[0]->schema;
  const qn_order_columns *order = &state->order;
  qn_run *run = state->op.run;

  if (can_be_spread(state)) {
    state->op.is_spread = true;
    *first = &state->op;
    QN_TRY(qn_range_sort_new(&state->op, input, order, node->n_order > 0 ? QN_TIES_TOGETHER : QN_TIES_APART,
                             &state->spread, err));
    goto done;
  }
  QN_TRY(qn_sorter_new(input, order->columns, order->orders, order->n, run->scratch, &state->sorter, err));
  qn_sorter_set_main_keys(state->sorter, order->n_main);
  QN_TRY(qn_make_key_exchange(run, node, &state->op, first, err));

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
  QN_TRY(make_sorter(state, &op, err));
  QN_TRY(qn_make_first_rows(run, node, op, out, err));

done:
  return status;
}
