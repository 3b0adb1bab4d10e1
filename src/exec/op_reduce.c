// SPDX-License-Identifier: Apache-2.0
// Reduce. Each rank groups its own rows first and sends states, one per group, to the rank that the key
// hashes to, which merges them. If grouping does not make the rows fewer, rows are sent as states of their
// own (bypass); if the groups outgrow memory the sender sends early, and the receiver puts states out to
// partitions by hash bits, which it merges one after the other at the end (recursively).
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "exec/grouping.h"
#include "exec/run.h"
#include "exec/spool.h"

enum {
  BYPASS_AFTER_ROWS = 1 << 17, // rows after which a rank judges whether grouping pays
  N_PARTITIONS = 16,           // spill partitions, four hash bits a level
  MAX_LEVEL = 8,
  LEAST_SPILL_GROUPS = 1024 // putting out fewer does not help against a tight budget
};

typedef struct reduce_op {
  qn_op op;
  qn_grouping *grouping;
  int64_t n_rows;  // so far
  int64_t n_order; // place of the next row in the order of all ranks
  bool is_bypass;
  qn_spool *partitions[N_PARTITIONS]; // final: NULL until something was spilled
} reduce_op;

static qn_status finish_next(qn_op *op, qn_error *err) {
  return qn_op_finish(op->next, err);
}

static void close_reduce(qn_op *op) {
  reduce_op *state = (reduce_op *)op;

  qn_grouping_free(state->grouping);
  state->grouping = NULL;
  for (int p = 0; p < N_PARTITIONS; p++) {
    qn_spool_free(state->partitions[p]);
    state->partitions[p] = NULL;
  }
}

// --- Before the exchange
// ----------------------------------------------------------------------------------------------

static qn_status send_states(reduce_op *state, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  const int64_t n_groups = qn_grouping_n_groups(state->grouping);

  for (int64_t first = 0; first < n_groups; first += QN_BATCH_ROWS) {
    const int64_t left = n_groups - first;
    QN_TRY(
        qn_grouping_states(state->grouping, first, left < QN_BATCH_ROWS ? left : QN_BATCH_ROWS, &batch, err));
    QN_TRY(qn_op_push(state->op.next, batch, err));
    qn_batch_free(batch);
    batch = NULL;
  }
  qn_grouping_clear(state->grouping);

done:
  qn_batch_free(batch);
  return status;
}

// A share of the budget that the sender's groups may take; they are sent before they grow past it.
static bool is_sender_full(const reduce_op *state) {
  const int64_t budget = qn_memory_budget();
  return budget > 0 && qn_grouping_n_bytes(state->grouping) > budget / 4;
}

static qn_status push_partial(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  reduce_op *state = (reduce_op *)op;
  qn_batch *states = NULL;
  const int64_t order = state->n_order;

  state->n_order += batch->n_rows;
  if (state->is_bypass) {
    QN_TRY(qn_grouping_wrap(state->grouping, batch, order, &states, err));
    QN_TRY(qn_op_push(op->next, states, err));
    goto done;
  }
  QN_TRY(qn_grouping_update(state->grouping, batch, order, err));
  state->n_rows += batch->n_rows;
  const bool is_judged =
      state->n_rows >= BYPASS_AFTER_ROWS && state->n_rows - batch->n_rows < BYPASS_AFTER_ROWS;
  if (is_judged && qn_grouping_n_groups(state->grouping) * 4 > state->n_rows * 3) {
    state->is_bypass = true;
  }
  if (state->is_bypass || is_sender_full(state)) {
    QN_TRY(send_states(state, err));
  }

done:
  qn_batch_free(states);
  return status;
}

static qn_status finish_partial(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  reduce_op *state = (reduce_op *)op;

  if (!state->is_bypass) {
    QN_TRY(send_states(state, err));
  }
  qn_grouping_free(state->grouping);
  state->grouping = NULL;
  QN_TRY(finish_next(op, err));

done:
  return status;
}

static const qn_op_ops partial_ops = {.name = "reduce here",
                                      .state_size = sizeof(reduce_op),
                                      .push = push_partial,
                                      .finish = finish_partial,
                                      .close = close_reduce};

// --- After the exchange, or without one
// -------------------------------------------------------------------------------

