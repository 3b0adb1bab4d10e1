// SPDX-License-Identifier: Apache-2.0
// A bound expression as text again: for parts of a condition and for expressions that a plan has put
// together, which nobody wrote as they are. Casts that happen by themselves are not shown.
#include "expr/print_expr.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "base/check.h"
#include "column/print.h"
#include "expr/function_table.h"

enum { MOST_ITEMS = 6, LONGEST_PRINTED = 4000 };

static qn_status print(const qn_expr *expr, bool is_inside, qn_buffer *out, qn_error *err);

static bool is_word_operator(const char *name) {
  return strcmp(name, "like") == 0 || strcmp(name, "ilike") == 0;
}

// Stands between its arguments.
static bool is_infix(const qn_expr *expr) {
  if (expr->kind == QN_EXPR_AND || expr->kind == QN_EXPR_OR) {
    return true;
  }
  return expr->kind == QN_EXPR_CALL &&
         ((expr->n_args == 2 &&
           (!isalpha((unsigned char)expr->function->name[0]) || is_word_operator(expr->function->name))) ||
          expr->function == &qn_function_add_interval);
}

static qn_status print_quoted(const char *text, int64_t size, char quote, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(qn_buffer_append(out, &quote, 1, err));
  for (int64_t i = 0; i < size; i++) {
    QN_TRY(qn_buffer_append(out, text + i, 1, err));
    if (text[i] == quote) {
      QN_TRY(qn_buffer_append(out, &quote, 1, err));
    }
  }
  QN_TRY(qn_buffer_append(out, &quote, 1, err));

done:
  return status;
}

static qn_status print_constant(const qn_expr *expr, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer value = {0};
  if (qn_column_is_null(expr->value, 0)) {
    return qn_buffer_printf(out, err, "null");
  }
  if (expr->type == QN_BOOL) {
    return qn_buffer_printf(out, err, qn_column_bool(expr->value, 0) ? "true" : "false");
  }
  QN_TRY(qn_value_print(expr->value, 0, &value, err));
  const char *text = (const char *)value.data;
  if (qn_type_is_text(expr->type) || expr->type == QN_DATE || expr->type == QN_TIMESTAMP) {
    QN_TRY(print_quoted(text, value.size, '\'', out, err));
  } else {
    QN_TRY(qn_buffer_append(out, text, value.size, err));
  }

done:
  qn_buffer_release(&value);
  return status;
}

static qn_status print_column(const qn_expr *expr, qn_buffer *out, qn_error *err) {
  const char *name = expr->name == NULL ? expr->text : expr->name;
  bool is_plain = islower((unsigned char)name[0]) || name[0] == '_';
  for (const char *c = name; *c != '\0'; c++) {
    is_plain = is_plain && (isalnum((unsigned char)*c) || *c == '_');
  }
  return is_plain ? qn_buffer_append(out, name, (int64_t)strlen(name), err)
                  : print_quoted(name, (int64_t)strlen(name), '"', out, err);
}

static qn_status print_list(const qn_expr *const *args, int n_args, const char *between, bool is_inside,
                            qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  for (int i = 0; i < n_args; i++) {
    if (i > 0) {
      QN_TRY(qn_buffer_append(out, between, (int64_t)strlen(between), err));
    }
    QN_TRY(print(args[i], is_inside, out, err));
  }

done:
  return status;
}

// x + interval '2 months 3.500000 seconds'
static qn_status print_interval_sum(const qn_expr *expr, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_interval *interval = expr->data;
  QN_TRY(print(expr->args[0], true, out, err));
  QN_TRY(qn_buffer_printf(out, err, " + interval '"));
  if (interval->months != 0 || (interval->days == 0 && interval->microseconds == 0)) {
    QN_TRY(qn_buffer_printf(out, err, "%d months ", interval->months));
  }
  if (interval->days != 0) {
    QN_TRY(qn_buffer_printf(out, err, "%d days ", interval->days));
  }
  if (interval->microseconds != 0) {
    QN_TRY(qn_buffer_printf(out, err, "%.6f seconds ", (double)interval->microseconds / 1e6));
  }
  out->data[out->size - 1] = '\'';

done:
  return status;
}

static qn_status print_infix(const qn_expr *expr, qn_buffer *out, qn_error *err) {
  char between[32];
  if (expr->function == &qn_function_add_interval) {
    return print_interval_sum(expr, out, err);
  }
  snprintf(between, sizeof between, " %s ",
           expr->kind == QN_EXPR_AND  ? "and"
           : expr->kind == QN_EXPR_OR ? "or"
                                      : expr->function->name);
  return print_list(expr->args, expr->n_args, between, true, out, err);
}

