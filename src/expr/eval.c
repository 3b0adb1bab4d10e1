// SPDX-License-Identifier: Apache-2.0
// Evaluates a tree of nodes, a node for all rows at a time. A node that depends on no column gives one value,
// which kernels read again for every row. Nulls are bitmaps beside the values: kernels of ordinary functions
// compute every row, and the rows in which an argument is null are marked afterwards.
#include "expr/eval.h"
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "kernel/select_rows.h"

enum { FEW_ARGS = 4 };

// A bitmap as a block that a column can own.
static qn_status new_bitmap(int64_t n_rows, qn_block **out, qn_error *err) {
  void *memory = qn_memory_alloc(qn_bitmap_bytes(n_rows));
  if (memory == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory for the nulls of %lld rows", (long long)n_rows);
  }
  return qn_block_new(memory, qn_memory_free, out, err);
}

// The bits may begin anywhere in the block: it may be that of a slice.
static void own_validity(qn_column *column, qn_block *block, const uint8_t *bits) {
  qn_block_free(column->blocks[0]);
  column->blocks[0] = block;
  column->validity = bits;
}

qn_status qn_call_own_validity(qn_call *call, uint8_t **validity, qn_error *err) {
  qn_block *block = NULL;
  const qn_status status = new_bitmap(call->n_rows, &block, err);
  if (status == QN_OK) {
    own_validity(&call->result, block, block->memory);
    *validity = block->memory;
    qn_bitmap_fill(*validity, 0, call->n_rows, true);
  }
  return status;
}

qn_status qn_column_repeat(const qn_column *value, int64_t n_rows, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_column_builder builder;
  int64_t n_bytes = 0;
  qn_column_builder_init(&builder, value->type);
  if (qn_column_is_null(value, 0)) {
    return qn_column_all_null(value->type, n_rows, out, err);
  }
  if (!qn_type_is_text(value->type)) {
    QN_TRY(qn_column_builder_reserve(&builder, n_rows, 0, err));
    QN_TRY(qn_column_builder_append_range(&builder, value, 0, n_rows > 0, err));
    const int64_t width = qn_type_width(value->type);
    uint8_t *values = builder.values.data;
    for (int64_t filled = 1; filled < n_rows;) { // doubling what is there
      const int64_t more = filled < n_rows - filled ? filled : n_rows - filled;
      memcpy(values + filled * width, values, (size_t)(more * width));
      filled += more;
    }
    builder.values.size = n_rows * width;
    builder.n_rows = n_rows;
  } else {
    const qn_text text = qn_column_text(value, 0);
    QN_TRY(qn_mul_size(text.size, n_rows, &n_bytes, err));
    QN_TRY(qn_column_builder_reserve(&builder, n_rows, n_bytes, err));
    for (int64_t i = 0; i < n_rows; i++) {
      QN_TRY(qn_column_builder_append_text(&builder, text.data, text.size, err));
    }
  }
  QN_TRY(qn_column_builder_finish(&builder, out, err));

done:
  qn_column_builder_release(&builder);
  return status;
}

// The rows in which no argument is null, as a block (NULL: all rows), shared where only one argument has
// nulls.
static qn_status combine_validity(const qn_operand *args, int n_args, int64_t n_rows, qn_block **out,
                                  const uint8_t **bits, int64_t *n_nulls, qn_error *err) {
  qn_status status = QN_OK;
  qn_block *block = NULL;
  bool is_own = false;
  *bits = NULL;
  *n_nulls = 0;
  for (int i = 0; i < n_args; i++) {
    const qn_column *column = &args[i].column;
    if (args[i].is_constant || column->n_nulls == 0 || column->validity == NULL) {
      continue;
    }
    if (*bits == NULL) {
      *bits = column->validity;
      *n_nulls = column->n_nulls;
      block = qn_block_share(column->blocks[0]);
      continue;
    }
    if (*bits == column->validity) {
      continue;
    }
    qn_block *both = block;
    if (!is_own) {
      QN_TRY(new_bitmap(n_rows, &both, err));
    }
    *n_nulls = n_rows - qn_bitmap_and(*bits, column->validity, n_rows, both->memory);
    *bits = both->memory;
    if (!is_own) {
      qn_block_free(block);
      block = both;
      is_own = true;
    }
  }
  if (*bits != NULL && block == NULL) { // the column's owner is not ours to share
    QN_TRY(new_bitmap(n_rows, &block, err));
    memcpy(block->memory, *bits, (size_t)qn_bitmap_bytes(n_rows));
    *bits = block->memory;
  }
  *out = block;
  block = NULL;

done:
  qn_block_free(block);
  return status;
}

