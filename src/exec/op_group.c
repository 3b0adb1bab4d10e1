// SPDX-License-Identifier: Apache-2.0
// Group: rows of a key meet on one rank and are sorted by key and order; the job's callback then reads them
// key by key, as slices of the sorted batches, so that a key may have more rows than memory holds.
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "exec/job_state.h"
#include "exec/key_exchange.h"
#include "exec/order_columns.h"
#include "exec/row_changes.h"
#include "exec/run.h"
#include "exec/sorter.h"

struct qn_group {
  const qn_dataset *node;
  qn_comm *comm;
  qn_sorter *sorter;
  qn_batch *batch; // sorted rows, NULL at their end
  uint8_t *starts; // [capacity] 1: the row is the first of a key
  int64_t capacity;
  int64_t row;      // of batch, the next one to be read
  bool is_at_start; // that row is the first of the key at hand
  qn_batch *given;  // what the callback has
  qn_status status; // of a failure to get rows, whatever the callback makes of it
  qn_error error;
};

typedef struct group_op {
  qn_op op;
  qn_order_columns order;
  qn_group group;
  qn_appender *appender;
} group_op;

static qn_status push_group(qn_op *op, const qn_batch *batch, qn_error *err) {
  return qn_sorter_append(((group_op *)op)->group.sorter, batch, err);
}

// Gets the next sorted rows and finds the keys in them.
static qn_status load_batch(qn_group *group, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *before = group->batch;

  group->batch = NULL;
  group->row = 0;
  QN_TRY(qn_comm_poll(group->comm, err));
  QN_TRY(qn_sorter_next(group->sorter, &group->batch, err));
  if (group->batch == NULL) {
    goto done;
  }
  const int64_t n_rows = group->batch->n_rows;
  if (n_rows > group->capacity) {
    qn_memory_free(group->starts);
    group->capacity = 0;
    group->starts = qn_memory_alloc(n_rows);
    QN_REQUIRE(group->starts != NULL, err, QN_ERR_MEMORY, "no memory for %lld rows", (long long)n_rows);
    group->capacity = n_rows;
  }
  memset(group->starts, 0, (size_t)n_rows);
  qn_mark_changes(before, group->batch, group->node->keys, group->node->n_keys, group->starts);

done:
  qn_batch_free(before);
  return status;
}

// Goes to the key's next rows: [*first, *first + *n) of group->batch, none at its end.
static qn_status next_rows(qn_group *group, int64_t *first, int64_t *n, qn_error *err) {
  qn_status status = QN_OK;

  *n = 0;
  if (group->batch != NULL && group->row == group->batch->n_rows) {
    QN_TRY(load_batch(group, err));
  }
  if (group->batch == NULL || (group->starts[group->row] != 0 && !group->is_at_start)) {
    goto done;
  }
  group->is_at_start = false;
  *first = group->row;
  const uint8_t *next =
      memchr(group->starts + group->row + 1, 1, (size_t)(group->batch->n_rows - group->row - 1));
  group->row = next == NULL ? group->batch->n_rows : next - group->starts;
  *n = group->row - *first;

done:
  return status;
}

QN_API qn_status qn_group_next(qn_group *group, const qn_batch **out) {
  qn_status status = group->status;
  qn_error *err = &group->error;
  int64_t first = 0;
  int64_t n = 0;

  *out = NULL;
  qn_batch_free(group->given);
  group->given = NULL;
  if (status != QN_OK) {
    return status;
  }
  QN_TRY(next_rows(group, &first, &n, err));
  if (n > 0) {
    QN_TRY(qn_batch_slice(group->batch, first, n, &group->given, err));
    *out = group->given;
  }

done:
  group->status = status;
  return status;
}

// Calls the callback for the key that begins at the row at hand.
static qn_status call(group_op *state, qn_error *err) {
  qn_status status = QN_OK;
  qn_group *group = &state->group;
  const qn_dataset *node = state->op.node;
  const qn_job *job = state->op.run->job;

  const qn_status called = node->group(group, state->appender, node->ctx);
  if (group->status != QN_OK) {
    if (err != NULL) {
      *err = group->error;
    }
    status = group->status;
    goto done;
  }
  QN_TRY(qn_appender_status(state->appender, err));
  if (called != QN_OK && job != NULL && job->pending != QN_OK) { // the callback has said why
    if (err != NULL) {
      *err = job->pending_error;
    }
    status = job->pending;
    goto done;
  }
  QN_REQUIRE(called == QN_OK, err, QN_ERR_CALLBACK, "group: the group callback returned '%s'",
             qn_status_text(called));

done:
  return status;
}

static qn_status finish_group(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  group_op *state = (group_op *)op;
  qn_group *group = &state->group;
  int64_t first = 0;
  int64_t n = 0;

  QN_TRY(qn_sorter_finish(group->sorter, err));
  QN_TRY(load_batch(group, err));
  while (group->batch != NULL && !qn_op_is_full(op->next)) {
    group->is_at_start = true;
    QN_TRY(call(state, err));
    do { // what the callback has not read
      QN_TRY(next_rows(group, &first, &n, err));
    } while (n > 0);
  }
  QN_TRY(qn_appender_flush(state->appender, err));
  QN_TRY(qn_op_finish(op->next, err));

done:
  return status;
}

static void close_group(qn_op *op) {
  group_op *state = (group_op *)op;

  qn_sorter_free(state->group.sorter);
  qn_batch_free(state->group.batch);
  qn_batch_free(state->group.given);
  qn_memory_free(state->group.starts);
  qn_appender_free(state->appender);
  *state = (group_op){.op = state->op};
}

static const qn_op_ops group_ops = {.name = "group",
                                    .state_size = sizeof(group_op),
                                    .push = push_group,
                                    .finish = finish_group,
                                    .close = close_group};

static qn_status pass_on(void *ctx, qn_batch *batch, qn_error *err) {
  const qn_op *op = ctx;
  return qn_op_push(op->next, batch, err);
}

qn_status qn_make_group(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_schema *input = node->inputs[0]->schema;
  qn_op *op = NULL;

  QN_TRY(qn_op_new(run, &group_ops, node, next, &op, err));
  group_op *state = (group_op *)op;
  qn_order_columns *order = &state->order;
  state->group.node = node;
  state->group.comm = run->comm;
  QN_TRY(qn_appender_new(node->schema, &state->appender, err));
  qn_appender_set_sink(state->appender, pass_on, op);
  QN_TRY(qn_order_columns_init(order, input, &run->arena, err));
  qn_order_columns_add_keys(order, node->keys, node->n_keys);
  qn_order_columns_add_order(order, node->order, node->n_order);
  qn_order_columns_add_rest(order);
  QN_TRY(
      qn_sorter_new(input, order->columns, order->orders, order->n, run->scratch, &state->group.sorter, err));
  qn_sorter_set_main_keys(state->group.sorter, order->n_main);
  QN_TRY(qn_make_key_exchange(run, node, op, out, err));

done:
  return status;
}
