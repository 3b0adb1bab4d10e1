// SPDX-License-Identifier: Apache-2.0
// Hash join. The right side is read first, each rank keeping its own rows; their counted size decides whether
// all of them go to every rank (small: the left stays where it is) or both sides are spread by hash of the
// keys. A side that lies by that hash already is not sent. If the build side is too large for memory both
// sides are cut into partitions by hash bits and put out to scratch, and the partitions are joined one after
// the other.
#include "base/check.h"
#include "base/memory.h"
#include "exec/join_local.h"
#include "exec/record.h"
#include "exec/run.h"
#include "exec/spool.h"

enum { BROADCAST_BYTES = 8 << 20 };

typedef struct join_state {
  const qn_dataset *node;
  qn_run *run;
  qn_join_output output;
  qn_spool *own;        // this rank's rows of the right side as they come
  qn_join_local *local; // what lies on this rank
  bool is_broadcast;
  qn_op *probe;          // takes left rows that are on the right rank
  qn_op *probe_exchange; // or NULL
} join_state;

typedef struct join_op {
  qn_op op;
  join_state *join;
} join_op;

static qn_status push_joined(void *ctx, const qn_batch *joined, qn_error *err) {
  return qn_op_push(ctx, joined, err);
}

// --- The right side
// ---------------------------------------------------------------------------------------------------

static qn_status push_build(qn_op *op, const qn_batch *batch, qn_error *err) {
  return qn_spool_append(((join_op *)op)->join->own, batch, err);
}

// Takes build rows after their exchange.
static qn_status push_moved(qn_op *op, const qn_batch *batch, qn_error *err) {
  return qn_join_local_add(((join_op *)op)->join->local, batch, err);
}

static qn_status finish_moved(qn_op *op, qn_error *err) {
  (void)op;
  (void)err;
  return QN_OK;
}

static const qn_op_ops moved_ops = {
    .name = "join build, moved", .state_size = sizeof(join_op), .push = push_moved, .finish = finish_moved};

static qn_status deliver_moved(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  (void)from_rank;
  return qn_op_push(ctx, batch, err);
}

static qn_status broadcast_batch(void *ctx, const qn_batch *batch, qn_error *err) {
  return qn_exchange_broadcast(ctx, batch, err);
}

static qn_status broadcast_rows(join_state *join, qn_spool *own, qn_op *moved, qn_error *err) {
  qn_status status = QN_OK;
  qn_exchange *exchange = NULL;

  QN_TRY(qn_exchange_open(join->run->comm, join->node->inputs[1]->schema, NULL, deliver_moved, moved,
                          &exchange, err));
  QN_TRY(qn_spool_drain(own, broadcast_batch, exchange, err));
  QN_TRY(qn_exchange_finish(exchange, err));
  qn_op_note_exchange(moved, exchange);

done:
  if (exchange != NULL) {
    qn_exchange_close(exchange);
  }
  return status;
}

static qn_status push_batch(void *ctx, const qn_batch *batch, qn_error *err) {
  return qn_op_push(ctx, batch, err);
}

static qn_status scatter_rows(join_state *join, qn_spool *own, qn_op *moved, qn_error *err) {
  qn_status status = QN_OK;
  qn_op *exchange = NULL;

  QN_TRY(qn_make_hash_exchange(join->run, join->node->inputs[1]->schema, join->node->right_keys,
                               join->node->n_keys, moved, &exchange, err));
  QN_TRY(qn_spool_drain(own, push_batch, exchange, err));
  QN_TRY(qn_op_finish(exchange, err));

done:
  return status;
}

static qn_status add_own(void *ctx, const qn_batch *batch, qn_error *err) {
  return qn_join_local_add(ctx, batch, err);
}

// All rows of the right side are counted: decide whether they go to all.
static qn_status decide(join_state *join, bool *is_moved, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = join->node;
  int64_t bytes = qn_spool_n_bytes(join->own);
  const bool right_lies = qn_plan_is_hashed(node->inputs[1], node->right_keys, node->n_keys);
  const bool left_lies = qn_plan_is_hashed(node->inputs[0], node->left_keys, node->n_keys);

  QN_TRY(qn_comm_reduce_int64(join->run->comm, QN_SUM, &bytes, 1, err));
  const int64_t budget = qn_memory_budget();
  const int64_t limit = budget > 0 && budget / 16 < BROADCAST_BYTES ? budget / 16 : BROADCAST_BYTES;
  const bool can_broadcast = !qn_join_keeps_right(node->join_kind);
  join->is_broadcast = can_broadcast && bytes <= limit && !(right_lies && left_lies);
  *is_moved = join->is_broadcast || !right_lies;

done:
  return status;
}

