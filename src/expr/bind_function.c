// SPDX-License-Identifier: Apache-2.0
// Function calls: of the signatures of a name the one is taken that needs the cheapest implicit casts.
#include <stdio.h>
#include <string.h>
#include "base/check.h"
#include "expr/aggregate_names.h"
#include "expr/binder.h"
#include "expr/function_table.h"

enum { DEEPEST_NESTING = 600, NO_CAST = 1000 };

// What an argument costs to bring to a type; text is what literals without a type like best to be.
static int cast_cost(const qn_expr *arg, qn_type type) {
  static const int8_t costs[QN_N_TYPES][QN_N_TYPES] = {
      [QN_INT32] = {[QN_INT64] = 1, [QN_FLOAT64] = 3, [QN_FLOAT32] = 5},
      [QN_INT64] = {[QN_FLOAT64] = 2, [QN_FLOAT32] = 5},
      [QN_FLOAT32] = {[QN_FLOAT64] = 1},
      [QN_DATE] = {[QN_TIMESTAMP] = 1},
  };
  if (arg->kind == QN_EXPR_INTERVAL) {
    return NO_CAST;
  }
  if (arg->kind == QN_EXPR_UNKNOWN) {
    return type == QN_UTF8 ? 0 : type == QN_FLOAT64 ? 6 : 7;
  }
  if (arg->type == type) {
    return 0;
  }
  return costs[arg->type][type] == 0 ? NO_CAST : costs[arg->type][type];
}

typedef struct choice {
  const qn_expr *const *args;
  int n_args;
  bool is_operator;
  const qn_function *best;
  int best_cost;
  char candidates[300];
} choice;

static void add_candidate(choice *all, const qn_function *function) {
  size_t size = strlen(all->candidates);
  char one[120];
  int n = snprintf(one, sizeof one, "%s(", function->name);
  for (int i = 0; i < function->n_args; i++) {
    n +=
        snprintf(one + n, sizeof one - (size_t)n, "%s%s", i > 0 ? ", " : "", qn_type_name(function->args[i]));
  }
  snprintf(one + n, sizeof one - (size_t)n, ")");
  if (size + strlen(one) + 8 < sizeof all->candidates) {
    snprintf(all->candidates + size, sizeof all->candidates - size, "%s%s", size > 0 ? ", " : "", one);
  }
}

static bool consider(void *ctx, const qn_function *function) {
  choice *all = ctx;
  int cost = 0;
  add_candidate(all, function);
  if (function->n_args != all->n_args) {
    return true;
  }
  for (int i = 0; i < all->n_args; i++) {
    int one = cast_cost(all->args[i], function->args[i]);
    // Beside an operator a literal without a type takes the type of the other side.
    if (all->is_operator && all->n_args == 2 && all->args[i]->kind == QN_EXPR_UNKNOWN &&
        all->args[1 - i]->kind != QN_EXPR_UNKNOWN) {
      one = function->args[i] == all->args[1 - i]->type ? 0 : 7;
    }
    cost += one;
  }
  if (cost < NO_CAST && (all->best == NULL || cost < all->best_cost)) {
    all->best = function;
    all->best_cost = cost;
  }
  return true;
}

static void describe_args(const qn_expr *const *args, int n_args, char *out, size_t size) {
  size_t used = 0;
  out[0] = '\0';
  for (int i = 0; i < n_args && used + 32 < size; i++) {
    const char *type = args[i]->kind == QN_EXPR_UNKNOWN    ? "literal"
                       : args[i]->kind == QN_EXPR_INTERVAL ? "interval"
                                                           : qn_type_name(args[i]->type);
    used += (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? ", " : "", type);
  }
}

static bool is_not_offered(const char *name) {
  static const char *const names[] = {"random",
                                      "now",
                                      "clock_timestamp",
                                      "timeofday",
                                      "setseed",
                                      "gen_random_uuid",
                                      "statement_timestamp",
                                      "transaction_timestamp"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(names[i], name) == 0) {
      return true;
    }
  }
  return false;
}

