// SPDX-License-Identifier: Apache-2.0
// and, or, not, is null, is true, case, coalesce, greatest, least, in.
#include <string.h>
#include "base/check.h"
#include "expr/binder.h"
#include "expr/function_table.h"

qn_status qn_bind_scalar(qn_binder *binder, const json_t *node, const qn_expr **out) {
  qn_status status = QN_OK;
  QN_TRY(qn_bind_node(binder, node, out));
  if ((*out)->kind == QN_EXPR_UNKNOWN || (*out)->kind == QN_EXPR_INTERVAL) {
    QN_TRY(qn_bind_coerce(binder, *out, QN_UTF8, out));
  }

done:
  return status;
}

static int place_of(const qn_binder *binder, const qn_expr *expr) {
  return expr->location < 0 ? -1 : expr->location + binder->prefix + binder->item_first;
}

qn_status qn_bind_bool(qn_binder *binder, const json_t *node, const char *role, const qn_expr **out) {
  qn_status status = QN_OK;
  QN_TRY(qn_bind_node(binder, node, out));
  if ((*out)->kind == QN_EXPR_UNKNOWN) {
    QN_TRY(qn_bind_coerce(binder, *out, QN_BOOL, out));
  }
  if ((*out)->kind == QN_EXPR_INTERVAL || (*out)->type != QN_BOOL) {
    return qn_bind_fail(binder, QN_ERR_TYPE, place_of(binder, *out), "%s must be bool, not %s", role,
                        (*out)->kind == QN_EXPR_INTERVAL ? "an interval" : qn_type_name((*out)->type));
  }

done:
  return status;
}

// All nodes of a JSON array, bound, in the arena; `extra` more places.
static qn_status bind_all(qn_binder *binder, const json_t *nodes, int extra, const qn_expr ***out, int *n) {
  qn_status status = QN_OK;
  *n = (int)json_array_size(nodes);
  *out = qn_arena_alloc(binder->arena, (int64_t)sizeof **out * (*n + extra));
  if (*out == NULL) {
    return qn_bind_no_memory(binder);
  }
  for (int i = 0; i < *n; i++) {
    QN_TRY(qn_bind_node(binder, json_array_get(nodes, (size_t)i), &(*out)[i]));
  }

done:
  return status;
}

qn_status qn_bind_bool_expr(qn_binder *binder, const json_t *node, const qn_expr **out) {
  qn_status status = QN_OK;
  const char *op = json_string_value(json_object_get(node, "boolop"));
  const json_t *nodes = json_object_get(node, "args");
  const int n = (int)json_array_size(nodes);
  const int location = qn_tree_location(node);
  const bool is_and = op != NULL && strcmp(op, "AND_EXPR") == 0;
  const qn_expr **args = qn_arena_alloc(binder->arena, (int64_t)sizeof *args * n);
  const char *role = is_and ? "what stands beside 'and'" : "what stands beside 'or'";

  if (args == NULL) {
    return qn_bind_no_memory(binder);
  }
  if (op != NULL && strcmp(op, "NOT_EXPR") == 0) {
    const qn_type type = QN_BOOL;
    QN_TRY(qn_bind_bool(binder, json_array_get(nodes, 0), "what stands behind 'not'", &args[0]));
    return qn_new_call(binder, qn_function_find("not", &type, 1), QN_BOOL, location, args, 1, NULL, out);
  }
  for (int i = 0; i < n; i++) {
    binder->lazy += i > 0;
    status = qn_bind_bool(binder, json_array_get(nodes, (size_t)i), role, &args[i]);
    binder->lazy -= i > 0;
    QN_TRY(status);
  }
  QN_TRY(qn_new_node(binder, is_and ? QN_EXPR_AND : QN_EXPR_OR, QN_BOOL, location, args, n, out));

done:
  return status;
}

qn_status qn_bind_null_test(qn_binder *binder, const json_t *node, const qn_expr **out) {
  qn_status status = QN_OK;
  const char *kind = json_string_value(json_object_get(node, "nulltesttype"));
  const bool is_negated = kind != NULL && strcmp(kind, "IS_NOT_NULL") == 0;
  const qn_expr *arg = NULL;
  QN_TRY(qn_bind_scalar(binder, json_object_get(node, "arg"), &arg));
  QN_TRY(qn_new_call(binder, is_negated ? &qn_function_is_not_null : &qn_function_is_null, QN_BOOL,
                     qn_tree_location(node), &arg, 1, NULL, out));

done:
  return status;
}

