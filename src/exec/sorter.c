// SPDX-License-Identifier: Apache-2.0
// Rows gather in a run until it has its share of the budget; then the run is sorted and put into a spool. If
// one run is enough its rows are given out from where they lie. Many runs are merged, in several rounds if
// they are very many: always neighbouring runs, so that equal rows stay in the order they came. Rows of
// several sources carry their source's number into the runs, as their last key.
#include "exec/sorter.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "exec/row_parts.h"
#include "exec/run_merge.h"
#include "exec/sort_parts.h"
#include "exec/spool.h"

enum {
  ROW_COST = 64,    // bytes that sorting takes for each row beyond the row and its key, about
  LEAST_FAN_IN = 8, // runs merged at once
  MOST_FAN_IN = 64,
  LEAST_BATCH_ROWS = 16,      // given out, where rows are large
  MOST_BATCH_BYTES = 1 << 20, // given out at once, about
  LEAST_BATCH_BYTES = 64 << 10,
  BATCH_SHARE = 256,           // a batch takes this part of the budget
  READ_BYTES = 256 << 10,      // that a spilled run takes while it is read, beyond a batch and its keys
  MOST_TIED_BYTES = 0x7fffffff // of a run whose ties may be gathered into one batch
};
static const int64_t most_run_cost = INT64_C(4) << 30; // without a budget

struct qn_sorter {
  qn_schema *schema;
  qn_schema *run_schema; // with the source behind, if there are several
  int *columns;          // [n_keys + 1], the source's as the last one
  qn_order *orders;      // [n_keys + 1]
  int n_keys, n_main;
  const char *scratch;
  int64_t n_rows;
  int64_t n_bytes;
  qn_row_parts rows; // the run that is being filled, or the only one
  int64_t key_bytes; // of its main keys
  qn_spool **runs;   // sorted
  int n_runs, capacity;
  bool is_finished;
  qn_run_merge *merge; // of all runs that are left
  int32_t *order;      // if there is one run only: in which order its rows come
  int64_t place;
};

qn_status qn_sorter_new(const qn_schema *schema, const int *key_columns, const qn_order *orders, int n_keys,
                        const char *scratch, qn_sorter **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_sorter *sorter = calloc(1, sizeof *sorter);

  QN_REQUIRE(sorter != NULL, err, QN_ERR_MEMORY, "no memory for a sorter");
  sorter->schema = qn_schema_share(schema);
  sorter->run_schema = qn_schema_share(schema);
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
  QN_TRY(qn_row_parts_init(&sorter->rows, schema, 1, err));
  *out = sorter;
  sorter = NULL;

done:
  qn_sorter_free(sorter);
  return status;
}

void qn_sorter_set_main_keys(qn_sorter *sorter, int n_keys) {
  sorter->n_main = n_keys;
}

// The schema with an int32 column behind, of a name that is longer than all others.
static qn_status add_source(const qn_schema *schema, qn_schema **out, qn_error *err) {
  qn_status status = QN_OK;
  const int n = schema->n_columns;
  size_t longest = 0;
  char *name = NULL;
  qn_field *fields = calloc((size_t)n + 1, sizeof *fields);

  QN_REQUIRE(fields != NULL, err, QN_ERR_MEMORY, "no memory for a sorter");
  for (int c = 0; c < n; c++) {
    const size_t size = strlen(schema->fields[c].name);
    fields[c] = schema->fields[c];
    longest = size > longest ? size : longest;
  }
  name = malloc(longest + 2);
  QN_REQUIRE(name != NULL, err, QN_ERR_MEMORY, "no memory for a sorter");
  memset(name, '_', longest + 1);
  name[longest + 1] = '\0';
  fields[n] = (qn_field){.name = name, .type = QN_INT32};
  QN_TRY(qn_schema_new(fields, n + 1, out, err));

done:
  free(fields);
  free(name);
  return status;
}

