// SPDX-License-Identifier: Apache-2.0
// Partitions know their sizes exactly, so all choices are made by counting: build side, cutting again,
// pieces.
#include "exec/join_spill.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "exec/join_table.h"
#include "exec/spool.h"
#include "kernel/hash_columns.h"
#include "kernel/select_rows.h"

enum {
  MOST_PARTITIONS = 128,
  LEAST_PARTITIONS = 4,
  WRITER_BYTES = 1 << 20, // of the budget that a partition's two writers may take
  MOST_LEVELS = 5,
  LEAST_LIMIT = 128 << 10 // smaller tables than this do not help a budget
};

static const int64_t most_build_bytes = (int64_t)1 << 30; // of text that one batch holds with ease

struct qn_join_spill {
  qn_run *run;
  const qn_join_output *output;
  int level;           // how often the rows have been cut before
  int64_t whole_bytes; // of the build side that was cut; a partition not much smaller cannot be cut
  int n_partitions;
  qn_spool **parts[2]; // [n_partitions] by side
  int64_t capacity;    // rows
  uint64_t *hashes;
  int32_t *destinations, *rows;
  int64_t *starts;           // [n_partitions + 1]
  const qn_column **columns; // [n_keys]
};

// Of the budget, in eighths, that a table may take: while others work, and where nothing is open but a
// partition.
enum { SHARE_AMONG_OTHERS = 4, SHARE_ALONE = 6, WHOLE_SHARE = 8 };

static int64_t table_limit(int share) {
  const int64_t limit = qn_memory_budget() / WHOLE_SHARE * share;
  return qn_memory_budget() <= 0 ? INT64_MAX : limit > LEAST_LIMIT ? limit : LEAST_LIMIT;
}

// With what reading them into one batch takes.
static int64_t cost_of(int64_t n_rows, int64_t n_bytes) {
  return qn_join_table_cost(n_rows, n_bytes + n_bytes / 4);
}

static bool fits_share(int64_t n_rows, int64_t n_bytes, int share) {
  return n_bytes <= most_build_bytes && n_rows < INT32_MAX / 2 &&
         cost_of(n_rows, n_bytes) <= table_limit(share);
}

bool qn_join_fits(int64_t n_rows, int64_t n_bytes) {
  return fits_share(n_rows, n_bytes, SHARE_AMONG_OTHERS);
}

static int count_partitions(int64_t n_rows, int64_t n_bytes) {
  const int64_t budget = qn_memory_budget();
  int64_t most = budget > 0 ? budget / WRITER_BYTES : MOST_PARTITIONS;
  most = most > MOST_PARTITIONS ? MOST_PARTITIONS : most < LEAST_PARTITIONS ? LEAST_PARTITIONS : most;
  const int64_t by_table = cost_of(n_rows, n_bytes) / (table_limit(SHARE_ALONE) / 4 * 3);
  const int64_t by_bytes = n_bytes / (most_build_bytes / 2);
  const int64_t n = (by_table > by_bytes ? by_table : by_bytes) + 2; // keys do not spread evenly
  return (int)(n > most ? most : n < LEAST_PARTITIONS ? LEAST_PARTITIONS : n);
}

// Room for the rows, so that nothing grows by doubling; text is divided as in the first batch.
static qn_status reserve_rows(qn_batch_builder *builder, const qn_batch *first, int64_t n_rows,
                              int64_t n_bytes, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n_fixed = 0, n_text = 0;

  for (int c = 0; c < first->n_columns; c++) {
    const int64_t width = qn_type_is_text(first->columns[c].type) ? 4 : qn_type_width(first->columns[c].type);
    n_fixed += width * n_rows;
    n_text += qn_column_n_bytes(&first->columns[c]) - width * first->n_rows;
  }
  for (int c = 0; c < first->n_columns; c++) {
    const bool is_text = qn_type_is_text(first->columns[c].type);
    const int64_t own = qn_column_n_bytes(&first->columns[c]) - 4 * first->n_rows;
    const double part = is_text && n_text > 0 && own > 0 ? (double)own / (double)n_text : 0;
    const int64_t text = n_bytes > n_fixed ? (int64_t)(part * (double)(n_bytes - n_fixed)) : 0;
    QN_TRY(qn_column_builder_reserve(&builder->columns[c], n_rows, text < INT32_MAX ? text : 0, err));
  }

done:
  return status;
}