static qn_status spill_rows(reduce_op *state, qn_spool **partitions, int level, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  qn_batch *part = NULL;
  const int64_t n_groups = qn_grouping_n_groups(state->grouping);
  const uint64_t *hashes = qn_grouping_hashes(state->grouping);
  int32_t *rows = qn_memory_alloc((int64_t)sizeof *rows * QN_BATCH_ROWS);

  QN_REQUIRE(rows != NULL, err, QN_ERR_MEMORY, "no memory to spill groups");
  for (int64_t first = 0; first < n_groups; first += QN_BATCH_ROWS) {
    const int64_t n = n_groups - first < QN_BATCH_ROWS ? n_groups - first : QN_BATCH_ROWS;
    QN_TRY(qn_grouping_states(state->grouping, first, n, &batch, err));
    for (int p = 0; p < N_PARTITIONS; p++) {
      int64_t n_here = 0;
      for (int64_t i = 0; i < n; i++) {
        rows[n_here] = (int32_t)i;
        n_here += (int)((hashes[first + i] >> (4 * level)) & (N_PARTITIONS - 1)) == p;
      }
      QN_TRY(qn_batch_gather(batch, rows, n_here, &part, err));
      QN_TRY(qn_spool_append(partitions[p], part, err));
      qn_batch_free(part);
      part = NULL;
    }
    qn_batch_free(batch);
    batch = NULL;
  }
  qn_grouping_clear(state->grouping);
  for (int p = 0; p < N_PARTITIONS; p++) {
    QN_TRY(qn_spool_spill(partitions[p], err));
  }

done:
  qn_memory_free(rows);
  qn_batch_free(batch);
  qn_batch_free(part);
  return status;
}

static qn_status open_partitions(reduce_op *state, qn_spool **partitions, qn_error *err) {
  qn_status status = QN_OK;

  for (int p = 0; p < N_PARTITIONS && partitions[p] == NULL; p++) {
    QN_TRY(
        qn_spool_new(qn_grouping_state_schema(state->grouping), state->op.run->scratch, &partitions[p], err));
    if (p > 0) {
      qn_spool_share_file(partitions[p], partitions[0]);
    }
  }

done:
  return status;
}

// Groups are put out when memory is short and they are what takes it.
static bool must_spill(const reduce_op *state) {
  const int64_t bytes = qn_grouping_n_bytes(state->grouping);
  const int64_t budget = qn_memory_budget();
  return budget > 0 && qn_grouping_n_groups(state->grouping) >= LEAST_SPILL_GROUPS && bytes > budget / 16 &&
         (bytes > budget / 3 || qn_memory_is_tight(bytes / 2));
}

static qn_status spill_if_needed(reduce_op *state, qn_spool **partitions, int level, qn_error *err) {
  qn_status status = QN_OK;

  if (level <= MAX_LEVEL && must_spill(state)) {
    QN_TRY(open_partitions(state, partitions, err));
    QN_TRY(spill_rows(state, partitions, level, err));
  }

done:
  return status;
}

static qn_status push_final(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  reduce_op *state = (reduce_op *)op;

  QN_TRY(qn_grouping_merge(state->grouping, batch, err));
  QN_TRY(spill_if_needed(state, state->partitions, 1, err));

done:
  return status;
}

static qn_status push_complete(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  reduce_op *state = (reduce_op *)op;

  QN_TRY(qn_grouping_update(state->grouping, batch, state->n_order, err));
  state->n_order += batch->n_rows;
  QN_TRY(spill_if_needed(state, state->partitions, 1, err));

done:
  return status;
}

static qn_status emit_results(reduce_op *state, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  const int64_t n_groups = qn_grouping_n_groups(state->grouping);

  for (int64_t first = 0; first < n_groups; first += QN_BATCH_ROWS) {
    const int64_t left = n_groups - first;
    QN_TRY(qn_grouping_results(state->grouping, first, left < QN_BATCH_ROWS ? left : QN_BATCH_ROWS, &batch,
                               err));
    QN_TRY(qn_op_push(state->op.next, batch, err));
    qn_batch_free(batch);
    batch = NULL;
    QN_TRY(qn_comm_poll(state->op.run->comm, err));
  }
  qn_grouping_clear(state->grouping);

done:
  qn_batch_free(batch);
  return status;
}

