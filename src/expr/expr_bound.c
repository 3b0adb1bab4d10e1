// SPDX-License-Identifier: Apache-2.0
// `column compare constant` read out of a condition, for sources that can leave out rows by it. If the column
// was cast for the comparison, the constant must be one of the column's own type for the bound to say the
// same.
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "column/source.h"
#include "expr/eval.h"
#include "expr/function_table.h"

static bool find_compare(const char *name, bool is_swapped, qn_compare *out) {
  static const struct {
    const char *name;
    qn_compare compare;
    qn_compare swapped;
  } all[] = {{"=", QN_CMP_EQ, QN_CMP_EQ},  {"<>", QN_CMP_NE, QN_CMP_NE}, {"<", QN_CMP_LT, QN_CMP_GT},
             {"<=", QN_CMP_LE, QN_CMP_GE}, {">", QN_CMP_GT, QN_CMP_LT},  {">=", QN_CMP_GE, QN_CMP_LE}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (strcmp(all[i].name, name) == 0) {
      *out = is_swapped ? all[i].swapped : all[i].compare;
      return true;
    }
  }
  return false;
}

static bool is_cast(const qn_expr *expr) {
  return expr->kind == QN_EXPR_CALL && strcmp(expr->function->name, "cast") == 0;
}

// Casts that keep the order and bring different values to different ones, at least near values that come
// back.
static bool keeps_order(qn_type from, qn_type to) {
  return qn_cast_is_implicit(from, to) && !(from == QN_INT64 && to == QN_FLOAT32) &&
         !(from == QN_INT32 && to == QN_FLOAT32);
}

// The column's value that casts to `value`, as a one-row column; false if there is none.
static bool cast_back(const qn_expr *constant, qn_type type, qn_column *out) {
  qn_column there = {0};
  const qn_function *back = qn_cast_find(constant->type, type);
  const qn_function *again = qn_cast_find(type, constant->type);
  if (back == NULL || again == NULL) {
    return false;
  }
  if (constant->type == QN_FLOAT64 && !(fabs(qn_column_float64(constant->value, 0)) < 0x1p53)) {
    return false; // there integers and floats are not one to one
  }
  const qn_expr call = {
      .kind = QN_EXPR_CALL, .type = type, .text = "", .n_args = 1, .args = &constant, .function = back};
  if (qn_expr_eval_constant(&call, out, NULL) != QN_OK) {
    return false;
  }
  const qn_expr value = {.kind = QN_EXPR_CONSTANT, .type = type, .text = "", .value = out};
  const qn_expr *arg = &value;
  const qn_expr second = {
      .kind = QN_EXPR_CALL, .type = constant->type, .text = "", .n_args = 1, .args = &arg, .function = again};
  bool is_exact = qn_expr_eval_constant(&second, &there, NULL) == QN_OK;
  if (is_exact) {
    is_exact = memcmp(there.values, constant->value->values, (size_t)qn_type_width(constant->type)) == 0;
    qn_column_release(&there);
  }
  if (!is_exact) {
    qn_column_release(out);
  }
  return is_exact;
}

bool qn_expr_as_bound(const qn_expr *condition, struct qn_bound *bound) {
  if (condition->kind != QN_EXPR_CALL || condition->n_args != 2 || condition->type != QN_BOOL) {
    return false;
  }
  const bool is_swapped = condition->args[0]->kind == QN_EXPR_CONSTANT;
  const qn_expr *column = condition->args[is_swapped ? 1 : 0];
  const qn_expr *constant = condition->args[is_swapped ? 0 : 1];
  const bool has_cast = is_cast(column);
  column = has_cast ? column->args[0] : column;
  if (column->kind != QN_EXPR_COLUMN || constant->kind != QN_EXPR_CONSTANT ||
      qn_expr_is_null_constant(constant) ||
      !find_compare(condition->function->name, is_swapped, &bound->compare)) {
    return false;
  }
  bound->column = column->column;
  if (has_cast) {
    return keeps_order(column->type, constant->type) && cast_back(constant, column->type, &bound->value);
  }
  return qn_column_repeat(constant->value, 1, &bound->value, NULL) == QN_OK;
}
