// SPDX-License-Identifier: Apache-2.0
// Column pruning, top-down: each node is asked for the columns that are needed of it and gives back a copy
// that has at least those, with a map from its old columns to the new ones (-1: gone).
#include <string.h>

#include "base/check.h"
#include "plan/columns.h"
#include "plan/rewrite.h"

typedef struct pruned {
  const qn_dataset *node;
  int *map; // [columns of the old node]
} pruned;

static qn_status prune(const qn_dataset *node, const bool *needed, pruned *out, qn_error *err);

static bool *new_flags(const qn_dataset *node, bool value) {
  bool *flags = qn_arena_alloc(&node->plan->arena, node->schema->n_columns + 1);
  if (flags != NULL) {
    memset(flags, value, (size_t)node->schema->n_columns);
  }
  return flags;
}

static int *new_map(const qn_dataset *node) {
  int *map = qn_arena_alloc(&node->plan->arena, (int64_t)sizeof *map * (node->schema->n_columns + 1));
  for (int c = 0; map != NULL && c < node->schema->n_columns; c++) {
    map[c] = c;
  }
  return map;
}

// columns[i] of the old input as columns of the new one
static const int *remap_columns(const qn_dataset *node, const int *columns, int n, const int *map) {
  int *mapped = qn_arena_alloc(&node->plan->arena, (int64_t)sizeof *mapped * (n + 1));
  for (int i = 0; mapped != NULL && i < n; i++) {
    mapped[i] = columns[i] < 0 ? -1 : map[columns[i]];
  }
  return mapped;
}

static const qn_order_column *remap_order(const qn_dataset *node, const int *map) {
  qn_order_column *order = qn_arena_alloc(&node->plan->arena, (int64_t)sizeof *order * (node->n_order + 1));
  for (int i = 0; order != NULL && i < node->n_order; i++) {
    order[i] = (qn_order_column){.column = map[node->order[i].column], .order = node->order[i].order};
  }
  return order;
}

