// SPDX-License-Identifier: Apache-2.0
// Hash join. The right side is read first, each rank keeping its own rows. If all of it is small it goes to
// every rank at once, and the left stays where it is. Else the first rows of the left are kept too, until
// enough of them are known, or all; then the ranks decide together (join_choice.h), bring the build side to
// where it belongs (join_move.h), and the probe side streams into it (join_local.h).
#include "base/check.h"
#include "base/memory.h"
#include "exec/join_choice.h"
#include "exec/join_local.h"
#include "exec/join_move.h"
#include "exec/join_spill.h"
#include "exec/record.h"
#include "exec/run.h"
#include "exec/spool.h"

enum {
  LEFT = 0,
  RIGHT = 1,
  PREFIX_BYTES = 16 << 20 // of the left on each rank, by which the join decides
};

typedef struct join_state {
  const qn_dataset *node;
  qn_run *run;
  qn_op *next, *left_op;
  bool may_wait;     // for other ranks, while left rows are pushed
  bool is_left_done; // all left rows of this rank have come
  bool is_decided;
  qn_spool *own[2]; // this rank's rows of the sides until it is decided
  qn_join_sampler samplers[2];
  qn_join_choice choice;
  qn_join_output outputs[QN_N_ROUTES];
  qn_join_local *locals[QN_N_ROUTES]; // NULL where no row goes that way
  qn_join_move *build, *probe;
  qn_buffer bloom;
  int64_t n_joined;
} join_state;

typedef struct join_op {
  qn_op op;
  join_state *join;
} join_op;

static qn_status push_joined(void *ctx, const qn_batch *joined, qn_error *err) {
  join_state *join = ctx;
  join->n_joined += joined->n_rows;
  return qn_op_push(join->next, joined, err);
}

// --- When it is decided

// The kind under which probe rows do not come out by themselves.
static qn_join_kind kind_of_pairs(qn_join_kind kind, int build_side) {
  if (!qn_join_settles(kind, 1 - build_side)) {
    return kind;
  }
  return kind != QN_JOIN_FULL ? QN_JOIN_INNER : build_side == LEFT ? QN_JOIN_LEFT : QN_JOIN_RIGHT;
}

// Rows that go to all ranks are kept once on each node, if it has memory for that. The first rank of a node
// has them and their table twice for a moment.
static qn_status find_memory(const join_state *join, qn_join_expected *expected, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_rows = join->choice.n_build_rows, n_bytes = join->choice.n_build_bytes;
  const int64_t needed = qn_join_table_cost(n_rows, n_bytes + n_bytes / 8);

  QN_TRY(
      qn_node_memory_new(join->run->comm, needed, !qn_memory_is_tight(2 * needed), &expected->memory, err));
  expected->in_table |= expected->memory != NULL; // who has them may not put them out

done:
  return status;
}

static qn_status make_locals(join_state *join, qn_error *err) {
  qn_status status = QN_OK;
  const qn_join_choice *choice = &join->choice;
  const qn_join_kind kind = join->node->join_kind;
  const bool settles = qn_join_settles(kind, choice->build_side);
  const int n_ranks = qn_comm_size(join->run->comm);

  for (int route = 0; route < QN_N_ROUTES; route++) {
    const bool is_all = route == (choice->is_broadcast ? QN_ROUTE_SHARED : QN_ROUTE_HOME);
    if (is_all || choice->n_heavy[route] > 0) {
      join->outputs[route] =
          (qn_join_output){.node = join->node,
                           .kind = route == QN_ROUTE_SPREAD ? kind_of_pairs(kind, choice->build_side) : kind,
                           .joined = push_joined,
                           .ctx = join};
      qn_join_expected expected = {.in_table = route == QN_ROUTE_SHARED && settles};
      if (route == QN_ROUTE_HOME) {
        expected.n_rows = choice->n_build_rows / n_ranks;
        expected.n_bytes = choice->n_build_bytes / n_ranks;
      }
      if (choice->is_broadcast) {
        QN_TRY(find_memory(join, &expected, err));
      }
      QN_TRY(qn_join_local_new(join->run, &join->outputs[route], choice->build_side, &expected,
                               &join->locals[route], err));
    }
  }

done:
  return status;
}

static qn_status move_build_rows(void *ctx, const qn_batch *batch, qn_error *err) {
  return qn_join_move_rows(((join_state *)ctx)->build, batch, err);
}

static qn_status move_probe_rows(void *ctx, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const join_state *join = ctx;

  QN_TRY(qn_join_move_rows(join->probe, batch, err));
  QN_TRY(qn_comm_poll(join->run->comm, err));

done:
  return status;
}

static qn_status drain(join_state *join, int side, qn_status (*visit)(void *, const qn_batch *, qn_error *),
                       qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_spool_drain(join->own[side], visit, join, err));
  qn_spool_free(join->own[side]);
  join->own[side] = NULL;

done:
  return status;
}

