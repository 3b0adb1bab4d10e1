// SPDX-License-Identifier: Apache-2.0
// Binning: each value is looked for among the edges of its column, sixteen rows side by side, so that the
// steps of the searches do not wait for each other.
#include "ml/tree_bins.h"
#include <math.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"

enum { ROWS_AT_ONCE = 16, LET_GO_BYTES = 8 << 20 };

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
static void bin_rows(const double *x, int64_t stride, int n_rows, const double *edges, int n_bins, int width,
                     uint8_t *out) {
  double values[ROWS_AT_ONCE] = {0};
  uint8_t found[ROWS_AT_ONCE];
  for (int i = 0; i < n_rows; i++) {
    values[i] = x[i * stride];
  }
  find_bins(values, edges, n_bins, found);
  for (int i = 0; i < n_rows; i++) {
    out[(int64_t)i * width] = found[i];
  }
}

static void bin_block(const qn_row_block *block, const qn_tree_edges *edges,
                      const qn_tree_bins_place *place) {
  const int n_columns = block->n_columns;
  const int width = place->width;
  for (int64_t first = 0; first < block->n_rows; first += ROWS_AT_ONCE) {
    const int64_t left = block->n_rows - first;
    const int n = left < ROWS_AT_ONCE ? (int)left : ROWS_AT_ONCE;
    for (int j = 0; j < n_columns; j++) {
      uint8_t *to =
          place->bins + j / width * place->group_bytes + (block->local_row + first) * width + j % width;
      bin_rows(block->x + first * n_columns + j, n_columns, n, edges->edges + (int64_t)j * QN_TREE_BINS,
               edges->n_bins[j], width, to);
    }
  }
}

qn_status qn_tree_bins_find(qn_comm *comm, const qn_rows *rows, const qn_tree_edges *edges,
                            const qn_tree_bins_place *place, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n_written = 0;
  double *room = qn_memory_alloc(rows->block_rows * rows->n_columns * 8);

  QN_REQUIRE(room != NULL, err, QN_ERR_MEMORY, "no memory for a block of rows with %d columns",
             rows->n_columns);
  for (int64_t b = 0; b < rows->n_blocks; b++) {
    qn_row_block block;
    qn_rows_block(rows, b, &block);
    qn_row_block_densify(&block, room);
    bin_block(&block, edges, place);
    n_written += block.n_rows * rows->n_columns;
    if (n_written >= LET_GO_BYTES) {
      place->let_go(place->ctx);
      n_written = 0;
    }
    QN_TRY(qn_comm_poll(comm, err));
  }

done:
  qn_memory_free(room);
  return status;
}

static void let_go(const void *room) {
  const qn_mapped_room *own = room;
  qn_mapped_room_let_go(own, 0, own->n_bytes);
}

qn_status qn_tree_bins_new(qn_comm *comm, const qn_rows *rows, int max_bins, const char *scratch,
                           qn_tree_bins **out, qn_error *err) {
  qn_status status = QN_OK;
  const int n_groups = (rows->n_columns + QN_TREE_GROUP - 1) / QN_TREE_GROUP;
  qn_tree_bins *bins = calloc(1, sizeof *bins);

  QN_REQUIRE(bins != NULL, err, QN_ERR_MEMORY, "no memory for bins");
  bins->n_rows = rows->n_local;
  bins->n_columns = rows->n_columns;
  bins->n_groups = n_groups;
  QN_TRY(qn_tree_edges_choose(comm, rows, max_bins, scratch, &bins->edges, err));
  QN_TRY(qn_mapped_room_take(scratch, rows->n_local, (int64_t)n_groups * QN_TREE_GROUP, "bins", &bins->room,
                             err));
  uint8_t *data = bins->room.data;
  const int64_t group_bytes = rows->n_local * QN_TREE_GROUP;
  memset(data + (n_groups - 1) * group_bytes, 0, (size_t)group_bytes); // it may have fewer columns
  const qn_tree_bins_place place = {
      .bins = data, .group_bytes = group_bytes, .width = QN_TREE_GROUP, .let_go = let_go, .ctx = &bins->room};
  QN_TRY(qn_tree_bins_find(comm, rows, &bins->edges, &place, err));
  bins->bins = data;
  *out = bins;
  bins = NULL;

done:
  qn_tree_bins_free(bins);
  return status;
}

void qn_tree_bins_free(qn_tree_bins *bins) {
  if (bins != NULL) {
    qn_tree_edges_release(&bins->edges);
    qn_mapped_room_release(&bins->room);
    free(bins);
  }
}
