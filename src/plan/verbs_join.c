// SPDX-License-Identifier: Apache-2.0
// Join and window: the verbs whose result has columns of two origins.
#include <string.h>

#include "base/check.h"
#include "plan/columns.h"
#include "plan/plan.h"

typedef struct join_plan {
  const qn_dataset *left, *right; // with hidden key columns behind
  int *left_keys, *right_keys;
  bool *key_is_using;
  int n_keys;
  int *right_columns; // of the original right, in the result
  int n_right_columns;
} join_plan;

static qn_status bind_join_keys(const qn_dataset *left, const qn_dataset *right, qn_join_kind kind,
                                const char *on, join_plan *plan, qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &left->plan->arena;
  qn_join_key *keys = NULL;
  int n = 0;

  QN_REQUIRE(on != NULL, err, QN_ERR_ARG, "join: no keys are given");
  QN_TRY(qn_join_keys_bind(on, left->schema, right->schema, arena, &keys, &n, err));
  const qn_expr **exprs = qn_arena_alloc(arena, (int64_t)sizeof *exprs * 2 * (n + 1));
  plan->left_keys = qn_arena_alloc(arena, (int64_t)sizeof(int) * (n + 1));
  plan->right_keys = qn_arena_alloc(arena, (int64_t)sizeof(int) * (n + 1));
  plan->right_columns = qn_arena_alloc(arena, (int64_t)sizeof(int) * (right->schema->n_columns + 1));
  plan->key_is_using = qn_arena_alloc(arena, (int64_t)sizeof(bool) * (n + 1));
  QN_REQUIRE(exprs != NULL && plan->left_keys != NULL && plan->right_keys != NULL && plan->right_columns != NULL &&
                 plan->key_is_using != NULL,
             err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int i = 0; i < n; i++) {
    exprs[i] = keys[i].left;
    exprs[n + i] = keys[i].right;
  }
  QN_TRY(qn_plan_add_columns(left, exprs, n, &plan->left, plan->left_keys, err));
  QN_TRY(qn_plan_add_columns(right, exprs + n, n, &plan->right, plan->right_keys, err));
  plan->n_keys = n;
  for (int i = 0; i < n; i++) {
    plan->key_is_using[i] = keys[i].using_name != NULL;
    QN_REQUIRE(!plan->key_is_using[i] || (kind != QN_JOIN_RIGHT && kind != QN_JOIN_FULL) ||
                   plan->left_keys[i] < left->schema->n_columns,
               err, QN_ERR_TYPE, "join: column '%s' has different types on the two sides; cast one with qn_select",
               keys[i].using_name);
  }
  for (int c = 0; c < right->schema->n_columns; c++) {
    bool is_key = false;
    for (int i = 0; i < n; i++) {
      is_key = is_key || (keys[i].using_name != NULL && strcmp(keys[i].using_name, right->schema->fields[c].name) == 0);
    }
    if (!is_key) {
      plan->right_columns[plan->n_right_columns++] = c;
    }
  }

done:
  return status;
}

