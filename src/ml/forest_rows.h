// SPDX-License-Identifier: Apache-2.0
// What all trees of a forest are grown on: the bins and labels of all rows, once on each node, in memory that
// its ranks share or, where the budget has no room for them, in a mapped file in scratch.
#pragma once
#include "comm/node_room.h"
#include "ml/tree_edges.h"
#include "ml/tree_sums.h"

typedef struct qn_forest_rows {
  qn_tree_edges edges;
  int64_t n_rows; // of all ranks
  int n_columns;
  qn_tree_pair *pairs; // [n_rows] labels
  const uint8_t *bins; // [n_columns, n_rows]
  qn_node_room *room;  // where both lie
} qn_forest_rows;

/// Collective, inside a run. The labels of this rank's rows, pairs[first_row ..], are yet to be filled in.
qn_status qn_forest_rows_new(qn_comm *comm, const qn_rows *rows, int max_bins, const char *scratch,
                             qn_forest_rows **out, qn_error *err);
/// Collective, inside a run, after that: from here on all rows are here, and nobody writes.
qn_status qn_forest_rows_share(qn_comm *comm, const qn_rows *rows, qn_forest_rows *all, qn_error *err);
void qn_forest_rows_free(qn_forest_rows *all); // NULL is allowed
