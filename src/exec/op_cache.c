// SPDX-License-Identifier: Apache-2.0
// Cache: a tee into a spool.
#include "exec/op_cache.h"

#include "base/check.h"

typedef struct cache_op {
  qn_op op;
  qn_cached *cached; // NULL once the node has it
} cache_op;

static qn_status push(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  cache_op *state = (cache_op *)op;

  QN_TRY(qn_spool_append(state->cached->spool, batch, err));
  QN_TRY(qn_op_push(op->next, batch, err));

done:
  return status;
}

static qn_status finish(qn_op *op, qn_error *err) {
  return qn_op_finish(op->next, err);
}

static void close_cache(qn_op *op) {
  cache_op *state = (cache_op *)op;

  if (state->cached == NULL) {
    return;
  }
  if (op->run->has_succeeded && *op->node->cached == NULL) {
    *op->node->cached = state->cached;
  } else {
    qn_spool_free(state->cached->spool);
  }
  state->cached = NULL;
}

static const qn_op_ops cache_ops = {
    .name = "cache", .state_size = sizeof(cache_op), .push = push, .finish = finish, .close = close_cache};

qn_status qn_make_cache(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_cached *cached = qn_arena_alloc(&node->plan->arena, sizeof *cached);

  QN_REQUIRE(cached != NULL, err, QN_ERR_MEMORY, "no memory for a cache");
  QN_TRY(qn_op_new(run, &cache_ops, node, next, out, err));
  QN_TRY(qn_spool_new(node->schema, run->scratch, &cached->spool, err));
  ((cache_op *)*out)->cached = cached;

done:
  return status;
}

void qn_cached_free_all(qn_plan *plan) {
  for (int i = 0; i < plan->n_nodes; i++) {
    qn_cached **cached = plan->nodes[i]->cached;
    if (cached != NULL && *cached != NULL) { // copies of a node share the place
      qn_spool_free((*cached)->spool);
      *cached = NULL;
    }
  }
}