// Columns of the left (hidden ones too), then the chosen ones of the right under names that are free.
static qn_status join_schema(const join_plan *plan, qn_schema **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &plan->left->plan->arena;
  const qn_schema *left = plan->left->schema;
  const int n = left->n_columns + plan->n_right_columns;
  qn_field *fields = qn_arena_alloc(arena, (int64_t)sizeof *fields * (n + 1));

  QN_REQUIRE(fields != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  memcpy(fields, left->fields, sizeof *fields * (size_t)left->n_columns);
  for (int i = 0; i < plan->n_right_columns; i++) {
    qn_field field = plan->right->schema->fields[plan->right_columns[i]];
    if (qn_schema_find(left, field.name) >= 0) {
      field.name = qn_arena_printf(arena, "%s_right", field.name);
      QN_REQUIRE(field.name != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
    }
    fields[left->n_columns + i] = field;
  }
  QN_TRY(qn_schema_new(fields, n, out, err));

done:
  return status;
}

static qn_status plan_join(const qn_dataset *left, const qn_dataset *right, qn_join_kind kind, const char *on,
                           const char *condition, const char *text, const qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  join_plan plan = {0};
  const int n_left = left->schema->n_columns;

  QN_REQUIRE(left->plan == right->plan, err, QN_ERR_ARG, "join: the two datasets belong to different jobs");
  QN_TRY(bind_join_keys(left, right, kind, on, &plan, err));
  const bool keeps_right = kind != QN_JOIN_SEMI && kind != QN_JOIN_ANTI;
  if (!keeps_right) {
    plan.n_right_columns = 0;
  }
  qn_dataset *node = qn_plan_node(left->plan, QN_NODE_JOIN, plan.left, plan.right, text);
  QN_REQUIRE(node != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  node->left_keys = plan.left_keys;
  node->right_keys = plan.right_keys;
  node->key_is_using = plan.key_is_using;
  node->n_keys = plan.n_keys;
  node->join_kind = kind;
  node->right_columns = plan.right_columns;
  node->n_right_columns = plan.n_right_columns;
  if (condition != NULL) {
    QN_TRY(qn_join_condition_bind(condition, plan.left->schema, plan.right->schema, &left->plan->arena,
                                  &node->condition, err));
  }
  QN_TRY(join_schema(&plan, &node->schema, err));
  int *kept = qn_arena_alloc(&left->plan->arena, (int64_t)sizeof *kept * (node->schema->n_columns + 1));
  QN_REQUIRE(kept != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int c = 0; c < n_left + plan.n_right_columns; c++) {
    kept[c] = c < n_left ? c : c - n_left + plan.left->schema->n_columns;
  }
  QN_TRY(qn_plan_keep_columns(node, kept, n_left + plan.n_right_columns, out, err));

done:
  return status;
}

QN_API qn_dataset *qn_join(qn_dataset *left, qn_dataset *right, qn_join_kind kind, const char *on,
                           const char *condition) {
  static const char *const kinds[] = {"inner", "left", "right", "full", "semi", "anti"};
  qn_error err = {0};
  const qn_dataset *out = NULL;

  if (left == NULL || right == NULL) {
    return NULL;
  }
  if (left->status != QN_OK || right->status != QN_OK) {
    return left->status != QN_OK ? left : right;
  }
  const char *text = qn_arena_printf(&left->plan->arena, "%s on %s%s%s", kinds[kind], on == NULL ? "" : on,
                                     condition == NULL ? "" : " and ", condition == NULL ? "" : condition);
  const qn_status status = plan_join(left, right, kind, on, condition, text, &out, &err);
  if (status != QN_OK) {
    return qn_plan_finish(qn_plan_node(left->plan, QN_NODE_JOIN, left, right, text), status, &err);
  }
  return (qn_dataset *)(uintptr_t)out;
}

// The expressions of a window one behind the other: partition, order, then arguments and fallbacks.
typedef struct window_exprs {
  const qn_expr **exprs;
  int n;
} window_exprs;

static int add_expr(window_exprs *all, const qn_expr *expr) {
  if (expr == NULL) {
    return -1;
  }
  all->exprs[all->n] = expr;
  return all->n++;
}

static qn_status plan_window(const qn_dataset *in, const char *partition, const char *order, const char *functions,
                             const char *text, const qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &in->plan->arena;
  qn_named_expr *keys = NULL;
  qn_sort_key *sort_keys = NULL;
  qn_window_function *bound = NULL;
  int n_keys = 0;
  int n_order = 0;
  int n = 0;
  const qn_dataset *with = NULL;

  if (partition != NULL && partition[0] != '\0') {
    QN_TRY(qn_expr_bind_list(partition, "window partition", in->schema, arena, &keys, &n_keys, err));
  }
  if (order != NULL && order[0] != '\0') {
    QN_TRY(qn_sort_keys_bind(order, in->schema, arena, &sort_keys, &n_order, err));
  }
  QN_REQUIRE(functions != NULL, err, QN_ERR_ARG, "window: no functions are given");
  QN_TRY(qn_window_functions_bind(functions, in->schema, arena, &bound, &n, err));
  const int n_in = in->schema->n_columns;
  const int n_all = n_keys + n_order + 2 * n;
  window_exprs all = {.exprs = qn_arena_alloc(arena, (int64_t)sizeof(qn_expr *) * (n_all + 1))};
  int *places = qn_arena_alloc(arena, (int64_t)sizeof *places * (n_all + 1));
  qn_order_column *order_columns = qn_arena_alloc(arena, (int64_t)sizeof *order_columns * (n_order + 1));
  qn_plan_function *planned = qn_arena_alloc(arena, (int64_t)sizeof *planned * (n + 1));
  QN_REQUIRE(all.exprs != NULL && places != NULL && order_columns != NULL && planned != NULL, err, QN_ERR_MEMORY,
             "no memory for a plan node");
  for (int i = 0; i < n_keys; i++) {
    add_expr(&all, keys[i].expr);
  }
  for (int i = 0; i < n_order; i++) {
    add_expr(&all, sort_keys[i].expr);
  }
  for (int i = 0; i < n; i++) {
    planned[i].argument = add_expr(&all, bound[i].argument);
    planned[i].fallback = add_expr(&all, bound[i].fallback);
  }
  QN_TRY(qn_plan_add_columns(in, all.exprs, all.n, &with, places, err));
  const int n_with = with->schema->n_columns;
  qn_field *fields = qn_arena_alloc(arena, (int64_t)sizeof *fields * (n_with + n));
  int *kept = qn_arena_alloc(arena, (int64_t)sizeof *kept * (n_in + n));
  QN_REQUIRE(fields != NULL && kept != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  memcpy(fields, with->schema->fields, sizeof *fields * (size_t)n_with);
  for (int i = 0; i < n_order; i++) {
    order_columns[i] = (qn_order_column){.column = places[n_keys + i], .order = sort_keys[i].order};
  }
  for (int i = 0; i < n; i++) {
    planned[i].name = bound[i].name;
    planned[i].kind = bound[i].kind;
    planned[i].aggregate = bound[i].aggregate;
    planned[i].offset = bound[i].offset;
    planned[i].type = bound[i].type;
    planned[i].argument = planned[i].argument < 0 ? -1 : places[planned[i].argument];
    planned[i].fallback = planned[i].fallback < 0 ? -1 : places[planned[i].fallback];
    fields[n_with + i] = (qn_field){.name = (char *)(uintptr_t)bound[i].name, .type = bound[i].type};
  }
  for (int c = 0; c < n_in + n; c++) {
    kept[c] = c < n_in ? c : c - n_in + n_with;
  }
  qn_dataset *node = qn_plan_node(in->plan, QN_NODE_WINDOW, with, NULL, text);
  QN_REQUIRE(node != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  node->keys = places;
  node->n_keys = n_keys;
  node->order = order_columns;
  node->n_order = n_order;
  node->functions = planned;
  node->n_functions = n;
  QN_TRY(qn_schema_new(fields, n_with + n, &node->schema, err));
  QN_TRY(qn_plan_keep_columns(node, kept, n_in + n, out, err));

done:
  return status;
}

QN_API qn_dataset *qn_window(qn_dataset *in, const char *partition, const char *order, const char *functions) {
  qn_error err = {0};
  const qn_dataset *out = NULL;

  if (in == NULL || in->status != QN_OK) {
    return in;
  }
  const char *text = qn_arena_printf(&in->plan->arena, "%s over (partition by %s order by %s)",
                                     functions == NULL ? "" : functions, partition == NULL ? "" : partition,
                                     order == NULL ? "" : order);
  const qn_status status = plan_window(in, partition, order, functions, text, &out, &err);
  if (status != QN_OK) {
    return qn_plan_finish(qn_plan_node(in->plan, QN_NODE_WINDOW, in, NULL, text), status, &err);
  }
  return (qn_dataset *)(uintptr_t)out;
}
