// SPDX-License-Identifier: Apache-2.0
// Rows gather in a run until it has its share of the budget; then the run is sorted and put into a spool. If
// one run is enough its rows are given out from where they lie. Many runs are merged, in several rounds if
// they are very many: always neighbouring runs, so that equal rows stay in the order they came.
#include "exec/sorter.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"
#include "exec/run_merge.h"
#include "exec/sort_batch.h"
#include "exec/spool.h"

enum {
  ROW_COST = 64,    // bytes that sorting takes for each row beyond the row and its key, about
  LEAST_FAN_IN = 8, // runs merged at once
  MOST_FAN_IN = 64,
  LEAST_BATCH_ROWS = 16,      // given out, where rows are large
  BATCH_BYTES = 1 << 20,      // given out at once, about
  READ_BYTES = 512 << 10,     // that a spilled run takes while it is read
  MOST_RUN_BYTES = 0x7fffffff // of text in one column
};
static const int64_t most_run_cost = INT64_C(4) << 30; // without a budget

struct qn_sorter {
  qn_schema *schema;
  int *columns;     // [n_keys]
  qn_order *orders; // [n_keys]
  int n_keys, n_main;
  const char *scratch;
  int64_t n_rows;
  int64_t n_bytes;
  qn_batch_builder rows; // the run that is being filled
  int64_t rows_bytes;
  qn_spool **runs; // sorted
  int n_runs, capacity;
  bool is_finished;
  qn_run_merge *merge; // of all runs that are left
  qn_batch *only;      // if there is one run only: its rows
  int32_t *order;      // and in which order they come
  int64_t place;
};

qn_status qn_sorter_new(const qn_schema *schema, const int *key_columns, const qn_order *orders, int n_keys,
                        const char *scratch, qn_sorter **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_sorter *sorter = calloc(1, sizeof *sorter);

  QN_REQUIRE(sorter != NULL, err, QN_ERR_MEMORY, "no memory for a sorter");
  sorter->schema = qn_schema_share(schema);
  sorter->n_keys = n_keys;
  sorter->n_main = n_keys;
  sorter->scratch = scratch;
  sorter->columns = calloc((size_t)n_keys + 1, sizeof *sorter->columns);
  sorter->orders = calloc((size_t)n_keys + 1, sizeof *sorter->orders);
  QN_REQUIRE(sorter->columns != NULL && sorter->orders != NULL, err, QN_ERR_MEMORY, "no memory for a sorter");
  for (int k = 0; k < n_keys; k++) {
    sorter->columns[k] = key_columns[k];
    sorter->orders[k] = orders[k];
  }
  QN_TRY(qn_batch_builder_init(&sorter->rows, schema, err));
  *out = sorter;
  sorter = NULL;

done:
  qn_sorter_free(sorter);
  return status;
}

void qn_sorter_set_main_keys(qn_sorter *sorter, int n_keys) {
  sorter->n_main = n_keys;
}

static void free_runs(qn_spool **runs, int n_runs) {
  for (int r = 0; r < n_runs; r++) {
    qn_spool_free(runs[r]);
    runs[r] = NULL;
  }
}

void qn_sorter_free(qn_sorter *sorter) {
  if (sorter == NULL) {
    return;
  }
  qn_run_merge_free(sorter->merge);
  free_runs(sorter->runs, sorter->n_runs);
  free(sorter->runs);
  qn_batch_builder_release(&sorter->rows);
  qn_batch_free(sorter->only);
  qn_memory_free(sorter->order);
  free(sorter->columns);
  free(sorter->orders);
  qn_schema_free(sorter->schema);
  free(sorter);
}

int64_t qn_sorter_n_rows(const qn_sorter *sorter) {
  return sorter->n_rows;
}

static int64_t batch_rows(const qn_sorter *sorter) {
  const int64_t row_bytes = sorter->n_rows == 0 ? 0 : sorter->n_bytes / sorter->n_rows;
  const int64_t rows = BATCH_BYTES / (row_bytes + 1);
  return rows > QN_BATCH_ROWS ? QN_BATCH_ROWS : rows < LEAST_BATCH_ROWS ? LEAST_BATCH_ROWS : rows;
}

// The rows of the run as a batch, and the order they belong in.
static qn_status sort_rows(qn_sorter *sorter, qn_batch **rows, int32_t **order, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  int32_t *places = NULL;

  QN_TRY(qn_batch_builder_finish(&sorter->rows, &batch, err));
  sorter->rows_bytes = 0;
  places = qn_memory_alloc(batch->n_rows * (int64_t)sizeof *places);
  QN_REQUIRE(places != NULL, err, QN_ERR_MEMORY, "no memory to sort %" PRId64 " rows", batch->n_rows);
  QN_TRY(qn_sort_batch(batch, sorter->columns, sorter->orders, sorter->n_keys, sorter->n_main, places, err));
  *rows = batch;
  *order = places;
  batch = NULL;
  places = NULL;

done:
  qn_batch_free(batch);
  qn_memory_free(places);
  return status;
}

