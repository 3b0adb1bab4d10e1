// SPDX-License-Identifier: Apache-2.0
// What a plan asks of a bound expression: its parts, what it reads, and the same expression over other
// columns.
#include <string.h>
#include "base/check.h"
#include "expr/print_expr.h"

qn_type qn_expr_type(const qn_expr *expr) {
  return expr->type;
}

const char *qn_expr_text(const qn_expr *expr) {
  return expr->text;
}

int qn_expr_column(const qn_expr *expr) {
  return expr->kind == QN_EXPR_COLUMN ? expr->column : -1;
}

bool qn_expr_can_fail(const qn_expr *expr) {
  return expr->can_fail;
}

void qn_expr_mark_columns(const qn_expr *expr, bool *used) {
  if (expr->kind == QN_EXPR_COLUMN) {
    used[expr->column] = true;
  }
  for (int i = 0; i < expr->n_args; i++) {
    qn_expr_mark_columns(expr->args[i], used);
  }
}

// What a column becomes.
typedef struct replacement {
  const int *new_index;              // or
  const qn_expr *const *expressions; // of the same types
  qn_arena *arena;
} replacement;

static const qn_expr *replace_column(const replacement *by, const qn_expr *expr) {
  if (by->new_index == NULL) {
    return by->expressions[expr->column];
  }
  if (by->new_index[expr->column] == expr->column) {
    return expr;
  }
  qn_expr *copy = qn_arena_alloc(by->arena, sizeof *copy);
  if (copy != NULL) {
    memcpy(copy, expr, sizeof *copy);
    copy->column = by->new_index[expr->column];
  }
  return copy;
}

// Shares what does not change. NULL if there is no memory.
static const qn_expr *replace(const replacement *by, const qn_expr *expr) {
  if (expr->kind == QN_EXPR_COLUMN) {
    return replace_column(by, expr);
  }
  if (expr->n_args == 0) {
    return expr;
  }
  const qn_expr **args = qn_arena_alloc(by->arena, (int64_t)sizeof *args * expr->n_args);
  bool is_same = true;
  bool can_fail = expr->can_fail;
  for (int i = 0; args != NULL && i < expr->n_args; i++) {
    args[i] = replace(by, expr->args[i]);
    if (args[i] == NULL) {
      return NULL;
    }
    is_same = is_same && args[i] == expr->args[i];
    can_fail = can_fail || args[i]->can_fail;
  }
  if (args == NULL || is_same) {
    return args == NULL ? NULL : expr;
  }
  qn_expr *copy = qn_arena_alloc(by->arena, sizeof *copy);
  if (copy != NULL) {
    memcpy(copy, expr, sizeof *copy);
    copy->args = args;
    copy->can_fail = can_fail;
  }
  return copy;
}

const qn_expr *qn_expr_remap(const qn_expr *expr, const int *new_index, qn_arena *arena) {
  return replace(&(replacement){.new_index = new_index, .arena = arena}, expr);
}

// A copy whose text is what it has become.
static const qn_expr *with_own_text(const qn_expr *expr, qn_arena *arena) {
  qn_expr *copy = qn_arena_alloc(arena, sizeof *copy);
  const char *text = qn_expr_print(expr, arena);
  if (copy == NULL || text == NULL) {
    return NULL;
  }
  memcpy(copy, expr, sizeof *copy);
  copy->text = text;
  copy->location = -1;
  return copy;
}

const qn_expr *qn_expr_substitute(const qn_expr *expr, const qn_expr *const *replacements, qn_arena *arena) {
  const qn_expr *changed = replace(&(replacement){.expressions = replacements, .arena = arena}, expr);
  return changed == NULL || changed == expr || expr->kind == QN_EXPR_COLUMN ? changed
                                                                            : with_own_text(changed, arena);
}

static int count_conjuncts(const qn_expr *expr) {
  int n = 0;
  if (expr->kind != QN_EXPR_AND) {
    return 1;
  }
  for (int i = 0; i < expr->n_args; i++) {
    n += count_conjuncts(expr->args[i]);
  }
  return n;
}

static void collect_conjuncts(const qn_expr *expr, const qn_expr **out, int *n) {
  if (expr->kind != QN_EXPR_AND) {
    out[(*n)++] = expr;
    return;
  }
  for (int i = 0; i < expr->n_args; i++) {
    collect_conjuncts(expr->args[i], out, n);
  }
}

qn_status qn_expr_conjuncts(const qn_expr *condition, qn_arena *arena, const qn_expr ***out, int *n,
                            qn_error *err) {
  const int n_parts = count_conjuncts(condition);
  *out = qn_arena_alloc(arena, (int64_t)sizeof **out * n_parts);
  if (*out == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory for the parts of '%.100s'", condition->text);
  }
  *n = 0;
  collect_conjuncts(condition, *out, n);
  for (int i = 0; n_parts > 1 && i < n_parts; i++) {
    (*out)[i] = with_own_text((*out)[i], arena);
    if ((*out)[i] == NULL) {
      return qn_fail(err, QN_ERR_MEMORY, "no memory for the parts of '%.100s'", condition->text);
    }
  }
  return QN_OK;
}