qn_status qn_sorter_set_sources(qn_sorter *sorter, int n_sources, qn_error *err) {
  qn_status status = QN_OK;
  qn_schema *schema = NULL;

  QN_TRY(add_source(sorter->schema, &schema, err));
  qn_schema_free(sorter->run_schema);
  sorter->run_schema = schema;
  sorter->columns[sorter->n_keys] = sorter->schema->n_columns;
  qn_row_parts_release(&sorter->rows);
  QN_TRY(qn_row_parts_init(&sorter->rows, sorter->schema, n_sources, err));

done:
  return status;
}

static bool has_sources(const qn_sorter *sorter) {
  return sorter->run_schema->n_columns > sorter->schema->n_columns;
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
  qn_row_parts_release(&sorter->rows);
  qn_memory_free(sorter->order);
  free(sorter->columns);
  free(sorter->orders);
  qn_schema_free(sorter->run_schema);
  qn_schema_free(sorter->schema);
  free(sorter);
}

int64_t qn_sorter_n_rows(const qn_sorter *sorter) {
  return sorter->n_rows;
}

static int64_t batch_bytes(void) {
  const int64_t share = qn_memory_budget() / BATCH_SHARE;
  return share <= 0 || share > MOST_BATCH_BYTES ? MOST_BATCH_BYTES
         : share < LEAST_BATCH_BYTES            ? LEAST_BATCH_BYTES
                                                : share;
}

static int64_t batch_rows(const qn_sorter *sorter) {
  const int64_t row_bytes = sorter->n_rows == 0 ? 0 : sorter->n_bytes / sorter->n_rows;
  const int64_t rows = batch_bytes() / (row_bytes + 1);
  return rows > QN_BATCH_ROWS ? QN_BATCH_ROWS : rows < LEAST_BATCH_ROWS ? LEAST_BATCH_ROWS : rows;
}

