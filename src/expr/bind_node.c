// SPDX-License-Identifier: Apache-2.0
// Makes nodes, and folds calls of constants into constants. A constant call that fails is an error with a
// caret at once, except in a branch that may never be evaluated: there it waits.
#include <string.h>
#include "base/check.h"
#include "expr/binder.h"

const char qn_call_is_safe[] = "safe";

static qn_status new_node(qn_binder *binder, qn_expr node, int location, qn_expr **out) {
  qn_expr *copy = qn_arena_alloc(binder->arena, sizeof *copy);
  if (copy == NULL) {
    return qn_bind_no_memory(binder);
  }
  const int place = location - binder->prefix - binder->item_first;
  node.location = place >= 0 && place <= (int)strlen(binder->item_text) ? place : -1;
  node.text = binder->item_text;
  memcpy(copy, &node, sizeof node);
  *out = copy;
  return QN_OK;
}

// The caret place that a node was made with.
static int location_of(const qn_binder *binder, const qn_expr *expr) {
  return expr->location < 0 ? -1 : expr->location + binder->prefix + binder->item_first;
}

// A one-row column in the arena.
static qn_status keep_value(qn_binder *binder, const qn_column *value, const qn_column **out) {
  qn_column *copy = qn_arena_alloc(binder->arena, sizeof *copy);
  uint64_t *values = qn_arena_alloc(binder->arena, 2 * sizeof *values);
  if (copy == NULL || values == NULL) {
    return qn_bind_no_memory(binder);
  }
  const bool is_null = qn_column_is_null(value, 0);
  *copy = (qn_column){.type = value->type, .n_rows = 1, .n_nulls = is_null};
  if (is_null) {
    copy->validity = (const uint8_t *)(values + 1); // a zero
  }
  if (qn_type_is_text(value->type)) {
    const qn_text text = is_null ? (qn_text){.data = ""} : qn_column_text(value, 0);
    int32_t *offsets = (int32_t *)values;
    offsets[1] = (int32_t)text.size;
    copy->offsets = offsets;
    copy->bytes = (const uint8_t *)qn_arena_copy(binder->arena, text.data, text.size);
    if (copy->bytes == NULL) {
      return qn_bind_no_memory(binder);
    }
  } else {
    if (!is_null) {
      memcpy(values, value->values, (size_t)qn_type_width(value->type));
    }
    copy->values = values;
  }
  *out = copy;
  return QN_OK;
}

static qn_status new_value(qn_binder *binder, qn_expr_kind kind, const qn_column *value, int location,
                           const qn_expr **out) {
  qn_status status = QN_OK;
  qn_expr *node = NULL;
  const qn_column *kept = NULL;
  QN_TRY(keep_value(binder, value, &kept));
  QN_TRY(new_node(binder, (qn_expr){.kind = kind, .type = value->type, .column = -1, .value = kept}, location,
                  &node));
  *out = node;

done:
  return status;
}

static qn_status new_literal(qn_binder *binder, qn_expr_kind kind, qn_type type, const void *value,
                             int location, const qn_expr **out) {
  qn_status status = QN_OK;
  qn_column_builder builder;
  qn_column column = {0};
  qn_column_builder_init(&builder, type);
  if (value == NULL) {
    QN_TRY(qn_column_builder_append_null(&builder, binder->err));
  } else {
    QN_TRY(qn_column_builder_append_value(&builder, value, binder->err));
  }
  QN_TRY(qn_column_builder_finish(&builder, &column, binder->err));
  QN_TRY(new_value(binder, kind, &column, location, out));

done:
  qn_column_release(&column);
  qn_column_builder_release(&builder);
  return status;
}

qn_status qn_new_constant(qn_binder *binder, qn_type type, const void *value, int location,
                          const qn_expr **out) {
  return new_literal(binder, QN_EXPR_CONSTANT, type, value, location, out);
}

qn_status qn_new_unknown(qn_binder *binder, const char *text, int location, const qn_expr **out) {
  const qn_text value = {.data = text, .size = text == NULL ? 0 : (int64_t)strlen(text)};
  return new_literal(binder, QN_EXPR_UNKNOWN, QN_UTF8, text == NULL ? NULL : &value, location, out);
}

