// SPDX-License-Identifier: Apache-2.0
// What a join is `on`: columns that both sides have, or equations between the sides; and its further
// condition. Both sides are bound together, the right one's columns counted behind the left one's.
#include <string.h>
#include "base/check.h"
#include "expr/bind_items.h"

typedef struct key_list {
  const qn_schema *left;
  const qn_schema *right;
  qn_join_key *keys;
  int n;
} key_list;

// 1: reads the left side only, 2: the right, 3: both, 0: none.
static qn_status sides_of(const qn_binder *binder, const key_list *list, const qn_expr *expr, int *sides) {
  const int n = list->left->n_columns + list->right->n_columns;
  bool *used = qn_arena_alloc(binder->arena, n + 1);
  *sides = 0;
  if (used == NULL) {
    return qn_bind_no_memory(binder);
  }
  qn_expr_mark_columns(expr, used);
  for (int c = 0; c < n; c++) {
    *sides |= !used[c] ? 0 : c < list->left->n_columns ? 1 : 2;
  }
  return QN_OK;
}

// An expression over both sides that reads only the right one, over that one.
static qn_status move_to_right(const qn_binder *binder, const key_list *list, const qn_expr *expr,
                               const qn_expr **out) {
  const int n = list->left->n_columns + list->right->n_columns;
  int *index = qn_arena_alloc(binder->arena, (int64_t)sizeof *index * (n + 1));
  if (index == NULL) {
    return qn_bind_no_memory(binder);
  }
  for (int c = 0; c < n; c++) {
    index[c] = c - list->left->n_columns;
  }
  *out = qn_expr_remap(expr, index, binder->arena);
  return *out == NULL ? qn_bind_no_memory(binder) : QN_OK;
}

// Sides given the same type; `right` is still bound over both.
static qn_status add_key(qn_binder *binder, key_list *list, const qn_expr *left, const qn_expr *right,
                         const char *using_name, int location) {
  qn_status status = QN_OK;
  const qn_expr *sides[2] = {left, right};
  qn_type type = QN_UTF8;
  qn_join_key *key = &list->keys[list->n];
  QN_TRY(qn_bind_common_type(binder, sides, 2, true, location, "the two sides of a key", &type));
  for (int i = 0; i < 2; i++) {
    QN_TRY(qn_bind_coerce(binder, sides[i], type, &sides[i]));
  }
  QN_TRY(move_to_right(binder, list, sides[1], &key->right));
  key->left = sides[0];
  key->using_name = using_name;
  list->n++;

done:
  return status;
}

static qn_status bind_equation(qn_binder *binder, key_list *list, const json_t *expr) {
  qn_status status = QN_OK;
  const int location = qn_tree_location(expr);
  const qn_expr *args[2] = {NULL, NULL};
  int sides[2] = {0, 0};
  QN_TRY(qn_bind_scalar(binder, json_object_get(expr, "lexpr"), &args[0]));
  QN_TRY(qn_bind_scalar(binder, json_object_get(expr, "rexpr"), &args[1]));
  for (int i = 0; i < 2; i++) {
    QN_TRY(sides_of(binder, list, args[i], &sides[i]));
  }
  if (sides[0] == 1 && sides[1] == 2) {
    QN_TRY(add_key(binder, list, args[0], args[1], NULL, location));
  } else if (sides[0] == 2 && sides[1] == 1) {
    QN_TRY(add_key(binder, list, args[1], args[0], NULL, location));
  } else {
    status = qn_bind_fail(
        binder, QN_ERR_ARG, location,
        "one side of '=' must read columns of l only, the other of r only; other conditions go into "
        "the join's condition");
  }

done:
  return status;
}

// A bare column, looked up on each side by itself.
static qn_status bind_using(qn_binder *binder, key_list *list, const json_t *ref) {
  qn_status status = QN_OK;
  const qn_scope both[2] = {binder->scopes[0], binder->scopes[1]};
  const qn_expr *sides[2] = {NULL, NULL};
  for (int s = 0; s < 2; s++) {
    qn_error err = {0};
    qn_binder one = *binder;
    one.scopes[0] = both[s];
    one.n_scopes = 1;
    one.err = &err;
    status = qn_bind_column(&one, ref, &sides[s]);
    if (status != QN_OK) {
      const char *side = s == 0 ? "left" : "right";
      const char *line = strchr(err.message, '\n');
      const size_t size = line == NULL ? strlen(err.message) : (size_t)(line - err.message);
      const size_t what = strlen(binder->what) + 2;
      return qn_bind_fail(binder, status, qn_tree_location(ref), "on the %s side %.*s", side,
                          (int)(size > what ? size - what : 0), err.message + (size > what ? what : 0));
    }
  }
  const char *left_name = list->left->fields[sides[0]->column].name;
  const char *right_name = list->right->fields[sides[1]->column - list->left->n_columns].name;
  const char *name = qn_arena_string(binder->arena, left_name);
  if (name == NULL) {
    return qn_bind_no_memory(binder);
  }
  if (strcmp(left_name, right_name) != 0) {
    return qn_bind_fail(binder, QN_ERR_ARG, qn_tree_location(ref),
                        "the left side has '%s', the right '%s'; write l.\"%s\" = r.\"%s\"", left_name,
                        right_name, left_name, right_name);
  }
  QN_TRY(add_key(binder, list, sides[0], sides[1], name, qn_tree_location(ref)));

done:
  return status;
}

