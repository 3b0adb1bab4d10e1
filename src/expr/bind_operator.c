// SPDX-License-Identifier: Apache-2.0
// Operators: arithmetic by the tables of functions, comparisons of two values of one type, and the forms that
// SQL's grammar makes of like, between, in, is distinct from, nullif.
#include <string.h>
#include "base/check.h"
#include "expr/binder.h"
#include "expr/function_table.h"

static bool is_comparison(const char *name) {
  static const char *const names[] = {"=", "<>", "<", "<=", ">", ">="};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(names[i], name) == 0) {
      return true;
    }
  }
  return false;
}

// The comparison that says the same with its sides exchanged.
static const char *mirrored(const char *name) {
  if (name[0] == '<' && name[1] != '>') {
    return name[1] == '=' ? ">=" : ">";
  }
  if (name[0] == '>') {
    return name[1] == '=' ? "<=" : "<";
  }
  return name;
}

qn_status qn_bind_comparison(qn_binder *binder, const char *name, int location, const qn_expr *left,
                             const qn_expr *right, const qn_expr **out) {
  qn_status status = QN_OK;
  const qn_expr *args[2] = {left, right};
  qn_type type = QN_UTF8;
  QN_TRY(qn_bind_common_type(binder, args, 2, true, location, "the two sides of a comparison", &type));
  for (int i = 0; i < 2; i++) {
    QN_TRY(qn_bind_coerce(binder, args[i], type, &args[i]));
  }
  if (args[0]->kind == QN_EXPR_CONSTANT &&
      args[1]->kind != QN_EXPR_CONSTANT) { // kernels have it on the right
    const qn_expr *constant = args[0];
    args[0] = args[1];
    args[1] = constant;
    name = mirrored(name);
  }
  const qn_type types[2] = {type, type};
  QN_TRY(qn_new_call(binder, qn_function_find(name, types, 2), QN_BOOL, location, args, 2, NULL, out));

done:
  return status;
}

static qn_status negate(qn_binder *binder, int location, const qn_expr *arg, const qn_expr **out) {
  const qn_type type = QN_BOOL;
  return qn_new_call(binder, qn_function_find("not", &type, 1), QN_BOOL, location, &arg, 1, NULL, out);
}

static qn_status maybe_negate(qn_binder *binder, bool is_negated, int location, const qn_expr **expr) {
  return is_negated ? negate(binder, location, *expr, expr) : QN_OK;
}

// `a || b`: text with anything, or binary with binary.
static qn_status bind_concatenation(qn_binder *binder, int location, const qn_expr **args,
                                    const qn_expr **out) {
  qn_status status = QN_OK;
  const bool is_binary = (args[0]->kind != QN_EXPR_UNKNOWN && args[0]->type == QN_BINARY) ||
                         (args[1]->kind != QN_EXPR_UNKNOWN && args[1]->type == QN_BINARY);
  if (!is_binary && args[0]->type != QN_UTF8 && args[1]->type != QN_UTF8) {
    return qn_bind_fail(binder, QN_ERR_TYPE, location, "one side of || must be text; these are %s and %s",
                        qn_type_name(args[0]->type), qn_type_name(args[1]->type));
  }
  for (int i = 0; i < 2; i++) {
    QN_TRY(is_binary ? qn_bind_coerce(binder, args[i], QN_BINARY, &args[i])
                     : qn_bind_cast(binder, args[i], QN_UTF8, location, &args[i]));
  }
  QN_TRY(qn_bind_call(binder, "||", true, location, args, 2, out));

done:
  return status;
}

static bool scale(int64_t value, int64_t factor, int64_t *out) {
  return !__builtin_mul_overflow(value, factor, out);
}

