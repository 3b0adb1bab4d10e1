// SPDX-License-Identifier: Apache-2.0
// Rows as bytes: the bin of every value. Columns lie in groups of neighbours, and in a group row by row, so
// that one access brings the bins of a whole group, whose sums fit in the processor's nearest cache.
#pragma once
#include <stdint.h>
#include "ml/tree_edges.h"

enum { QN_TREE_GROUP = 8 };

typedef struct qn_tree_bins {
  qn_tree_edges edges;
  int64_t n_rows; // that are here: this rank's, or all
  int n_columns;
  int width; // columns of a group: QN_TREE_GROUP, or 1
  int n_groups;
  uint8_t *bins; // [n_groups, n_rows, width]
} qn_tree_bins;

/// Collective, inside a run. This rank's rows, in groups of QN_TREE_GROUP.
qn_status qn_tree_bins_new(qn_comm *comm, const qn_rows *rows, int max_bins, qn_tree_bins **out,
                           qn_error *err);
/// Collective, inside a run. Makes them the rows of all ranks, column by column (width 1).
qn_status qn_tree_bins_gather(qn_comm *comm, qn_tree_bins *bins, int64_t n_total, qn_error *err);
void qn_tree_bins_free(qn_tree_bins *bins);

/// Where the bins of a column are: that of row i at [i * width].
static inline const uint8_t *qn_tree_bins_column(const qn_tree_bins *bins, int column) {
  return bins->bins + (int64_t)(column / bins->width) * bins->n_rows * bins->width + column % bins->width;
}