static qn_status bind_key(qn_binder *binder, const json_t *node, const char *name, int location, void *ctx) {
  key_list *list = ctx;
  const json_t *ref = json_object_get(node, "ColumnRef");
  const json_t *expr = json_object_get(node, "A_Expr");
  const json_t *conjunction = json_object_get(node, "BoolExpr");
  const char *op = json_string_value(json_object_get(conjunction, "boolop"));
  const char *kind = json_string_value(json_object_get(expr, "kind"));
  int n = 0;

  if (name != NULL) {
    return qn_bind_fail(binder, QN_ERR_ARG, location, "a key cannot be named");
  }
  if (ref != NULL && json_array_size(json_object_get(ref, "fields")) == 1 && !qn_bind_is_star(node)) {
    return bind_using(binder, list, ref);
  }
  if (op != NULL && strcmp(op, "AND_EXPR") == 0) { // l.a = r.a and l.b = r.b
    qn_status status = QN_OK;
    const json_t *parts = json_object_get(conjunction, "args");
    for (size_t i = 0; status == QN_OK && i < json_array_size(parts); i++) {
      status = bind_key(binder, json_array_get(parts, i), NULL, location, ctx);
    }
    return status;
  }
  if (kind != NULL && strcmp(kind, "AEXPR_OP") == 0 && json_object_get(expr, "lexpr") != NULL &&
      strcmp(qn_tree_name(json_object_get(expr, "name"), &n), "=") == 0) {
    return bind_equation(binder, list, expr);
  }
  return qn_bind_fail(binder, QN_ERR_ARG, location,
                      "a key is a column that both sides have, or an equation, as l.user = r.id");
}

// Nodes of a list that may hold conjunctions: an upper bound of its keys.
static int64_t count_keys(const json_t *node) {
  const json_t *parts = json_object_get(json_object_get(node, "BoolExpr"), "args");
  int64_t n = 1;
  for (size_t i = 0; i < json_array_size(parts); i++) {
    n += count_keys(json_array_get(parts, i));
  }
  return n;
}

qn_status qn_join_keys_bind(const char *text, const qn_schema *left, const qn_schema *right, qn_arena *arena,
                            qn_join_key **out, int *n, qn_error *err) {
  qn_status status = QN_OK;
  qn_binder binder;
  key_list list = {.left = left, .right = right};
  int64_t capacity = 0;

  QN_TRY(qn_binder_init(&binder, text, "join on", false, arena, err));
  qn_binder_add_scope(&binder, "l", left);
  qn_binder_add_scope(&binder, "r", right);
  const json_t *items = qn_binder_items(&binder, false);
  for (size_t i = 0; i < json_array_size(items); i++) {
    capacity += count_keys(json_object_get(json_object_get(json_array_get(items, i), "ResTarget"), "val"));
  }
  list.keys = qn_arena_alloc(arena, (int64_t)sizeof *list.keys * capacity);
  QN_REQUIRE(list.keys != NULL, err, QN_ERR_MEMORY, "join on: no memory to bind");
  QN_TRY(qn_bind_each_item(&binder, bind_key, &list));
  *out = list.keys;
  *n = list.n;

done:
  qn_binder_release(&binder);
  return status;
}

qn_status qn_join_condition_bind(const char *text, const qn_schema *left, const qn_schema *right,
                                 qn_arena *arena, const qn_expr **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_binder binder;
  const qn_expr *expr = NULL;

  QN_TRY(qn_binder_init(&binder, text, "join condition", false, arena, err));
  qn_binder_add_scope(&binder, "l", left);
  qn_binder_add_scope(&binder, "r", right);
  QN_TRY(qn_bind_single(&binder, true, &expr));
  *out = expr;

done:
  qn_binder_release(&binder);
  return status;
}