static qn_status add_run(qn_sorter *sorter, qn_spool **out, qn_error *err) {
  qn_status status = QN_OK;

  if (sorter->n_runs == sorter->capacity) {
    const int capacity = sorter->capacity == 0 ? 16 : sorter->capacity * 2;
    qn_spool **runs = realloc(sorter->runs, (size_t)capacity * sizeof(qn_spool *));
    QN_REQUIRE(runs != NULL, err, QN_ERR_MEMORY, "no memory for %d runs", capacity);
    sorter->runs = runs;
    sorter->capacity = capacity;
  }
  QN_TRY(qn_spool_new(sorter->schema, sorter->scratch, &sorter->runs[sorter->n_runs], err));
  *out = sorter->runs[sorter->n_runs++];
  if (sorter->n_runs > 1) {
    qn_spool_share_file(*out, sorter->runs[0]);
  }

done:
  return status;
}

// Sorts the run and puts it into a spool of its own.
static qn_status end_run(qn_sorter *sorter, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *rows = NULL, *batch = NULL;
  int32_t *order = NULL;
  qn_spool *run = NULL;
  const int64_t step = batch_rows(sorter);

  QN_TRY(sort_rows(sorter, &rows, &order, err));
  QN_TRY(add_run(sorter, &run, err));
  for (int64_t first = 0; first < rows->n_rows; first += step) {
    const int64_t n = rows->n_rows - first < step ? rows->n_rows - first : step;
    QN_TRY(qn_batch_gather(rows, order + first, n, &batch, err));
    QN_TRY(qn_spool_append(run, batch, err));
    qn_batch_free(batch);
    batch = NULL;
  }
  QN_TRY(qn_spool_rewind(run, err)); // gives up the memory that writing takes

done:
  qn_batch_free(batch);
  qn_batch_free(rows);
  qn_memory_free(order);
  return status;
}

// Puts the runs that are in memory out, which makes room for the one being filled.
static qn_status spill_runs(qn_sorter *sorter, qn_error *err) {
  qn_status status = QN_OK;

  for (int r = 0; r < sorter->n_runs; r++) {
    if (!qn_spool_is_spilled(sorter->runs[r])) {
      QN_TRY(qn_spool_spill(sorter->runs[r], err));
    }
  }

done:
  return status;
}

// Would a batch of n_rows more rows make a column of the run too large for one batch?
static bool is_too_large(const qn_sorter *sorter, const qn_batch *batch) {
  if (sorter->rows.n_rows > INT32_MAX - batch->n_rows) {
    return true;
  }
  for (int c = 0; c < sorter->rows.n_columns; c++) {
    const qn_column *column = &batch->columns[c];
    const int64_t more = column->offsets == NULL ? 0 : column->offsets[batch->n_rows] - column->offsets[0];
    if (sorter->rows.columns[c].bytes.size > MOST_RUN_BYTES - more) {
      return true;
    }
  }
  return false;
}

// Memory that sorting a run takes beyond its rows; keys are taken to be as large as rows. Twice that if ties
// are sorted apart.
static int64_t cost_of_sorting(const qn_sorter *sorter, int64_t n_rows, int64_t n_bytes) {
  return (n_bytes + n_rows * ROW_COST) * (sorter->n_main < sorter->n_keys ? 2 : 1);
}

// Ends the run if it has its share of memory, or if memory is short and the run is worth a file of its own.
static qn_status make_room(qn_sorter *sorter, const qn_batch *batch, int64_t n_bytes, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t budget = qn_memory_budget();
  const int64_t run_bytes = sorter->rows_bytes + n_bytes;
  const int64_t sort_cost = cost_of_sorting(sorter, sorter->rows.n_rows + batch->n_rows, run_bytes);
  const int64_t cost = 2 * run_bytes + sort_cost; // builders have up to twice the room they need
  const int64_t most = budget > 0 && budget / 2 < most_run_cost ? budget / 2 : most_run_cost;

  if (sorter->rows.n_rows == 0) {
    goto done;
  }
  if (qn_memory_is_tight(sort_cost + n_bytes)) {
    QN_TRY(spill_runs(sorter, err));
  }
  if (cost > most || is_too_large(sorter, batch) ||
      (cost > most / 4 && qn_memory_is_tight(sort_cost + n_bytes))) {
    QN_TRY(end_run(sorter, err));
  }

done:
  return status;
}

qn_status qn_sorter_append(qn_sorter *sorter, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_bytes = qn_batch_n_bytes(batch);

  QN_REQUIRE(!sorter->is_finished, err, QN_ERR_ARG, "rows are appended to a sorter that has been finished");
  QN_TRY(make_room(sorter, batch, n_bytes, err));
  QN_TRY(qn_batch_builder_append_range(&sorter->rows, batch, 0, batch->n_rows, err));
  sorter->rows_bytes += n_bytes;
  sorter->n_rows += batch->n_rows;
  sorter->n_bytes += n_bytes;

done:
  return status;
}