qn_status qn_new_interval(qn_binder *binder, qn_interval value, int location, const qn_expr **out) {
  qn_expr *node = NULL;
  qn_interval *copy = qn_arena_alloc(binder->arena, sizeof *copy);
  if (copy == NULL) {
    return qn_bind_no_memory(binder);
  }
  *copy = value;
  const qn_status status =
      new_node(binder, (qn_expr){.kind = QN_EXPR_INTERVAL, .column = -1, .data = copy}, location, &node);
  *out = node;
  return status;
}

static bool all_constant(const qn_expr *const *args, int n_args) {
  for (int i = 0; i < n_args; i++) {
    if (args[i]->kind != QN_EXPR_CONSTANT) {
      return false;
    }
  }
  return true;
}

static qn_status fold(qn_binder *binder, qn_expr *node, const qn_expr **out) {
  qn_error err = {0};
  qn_column value = {0};
  qn_status status = qn_expr_eval_constant(node, &value, &err);
  if (status == QN_ERR_VALUE) {
    if (binder->lazy > 0) {
      *out = node;
      return QN_OK;
    }
    return qn_bind_fail(binder, QN_ERR_VALUE, location_of(binder, node), "%s", err.message);
  }
  if (status != QN_OK) {
    return qn_bind_fail(binder, status, location_of(binder, node), "%s", err.message);
  }
  status = new_value(binder, QN_EXPR_CONSTANT, &value, location_of(binder, node), out);
  qn_column_release(&value);
  return status;
}

// Copies the arguments; what can fail below can fail here.
static qn_status new_parent(qn_binder *binder, qn_expr node, int location, const qn_expr *const *args,
                            int n_args, const qn_expr **out) {
  qn_status status = QN_OK;
  qn_expr *made = NULL;
  const qn_expr **copy = qn_arena_alloc(binder->arena, (int64_t)sizeof *copy * n_args);
  if (copy == NULL) {
    return qn_bind_no_memory(binder);
  }
  for (int i = 0; i < n_args; i++) {
    copy[i] = args[i];
    node.can_fail = node.can_fail || args[i]->can_fail;
  }
  node.args = copy;
  node.n_args = n_args;
  node.column = -1;
  QN_TRY(new_node(binder, node, location, &made));
  *out = made;
  if (all_constant(args, n_args)) {
    QN_TRY(fold(binder, made, out));
  }

done:
  return status;
}

qn_status qn_new_call(qn_binder *binder, const qn_function *function, qn_type type, int location,
                      const qn_expr *const *args, int n_args, const void *data, const qn_expr **out) {
  const bool is_unprepared = (function->flags & QN_CALL_FAILS_UNPREPARED) != 0 && data == NULL;
  const qn_expr node = {.kind = QN_EXPR_CALL,
                        .type = type,
                        .can_fail = (function->flags & QN_CALL_CAN_FAIL) != 0 || is_unprepared,
                        .function = function,
                        .data = data};
  return new_parent(binder, node, location, args, n_args, out);
}

qn_status qn_new_node(qn_binder *binder, qn_expr_kind kind, qn_type type, int location,
                      const qn_expr *const *args, int n_args, const qn_expr **out) {
  return new_parent(binder, (qn_expr){.kind = kind, .type = type}, location, args, n_args, out);
}

const char *qn_constant_text(const qn_binder *binder, const qn_expr *expr) {
  const bool is_text =
      expr->kind == QN_EXPR_UNKNOWN || (expr->kind == QN_EXPR_CONSTANT && expr->type == QN_UTF8);
  if (!is_text || qn_column_is_null(expr->value, 0)) {
    return NULL;
  }
  const qn_text text = qn_column_text(expr->value, 0);
  return qn_arena_copy(binder->arena, text.data, text.size);
}

bool qn_constant_int64(const qn_expr *expr, int64_t *out) {
  if (expr->kind != QN_EXPR_CONSTANT || qn_column_is_null(expr->value, 0)) {
    return false;
  }
  if (expr->type == QN_INT32) {
    *out = qn_column_int32(expr->value, 0);
    return true;
  }
  if (expr->type == QN_INT64) {
    *out = qn_column_int64(expr->value, 0);
    return true;
  }
  return false;
}
