// SPDX-License-Identifier: Apache-2.0
// Hash join. The right side is read first, each rank keeping its own rows; their counted size decides whether
// all of them go to every rank (small: the left stays where it is) or both sides are spread by hash of the
// keys. A side that lies by that hash already is not sent. If the build side is too large for memory both
// sides are cut into partitions by hash bits and put out to scratch, and the partitions are joined one after
// the other.
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "exec/join_table.h"
#include "exec/record.h"
#include "exec/run.h"
#include "exec/spool.h"
#include "kernel/hash_columns.h"

enum { MAX_PARTITIONS = 256, BROADCAST_BYTES = 8 << 20, PARTITION_SHIFT = 12 };

typedef struct join_state {
  const qn_dataset *node;
  qn_run *run;
  qn_op *next;
  qn_spool *build; // this rank's rows of the right side: as they come, then as the exchange leaves them
  bool is_broadcast;
  bool is_built;   // the table or the partitions are there
  qn_spool *early; // left rows of ranks that had their right side earlier; or NULL
  int n_partitions;
  qn_spool **build_parts, **probe_parts; // [n_partitions] if there are more than one
  qn_join_table *table;                  // if there is one
  qn_op *probe;                          // takes left rows that are on the right rank
  qn_op *probe_exchange;                 // or NULL
  // room for hashing rows
  int64_t capacity;
  uint64_t *hashes;
  int32_t *rows;
  const qn_column **columns;
} join_state;

typedef struct join_op {
  qn_op op;
  join_state *join;
} join_op;

static qn_status push_joined(void *ctx, const qn_batch *joined, qn_error *err) {
  const join_state *join = ctx;
  return qn_op_push(join->next, joined, err);
}

// --- Partitions
// -------------------------------------------------------------------------------------------------------

static qn_status hash_rows(join_state *join, const qn_batch *batch, const int *keys, qn_error *err) {
  if (batch->n_rows > join->capacity) {
    qn_memory_free(join->hashes);
    qn_memory_free(join->rows);
    join->hashes = qn_memory_alloc(batch->n_rows * (int64_t)sizeof *join->hashes);
    join->rows = qn_memory_alloc(batch->n_rows * (int64_t)sizeof *join->rows);
    join->capacity = join->hashes == NULL || join->rows == NULL ? 0 : batch->n_rows;
    if (join->capacity == 0) {
      return qn_fail(err, QN_ERR_MEMORY, "no memory to join %lld rows", (long long)batch->n_rows);
    }
  }
  for (int k = 0; k < join->node->n_keys; k++) {
    join->columns[k] = &batch->columns[keys[k]];
  }
  qn_hash_columns(join->columns, join->node->n_keys, batch->n_rows, join->hashes);
  return QN_OK;
}

static qn_status add_to_partitions(join_state *join, const qn_batch *batch, const int *keys, qn_spool **parts,
                                   qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *part = NULL;

  QN_TRY(hash_rows(join, batch, keys, err));
  for (int p = 0; p < join->n_partitions; p++) {
    int64_t n = 0;
    for (int64_t row = 0; row < batch->n_rows; row++) {
      join->rows[n] = (int32_t)row;
      n += (int)((join->hashes[row] >> PARTITION_SHIFT) % (uint64_t)join->n_partitions) == p;
    }
    if (n > 0) {
      QN_TRY(qn_batch_gather(batch, join->rows, n, &part, err));
      QN_TRY(qn_spool_append(parts[p], part, err));
      qn_batch_free(part);
      part = NULL;
    }
  }

done:
  qn_batch_free(part);
  return status;
}