qn_status qn_bind_bool_test(qn_binder *binder, const json_t *node, const qn_expr **out) {
  static const struct {
    const char *kind;
    const char *name; // NULL: is null, or is not null
  } tests[] = {{"IS_TRUE", "is true"},           {"IS_NOT_TRUE", "is not true"}, {"IS_FALSE", "is false"},
               {"IS_NOT_FALSE", "is not false"}, {"IS_UNKNOWN", NULL},           {"IS_NOT_UNKNOWN", NULL}};
  qn_status status = QN_OK;
  const char *kind = json_string_value(json_object_get(node, "booltesttype"));
  const qn_expr *arg = NULL;
  const qn_type type = QN_BOOL;
  const qn_function *function = NULL;
  QN_TRY(qn_bind_bool(binder, json_object_get(node, "arg"), "what stands before 'is'", &arg));
  for (size_t i = 0; kind != NULL && i < sizeof tests / sizeof *tests; i++) {
    if (strcmp(tests[i].kind, kind) == 0) {
      const qn_function *nulls =
          strstr(kind, "NOT") != NULL ? &qn_function_is_not_null : &qn_function_is_null;
      function = tests[i].name == NULL ? nulls : qn_function_find(tests[i].name, &type, 1);
    }
  }
  if (function == NULL) {
    return qn_bind_fail(binder, QN_ERR_ARG, qn_tree_location(node), "this test is not supported");
  }
  QN_TRY(qn_new_call(binder, function, QN_BOOL, qn_tree_location(node), &arg, 1, NULL, out));

done:
  return status;
}

// `case x when 1 ...` compares x for every branch.
static qn_status bind_when(qn_binder *binder, const json_t *when, const qn_expr *subject,
                           const qn_expr **out) {
  qn_status status = QN_OK;
  const json_t *node = json_object_get(when, "expr");
  if (subject == NULL) {
    return qn_bind_bool(binder, node, "the condition of a case", out);
  }
  QN_TRY(qn_bind_node(binder, node, out));
  QN_TRY(qn_bind_comparison(binder, "=", qn_tree_location(when), subject, *out, out));

done:
  return status;
}

// conditions and results as bound: args 0, 2, ... and 1, 3, ..., the else last.
static qn_status bind_branches(qn_binder *binder, const json_t *node, const qn_expr *subject,
                               const qn_expr **args, int n_branches) {
  qn_status status = QN_OK;
  const json_t *branches = json_object_get(node, "args");
  const json_t *otherwise = json_object_get(node, "defresult");
  for (int i = 0; i < n_branches; i++) {
    const json_t *when = json_object_get(json_array_get(branches, (size_t)i), "CaseWhen");
    binder->lazy += i > 0;
    status = bind_when(binder, when, subject, &args[2 * i]);
    binder->lazy -= i > 0;
    QN_TRY(status);
    binder->lazy++;
    status = qn_bind_node(binder, json_object_get(when, "result"), &args[2 * i + 1]);
    binder->lazy--;
    QN_TRY(status);
  }
  binder->lazy++;
  status = otherwise == NULL ? qn_new_unknown(binder, NULL, qn_tree_location(node), &args[2 * n_branches])
                             : qn_bind_node(binder, otherwise, &args[2 * n_branches]);
  binder->lazy--;

done:
  return status;
}

qn_status qn_bind_case(qn_binder *binder, const json_t *node, const qn_expr **out) {
  qn_status status = QN_OK;
  const int n_branches = (int)json_array_size(json_object_get(node, "args"));
  const json_t *subject_node = json_object_get(node, "arg");
  const int location = qn_tree_location(node);
  const int n_args = 2 * n_branches + 1;
  const qn_expr *subject = NULL;
  qn_type type = QN_UTF8;
  const qn_expr **args = qn_arena_alloc(binder->arena, (int64_t)sizeof *args * n_args);
  const qn_expr **results = qn_arena_alloc(binder->arena, (int64_t)sizeof *results * (n_branches + 1));

  if (args == NULL || results == NULL) {
    return qn_bind_no_memory(binder);
  }
  if (subject_node != NULL) {
    QN_TRY(qn_bind_scalar(binder, subject_node, &subject));
  }
  QN_TRY(bind_branches(binder, node, subject, args, n_branches));
  for (int i = 0; i <= n_branches; i++) {
    results[i] = i < n_branches ? args[2 * i + 1] : args[2 * n_branches];
  }
  QN_TRY(
      qn_bind_common_type(binder, results, n_branches + 1, false, location, "the results of a case", &type));
  for (int i = 0; i <= n_branches; i++) {
    const qn_expr **result = i < n_branches ? &args[2 * i + 1] : &args[2 * n_branches];
    binder->lazy++;
    status = qn_bind_coerce(binder, *result, type, result);
    binder->lazy--;
    QN_TRY(status);
  }
  QN_TRY(qn_new_node(binder, QN_EXPR_CASE, type, location, args, n_args, out));

done:
  return status;
}

