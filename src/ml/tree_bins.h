// SPDX-License-Identifier: Apache-2.0
// Rows as bytes: the bin of every value. Columns lie in groups of neighbours, and in a group row by row, so
// that one access brings the bins of a whole group, whose sums fit in the processor's nearest cache.
#pragma once
#include <stdint.h>
#include "base/mapped_room.h"
#include "ml/tree_edges.h"

enum { QN_TREE_GROUP = 8 };

typedef struct qn_tree_bins {
  qn_tree_edges edges;
  int64_t n_rows; // of this rank
  int n_columns;
  int n_groups;
  const uint8_t *bins; // [n_groups, n_rows, QN_TREE_GROUP]
  qn_mapped_room room; // where they lie
} qn_tree_bins;

/// Collective, inside a run. Bins of this rank's rows. They lie in `scratch` (NULL: never) where the budget
/// has no room for them.
qn_status qn_tree_bins_new(qn_comm *comm, const qn_rows *rows, int max_bins, const char *scratch,
                           qn_tree_bins **out, qn_error *err);
void qn_tree_bins_free(qn_tree_bins *bins);

/// Where the bins of a column are: that of row i at [i * QN_TREE_GROUP].
static inline const uint8_t *qn_tree_bins_column(const qn_tree_bins *bins, int column) {
  return bins->bins + (int64_t)(column / QN_TREE_GROUP) * bins->n_rows * QN_TREE_GROUP +
         column % QN_TREE_GROUP;
}

/// Where bins are written: that of row i of this rank and column j at
/// [j / width * group_bytes + i * width + j % width]. let_go(ctx) is called now and then: all of them were
/// written before.
typedef struct qn_tree_bins_place {
  uint8_t *bins;
  int64_t group_bytes;
  int width;
  void (*let_go)(const void *ctx);
  const void *ctx;
} qn_tree_bins_place;
/// Collective, inside a run. Finds the bins of this rank's rows.
qn_status qn_tree_bins_find(qn_comm *comm, const qn_rows *rows, const qn_tree_edges *edges,
                            const qn_tree_bins_place *place, qn_error *err);