// Brings the build side to where the choice wants it, and builds it there.
static qn_status build(join_state *join, qn_error *err) {
  qn_status status = QN_OK;
  const qn_join_choice *choice = &join->choice;

  QN_TRY(make_locals(join, err));
  QN_TRY(
      qn_join_move_new(join->run, join->node, choice, choice->build_side, join->locals, &join->build, err));
  QN_TRY(drain(join, choice->build_side, move_build_rows, err));
  QN_TRY(qn_join_move_finish(join->build, err));
  for (int route = 0; route < QN_N_ROUTES; route++) {
    if (join->locals[route] != NULL) {
      QN_TRY(qn_join_local_build(join->locals[route], err));
    }
  }
  if (choice->n_bloom_blocks > 0) {
    QN_TRY(qn_join_move_gather_bloom(join->build, &join->bloom, err));
  }

done:
  return status;
}

// What the ranks decided, in words.
static void note_choice(join_state *join) {
  static const char *const sides[] = {"left", "right"};
  const qn_join_choice *choice = &join->choice;
  const qn_join_local *local = join->locals[choice->is_broadcast ? QN_ROUTE_SHARED : QN_ROUTE_HOME];
  const char *way = qn_comm_size(join->run->comm) == 1 ? ""
                    : choice->is_broadcast
                        ? qn_join_local_is_shared(local) ? ", broadcast, once a node" : ", broadcast"
                        : ", shuffled";
  const int n_spread = choice->n_heavy[QN_ROUTE_SPREAD], n_shared = choice->n_heavy[QN_ROUTE_SHARED];
  const char *filter = choice->n_bloom_blocks > 0 ? ", Bloom filter" : "";

  join->left_op->note =
      n_spread + n_shared == 0
          ? qn_arena_printf(&join->run->arena, "%s side built%s, %s%s", sides[choice->build_side], way,
                            qn_join_local_kind(local), filter)
          : qn_arena_printf(&join->run->arena, "%s side built%s, %s%s, %d heavy keys spread, %d shared",
                            sides[choice->build_side], way, qn_join_local_kind(local), filter, n_spread,
                            n_shared);
}

// From here on probe rows are joined as they come.
static qn_status begin(join_state *join, qn_error *err) {
  qn_status status = QN_OK;
  const int probe_side = 1 - join->choice.build_side;

  QN_TRY(build(join, err));
  note_choice(join);
  QN_TRY(qn_join_move_new(join->run, join->node, &join->choice, probe_side, join->locals, &join->probe, err));
  if (join->choice.n_bloom_blocks > 0) {
    qn_join_move_use_bloom(join->probe, &join->bloom);
  }
  join->is_decided = true;
  // Else what is pushed on here could wait, and left rows that come meanwhile would be joined within the
  // joining of these.
  if (join->may_wait || join->is_left_done) {
    QN_TRY(drain(join, probe_side, move_probe_rows, err));
  }

done:
  return status;
}

static qn_status decide(join_state *join, qn_error *err) {
  qn_status status = QN_OK;

  join->samplers[LEFT].is_whole = join->is_left_done;
  QN_TRY(qn_join_choose(join->run, join->node, RIGHT, join->samplers, &join->choice, err));
  QN_TRY(begin(join, err));

done:
  return status;
}

// --- The right side

static qn_status push_right(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  join_state *join = ((join_op *)op)->join;

  QN_TRY(qn_join_sampler_add(&join->samplers[RIGHT], batch, true, err));
  QN_TRY(qn_spool_append(join->own[RIGHT], batch, err));

done:
  return status;
}

// All rows of the right side are counted. If they are few nothing else needs to be known.
static qn_status finish_right(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  join_state *join = ((join_op *)op)->join;
  const qn_dataset *node = join->node;
  const int n_ranks = qn_comm_size(join->run->comm);
  int64_t counts[2] = {join->samplers[RIGHT].n_rows, join->samplers[RIGHT].n_bytes};

  join->samplers[RIGHT].is_whole = true;
  if (n_ranks > 1) {
    QN_TRY(qn_comm_reduce_int64(join->run->comm, QN_SUM, counts, 2, err));
    join->choice.is_broadcast =
        qn_join_is_small(node, RIGHT, counts[0], counts[1]) && !qn_join_lies_ready(node);
  }
  join->choice.build_side = RIGHT;
  join->choice.n_build_rows = counts[0];
  join->choice.n_build_bytes = counts[1];
  if (n_ranks == 1 ? qn_join_fits(counts[0], counts[1]) : join->choice.is_broadcast) {
    QN_TRY(begin(join, err));
  }

done:
  return status;
}

static void close_right(qn_op *op) {
  join_state *join = ((join_op *)op)->join;

  if (join == NULL) {
    return;
  }
  qn_join_move_free(join->build);
  qn_join_move_free(join->probe);
  join->build = join->probe = NULL;
  for (int route = 0; route < QN_N_ROUTES; route++) {
    qn_join_local_free(join->locals[route]);
    join->locals[route] = NULL;
  }
  for (int side = 0; side < 2; side++) {
    qn_spool_free(join->own[side]);
    join->own[side] = NULL;
    qn_join_sampler_release(&join->samplers[side]);
  }
  qn_join_choice_release(&join->choice);
  qn_buffer_release(&join->bloom);
}

