// SPDX-License-Identifier: Apache-2.0
// Rows through the trees of a model. Models come from files, so every step is checked: it leads to a later
// node of the tree. Rows are taken in tiles that stay in cache while all trees are gone through.
#include <inttypes.h>
#include <math.h>
#include "base/check.h"
#include "ml/tree_list.h"

enum { TILE_ROWS = 128 };

static int64_t array_length(const qn_arrays *arrays, const char *name) {
  const qn_array *array = qn_arrays_find(arrays, name);
  return array != NULL && array->n_dims >= 1 ? array->dims[0] : -1;
}

qn_status qn_trees_get(const qn_arrays *arrays, qn_trees *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_trees trees = {0};
  const void *data = NULL;
  int64_t n_starts = -1, n_nodes = -1;
  int64_t any[] = {-1, -1};

  QN_TRY(qn_arrays_get(arrays, "tree_start", QN_INT64, 1, &n_starts, &data, err));
  trees.starts = data;
  trees.n_trees = array_length(arrays, "tree_start") - 1;
  QN_TRY(qn_arrays_get(arrays, "node_column", QN_INT32, 1, &n_nodes, &data, err));
  trees.columns = data;
  trees.n_nodes = n_nodes = array_length(arrays, "node_column");
  QN_TRY(qn_arrays_get(arrays, "tree_output", QN_INT32, 1, &trees.n_trees, &data, err));
  trees.outputs = data;
  QN_TRY(qn_arrays_get(arrays, "node_threshold", QN_FLOAT64, 1, &n_nodes, &data, err));
  trees.thresholds = data;
  QN_TRY(qn_arrays_get(arrays, "node_default_left", QN_BOOL, 1, &n_nodes, &data, err));
  trees.default_left = data;
  QN_TRY(qn_arrays_get(arrays, "node_left", QN_INT32, 1, &n_nodes, &data, err));
  trees.left = data;
  QN_TRY(qn_arrays_get(arrays, "node_right", QN_INT32, 1, &n_nodes, &data, err));
  trees.right = data;
  QN_TRY(qn_arrays_get(arrays, "node_gain", QN_FLOAT64, 1, &n_nodes, &data, err));
  trees.gains = data;
  QN_TRY(qn_arrays_get(arrays, "leaf_value", QN_FLOAT64, 2, any, &data, err));
  trees.values = data;
  const qn_array *values = qn_arrays_find(arrays, "leaf_value");
  trees.n_leaves = values->dims[0];
  trees.n_values = (int)values->dims[1];
  for (int64_t t = 0; t < trees.n_trees; t++) {
    QN_REQUIRE(trees.starts[t] >= 0 && trees.starts[t] < trees.starts[t + 1] &&
                   trees.starts[t + 1] <= n_nodes && trees.starts[t + 1] - trees.starts[t] <= INT32_MAX,
               err, QN_ERR_FORMAT, "the model is damaged: tree %" PRId64 " has no nodes", t);
  }
  *out = trees;

done:
  return status;
}

// The leaf of a row; -1 if a node leads nowhere. `first` is the number of the tree's first node.
static int64_t find_leaf(const qn_trees *trees, int64_t first, int64_t n_nodes, const double *x,
                         int n_columns) {
  const int32_t *columns = trees->columns + first;
  int64_t node = 0;
  while (columns[node] >= 0) {
    if (columns[node] >= n_columns) {
      return -1;
    }
    const double value = x[columns[node]];
    const bool is_left =
        (value <= trees->thresholds[first + node]) | (isnan(value) && trees->default_left[first + node]);
    const int64_t next = is_left ? trees->left[first + node] : trees->right[first + node];
    if (next <= node || next >= n_nodes) {
      return -1;
    }
    node = next;
  }
  const int64_t leaf = trees->left[first + node];
  return leaf < trees->n_leaves ? leaf : -1;
}

static bool add_tile(const qn_trees *trees, int64_t t, const double *x, int64_t n_rows, int n_columns,
                     int n_outputs, double *outputs) {
  const int64_t first = trees->starts[t];
  const int64_t n_nodes = trees->starts[t + 1] - first;
  const int n_values = trees->n_values;
  for (int64_t i = 0; i < n_rows; i++) {
    const int64_t leaf = find_leaf(trees, first, n_nodes, x + i * n_columns, n_columns);
    if (leaf < 0) {
      return false;
    }
    double *out = outputs + i * n_outputs + trees->outputs[t];
    for (int k = 0; k < n_values; k++) {
      out[k] += trees->values[leaf * n_values + k];
    }
  }
  return true;
}

qn_status qn_trees_add(const qn_trees *trees, int64_t first, int64_t end, const double *x, int64_t n_rows,
                       int n_columns, int n_outputs, double *outputs, qn_error *err) {
  qn_status status = QN_OK;

  for (int64_t t = first; t < end; t++) {
    QN_REQUIRE(trees->outputs[t] >= 0 && trees->outputs[t] + trees->n_values <= n_outputs, err, QN_ERR_FORMAT,
               "the model is damaged: tree %" PRId64 " adds to output %d of %d", t, trees->outputs[t],
               n_outputs);
  }
  for (int64_t tile = 0; tile < n_rows; tile += TILE_ROWS) {
    const int64_t n = n_rows - tile < TILE_ROWS ? n_rows - tile : TILE_ROWS;
    for (int64_t t = first; t < end; t++) {
      QN_REQUIRE(
          add_tile(trees, t, x + tile * n_columns, n, n_columns, n_outputs, outputs + tile * n_outputs), err,
          QN_ERR_FORMAT, "the model is damaged: a node of tree %" PRId64 " leads nowhere", t);
    }
  }

done:
  return status;
}
