// SPDX-License-Identifier: Apache-2.0
// The best split of some rows of a forest's tree in one column.
#pragma once
#include <stdbool.h>
#include "ml/tree_edges.h"

/// A row in a tree.
typedef struct qn_forest_item {
  int32_t row;
  int32_t count; // how often it was drawn, 1 to QN_FOREST_MOST_DRAWN
  int32_t g, h;  // see qn_forest_grower; of more than two classes g is the class
} qn_forest_item;

enum { QN_FOREST_MOST_DRAWN = 255 };

typedef struct qn_forest_split {
  double score; // sum over both sides of squares over weights; 0: none
  int64_t n_left;
  int column, bin;
  bool missing_left;
} qn_forest_split;

typedef struct qn_forest_search {
  const qn_tree_edges *edges;
  int n_classes; // more than 2: sums are by class
  int64_t min_leaf_rows;
  int n_fields;   // {g, h}, or weights by class
  int64_t *total; // [n_fields] of the node
  struct qn_forest_sums *sums;
} qn_forest_search;

qn_status qn_forest_search_init(qn_forest_search *search, const qn_tree_edges *edges, int n_classes,
                                int64_t min_leaf_rows, qn_error *err);
void qn_forest_search_release(qn_forest_search *search);
/// Sum of squares over weights of sums of that form.
double qn_forest_score(const qn_forest_search *search, const int64_t *fields);
/// Adds items up; fields [n_fields].
void qn_forest_total(const qn_forest_search *search, const qn_forest_item *items, int64_t n, int64_t *fields);
/// Begins a node of n items, whose sums search->total holds; then columns can be tried.
void qn_forest_search_begin(qn_forest_search *search, const qn_forest_item *items, int64_t n);
/// Puts into `best` the best split of the node's items in a column, whose bins are by row, if it is better.
/// Returns whether the column has different values there.
bool qn_forest_try_column(qn_forest_search *search, const uint8_t *bins, int column, qn_forest_split *best);
