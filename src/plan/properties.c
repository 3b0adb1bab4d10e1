// SPDX-License-Identifier: Apache-2.0
// What is known of a node's rows without running it: their order, and where equal keys lie.
#include <stdlib.h>

#include "plan/plan.h"

bool qn_plan_has_order(const qn_dataset *node) {
  switch (node->kind) {
  case QN_NODE_SOURCE:
  case QN_NODE_GENERATE:
  case QN_NODE_SORT:
  case QN_NODE_TOP:
  case QN_NODE_LIMIT:
  case QN_NODE_ZIP:
    return true;
  case QN_NODE_MAP:
  case QN_NODE_EXTEND:
  case QN_NODE_FILTER:
  case QN_NODE_SELECT:
  case QN_NODE_SAMPLE:
  case QN_NODE_CACHE:
    return qn_plan_has_order(node->inputs[0]);
  default:
    return false;
  }
}

// The columns of an input that columns of the node are copies of; -1 where one is computed. False if any is.
static bool columns_below(const qn_dataset *node, const int *columns, int n_columns, int *below) {
  for (int i = 0; i < n_columns; i++) {
    below[i] = node->kind == QN_NODE_SELECT   ? qn_expr_column(node->exprs[columns[i]].expr)
               : node->kind == QN_NODE_FILTER ? qn_plan_filter_column(node, columns[i])
               : node->kind == QN_NODE_EXTEND && columns[i] >= node->inputs[0]->schema->n_columns
                   ? -1
                   : columns[i];
    if (below[i] < 0) {
      return false;
    }
  }
  return true;
}

static bool contains(const int *columns, int n_columns, int column) {
  for (int i = 0; i < n_columns; i++) {
    if (columns[i] == column) {
      return true;
    }
  }
  return false;
}

static bool equals(const int *a, int n_a, const int *b, int n_b) {
  bool is_equal = n_a == n_b && n_a > 0;
  for (int i = 0; is_equal && i < n_a; i++) {
    is_equal = a[i] == b[i];
  }
  return is_equal;
}

// The columns by whose hash the node itself spreads its rows, as columns of its own schema; 0 if it does not.
static int own_hash_columns(const qn_dataset *node, int *columns) {
  const bool is_hashed = node->kind == QN_NODE_REDUCE || node->kind == QN_NODE_COMBINE ||
                         node->kind == QN_NODE_WINDOW || node->kind == QN_NODE_DISTINCT ||
                         (node->kind == QN_NODE_SHUFFLE && node->shuffle_kind == QN_SHUFFLE_HASH);
  if (!is_hashed) {
    return 0;
  }
  for (int k = 0; k < node->n_keys; k++) { // a reduce has its keys first
    columns[k] = node->kind == QN_NODE_REDUCE ? k : node->keys[k];
  }
  return node->n_keys;
}

static bool passes_rows(const qn_dataset *node) {
  return node->kind == QN_NODE_SELECT || node->kind == QN_NODE_FILTER || node->kind == QN_NODE_SAMPLE ||
         node->kind == QN_NODE_CACHE || node->kind == QN_NODE_EXTEND;
}

// Such a node leaves its rows where they are if its input is partitioned well enough for it (see
// exec/build.c); then they are hashed as the input is.
static bool stays_in_place(const qn_dataset *node) {
  const int *keys = node->keys;
  return (node->kind == QN_NODE_REDUCE || node->kind == QN_NODE_COMBINE || node->kind == QN_NODE_WINDOW ||
          node->kind == QN_NODE_DISTINCT || node->kind == QN_NODE_SHUFFLE) &&
         node->n_keys > 0 && !(node->kind == QN_NODE_SHUFFLE && node->shuffle_kind != QN_SHUFFLE_HASH) &&
         qn_plan_is_partitioned(node->inputs[0], keys, node->n_keys);
}

typedef bool (*property)(const qn_dataset *node, const int *columns, int n_columns);

static bool ask_below(property ask, const qn_dataset *node, const int *columns, int n_columns) {
  int *below = malloc(sizeof *below * (size_t)(n_columns + 1));
  const bool answer = below != NULL && columns_below(node, columns, n_columns, below) &&
                      ask(node->inputs[0], below, n_columns);
  free(below);
  return answer;
}

// The same columns as columns of the input of a node that stays in place.
static bool ask_in_place(property ask, const qn_dataset *node, const int *columns, int n_columns) {
  int *below = malloc(sizeof *below * (size_t)(n_columns + 1));
  bool is_known = below != NULL;
  for (int i = 0; is_known && i < n_columns; i++) {
    const bool is_reduce = node->kind == QN_NODE_REDUCE;
    is_known = is_reduce ? columns[i] < node->n_keys : columns[i] < node->inputs[0]->schema->n_columns;
    below[i] = is_known && is_reduce ? node->keys[columns[i]] : columns[i];
  }
  const bool answer = is_known && ask(node->inputs[0], below, n_columns);
  free(below);
  return answer;
}

bool qn_plan_is_partitioned(const qn_dataset *node, const int *columns, int n_columns) {
  if (passes_rows(node)) {
    if (node->kind == QN_NODE_SELECT ||
        node->kind == QN_NODE_EXTEND) { // computed columns cannot help, the copies alone may do
      int *copies = malloc(sizeof *copies * (size_t)(n_columns + 1));
      int n = 0;
      for (int i = 0; copies != NULL && i < n_columns; i++) {
        n += columns_below(node, &columns[i], 1, &copies[n]);
      }
      const bool answer = copies != NULL && n > 0 && qn_plan_is_partitioned(node->inputs[0], copies, n);
      free(copies);
      return answer;
    }
    return ask_below(qn_plan_is_partitioned, node, columns, n_columns);
  }
  if (stays_in_place(node)) {
    return ask_in_place(qn_plan_is_partitioned, node, columns, n_columns);
  }
  int *hashed = malloc(sizeof *hashed * (size_t)(node->n_keys + 1));
  const int n = hashed == NULL ? 0 : own_hash_columns(node, hashed);
  bool answer = n > 0;
  for (int i = 0; answer && i < n; i++) {
    answer = contains(columns, n_columns, hashed[i]);
  }
  free(hashed);
  return answer;
}

bool qn_plan_is_hashed(const qn_dataset *node, const int *columns, int n_columns) {
  if (passes_rows(node)) {
    return ask_below(qn_plan_is_hashed, node, columns, n_columns);
  }
  if (stays_in_place(node)) {
    return ask_in_place(qn_plan_is_hashed, node, columns, n_columns);
  }
  int *hashed = malloc(sizeof *hashed * (size_t)(node->n_keys + 1));
  const int n = hashed == NULL ? 0 : own_hash_columns(node, hashed);
  const bool answer = equals(hashed, n, columns, n_columns);
  free(hashed);
  return answer;
}
