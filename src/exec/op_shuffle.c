// SPDX-License-Identifier: Apache-2.0
// Shuffle: by hash of keys, by ranges of keys, or by a function of the job.
//
// By range rows with equal keys stay together, unlike in a sort: what is done with a range afterwards may
// rest on it.
#include <inttypes.h>
#include "base/check.h"
#include "base/memory.h"
#include "exec/job_state.h"
#include "exec/key_exchange.h"
#include "exec/order_columns.h"
#include "exec/range_splits.h"
#include "exec/record.h"
#include "exec/spool.h"

typedef struct shuffle_op {
  qn_op op;
  qn_exchange *exchange;
  int32_t *destinations; // [capacity]
  int64_t capacity;
  qn_order_columns order; // by range: the rest too
  qn_spool *rows;
  qn_range_sampler *sampler;
  qn_range_splits *splits;
} shuffle_op;

static qn_status deliver(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  const qn_op *op = ctx;
  (void)from_rank;
  return qn_op_push(op->next, batch, err);
}

static qn_status make_room(shuffle_op *state, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;

  if (n_rows > state->capacity) {
    qn_memory_free(state->destinations);
    state->capacity = 0;
    state->destinations = qn_memory_alloc(n_rows * (int64_t)sizeof *state->destinations);
    QN_REQUIRE(state->destinations != NULL, err, QN_ERR_MEMORY, "no memory to spread %" PRId64 " rows",
               n_rows);
    state->capacity = n_rows;
  }

done:
  return status;
}

static void close_shuffle(qn_op *op) {
  shuffle_op *state = (shuffle_op *)op;

  qn_exchange_close(state->exchange);
  qn_range_splits_free(state->splits);
  qn_range_sampler_free(state->sampler);
  qn_spool_free(state->rows);
  qn_memory_free(state->destinations);
  *state = (shuffle_op){.op = state->op};
}

static qn_status finish_exchange(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_exchange_finish(((shuffle_op *)op)->exchange, err));
  qn_op_note_exchange(op, ((shuffle_op *)op)->exchange);
  QN_TRY(qn_op_finish(op->next, err));

done:
  return status;
}

// --- by a function

static qn_status push_own(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  shuffle_op *state = (shuffle_op *)op;
  const qn_job *job = op->run->job;
  const int n_ranks = qn_comm_size(op->run->comm);

  QN_TRY(make_room(state, batch->n_rows, err));
  for (int64_t i = 0; i < batch->n_rows; i++) {
    state->destinations[i] = -1; // what the callback leaves out is found
  }
  const qn_status called = op->node->partition(batch, n_ranks, state->destinations, op->node->ctx);
  if (called != QN_OK && job != NULL && job->pending != QN_OK) { // the callback has said why
    if (err != NULL) {
      *err = job->pending_error;
    }
    status = job->pending;
    goto done;
  }
  QN_REQUIRE(called == QN_OK, err, QN_ERR_CALLBACK,
             "shuffle: the callback returned '%s' for a batch of %" PRId64 " rows", qn_status_text(called),
             batch->n_rows);
  for (int64_t i = 0; i < batch->n_rows; i++) {
    QN_REQUIRE(state->destinations[i] >= 0 && state->destinations[i] < n_ranks, err, QN_ERR_CALLBACK,
               "shuffle: the callback set destination %" PRId32 " for row %" PRId64 " of a batch of %" PRId64
               "; destinations are 0 to %d",
               state->destinations[i], i, batch->n_rows, n_ranks - 1);
  }
  QN_TRY(qn_exchange_scatter(state->exchange, batch, state->destinations, err));

done:
  return status;
}

static const qn_op_ops own_ops = {.name = "shuffle by function",
                                  .state_size = sizeof(shuffle_op),
                                  .push = push_own,
                                  .finish = finish_exchange,
                                  .close = close_shuffle};

static qn_status make_own(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_op_new(run, &own_ops, node, next, out, err));
  shuffle_op *state = (shuffle_op *)*out;
  QN_TRY(qn_exchange_open(run->comm, node->schema, NULL, deliver, state, &state->exchange, err));

done:
  return status;
}

// --- by range

static qn_status push_range(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const shuffle_op *state = (const shuffle_op *)op;

  QN_TRY(qn_range_sampler_add(state->sampler, batch, err));
  QN_TRY(qn_spool_append(state->rows, batch, err));

done:
  return status;
}

static qn_status finish_range(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  shuffle_op *state = (shuffle_op *)op;
  const qn_range_options options = {.splits_ties = false};
  qn_batch *batch = NULL;

  QN_TRY(qn_range_splits_new(op->run->comm, state->sampler, &options, &state->splits, err));
  QN_TRY(qn_exchange_open(op->run->comm, op->node->schema, NULL, deliver, state, &state->exchange, err));
  QN_TRY(qn_spool_rewind(state->rows, err));
  for (int64_t first_row = 0;;) {
    QN_TRY(qn_spool_take(state->rows, &batch, err));
    if (batch == NULL) {
      break;
    }
    QN_TRY(make_room(state, batch->n_rows, err));
    QN_TRY(qn_range_splits_find(state->splits, batch, first_row, state->destinations, err));
    QN_TRY(qn_exchange_scatter(state->exchange, batch, state->destinations, err));
    first_row += batch->n_rows;
    qn_batch_free(batch);
    batch = NULL;
  }
  QN_TRY(finish_exchange(op, err));

done:
  qn_batch_free(batch);
  return status;
}

static const qn_op_ops range_ops = {.name = "shuffle by range",
                                    .state_size = sizeof(shuffle_op),
                                    .push = push_range,
                                    .finish = finish_range,
                                    .close = close_shuffle};

static qn_status make_range(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_op_new(run, &range_ops, node, next, out, err));
  shuffle_op *state = (shuffle_op *)*out;
  QN_TRY(qn_order_columns_init(&state->order, node->schema, &run->arena, err));
  qn_order_columns_add_order(&state->order, node->order, node->n_order);
  QN_TRY(qn_range_sampler_new(&state->order, qn_comm_size(run->comm), &state->sampler, err));
  QN_TRY(qn_spool_new(node->schema, run->scratch, &state->rows, err));

done:
  return status;
}

qn_status qn_make_shuffle(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  switch (node->shuffle_kind) {
  case QN_SHUFFLE_HASH:
    return qn_make_key_exchange(run, node, next, out, err);
  case QN_SHUFFLE_RANGE:
    return make_range(run, node, next, out, err);
  case QN_SHUFFLE_OWN:
    return make_own(run, node, next, out, err);
  }
  return qn_fail(err, QN_ERR_ARG, "unknown kind of shuffle %d", (int)node->shuffle_kind);
}
