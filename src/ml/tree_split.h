// SPDX-License-Identifier: Apache-2.0
// The best place to cut a leaf in two.
#pragma once
#include "ml/tree_sums.h"

/// What a split must fulfil, and how fixed-point sums become numbers.
typedef struct qn_tree_rule {
  double l2, min_gain, min_leaf_hessian;
  int64_t min_leaf_rows;
  double g_unit, h_unit;
} qn_tree_rule;

typedef struct qn_tree_split {
  double score; // of both sides; what is compared between columns and ranks
  double gain;  // over the leaf as it is; 0: there is no split
  int32_t column, bin;
  int64_t missing_left; // NaN goes left
  qn_tree_cell left;    // sums of the left side
} qn_tree_split;

/// Local. The best among this rank's slice of columns.
void qn_tree_split_find(const qn_tree_sums *sums, const qn_tree_cell *cells, qn_tree_cell leaf,
                        const qn_tree_rule *rule, const bool *is_used, qn_tree_split *out);
/// Collective, inside a run. For each of n <= 2 splits the best of all ranks, the same everywhere.
qn_status qn_tree_split_agree(qn_comm *comm, qn_tree_split *splits, int n, qn_error *err);
/// The value of a leaf, before it is shrunk.
static inline double qn_tree_leaf_value(qn_tree_cell leaf, const qn_tree_rule *rule) {
  const double h = (double)leaf.h * rule->h_unit + rule->l2;
  return h > 0 ? -(double)leaf.g * rule->g_unit / h : 0;
}
