// SPDX-License-Identifier: Apache-2.0
// Rows are picked one by one from the run whose key is smallest, but copied column by column: the picks of
// one output batch are gathered from the runs' batches in which they lie.
#include "exec/run_merge.h"
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"
#include "kernel/merge_rows.h"
#include "kernel/part_table.h"

// Where a run is read: its current batch and the normalised keys of that.
typedef struct {
  qn_spool *spool;
  qn_batch *batch; // NULL: the run has ended
  qn_buffer keys, offsets;
  int64_t row;   // of batch, the next one to be picked
  int64_t piece; // of the current output batch, or -1
} run_cursor;

struct qn_run_merge {
  qn_schema *schema;
  qn_merge_order order;
  const qn_column **columns; // [order.n]
  int n_runs;
  run_cursor *cursors; // [n_runs]
  qn_merge tree;
  int64_t batch_rows;
  qn_part_row *picks; // [batch_rows]: the rows of the output batch
  qn_batch **pieces;  // [batch_rows]: the batches they lie in
  int64_t n_pieces;
};

// The key of the cursor's row. Never NULL: that would mean the end of the run.
static const uint8_t *current_key(const run_cursor *cursor, int64_t *size) {
  const int64_t *offsets = (const int64_t *)(const void *)cursor->offsets.data + cursor->row;
  *size = offsets[1] - offsets[0];
  return cursor->keys.data == NULL ? (const uint8_t *)"" : cursor->keys.data + offsets[0];
}

static qn_status load_batch(const qn_run_merge *merge, run_cursor *cursor, qn_error *err) {
  qn_status status = QN_OK;

  qn_batch_free(cursor->batch);
  cursor->batch = NULL;
  cursor->row = 0;
  cursor->piece = -1;
  do {
    qn_batch_free(cursor->batch);
    cursor->batch = NULL;
    QN_TRY(qn_spool_take(cursor->spool, &cursor->batch, err));
  } while (cursor->batch != NULL && cursor->batch->n_rows == 0);
  if (cursor->batch != NULL) {
    for (int k = 0; k < merge->order.n; k++) {
      merge->columns[k] = &cursor->batch->columns[merge->order.columns[k]];
    }
    cursor->keys.size = 0;
    cursor->offsets.size = 0;
    QN_TRY(qn_sort_keys_encode(merge->columns, merge->order.orders, merge->order.n, cursor->batch->n_rows,
                               &cursor->keys, &cursor->offsets, err));
  }

done:
  return status;
}

static qn_status start_runs(qn_run_merge *merge, qn_spool *const *runs, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_merge_init(&merge->tree, merge->n_runs, err));
  for (int r = 0; r < merge->n_runs; r++) {
    run_cursor *cursor = &merge->cursors[r];
    cursor->spool = runs[r];
    QN_TRY(qn_spool_rewind(cursor->spool, err));
    QN_TRY(load_batch(merge, cursor, err));
    int64_t size = 0;
    const uint8_t *key = cursor->batch == NULL ? NULL : current_key(cursor, &size);
    qn_merge_set(&merge->tree, r, key, size);
  }
  qn_merge_start(&merge->tree);

done:
  return status;
}

qn_status qn_run_merge_new(const qn_schema *schema, const qn_merge_order *order, qn_spool *const *runs,
                           int n_runs, int64_t batch_rows, qn_run_merge **out, qn_error *err) {
  qn_status status = QN_OK;
  int64_t size = 0;
  qn_run_merge *merge = calloc(1, sizeof *merge);

  QN_REQUIRE(merge != NULL, err, QN_ERR_MEMORY, "no memory to merge %d runs", n_runs);
  merge->schema = qn_schema_share(schema);
  merge->order = *order;
  merge->n_runs = n_runs;
  merge->batch_rows = batch_rows;
  merge->columns = calloc((size_t)order->n + 1, sizeof *merge->columns);
  merge->cursors = calloc((size_t)n_runs + 1, sizeof *merge->cursors);
  QN_TRY(qn_mul_size(batch_rows, sizeof(qn_batch *), &size, err));
  merge->pieces = qn_memory_alloc(size);
  merge->picks = qn_memory_alloc(batch_rows * (int64_t)sizeof *merge->picks);
  QN_REQUIRE(merge->columns != NULL && merge->cursors != NULL && merge->pieces != NULL &&
                 merge->picks != NULL,
             err, QN_ERR_MEMORY, "no memory to merge %d runs", n_runs);
  QN_TRY(start_runs(merge, runs, err));
  *out = merge;
  merge = NULL;

done:
  qn_run_merge_free(merge);
  return status;
}

static void forget_pieces(qn_run_merge *merge) {
  for (int64_t p = 0; p < merge->n_pieces; p++) {
    qn_batch_free(merge->pieces[p]);
  }
  for (int r = 0; r < merge->n_runs; r++) {
    merge->cursors[r].piece = -1;
  }
  merge->n_pieces = 0;
}

void qn_run_merge_free(qn_run_merge *merge) {
  if (merge == NULL) {
    return;
  }
  if (merge->cursors != NULL) {
    forget_pieces(merge);
    for (int r = 0; r < merge->n_runs; r++) {
      qn_batch_free(merge->cursors[r].batch);
      qn_buffer_release(&merge->cursors[r].keys);
      qn_buffer_release(&merge->cursors[r].offsets);
    }
  }
  qn_merge_release(&merge->tree);
  free(merge->cursors);
  free(merge->columns);
  qn_memory_free(merge->pieces);
  qn_memory_free(merge->picks);
  qn_schema_free(merge->schema);
  free(merge);
}

// Picks the rows of the next output batch; returns how many in *n_picked.
static qn_status pick_rows(qn_run_merge *merge, int64_t *n_picked, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n = 0;
  int r = -1;

  while (n < merge->batch_rows && (r = qn_merge_first(&merge->tree)) >= 0) {
    run_cursor *cursor = &merge->cursors[r];
    if (cursor->piece < 0) {
      cursor->piece = merge->n_pieces++;
      merge->pieces[cursor->piece] = qn_batch_share(cursor->batch);
    }
    merge->picks[n++] = (qn_part_row){.part = (int32_t)cursor->piece, .row = (int32_t)cursor->row};
    cursor->row++;
    if (cursor->row == cursor->batch->n_rows) {
      QN_TRY(load_batch(merge, cursor, err));
    }
    int64_t size = 0;
    const uint8_t *key = cursor->batch == NULL ? NULL : current_key(cursor, &size);
    qn_merge_next(&merge->tree, key, size);
  }
  *n_picked = n;

done:
  return status;
}

// The picked rows as a batch.
static qn_status copy_rows(const qn_run_merge *merge, int64_t n_rows, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_part_table table = {0};

  QN_TRY(qn_part_table_init(&table, merge->schema, (const qn_batch *const *)merge->pieces, merge->n_pieces,
                            err));
  QN_TRY(qn_part_table_gather_batch(&table, merge->picks, n_rows, out, err));

done:
  qn_part_table_release(&table);
  return status;
}

qn_status qn_run_merge_next(qn_run_merge *merge, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n_rows = 0;

  *out = NULL;
  QN_TRY(pick_rows(merge, &n_rows, err));
  if (n_rows == 0) {
    goto done;
  }
  if (merge->n_pieces == 1) {
    QN_TRY(qn_batch_slice(merge->pieces[0], merge->picks[0].row, n_rows, out, err));
  } else {
    QN_TRY(copy_rows(merge, n_rows, out, err));
  }

done:
  forget_pieces(merge);
  return status;
}
