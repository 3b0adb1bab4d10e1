// SPDX-License-Identifier: Apache-2.0
// First the main keys, which often are a few numbers and sort fast. Rows that agree in them are then sorted
// all at once, by the number of their group of equals and the remaining keys, and put back into the places
// they had.
#include "exec/sort_batch.h"
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"
#include "exec/row_changes.h"

typedef struct {
  const qn_batch *batch;
  const int *columns;
  const qn_order *orders;
  int n_keys, n_main;
} sort_job;

// Some columns of rows[0 .. n_rows - 1] of the batch.
static qn_status gather_columns(const qn_batch *batch, const int *columns, int n_columns, const int32_t *rows,
                                int64_t n_rows, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_schema *schema = NULL;
  qn_batch *chosen = NULL;

  QN_TRY(qn_schema_project(batch->schema, columns, n_columns, &schema, err));
  QN_TRY(qn_batch_project(batch, schema, columns, &chosen, err));
  QN_TRY(qn_batch_gather(chosen, rows, n_rows, out, err));

done:
  qn_batch_free(chosen);
  qn_schema_free(schema);
  return status;
}

static qn_status sort_by(const qn_batch *batch, const int *columns, const qn_order *orders, int n_keys,
                         int32_t *rows, qn_error *err) {
  qn_status status = QN_OK;
  const qn_column **keys = calloc((size_t)n_keys + 1, sizeof *keys);

  QN_REQUIRE(keys != NULL, err, QN_ERR_MEMORY, "no memory for %d sort keys", n_keys);
  for (int k = 0; k < n_keys; k++) {
    keys[k] = &batch->columns[columns[k]];
  }
  QN_TRY(qn_sort_rows(keys, orders, n_keys, batch->n_rows, rows, err));

done:
  free(keys);
  return status;
}

// Finds the places in order whose rows agree in the main keys with a neighbour, and numbers their groups.
static qn_status find_ties(const sort_job *job, const int32_t *rows, int32_t *places, int32_t *groups,
                           int64_t *n_tied, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_rows = job->batch->n_rows;
  qn_batch *keys = NULL;
  int *columns = calloc((size_t)job->n_main + 1, sizeof *columns);
  uint8_t *changes = qn_memory_alloc(n_rows + 1);
  int32_t group = 0;
  int64_t n = 0;

  QN_REQUIRE(columns != NULL && changes != NULL, err, QN_ERR_MEMORY, "no memory to sort %" PRId64 " rows",
             n_rows);
  QN_TRY(gather_columns(job->batch, job->columns, job->n_main, rows, n_rows, &keys, err));
  for (int k = 0; k < job->n_main; k++) {
    columns[k] = k;
  }
  memset(changes, 0, (size_t)n_rows);
  changes[n_rows] = 1;
  qn_mark_changes(NULL, keys, columns, job->n_main, changes);
  for (int64_t i = 0; i < n_rows; i++) {
    group += changes[i];
    places[n] = (int32_t)i;
    groups[n] = group;
    n += changes[i] == 0 || changes[i + 1] == 0;
  }
  *n_tied = n;

done:
  qn_batch_free(keys);
  qn_memory_free(changes);
  free(columns);
  return status;
}

// Sorts the rows of `tied` by group, then by the remaining keys.
static qn_status sort_groups(const sort_job *job, const qn_batch *tied, const int32_t *groups, int32_t *order,
                             qn_error *err) {
  qn_status status = QN_OK;
  const int n_rest = job->n_keys - job->n_main;
  const qn_column numbers = {.type = QN_INT32, .n_rows = tied->n_rows, .values = groups};
  const qn_column **keys = calloc((size_t)n_rest + 1, sizeof *keys);
  qn_order *orders = calloc((size_t)n_rest + 1, sizeof *orders);

  QN_REQUIRE(keys != NULL && orders != NULL, err, QN_ERR_MEMORY, "no memory for %d sort keys", n_rest);
  keys[0] = &numbers;
  for (int k = 0; k < n_rest; k++) {
    keys[k + 1] = &tied->columns[k];
    orders[k + 1] = job->orders[job->n_main + k];
  }
  QN_TRY(qn_sort_rows(keys, orders, n_rest + 1, tied->n_rows, order, err));

done:
  free(keys);
  free(orders);
  return status;
}

static qn_status break_ties(const sort_job *job, int32_t *rows, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_rows = job->batch->n_rows;
  const int64_t size = n_rows * (int64_t)sizeof(int32_t);
  int32_t *places = qn_memory_alloc(size + (int64_t)sizeof *places);
  int32_t *groups = qn_memory_alloc(size + (int64_t)sizeof *groups);
  int32_t *order = NULL, *tied_rows = NULL;
  qn_batch *tied = NULL;
  int64_t n = 0;

  QN_REQUIRE(places != NULL && groups != NULL, err, QN_ERR_MEMORY, "no memory to sort %" PRId64 " rows",
             n_rows);
  QN_TRY(find_ties(job, rows, places, groups, &n, err));
  if (n == 0) {
    goto done;
  }
  order = qn_memory_alloc(n * (int64_t)sizeof *order);
  tied_rows = qn_memory_alloc(n * (int64_t)sizeof *tied_rows);
  QN_REQUIRE(order != NULL && tied_rows != NULL, err, QN_ERR_MEMORY, "no memory to sort %" PRId64 " rows", n);
  for (int64_t i = 0; i < n; i++) {
    tied_rows[i] = rows[places[i]];
  }
  QN_TRY(gather_columns(job->batch, job->columns + job->n_main, job->n_keys - job->n_main, tied_rows, n,
                        &tied, err));
  QN_TRY(sort_groups(job, tied, groups, order, err));
  for (int64_t i = 0; i < n; i++) {
    rows[places[i]] = tied_rows[order[i]];
  }

done:
  qn_batch_free(tied);
  qn_memory_free(tied_rows);
  qn_memory_free(order);
  qn_memory_free(groups);
  qn_memory_free(places);
  return status;
}

qn_status qn_sort_batch(const qn_batch *batch, const int *columns, const qn_order *orders, int n_keys,
                        int n_main, int32_t *rows, qn_error *err) {
  qn_status status = QN_OK;
  const sort_job job = {
      .batch = batch, .columns = columns, .orders = orders, .n_keys = n_keys, .n_main = n_main};

  if (n_keys == 0) {
    for (int64_t i = 0; i < batch->n_rows; i++) {
      rows[i] = (int32_t)i;
    }
    goto done;
  }
  if (n_main <= 0 || n_main >= n_keys) {
    QN_TRY(sort_by(batch, columns, orders, n_keys, rows, err));
    goto done;
  }
  QN_TRY(sort_by(batch, columns, orders, n_main, rows, err));
  QN_TRY(break_ties(&job, rows, err));

done:
  return status;
}