qn_status qn_join_take_rows(qn_spool *rows, const qn_schema *schema, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch_builder builder = {0};
  qn_batch *batch = NULL;

  QN_REQUIRE(qn_spool_n_rows(rows) <= INT32_MAX, err, QN_ERR_VALUE,
             "%lld rows of one side of a join do not fit into one table; use more ranks",
             (long long)qn_spool_n_rows(rows));
  QN_TRY(qn_batch_builder_init(&builder, schema, err));
  QN_TRY(qn_spool_rewind(rows, err));
  QN_TRY(qn_spool_take(rows, &batch, err));
  if (batch != NULL && batch->n_rows == qn_spool_n_rows(rows)) {
    *out = batch;
    batch = NULL;
    goto done;
  }
  if (batch != NULL) {
    QN_TRY(reserve_rows(&builder, batch, qn_spool_n_rows(rows), qn_spool_n_bytes(rows), err));
  }
  while (batch != NULL) {
    QN_TRY(qn_batch_builder_append_range(&builder, batch, 0, batch->n_rows, err));
    qn_batch_free(batch);
    batch = NULL;
    QN_TRY(qn_spool_take(rows, &batch, err));
  }
  QN_TRY(qn_batch_builder_finish(&builder, out, err));

done:
  qn_batch_free(batch);
  qn_batch_builder_release(&builder);
  return status;
}