// Input `side` with all its columns, in their places.
static qn_status prune_whole(const qn_dataset *node, int side, const qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  pruned input = {0};
  const bool *all = new_flags(node->inputs[side], true);

  QN_REQUIRE(all != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  QN_TRY(prune(node->inputs[side], all, &input, err));
  QN_TRY(qn_plan_keep_columns(input.node, input.map, node->inputs[side]->schema->n_columns, out, err));

done:
  return status;
}

static qn_status keep_all(const qn_dataset *node, pruned *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *inputs[2] = {NULL, NULL};
  qn_dataset *copy = NULL;

  for (int i = 0; i < node->n_inputs; i++) {
    QN_TRY(prune_whole(node, i, &inputs[i], err));
  }
  QN_TRY(qn_plan_copy_node(node, inputs[0], inputs[1], &copy, err));
  *out = (pruned){.node = copy, .map = new_map(node)};
  QN_REQUIRE(out->map != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");

done:
  return status;
}

static qn_status prune_source(const qn_dataset *node, const bool *needed, pruned *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_dataset *copy = NULL;
  qn_schema *schema = NULL;
  int n = 0;
  int *map = new_map(node);
  int *columns = qn_arena_alloc(&node->plan->arena, (int64_t)sizeof *columns * (node->schema->n_columns + 1));

  QN_REQUIRE(map != NULL && columns != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int c = 0; c < node->schema->n_columns; c++) {
    const bool is_kept = needed[c] || node->source->reads_whole_rows;
    map[c] = is_kept ? n : -1;
    if (is_kept) {
      columns[n++] = node->columns[c];
    }
  }
  QN_TRY(qn_schema_project(node->source->schema, columns, n, &schema, err));
  QN_TRY(qn_plan_copy_node(node, NULL, NULL, &copy, err));
  qn_plan_set_schema_take(copy, schema);
  copy->columns = columns;
  *out = (pruned){.node = copy, .map = map};

done:
  return status;
}

static qn_status prune_select(const qn_dataset *node, const bool *needed, pruned *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &node->plan->arena;
  pruned input = {0};
  const qn_dataset *copy = NULL;
  bool *below = new_flags(node->inputs[0], false);
  int *map = new_map(node);
  qn_named_expr *exprs = qn_arena_alloc(arena, (int64_t)sizeof *exprs * (node->n_exprs + 1));
  int n = 0;

  QN_REQUIRE(below != NULL && map != NULL && exprs != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int i = 0; i < node->n_exprs; i++) {
    if (needed[i]) {
      qn_expr_mark_columns(node->exprs[i].expr, below);
    }
  }
  QN_TRY(prune(node->inputs[0], below, &input, err));
  for (int i = 0; i < node->n_exprs; i++) {
    map[i] = needed[i] ? n : -1;
    if (needed[i]) {
      exprs[n].name = node->exprs[i].name;
      exprs[n++].expr = qn_expr_remap(node->exprs[i].expr, input.map, arena);
    }
  }
  QN_TRY(qn_plan_select_node(input.node, exprs, n, node->text, &copy, err));
  *out = (pruned){.node = copy, .map = map};

done:
  return status;
}

// Filter, sort, shuffle: rows pass unchanged, and some columns are read on the way.
static qn_status prune_passing(const qn_dataset *node, const bool *needed, pruned *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &node->plan->arena;
  pruned input = {0};
  qn_dataset *copy = NULL;
  bool *below = new_flags(node, false);

  QN_REQUIRE(below != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  memcpy(below, needed, (size_t)node->schema->n_columns);
  for (int i = 0; i < node->n_conditions; i++) {
    qn_expr_mark_columns(node->conditions[i], below);
  }
  for (int i = 0; i < node->n_order; i++) {
    below[node->order[i].column] = true;
  }
  for (int i = 0; i < node->n_keys; i++) {
    below[node->keys[i]] = true;
  }
  QN_TRY(prune(node->inputs[0], below, &input, err));
  QN_TRY(qn_plan_copy_node(node, input.node, NULL, &copy, err));
  qn_plan_set_schema_take(copy, qn_schema_share(input.node->schema));
  const qn_expr **conditions = qn_arena_alloc(arena, (int64_t)sizeof *conditions * (node->n_conditions + 1));
  QN_REQUIRE(conditions != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int i = 0; i < node->n_conditions; i++) {
    conditions[i] = qn_expr_remap(node->conditions[i], input.map, arena);
  }
  copy->conditions = conditions;
  copy->order = remap_order(node, input.map);
  copy->keys = remap_columns(node, node->keys, node->n_keys, input.map);
  QN_REQUIRE(copy->order != NULL && copy->keys != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  *out = (pruned){.node = copy, .map = input.map};

done:
  return status;
}

// A filter's own columns are those that are needed above it: what only its conditions read need not be
// gathered.
static qn_status prune_filter(const qn_dataset *node, const bool *needed, pruned *out, qn_error *err) {
  qn_status status = QN_OK;
  pruned passing = {0};
  qn_dataset *copy = NULL;
  qn_schema *schema = NULL;
  int n = 0;

  QN_TRY(prune_passing(node, needed, &passing, err));
  const qn_schema *whole = passing.node->schema;
  int *map = new_map(node);
  int *columns = qn_arena_alloc(&node->plan->arena, (int64_t)sizeof *columns * (whole->n_columns + 1));
  QN_REQUIRE(map != NULL && columns != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int c = 0; c < node->schema->n_columns; c++) {
    map[c] = -1;
    if (needed[c]) {
      map[c] = n;
      columns[n++] = passing.map[c];
    }
  }
  if (n == 0 || n == whole->n_columns) { // a batch without columns would gain nothing
    *out = passing;
    goto done;
  }
  QN_TRY(qn_schema_project(whole, columns, n, &schema, err));
  QN_TRY(qn_plan_copy_node(passing.node, passing.node->inputs[0], NULL, &copy, err));
  qn_plan_set_schema_take(copy, schema);
  copy->columns = columns;
  *out = (pruned){.node = copy, .map = map};

done:
  return status;
}

static qn_status prune_reduce(const qn_dataset *node, const bool *needed, pruned *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &node->plan->arena;
  pruned input = {0};
  qn_dataset *copy = NULL;
  qn_schema *schema = NULL;
  bool *below = new_flags(node->inputs[0], false);
  int *map = new_map(node);
  int *kept = qn_arena_alloc(arena, (int64_t)sizeof *kept * (node->schema->n_columns + 1));
  qn_plan_aggregate *aggregates =
      qn_arena_alloc(arena, (int64_t)sizeof *aggregates * (node->n_aggregates + 1));
  int n = 0;

  QN_REQUIRE(below != NULL && map != NULL && kept != NULL && aggregates != NULL, err, QN_ERR_MEMORY,
             "no memory for a plan node");
  for (int k = 0; k < node->n_keys; k++) {
    below[node->keys[k]] = true;
    kept[k] = k;
  }
  for (int i = 0; i < node->n_aggregates; i++) {
    const qn_plan_aggregate *aggregate = &node->aggregates[i];
    const bool is_needed = needed[node->n_keys + i] || node->schema->n_columns == 1;
    map[node->n_keys + i] = is_needed ? node->n_keys + n : -1;
    if (!is_needed) {
      continue;
    }
    kept[node->n_keys + n] = node->n_keys + i;
    aggregates[n++] = *aggregate;
    if (aggregate->argument >= 0) {
      below[aggregate->argument] = true;
    }
    if (aggregate->second >= 0) {
      below[aggregate->second] = true;
    }
    if (aggregate->filter >= 0) {
      below[aggregate->filter] = true;
    }
  }
  QN_TRY(prune(node->inputs[0], below, &input, err));
  for (int i = 0; i < n; i++) {
    aggregates[i].argument = aggregates[i].argument < 0 ? -1 : input.map[aggregates[i].argument];
    aggregates[i].second = aggregates[i].second < 0 ? -1 : input.map[aggregates[i].second];
    aggregates[i].filter = aggregates[i].filter < 0 ? -1 : input.map[aggregates[i].filter];
  }
  QN_TRY(qn_schema_project(node->schema, kept, node->n_keys + n, &schema, err));
  QN_TRY(qn_plan_copy_node(node, input.node, NULL, &copy, err));
  qn_plan_set_schema_take(copy, schema);
  copy->aggregates = aggregates;
  copy->n_aggregates = n;
  copy->keys = remap_columns(node, node->keys, node->n_keys, input.map);
  QN_REQUIRE(copy->keys != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  *out = (pruned){.node = copy, .map = map};

done:
  return status;
}

// Which columns of each input a join needs, and the right columns that stay in its result.
static qn_status join_needs(const qn_dataset *node, const bool *needed, bool *below[2], int *right_columns,
                            int *n_right_columns, qn_error *err) {
  qn_status status = QN_OK;
  const int n_left = node->inputs[0]->schema->n_columns;
  const int n_right = node->inputs[1]->schema->n_columns;
  bool *both = qn_arena_alloc(&node->plan->arena, n_left + n_right + 1);

  QN_REQUIRE(both != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  if (node->condition != NULL) {
    qn_expr_mark_columns(node->condition, both);
  }
  memcpy(below[1], both + n_left, (size_t)n_right);
  for (int c = 0; c < n_left; c++) {
    below[0][c] = both[c] || needed[c];
  }
  for (int i = 0; i < node->n_keys; i++) {
    below[0][node->left_keys[i]] = true;
    below[1][node->right_keys[i]] = true;
  }
  for (int i = 0; i < node->n_right_columns; i++) {
    if (needed[n_left + i]) {
      below[1][node->right_columns[i]] = true;
      right_columns[(*n_right_columns)++] = i;
    }
  }

done:
  return status;
}

// Schema and condition of a join whose inputs have become `left` and `right`.
static qn_status finish_join(const qn_dataset *node, const pruned *left, const pruned *right,
                             const int *kept_right, int n_kept_right, pruned *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &node->plan->arena;
  qn_dataset *copy = NULL;
  qn_schema *schema = NULL;
  const int n_left_old = node->inputs[0]->schema->n_columns;
  const int n_right_old = node->inputs[1]->schema->n_columns;
  const int n_left = left->node->schema->n_columns;
  int *columns = qn_arena_alloc(arena, (int64_t)sizeof *columns * (n_left + n_kept_right + 1));
  int *right_columns = qn_arena_alloc(arena, (int64_t)sizeof *right_columns * (n_kept_right + 1));
  int *both = qn_arena_alloc(arena, (int64_t)sizeof *both * (n_left_old + n_right_old + 1));
  int *map = new_map(node);

  QN_REQUIRE(columns != NULL && right_columns != NULL && both != NULL && map != NULL, err, QN_ERR_MEMORY,
             "no memory for a plan node");
  for (int c = 0; c < node->schema->n_columns; c++) {
    map[c] = c < n_left_old ? left->map[c] : -1;
    if (map[c] >= 0) {
      columns[map[c]] = c;
    }
  }
  for (int i = 0; i < n_kept_right; i++) {
    map[n_left_old + kept_right[i]] = n_left + i;
    columns[n_left + i] = n_left_old + kept_right[i];
    right_columns[i] = right->map[node->right_columns[kept_right[i]]];
  }
  for (int c = 0; c < n_left_old + n_right_old; c++) {
    const int side = c < n_left_old ? left->map[c] : right->map[c - n_left_old];
    both[c] = side < 0 ? -1 : c < n_left_old ? side : n_left + side;
  }
  QN_TRY(qn_schema_project(node->schema, columns, n_left + n_kept_right, &schema, err));
  QN_TRY(qn_plan_copy_node(node, left->node, right->node, &copy, err));
  qn_plan_set_schema_take(copy, schema);
  copy->right_columns = right_columns;
  copy->n_right_columns = n_kept_right;
  copy->left_keys = remap_columns(node, node->left_keys, node->n_keys, left->map);
  copy->right_keys = remap_columns(node, node->right_keys, node->n_keys, right->map);
  copy->condition = node->condition == NULL ? NULL : qn_expr_remap(node->condition, both, arena);
  QN_REQUIRE(copy->left_keys != NULL && copy->right_keys != NULL, err, QN_ERR_MEMORY,
             "no memory for a plan node");
  *out = (pruned){.node = copy, .map = map};

done:
  return status;
}

static qn_status prune_join(const qn_dataset *node, const bool *needed, pruned *out, qn_error *err) {
  qn_status status = QN_OK;
  pruned sides[2] = {{0}, {0}};
  bool *below[2] = {new_flags(node->inputs[0], false), new_flags(node->inputs[1], false)};
  int *kept_right = qn_arena_alloc(&node->plan->arena, (int64_t)sizeof(int) * (node->n_right_columns + 1));
  int n_kept_right = 0;

  QN_REQUIRE(below[0] != NULL && below[1] != NULL && kept_right != NULL, err, QN_ERR_MEMORY,
             "no memory for a plan node");
  QN_TRY(join_needs(node, needed, below, kept_right, &n_kept_right, err));
  for (int side = 0; side < 2; side++) {
    QN_TRY(prune(node->inputs[side], below[side], &sides[side], err));
  }
  QN_TRY(finish_join(node, &sides[0], &sides[1], kept_right, n_kept_right, out, err));

done:
  return status;
}

static qn_status prune(const qn_dataset *node, const bool *needed, pruned *out, qn_error *err) {
  switch (node->kind) {
  case QN_NODE_SOURCE:
    return prune_source(node, needed, out, err);
  case QN_NODE_SELECT:
    return prune_select(node, needed, out, err);
  case QN_NODE_REDUCE:
    return prune_reduce(node, needed, out, err);
  case QN_NODE_JOIN:
    return prune_join(node, needed, out, err);
  case QN_NODE_FILTER:
    return prune_filter(node, needed, out, err);
  case QN_NODE_SORT:
    return prune_passing(node, needed, out, err);
  case QN_NODE_SHUFFLE:
    return node->shuffle_kind == QN_SHUFFLE_OWN ? keep_all(node, out, err)
                                                : prune_passing(node, needed, out, err);
  case QN_NODE_CACHE:
    if (*node->cached != NULL) { // filled: what lies below will not run
      *out = (pruned){.node = node, .map = new_map(node)};
      return out->map == NULL ? qn_fail(err, QN_ERR_MEMORY, "no memory for a plan node") : QN_OK;
    }
    return keep_all(node, out, err);
  default: // all columns decide the result: callbacks, distinct, and orders that break ties by the other
           // columns
    return keep_all(node, out, err);
  }
}

qn_status qn_plan_prune_columns(const qn_dataset *root, const qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  pruned result = {0};
  const bool *all = new_flags(root, true);

  QN_REQUIRE(all != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  QN_TRY(prune(root, all, &result, err));
  QN_TRY(qn_plan_keep_columns(result.node, result.map, root->schema->n_columns, out, err));

done:
  return status;
}