// Merges what one partition holds, in partitions of its own if that is still too much.
static qn_status emit_partitions(reduce_op *state, qn_spool **partitions, int level, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  qn_spool *smaller[N_PARTITIONS] = {NULL};

  for (int p = 0; p < N_PARTITIONS; p++) {
    QN_TRY(qn_spool_rewind(partitions[p], err));
    for (;;) {
      QN_TRY(qn_spool_take(partitions[p], &batch, err));
      if (batch == NULL) {
        break;
      }
      QN_TRY(qn_grouping_merge(state->grouping, batch, err));
      QN_TRY(spill_if_needed(state, smaller, level + 1, err));
      qn_batch_free(batch);
      batch = NULL;
      QN_TRY(qn_comm_poll(state->op.run->comm, err));
    }
    qn_spool_free(partitions[p]);
    partitions[p] = NULL;
    if (smaller[0] != NULL) {
      QN_TRY(spill_rows(state, smaller, level + 1, err));
      QN_TRY(emit_partitions(state, smaller, level + 1, err));
    } else {
      QN_TRY(emit_results(state, err));
    }
  }

done:
  qn_batch_free(batch);
  for (int p = 0; p < N_PARTITIONS; p++) {
    qn_spool_free(smaller[p]);
  }
  return status;
}

static qn_status finish_final(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  reduce_op *state = (reduce_op *)op;

  if (op->node->n_keys == 0 && qn_comm_rank(op->run->comm) == 0) {
    QN_TRY(qn_grouping_make_one(state->grouping, err)); // aggregates of no rows are a row too
  }
  if (state->partitions[0] != NULL) {
    QN_TRY(spill_rows(state, state->partitions, 1, err));
    QN_TRY(emit_partitions(state, state->partitions, 1, err));
  } else {
    QN_TRY(emit_results(state, err));
  }
  qn_grouping_free(state->grouping);
  state->grouping = NULL;
  QN_TRY(finish_next(op, err));

done:
  return status;
}

static const qn_op_ops final_ops = {.name = "reduce",
                                    .state_size = sizeof(reduce_op),
                                    .push = push_final,
                                    .finish = finish_final,
                                    .close = close_reduce};

static const qn_op_ops complete_ops = {.name = "reduce rows",
                                       .state_size = sizeof(reduce_op),
                                       .push = push_complete,
                                       .finish = finish_final,
                                       .close = close_reduce};

static qn_status new_reduce(qn_run *run, const qn_op_ops *ops, const qn_dataset *node, qn_op *next,
                            qn_op **out, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_op_new(run, ops, node, next, out, err));
  reduce_op *state = (reduce_op *)*out;
  QN_TRY(qn_grouping_new(node, &state->grouping, err));
  state->n_order = (int64_t)qn_comm_rank(run->comm) << 40; // rank 0's rows come first in the order of all

done:
  return status;
}

bool qn_reduce_wants_order(const qn_dataset *node) {
  for (int i = 0; i < node->n_aggregates; i++) {
    if (node->aggregates[i].kind == QN_AGG_FIRST) {
      return true;
    }
  }
  return false;
}

// Keys of states are their first columns.
static const int *first_columns(qn_run *run, int n) {
  int *columns = qn_arena_alloc(&run->arena, (int64_t)sizeof *columns * (n + 1));
  for (int c = 0; columns != NULL && c < n; c++) {
    columns[c] = c;
  }
  return columns;
}

qn_status qn_make_reduce(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_op *final = NULL;
  qn_op *exchange = NULL;
  const qn_dataset *input = node->inputs[0];

  if (qn_comm_size(run->comm) == 1 || qn_plan_is_partitioned(input, node->keys, node->n_keys)) {
    return new_reduce(run, &complete_ops, node, next, out, err);
  }
  const int *keys = first_columns(run, node->n_keys);
  QN_REQUIRE(keys != NULL, err, QN_ERR_MEMORY, "no memory for an operator");
  QN_TRY(new_reduce(run, &final_ops, node, next, &final, err));
  const qn_schema *states = qn_grouping_state_schema(((reduce_op *) final)->grouping);
  QN_TRY(qn_make_hash_exchange(run, states, keys, node->n_keys, final, &exchange, err));
  QN_TRY(new_reduce(run, &partial_ops, node, exchange, out, err));

done:
  return status;
}