static qn_status print_case(const qn_expr *expr, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(qn_buffer_printf(out, err, "case"));
  for (int i = 0; i + 1 < expr->n_args; i += 2) {
    QN_TRY(qn_buffer_printf(out, err, " when "));
    QN_TRY(print(expr->args[i], false, out, err));
    QN_TRY(qn_buffer_printf(out, err, " then "));
    QN_TRY(print(expr->args[i + 1], false, out, err));
  }
  QN_TRY(qn_buffer_printf(out, err, " else "));
  QN_TRY(print(expr->args[expr->n_args - 1], false, out, err));
  QN_TRY(qn_buffer_printf(out, err, " end"));

done:
  return status;
}

static qn_status print_in(const qn_expr *expr, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  int n = 0;
  const qn_expr *const *items = qn_in_list_items(expr->data, &n);
  QN_TRY(print(expr->args[0], true, out, err));
  QN_TRY(qn_buffer_printf(out, err, " in ("));
  QN_TRY(print_list(items, n < MOST_ITEMS ? n : MOST_ITEMS, ", ", false, out, err));
  QN_TRY(n <= MOST_ITEMS ? qn_buffer_printf(out, err, ")")
                         : qn_buffer_printf(out, err, ", ... %d in all)", n));

done:
  return status;
}

// name(args), and the forms that have a grammar of their own.
static qn_status print_call(const qn_expr *expr, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const char *name = expr->function->name;
  const bool is_field = expr->function == &qn_function_extract || expr->function == &qn_function_date_trunc;
  if (expr->function == &qn_function_in) {
    return print_in(expr, out, err);
  }
  if (strcmp(name, "cast") == 0) {
    if (qn_cast_is_implicit(expr->args[0]->type, expr->type)) {
      return print(expr->args[0], false, out, err);
    }
    QN_TRY(qn_buffer_printf(out, err, "cast("));
    QN_TRY(print(expr->args[0], false, out, err));
    QN_TRY(qn_buffer_printf(out, err, " as %s)", qn_type_name(expr->type)));
  } else if (strncmp(name, "is ", 3) == 0) {
    const bool is_distinct = expr->n_args == 3;
    QN_TRY(print(expr->args[0], true, out, err));
    QN_TRY(qn_buffer_printf(out, err, " %s", name));
    if (is_distinct) {
      QN_TRY(qn_buffer_append(out, " ", 1, err));
      QN_TRY(print(expr->args[1], true, out, err));
    }
  } else if (expr->n_args == 1 && (!isalpha((unsigned char)name[0]) || strcmp(name, "not") == 0)) {
    QN_TRY(qn_buffer_printf(out, err, "%s%s", name, isalpha((unsigned char)name[0]) ? " " : ""));
    QN_TRY(print(expr->args[0], true, out, err));
  } else if (expr->function == &qn_function_nullif) { // its second argument is the comparison
    QN_TRY(qn_buffer_printf(out, err, "nullif("));
    QN_TRY(print(expr->args[0], false, out, err));
    const qn_expr *other = expr->args[1]->n_args == 2 ? expr->args[1]->args[1] : expr->args[1];
    QN_TRY(qn_buffer_printf(out, err, ", "));
    QN_TRY(print(other, false, out, err));
    QN_TRY(qn_buffer_append(out, ")", 1, err));
  } else {
    QN_TRY(qn_buffer_printf(out, err, "%s(", name));
    if (is_field) {
      QN_TRY(qn_buffer_printf(out, err, "'%s', ", qn_time_field_name(expr->data)));
    }
    QN_TRY(print_list(expr->args, expr->n_args, ", ", false, out, err));
    QN_TRY(qn_buffer_append(out, ")", 1, err));
  }

done:
  return status;
}

static qn_status print_kind(const qn_expr *expr, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  switch (expr->kind) {
  case QN_EXPR_CONSTANT:
    return print_constant(expr, out, err);
  case QN_EXPR_COLUMN:
    return print_column(expr, out, err);
  case QN_EXPR_CASE:
    return print_case(expr, out, err);
  case QN_EXPR_COALESCE:
    QN_TRY(qn_buffer_printf(out, err, "coalesce("));
    QN_TRY(print_list(expr->args, expr->n_args, ", ", false, out, err));
    QN_TRY(qn_buffer_append(out, ")", 1, err));
    break;
  case QN_EXPR_CALL:
    return print_call(expr, out, err);
  default:
    break;
  }

done:
  return status;
}

// is_inside: beside an operator, where another one needs parentheses.
static qn_status print(const qn_expr *expr, bool is_inside, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  if (out->size > LONGEST_PRINTED) {
    return QN_OK;
  }
  if (!is_infix(expr)) {
    return print_kind(expr, out, err);
  }
  QN_TRY(qn_buffer_append(out, "(", is_inside, err));
  QN_TRY(print_infix(expr, out, err));
  QN_TRY(qn_buffer_append(out, ")", is_inside, err));

done:
  return status;
}

const char *qn_expr_print(const qn_expr *expr, qn_arena *arena) {
  qn_buffer text = {0};
  const char *out = NULL;
  if (print(expr, false, &text, NULL) == QN_OK) {
    out = qn_arena_copy(arena, (const char *)text.data, text.size);
  }
  qn_buffer_release(&text);
  return out;
}
