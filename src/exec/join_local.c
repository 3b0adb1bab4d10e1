// SPDX-License-Identifier: Apache-2.0
// Build rows are kept in a spool and become a table, unless they are, or turn out to be, too many: these go
// to partitions as they come.
#include "exec/join_local.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "exec/join_spill.h"
#include "exec/spool.h"

enum { LEAST_TO_PUT_OUT = 256 << 10 }; // bytes; less does not help a budget
enum { MARKS_PER_WORD = 4, MARK_BITS = 16, MOST_MARKS = (1 << MARK_BITS) - 1 }; // as many ranks at most

struct qn_join_local {
  qn_run *run;
  const qn_join_output *output;
  int build_side;
  qn_join_expected expected;
  qn_spool *build; // until it is built
  qn_spool *early; // probe rows of ranks that had their build side earlier; or NULL
  bool is_built;
  qn_join_table *table; // or partitions
  qn_join_spill *spill;
};

qn_status qn_join_local_new(qn_run *run, const qn_join_output *output, int build_side,
                            const qn_join_expected *expected, qn_join_local **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_join_local *local = calloc(1, sizeof *local);

  if (local == NULL) {
    qn_node_memory_free(expected->memory);
  }
  QN_REQUIRE(local != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  local->run = run;
  local->output = output;
  local->build_side = build_side;
  local->expected = *expected;
  QN_TRY(qn_spool_new(output->node->inputs[build_side]->schema, run->scratch, &local->build, err));
  *out = local;
  local = NULL;

done:
  qn_join_local_free(local);
  return status;
}

void qn_join_local_free(qn_join_local *local) {
  if (local == NULL) {
    return;
  }
  qn_spool_free(local->build);
  qn_spool_free(local->early);
  qn_join_table_free(local->table);
  qn_join_spill_free(local->spill);
  qn_node_memory_free(local->expected.memory);
  free(local);
}

static qn_status add_to_partitions(void *ctx, const qn_batch *batch, qn_error *err) {
  const qn_join_local *local = ctx;
  return qn_join_spill_add(local->spill, local->build_side, batch, err);
}

// From here on build rows go to partitions.
static qn_status begin_partitions(qn_join_local *local, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_rows = qn_spool_n_rows(local->build), n_bytes = qn_spool_n_bytes(local->build);
  const qn_join_expected *expected = &local->expected;

  QN_TRY(qn_join_spill_new(local->run, local->output, n_rows > expected->n_rows ? n_rows : expected->n_rows,
                           n_bytes > expected->n_bytes ? n_bytes : expected->n_bytes, &local->spill, err));
  QN_TRY(qn_spool_drain(local->build, add_to_partitions, local, err));
  qn_spool_free(local->build);
  local->build = NULL;

done:
  return status;
}

qn_status qn_join_local_add(qn_join_local *local, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;

  if (local->expected.memory != NULL && !qn_node_memory_is_first(local->expected.memory)) {
    goto done; // another rank of the node keeps them
  }
  if (local->spill != NULL) {
    QN_TRY(add_to_partitions(local, batch, err));
    goto done;
  }
  QN_TRY(qn_spool_append(local->build, batch, err));
  const bool fits = qn_join_fits(local->expected.n_rows, local->expected.n_bytes) &&
                    qn_join_fits(qn_spool_n_rows(local->build), qn_spool_n_bytes(local->build)) &&
                    !qn_spool_is_spilled(local->build);
  if (!local->expected.in_table && !fits) {
    QN_TRY(begin_partitions(local, err));
  }

done:
  return status;
}

static qn_status build_table(qn_join_local *local, qn_error *err) {
  qn_status status = QN_OK;
  const qn_schema *schema = local->output->node->inputs[local->build_side]->schema;
  qn_batch *rows = NULL;

  QN_TRY(qn_join_take_rows(local->build, schema, &rows, err));
  qn_spool_free(local->build);
  local->build = NULL;
  QN_TRY(qn_join_table_new(local->output, local->build_side, rows, &local->table, err));

done:
  qn_batch_free(rows);
  return status;
}

// On the first rank of a node: builds the table, leaves its bytes in the memory, and has none itself.
static qn_status fill_memory(qn_join_local *local, int64_t *size, qn_error *err) {
  qn_status status = QN_OK;
  uint8_t *room = NULL;

  QN_TRY(build_table(local, err));
  *size = qn_join_table_image_size(local->table);
  QN_TRY(qn_node_memory_room(local->expected.memory, *size, &room, err));
  QN_TRY(qn_join_table_write_image(local->table, room, *size, err));
  qn_join_table_free(local->table);
  local->table = NULL;

done:
  return status;
}

static qn_status share_table(qn_join_local *local, qn_error *err) {
  qn_status status = QN_OK;
  qn_node_memory *memory = local->expected.memory;
  const uint8_t *image = NULL;
  int64_t size = 0;
  qn_block *block = NULL;

  if (qn_node_memory_is_first(memory)) {
    QN_TRY(fill_memory(local, &size, err));
  }
  QN_TRY(qn_node_memory_share(local->run->comm, memory, &image, &size, err));
  QN_TRY(qn_block_new(qn_node_memory_ref(memory), qn_node_memory_free, &block, err));
  QN_TRY(qn_join_table_from_image(local->output, local->build_side, block, image, size, &local->table, err));

done:
  qn_block_free(block);
  return status;
}

qn_status qn_join_local_build(qn_join_local *local, qn_error *err) {
  qn_status status = QN_OK;

  if (local->spill == NULL && !local->expected.in_table) {
    // The rows are counted as memory already, the table is not.
    const int64_t more = qn_join_table_cost(qn_spool_n_rows(local->build), 0);
    if (qn_memory_is_tight(more) && qn_spool_n_bytes(local->build) > LEAST_TO_PUT_OUT) {
      QN_TRY(begin_partitions(local, err));
    }
  }
  if (local->spill != NULL) {
    QN_TRY(qn_join_spill_end(local->spill, local->build_side, err));
  } else if (local->expected.memory != NULL) {
    QN_TRY(share_table(local, err));
  } else {
    QN_TRY(build_table(local, err));
  }
  local->is_built = true;

done:
  return status;
}

static qn_status probe_rows(qn_join_local *local, const qn_batch *batch, qn_error *err) {
  return local->table != NULL ? qn_join_table_probe(local->table, batch, err)
                              : qn_join_spill_add(local->spill, 1 - local->build_side, batch, err);
}

qn_status qn_join_local_probe(qn_join_local *local, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;

  if (local->is_built) {
    QN_TRY(probe_rows(local, batch, err));
    goto done;
  }
  if (local->early == NULL) {
    QN_TRY(qn_spool_new(local->output->node->inputs[1 - local->build_side]->schema, local->run->scratch,
                        &local->early, err));
  }
  QN_TRY(qn_spool_append(local->early, batch, err));

done:
  return status;
}

static qn_status probe_kept(void *ctx, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  qn_join_local *local = ctx;

  QN_TRY(probe_rows(local, batch, err));
  QN_TRY(qn_comm_poll(local->run->comm, err));

done:
  return status;
}

// For so long they would have been joined within the joining of others.
static qn_status probe_early(qn_join_local *local, qn_error *err) {
  qn_status status = QN_OK;

  if (local->early != NULL) {
    QN_TRY(qn_spool_drain(local->early, probe_kept, local, err));
    qn_spool_free(local->early);
    local->early = NULL;
  }

done:
  return status;
}

// Adds up marks of all ranks, four a number, and leaves to this rank those of its part of the rows.
static qn_status add_marks(qn_comm *comm, uint8_t *marks, int64_t n_rows, uint8_t done, int64_t *words,
                           qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_words = (n_rows + MARKS_PER_WORD - 1) / MARKS_PER_WORD;
  const int64_t rank = qn_comm_rank(comm), n_ranks = qn_comm_size(comm);

  memset(words, 0, (size_t)n_words * sizeof *words);
  for (int64_t row = 0; row < n_rows; row++) {
    words[row / MARKS_PER_WORD] += (int64_t)marks[row] << (row % MARKS_PER_WORD * MARK_BITS);
  }
  QN_TRY(qn_comm_reduce_int64(comm, QN_SUM, words, n_words, err));
  for (int64_t row = 0; row < n_rows; row++) {
    const bool is_own = row >= n_rows * rank / n_ranks && row < n_rows * (rank + 1) / n_ranks;
    const uint64_t sum = (uint64_t)words[row / MARKS_PER_WORD] >> (row % MARKS_PER_WORD * MARK_BITS);
    marks[row] = is_own ? (sum & MOST_MARKS) != 0 : done;
  }

done:
  return status;
}

qn_status qn_join_local_combine(qn_join_local *local, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n_rows = 0;
  int64_t *words = NULL;

  QN_TRY(probe_early(local, err));
  uint8_t *marks = local->table == NULL ? NULL : qn_join_table_marks(local->table, &n_rows);
  if (marks == NULL) {
    goto done;
  }
  words = qn_memory_alloc((n_rows / MARKS_PER_WORD + 1) * (int64_t)sizeof *words);
  QN_REQUIRE(words != NULL, err, QN_ERR_MEMORY, "no memory to join %lld rows", (long long)n_rows);
  QN_TRY(add_marks(local->run->comm, marks, n_rows, local->output->kind != QN_JOIN_SEMI, words, err));

done:
  qn_memory_free(words);
  return status;
}

qn_status qn_join_local_finish(qn_join_local *local, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(probe_early(local, err));
  if (local->table != NULL) {
    QN_TRY(qn_join_table_finish(local->table, err));
  } else {
    QN_TRY(qn_join_spill_finish(local->spill, err));
  }
  qn_join_table_free(local->table);
  qn_join_spill_free(local->spill);
  qn_node_memory_free(local->expected.memory);
  local->table = NULL;
  local->spill = NULL;
  local->expected.memory = NULL;

done:
  return status;
}

const char *qn_join_local_kind(const qn_join_local *local) {
  return local->table != NULL ? qn_join_table_kind(local->table) : "partitions on disk";
}

bool qn_join_local_is_shared(const qn_join_local *local) {
  return local->expected.memory != NULL;
}
