// SPDX-License-Identifier: Apache-2.0
// Filter push-down. A condition travels down as a conjunct over the columns of the node it has reached.
// Conditions that can fail (division, casts) stay where they were written, so that a plan never fails on rows
// that it would not have looked at.
#include <string.h>

#include "base/check.h"
#include "plan/columns.h"
#include "plan/rewrite.h"

// Conditions on their way down, over the columns of one node.
typedef struct conjuncts {
  const qn_expr **items;
  int n;
} conjuncts;

static qn_status push(const qn_dataset *node, conjuncts conditions, const qn_dataset **out, qn_error *err);

static conjuncts new_conjuncts(qn_plan *plan, int capacity) {
  return (conjuncts){.items = qn_arena_alloc(&plan->arena, (int64_t)sizeof(qn_expr *) * (capacity + 1))};
}

// A filter above `in`, or `in` itself if there is nothing to check.
static qn_status put_filter(const qn_dataset *in, conjuncts conditions, const qn_dataset **out,
                            qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &in->plan->arena;

  if (conditions.n == 0) {
    *out = in;
    goto done;
  }
  const char *text = qn_expr_text(conditions.items[0]);
  for (int i = 1; i < conditions.n; i++) {
    text = qn_arena_printf(arena, "%s and %s", text, qn_expr_text(conditions.items[i]));
  }
  qn_dataset *node = qn_plan_node(in->plan, QN_NODE_FILTER, in, NULL, text);
  QN_REQUIRE(node != NULL && text != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  node->conditions = conditions.items;
  node->n_conditions = conditions.n;
  node->schema = qn_schema_share(in->schema);
  *out = node;

done:
  return status;
}

static qn_status push_filter_node(const qn_dataset *node, conjuncts above, const qn_dataset **out,
                                  qn_error *err) {
  qn_status status = QN_OK;
  qn_plan *plan = node->plan;
  const qn_dataset *input = NULL;
  conjuncts moving = above;
  conjuncts staying = new_conjuncts(plan, node->n_conditions);

  for (int c = 0; c < node->n_conditions; c++) {
    const qn_expr **parts = NULL;
    int n = 0;
    QN_TRY(qn_expr_conjuncts(node->conditions[c], &plan->arena, &parts, &n, err));
    if (qn_expr_can_fail(node->conditions[c])) { // as a whole: `b <> 0 and a / b > 1` must stay together
      staying.items[staying.n++] = node->conditions[c];
      continue;
    }
    conjuncts more = new_conjuncts(plan, moving.n + n);
    QN_REQUIRE(more.items != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
    if (moving.n > 0) {
      memcpy(more.items, moving.items, sizeof *more.items * (size_t)moving.n);
    }
    memcpy(more.items + moving.n, parts, sizeof *more.items * (size_t)n);
    more.n = moving.n + n;
    moving = more;
  }
  QN_TRY(push(node->inputs[0], moving, &input, err));
  QN_TRY(put_filter(input, staying, out, err));

done:
  return status;
}

static qn_status push_below_select(const qn_dataset *node, conjuncts above, const qn_dataset **out,
                                   qn_error *err) {
  qn_status status = QN_OK;
  qn_plan *plan = node->plan;
  const qn_dataset *input = NULL;
  qn_dataset *copy = NULL;
  conjuncts moving = new_conjuncts(plan, above.n);
  conjuncts staying = new_conjuncts(plan, above.n);
  const int n_columns = node->n_exprs;
  const qn_expr **exprs = qn_arena_alloc(&plan->arena, (int64_t)sizeof *exprs * (n_columns + 1));
  bool *used = qn_arena_alloc(&plan->arena, n_columns + 1);

  QN_REQUIRE(exprs != NULL && used != NULL && moving.items != NULL && staying.items != NULL, err,
             QN_ERR_MEMORY, "no memory for a plan node");
  for (int i = 0; i < n_columns; i++) {
    exprs[i] = node->exprs[i].expr;
  }
  for (int i = 0; i < above.n; i++) {
    bool can_move = true;
    memset(used, 0, (size_t)n_columns);
    qn_expr_mark_columns(above.items[i], used);
    for (int c = 0; c < n_columns; c++) {
      can_move = can_move && (!used[c] || !qn_expr_can_fail(exprs[c]));
    }
    const qn_expr *moved = can_move ? qn_expr_substitute(above.items[i], exprs, &plan->arena) : NULL;
    if (moved != NULL) {
      moving.items[moving.n++] = moved;
    } else {
      staying.items[staying.n++] = above.items[i];
    }
  }
  QN_TRY(push(node->inputs[0], moving, &input, err));
  QN_TRY(qn_plan_copy_node(node, input, NULL, &copy, err));
  QN_TRY(put_filter(copy, staying, out, err));

done:
  return status;
}

// Columns [first, first + n) of a node are columns 0 .. n - 1 of an input (or those `places` names): a
// condition that reads only them can go there.
static const qn_expr *move_to_input(const qn_dataset *node, const qn_expr *condition, int first, int n,
                                    const int *places) {
  qn_arena *arena = &node->plan->arena;
  const int n_columns = node->schema->n_columns;
  bool *used = qn_arena_alloc(arena, n_columns + 1);
  int *index = qn_arena_alloc(arena, (int64_t)sizeof *index * (n_columns + 1));

  if (used == NULL || index == NULL) {
    return NULL;
  }
  qn_expr_mark_columns(condition, used);
  for (int c = 0; c < n_columns; c++) {
    const bool is_inside = c >= first && c < first + n;
    index[c] = !is_inside ? -1 : places != NULL ? places[c - first] : c - first;
    if (used[c] && !is_inside) {
      return NULL;
    }
  }
  return qn_expr_remap(condition, index, arena);
}

static qn_status push_below_join(const qn_dataset *node, conjuncts above, const qn_dataset **out,
                                 qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *inputs[2] = {NULL, NULL};
  qn_dataset *copy = NULL;
  const qn_join_kind kind = node->join_kind;
  const bool to_left = kind != QN_JOIN_RIGHT && kind != QN_JOIN_FULL;
  const bool to_right = kind == QN_JOIN_INNER || kind == QN_JOIN_RIGHT;
  const int n_left = node->inputs[0]->schema->n_columns;
  conjuncts sides[2] = {new_conjuncts(node->plan, above.n), new_conjuncts(node->plan, above.n)};
  conjuncts staying = new_conjuncts(node->plan, above.n);

  for (int i = 0; i < above.n; i++) {
    const qn_expr *left = to_left ? move_to_input(node, above.items[i], 0, n_left, NULL) : NULL;
    const qn_expr *right =
        to_right && left == NULL
            ? move_to_input(node, above.items[i], n_left, node->n_right_columns, node->right_columns)
            : NULL;
    if (left != NULL) {
      sides[0].items[sides[0].n++] = left;
    } else if (right != NULL) {
      sides[1].items[sides[1].n++] = right;
    } else {
      staying.items[staying.n++] = above.items[i];
    }
  }
  for (int side = 0; side < 2; side++) {
    QN_TRY(push(node->inputs[side], sides[side], &inputs[side], err));
  }
  QN_TRY(qn_plan_copy_node(node, inputs[0], inputs[1], &copy, err));
  QN_TRY(put_filter(copy, staying, out, err));

done:
  return status;
}

// Nodes whose first n columns are columns `places` of their input (NULL: the same ones).
static qn_status push_below_one(const qn_dataset *node, int n, const int *places, conjuncts above,
                                const qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *inputs[2] = {NULL, NULL};
  qn_dataset *copy = NULL;
  conjuncts moving = new_conjuncts(node->plan, above.n);
  conjuncts staying = new_conjuncts(node->plan, above.n);

  for (int i = 0; i < above.n; i++) {
    const qn_expr *moved = n == 0 ? NULL : move_to_input(node, above.items[i], 0, n, places);
    if (moved != NULL) {
      moving.items[moving.n++] = moved;
    } else {
      staying.items[staying.n++] = above.items[i];
    }
  }
  for (int i = 0; i < node->n_inputs; i++) {
    QN_TRY(push(node->inputs[i], moving, &inputs[i], err));
  }
  QN_TRY(qn_plan_copy_node(node, inputs[0], inputs[1], &copy, err));
  QN_TRY(put_filter(copy, staying, out, err));

done:
  return status;
}

// Conditions stay above a window, but it learns how many rows of a partition they let through.
static qn_status push_to_window(const qn_dataset *node, conjuncts above, const qn_dataset **out,
                                qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *input = NULL;
  qn_dataset *copy = NULL;

  QN_TRY(push(node->inputs[0], (conjuncts){0}, &input, err));
  QN_TRY(qn_plan_copy_node(node, input, NULL, &copy, err));
  copy->n = qn_plan_first_rows(copy, above.items, above.n);
  if (copy->n > 0) {
    copy->text =
        qn_arena_printf(&node->plan->arena, "%s, first %lld rows only", node->text, (long long)copy->n);
    QN_REQUIRE(copy->text != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  }
  QN_TRY(put_filter(copy, above, out, err));

done:
  return status;
}

// A source gets the bounds it may use; the filter stays above it.
static qn_status bound_source(const qn_dataset *node, conjuncts above, const qn_dataset **out,
                              qn_error *err) {
  qn_status status = QN_OK;
  qn_dataset *copy = NULL;

  QN_TRY(qn_plan_copy_node(node, NULL, NULL, &copy, err));
  qn_bound *bounds = qn_arena_alloc(&node->plan->arena, (int64_t)sizeof *bounds * (above.n + 1));
  QN_REQUIRE(bounds != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int i = 0; i < above.n; i++) {
    if (qn_expr_as_bound(above.items[i], &bounds[copy->n_bounds])) {
      bounds[copy->n_bounds].column = node->columns[bounds[copy->n_bounds].column];
      copy->n_bounds++;
    }
  }
  copy->bounds = copy->owned_bounds = bounds;
  copy->n_owned_bounds = copy->n_bounds;
  QN_TRY(put_filter(copy, above, out, err));

done:
  return status;
}

static qn_status push(const qn_dataset *node, conjuncts conditions, const qn_dataset **out, qn_error *err) {
  const int n_columns = node->schema->n_columns;

  switch (node->kind) {
  case QN_NODE_SOURCE:
    return bound_source(node, conditions, out, err);
  case QN_NODE_LOCAL:
  case QN_NODE_GENERATE:
    return put_filter(node, conditions, out, err);
  case QN_NODE_CACHE: // filled: what lies below will not run
    return *node->cached != NULL ? put_filter(node, conditions, out, err)
                                 : push_below_one(node, 0, NULL, conditions, out, err);
  case QN_NODE_FILTER:
    return push_filter_node(node, conditions, out, err);
  case QN_NODE_SELECT:
    return push_below_select(node, conditions, out, err);
  case QN_NODE_JOIN:
    return push_below_join(node, conditions, out, err);
  case QN_NODE_WINDOW:
    return push_to_window(node, conditions, out, err);
  case QN_NODE_EXTEND:
    return push_below_one(node, node->inputs[0]->schema->n_columns, NULL, conditions, out, err);
  case QN_NODE_REDUCE:
    return push_below_one(node, node->n_keys, node->keys, conditions, out, err);
  case QN_NODE_UNION:
  case QN_NODE_SORT:
    return push_below_one(node, n_columns, NULL, conditions, out, err);
  case QN_NODE_SHUFFLE:
    return push_below_one(node, node->shuffle_kind == QN_SHUFFLE_OWN ? 0 : n_columns, NULL, conditions, out,
                          err);
  default:
    return push_below_one(node, 0, NULL, conditions, out, err);
  }
}

qn_status qn_plan_push_filters(const qn_dataset *root, const qn_dataset **out, qn_error *err) {
  return push(root, (conjuncts){0}, out, err);
}