static qn_status move_build(join_state *join, qn_error *err) {
  qn_status status = QN_OK;
  qn_op *moved = NULL;
  bool is_moved = false;

  if (qn_comm_size(join->run->comm) > 1) {
    QN_TRY(decide(join, &is_moved, err));
  }
  if (!is_moved) {
    QN_TRY(qn_spool_drain(join->own, add_own, join->local, err));
  } else {
    QN_TRY(qn_op_new(join->run, &moved_ops, NULL, NULL, &moved, err));
    ((join_op *)moved)->join = join;
    status = join->is_broadcast ? broadcast_rows(join, join->own, moved, err)
                                : scatter_rows(join, join->own, moved, err);
    QN_TRY(status);
  }
  qn_spool_free(join->own);
  join->own = NULL;

done:
  return status;
}

static qn_status finish_build(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  join_state *join = ((join_op *)op)->join;

  QN_TRY(move_build(join, err));
  QN_TRY(qn_join_local_build(join->local, false, err));

done:
  return status;
}

static void close_build(qn_op *op) {
  join_state *join = ((join_op *)op)->join;

  if (join == NULL) {
    return;
  }
  qn_spool_free(join->own);
  qn_join_local_free(join->local);
  join->own = NULL;
  join->local = NULL;
}

static const qn_op_ops build_ops = {.name = "join build",
                                    .state_size = sizeof(join_op),
                                    .push = push_build,
                                    .finish = finish_build,
                                    .close = close_build};

// --- The left side
// ----------------------------------------------------------------------------------------------------

static qn_status push_probe(qn_op *op, const qn_batch *batch, qn_error *err) {
  return qn_join_local_probe(((join_op *)op)->join->local, batch, err);
}

static qn_status finish_probe(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  const join_state *join = ((join_op *)op)->join;

  QN_TRY(qn_join_local_finish(join->local, err));
  QN_TRY(qn_op_finish(op->next, err));

done:
  return status;
}

static const qn_op_ops probe_ops = {
    .name = "join probe", .state_size = sizeof(join_op), .push = push_probe, .finish = finish_probe};

// Where left rows come in: whether they must be sent is known only when the right side has been read. The
// exchange is there in any case, since it must be opened before those that feed it.
static qn_status push_left(qn_op *op, const qn_batch *batch, qn_error *err) {
  const join_state *join = ((join_op *)op)->join;
  const bool is_sent = join->probe_exchange != NULL && !join->is_broadcast;
  return qn_op_push(is_sent ? join->probe_exchange : join->probe, batch, err);
}

static qn_status finish_left(qn_op *op, qn_error *err) {
  const join_state *join = ((join_op *)op)->join;
  return qn_op_finish(join->probe_exchange != NULL ? join->probe_exchange : join->probe, err);
}

static const qn_op_ops left_ops = {
    .name = "join", .state_size = sizeof(join_op), .push = push_left, .finish = finish_left};

qn_status qn_make_join(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **build, qn_op **probe,
                       qn_error *err) {
  qn_status status = QN_OK;
  join_state *join = qn_arena_alloc(&run->arena, sizeof *join);

  QN_REQUIRE(join != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  join->node = node;
  join->run = run;
  join->output = (qn_join_output){.node = node, .joined = push_joined, .ctx = next};
  QN_TRY(qn_op_new(run, &probe_ops, node, next, &join->probe, err));
  ((join_op *)join->probe)->join = join;
  if (qn_comm_size(run->comm) > 1 && !qn_plan_is_hashed(node->inputs[0], node->left_keys, node->n_keys)) {
    QN_TRY(qn_make_hash_exchange(run, node->inputs[0]->schema, node->left_keys, node->n_keys, join->probe,
                                 &join->probe_exchange, err));
  }
  QN_TRY(qn_op_new(run, &left_ops, node, join->probe, probe, err));
  ((join_op *)*probe)->join = join;
  QN_TRY(qn_op_new(run, &build_ops, node, NULL, build, err));
  ((join_op *)*build)->join = join;
  QN_TRY(qn_spool_new(node->inputs[1]->schema, run->scratch, &join->own, err));
  QN_TRY(qn_join_local_new(run, &join->output, 1, &join->local, err));

done:
  return status;
}
