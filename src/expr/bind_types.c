// SPDX-License-Identifier: Apache-2.0
// Types: which casts happen by themselves, what types meet in, and literals whose type their surroundings
// decide.
#include <ctype.h>
#include <string.h>
#include "base/check.h"
#include "column/parse.h"
#include "expr/binder.h"
#include "expr/function_table.h"

bool qn_cast_is_implicit(qn_type from, qn_type to) {
  if (from == to) {
    return true;
  }
  switch (from) {
  case QN_INT32:
    return to == QN_INT64 || to == QN_FLOAT32 || to == QN_FLOAT64;
  case QN_INT64:
    return to == QN_FLOAT32 || to == QN_FLOAT64;
  case QN_FLOAT32:
    return to == QN_FLOAT64;
  case QN_DATE:
    return to == QN_TIMESTAMP;
  default:
    return false;
  }
}

bool qn_common_type(qn_type a, qn_type b, bool is_operator, qn_type *out) {
  const bool mixes = (a == QN_FLOAT32 && (b == QN_INT32 || b == QN_INT64)) ||
                     (b == QN_FLOAT32 && (a == QN_INT32 || a == QN_INT64));
  if (mixes && is_operator) {
    *out = QN_FLOAT64;
  } else if (qn_cast_is_implicit(a, b)) {
    *out = b;
  } else if (qn_cast_is_implicit(b, a)) {
    *out = a;
  } else {
    return false;
  }
  return true;
}

static int place_of(const qn_binder *binder, const qn_expr *expr) {
  return expr->location < 0 ? -1 : expr->location + binder->prefix + binder->item_first;
}

qn_status qn_bind_common_type(qn_binder *binder, const qn_expr *const *exprs, int n, bool is_operator,
                              int location, const char *role, qn_type *out) {
  bool has_type = false;
  *out = QN_UTF8;
  for (int i = 0; i < n; i++) {
    if (exprs[i]->kind == QN_EXPR_INTERVAL) {
      return qn_bind_fail(binder, QN_ERR_TYPE, place_of(binder, exprs[i]),
                          "an interval can only be added to a date or timestamp, or taken from one");
    }
    if (exprs[i]->kind == QN_EXPR_UNKNOWN) {
      continue;
    }
    if (!has_type) {
      *out = exprs[i]->type;
      has_type = true;
    } else if (!qn_common_type(*out, exprs[i]->type, is_operator, out)) {
      return qn_bind_fail(binder, QN_ERR_TYPE, location, "%s cannot be %s and %s at once; cast one of them",
                          role, qn_type_name(*out), qn_type_name(exprs[i]->type));
    }
  }
  return QN_OK;
}

static qn_text trimmed(qn_text text) {
  while (text.size > 0 && isspace((unsigned char)text.data[0])) {
    text.data++;
    text.size--;
  }
  while (text.size > 0 && isspace((unsigned char)text.data[text.size - 1])) {
    text.size--;
  }
  return text;
}

// A quoted literal as a value of a type.
static qn_status parse_literal(qn_binder *binder, const qn_expr *expr, qn_type type, const qn_expr **out) {
  qn_status status = QN_OK;
  const qn_expr *text = NULL;
  qn_expr copy = *expr;
  const qn_text value = trimmed(qn_column_text(expr->value, 0));
  qn_column result = {0};
  qn_error err = {0};

  copy.kind = QN_EXPR_CONSTANT;
  text = &copy;
  if (type == QN_UTF8) {
    return qn_new_constant(
        binder, QN_UTF8, &(qn_text){qn_column_text(expr->value, 0).data, qn_column_text(expr->value, 0).size},
        place_of(binder, expr), out);
  }
  const qn_function *cast = qn_cast_find(QN_UTF8, type);
  const qn_expr call = {.kind = QN_EXPR_CALL,
                        .type = type,
                        .location = -1,
                        .text = "",
                        .column = -1,
                        .n_args = 1,
                        .args = &text,
                        .function = cast};
  status = qn_expr_eval_constant(&call, &result, &err);
  if (status == QN_ERR_VALUE) {
    status = qn_bind_fail(binder, QN_ERR_TYPE, place_of(binder, expr), "'%.*s' is not %s %s",
                          value.size > 80 ? 80 : (int)value.size, value.data,
                          type == QN_INT32 || type == QN_INT64 ? "an" : "a", qn_type_name(type));
  }
  QN_TRY(status);
  const qn_text bytes = qn_type_is_text(type) ? qn_column_text(&result, 0) : (qn_text){0};
  QN_TRY(qn_new_constant(binder, type, qn_type_is_text(type) ? (const void *)&bytes : result.values,
                         place_of(binder, expr), out));

done:
  qn_column_release(&result);
  return status;
}

qn_status qn_bind_coerce(qn_binder *binder, const qn_expr *expr, qn_type type, const qn_expr **out) {
  const int location = place_of(binder, expr);
  if (expr->kind == QN_EXPR_INTERVAL) {
    return qn_bind_fail(binder, QN_ERR_TYPE, location,
                        "an interval can only be added to a date or timestamp, or taken from one");
  }
  if (expr->kind == QN_EXPR_UNKNOWN) {
    return qn_expr_is_null_constant(expr) ? qn_new_constant(binder, type, NULL, location, out)
                                          : parse_literal(binder, expr, type, out);
  }
  if (expr->type == type) {
    *out = expr;
    return QN_OK;
  }
  if (!qn_cast_is_implicit(expr->type, type)) {
    return qn_bind_fail(binder, QN_ERR_TYPE, location, "this is %s, but %s is wanted; write cast(... as %s)",
                        qn_type_name(expr->type), qn_type_name(type), qn_type_name(type));
  }
  return qn_new_call(binder, qn_cast_find(expr->type, type), type, location, &expr, 1, NULL, out);
}

qn_status qn_bind_cast(qn_binder *binder, const qn_expr *expr, qn_type type, int location,
                       const qn_expr **out) {
  if (expr->kind == QN_EXPR_UNKNOWN || expr->kind == QN_EXPR_INTERVAL || expr->type == type) {
    return qn_bind_coerce(binder, expr, type, out);
  }
  const qn_function *cast = qn_cast_find(expr->type, type);
  if (cast == NULL) {
    return qn_bind_fail(binder, QN_ERR_TYPE, location, "there is no cast from %s to %s",
                        qn_type_name(expr->type), qn_type_name(type));
  }
  return qn_new_call(binder, cast, type, location, &expr, 1, NULL, out);
}
