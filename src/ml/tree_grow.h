// SPDX-License-Identifier: Apache-2.0
// Grows one tree over the rows of all ranks, leaf by leaf: always the leaf whose split gains most.
#pragma once
#include "ml/tree_list.h"
#include "ml/tree_split.h"

typedef struct qn_tree_grower {
  qn_comm *comm;
  const qn_tree_bins *bins;
  qn_tree_sums *sums;
  int64_t max_leaves; // 0: no limit
  int64_t max_depth;  // 0: no limit
  qn_tree_rule rule;  // units to be set for each tree
  bool *is_used;      // [n_columns], to be set for each tree
  int32_t *rows;      // [n_rows] this rank's rows that the tree is grown on, to be set; then leaf by leaf
  int64_t n_rows;
  int32_t *spare;      // room for as many
  qn_mapped_room room; // of both

  struct qn_tree_leaf *leaves;
  int64_t n_leaves, leaf_capacity;
  qn_tree_cell **pool; // sums that no leaf uses
  int64_t n_pooled, n_made, most_made;

  qn_tree_node *nodes; // the tree
  int64_t n_nodes, node_capacity;
} qn_tree_grower;

/// Collective, inside a run. Numbers of rows lie in `scratch` (NULL: never) where the budget has no room.
qn_status qn_tree_grower_new(qn_comm *comm, const qn_tree_bins *bins, int64_t max_leaves, int64_t max_depth,
                             const char *scratch, qn_tree_grower **out, qn_error *err);
/// Collective, inside a run. Leaves have their values times `rate`.
qn_status qn_tree_grow(qn_tree_grower *grower, const qn_tree_pair *pairs, double rate, qn_error *err);
/// Local. The leaf (its node) of a row that is here.
int64_t qn_tree_grower_leaf_of(const qn_tree_grower *grower, int64_t row);
void qn_tree_grower_free(qn_tree_grower *grower);
