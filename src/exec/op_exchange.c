// SPDX-License-Identifier: Apache-2.0
// Exchanges as operators: what is pushed goes to the right rank, and what arrives is pushed on.
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "exec/record.h"
#include "exec/spool.h"
#include "kernel/hash_columns.h"

typedef struct exchange_op {
  qn_op op;
  qn_exchange *exchange;
  const int *keys; // hash; NULL: all rows go to `destination`
  int n_keys;
  int destination;
  const qn_column **columns; // [n_keys]
  uint64_t *hashes;          // [capacity]
  int32_t *destinations;     // [capacity]
  int64_t capacity;
  qn_spool *waiting; // in rank order: rows of a rank that is not the first, until its turn; else NULL
} exchange_op;

static qn_status deliver(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  const qn_op *op = ctx;
  (void)from_rank;
  return qn_op_push(op->next, batch, err);
}

static qn_status make_room(exchange_op *state, int64_t n_rows, qn_error *err) {
  if (n_rows <= state->capacity) {
    return QN_OK;
  }
  qn_memory_free(state->hashes);
  qn_memory_free(state->destinations);
  state->hashes = qn_memory_alloc(n_rows * (int64_t)sizeof *state->hashes);
  state->destinations = qn_memory_alloc(n_rows * (int64_t)sizeof *state->destinations);
  state->capacity = state->hashes == NULL || state->destinations == NULL ? 0 : n_rows;
  return state->capacity == 0
             ? qn_fail(err, QN_ERR_MEMORY, "no memory to spread %lld rows", (long long)n_rows)
             : QN_OK;
}

static qn_status push_hash(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  exchange_op *state = (exchange_op *)op;
  const int n_ranks = qn_comm_size(op->run->comm);

  if (n_ranks == 1) {
    return qn_op_push(op->next, batch, err);
  }
  QN_TRY(make_room(state, batch->n_rows, err));
  for (int k = 0; k < state->n_keys; k++) {
    state->columns[k] = &batch->columns[state->keys[k]];
  }
  qn_hash_columns(state->columns, state->n_keys, batch->n_rows, state->hashes);
  for (int64_t row = 0; row < batch->n_rows; row++) {
    state->destinations[row] = qn_hash_to_range(state->hashes[row], n_ranks);
  }
  QN_TRY(qn_exchange_scatter(state->exchange, batch, state->destinations, err));

done:
  return status;
}

static qn_status send_one(void *ctx, const qn_batch *batch, qn_error *err) {
  const exchange_op *state = ctx;
  return qn_exchange_send(state->exchange, batch, state->destination, err);
}

static qn_status push_one(qn_op *op, const qn_batch *batch, qn_error *err) {
  exchange_op *state = (exchange_op *)op;
  return state->waiting != NULL ? qn_spool_append(state->waiting, batch, err) : send_one(state, batch, err);
}

static qn_status finish(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  exchange_op *state = (exchange_op *)op;

  if (state->waiting != NULL) {
    QN_TRY(qn_spool_drain(state->waiting, send_one, state, err));
  }
  QN_TRY(qn_exchange_finish(state->exchange, err));
  qn_op_note_exchange(op, state->exchange);
  QN_TRY(qn_op_finish(op->next, err));

done:
  return status;
}

static void close_exchange(qn_op *op) {
  exchange_op *state = (exchange_op *)op;

  if (state->exchange != NULL) {
    qn_exchange_close(state->exchange);
    state->exchange = NULL;
  }
  qn_spool_free(state->waiting);
  state->waiting = NULL;
  qn_memory_free(state->hashes);
  qn_memory_free(state->destinations);
  state->hashes = NULL;
  state->destinations = NULL;
}

static const qn_op_ops hash_ops = {.name = "exchange by hash",
                                   .state_size = sizeof(exchange_op),
                                   .push = push_hash,
                                   .finish = finish,
                                   .close = close_exchange};

static const qn_op_ops gather_ops = {.name = "exchange to one rank",
                                     .state_size = sizeof(exchange_op),
                                     .push = push_one,
                                     .finish = finish,
                                     .close = close_exchange};

static qn_status new_exchange(qn_run *run, const qn_op_ops *ops, const qn_schema *schema, bool in_rank_order,
                              qn_op *next, exchange_op **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_op *op = NULL;
  // Whoever waits for its turn has all its rows by then, so that nobody before it needs anything of it.
  const qn_exchange_options options = {.in_rank_order = in_rank_order, .waits_for_turn = in_rank_order};

  QN_TRY(qn_op_new(run, ops, NULL, next, &op, err));
  *out = (exchange_op *)op;
  if (in_rank_order && qn_comm_rank(run->comm) > 0) {
    QN_TRY(qn_spool_new(schema, run->scratch, &(*out)->waiting, err));
  }
  QN_TRY(qn_exchange_open(run->comm, schema, &options, deliver, op, &(*out)->exchange, err));

done:
  return status;
}

qn_status qn_make_gather_exchange(qn_run *run, const qn_schema *schema, int destination, bool in_rank_order,
                                  qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  exchange_op *state = NULL;

  QN_TRY(new_exchange(run, &gather_ops, schema, in_rank_order, next, &state, err));
  state->destination = destination;
  *out = &state->op;

done:
  return status;
}

qn_status qn_make_hash_exchange(qn_run *run, const qn_schema *schema, const int *keys, int n_keys,
                                qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  exchange_op *state = NULL;

  if (n_keys == 0) {
    return qn_make_gather_exchange(run, schema, 0, false, next, out, err);
  }
  QN_TRY(new_exchange(run, &hash_ops, schema, false, next, &state, err));
  state->op.is_spread = true;
  state->keys = keys;
  state->n_keys = n_keys;
  state->columns = qn_arena_alloc(&run->arena, (int64_t)sizeof *state->columns * n_keys);
  QN_REQUIRE(state->columns != NULL, err, QN_ERR_MEMORY, "no memory for an operator");
  *out = &state->op;

done:
  return status;
}
