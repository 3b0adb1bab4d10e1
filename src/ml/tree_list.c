// SPDX-License-Identifier: Apache-2.0
// Many trees as a few long arrays, which is how models keep them.
#include "ml/tree_list.h"
#include <inttypes.h>
#include "base/check.h"
#include "base/memory.h"

static qn_status append_int32(qn_buffer *buffer, int32_t value, qn_error *err) {
  return qn_buffer_append(buffer, &value, 4, err);
}

static qn_status append_float64(qn_buffer *buffer, double value, qn_error *err) {
  return qn_buffer_append(buffer, &value, 8, err);
}

static qn_status append_node(qn_tree_list *list, const qn_tree_node *node, const double *values,
                             qn_error *err) {
  qn_status status = QN_OK;
  const bool is_leaf = node->column < 0;

  QN_TRY(append_int32(&list->columns, node->column, err));
  QN_TRY(append_float64(&list->thresholds, is_leaf ? 0 : node->threshold, err));
  QN_TRY(append_float64(&list->gains, is_leaf ? 0 : node->gain, err));
  QN_TRY(append_int32(&list->left, is_leaf ? (int32_t)list->n_leaves : node->left, err));
  QN_TRY(append_int32(&list->right, is_leaf ? 0 : node->right, err));
  const bool default_left = !is_leaf && node->default_left;
  QN_TRY(qn_buffer_append(&list->default_left, &default_left, 1, err));
  if (is_leaf) {
    QN_REQUIRE(list->n_leaves < INT32_MAX, err, QN_ERR_VALUE,
               "the trees have more than %d leaves: limit them with max_leaves or max_depth", INT32_MAX);
    QN_TRY(qn_buffer_append(&list->values, values != NULL ? values : &node->value,
                            (int64_t)list->n_values * 8, err));
    list->n_leaves++;
  }
  list->n_nodes++;

done:
  return status;
}

static qn_status append_start(qn_tree_list *list, qn_error *err) {
  return qn_buffer_append(&list->starts, &list->n_nodes, 8, err);
}

qn_status qn_tree_list_append(qn_tree_list *list, const qn_tree_node *nodes, int64_t n_nodes, int output,
                              const double *values, qn_error *err) {
  qn_status status = QN_OK;

  if (list->n_trees == 0) {
    list->n_values = list->n_values > 0 ? list->n_values : 1;
    QN_TRY(append_start(list, err));
  }
  for (int64_t i = 0; i < n_nodes; i++) {
    QN_TRY(append_node(list, &nodes[i], values, err));
    if (values != NULL && nodes[i].column < 0) {
      values += list->n_values;
    }
  }
  QN_TRY(append_int32(&list->outputs, output, err));
  QN_TRY(append_start(list, err));
  list->n_trees++;

done:
  return status;
}

qn_status qn_tree_list_append_copy(qn_tree_list *list, const qn_trees *from, int64_t tree, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t first = from->starts[tree];

  if (list->n_trees == 0) {
    list->n_values = from->n_values;
    QN_TRY(append_start(list, err));
  }
  for (int64_t i = first; i < from->starts[tree + 1]; i++) {
    const qn_tree_node node = {.column = from->columns[i],
                               .left = from->left[i],
                               .right = from->right[i],
                               .threshold = from->thresholds[i],
                               .gain = from->gains[i],
                               .default_left = from->default_left[i]};
    // Of a leaf left is its values.
    QN_TRY(append_node(list, &node, from->values + (int64_t)from->left[i] * from->n_values, err));
  }
  QN_TRY(append_int32(&list->outputs, from->outputs[tree], err));
  QN_TRY(append_start(list, err));
  list->n_trees++;

done:
  return status;
}

static const int64_t *list_starts(const qn_tree_list *list) {
  return (const int64_t *)(const void *)list->starts.data;
}

static const int32_t *list_columns(const qn_tree_list *list) {
  return (const int32_t *)(const void *)list->columns.data;
}

void qn_tree_list_cut(qn_tree_list *list, int64_t n_trees) {
  if (n_trees >= list->n_trees) {
    return;
  }
  const int64_t n_nodes = list_starts(list)[n_trees];
  for (int64_t i = n_nodes; i < list->n_nodes; i++) {
    list->n_leaves -= list_columns(list)[i] < 0;
  }
  list->n_trees = n_trees;
  list->n_nodes = n_nodes;
  list->starts.size = (n_trees + 1) * 8;
  list->outputs.size = n_trees * 4;
  list->columns.size = list->left.size = list->right.size = n_nodes * 4;
  list->thresholds.size = list->gains.size = n_nodes * 8;
  list->default_left.size = n_nodes;
  list->values.size = list->n_leaves * list->n_values * 8;
}