static qn_status fail_unknown(const qn_binder *binder, const char *name, int location) {
  const char *near = qn_function_suggest(name);
  if (is_not_offered(name)) {
    return qn_bind_fail(
        binder, QN_ERR_ARG, location,
        "%s() is not offered: a job must give the same answer on every run and any number of ranks; "
        "pass a constant, or use hash64() of a column",
        name);
  }
  if (qn_aggregate_is_name(name)) {
    return qn_bind_fail(
        binder, QN_ERR_ARG, location,
        "%s() is an aggregate; it has no place in an expression over single rows, only among the "
        "aggregates of a reduce or the functions of a window",
        name);
  }
  if (qn_window_is_name(name)) {
    return qn_bind_fail(binder, QN_ERR_ARG, location,
                        "%s() is a window function; it has its place in a window only", name);
  }
  return qn_bind_fail(binder, QN_ERR_ARG, location, "there is no function %s()%s%s%s", name,
                      near != NULL ? "; did you mean " : "", near != NULL ? near : "",
                      near != NULL ? "()?" : "");
}

static qn_status fail_no_match(const qn_binder *binder, const char *name, int location, const choice *all) {
  char types[200];
  describe_args(all->args, all->n_args, types, sizeof types);
  if (all->is_operator && all->n_args <= 2) {
    const qn_expr *left = all->args[0];
    if (all->n_args == 1) {
      return qn_bind_fail(binder, QN_ERR_TYPE, location, "there is no operator %s for %s", name, types);
    }
    return qn_bind_fail(binder, QN_ERR_TYPE, location, "there is no operator %s for (%s)%s", name, types,
                        left->kind != QN_EXPR_UNKNOWN && left->type == QN_UTF8 ? "; cast the text to a number"
                                                                               : "");
  }
  return qn_bind_fail(binder, QN_ERR_TYPE, location, "there is no %s(%s); there is %s", name, types,
                      all->candidates);
}

qn_status qn_bind_call(qn_binder *binder, const char *name, bool is_operator, int location,
                       const qn_expr **args, int n_args, const qn_expr **out) {
  qn_status status = QN_OK;
  choice all = {.args = args, .n_args = n_args, .is_operator = is_operator};
  const qn_expr *coerced[QN_MAX_SIGNATURE];
  const void *data = NULL;

  qn_functions_visit(name, consider, &all);
  if (all.best == NULL) {
    if (all.candidates[0] != '\0') {
      return fail_no_match(binder, name, location, &all);
    }
    return is_operator ? qn_bind_fail(binder, QN_ERR_ARG, location, "there is no operator %s", name)
                       : fail_unknown(binder, name, location);
  }
  for (int i = 0; i < n_args; i++) {
    QN_TRY(qn_bind_coerce(binder, args[i], all.best->args[i], &coerced[i]));
  }
  if (all.best->prepare != NULL) {
    QN_TRY(all.best->prepare(binder, location, coerced, n_args, &data));
  }
  QN_TRY(qn_new_call(binder, all.best, all.best->result, location, coerced, n_args, data, out));

done:
  return status;
}

static qn_status refuse_clauses(const qn_binder *binder, const json_t *call, const char *name, int location) {
  static const char *const clauses[][2] = {{"agg_distinct", "distinct"},
                                           {"agg_filter", "filter"},
                                           {"agg_order", "order by"},
                                           {"over", "over"},
                                           {"agg_within_group", "within group"},
                                           {"func_variadic", "variadic"}};
  for (size_t i = 0; i < sizeof clauses / sizeof *clauses; i++) {
    if (json_object_get(call, clauses[i][0]) != NULL) {
      return qn_bind_fail(binder, QN_ERR_ARG, location, "'%s' has no place in a call of %s() here",
                          clauses[i][1], name);
    }
  }
  if (json_object_get(call, "agg_star") != NULL) {
    return qn_bind_fail(binder, QN_ERR_ARG, location, "%s(*) is no expression over single rows", name);
  }
  return QN_OK;
}