// Runs the kernel and makes its result whole.
static qn_status run_kernel(qn_call *call, qn_error *err) {
  qn_status status = QN_OK;
  const qn_expr *expr = call->expr;
  const bool sees_nulls = (expr->function->flags & QN_CALL_SEES_NULLS) != 0;
  const bool is_text = qn_type_is_text(expr->type);
  qn_block *validity = NULL;
  int64_t n_nulls = 0;

  qn_column_builder_init(&call->texts, expr->type);
  if (!sees_nulls) {
    QN_TRY(
        combine_validity(call->args, call->n_args, call->n_rows, &validity, &call->validity, &n_nulls, err));
  }
  if (is_text) {
    QN_TRY(qn_column_builder_reserve(&call->texts, call->n_rows, 0, err));
  } else {
    QN_TRY(qn_column_fixed(expr->type, call->n_rows, &call->result, &call->values, err));
  }
  QN_TRY(expr->function->kernel(call, err));
  if (is_text) {
    QN_TRY(qn_column_builder_finish(&call->texts, &call->result, err));
    if (validity != NULL && call->result.validity == NULL) { // the kernel has left the nulls to us
      own_validity(&call->result, validity, call->validity);
      call->result.n_nulls = n_nulls;
      validity = NULL;
    }
  } else if (sees_nulls) {
    const uint8_t *bits = call->result.validity;
    call->result.n_nulls = bits == NULL ? 0 : call->n_rows - qn_bitmap_count(bits, call->n_rows);
  } else if (validity != NULL) {
    own_validity(&call->result, validity, call->validity);
    call->result.n_nulls = n_nulls;
    validity = NULL;
  }

done:
  qn_block_free(validity);
  qn_column_builder_release(&call->texts);
  return status;
}

static qn_status eval_call(const qn_evaluation *evaluation, const qn_expr *expr, qn_operand *out,
                           qn_error *err) {
  qn_status status = QN_OK;
  qn_operand few[FEW_ARGS] = {0};
  qn_operand *args = few;
  qn_call call = {.expr = expr, .n_args = expr->n_args, .failed_row = -1};
  bool is_constant = true;
  bool has_null_constant = false;

  if (expr->n_args > FEW_ARGS) {
    args = qn_memory_alloc((int64_t)sizeof *args * expr->n_args);
    QN_REQUIRE(args != NULL, err, QN_ERR_MEMORY, "no memory for the arguments of %s", expr->function->name);
    memset(args, 0, sizeof *args * (size_t)expr->n_args);
  }
  for (int i = 0; i < expr->n_args; i++) {
    QN_TRY(qn_eval_node(evaluation, expr->args[i], &args[i], err));
    is_constant = is_constant && args[i].is_constant;
    has_null_constant = has_null_constant || (args[i].is_constant && qn_column_is_null(&args[i].column, 0));
  }
  if (has_null_constant && (expr->function->flags & QN_CALL_SEES_NULLS) == 0) {
    QN_TRY(qn_column_all_null(expr->type, 1, &out->column, err));
    out->is_constant = true;
    goto done;
  }
  call.args = args;
  call.n_rows = is_constant ? 1 : evaluation->n_rows;
  status = run_kernel(&call, err);
  if (status == QN_ERR_VALUE) {
    status = qn_eval_describe_failure(evaluation, expr, is_constant ? 0 : call.failed_row, err);
  }
  QN_TRY(status);
  *out = (qn_operand){.column = call.result, .is_constant = is_constant};
  call.result = (qn_column){0};

done:
  qn_column_release(&call.result);
  for (int i = 0; args != NULL && i < expr->n_args; i++) {
    qn_column_release(&args[i].column);
  }
  if (args != few) {
    qn_memory_free(args);
  }
  return status;
}