qn_status qn_tree_list_put(const qn_tree_list *list, qn_arrays *arrays, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = list->n_nodes;

  QN_TRY(qn_arrays_put(arrays, "tree_start", QN_INT64, list->n_trees + 1, list->starts.data, err));
  QN_TRY(qn_arrays_put(arrays, "tree_output", QN_INT32, list->n_trees, list->outputs.data, err));
  QN_TRY(qn_arrays_put(arrays, "node_column", QN_INT32, n, list->columns.data, err));
  QN_TRY(qn_arrays_put(arrays, "node_threshold", QN_FLOAT64, n, list->thresholds.data, err));
  QN_TRY(qn_arrays_put(arrays, "node_default_left", QN_BOOL, n, list->default_left.data, err));
  QN_TRY(qn_arrays_put(arrays, "node_gain", QN_FLOAT64, n, list->gains.data, err));
  QN_TRY(qn_arrays_put(arrays, "node_left", QN_INT32, n, list->left.data, err));
  QN_TRY(qn_arrays_put(arrays, "node_right", QN_INT32, n, list->right.data, err));
  QN_TRY(qn_arrays_put_matrix(arrays, "leaf_value", QN_FLOAT64, list->n_leaves, list->n_values,
                              list->values.data, err));

done:
  return status;
}

qn_status qn_tree_list_put_importance(const qn_tree_list *list, int n_columns, qn_arrays *arrays,
                                      qn_error *err) {
  qn_status status = QN_OK;
  void *data = NULL;
  const int64_t dims[] = {n_columns};
  double total = 0;

  QN_TRY(qn_arrays_new(arrays, "importance", QN_FLOAT64, 1, dims, &data, err));
  double *shares = data;
  memset(shares, 0, (size_t)n_columns * 8);
  const int32_t *columns = list_columns(list);
  const double *gains = (const double *)(const void *)list->gains.data;
  for (int64_t i = 0; i < list->n_nodes; i++) {
    if (columns[i] >= 0) {
      shares[columns[i]] += gains[i];
      total += gains[i];
    }
  }
  for (int j = 0; j < n_columns; j++) {
    shares[j] = total > 0 ? shares[j] / total : 0;
  }

done:
  return status;
}

static qn_status refill(qn_buffer *buffer, const void *data, int64_t size, qn_error *err) {
  buffer->size = 0;
  return qn_buffer_append(buffer, data, size, err);
}

qn_status qn_tree_list_get(const qn_arrays *arrays, qn_tree_list *list, qn_error *err) {
  qn_status status = QN_OK;
  qn_trees trees;

  QN_TRY(qn_trees_get(arrays, &trees, err));
  const int64_t n = trees.n_nodes;
  list->n_trees = trees.n_trees;
  list->n_nodes = n;
  list->n_leaves = trees.n_leaves;
  list->n_values = trees.n_values;
  QN_TRY(refill(&list->starts, trees.starts, (trees.n_trees + 1) * 8, err));
  QN_TRY(refill(&list->outputs, trees.outputs, trees.n_trees * 4, err));
  QN_TRY(refill(&list->columns, trees.columns, n * 4, err));
  QN_TRY(refill(&list->thresholds, trees.thresholds, n * 8, err));
  QN_TRY(refill(&list->default_left, trees.default_left, n, err));
  QN_TRY(refill(&list->gains, trees.gains, n * 8, err));
  QN_TRY(refill(&list->left, trees.left, n * 4, err));
  QN_TRY(refill(&list->right, trees.right, n * 4, err));
  QN_TRY(refill(&list->values, trees.values, trees.n_leaves * trees.n_values * 8, err));

done:
  return status;
}

void qn_tree_list_release(qn_tree_list *list) {
  qn_buffer *const all[] = {&list->starts,     &list->outputs,      &list->columns,
                            &list->thresholds, &list->default_left, &list->gains,
                            &list->left,       &list->right,        &list->values};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    qn_buffer_release(all[i]);
  }
  *list = (qn_tree_list){0};
}