static qn_status new_partitions(join_state *join, const qn_schema *schema, qn_spool ***out, qn_error *err) {
  qn_status status = QN_OK;

  *out = qn_arena_alloc(&join->run->arena, (int64_t)sizeof **out * join->n_partitions);
  QN_REQUIRE(*out != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  for (int p = 0; p < join->n_partitions; p++) {
    QN_TRY(qn_spool_new(schema, join->run->scratch, &(*out)[p], err));
    if (p > 0) { // there may be hundreds, which one file can take
      qn_spool_share_file((*out)[p], (*out)[0]);
    }
    QN_TRY(qn_spool_spill((*out)[p], err));
  }

done:
  return status;
}

static void free_partitions(const join_state *join, qn_spool **parts) {
  for (int p = 0; parts != NULL && p < join->n_partitions; p++) {
    qn_spool_free(parts[p]);
    parts[p] = NULL;
  }
}

static qn_status add_build_rows(void *ctx, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  join_state *join = ctx;

  QN_TRY(add_to_partitions(join, batch, join->node->right_keys, join->build_parts, err));
  QN_TRY(qn_comm_poll(join->run->comm, err));

done:
  return status;
}

static qn_status partition_build(join_state *join, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = join->node;

  QN_TRY(new_partitions(join, node->inputs[1]->schema, &join->build_parts, err));
  QN_TRY(new_partitions(join, node->inputs[0]->schema, &join->probe_parts, err));
  QN_TRY(qn_spool_drain(join->build, add_build_rows, join, err));

done:
  return status;
}

static qn_status make_table(join_state *join, qn_spool *rows, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *build = NULL;

  QN_TRY(qn_spool_concat(rows, &build, err));
  QN_TRY(qn_join_table_new(join->node, build, push_joined, join, &join->table, err));

done:
  qn_batch_free(build);
  return status;
}

// The build side is in place on this rank: a table of it, or partitions.
static qn_status finish_build_side(join_state *join, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t budget = qn_memory_budget();
  const int64_t limit = budget > 0 && budget / 4 < (int64_t)1 << 30 ? budget / 4 : (int64_t)1 << 30;
  const int64_t n = qn_spool_n_bytes(join->build) / (limit > 0 ? limit : 1) + 1;

  join->n_partitions = n == 1 && !qn_spool_is_spilled(join->build)
                           ? 1
                           : (int)(n * 2 < MAX_PARTITIONS ? n * 2 : MAX_PARTITIONS);
  if (join->n_partitions == 1) {
    QN_TRY(make_table(join, join->build, err));
  } else {
    QN_TRY(partition_build(join, err));
  }
  qn_spool_free(join->build);
  join->build = NULL;
  join->is_built = true;

done:
  return status;
}

// --- The right side
// ---------------------------------------------------------------------------------------------------

static qn_status push_build(qn_op *op, const qn_batch *batch, qn_error *err) {
  return qn_spool_append(((join_op *)op)->join->build, batch, err);
}

// Takes build rows after their exchange.
static qn_status finish_moved(qn_op *op, qn_error *err) {
  (void)op;
  (void)err;
  return QN_OK;
}

static const qn_op_ops moved_ops = {
    .name = "join build, moved", .state_size = sizeof(join_op), .push = push_build, .finish = finish_moved};

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

// All rows of the right side are counted: decide, and bring them where they belong.
static qn_status move_build(join_state *join, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = join->node;
  qn_spool *own = join->build;
  qn_op *moved = NULL;
  int64_t bytes = qn_spool_n_bytes(own);
  const bool right_lies = qn_plan_is_hashed(node->inputs[1], node->right_keys, node->n_keys);
  const bool left_lies = qn_plan_is_hashed(node->inputs[0], node->left_keys, node->n_keys);

  QN_TRY(qn_comm_reduce_int64(join->run->comm, QN_SUM, &bytes, 1, err));
  const int64_t budget = qn_memory_budget();
  const int64_t limit = budget > 0 && budget / 16 < BROADCAST_BYTES ? budget / 16 : BROADCAST_BYTES;
  const bool can_broadcast = node->join_kind != QN_JOIN_RIGHT && node->join_kind != QN_JOIN_FULL;
  join->is_broadcast = can_broadcast && bytes <= limit && !(right_lies && left_lies);
  if (join->is_broadcast || !right_lies) {
    join->build = NULL;
    status = qn_spool_new(node->inputs[1]->schema, join->run->scratch, &join->build, err);
    if (status == QN_OK) {
      status = qn_op_new(join->run, &moved_ops, NULL, NULL, &moved, err);
    }
    if (status == QN_OK) {
      ((join_op *)moved)->join = join;
      status =
          join->is_broadcast ? broadcast_rows(join, own, moved, err) : scatter_rows(join, own, moved, err);
    }
    qn_spool_free(own);
    QN_TRY(status);
  }

done:
  return status;
}

static qn_status finish_build(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  join_state *join = ((join_op *)op)->join;

  if (qn_comm_size(join->run->comm) > 1) {
    QN_TRY(move_build(join, err));
  }
  QN_TRY(finish_build_side(join, err));

done:
  return status;
}

static void close_build(qn_op *op) {
  join_state *join = ((join_op *)op)->join;

  if (join == NULL) {
    return;
  }
  qn_spool_free(join->build);
  qn_spool_free(join->early);
  join->build = join->early = NULL;
  free_partitions(join, join->build_parts);
  free_partitions(join, join->probe_parts);
  qn_join_table_free(join->table);
  join->table = NULL;
  qn_memory_free(join->hashes);
  qn_memory_free(join->rows);
  join->hashes = NULL;
  join->rows = NULL;
}

static const qn_op_ops build_ops = {.name = "join build",
                                    .state_size = sizeof(join_op),
                                    .push = push_build,
                                    .finish = finish_build,
                                    .close = close_build};

// --- The left side
// ----------------------------------------------------------------------------------------------------

static qn_status probe_rows(join_state *join, const qn_batch *batch, qn_error *err) {
  if (join->table != NULL) {
    return qn_join_table_probe(join->table, batch, err);
  }
  return add_to_partitions(join, batch, join->node->left_keys, join->probe_parts, err);
}

static qn_status push_probe(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  join_state *join = ((join_op *)op)->join;

  if (join->is_built) {
    QN_TRY(probe_rows(join, batch, err));
    goto done;
  }
  if (join->early == NULL) {
    QN_TRY(qn_spool_new(join->node->inputs[0]->schema, join->run->scratch, &join->early, err));
  }
  QN_TRY(qn_spool_append(join->early, batch, err));

done:
  return status;
}

static qn_status probe_kept(void *ctx, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  join_state *join = ctx;

  QN_TRY(probe_rows(join, batch, err));
  QN_TRY(qn_comm_poll(join->run->comm, err));

done:
  return status;
}

// When no more left rows can come: what is pushed on here may wait, and rows that came meanwhile would be
// joined within the joining of others.
static qn_status probe_early(join_state *join, qn_error *err) {
  qn_status status = QN_OK;

  if (join->early != NULL) {
    QN_TRY(qn_spool_drain(join->early, probe_kept, join, err));
    qn_spool_free(join->early);
    join->early = NULL;
  }

done:
  return status;
}

static qn_status join_partition(join_state *join, int p, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(make_table(join, join->build_parts[p], err));
  QN_TRY(qn_spool_drain(join->probe_parts[p], probe_kept, join, err));
  QN_TRY(qn_join_table_finish(join->table, err));

done:
  qn_join_table_free(join->table);
  join->table = NULL;
  return status;
}

static qn_status finish_probe(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  join_state *join = ((join_op *)op)->join;

  QN_TRY(probe_early(join, err));
  if (join->table != NULL) {
    QN_TRY(qn_join_table_finish(join->table, err));
    qn_join_table_free(join->table);
    join->table = NULL;
  } else {
    for (int p = 0; p < join->n_partitions; p++) {
      QN_TRY(join_partition(join, p, err));
    }
  }
  QN_TRY(qn_op_finish(join->next, err));

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
  join->next = next;
  join->columns = qn_arena_alloc(&run->arena, (int64_t)sizeof *join->columns * (node->n_keys + 1));
  QN_REQUIRE(join->columns != NULL, err, QN_ERR_MEMORY, "no memory for a join");
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
  QN_TRY(qn_spool_new(node->inputs[1]->schema, run->scratch, &join->build, err));

done:
  return status;
}
