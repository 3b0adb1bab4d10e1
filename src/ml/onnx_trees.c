// SPDX-License-Identifier: Apache-2.0
// Trees as ONNX's TreeEnsembleRegressor: sums over trees; what follows (a sigmoid, a softmax) comes behind
// it.
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "ml/estimator.h"
#include "ml/onnx_operators.h"

// The arrays of a model of trees.
typedef struct tree_arrays {
  int64_t n_trees, n_nodes, n_leaves, n_values;
  const int64_t *starts;
  const int32_t *outputs, *columns, *left, *right;
  const double *thresholds, *leaves;
  const uint8_t *default_left;
} tree_arrays;

static qn_status get(const qn_model *model, const char *name, qn_type type, int n_dims, const int64_t *dims,
                     const void *out, qn_error *err) {
  const void *data = NULL;
  const qn_status status = qn_arrays_get(&model->arrays, name, type, n_dims, dims, &data, err);
  memcpy((void *)out, &data, sizeof data);
  return status;
}

static qn_status get_trees(const qn_model *model, tree_arrays *out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t any[] = {-1, -1};

  QN_TRY(get(model, "tree_start", QN_INT64, 1, any, &out->starts, err));
  out->n_trees = qn_arrays_find(&model->arrays, "tree_start")->dims[0] - 1;
  QN_TRY(get(model, "tree_output", QN_INT32, 1, &out->n_trees, &out->outputs, err));
  QN_TRY(get(model, "node_column", QN_INT32, 1, any, &out->columns, err));
  out->n_nodes = qn_arrays_find(&model->arrays, "node_column")->dims[0];
  QN_TRY(get(model, "node_threshold", QN_FLOAT64, 1, &out->n_nodes, &out->thresholds, err));
  QN_TRY(get(model, "node_left", QN_INT32, 1, &out->n_nodes, &out->left, err));
  QN_TRY(get(model, "node_right", QN_INT32, 1, &out->n_nodes, &out->right, err));
  QN_TRY(get(model, "node_default_left", QN_BOOL, 1, &out->n_nodes, &out->default_left, err));
  QN_TRY(get(model, "leaf_value", QN_FLOAT64, 2, any, &out->leaves, err));
  out->n_leaves = qn_arrays_find(&model->arrays, "leaf_value")->dims[0];
  out->n_values = qn_arrays_find(&model->arrays, "leaf_value")->dims[1];
  QN_REQUIRE(out->n_trees >= 0 && out->starts[out->n_trees] == out->n_nodes, err, QN_ERR_FORMAT,
             "the model is damaged: its trees have %lld nodes", (long long)out->n_nodes);

done:
  return status;
}

// What the operator wants of nodes, and of values of leaves.
typedef struct tree_lists {
  int64_t *tree, *node, *column, *yes, *no, *missing;
  float *value;
  const char **mode;
  int64_t *leaf_tree, *leaf_node, *leaf_output;
  float *leaf_value;
  int64_t n_nodes, n_leaves;
} tree_lists;

static qn_status take_lists(qn_arena *arena, int64_t n_nodes, int64_t n_values, tree_lists *out,
                            qn_error *err) {
  int64_t **const nodes[] = {&out->tree, &out->node, &out->column, &out->yes, &out->no, &out->missing};
  int64_t **const leaves[] = {&out->leaf_tree, &out->leaf_node, &out->leaf_output};
  bool is_there = true;

  for (int i = 0; i < 6; i++) {
    *nodes[i] = qn_arena_alloc(arena, 8 * (n_nodes + 1));
    is_there = is_there && *nodes[i] != NULL;
  }
  for (int i = 0; i < 3; i++) {
    *leaves[i] = qn_arena_alloc(arena, 8 * (n_values + 1));
    is_there = is_there && *leaves[i] != NULL;
  }
  out->value = qn_arena_alloc(arena, (int64_t)sizeof(float) * (n_nodes + 1));
  out->mode = qn_arena_alloc(arena, (int64_t)sizeof(char *) * (n_nodes + 1));
  out->leaf_value = qn_arena_alloc(arena, (int64_t)sizeof(float) * (n_values + 1));
  is_there = is_there && out->value != NULL && out->mode != NULL && out->leaf_value != NULL;
  return is_there ? QN_OK : qn_fail(err, QN_ERR_MEMORY, "no memory for trees as ONNX");
}

// The largest float32 that is not above: for float32 numbers x, x <= it is x <= threshold.
static float round_down(double threshold) {
  const float near = (float)threshold;
  return (double)near > threshold ? nextafterf(near, -INFINITY) : near;
}

static qn_status add_leaf(const tree_arrays *trees, int64_t tree, int64_t node, int64_t number, double share,
                          tree_lists *out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t leaf = trees->left[node];

  QN_REQUIRE(leaf >= 0 && leaf < trees->n_leaves, err, QN_ERR_FORMAT,
             "the model is damaged: there is no leaf %lld", (long long)leaf);
  for (int64_t v = 0; v < trees->n_values; v++) {
    const int64_t at = out->n_leaves++;
    out->leaf_tree[at] = tree;
    out->leaf_node[at] = number;
    out->leaf_output[at] = trees->n_values > 1 ? v : trees->outputs[tree];
    out->leaf_value[at] = (float)(share * trees->leaves[leaf * trees->n_values + v]);
  }

done:
  return status;
}

