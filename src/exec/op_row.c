// SPDX-License-Identifier: Apache-2.0
// Operators that look at one row at a time: filter, select, map, sample.
#include <string.h>
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "exec/run.h"
#include "kernel/hash_columns.h"

static qn_status finish_next(qn_op *op, qn_error *err) {
  return qn_op_finish(op->next, err);
}

// --- filter
// -----------------------------------------------------------------------------------------------------------

typedef struct rows_op {
  qn_op op;
  int32_t *rows, *more_rows; // [capacity]
  uint8_t *is_among;
  int64_t capacity;
  uint64_t *hashes; // sample
  const qn_column **columns;
} rows_op;

static qn_status make_rows_room(rows_op *state, int64_t n_rows, qn_error *err) {
  if (n_rows <= state->capacity) {
    return QN_OK;
  }
  qn_memory_free(state->rows);
  qn_memory_free(state->more_rows);
  qn_memory_free(state->is_among);
  qn_memory_free(state->hashes);
  state->rows = qn_memory_alloc(n_rows * (int64_t)sizeof *state->rows);
  state->more_rows = qn_memory_alloc(n_rows * (int64_t)sizeof *state->more_rows);
  state->is_among = qn_memory_alloc(n_rows);
  state->hashes = qn_memory_alloc(n_rows * (int64_t)sizeof *state->hashes);
  const bool has_all =
      state->rows != NULL && state->more_rows != NULL && state->is_among != NULL && state->hashes != NULL;
  state->capacity = has_all ? n_rows : 0;
  return state->capacity == 0 ? qn_fail(err, QN_ERR_MEMORY, "no memory for row numbers") : QN_OK;
}

static qn_status push_gathered(qn_op *op, const qn_batch *batch, const int32_t *rows, int64_t n,
                               qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *kept = NULL;

  if (n == batch->n_rows) {
    return qn_op_push(op->next, batch, err);
  }
  if (n > 0) {
    QN_TRY(qn_batch_gather(batch, rows, n, &kept, err));
    QN_TRY(qn_op_push(op->next, kept, err));
  }

done:
  qn_batch_free(kept);
  return status;
}

// Rows of rows[0 .. n - 1] that are among the others too, in place; their number. A byte per row of the
// batch, and no branch, where going through both lists side by side would wait for each comparison.
static int64_t intersect(rows_op *state, int64_t n_rows, int64_t n_others, int64_t n_all) {
  int32_t *rows = state->rows;
  uint8_t *is_among = state->is_among;
  int64_t n = 0;

  memset(is_among, 0, (size_t)n_all);
  for (int64_t i = 0; i < n_others; i++) {
    is_among[state->more_rows[i]] = 1;
  }
  for (int64_t i = 0; i < n_rows; i++) {
    const int32_t row = rows[i];
    rows[n] = row;
    n += is_among[row];
  }
  return n;
}

// Most rows have passed so far, so that gathering them costs more than another look at all: where that can do
// no harm.
static bool may_look_at_all(const qn_expr *condition, int64_t n, const qn_batch *batch) {
  return n > batch->n_rows / 4 && !qn_expr_can_fail(condition);
}

// The columns that the filter gives.
static qn_status project(const qn_dataset *node, const qn_batch *batch, qn_batch **out, qn_error *err) {
  if (node->columns == NULL) {
    *out = qn_batch_share(batch);
    return QN_OK;
  }
  return qn_batch_project(batch, node->schema, node->columns, out, err);
}

static qn_status push_filter(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  rows_op *state = (rows_op *)op;
  const qn_dataset *node = op->node;
  qn_batch *in = qn_batch_share(batch); // of it rows[0 .. n - 1] have passed
  qn_batch *out = NULL;
  int64_t n = batch->n_rows;

  QN_TRY(make_rows_room(state, batch->n_rows, err));
  for (int c = 0; c < node->n_conditions && n > 0; c++) {
    const qn_expr *condition = node->conditions[c];
    int64_t n_more = 0;
    if (c > 0 && n < in->n_rows && may_look_at_all(condition, n, in)) {
      QN_TRY(qn_expr_select(condition, in, state->more_rows, &n_more, err));
      n = intersect(state, n, n_more, in->n_rows);
      continue;
    }
    if (c > 0 && n < in->n_rows) {
      QN_TRY(qn_batch_gather(in, state->rows, n, &out, err));
      qn_batch_free(in);
      in = out;
      out = NULL;
    }
    QN_TRY(qn_expr_select(condition, in, state->rows, &n, err));
  }
  if (n > 0) {
    QN_TRY(project(node, in, &out, err));
    QN_TRY(push_gathered(op, out, state->rows, n, err));
  }

done:
  qn_batch_free(in);
  qn_batch_free(out);
  return status;
}

static void close_rows(qn_op *op) {
  rows_op *state = (rows_op *)op;

  qn_memory_free(state->rows);
  qn_memory_free(state->more_rows);
  qn_memory_free(state->is_among);
  qn_memory_free(state->hashes);
  state->rows = state->more_rows = NULL;
  state->is_among = NULL;
  state->hashes = NULL;
}

