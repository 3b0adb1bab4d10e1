// SPDX-License-Identifier: Apache-2.0
// Grows one tree of a forest on one rank, whose node has the bins of all rows. Beside these a rank needs 25
// bytes a row, 17 if rows are drawn with replacement; they lie in scratch too where the budget has no room.
#pragma once
#include "ml/forest_rows.h"
#include "ml/tree_list.h"

typedef struct qn_forest_rule {
  int n_classes;                 // 0: numbers
  int64_t max_depth, max_leaves; // 0: no limit
  int64_t min_leaf_rows;
  int n_tried; // columns a split chooses among
  bool is_bootstrap;
  uint64_t seed;
} qn_forest_rule;

/// What is learned: of a number g is weight times value; of one of two classes weight if it is the second,
/// else 0; of more classes the class. h is the weight.
typedef struct qn_forest_grower {
  qn_comm *comm; // is polled
  const qn_forest_rows *rows;
  const char *scratch; // NULL: never
  qn_forest_rule rule;

  // The tree that was grown last
  qn_tree_node *nodes;
  int64_t n_nodes;
  double *values; // [n_leaves, n_values] by leaves: mean of g/h, or shares of the classes
  int n_values;
  double loss; // impurity that is left in the leaves, of the root's weight

  struct qn_forest_room *room;
} qn_forest_grower;

/// Local.
qn_status qn_forest_grower_new(qn_comm *comm, const qn_forest_rows *rows, const qn_forest_rule *rule,
                               const char *scratch, qn_forest_grower **out, qn_error *err);
/// Local. Grows tree number `tree`.
qn_status qn_forest_grow(qn_forest_grower *grower, int64_t tree, qn_error *err);
void qn_forest_grower_free(qn_forest_grower *grower);