// interval op interval, interval * integer: of constants.
static qn_status bind_interval_arithmetic(qn_binder *binder, const char *name, int location,
                                          const qn_expr *const *args, const qn_expr **out) {
  const bool left_is = args[0]->kind == QN_EXPR_INTERVAL;
  const qn_interval *left = args[left_is ? 0 : 1]->data;
  int64_t months = 0;
  int64_t days = 0;
  int64_t microseconds = 0;
  int64_t factor = 1;
  bool fits = false;
  if (args[0]->kind == args[1]->kind && (strcmp(name, "+") == 0 || strcmp(name, "-") == 0)) {
    const qn_interval *right = args[1]->data;
    const int sign = *name == '-' ? -1 : 1;
    months = (int64_t)left->months + sign * (int64_t)right->months;
    days = (int64_t)left->days + sign * (int64_t)right->days;
    fits = *name == '-' ? !__builtin_sub_overflow(left->microseconds, right->microseconds, &microseconds)
                        : !__builtin_add_overflow(left->microseconds, right->microseconds, &microseconds);
  } else if (strcmp(name, "*") == 0 && qn_constant_int64(args[left_is ? 1 : 0], &factor)) {
    fits = scale(left->months, factor, &months) && scale(left->days, factor, &days) &&
           scale(left->microseconds, factor, &microseconds);
  } else {
    return qn_bind_fail(
        binder, QN_ERR_TYPE, location,
        "an interval can be added to a date or timestamp, taken from one, or multiplied by an integer");
  }
  if (!fits || months < -INT32_MAX || months > INT32_MAX || days < -INT32_MAX || days > INT32_MAX) {
    return qn_bind_fail(binder, QN_ERR_VALUE, location, "interval out of range");
  }
  return qn_new_interval(binder, (qn_interval){(int32_t)months, (int32_t)days, microseconds}, location, out);
}

static bool is_time(const qn_expr *expr) {
  return expr->kind == QN_EXPR_UNKNOWN || expr->type == QN_DATE || expr->type == QN_TIMESTAMP;
}

static qn_status bind_with_interval(qn_binder *binder, const char *name, int location,
                                    const qn_expr *const *args, const qn_expr **out) {
  qn_status status = QN_OK;
  const int at = args[0]->kind == QN_EXPR_INTERVAL ? 0 : 1;
  const qn_expr *time = args[1 - at];
  const qn_interval *interval = args[at]->data;
  qn_interval *added = qn_arena_alloc(binder->arena, sizeof *added);
  const bool is_minus = strcmp(name, "-") == 0;

  if (added == NULL) {
    return qn_bind_no_memory(binder);
  }
  if (time->kind == QN_EXPR_INTERVAL || !is_time(time) ||
      !(strcmp(name, "+") == 0 || (is_minus && at == 1))) {
    return bind_interval_arithmetic(binder, name, location, args, out);
  }
  *added = *interval;
  if (is_minus) {
    if (interval->microseconds == INT64_MIN) {
      return qn_bind_fail(binder, QN_ERR_VALUE, location, "interval out of range");
    }
    *added = (qn_interval){-interval->months, -interval->days, -interval->microseconds};
  }
  QN_TRY(qn_bind_coerce(binder, time, QN_TIMESTAMP, &time));
  QN_TRY(qn_new_call(binder, &qn_function_add_interval, QN_TIMESTAMP, location, &time, 1, added, out));

done:
  return status;
}

static qn_status bind_binary(qn_binder *binder, const char *name, int location, const qn_expr **args,
                             const qn_expr **out) {
  qn_status status = QN_OK;
  const bool is_negated = name[0] == '!' && name[1] != '\0';
  if (is_comparison(name)) {
    return qn_bind_comparison(binder, name, location, args[0], args[1], out);
  }
  if (strcmp(name, "||") == 0) {
    return bind_concatenation(binder, location, args, out);
  }
  if (args[0]->kind == QN_EXPR_INTERVAL || args[1]->kind == QN_EXPR_INTERVAL) {
    return bind_with_interval(binder, name, location, args, out);
  }
  const char *positive = is_negated ? name + 1 : name;
  const char *called = strcmp(positive, "~~") == 0    ? "like"
                       : strcmp(positive, "~~*") == 0 ? "ilike"
                                                      : positive;
  if (strcmp(name, "-") == 0 && args[0]->type == QN_TIMESTAMP && is_time(args[1]) &&
      args[0]->kind != QN_EXPR_UNKNOWN) {
    return qn_bind_fail(
        binder, QN_ERR_TYPE, location,
        "the difference of timestamps would be an interval, which is no type here; write epoch(a) - "
        "epoch(b) for seconds, or epoch_us(a) - epoch_us(b)");
  }
  QN_TRY(qn_bind_call(binder, called, true, location, args, 2, out));
  QN_TRY(maybe_negate(binder, is_negated, location, out));

done:
  return status;
}

