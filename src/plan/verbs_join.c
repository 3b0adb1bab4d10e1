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
  QN_REQUIRE(exprs != NULL && plan->left_keys != NULL && plan->right_keys != NULL &&
                 plan->right_columns != NULL && plan->key_is_using != NULL,
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
               err, QN_ERR_TYPE,
               "join: column '%s' has different types on the two sides; cast one with qn_select",
               keys[i].using_name);
  }
  for (int c = 0; c < right->schema->n_columns; c++) {
    bool is_key = false;
    for (int i = 0; i < n; i++) {
      is_key = is_key ||
               (keys[i].using_name != NULL && strcmp(keys[i].using_name, right->schema->fields[c].name) == 0);
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

// What a window is bound to, and its expressions one behind the other: partition, order, arguments and
// fallbacks.
typedef struct window_plan {
  qn_named_expr *keys;
  qn_sort_key *sort_keys;
  qn_window_function *functions;
  int n_keys, n_order, n;
  const qn_expr **exprs;
  int n_exprs;
  int *places; // of the exprs, as columns of `with`
  const qn_dataset *with;
  qn_plan_function *planned;
} window_plan;

static int add_expr(window_plan *plan, const qn_expr *expr) {
  if (expr == NULL) {
    return -1;
  }
  plan->exprs[plan->n_exprs] = expr;
  return plan->n_exprs++;
}

static qn_status bind_window(const qn_dataset *in, const char *partition, const char *order,
                             const char *functions, window_plan *plan, qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &in->plan->arena;

  if (partition != NULL && partition[0] != '\0') {
    QN_TRY(
        qn_expr_bind_list(partition, "window partition", in->schema, arena, &plan->keys, &plan->n_keys, err));
  }
  if (order != NULL && order[0] != '\0') {
    QN_TRY(qn_sort_keys_bind(order, in->schema, arena, &plan->sort_keys, &plan->n_order, err));
  }
  QN_REQUIRE(functions != NULL, err, QN_ERR_ARG, "window: no functions are given");
  QN_TRY(qn_window_functions_bind(functions, in->schema, arena, &plan->functions, &plan->n, err));

done:
  return status;
}

// Makes all expressions columns of plan->with, and the functions speak of these.
static qn_status place_window(const qn_dataset *in, window_plan *plan, qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &in->plan->arena;
  const int n_all = plan->n_keys + plan->n_order + 2 * plan->n;

  plan->exprs = qn_arena_alloc(arena, (int64_t)sizeof *plan->exprs * (n_all + 1));
  plan->places = qn_arena_alloc(arena, (int64_t)sizeof *plan->places * (n_all + 1));
  plan->planned = qn_arena_alloc(arena, (int64_t)sizeof *plan->planned * (plan->n + 1));
  QN_REQUIRE(plan->exprs != NULL && plan->places != NULL && plan->planned != NULL, err, QN_ERR_MEMORY,
             "no memory for a plan node");
  for (int i = 0; i < plan->n_keys; i++) {
    add_expr(plan, plan->keys[i].expr);
  }
  for (int i = 0; i < plan->n_order; i++) {
    add_expr(plan, plan->sort_keys[i].expr);
  }
  for (int i = 0; i < plan->n; i++) {
    const qn_window_function *function = &plan->functions[i];
    plan->planned[i] = (qn_plan_function){.name = function->name,
                                          .kind = function->kind,
                                          .aggregate = function->aggregate,
                                          .argument = add_expr(plan, function->argument),
                                          .offset = function->offset,
                                          .fallback = add_expr(plan, function->fallback),
                                          .type = function->type};
  }
  QN_TRY(qn_plan_add_columns(in, plan->exprs, plan->n_exprs, &plan->with, plan->places, err));
  for (int i = 0; i < plan->n; i++) {
    qn_plan_function *planned = &plan->planned[i];
    planned->argument = planned->argument < 0 ? -1 : plan->places[planned->argument];
    planned->fallback = planned->fallback < 0 ? -1 : plan->places[planned->fallback];
  }

done:
  return status;
}

static qn_status plan_window(const qn_dataset *in, const char *partition, const char *order,
                             const char *functions, const char *text, const qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &in->plan->arena;
  window_plan plan = {0};

  QN_TRY(bind_window(in, partition, order, functions, &plan, err));
  QN_TRY(place_window(in, &plan, err));
  const int n_in = in->schema->n_columns;
  const int n_with = plan.with->schema->n_columns;
  qn_order_column *order_columns = qn_arena_alloc(arena, (int64_t)sizeof *order_columns * (plan.n_order + 1));
  qn_field *fields = qn_arena_alloc(arena, (int64_t)sizeof *fields * (n_with + plan.n));
  int *kept = qn_arena_alloc(arena, (int64_t)sizeof *kept * (n_in + plan.n));
  qn_dataset *node = qn_plan_node(in->plan, QN_NODE_WINDOW, plan.with, NULL, text);
  QN_REQUIRE(order_columns != NULL && fields != NULL && kept != NULL && node != NULL, err, QN_ERR_MEMORY,
             "no memory for a plan node");
  memcpy(fields, plan.with->schema->fields, sizeof *fields * (size_t)n_with);
  for (int i = 0; i < plan.n_order; i++) {
    order_columns[i].column = plan.places[plan.n_keys + i];
    order_columns[i].order = plan.sort_keys[i].order;
  }
  for (int i = 0; i < plan.n; i++) {
    fields[n_with + i] =
        (qn_field){.name = (char *)(uintptr_t)plan.planned[i].name, .type = plan.planned[i].type};
  }
  for (int c = 0; c < n_in + plan.n; c++) {
    kept[c] = c < n_in ? c : c - n_in + n_with; // without the hidden columns between
  }
  node->keys = plan.places;
  node->n_keys = plan.n_keys;
  node->order = order_columns;
  node->n_order = plan.n_order;
  node->functions = plan.planned;
  node->n_functions = plan.n;
  QN_TRY(qn_schema_new(fields, n_with + plan.n, &node->schema, err));
  QN_TRY(qn_plan_keep_columns(node, kept, n_in + plan.n, out, err));

done:
  return status;
}

QN_API qn_dataset *qn_window(qn_dataset *in, const char *partition, const char *order,
                             const char *functions) {
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
