// SPDX-License-Identifier: Apache-2.0
// Reduce. Each rank groups its own rows first and sends states, one per group, to the rank that the key
// hashes to, which merges them. If grouping does not make the rows fewer, rows are sent as states of their
// own (bypass), but for those of keys that come often; it is tried again later. If the groups outgrow memory
// the sender sends early, and the receiver puts states out to partitions by hash bits, which it merges one
// after the other at the end (recursively).
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "exec/grouping.h"
#include "exec/run.h"
#include "exec/spool.h"
#include "kernel/frequent_rows.h"

enum {
  WINDOW_ROWS = 1 << 17,    // after which a rank judges whether grouping pays
  SHORT_WINDOW_ROWS = 8192, // the same, if the groups had to be sent for want of memory
  BYPASS_WINDOWS = 16,      // without grouping until it is tried again
  FEW_FREQUENT = 128,       // rows: fewer than one in so many are not worth being taken out
  N_PARTITIONS = 16,        // spill partitions, four hash bits a level
  MAX_LEVEL = 8,
  LEAST_SPILL_GROUPS = 1024,    // putting out fewer does not help against a tight budget, ...
  LARGE_GROUP_BYTES = 64 << 10, // ... unless they are as large as this
};
static const int64_t most_kept = INT64_C(1)
                                 << 30; // bytes of groups before they are sent, whatever the budget

typedef struct reduce_op {
  qn_op op;
  qn_grouping *grouping;
  int64_t n_order; // place of the next row in the order of all ranks
  int64_t n_window_rows;
  int64_t n_window_groups; // there when the window began
  bool is_bypass;
  qn_grouping *frequent;              // bypass: the groups of keys that come often; NULL before
  qn_frequent_keys *frequent_keys;    // bypass
  qn_spool *partitions[N_PARTITIONS]; // final: NULL until something was spilled
} reduce_op;

static qn_status finish_next(qn_op *op, qn_error *err) {
  return qn_op_finish(op->next, err);
}

static void close_reduce(qn_op *op) {
  reduce_op *state = (reduce_op *)op;

  qn_grouping_free(state->grouping);
  state->grouping = NULL;
  qn_grouping_free(state->frequent);
  state->frequent = NULL;
  free(state->frequent_keys);
  state->frequent_keys = NULL;
  for (int p = 0; p < N_PARTITIONS; p++) {
    qn_spool_free(state->partitions[p]);
    state->partitions[p] = NULL;
  }
}

// --- Before the exchange
// ----------------------------------------------------------------------------------------------

static qn_status send_states(reduce_op *state, qn_grouping *grouping, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  const int64_t n_groups = qn_grouping_n_groups(grouping);

  for (int64_t first = 0; first < n_groups; first += batch->n_rows) {
    qn_batch_free(batch);
    batch = NULL;
    QN_TRY(qn_grouping_states(grouping, first, qn_grouping_n_fitting(grouping, first), &batch, err));
    QN_TRY(qn_op_push(state->op.next, batch, err));
  }
  if (n_groups > 0) {
    QN_TRY(qn_grouping_renew(grouping, err));
  }

done:
  qn_batch_free(batch);
  return status;
}

// A share of the budget that the sender's groups may take; they are sent before they grow past it.
static bool is_full(const qn_grouping *grouping) {
  const int64_t budget = qn_memory_budget();
  const int64_t most = budget > 0 && budget / 4 < most_kept ? budget / 4 : most_kept;
  return qn_grouping_n_bytes(grouping) > most;
}

static void begin_window(reduce_op *state) {
  state->n_window_rows = 0;
  state->n_window_groups = qn_grouping_n_groups(state->grouping);
}

static qn_status begin_bypass(reduce_op *state, qn_error *err) {
  qn_status status = QN_OK;

  state->is_bypass = true;
  if (state->frequent == NULL) {
    QN_TRY(qn_grouping_new(state->op.node, &state->frequent, err));
    state->frequent_keys = calloc(1, sizeof *state->frequent_keys);
    QN_REQUIRE(state->frequent_keys != NULL, err, QN_ERR_MEMORY, "no memory for aggregates");
  }

done:
  return status;
}

static qn_status push_grouped(reduce_op *state, const qn_batch *batch, int64_t order, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_grouping_update(state->grouping, batch, order, err));
  state->n_window_rows += batch->n_rows;
  const bool must_send = is_full(state->grouping);
  if (state->n_window_rows >= (must_send ? SHORT_WINDOW_ROWS : WINDOW_ROWS)) {
    const int64_t n_new = qn_grouping_n_groups(state->grouping) - state->n_window_groups;
    if (n_new * 4 > state->n_window_rows * 3) {
      QN_TRY(begin_bypass(state, err));
    }
    begin_window(state);
  }
  if (state->is_bypass || must_send) {
    QN_TRY(send_states(state, state->grouping, err));
    begin_window(state);
  }

done:
  return status;
}

static qn_status send_wrapped(reduce_op *state, const qn_batch *batch, int64_t order, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *states = NULL;

  QN_TRY(qn_grouping_wrap(state->grouping, batch, order, &states, err));
  QN_TRY(qn_op_push(state->op.next, states, err));

done:
  qn_batch_free(states);
  return status;
}