static const qn_op_ops filter_ops = {.name = "filter",
                                     .state_size = sizeof(rows_op),
                                     .is_streaming = true,
                                     .push = push_filter,
                                     .finish = finish_next,
                                     .close = close_rows};

qn_status qn_make_filter(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  return qn_op_new(run, &filter_ops, node, next, out, err);
}

// --- sample
// -----------------------------------------------------------------------------------------------------------

static qn_status push_sample(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  rows_op *state = (rows_op *)op;
  const qn_dataset *node = op->node;
  int64_t n = 0;

  QN_TRY(make_rows_room(state, batch->n_rows, err));
  for (int c = 0; c < batch->n_columns; c++) {
    state->columns[c] = &batch->columns[c];
  }
  qn_hash_columns(state->columns, batch->n_columns, batch->n_rows, state->hashes);
  for (int64_t row = 0; row < batch->n_rows; row++) {
    const uint64_t hash = qn_hash_mix(state->hashes[row] ^ qn_hash_mix(node->seed + 0x9e3779b97f4a7c15ull));
    state->rows[n] = (int32_t)row;
    const double number = qn_hash_to_unit(hash);
    n += (number >= node->from && number < node->to) != node->is_outside;
  }
  QN_TRY(push_gathered(op, batch, state->rows, n, err));

done:
  return status;
}

static const qn_op_ops sample_ops = {.name = "sample",
                                     .state_size = sizeof(rows_op),
                                     .is_streaming = true,
                                     .push = push_sample,
                                     .finish = finish_next,
                                     .close = close_rows};

qn_status qn_make_sample(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_column **columns =
      qn_arena_alloc(&run->arena, (int64_t)sizeof *columns * (node->schema->n_columns + 1));

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for an operator");
  QN_TRY(qn_op_new(run, &sample_ops, node, next, out, err));
  ((rows_op *)*out)->columns = columns;

done:
  return status;
}

// --- select
// -----------------------------------------------------------------------------------------------------------

typedef struct select_op {
  qn_op op;
  qn_column *columns; // [n_exprs]
} select_op;

static qn_status push_select(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  select_op *state = (select_op *)op;
  const qn_dataset *node = op->node;
  qn_batch *made = NULL;
  int n = 0;

  for (; n < node->n_exprs; n++) {
    QN_TRY(qn_expr_eval(node->exprs[n].expr, batch, &state->columns[n], err));
  }
  n = 0; // taken over by the batch
  QN_TRY(qn_batch_new_take(node->schema, batch->n_rows, state->columns, &made, err));
  qn_batch_set_origin(made, &batch->origin);
  QN_TRY(qn_op_push(op->next, made, err));

done:
  for (int c = 0; c < n; c++) {
    qn_column_release(&state->columns[c]);
  }
  qn_batch_free(made);
  return status;
}

static const qn_op_ops select_ops = {.name = "select",
                                     .state_size = sizeof(select_op),
                                     .is_streaming = true,
                                     .push = push_select,
                                     .finish = finish_next};

qn_status qn_make_select(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_column *columns = qn_arena_alloc(&run->arena, (int64_t)sizeof *columns * (node->n_exprs + 1));

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for an operator");
  QN_TRY(qn_op_new(run, &select_ops, node, next, out, err));
  ((select_op *)*out)->columns = columns;

done:
  return status;
}

// --- map
// --------------------------------------------------------------------------------------------------------------

typedef struct map_op {
  qn_op op;
  qn_appender *appender;
} map_op;

static qn_status pass_on(void *ctx, qn_batch *batch, qn_error *err) {
  const qn_op *op = ctx;
  return qn_op_push(op->next, batch, err);
}

static qn_status push_map(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const map_op *state = (const map_op *)op;

  const qn_status mapped = op->node->map(batch, state->appender, op->node->ctx);
  QN_TRY(qn_appender_status(state->appender, err));
  if (mapped != QN_OK) {
    char where[256];
    qn_batch_describe_row(batch, 0, where, sizeof where);
    QN_REQUIRE(false, err, QN_ERR_CALLBACK,
               "map: the callback returned '%s' for the batch of %lld rows from %s", qn_status_text(mapped),
               (long long)batch->n_rows, where[0] == '\0' ? "a row made by the job" : where);
  }

done:
  return status;
}

static qn_status finish_map(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_appender_flush(((map_op *)op)->appender, err));
  QN_TRY(qn_op_finish(op->next, err));

done:
  return status;
}

static void close_map(qn_op *op) {
  map_op *state = (map_op *)op;

  qn_appender_free(state->appender);
  state->appender = NULL;
}

static const qn_op_ops map_ops = {.name = "map",
                                  .state_size = sizeof(map_op),
                                  .is_streaming = true,
                                  .push = push_map,
                                  .finish = finish_map,
                                  .close = close_map};

qn_status qn_make_map(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_op_new(run, &map_ops, node, next, out, err));
  map_op *state = (map_op *)*out;
  QN_TRY(qn_appender_new(node->schema, &state->appender, err));
  qn_appender_set_sink(state->appender, pass_on, &state->op);

done:
  return status;
}
