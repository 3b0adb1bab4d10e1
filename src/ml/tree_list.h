// SPDX-License-Identifier: Apache-2.0
// Trees: one while it is grown, and many as the arrays of a model.
//
// Of a model: tree_start int64 [n_trees + 1] says where the nodes of each tree begin. Of a node: node_column
// int32 (-1: a leaf), node_threshold float64 (x <= threshold goes left), node_default_left bool (where NaN
// goes), node_gain float64, node_left and node_right int32: numbers within the tree, above that of the node;
// of a leaf node_left is its row of leaf_value float64 [n_leaves, n_values]. tree_output int32 [n_trees] is
// the output that a tree adds to.
#pragma once
#include <stdbool.h>
#include "ml/rows.h"
#include "store/arrays.h"

typedef struct qn_tree_node {
  int32_t column; // -1: a leaf
  int32_t left, right;
  int32_t bin; // x's bin <= bin goes left
  bool default_left;
  double threshold, gain;
  double value;     // of a leaf
  int64_t first, n; // of a leaf: its rows in the order of the grower
} qn_tree_node;

typedef struct qn_tree_list {
  int64_t n_trees, n_nodes, n_leaves;
  int n_values; // of a leaf
  qn_buffer starts, outputs, columns, thresholds, default_left, gains, left, right, values;
} qn_tree_list;

/// Trees in the arrays of a model, borrowed.
typedef struct qn_trees {
  int64_t n_trees, n_nodes, n_leaves;
  int n_values;
  const int64_t *starts;
  const int32_t *outputs, *columns, *left, *right;
  const double *thresholds, *values;
  const bool *default_left;
  const double *gains;
} qn_trees;

/// Local. Appends a tree. values [n_leaves, n_values] of its leaves in the order of nodes, or NULL: those of
/// the nodes.
qn_status qn_tree_list_append(qn_tree_list *list, const qn_tree_node *nodes, int64_t n_nodes, int output,
                              const double *values, qn_error *err);
/// Appends a tree of others.
qn_status qn_tree_list_append_copy(qn_tree_list *list, const qn_trees *from, int64_t tree, qn_error *err);
/// Drops the trees from number n_trees on.
void qn_tree_list_cut(qn_tree_list *list, int64_t n_trees);
qn_status qn_tree_list_put(const qn_tree_list *list, qn_arrays *arrays, qn_error *err);
/// What was put; checks the shapes.
qn_status qn_tree_list_get(const qn_arrays *arrays, qn_tree_list *list, qn_error *err);
/// Puts "importance" [n_columns]: the gains of a column's splits, as shares of all.
qn_status qn_tree_list_put_importance(const qn_tree_list *list, int n_columns, qn_arrays *arrays,
                                      qn_error *err);
void qn_tree_list_release(qn_tree_list *list);

qn_status qn_trees_get(const qn_arrays *arrays, qn_trees *out, qn_error *err);
/// Local. Adds the values of each row's leaves in trees [first, end): to outputs[row * n_outputs + output of
/// the tree], n_values of them. x [n_rows, n_columns]. QN_ERR_FORMAT if a node leads nowhere.
qn_status qn_trees_add(const qn_trees *trees, int64_t first, int64_t end, const double *x, int64_t n_rows,
                       int n_columns, int n_outputs, double *outputs, qn_error *err);
