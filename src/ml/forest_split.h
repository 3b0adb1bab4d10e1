// SPDX-License-Identifier: Apache-2.0
// The best split of some rows of a forest's tree in one column.
#pragma once
#include "ml/tree_bins.h"

/// A row in a tree, as often as it was drawn.
typedef struct qn_forest_item {
  int64_t g, h; // see qn_forest_grower; of more than two classes g is the class
  int32_t row;
  int32_t unused;
} qn_forest_item;

typedef struct qn_forest_split {
  double score; // sum over both sides of squares over weights; 0: none
  int column, bin;
  bool missing_left;
} qn_forest_split;

typedef struct qn_forest_search {
  const qn_tree_bins *bins;
  int n_classes; // more than 2: cells are by class
  int64_t min_leaf_rows;
  int64_t *cells; // [QN_TREE_BINS, n_fields], zero between calls: fields are {g, h} or weights by class
  int64_t *rows;  // [QN_TREE_BINS] rows of a bin, zero between calls
  int64_t *left, *total; // [n_fields]
  int n_fields;
} qn_forest_search;

qn_status qn_forest_search_init(qn_forest_search *search, const qn_tree_bins *bins, int n_classes,
                                int64_t min_leaf_rows, qn_error *err);
void qn_forest_search_release(qn_forest_search *search);
/// Sum of squares over weights of sums of that form.
double qn_forest_score(const qn_forest_search *search, const int64_t *fields);
/// Puts into `best` the best split of the items in a column, if it is better. Returns whether the column has
/// different values there.
bool qn_forest_try_column(qn_forest_search *search, const qn_forest_item *items, int64_t n, int column,
                          qn_forest_split *best);
/// Adds items up; fields [n_fields].
void qn_forest_total(const qn_forest_search *search, const qn_forest_item *items, int64_t n, int64_t *fields);
