// SPDX-License-Identifier: Apache-2.0
// Top: each rank keeps its best n rows, rank 0 then the best n of those. Rows gather until there are some
// more than n, are sorted and cut back to n; from the first cut on only rows that can still be among the
// first n are kept at all. For a large n all rows are sorted over the ranks.
#include <inttypes.h>
#include "base/check.h"
#include "base/memory.h"
#include "exec/range_sort.h"
#include "exec/rows_before.h"
#include "exec/sort_parts.h"

enum {
  MOST_KEPT = 1 << 16,   // for more rows all are sorted, which can spill
  MORE_ROWS = 8192,      // at least so many rows come between two cuts
  MOST_BYTES = 64 << 20, // but no more than this, unless the rows after a cut are more than half of it
};

typedef struct top_op {
  qn_op op;
  qn_order_columns order;
  qn_range_sort *sort; // for large n
  qn_batch_builder rows;
  int64_t most_rows, most_bytes; // then comes a cut
  bool has_bound;                // n rows are known
  qn_buffer bound;               // main key of the last of them
  qn_buffer keys, offsets;       // of a batch at hand
  int32_t *chosen;               // [capacity]
  int64_t capacity;
} top_op;

// The main keys of a batch into state->keys and state->offsets.
static qn_status encode_keys(top_op *state, const qn_batch *batch, qn_error *err) {
  const qn_order_columns *order = &state->order;
  state->keys.size = 0;
  state->offsets.size = 0;
  return qn_sort_keys_encode(qn_order_columns_of(order, batch), order->orders, order->n_main, batch->n_rows,
                             &state->keys, &state->offsets, err);
}

static qn_status keep_bound(top_op *state, const qn_batch *batch, int64_t row, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *last = NULL;

  QN_TRY(qn_batch_slice(batch, row, 1, &last, err));
  QN_TRY(encode_keys(state, last, err));
  state->bound.size = 0;
  QN_TRY(qn_buffer_append(&state->bound, state->keys.data, state->keys.size, err));
  state->has_bound = true;

done:
  qn_batch_free(last);
  return status;
}

// Sorts the rows and keeps the first n of them.
static qn_status cut(top_op *state, qn_error *err) {
  qn_status status = QN_OK;
  const qn_order_columns *order = &state->order;
  const int64_t n = state->op.node->n;
  qn_row_parts parts = {0};
  qn_batch *batch = NULL;
  int32_t *rows = NULL;

  QN_TRY(qn_batch_builder_finish(&state->rows, &batch, err));
  QN_TRY(qn_row_parts_init(&parts, batch->schema, 1, err));
  QN_TRY(qn_row_parts_append(&parts, batch, 0, err));
  QN_TRY(qn_row_parts_freeze(&parts, err));
  rows = qn_memory_alloc(batch->n_rows * (int64_t)sizeof *rows);
  QN_REQUIRE(rows != NULL, err, QN_ERR_MEMORY, "no memory to sort %" PRId64 " rows", batch->n_rows);
  QN_TRY(qn_sort_row_parts(&parts, order->columns, order->orders, order->n, order->n_main, rows, err));
  const int64_t n_kept = n < batch->n_rows ? n : batch->n_rows;
  QN_TRY(qn_batch_builder_append_gather(&state->rows, batch, rows, n_kept, err));
  if (n_kept == n) {
    QN_TRY(keep_bound(state, batch, rows[n - 1], err));
  }
  const int64_t n_bytes = qn_batch_builder_n_bytes(&state->rows);
  state->most_bytes = n_bytes > MOST_BYTES / 2 ? 2 * n_bytes : MOST_BYTES;

done:
  qn_row_parts_release(&parts);
  qn_batch_free(batch);
  qn_memory_free(rows);
  return status;
}

static qn_status make_room(top_op *state, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;

  if (n_rows > state->capacity) {
    qn_memory_free(state->chosen);
    state->capacity = 0;
    state->chosen = qn_memory_alloc(n_rows * (int64_t)sizeof *state->chosen);
    QN_REQUIRE(state->chosen != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " row numbers", n_rows);
    state->capacity = n_rows;
  }

done:
  return status;
}

// Appends the rows that may be among the first n. One that equals the last known row in its main keys is too
// late, unless other columns break ties.
static qn_status append_better(top_op *state, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const int worst = state->order.n > state->order.n_main ? 0 : -1;
  int64_t n = 0;

  QN_TRY(make_room(state, batch->n_rows, err));
  QN_TRY(encode_keys(state, batch, err));
  const int64_t *offsets = (const int64_t *)(const void *)state->offsets.data;
  for (int64_t i = 0; i < batch->n_rows; i++) {
    const int order = qn_sort_key_compare(state->keys.data + offsets[i], offsets[i + 1] - offsets[i],
                                          state->bound.data, state->bound.size);
    state->chosen[n] = (int32_t)i;
    n += order <= worst;
  }
  QN_TRY(qn_batch_builder_append_gather(&state->rows, batch, state->chosen, n, err));

done:
  return status;
}