// The rows of keys that come often are grouped even so: else they would all go to one rank.
static qn_status push_split(reduce_op *state, const qn_batch *batch, int64_t order, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = batch->n_rows;
  qn_batch *parts[2] = {NULL, NULL};
  uint64_t *hashes = qn_memory_alloc(n * (int64_t)sizeof *hashes);
  int32_t *rows = qn_memory_alloc(2 * n * (int64_t)sizeof *rows);

  QN_REQUIRE(hashes != NULL && rows != NULL, err, QN_ERR_MEMORY, "no memory to group a batch");
  qn_grouping_hash_rows(state->grouping, batch, hashes);
  const int64_t n_frequent = qn_frequent_split(state->frequent_keys, hashes, n, rows, rows + n);
  if (n_frequent * FEW_FREQUENT < n) {
    QN_TRY(send_wrapped(state, batch, order, err));
    goto done;
  }
  QN_TRY(qn_batch_gather(batch, rows, n_frequent, &parts[0], err));
  QN_TRY(qn_grouping_update(state->frequent, parts[0], order, err));
  if (n_frequent < n) {
    QN_TRY(qn_batch_gather(batch, rows + n, n - n_frequent, &parts[1], err));
    QN_TRY(send_wrapped(state, parts[1], order, err));
  }
  if (is_full(state->frequent)) {
    QN_TRY(send_states(state, state->frequent, err));
  }

done:
  qn_memory_free(hashes);
  qn_memory_free(rows);
  qn_batch_free(parts[0]);
  qn_batch_free(parts[1]);
  return status;
}

static qn_status push_bypass(reduce_op *state, const qn_batch *batch, int64_t order, qn_error *err) {
  qn_status status = QN_OK;

  if (qn_reduce_wants_order(state->op.node)) { // rows that are taken out would lose their places
    QN_TRY(send_wrapped(state, batch, order, err));
  } else {
    QN_TRY(push_split(state, batch, order, err));
  }
  state->n_window_rows += batch->n_rows;
  if (state->n_window_rows >= (int64_t)BYPASS_WINDOWS * WINDOW_ROWS) {
    state->is_bypass = false;
    qn_grouping_clear(state->grouping);
    begin_window(state);
  }

done:
  return status;
}

static qn_status push_partial(qn_op *op, const qn_batch *batch, qn_error *err) {
  reduce_op *state = (reduce_op *)op;
  const int64_t order = state->n_order;

  state->n_order += batch->n_rows;
  return state->is_bypass ? push_bypass(state, batch, order, err) : push_grouped(state, batch, order, err);
}

static qn_status finish_partial(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  reduce_op *state = (reduce_op *)op;

  if (!state->is_bypass) {
    QN_TRY(send_states(state, state->grouping, err));
  }
  qn_grouping_free(state->grouping);
  state->grouping = NULL;
  if (state->frequent != NULL) {
    QN_TRY(send_states(state, state->frequent, err));
  }
  qn_grouping_free(state->frequent);
  state->frequent = NULL;
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

// Four bits of the hash that neither the choice of the rank (the highest) nor the place in a table (the
// lowest) depends on: keys of one partition that agreed in these would crowd a part of every table.
static int partition_of(uint64_t hash, int level) {
  const int shift = level < 6 ? 32 + 4 * level : 28 - 4 * (level - 6);
  return (int)(hash >> shift & (N_PARTITIONS - 1));
}

static qn_status spill_rows(reduce_op *state, qn_spool **partitions, int level, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  qn_batch *part = NULL;
  const int64_t n_groups = qn_grouping_n_groups(state->grouping);
  const uint64_t *hashes = qn_grouping_hashes(state->grouping);
  int32_t *rows = qn_memory_alloc((int64_t)sizeof *rows * QN_BATCH_ROWS);

  QN_REQUIRE(rows != NULL, err, QN_ERR_MEMORY, "no memory to spill groups");
  for (int64_t first = 0, n = 0; first < n_groups; first += n) {
    n = qn_grouping_n_fitting(state->grouping, first);
    QN_TRY(qn_grouping_states(state->grouping, first, n, &batch, err));
    for (int p = 0; p < N_PARTITIONS; p++) {
      int64_t n_here = 0;
      for (int64_t i = 0; i < n; i++) {
        rows[n_here] = (int32_t)i;
        n_here += partition_of(hashes[first + i], level) == p;
      }
      QN_TRY(qn_batch_gather(batch, rows, n_here, &part, err));
      QN_TRY(qn_spool_append(partitions[p], part, err));
      qn_batch_free(part);
      part = NULL;
    }
    qn_batch_free(batch);
    batch = NULL;
  }
  QN_TRY(qn_grouping_renew(state->grouping, err));
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
  const int64_t n_groups = qn_grouping_n_groups(state->grouping);
  const bool does_help =
      n_groups >= LEAST_SPILL_GROUPS || (n_groups > 1 && bytes / n_groups > LARGE_GROUP_BYTES);
  return budget > 0 && does_help && bytes > budget / 16 &&
         (bytes > budget / 2 || qn_memory_is_tight(bytes / 2));
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
  QN_TRY(qn_grouping_renew(state->grouping, err)); // what it takes is no sign that the next rows are many

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