static qn_status new_parts(qn_join_spill *spill, int side, qn_error *err) {
  qn_status status = QN_OK;
  const qn_schema *schema = spill->output->node->inputs[side]->schema;

  spill->parts[side] = calloc((size_t)spill->n_partitions, sizeof *spill->parts[side]);
  QN_REQUIRE(spill->parts[side] != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  for (int p = 0; p < spill->n_partitions; p++) {
    QN_TRY(qn_spool_new(schema, spill->run->scratch, &spill->parts[side][p], err));
    if (p > 0) { // there may be hundreds, which one file can take
      qn_spool_share_file(spill->parts[side][p], spill->parts[side][0]);
    }
    QN_TRY(qn_spool_spill(spill->parts[side][p], err));
  }

done:
  return status;
}

qn_status qn_join_spill_new(qn_run *run, const qn_join_output *output, int64_t n_rows, int64_t n_bytes,
                            qn_join_spill **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_join_spill *spill = calloc(1, sizeof *spill);

  QN_REQUIRE(spill != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  spill->run = run;
  spill->output = output;
  spill->whole_bytes = n_bytes;
  spill->n_partitions = count_partitions(n_rows, n_bytes);
  spill->starts = calloc((size_t)spill->n_partitions + 1, sizeof *spill->starts);
  spill->columns = calloc((size_t)output->node->n_keys + 1, sizeof *spill->columns);
  QN_REQUIRE(spill->starts != NULL && spill->columns != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  QN_TRY(new_parts(spill, 0, err));
  QN_TRY(new_parts(spill, 1, err));
  *out = spill;
  spill = NULL;

done:
  qn_join_spill_free(spill);
  return status;
}

static void free_room(qn_join_spill *spill) {
  qn_memory_free(spill->hashes);
  qn_memory_free(spill->destinations);
  qn_memory_free(spill->rows);
  spill->hashes = NULL;
  spill->destinations = spill->rows = NULL;
  spill->capacity = 0;
}

void qn_join_spill_free(qn_join_spill *spill) {
  if (spill == NULL) {
    return;
  }
  for (int side = 0; side < 2; side++) {
    for (int p = 0; spill->parts[side] != NULL && p < spill->n_partitions; p++) {
      qn_spool_free(spill->parts[side][p]);
    }
    free(spill->parts[side]);
  }
  free_room(spill);
  free(spill->starts);
  free(spill->columns);
  free(spill);
}

static qn_status make_room(qn_join_spill *spill, int64_t n_rows, qn_error *err) {
  if (n_rows <= spill->capacity) {
    return QN_OK;
  }
  free_room(spill);
  spill->hashes = qn_memory_alloc(n_rows * (int64_t)sizeof *spill->hashes);
  spill->destinations = qn_memory_alloc(n_rows * (int64_t)sizeof *spill->destinations);
  spill->rows = qn_memory_alloc(n_rows * (int64_t)sizeof *spill->rows);
  const bool is_made = spill->hashes != NULL && spill->destinations != NULL && spill->rows != NULL;
  spill->capacity = is_made ? n_rows : 0;
  return is_made ? QN_OK : qn_fail(err, QN_ERR_MEMORY, "no memory to join %lld rows", (long long)n_rows);
}

// Ranks go by the high bits of the hash itself; each level mixes it anew.
static void choose_partitions(qn_join_spill *spill, int side, const qn_batch *batch) {
  const qn_dataset *node = spill->output->node;
  const int *keys = side == 0 ? node->left_keys : node->right_keys;

  for (int k = 0; k < node->n_keys; k++) {
    spill->columns[k] = &batch->columns[keys[k]];
  }
  qn_hash_columns(spill->columns, node->n_keys, batch->n_rows, spill->hashes);
  for (int64_t row = 0; row < batch->n_rows; row++) {
    const uint64_t hash = qn_hash_combine(spill->hashes[row], (uint64_t)spill->level + 1);
    spill->destinations[row] = qn_hash_to_range(hash, spill->n_partitions);
  }
  qn_partition_rows(spill->destinations, batch->n_rows, spill->n_partitions, spill->rows, spill->starts);
}

qn_status qn_join_spill_add(qn_join_spill *spill, int side, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *part = NULL;

  QN_TRY(make_room(spill, batch->n_rows, err));
  choose_partitions(spill, side, batch);
  for (int p = 0; p < spill->n_partitions; p++) {
    const int64_t first = spill->starts[p], n = spill->starts[p + 1] - first;
    if (n > 0) {
      QN_TRY(qn_batch_gather(batch, spill->rows + first, n, &part, err));
      QN_TRY(qn_spool_append(spill->parts[side][p], part, err));
      qn_batch_free(part);
      part = NULL;
    }
  }

done:
  qn_batch_free(part);
  return status;
}

// --- One partition

typedef struct partition_join {
  qn_join_spill *spill;
  int build_side;
  qn_join_table *table;
  qn_join_spill *finer;
  int cut_side;   // whose rows go into `finer`
  uint8_t *marks; // a bit per row of the probe side: has had a partner in one of the pieces
  int64_t row;    // of the probe side, the next one
  bool is_last;   // piece
} partition_join;

static qn_status make_table(partition_join *part, const qn_batch *build, qn_error *err) {
  return qn_join_table_new(part->spill->output, part->build_side, build, &part->table, err);
}

static qn_status probe_batch(void *ctx, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const partition_join *part = ctx;

  QN_TRY(qn_join_table_probe(part->table, batch, err));
  QN_TRY(qn_comm_poll(part->spill->run->comm, err));

done:
  return status;
}

static qn_status join_whole(partition_join *part, qn_spool *build, qn_spool *probe, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *rows = NULL;

  QN_TRY(qn_join_take_rows(build, part->spill->output->node->inputs[part->build_side]->schema, &rows, err));
  QN_TRY(make_table(part, rows, err));
  qn_batch_free(rows);
  rows = NULL;
  QN_TRY(qn_spool_drain(probe, probe_batch, part, err));
  QN_TRY(qn_join_table_finish(part->table, err));

done:
  qn_batch_free(rows);
  return status;
}

static qn_status cut_rows(void *ctx, const qn_batch *batch, qn_error *err) {
  const partition_join *part = ctx;
  const qn_status status = qn_join_spill_add(part->finer, part->cut_side, batch, err);
  return status == QN_OK ? qn_comm_poll(part->spill->run->comm, err) : status;
}

static qn_status join_finer(partition_join *part, qn_spool *left, qn_spool *right, qn_error *err) {
  qn_status status = QN_OK;
  const qn_join_spill *spill = part->spill;
  const qn_spool *build = part->build_side == 0 ? left : right;

  QN_TRY(qn_join_spill_new(spill->run, spill->output, qn_spool_n_rows(build), qn_spool_n_bytes(build),
                           &part->finer, err));
  part->finer->level = spill->level + 1;
  part->cut_side = 0;
  QN_TRY(qn_spool_drain(left, cut_rows, part, err));
  QN_TRY(qn_join_spill_end(part->finer, 0, err));
  part->cut_side = 1;
  QN_TRY(qn_spool_drain(right, cut_rows, part, err));
  QN_TRY(qn_join_spill_finish(part->finer, err));

done:
  return status;
}

// Joins a probe batch with the piece at hand; `bytes` holds its marks, one a byte.
static qn_status probe_piece(partition_join *part, const qn_batch *batch, uint8_t *bytes, qn_error *err) {
  qn_status status = QN_OK;

  for (int64_t i = 0; i < batch->n_rows; i++) {
    bytes[i] = part->marks[(part->row + i) >> 3] >> ((part->row + i) & 7) & 1;
  }
  QN_TRY(qn_join_table_match(part->table, batch, bytes, err));
  if (part->is_last) {
    QN_TRY(qn_join_table_settle(part->table, batch, bytes, err));
  }
  for (int64_t i = 0; i < batch->n_rows; i++) {
    const int64_t row = part->row + i;
    part->marks[row >> 3] = (uint8_t)(part->marks[row >> 3] | (bytes[i] & 1) << (row & 7));
  }
  part->row += batch->n_rows;
  QN_TRY(qn_comm_poll(part->spill->run->comm, err));

done:
  return status;
}

static qn_status probe_again(partition_join *part, qn_spool *probe, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  uint8_t *bytes = NULL;
  int64_t capacity = 0;

  part->row = 0;
  QN_TRY(qn_spool_rewind(probe, err));
  for (;;) {
    QN_TRY(qn_spool_next(probe, &batch, err));
    if (batch == NULL) {
      break;
    }
    if (batch->n_rows > capacity) {
      capacity = batch->n_rows;
      qn_memory_free(bytes);
      bytes = qn_memory_alloc(capacity);
      QN_REQUIRE(bytes != NULL, err, QN_ERR_MEMORY, "no memory to join %lld rows", (long long)capacity);
    }
    QN_TRY(probe_piece(part, batch, bytes, err));
    qn_batch_free(batch);
    batch = NULL;
  }

done:
  qn_batch_free(batch);
  qn_memory_free(bytes);
  return status;
}

// Reads as many rows as make a table; *ahead is the first batch that did not fit, NULL at the end.
static qn_status read_piece(qn_spool *build, const qn_schema *schema, qn_batch **ahead, qn_batch **piece,
                            qn_error *err) {
  qn_status status = QN_OK;
  qn_batch_builder builder = {0};
  int64_t n_bytes = 0;

  QN_TRY(qn_batch_builder_init(&builder, schema, err));
  while (*ahead != NULL) {
    n_bytes += qn_batch_n_bytes(*ahead);
    if (builder.n_rows > 0 && !fits_share(builder.n_rows + (*ahead)->n_rows, 2 * n_bytes, SHARE_ALONE)) {
      break;
    }
    QN_TRY(qn_batch_builder_append_range(&builder, *ahead, 0, (*ahead)->n_rows, err));
    qn_batch_free(*ahead);
    *ahead = NULL;
    QN_TRY(qn_spool_take(build, ahead, err));
  }
  QN_TRY(qn_batch_builder_finish(&builder, piece, err));

done:
  qn_batch_builder_release(&builder);
  return status;
}

static qn_status join_pieces(partition_join *part, qn_spool *build, qn_spool *probe, qn_error *err) {
  qn_status status = QN_OK;
  const qn_schema *schema = part->spill->output->node->inputs[part->build_side]->schema;
  const int64_t n_marks = qn_spool_n_rows(probe) / 8 + 1;
  qn_batch *ahead = NULL, *piece = NULL;

  part->marks = qn_memory_alloc(n_marks);
  QN_REQUIRE(part->marks != NULL, err, QN_ERR_MEMORY, "no memory to join %lld rows", (long long)n_marks * 8);
  memset(part->marks, 0, (size_t)n_marks);
  QN_TRY(qn_spool_rewind(build, err));
  QN_TRY(qn_spool_take(build, &ahead, err));
  while (!part->is_last) {
    QN_TRY(read_piece(build, schema, &ahead, &piece, err));
    part->is_last = ahead == NULL;
    QN_TRY(make_table(part, piece, err));
    qn_batch_free(piece);
    piece = NULL;
    QN_TRY(probe_again(part, probe, err));
    QN_TRY(qn_join_table_finish(part->table, err));
    qn_join_table_free(part->table);
    part->table = NULL;
  }

done:
  qn_batch_free(ahead);
  qn_batch_free(piece);
  return status;
}

static qn_status join_partition(qn_join_spill *spill, int p, qn_error *err) {
  qn_status status = QN_OK;
  qn_spool *left = spill->parts[0][p], *right = spill->parts[1][p];
  partition_join part = {.spill = spill};

  part.build_side = qn_spool_n_bytes(left) >= qn_spool_n_bytes(right);
  qn_spool *build = part.build_side == 0 ? left : right, *probe = part.build_side == 0 ? right : left;
  const int64_t n_bytes = qn_spool_n_bytes(build);
  const bool can_be_cut = spill->level + 1 < MOST_LEVELS && n_bytes < spill->whole_bytes / 8 * 7;
  if (fits_share(qn_spool_n_rows(build), n_bytes, SHARE_ALONE)) {
    QN_TRY(join_whole(&part, build, probe, err));
  } else if (can_be_cut) {
    QN_TRY(join_finer(&part, left, right, err));
  } else {
    QN_TRY(join_pieces(&part, build, probe, err));
  }

done:
  qn_join_table_free(part.table);
  qn_join_spill_free(part.finer);
  qn_memory_free(part.marks);
  return status;
}

qn_status qn_join_spill_end(qn_join_spill *spill, int side, qn_error *err) {
  qn_status status = QN_OK;

  for (int p = 0; p < spill->n_partitions; p++) {
    QN_TRY(qn_spool_rewind(spill->parts[side][p], err));
  }

done:
  return status;
}

qn_status qn_join_spill_finish(qn_join_spill *spill, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_join_spill_end(spill, 0, err));
  QN_TRY(qn_join_spill_end(spill, 1, err));
  free_room(spill);
  for (int p = 0; p < spill->n_partitions; p++) {
    QN_TRY(join_partition(spill, p, err));
    for (int side = 0; side < 2; side++) {
      qn_spool_free(spill->parts[side][p]);
      spill->parts[side][p] = NULL;
    }
  }

done:
  return status;
}