qn_status qn_eval_node(const qn_evaluation *evaluation, const qn_expr *expr, qn_operand *out, qn_error *err) {
  *out = (qn_operand){0};
  switch (expr->kind) {
  case QN_EXPR_CONSTANT:
    *out = (qn_operand){.column = qn_column_share(expr->value), .is_constant = true};
    return QN_OK;
  case QN_EXPR_COLUMN:
    if (expr->column >= evaluation->n_columns || evaluation->columns[expr->column].type != expr->type) {
      return qn_fail(err, QN_ERR_ARG, "'%s' reads column %d as %s, but the batch has no such column",
                     expr->text, expr->column, qn_type_name(expr->type));
    }
    *out = (qn_operand){.column = qn_column_share(&evaluation->columns[expr->column])};
    return QN_OK;
  case QN_EXPR_CALL:
    return eval_call(evaluation, expr, out, err);
  case QN_EXPR_AND:
  case QN_EXPR_OR:
    return qn_eval_and_or(evaluation, expr, out, err);
  case QN_EXPR_CASE:
    return qn_eval_case(evaluation, expr, out, err);
  case QN_EXPR_COALESCE:
    return qn_eval_coalesce(evaluation, expr, out, err);
  case QN_EXPR_UNKNOWN:
  case QN_EXPR_INTERVAL:
    break;
  }
  return qn_fail(err, QN_ERR_ARG, "'%s' is not bound", expr->text);
}

qn_status qn_expr_eval_constant(const qn_expr *expr, qn_column *out, qn_error *err) {
  const qn_evaluation evaluation = {.n_rows = 1};
  qn_operand operand;
  const qn_status status = qn_eval_node(&evaluation, expr, &operand, err);
  if (status == QN_OK) {
    *out = operand.column;
  }
  return status;
}

qn_status qn_expr_eval(const qn_expr *expr, const qn_batch *batch, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_operand operand = {0};
  const qn_evaluation evaluation = {
      .batch = batch, .columns = batch->columns, .n_columns = batch->n_columns, .n_rows = batch->n_rows};

  if (batch->n_rows == 0) {
    return qn_column_all_null(expr->type, 0, out, err);
  }
  QN_TRY(qn_eval_node(&evaluation, expr, &operand, err));
  if (operand.is_constant) {
    QN_TRY(qn_column_repeat(&operand.column, batch->n_rows, out, err));
  } else {
    *out = operand.column;
    operand.column = (qn_column){0};
  }

done:
  qn_column_release(&operand.column);
  return status;
}

qn_status qn_expr_select(const qn_expr *condition, const qn_batch *batch, int32_t *rows, int64_t *n,
                         qn_error *err) {
  qn_status status = QN_OK;
  qn_operand operand = {0};
  const qn_evaluation evaluation = {
      .batch = batch, .columns = batch->columns, .n_columns = batch->n_columns, .n_rows = batch->n_rows};

  *n = 0;
  QN_REQUIRE(condition->type == QN_BOOL, err, QN_ERR_TYPE, "'%s' is %s, not a condition", condition->text,
             qn_type_name(condition->type));
  if (batch->n_rows == 0) {
    return QN_OK;
  }
  QN_TRY(qn_eval_node(&evaluation, condition, &operand, err));
  if (!operand.is_constant) {
    *n = qn_select_true(&operand.column, rows);
  } else if (!qn_column_is_null(&operand.column, 0) && qn_column_bool(&operand.column, 0)) {
    for (int64_t i = 0; i < batch->n_rows; i++) {
      rows[i] = (int32_t)i;
    }
    *n = batch->n_rows;
  }

done:
  qn_column_release(&operand.column);
  return status;
}
