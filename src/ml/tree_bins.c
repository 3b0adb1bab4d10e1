// SPDX-License-Identifier: Apache-2.0
// Binning: each value is looked for among the edges of its column, sixteen rows side by side, so that the
// steps of the searches do not wait for each other.
#include "ml/tree_bins.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"

enum { ROWS_AT_ONCE = 16 };

static qn_status no_memory(const qn_tree_bins *bins, qn_error *err) {
  return qn_fail(err, QN_ERR_MEMORY, "no memory for the bins of %" PRId64 " rows with %d columns",
                 bins->n_rows, bins->n_columns);
}

// The largest step of a search among n_bins bins.
static int first_step(int n_bins) {
  int step = 1;
  while (step * 2 < n_bins) {
    step *= 2;
  }
  return step;
}

// Bins of ROWS_AT_ONCE values.
static void find_bins(const double *x, const double *edges, int n_bins, uint8_t *out) {
  int at[ROWS_AT_ONCE] = {0};
  for (int step = first_step(n_bins); step > 0; step /= 2) {
    for (int i = 0; i < ROWS_AT_ONCE; i++) {
      at[i] += edges[at[i] + step - 1] < x[i] ? step : 0;
    }
  }
  for (int i = 0; i < ROWS_AT_ONCE; i++) {
    out[i] = (uint8_t)(isnan(x[i]) ? n_bins : at[i]);
  }
}

// Some rows of one column: x and out at the first.
static void bin_rows(const double *x, int64_t stride, int n_rows, const double *edges, int n_bins,
                     uint8_t *out) {
  double values[ROWS_AT_ONCE] = {0};
  uint8_t found[ROWS_AT_ONCE];
  for (int i = 0; i < n_rows; i++) {
    values[i] = x[i * stride];
  }
  find_bins(values, edges, n_bins, found);
  for (int i = 0; i < n_rows; i++) {
    out[(int64_t)i * QN_TREE_GROUP] = found[i];
  }
}

static void bin_block(qn_tree_bins *bins, const qn_row_block *block) {
  const int n_columns = bins->n_columns;
  for (int64_t first = 0; first < block->n_rows; first += ROWS_AT_ONCE) {
    const int64_t left = block->n_rows - first;
    const int n = left < ROWS_AT_ONCE ? (int)left : ROWS_AT_ONCE;
    for (int j = 0; j < n_columns; j++) {
      uint8_t *to = bins->bins +
                    ((int64_t)(j / QN_TREE_GROUP) * bins->n_rows + block->local_row + first) * QN_TREE_GROUP +
                    j % QN_TREE_GROUP;
      const double *edges = bins->edges.edges + (int64_t)j * QN_TREE_BINS;
      bin_rows(block->x + first * n_columns + j, n_columns, n, edges, bins->edges.n_bins[j], to);
    }
  }
}

qn_status qn_tree_bins_new(qn_comm *comm, const qn_rows *rows, int max_bins, qn_tree_bins **out,
                           qn_error *err) {
  qn_status status = QN_OK;
  double *room = NULL;
  int64_t bytes = 0;
  qn_tree_bins *bins = calloc(1, sizeof *bins);

  QN_REQUIRE(bins != NULL, err, QN_ERR_MEMORY, "no memory for bins");
  bins->n_rows = rows->n_local;
  bins->n_columns = rows->n_columns;
  bins->width = QN_TREE_GROUP;
  bins->n_groups = (rows->n_columns + QN_TREE_GROUP - 1) / QN_TREE_GROUP;
  QN_TRY(qn_tree_edges_choose(comm, rows, max_bins, &bins->edges, err));
  QN_TRY(qn_mul_size(rows->n_local, (int64_t)bins->n_groups * QN_TREE_GROUP, &bytes, err));
  bins->bins = qn_memory_alloc(bytes);
  room = qn_memory_alloc(rows->block_rows * rows->n_columns * 8);
  if (bins->bins == NULL || room == NULL) {
    status = no_memory(bins, err);
    goto done;
  }
  memset(bins->bins + (int64_t)(bins->n_groups - 1) * QN_TREE_GROUP * bins->n_rows, 0,
         (size_t)(bins->n_rows * QN_TREE_GROUP));
  for (int64_t b = 0; b < rows->n_blocks; b++) {
    qn_row_block block;
    qn_rows_block(rows, b, &block);
    qn_row_block_densify(&block, room);
    bin_block(bins, &block);
    QN_TRY(qn_comm_poll(comm, err));
  }
  *out = bins;
  bins = NULL;

done:
  qn_memory_free(room);
  qn_tree_bins_free(bins);
  return status;
}

// Lays the gathered rows of a group out column by column.
static void spread_group(const uint8_t *gathered, int64_t n_total, int n_columns, uint8_t *out) {
  for (int j = 0; j < n_columns; j++) {
    for (int64_t i = 0; i < n_total; i++) {
      out[j * n_total + i] = gathered[i * QN_TREE_GROUP + j];
    }
  }
}

qn_status qn_tree_bins_gather(qn_comm *comm, qn_tree_bins *bins, int64_t n_total, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer gathered = {0};
  uint8_t *all = NULL;
  int64_t bytes = 0;
  int64_t *sizes = qn_memory_alloc((int64_t)qn_comm_size(comm) * 8);

  QN_TRY(qn_mul_size(n_total, bins->n_columns, &bytes, err));
  all = qn_memory_alloc(bytes);
  if (sizes == NULL || all == NULL) {
    status = no_memory(bins, err);
    goto done;
  }
  for (int group = 0; group < bins->n_groups; group++) {
    const int first = group * QN_TREE_GROUP;
    const int left = bins->n_columns - first;
    const int64_t group_bytes = bins->n_rows * QN_TREE_GROUP;
    QN_TRY(qn_comm_gather(comm, bins->bins + group * group_bytes, group_bytes, &gathered, sizes, err));
    QN_REQUIRE(gathered.size == n_total * QN_TREE_GROUP, err, QN_ERR_MPI,
               "%" PRId64 " bytes of bins came for %" PRId64 " rows", gathered.size, n_total);
    spread_group(gathered.data, n_total, left < QN_TREE_GROUP ? left : QN_TREE_GROUP, all + first * n_total);
  }
  qn_memory_free(bins->bins);
  bins->bins = all;
  all = NULL;
  bins->n_rows = n_total;
  bins->width = 1;
  bins->n_groups = bins->n_columns;

done:
  qn_buffer_release(&gathered);
  qn_memory_free(all);
  qn_memory_free(sizes);
  return status;
}

void qn_tree_bins_free(qn_tree_bins *bins) {
  if (bins != NULL) {
    qn_tree_edges_release(&bins->edges);
    qn_memory_free(bins->bins);
    free(bins);
  }
}
