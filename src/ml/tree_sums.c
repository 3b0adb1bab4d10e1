// SPDX-License-Identifier: Apache-2.0
// The innermost loop of tree growing. A cell is 16 bytes, {sum of g, sum of h << 16 | rows}, so one vector
// addition does all for a value; the cells of a group of columns fit in the nearest cache. The rows field has
// 16 bits, hence the runs of rows. Small leaves travel between ranks in this form.
#include "ml/tree_sums.h"
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"

typedef int64_t packed __attribute__((vector_size(16)));

enum {
  ROW_BITS = 16,
  RUN_ROWS = 1 << 15,          // rows that are summed before cells are unpacked
  MOST_PACKED = (1 << 16) - 1, // rows that a packed cell can count
  AHEAD = 24,                  // rows whose bins are fetched ahead
};

_Static_assert(RUN_ROWS <= MOST_PACKED, "a run must fit in the field for rows");

typedef packed group_cells[QN_TREE_GROUP][QN_TREE_BINS];

// Cuts the columns into slices of about as many cells.
static void cut_slices(qn_tree_sums *sums) {
  const int n_ranks = qn_comm_size(sums->comm);
  const int64_t n_cells = sums->cell_starts[sums->bins->n_columns];
  int column = 0;
  for (int rank = 0; rank <= n_ranks; rank++) {
    while (column < sums->bins->n_columns && sums->cell_starts[column] * n_ranks < n_cells * rank) {
      column++;
    }
    sums->slices[rank] = column;
  }
  sums->slices[n_ranks] = sums->bins->n_columns;
  sums->first_column = sums->slices[qn_comm_rank(sums->comm)];
  sums->end_column = sums->slices[qn_comm_rank(sums->comm) + 1];
  sums->n_cells = sums->cell_starts[sums->end_column] - sums->cell_starts[sums->first_column];
}

qn_status qn_tree_sums_new(qn_comm *comm, const qn_tree_bins *bins, qn_tree_sums **out, qn_error *err) {
  qn_status status = QN_OK;
  const int n_ranks = qn_comm_size(comm);
  qn_tree_sums *sums = calloc(1, sizeof *sums);

  QN_REQUIRE(sums != NULL, err, QN_ERR_MEMORY, "no memory for sums of gradients");
  sums->comm = comm;
  sums->bins = bins;
  sums->cell_starts = calloc((size_t)bins->n_columns + 1, sizeof(int64_t));
  sums->slices = calloc((size_t)n_ranks + 1, sizeof(int));
  sums->starts = calloc((size_t)n_ranks + 1, sizeof(int64_t));
  QN_REQUIRE(sums->cell_starts != NULL && sums->slices != NULL && sums->starts != NULL, err, QN_ERR_MEMORY,
             "no memory for sums over %d columns", bins->n_columns);
  for (int j = 0; j < bins->n_columns; j++) {
    sums->cell_starts[j + 1] = sums->cell_starts[j] + bins->edges.n_bins[j] + 1;
  }
  cut_slices(sums);
  sums->sums = qn_memory_alloc((int64_t)sizeof(group_cells));
  sums->pairs = qn_memory_alloc((int64_t)RUN_ROWS * (int64_t)sizeof(packed));
  sums->values = qn_memory_alloc(sums->cell_starts[bins->n_columns] * 24);
  QN_REQUIRE(sums->sums != NULL && sums->pairs != NULL && sums->values != NULL, err, QN_ERR_MEMORY,
             "no memory for sums over %d columns", bins->n_columns);
  *out = sums;
  sums = NULL;

done:
  qn_tree_sums_free(sums);
  return status;
}

void qn_tree_sums_free(qn_tree_sums *sums) {
  if (sums != NULL) {
    free(sums->cell_starts);
    free(sums->slices);
    free(sums->starts);
    qn_memory_free(sums->sums);
    qn_memory_free(sums->pairs);
    qn_memory_free(sums->values);
    free(sums);
  }
}

static void gather_pairs(const qn_tree_pair *pairs, const int32_t *rows, int64_t n, packed *out) {
  for (int64_t i = 0; i < n; i++) {
    const qn_tree_pair pair = pairs[rows[i]];
    out[i] = (packed){pair.g, ((int64_t)pair.h << ROW_BITS) | 1};
  }
}

