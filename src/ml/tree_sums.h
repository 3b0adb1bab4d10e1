// SPDX-License-Identifier: Apache-2.0
// Sums of gradients over the rows of a leaf, bin by bin. Gradients are fixed-point numbers, so sums are exact
// whatever the order of rows and ranks. Each rank keeps the sums of its own slice of the columns only.
#pragma once
#include "ml/tree_bins.h"

/// First and second derivative of a row's loss in units of the tree (a power of two each).
typedef struct qn_tree_pair {
  int32_t g; // |g| <= 2^30
  int32_t h; // 0 <= h <= 2^30
} qn_tree_pair;

/// Sums over the rows of a bin, or of a leaf.
typedef struct qn_tree_cell {
  int64_t g, h, n;
} qn_tree_cell;

typedef struct qn_tree_sums {
  qn_comm *comm;
  const qn_tree_bins *bins;
  int64_t *cell_starts; // [n_columns + 1]: cells of column j, one per bin and one for NaN
  int *slices;          // [n_ranks + 1]: columns whose sums each rank keeps
  int first_column, end_column;
  int64_t n_cells; // of this rank's slice
  // Room
  void *sums;      // of a group
  void *pairs;     // of a run of rows
  int64_t *values; // of all cells, to be summed over ranks
  int64_t *starts; // [n_ranks + 1] slices of them
} qn_tree_sums;

qn_status qn_tree_sums_new(qn_comm *comm, const qn_tree_bins *bins, qn_tree_sums **out, qn_error *err);
void qn_tree_sums_free(qn_tree_sums *sums);

/// Collective, inside a run. cells [n_cells] of this rank's slice over rows [n_rows] of this rank and those
/// of the others, n_total together. pairs is by row; is_used [n_columns] says which columns are asked for.
qn_status qn_tree_sums_of_rows(qn_tree_sums *sums, const int32_t *rows, int64_t n_rows, int64_t n_total,
                               const qn_tree_pair *pairs, const bool *is_used, qn_tree_cell *cells,
                               qn_error *err);