static qn_status bind_unary(qn_binder *binder, const char *name, int location, const qn_expr *arg,
                            const qn_expr **out) {
  if (arg->kind == QN_EXPR_INTERVAL && strcmp(name, "-") == 0) {
    const qn_interval *interval = arg->data;
    if (interval->microseconds == INT64_MIN) {
      return qn_bind_fail(binder, QN_ERR_VALUE, location, "interval out of range");
    }
    return qn_new_interval(binder, (qn_interval){-interval->months, -interval->days, -interval->microseconds},
                           location, out);
  }
  const char *called = strcmp(name, "|/") == 0 ? "sqrt" : strcmp(name, "||/") == 0 ? "cbrt" : name;
  return qn_bind_call(binder, called, true, location, &arg, 1, out);
}

qn_status qn_bind_distinct_from(qn_binder *binder, int location, const qn_expr **args, bool is_negated,
                                const qn_expr **out) {
  qn_status status = QN_OK;
  const qn_expr *parts[3] = {args[0], args[1], NULL};
  qn_type type = QN_UTF8;
  QN_TRY(qn_bind_common_type(binder, args, 2, true, location, "the two sides of a comparison", &type));
  for (int i = 0; i < 2; i++) {
    QN_TRY(qn_bind_coerce(binder, args[i], type, &parts[i]));
  }
  QN_TRY(qn_bind_comparison(binder, "=", location, parts[0], parts[1], &parts[2]));
  QN_TRY(qn_new_call(binder, is_negated ? &qn_function_is_not_distinct : &qn_function_is_distinct, QN_BOOL,
                     location, parts, 3, NULL, out));

done:
  return status;
}

static qn_status bind_nullif(qn_binder *binder, int location, const qn_expr **args, const qn_expr **out) {
  qn_status status = QN_OK;
  const qn_expr *parts[2] = {args[0], NULL};
  if (args[0]->kind == QN_EXPR_UNKNOWN) { // takes the type of the other one
    QN_TRY(qn_bind_coerce(binder, args[0], args[1]->kind == QN_EXPR_UNKNOWN ? QN_UTF8 : args[1]->type,
                          &parts[0]));
  }
  QN_TRY(qn_bind_comparison(binder, "=", location, parts[0], args[1], &parts[1]));
  QN_TRY(qn_new_call(binder, &qn_function_nullif, parts[0]->type, location, parts, 2, NULL, out));

done:
  return status;
}

// `x between a and b` is `x >= a and x <= b`; symmetric: of the two in either order.
static qn_status bind_between(qn_binder *binder, const json_t *expr, bool is_symmetric, bool is_negated,
                              const qn_expr **out) {
  qn_status status = QN_OK;
  const int location = qn_tree_location(expr);
  const json_t *list = json_object_get(json_object_get(json_object_get(expr, "rexpr"), "List"), "items");
  const qn_expr *value = NULL;
  const qn_expr *limits[2] = {NULL, NULL};
  const qn_expr *ranges[2] = {NULL, NULL};

  QN_TRY(qn_bind_node(binder, json_object_get(expr, "lexpr"), &value));
  for (size_t i = 0; i < 2; i++) {
    QN_TRY(qn_bind_node(binder, json_array_get(list, i), &limits[i]));
  }
  for (int i = 0; i <= is_symmetric; i++) {
    const qn_expr *sides[2] = {NULL, NULL};
    QN_TRY(qn_bind_comparison(binder, ">=", location, value, limits[i], &sides[0]));
    QN_TRY(qn_bind_comparison(binder, "<=", location, value, limits[1 - i], &sides[1]));
    QN_TRY(qn_new_node(binder, QN_EXPR_AND, QN_BOOL, location, sides, 2, &ranges[i]));
  }
  if (is_symmetric) {
    QN_TRY(qn_new_node(binder, QN_EXPR_OR, QN_BOOL, location, ranges, 2, &ranges[0]));
  }
  *out = ranges[0];
  QN_TRY(maybe_negate(binder, is_negated, location, out));

done:
  return status;
}