static const qn_op_ops right_ops = {.name = "join, right side",
                                    .state_size = sizeof(join_op),
                                    .push = push_right,
                                    .finish = finish_right,
                                    .close = close_right};

// --- The left side

static qn_status push_left(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  join_state *join = ((join_op *)op)->join;
  const int64_t share = qn_memory_budget() / 16;
  const int64_t prefix = share > 0 && share < PREFIX_BYTES ? share : PREFIX_BYTES;

  if (join->is_decided) {
    QN_TRY(qn_join_move_rows(join->probe, batch, err));
    goto done;
  }
  QN_TRY(qn_join_sampler_add(&join->samplers[LEFT], batch, false, err));
  QN_TRY(qn_spool_append(join->own[LEFT], batch, err));
  const bool is_known = join->samplers[RIGHT].is_whole && qn_spool_n_bytes(join->own[LEFT]) >= prefix;
  if (join->may_wait && is_known) {
    QN_TRY(decide(join, err));
  }

done:
  return status;
}

// The work of this rank: probe rows that it had, and rows that came out.
static void note_work(const join_state *join, qn_op *op) {
  const qn_join_move_counts probe = qn_join_move_counted(join->probe);
  const qn_join_move_counts build = qn_join_move_counted(join->build);

  op->exchanged = probe.exchanges;
  op->exchanged.rows_sent += build.exchanges.rows_sent;
  op->exchanged.bytes_sent += build.exchanges.bytes_sent;
  op->exchanged.messages_sent += build.exchanges.messages_sent;
  op->exchanged.wait_ns += build.exchanges.wait_ns;
  op->exchanged.rows_received = probe.n_handled + join->n_joined;
  op->has_exchanged = true;
  op->is_spread = !join->choice.is_broadcast;
}

static qn_status finish_left(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  join_state *join = ((join_op *)op)->join;

  join->is_left_done = true;
  if (!join->is_decided) {
    QN_TRY(decide(join, err));
  } else if (join->own[LEFT] != NULL) {
    QN_TRY(drain(join, LEFT, move_probe_rows, err));
  }
  QN_TRY(qn_join_move_finish(join->probe, err));
  const bool settles = qn_join_settles(join->node->join_kind, join->choice.build_side);
  if (join->locals[QN_ROUTE_SHARED] != NULL && settles) {
    QN_TRY(qn_join_local_combine(join->locals[QN_ROUTE_SHARED], err));
  }
  for (int route = 0; route < QN_N_ROUTES; route++) {
    if (join->locals[route] != NULL) {
      QN_TRY(qn_join_local_finish(join->locals[route], err));
    }
  }
  note_work(join, op);
  QN_TRY(qn_op_finish(join->next, err));

done:
  return status;
}

static const qn_op_ops left_ops = {
    .name = "join", .state_size = sizeof(join_op), .push = push_left, .finish = finish_left};

// True if a rank that waits while it gets rows of the node waits for ranks that need nothing of it: they read
// the same source. Behind an exchange they may be waiting to send to it, and of several pipelines they may be
// in the next one.
static bool is_one_pipeline(const qn_dataset *node) {
  switch (node->kind) {
  case QN_NODE_SOURCE:
  case QN_NODE_GENERATE:
  case QN_NODE_LOCAL:
    return true;
  case QN_NODE_MAP:
  case QN_NODE_EXTEND:
  case QN_NODE_FILTER:
  case QN_NODE_SELECT:
  case QN_NODE_SAMPLE:
    return is_one_pipeline(node->inputs[0]);
  case QN_NODE_CACHE:
    return *node->cached != NULL || is_one_pipeline(node->inputs[0]);
  default:
    return false;
  }
}

qn_status qn_make_join(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **right, qn_op **left,
                       qn_error *err) {
  qn_status status = QN_OK;
  join_state *join = qn_arena_alloc(&run->arena, sizeof *join);

  QN_REQUIRE(join != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  join->node = node;
  join->run = run;
  join->next = next;
  join->may_wait = qn_comm_size(run->comm) == 1 || is_one_pipeline(node->inputs[LEFT]);
  QN_TRY(qn_op_new(run, &left_ops, node, next, left, err));
  ((join_op *)*left)->join = join;
  join->left_op = *left;
  QN_TRY(qn_op_new(run, &right_ops, node, NULL, right, err));
  ((join_op *)*right)->join = join;
  for (int side = 0; side < 2; side++) {
    QN_TRY(qn_spool_new(node->inputs[side]->schema, run->scratch, &join->own[side], err));
    QN_TRY(qn_join_sampler_init(&join->samplers[side], run, node, side, err));
  }

done:
  return status;
}