// Adds rows into the cells of a group, whose bins are one word a row.
static void add_rows(const uint64_t *bins, const int32_t *rows, const packed *pairs, int64_t n,
                     group_cells cells) {
  for (int64_t i = 0; i < n; i++) {
    __builtin_prefetch(bins + rows[i + AHEAD < n ? i + AHEAD : i]);
    const uint64_t word = bins[rows[i]];
    const packed pair = pairs[i];
    cells[0][word & 255] += pair;
    cells[1][word >> 8 & 255] += pair;
    cells[2][word >> 16 & 255] += pair;
    cells[3][word >> 24 & 255] += pair;
    cells[4][word >> 32 & 255] += pair;
    cells[5][word >> 40 & 255] += pair;
    cells[6][word >> 48 & 255] += pair;
    cells[7][word >> 56] += pair;
  }
}

static void unpack(packed cell, int64_t *g, int64_t *h, int64_t *n) {
  *g = cell[0];
  *h = (int64_t)((uint64_t)cell[1] >> ROW_BITS);
  *n = cell[1] & MOST_PACKED;
}

// Adds the cells of a group to those of all columns, unpacked; or puts them there packed.
static void keep_group(qn_tree_sums *sums, int group, bool is_packed) {
  const packed(*cells)[QN_TREE_BINS] = sums->sums;
  const int first = group * QN_TREE_GROUP;
  for (int j = first; j < first + QN_TREE_GROUP && j < sums->bins->n_columns; j++) {
    const int64_t start = sums->cell_starts[j];
    const int64_t n = sums->cell_starts[j + 1] - start;
    if (is_packed) {
      memcpy(sums->values + start * 2, cells[j - first], (size_t)n * sizeof(packed));
      continue;
    }
    for (int64_t i = 0; i < n; i++) {
      int64_t g, h, rows;
      unpack(cells[j - first][i], &g, &h, &rows);
      int64_t *to = sums->values + (start + i) * 3;
      to[0] += g;
      to[1] += h;
      to[2] += rows;
    }
  }
}

static bool is_group_used(const qn_tree_sums *sums, int group, const bool *is_used) {
  const int first = group * QN_TREE_GROUP;
  for (int j = first; j < first + QN_TREE_GROUP && j < sums->bins->n_columns; j++) {
    if (is_used[j]) {
      return true;
    }
  }
  return false;
}

static void add_run(qn_tree_sums *sums, const int32_t *rows, int64_t n, const qn_tree_pair *pairs,
                    const bool *is_used, bool is_packed) {
  gather_pairs(pairs, rows, n, sums->pairs);
  for (int group = 0; group < sums->bins->n_groups; group++) {
    if (is_group_used(sums, group, is_used)) {
      const uint8_t *bins = sums->bins->bins + (int64_t)group * sums->bins->n_rows * QN_TREE_GROUP;
      memset(sums->sums, 0, sizeof(group_cells));
      add_rows((const uint64_t *)(const void *)bins, rows, sums->pairs, n, sums->sums);
      keep_group(sums, group, is_packed);
    }
  }
}

// This rank's slice of the sums, unpacked.
static void take_slice(const qn_tree_sums *sums, bool is_packed, qn_tree_cell *cells) {
  const int64_t *from = sums->values + sums->starts[qn_comm_rank(sums->comm)];
  if (!is_packed) {
    memcpy(cells, from, (size_t)sums->n_cells * sizeof *cells);
    return;
  }
  for (int64_t i = 0; i < sums->n_cells; i++) {
    unpack((packed){from[2 * i], from[2 * i + 1]}, &cells[i].g, &cells[i].h, &cells[i].n);
  }
}

qn_status qn_tree_sums_of_rows(qn_tree_sums *sums, const int32_t *rows, int64_t n_rows, int64_t n_total,
                               const qn_tree_pair *pairs, const bool *is_used, qn_tree_cell *cells,
                               qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_all = sums->cell_starts[sums->bins->n_columns];
  const bool is_packed = n_total <= RUN_ROWS;
  const int width = is_packed ? 2 : 3;

  memset(sums->values, 0, (size_t)(n_all * width) * 8);
  for (int64_t first = 0; first < n_rows; first += RUN_ROWS) {
    const int64_t left = n_rows - first;
    add_run(sums, rows + first, left < RUN_ROWS ? left : RUN_ROWS, pairs, is_used, is_packed);
  }
  for (int rank = 0; rank <= qn_comm_size(sums->comm); rank++) {
    sums->starts[rank] = sums->cell_starts[sums->slices[rank]] * width;
  }
  QN_TRY(qn_comm_sum_slices_int64(sums->comm, sums->values, sums->starts, err));
  take_slice(sums, is_packed, cells);

done:
  return status;
}