static qn_status push_top(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  top_op *state = (top_op *)op;

  if (op->node->n == 0) {
    return QN_OK;
  }
  if (state->sort != NULL) {
    return qn_range_sort_append(state->sort, batch, err);
  }
  if (state->has_bound) {
    QN_TRY(append_better(state, batch, err));
  } else {
    QN_TRY(qn_batch_builder_append_range(&state->rows, batch, 0, batch->n_rows, err));
  }
  if (state->rows.n_rows >= state->most_rows ||
      (state->rows.n_rows > op->node->n && qn_batch_builder_n_bytes(&state->rows) > state->most_bytes)) {
    QN_TRY(cut(state, err));
  }

done:
  return status;
}

static qn_status push_rows(top_op *state, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *all = NULL, *batch = NULL;

  QN_TRY(cut(state, err));
  QN_TRY(qn_batch_builder_finish(&state->rows, &all, err));
  for (int64_t first = 0; first < all->n_rows && !qn_op_is_full(state->op.next); first += QN_BATCH_ROWS) {
    const int64_t left = all->n_rows - first;
    QN_TRY(qn_batch_slice(all, first, left < QN_BATCH_ROWS ? left : QN_BATCH_ROWS, &batch, err));
    QN_TRY(qn_op_push(state->op.next, batch, err));
    qn_batch_free(batch);
    batch = NULL;
  }

done:
  qn_batch_free(batch);
  qn_batch_free(all);
  return status;
}

// Gives out those of the first n rows of all that are on this rank.
static qn_status push_sorted(const top_op *state, qn_error *err) {
  qn_status status = QN_OK;
  int64_t before = 0;

  QN_TRY(qn_range_sort_finish(state->sort, err));
  QN_TRY(qn_rows_before(state->op.run, qn_range_sort_n_rows(state->sort), &before, err));
  QN_TRY(qn_range_sort_push(state->sort, state->op.node->n - before, err));

done:
  return status;
}

static qn_status finish_top(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  top_op *state = (top_op *)op;

  if (state->sort != NULL) {
    QN_TRY(push_sorted(state, err));
  } else if (op->node->n > 0) {
    QN_TRY(push_rows(state, err));
  }
  QN_TRY(qn_op_finish(op->next, err));

done:
  return status;
}

static void close_top(qn_op *op) {
  top_op *state = (top_op *)op;

  qn_range_sort_free(state->sort);
  qn_batch_builder_release(&state->rows);
  qn_buffer_release(&state->bound);
  qn_buffer_release(&state->keys);
  qn_buffer_release(&state->offsets);
  qn_memory_free(state->chosen);
  *state = (top_op){.op = state->op};
}

static const qn_op_ops top_ops = {
    .name = "top", .state_size = sizeof(top_op), .push = push_top, .finish = finish_top, .close = close_top};

static qn_status new_top(qn_run *run, const qn_dataset *node, bool input_has_order, qn_op *next, qn_op **out,
                         qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_op_new(run, &top_ops, node, next, out, err));
  top_op *state = (top_op *)*out;
  qn_order_columns *order = &state->order;
  state->op.is_full = node->n == 0;
  QN_TRY(qn_order_columns_init(order, node->schema, &run->arena, err));
  qn_order_columns_add_order(order, node->order, node->n_order);
  if (!input_has_order) {
    qn_order_columns_add_rest(order);
  }
  if (node->n > MOST_KEPT) {
    QN_TRY(qn_range_sort_new(&state->op, node->schema, order, QN_TIES_APART, &state->sort, err));
    state->op.is_spread = true;
  } else {
    state->most_rows = node->n < MORE_ROWS ? node->n + MORE_ROWS : 2 * node->n;
    state->most_bytes = MOST_BYTES;
    QN_TRY(qn_batch_builder_init(&state->rows, node->schema, err));
  }

done:
  return status;
}

qn_status qn_make_top(qn_run *run, const qn_dataset *node, bool input_has_order, qn_op *next, qn_op **out,
                      qn_error *err) {
  qn_status status = QN_OK;
  qn_op *best = NULL, *gather = NULL;

  QN_TRY(new_top(run, node, input_has_order, next, &best, err));
  if (qn_comm_size(run->comm) > 1 && node->n <= MOST_KEPT) {
    QN_TRY(qn_make_gather_exchange(run, node->schema, 0, true, best, &gather, err));
    QN_TRY(new_top(run, node, input_has_order, gather, &best, err));
  }
  *out = best;

done:
  return status;
}