// How many runs may be merged at once: each holds a batch and its keys in memory.
static int fan_in(const qn_sorter *sorter) {
  const int64_t row_bytes = sorter->n_rows == 0 ? 0 : sorter->n_bytes / sorter->n_rows;
  const int64_t run_bytes = 3 * batch_rows(sorter) * (row_bytes + 16) + READ_BYTES;
  const int64_t n = qn_memory_budget() > 0 ? qn_memory_budget() / 4 / run_bytes : MOST_FAN_IN;
  return n > MOST_FAN_IN ? MOST_FAN_IN : n < LEAST_FAN_IN ? LEAST_FAN_IN : (int)n;
}

static qn_status merge_runs(const qn_sorter *sorter, qn_spool *const *runs, int n_runs, qn_run_merge **out,
                            qn_error *err) {
  const qn_merge_order order = {.columns = sorter->columns, .orders = sorter->orders, .n = sorter->n_keys};
  return qn_run_merge_new(sorter->schema, &order, runs, n_runs, batch_rows(sorter), out, err);
}

// Merges runs into one new one, which is put into *out.
static qn_status merge_into_run(const qn_sorter *sorter, qn_spool **runs, int n_runs, qn_spool **out,
                                qn_error *err) {
  qn_status status = QN_OK;
  qn_run_merge *merge = NULL;
  qn_spool *merged = NULL;
  qn_batch *batch = NULL;

  QN_TRY(qn_spool_new(sorter->schema, sorter->scratch, &merged, err));
  qn_spool_share_file(merged, runs[0]);
  QN_TRY(merge_runs(sorter, runs, n_runs, &merge, err));
  for (;;) {
    QN_TRY(qn_run_merge_next(merge, &batch, err));
    if (batch == NULL) {
      break;
    }
    QN_TRY(qn_spool_append(merged, batch, err));
    qn_batch_free(batch);
    batch = NULL;
  }
  QN_TRY(qn_spool_rewind(merged, err));
  qn_spool_share_file(merged, NULL);
  qn_run_merge_free(merge);
  merge = NULL;
  free_runs(runs, n_runs);
  *out = merged;
  merged = NULL;

done:
  qn_batch_free(batch);
  qn_run_merge_free(merge);
  qn_spool_free(merged);
  return status;
}

// One round over all runs.
static qn_status merge_round(qn_sorter *sorter, int width, qn_error *err) {
  qn_status status = QN_OK;
  int n_merged = 0;

  for (int first = 0; first < sorter->n_runs; first += width) {
    const int n = sorter->n_runs - first < width ? sorter->n_runs - first : width;
    qn_spool *merged = NULL;
    if (n == 1) {
      merged = sorter->runs[first];
      sorter->runs[first] = NULL;
    } else {
      QN_TRY(merge_into_run(sorter, sorter->runs + first, n, &merged, err));
    }
    sorter->runs[n_merged++] = merged;
  }
  sorter->n_runs = n_merged;

done:
  return status;
}

qn_status qn_sorter_finish(qn_sorter *sorter, qn_error *err) {
  qn_status status = QN_OK;
  const int width = fan_in(sorter);

  QN_REQUIRE(!sorter->is_finished, err, QN_ERR_ARG, "a sorter is finished twice");
  sorter->is_finished = true;
  if (sorter->n_runs == 0) {
    QN_TRY(sort_rows(sorter, &sorter->only, &sorter->order, err));
    goto done;
  }
  if (sorter->rows.n_rows > 0) {
    QN_TRY(end_run(sorter, err));
  }
  while (sorter->n_runs > width) {
    QN_TRY(merge_round(sorter, width, err));
  }
  QN_TRY(merge_runs(sorter, sorter->runs, sorter->n_runs, &sorter->merge, err));

done:
  return status;
}

qn_status qn_sorter_next(qn_sorter *sorter, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;

  QN_REQUIRE(sorter->is_finished, err, QN_ERR_ARG, "a sorter is read before it is finished");
  if (sorter->merge != NULL) {
    QN_TRY(qn_run_merge_next(sorter->merge, out, err));
    goto done;
  }
  *out = NULL;
  if (sorter->only != NULL && sorter->place < sorter->only->n_rows) {
    const int64_t left = sorter->only->n_rows - sorter->place;
    const int64_t step = batch_rows(sorter);
    const int64_t n = left < step ? left : step;
    QN_TRY(qn_batch_gather(sorter->only, sorter->order + sorter->place, n, out, err));
    sorter->place += n;
  } else {
    qn_batch_free(sorter->only);
    qn_memory_free(sorter->order);
    sorter->only = NULL;
    sorter->order = NULL;
  }

done:
  return status;
}