qn_status qn_bind_function(qn_binder *binder, const json_t *call, const qn_expr **out) {
  qn_status status = QN_OK;
  const json_t *names = json_object_get(call, "funcname");
  const json_t *nodes = json_object_get(call, "args");
  const int location = qn_tree_location(call);
  const int n_args = (int)json_array_size(nodes);
  const qn_expr **args = qn_arena_alloc(binder->arena, (int64_t)sizeof *args * (n_args + 1));
  int n_names = 0;
  const char *name = qn_tree_name(names, &n_names);

  if (args == NULL) {
    return qn_bind_no_memory(binder);
  }
  const char *first =
      json_string_value(json_object_get(json_object_get(json_array_get(names, 0), "String"), "sval"));
  if (n_names > 1 && (first == NULL || strcmp(first, "pg_catalog") != 0)) {
    return qn_bind_fail(binder, QN_ERR_ARG, location, "functions have no qualifiers");
  }
  if (is_not_offered(name) || qn_aggregate_is_name(name) || qn_window_is_name(name)) {
    return fail_unknown(binder, name, location);
  }
  QN_TRY(refuse_clauses(binder, call, name, location));
  for (int i = 0; i < n_args; i++) {
    QN_TRY(qn_bind_node(binder, json_array_get(nodes, (size_t)i), &args[i]));
  }
  *out = NULL;
  QN_TRY(qn_bind_special(binder, name, location, args, n_args, out));
  if (*out == NULL) {
    QN_TRY(qn_bind_call(binder, name, false, location, args, n_args, out));
  }

done:
  return status;
}

static qn_status bind_kind(qn_binder *binder, const char *kind, const json_t *inside, const qn_expr **out) {
  static const struct {
    const char *kind;
    qn_status (*bind)(qn_binder *binder, const json_t *inside, const qn_expr **out);
  } binders[] = {
      {"ColumnRef", qn_bind_column},      {"A_Const", qn_bind_constant},      {"A_Expr", qn_bind_operator},
      {"FuncCall", qn_bind_function},     {"TypeCast", qn_bind_type_cast},    {"BoolExpr", qn_bind_bool_expr},
      {"NullTest", qn_bind_null_test},    {"BooleanTest", qn_bind_bool_test}, {"CaseExpr", qn_bind_case},
      {"CoalesceExpr", qn_bind_coalesce}, {"MinMaxExpr", qn_bind_min_max},
  };
  static const char *const others[][2] = {
      {"SubLink", "queries inside expressions are not supported; join the datasets"},
      {"ParamRef", "parameters are not supported; write the value"},
      {"RowExpr", "rows in parentheses are not supported; compare their parts"},
      {"A_ArrayExpr", "there are no arrays; a list of values is written in (...)"},
      {"A_Indirection", "there are no arrays and no fields to select from"},
      {"CollateClause", "text is always ordered by bytes; leave out COLLATE"},
      {"SQLValueFunction",
       "the current date, time and user are not offered: a job must give the same answer on every "
       "run; write a literal"},
      {"SetToDefault", "DEFAULT is no value"},
      {"NamedArgExpr", "arguments have no names here; give them in order"},
      {"GroupingFunc", "grouping() is not supported"},
  };
  for (size_t i = 0; i < sizeof binders / sizeof *binders; i++) {
    if (strcmp(binders[i].kind, kind) == 0) {
      return binders[i].bind(binder, inside, out);
    }
  }
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    if (strcmp(others[i][0], kind) == 0) {
      return qn_bind_fail(binder, QN_ERR_ARG, qn_tree_location(inside), "%s", others[i][1]);
    }
  }
  return qn_bind_fail(binder, QN_ERR_ARG, qn_tree_location(inside), "%s is not supported in an expression",
                      kind);
}

qn_status qn_bind_node(qn_binder *binder, const json_t *node, const qn_expr **out) {
  const json_t *inside = NULL;
  const char *kind = qn_tree_kind(node, &inside);
  if (kind == NULL) {
    return qn_bind_fail(binder, QN_ERR_ARG, -1, "a part of the expression is missing");
  }
  if (binder->depth >= DEEPEST_NESTING) {
    return qn_bind_fail(binder, QN_ERR_ARG, qn_tree_location(inside),
                        "the expression is nested more than %d levels deep; compute parts of it first",
                        DEEPEST_NESTING);
  }
  binder->depth++;
  const qn_status status = bind_kind(binder, kind, inside, out);
  binder->depth--;
  return status;
}