// Arguments of a list brought to one type.
static qn_status coerce_all(qn_binder *binder, const qn_expr **args, int n, int location, const char *role,
                            qn_type *type) {
  qn_status status = QN_OK;
  QN_TRY(qn_bind_common_type(binder, args, n, false, location, role, type));
  for (int i = 0; i < n; i++) {
    QN_TRY(qn_bind_coerce(binder, args[i], *type, &args[i]));
  }

done:
  return status;
}

qn_status qn_bind_coalesce(qn_binder *binder, const json_t *node, const qn_expr **out) {
  qn_status status = QN_OK;
  const qn_expr **args = NULL;
  int n = 0;
  qn_type type = QN_UTF8;
  const int location = qn_tree_location(node);
  binder->lazy++;
  status = bind_all(binder, json_object_get(node, "args"), 0, &args, &n);
  if (status == QN_OK) {
    status = coerce_all(binder, args, n, location, "the arguments of coalesce", &type);
  }
  binder->lazy--;
  QN_TRY(status);
  QN_TRY(qn_new_node(binder, QN_EXPR_COALESCE, type, location, args, n, out));

done:
  return status;
}

qn_status qn_bind_min_max(qn_binder *binder, const json_t *node, const qn_expr **out) {
  qn_status status = QN_OK;
  const char *op = json_string_value(json_object_get(node, "op"));
  const bool is_least = op != NULL && strcmp(op, "IS_LEAST") == 0;
  const qn_expr **args = NULL;
  int n = 0;
  qn_type type = QN_UTF8;
  const int location = qn_tree_location(node);
  QN_TRY(bind_all(binder, json_object_get(node, "args"), 0, &args, &n));
  QN_TRY(coerce_all(binder, args, n, location,
                    is_least ? "the arguments of least" : "the arguments of greatest", &type));
  QN_TRY(qn_new_call(binder, is_least ? &qn_function_least : &qn_function_greatest, type, location, args, n,
                     NULL, out));

done:
  return status;
}

// A list with something that is not constant: x = a or x = b ...
static qn_status in_as_or(qn_binder *binder, int location, const qn_expr *left, const qn_expr **items, int n,
                          const qn_expr **out) {
  qn_status status = QN_OK;
  for (int i = 0; i < n; i++) {
    QN_TRY(qn_bind_comparison(binder, "=", location, left, items[i], &items[i]));
  }
  if (n == 1) {
    *out = items[0];
  } else {
    QN_TRY(qn_new_node(binder, QN_EXPR_OR, QN_BOOL, location, items, n, out));
  }

done:
  return status;
}

qn_status qn_bind_in(qn_binder *binder, int location, const qn_expr *left, const json_t *items,
                     bool is_negated, const qn_expr **out) {
  qn_status status = QN_OK;
  const qn_expr **args = NULL;
  const qn_in_list *list = NULL;
  int n = 0;
  qn_type type = QN_UTF8;
  bool is_constant = true;

  QN_TRY(bind_all(binder, items, 1, &args, &n));
  if (n == 0) {
    return qn_bind_fail(binder, QN_ERR_ARG, location,
                        "'in' wants a list of values; queries are not supported here");
  }
  args[n] = left;
  QN_TRY(qn_bind_common_type(binder, args, n + 1, true, location, "the values of 'in'", &type));
  for (int i = 0; i <= n; i++) {
    QN_TRY(qn_bind_coerce(binder, args[i], type, &args[i]));
    is_constant = is_constant && (i == n || args[i]->kind == QN_EXPR_CONSTANT);
  }
  left = args[n];
  if (is_constant && n > 1) {
    QN_TRY(qn_in_list_new(args, n, type, binder->arena, &list, binder->err));
    QN_TRY(qn_new_call(binder, &qn_function_in, QN_BOOL, location, &left, 1, list, out));
  } else {
    QN_TRY(in_as_or(binder, location, left, args, n, out));
  }
  if (is_negated) {
    const qn_type bool_type = QN_BOOL;
    QN_TRY(qn_new_call(binder, qn_function_find("not", &bool_type, 1), QN_BOOL, location, out, 1, NULL, out));
  }

done:
  return status;
}