// like, ilike: the pattern may come wrapped in like_escape(pattern, escape).
static qn_status bind_like(qn_binder *binder, const json_t *expr, const char *name, const qn_expr **out) {
  qn_status status = QN_OK;
  const int location = qn_tree_location(expr);
  const json_t *pattern = json_object_get(expr, "rexpr");
  const json_t *call = json_object_get(pattern, "FuncCall");
  const qn_expr *args[3] = {NULL, NULL, NULL};
  int n_args = 2;
  int n = 0;

  QN_TRY(qn_bind_node(binder, json_object_get(expr, "lexpr"), &args[0]));
  if (call != NULL && strcmp(qn_tree_name(json_object_get(call, "funcname"), &n), "like_escape") == 0 &&
      n == 2) {
    const json_t *parts = json_object_get(call, "args");
    QN_TRY(qn_bind_node(binder, json_array_get(parts, 0), &args[1]));
    QN_TRY(qn_bind_node(binder, json_array_get(parts, 1), &args[2]));
    n_args = 3;
  } else {
    QN_TRY(qn_bind_node(binder, pattern, &args[1]));
  }
  QN_TRY(
      qn_bind_call(binder, strchr(name, '*') != NULL ? "ilike" : "like", true, location, args, n_args, out));
  QN_TRY(maybe_negate(binder, name[0] == '!', location, out));

done:
  return status;
}

static qn_status bind_in(qn_binder *binder, const json_t *expr, const char *name, const json_t *items,
                         const qn_expr **out) {
  qn_status status = QN_OK;
  const qn_expr *left = NULL;
  QN_TRY(qn_bind_node(binder, json_object_get(expr, "lexpr"), &left));
  QN_TRY(qn_bind_in(binder, qn_tree_location(expr), left, items, strcmp(name, "<>") == 0, out));

done:
  return status;
}

static qn_status bind_two(qn_binder *binder, const json_t *expr, const char *kind, const char *name,
                          const qn_expr **out) {
  qn_status status = QN_OK;
  const int location = qn_tree_location(expr);
  const json_t *left = json_object_get(expr, "lexpr");
  const qn_expr *args[2] = {NULL, NULL};
  if (left != NULL) {
    QN_TRY(qn_bind_node(binder, left, &args[0]));
  }
  QN_TRY(qn_bind_node(binder, json_object_get(expr, "rexpr"), &args[1]));
  if (left == NULL) {
    QN_TRY(bind_unary(binder, name, location, args[1], out));
  } else if (strcmp(kind, "AEXPR_OP") == 0) {
    QN_TRY(bind_binary(binder, name, location, args, out));
  } else if (strcmp(kind, "AEXPR_NULLIF") == 0) {
    QN_TRY(bind_nullif(binder, location, args, out));
  } else {
    QN_TRY(qn_bind_distinct_from(binder, location, args, strcmp(kind, "AEXPR_NOT_DISTINCT") == 0, out));
  }

done:
  return status;
}

qn_status qn_bind_operator(qn_binder *binder, const json_t *expr, const qn_expr **out) {
  const char *kind = json_string_value(json_object_get(expr, "kind"));
  int n = 0;
  const char *name = qn_tree_name(json_object_get(expr, "name"), &n);
  const json_t *right = json_object_get(expr, "rexpr");
  kind = kind == NULL ? "" : kind;

  if (strcmp(kind, "AEXPR_IN") == 0) {
    return bind_in(binder, expr, name, json_object_get(json_object_get(right, "List"), "items"), out);
  }
  if (strncmp(kind, "AEXPR_BETWEEN", 13) == 0 || strncmp(kind, "AEXPR_NOT_BETWEEN", 17) == 0) {
    return bind_between(binder, expr, strstr(kind, "_SYM") != NULL, strstr(kind, "_NOT_") != NULL, out);
  }
  if (strcmp(kind, "AEXPR_LIKE") == 0 || strcmp(kind, "AEXPR_ILIKE") == 0) {
    return bind_like(binder, expr, name, out);
  }
  if (strcmp(kind, "AEXPR_OP") == 0 || strcmp(kind, "AEXPR_NULLIF") == 0 ||
      strcmp(kind, "AEXPR_DISTINCT") == 0 || strcmp(kind, "AEXPR_NOT_DISTINCT") == 0) {
    return bind_two(binder, expr, kind, name, out);
  }
  const json_t *array = json_object_get(json_object_get(right, "A_ArrayExpr"), "elements");
  const bool is_any = strcmp(kind, "AEXPR_OP_ANY") == 0 && strcmp(name, "=") == 0;
  const bool is_all = strcmp(kind, "AEXPR_OP_ALL") == 0 && strcmp(name, "<>") == 0;
  if (array != NULL && (is_any || is_all)) {
    return bind_in(binder, expr, name, array, out);
  }
  return qn_bind_fail(binder, QN_ERR_ARG, qn_tree_location(expr), "%s is not supported",
                      strcmp(kind, "AEXPR_SIMILAR") == 0
                          ? "SIMILAR TO (write like, or ~ with a regular expression)"
                          : "this operator");
}