// The order of the run's rows.
static qn_status sort_rows(qn_sorter *sorter, int32_t **order, qn_error *err) {
  qn_status status = QN_OK;
  int32_t *places = NULL;

  QN_TRY(qn_row_parts_freeze(&sorter->rows, err));
  places = qn_memory_alloc(sorter->rows.n_rows * (int64_t)sizeof *places);
  QN_REQUIRE(places != NULL, err, QN_ERR_MEMORY, "no memory to sort %" PRId64 " rows", sorter->rows.n_rows);
  QN_TRY(qn_sort_row_parts(&sorter->rows, sorter->columns, sorter->orders, sorter->n_keys, sorter->n_main,
                           places, err));
  *order = places;
  places = NULL;

done:
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
  QN_TRY(qn_spool_new(sorter->run_schema, sorter->scratch, &sorter->runs[sorter->n_runs], err));
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
  qn_batch *batch = NULL;
  int32_t *order = NULL;
  qn_spool *run = NULL;
  qn_row_parts *rows = &sorter->rows;
  const int64_t step = batch_rows(sorter);

  QN_TRY(sort_rows(sorter, &order, err));
  QN_TRY(add_run(sorter, &run, err));
  for (int64_t first = 0; first < rows->n_rows; first += step) {
    const int64_t n = rows->n_rows - first < step ? rows->n_rows - first : step;
    QN_TRY(qn_row_parts_gather(rows, sorter->run_schema, NULL, order + first, n, &batch, err));
    QN_TRY(qn_spool_append(run, batch, err));
    qn_batch_free(batch);
    batch = NULL;
  }
  qn_row_parts_clear(rows);
  sorter->key_bytes = 0;
  QN_TRY(qn_spool_rewind(run, err)); // gives up the memory that writing takes

done:
  qn_batch_free(batch);
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

// Would the batch make the run too large to be numbered, or its ties too large for one batch?
static bool is_too_large(const qn_sorter *sorter, const qn_batch *batch, int64_t n_bytes) {
  return sorter->rows.n_rows > INT32_MAX - batch->n_rows ||
         (sorter->n_main < sorter->n_keys && sorter->rows.n_bytes > MOST_TIED_BYTES - n_bytes);
}

// Memory that sorting a run takes beyond its rows; if ties are sorted apart they may be all rows.
static int64_t cost_of_sorting(const qn_sorter *sorter, int64_t n_rows, int64_t n_bytes, int64_t key_bytes) {
  const int64_t ties = sorter->n_main < sorter->n_keys ? n_bytes + n_rows * ROW_COST : 0;
  return key_bytes + n_rows * ROW_COST + ties;
}

// Bytes of the main keys, about.
static int64_t bytes_of_keys(const qn_sorter *sorter, const qn_batch *batch) {
  int64_t n_bytes = 0;
  for (int k = 0; k < sorter->n_main; k++) {
    n_bytes += qn_column_n_bytes(&batch->columns[sorter->columns[k]]);
  }
  return n_bytes;
}

// Ends the run if it has its share of memory, or if memory is short and the run is worth a file of its own.
static qn_status make_room(qn_sorter *sorter, const qn_batch *batch, int64_t n_bytes, int64_t key_bytes,
                           qn_error *err) {
  qn_status status = QN_OK;
  const int64_t budget = qn_memory_budget();
  const int64_t run_bytes = sorter->rows.n_bytes + n_bytes;
  const int64_t sort_cost =
      cost_of_sorting(sorter, sorter->rows.n_rows + batch->n_rows, run_bytes, sorter->key_bytes + key_bytes);
  const int64_t cost = run_bytes + sort_cost;
  const int64_t most = budget > 0 && budget / 2 < most_run_cost ? budget / 2 : most_run_cost;

  if (sorter->rows.n_rows == 0) {
    goto done;
  }
  if (qn_memory_is_tight(sort_cost + n_bytes)) {
    QN_TRY(spill_runs(sorter, err));
  }
  if (cost > most || is_too_large(sorter, batch, n_bytes) ||
      (cost > most / 4 && qn_memory_is_tight(sort_cost + n_bytes))) {
    QN_TRY(end_run(sorter, err));
  }

done:
  return status;
}

qn_status qn_sorter_append_from(qn_sorter *sorter, const qn_batch *batch, int source, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_bytes = qn_batch_n_bytes(batch);
  const int64_t key_bytes = bytes_of_keys(sorter, batch);

  QN_REQUIRE(!sorter->is_finished, err, QN_ERR_ARG, "rows are appended to a sorter that has been finished");
  QN_TRY(make_room(sorter, batch, n_bytes, key_bytes, err));
  QN_TRY(qn_row_parts_append(&sorter->rows, batch, source, err));
  sorter->key_bytes += key_bytes;
  sorter->n_rows += batch->n_rows;
  sorter->n_bytes += n_bytes;

done:
  return status;
}

qn_status qn_sorter_append(qn_sorter *sorter, const qn_batch *batch, qn_error *err) {
  return qn_sorter_append_from(sorter, batch, 0, err);
}

// How many runs may be merged at once in three eighths of the budget: each holds two pieces of its file, in
// which batches lie, and the keys of one batch.
static int fan_in(const qn_sorter *sorter) {
  const int64_t row_bytes = sorter->n_rows == 0 ? 0 : sorter->n_bytes / sorter->n_rows;
  const int64_t run_bytes = 3 * batch_rows(sorter) * (row_bytes + 16) + READ_BYTES;
  const int64_t n = qn_memory_budget() > 0 ? qn_memory_budget() / 8 * 3 / run_bytes : MOST_FAN_IN;
  return n > MOST_FAN_IN ? MOST_FAN_IN : n < LEAST_FAN_IN ? LEAST_FAN_IN : (int)n;
}

static qn_status merge_runs(const qn_sorter *sorter, qn_spool *const *runs, int n_runs, qn_run_merge **out,
                            qn_error *err) {
  const qn_merge_order order = {.columns = sorter->columns,
                                .orders = sorter->orders,
                                .n = sorter->n_keys + (has_sources(sorter) ? 1 : 0)};
  return qn_run_merge_new(sorter->run_schema, &order, runs, n_runs, batch_rows(sorter), out, err);
}

// Merges runs into one new one, which is put into *out.
static qn_status merge_into_run(const qn_sorter *sorter, qn_spool **runs, int n_runs, qn_spool **out,
                                qn_error *err) {
  qn_status status = QN_OK;
  qn_run_merge *merge = NULL;
  qn_spool *merged = NULL;
  qn_batch *batch = NULL;

  QN_TRY(qn_spool_new(sorter->run_schema, sorter->scratch, &merged, err));
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

// The first of the `width` neighbouring runs that have the fewest rows together.
static int find_smallest(const qn_sorter *sorter, int width) {
  int64_t n_rows = 0, least = INT64_MAX;
  int first = 0;

  for (int r = 0; r < sorter->n_runs; r++) {
    n_rows += qn_spool_n_rows(sorter->runs[r]);
    n_rows -= r >= width ? qn_spool_n_rows(sorter->runs[r - width]) : 0;
    if (r + 1 >= width && n_rows < least) {
      least = n_rows;
      first = r + 1 - width;
    }
  }
  return first;
}

// Merges runs until `width` are left, no more of them than it takes.
static qn_status reduce_runs(qn_sorter *sorter, int width, qn_error *err) {
  qn_status status = QN_OK;

  while (sorter->n_runs > width) {
    const int too_many = sorter->n_runs - width + 1;
    const int n = too_many < width ? too_many : width;
    const int first = find_smallest(sorter, n);
    qn_spool **runs = sorter->runs + first;
    qn_spool *merged = NULL;
    QN_TRY(merge_into_run(sorter, runs, n, &merged, err));
    runs[0] = merged;
    memmove(runs + 1, runs + n, (size_t)(sorter->n_runs - first - n) * sizeof(qn_spool *));
    sorter->n_runs -= n - 1;
  }

done:
  return status;
}

qn_status qn_sorter_finish(qn_sorter *sorter, qn_error *err) {
  qn_status status = QN_OK;
  const int width = fan_in(sorter);

  QN_REQUIRE(!sorter->is_finished, err, QN_ERR_ARG, "a sorter is finished twice");
  sorter->is_finished = true;
  if (sorter->n_runs == 0) {
    QN_TRY(sort_rows(sorter, &sorter->order, err));
    goto done;
  }
  if (sorter->rows.n_rows > 0) {
    QN_TRY(end_run(sorter, err));
  }
  QN_TRY(reduce_runs(sorter, width, err));
  QN_TRY(merge_runs(sorter, sorter->runs, sorter->n_runs, &sorter->merge, err));

done:
  return status;
}

// The next rows of the merge, without their source.
static qn_status next_merged(const qn_sorter *sorter, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  const int n = sorter->schema->n_columns;
  qn_batch *batch = NULL;
  int *columns = calloc((size_t)n + 1, sizeof *columns);

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for %d columns", n);
  for (int c = 0; c < n; c++) {
    columns[c] = c;
  }
  QN_TRY(qn_run_merge_next(sorter->merge, &batch, err));
  *out = NULL;
  if (batch != NULL) {
    QN_TRY(qn_batch_project(batch, sorter->schema, columns, out, err));
  }

done:
  qn_batch_free(batch);
  free(columns);
  return status;
}

qn_status qn_sorter_next(qn_sorter *sorter, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;

  QN_REQUIRE(sorter->is_finished, err, QN_ERR_ARG, "a sorter is read before it is finished");
  if (sorter->merge != NULL) {
    QN_TRY(has_sources(sorter) ? next_merged(sorter, out, err) : qn_run_merge_next(sorter->merge, out, err));
    goto done;
  }
  *out = NULL;
  if (sorter->order != NULL && sorter->place < sorter->rows.n_rows) {
    const int64_t left = sorter->rows.n_rows - sorter->place;
    const int64_t step = batch_rows(sorter);
    const int64_t n = left < step ? left : step;
    QN_TRY(
        qn_row_parts_gather(&sorter->rows, sorter->schema, NULL, sorter->order + sorter->place, n, out, err));
    sorter->place += n;
  } else {
    qn_row_parts_clear(&sorter->rows);
    qn_memory_free(sorter->order);
    sorter->order = NULL;
  }

done:
  return status;
}