static qn_status add_tree(const tree_arrays *trees, int64_t tree, double share, tree_lists *out,
                          qn_error *err) {
  qn_status status = QN_OK;

  for (int64_t i = trees->starts[tree]; i < trees->starts[tree + 1]; i++) {
    const int64_t at = out->n_nodes++;
    const bool is_leaf = trees->columns[i] < 0;
    out->tree[at] = tree;
    out->node[at] = i - trees->starts[tree];
    out->mode[at] = is_leaf ? "LEAF" : "BRANCH_LEQ";
    if (is_leaf) {
      QN_TRY(add_leaf(trees, tree, i, out->node[at], share, out, err));
    } else {
      out->column[at] = trees->columns[i];
      out->value[at] = round_down(trees->thresholds[i]);
      out->yes[at] = trees->left[i];
      out->no[at] = trees->right[i];
      out->missing[at] = trees->default_left[i] != 0;
    }
  }

done:
  return status;
}

static qn_status add_ensemble(qn_onnx_graph *graph, const tree_lists *l, const double *base,
                              int64_t n_outputs, const char *x, qn_error *err) {
  float *start = qn_arena_alloc(&graph->arena, (int64_t)sizeof *start * n_outputs);

  if (start == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory for trees as ONNX");
  }
  for (int64_t k = 0; k < n_outputs; k++) {
    start[k] = base == NULL ? 0 : (float)base[k];
  }
#define INTS(key, list, size)                                                                                \
  { .name = (key), .kind = QN_ONNX_INTS, .n = (size), .numbers = (list) }
  const qn_onnx_attribute attributes[] = {
      INTS("nodes_treeids", l->tree, l->n_nodes),
      INTS("nodes_nodeids", l->node, l->n_nodes),
      INTS("nodes_featureids", l->column, l->n_nodes),
      INTS("nodes_truenodeids", l->yes, l->n_nodes),
      INTS("nodes_falsenodeids", l->no, l->n_nodes),
      INTS("nodes_missing_value_tracks_true", l->missing, l->n_nodes),
      {.name = "nodes_values", .kind = QN_ONNX_FLOATS, .n = l->n_nodes, .floats = l->value},
      {.name = "nodes_modes", .kind = QN_ONNX_TEXTS, .n = l->n_nodes, .texts = l->mode},
      INTS("target_treeids", l->leaf_tree, l->n_leaves),
      INTS("target_nodeids", l->leaf_node, l->n_leaves),
      INTS("target_ids", l->leaf_output, l->n_leaves),
      {.name = "target_weights", .kind = QN_ONNX_FLOATS, .n = l->n_leaves, .floats = l->leaf_value},
      {.name = "base_values", .kind = QN_ONNX_FLOATS, .n = n_outputs, .floats = start},
      {.name = "n_targets", .kind = QN_ONNX_INT, .number = n_outputs},
      {.name = "aggregate_function", .kind = QN_ONNX_TEXT, .text = "SUM"},
      {.name = "post_transform", .kind = QN_ONNX_TEXT, .text = "NONE"},
      {.name = NULL},
  };
#undef INTS
  return qn_onnx_add(graph, "TreeEnsembleRegressor", true, x, "sums", attributes, err);
}

qn_status qn_onnx_trees(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err) {
  qn_status status = QN_OK;
  tree_arrays trees = {0};
  tree_lists lists = {0};
  const qn_array *base = qn_arrays_find(&model->arrays, "base");
  const bool is_boosted = base != NULL && base->type == QN_FLOAT64;
  const int n_classes = model->classes.n;

  QN_TRY(get_trees(model, &trees, err));
  QN_TRY(take_lists(&graph->arena, trees.n_nodes, trees.n_leaves * trees.n_values, &lists, err));
  for (int64_t t = 0; t < trees.n_trees; t++) {
    QN_TRY(add_tree(&trees, t, is_boosted ? 1 : 1 / (double)trees.n_trees, &lists, err));
  }
  const int64_t n_outputs = is_boosted ? base->dims[0] : trees.n_values;
  QN_TRY(add_ensemble(graph, &lists, is_boosted ? base->data : NULL, n_outputs, x, err));
  if (n_classes == 0) {
    QN_TRY(qn_onnx_add(graph, "Identity", false, "sums", "prediction", NULL, err));
    QN_TRY(qn_onnx_output(graph, "prediction", QN_ONNX_FLOAT, 1, err));
  } else if (is_boosted) {
    QN_TRY(qn_onnx_link(graph, model, "sums", err));
  } else {
    QN_TRY(qn_onnx_classes(graph, model, "sums", err));
  }

done:
  return status;
}
