// SPDX-License-Identifier: Apache-2.0
// Evaluation of nodes: inside of the eval*.c files.
#pragma once
#include "expr/expr_node.h"

/// Rows to evaluate on.
typedef struct qn_evaluation {
  const qn_batch *batch;    // for messages; NULL while binding
  const qn_column *columns; // by index; those that the expression does not read may be empty
  int n_columns;
  int64_t n_rows;      // > 0
  const int32_t *rows; // which rows of the batch these are; NULL: all of them
} qn_evaluation;

/// On failure *out is empty.
qn_status qn_eval_node(const qn_evaluation *evaluation, const qn_expr *expr, qn_operand *out, qn_error *err);
qn_status qn_eval_and_or(const qn_evaluation *evaluation, const qn_expr *expr, qn_operand *out,
                         qn_error *err);
qn_status qn_eval_case(const qn_evaluation *evaluation, const qn_expr *expr, qn_operand *out, qn_error *err);
qn_status qn_eval_coalesce(const qn_evaluation *evaluation, const qn_expr *expr, qn_operand *out,
                           qn_error *err);

/// Puts expression, values and origin around a kernel's message.
qn_status qn_eval_describe_failure(const qn_evaluation *evaluation, const qn_expr *expr, int64_t row,
                                   qn_error *err);

/// A column of n_rows rows that are all as row 0 of `value`.
qn_status qn_column_repeat(const qn_column *value, int64_t n_rows, qn_column *out, qn_error *err);
/// a = a and b, or a or b, of SQL's three values. Both are bool columns of n_rows rows; a is replaced.
qn_status qn_logic_combine(bool is_and, qn_column *a, const qn_column *b, qn_error *err);
