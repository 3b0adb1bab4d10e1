// SPDX-License-Identifier: Apache-2.0
// Combine: rows of a key by the job's own associative function. Each rank combines what it holds of its own
// rows, sends them to the rank that the key hashes to, which sorts them by key (spilling if need be) and
// combines each key's rows.
#include <stdlib.h>

#include "base/check.h"
#include "exec/drain_sorter.h"
#include "exec/pair_combiner.h"
#include "exec/run.h"
#include "exec/sorter.h"

enum { HELD_ROWS = 1 << 16 };

typedef struct combine_op {
  qn_op op;
  qn_pair_combiner *combiner;
  qn_batch_builder held; // here: rows not yet combined
  qn_sorter *sorter;     // after the exchange
  qn_batch *carry;       // one row: the last key so far
} combine_op;

static void close_combine(qn_op *op) {
  combine_op *state = (combine_op *)op;

  qn_pair_combiner_free(state->combiner);
  state->combiner = NULL;
  qn_batch_builder_release(&state->held);
  qn_sorter_free(state->sorter);
  state->sorter = NULL;
  qn_batch_free(state->carry);
  state->carry = NULL;
}

// Combines what is held; sends it on if that is wanted or if it did not get much less.
static qn_status combine_held(combine_op *state, bool must_send, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *rows = NULL;
  qn_batch *sorted = NULL;
  qn_batch *combined = NULL;

  if (state->held.n_rows == 0) {
    goto done;
  }
  QN_TRY(qn_batch_builder_finish(&state->held, &rows, err));
  QN_TRY(qn_pair_combiner_sort(state->combiner, rows, &sorted, err));
  QN_TRY(qn_pair_combiner_run(state->combiner, sorted, &combined, err));
  if (must_send || combined->n_rows > HELD_ROWS / 2) {
    QN_TRY(qn_op_push(state->op.next, combined, err));
  } else {
    QN_TRY(qn_batch_builder_append_range(&state->held, combined, 0, combined->n_rows, err));
  }

done:
  qn_batch_free(rows);
  qn_batch_free(sorted);
  qn_batch_free(combined);
  return status;
}

static qn_status push_here(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  combine_op *state = (combine_op *)op;

  QN_TRY(qn_batch_builder_append_range(&state->held, batch, 0, batch->n_rows, err));
  if (state->held.n_rows >= HELD_ROWS) {
    QN_TRY(combine_held(state, false, err));
  }

done:
  return status;
}

static qn_status finish_here(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(combine_held((combine_op *)op, true, err));
  QN_TRY(qn_op_finish(op->next, err));

done:
  return status;
}

static const qn_op_ops here_ops = {.name = "combine here",
                                   .state_size = sizeof(combine_op),
                                   .push = push_here,
                                   .finish = finish_here,
                                   .close = close_combine};

static qn_status push_final(qn_op *op, const qn_batch *batch, qn_error *err) {
  return qn_sorter_append(((combine_op *)op)->sorter, batch, err);
}

// Combines a sorted batch together with the row carried over; all but its last row go on, that one is
// carried.
static qn_status combine_batch(void *ctx, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  combine_op *state = ctx;
  qn_batch *with_carry = NULL;
  qn_batch *combined = NULL;
  qn_batch *done_rows = NULL;
  qn_batch *const both[2] = {state->carry, (qn_batch *)(uintptr_t)batch};
  const int n_parts = state->carry == NULL ? 1 : 2;

  QN_TRY(qn_batch_concat(batch->schema, both + 2 - n_parts, n_parts, &with_carry, err));
  QN_TRY(qn_pair_combiner_run(state->combiner, with_carry, &combined, err));
  qn_batch_free(state->carry);
  state->carry = NULL;
  QN_TRY(qn_batch_slice(combined, combined->n_rows - 1, 1, &state->carry, err));
  if (combined->n_rows > 1) {
    QN_TRY(qn_batch_slice(combined, 0, combined->n_rows - 1, &done_rows, err));
    QN_TRY(qn_op_push(state->op.next, done_rows, err));
  }

done:
  qn_batch_free(with_carry);
  qn_batch_free(combined);
  qn_batch_free(done_rows);
  return status;
}

static qn_status finish_final(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  combine_op *state = (combine_op *)op;

  QN_TRY(qn_drain_sorter(state->sorter, op->run->comm, combine_batch, state, err));
  if (state->carry != NULL) {
    QN_TRY(qn_op_push(op->next, state->carry, err));
  }
  QN_TRY(qn_op_finish(op->next, err));

done:
  return status;
}

static const qn_op_ops final_ops = {.name = "combine",
                                    .state_size = sizeof(combine_op),
                                    .push = push_final,
                                    .finish = finish_final,
                                    .close = close_combine};

static qn_status new_combine(qn_run *run, const qn_op_ops *ops, const qn_dataset *node, qn_op *next,
                             qn_op **out, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_op_new(run, ops, node, next, out, err));
  combine_op *state = (combine_op *)*out;
  QN_TRY(qn_batch_builder_init(&state->held, node->schema, err));
  QN_TRY(qn_pair_combiner_new(node, &state->combiner, err));

done:
  return status;
}

qn_status qn_make_combine(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_op *final = NULL;
  qn_op *exchange = NULL;
  qn_order *orders = qn_arena_alloc(&run->arena, (int64_t)sizeof *orders * (node->n_keys + 1));

  QN_REQUIRE(orders != NULL, err, QN_ERR_MEMORY, "no memory for an operator");
  QN_TRY(new_combine(run, &final_ops, node, next, &final, err));
  QN_TRY(qn_sorter_new(node->schema, node->keys, orders, node->n_keys, run->scratch,
                       &((combine_op *) final)->sorter, err));
  exchange = final;
  if (!qn_plan_is_partitioned(node->inputs[0], node->keys, node->n_keys)) {
    QN_TRY(qn_make_hash_exchange(run, node->schema, node->keys, node->n_keys, final, &exchange, err));
  }
  QN_TRY(new_combine(run, &here_ops, node, exchange, out, err));

done:
  return status;
}
