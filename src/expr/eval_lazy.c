// SPDX-License-Identifier: Apache-2.0
// Where SQL evaluates an argument only for some rows: case, coalesce, and the right side of and/or if it can
// fail. Such an argument is evaluated on the gathered columns of those rows; what cannot fail is evaluated on
// all rows where that is no dearer than to gather.
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "expr/eval.h"

// Some of the rows of an evaluation. rows NULL: all.
typedef struct subset {
  const int32_t *rows;
  int64_t n;
} subset;

// The value of an argument for a subset. is_whole: it has all rows of the evaluation, not just those of the
// subset.
typedef struct part {
  qn_operand operand;
  bool is_whole;
} part;

static int64_t subset_row(const subset *rows, int64_t i) {
  return rows->rows == NULL ? i : rows->rows[i];
}

// Where a part holds the value of row i of the subset.
static int64_t part_row(const part *value, const subset *rows, int64_t i) {
  return value->operand.is_constant ? 0 : value->is_whole ? subset_row(rows, i) : i;
}

static qn_status gather(const qn_column *column, const subset *rows, qn_column *out, qn_error *err) {
  qn_column_builder builder;
  qn_column_builder_init(&builder, column->type);
  qn_status status = qn_column_builder_append_gather(&builder, column, rows->rows, rows->n, err);
  if (status == QN_OK) {
    status = qn_column_builder_finish(&builder, out, err);
  }
  qn_column_builder_release(&builder);
  return status;
}

static qn_status eval_gathered(const qn_evaluation *evaluation, const qn_expr *expr, const subset *rows,
                               qn_operand *out, qn_error *err) {
  qn_status status = QN_OK;
  const int n_columns = evaluation->n_columns;
  qn_evaluation inner = *evaluation;
  qn_column *columns = qn_memory_alloc((int64_t)sizeof *columns * n_columns);
  bool *used = qn_memory_alloc(n_columns);
  int32_t *batch_rows = qn_memory_alloc((int64_t)sizeof *batch_rows * rows->n);

  QN_REQUIRE(columns != NULL && used != NULL && batch_rows != NULL, err, QN_ERR_MEMORY,
             "no memory to evaluate '%s'", expr->text);
  memset(columns, 0, sizeof *columns * (size_t)n_columns);
  memset(used, 0, (size_t)n_columns);
  qn_expr_mark_columns(expr, used);
  for (int c = 0; c < n_columns; c++) {
    if (used[c]) {
      QN_TRY(gather(&evaluation->columns[c], rows, &columns[c], err));
    }
  }
  for (int64_t i = 0; i < rows->n; i++) {
    batch_rows[i] = evaluation->rows == NULL ? rows->rows[i] : evaluation->rows[rows->rows[i]];
  }
  inner.columns = columns;
  inner.n_rows = rows->n;
  inner.rows = batch_rows;
  QN_TRY(qn_eval_node(&inner, expr, out, err));

done:
  for (int c = 0; columns != NULL && used != NULL && c < n_columns; c++) {
    qn_column_release(&columns[c]);
  }
  qn_memory_free(columns);
  qn_memory_free(used);
  qn_memory_free(batch_rows);
  return status;
}

static qn_status eval_part(const qn_evaluation *evaluation, const qn_expr *expr, const subset *rows,
                           part *out, qn_error *err) {
  const bool is_simple = expr->kind == QN_EXPR_COLUMN || expr->kind == QN_EXPR_CONSTANT;
  out->is_whole = rows->rows == NULL || rows->n == evaluation->n_rows ||
                  (!expr->can_fail && (is_simple || rows->n * 2 >= evaluation->n_rows));
  if (out->is_whole) {
    return qn_eval_node(evaluation, expr, &out->operand, err);
  }
  return eval_gathered(evaluation, expr, rows, &out->operand, err);
}

// --- case and coalesce: for each row, the part that has its value and where
// ---------------------------------------------

typedef struct choice {
  part *parts;
  int n_parts, capacity;
  int32_t *part_of; // [n_rows]
  int32_t *row_in;  // [n_rows]
  int64_t n_rows;
  int32_t *buffers[2]; // remaining rows, old and new
  int32_t *taken;
} choice;

static qn_status choice_init(choice *all, int n_parts, int64_t n_rows, qn_error *err) {
  *all = (choice){.n_rows = n_rows, .capacity = n_parts};
  const int64_t size = (int64_t)sizeof(int32_t) * n_rows;
  all->parts = qn_memory_alloc((int64_t)sizeof *all->parts * n_parts);
  all->part_of = qn_memory_alloc(size);
  all->row_in = qn_memory_alloc(size);
  all->buffers[0] = qn_memory_alloc(size);
  all->buffers[1] = qn_memory_alloc(size);
  all->taken = qn_memory_alloc(size);
  const bool is_complete = all->parts != NULL && all->part_of != NULL && all->row_in != NULL &&
                           all->buffers[0] != NULL && all->buffers[1] != NULL && all->taken != NULL;
  if (all->parts != NULL) {
    memset(all->parts, 0, sizeof *all->parts * (size_t)n_parts);
  }
  return is_complete
             ? QN_OK
             : qn_fail(err, QN_ERR_MEMORY, "no memory to choose the values of %lld rows", (long long)n_rows);
}

static void choice_release(choice *all) {
  for (int i = 0; i < all->n_parts; i++) {
    qn_column_release(&all->parts[i].operand.column);
  }
  qn_memory_free(all->parts);
  qn_memory_free(all->part_of);
  qn_memory_free(all->row_in);
  qn_memory_free(all->buffers[0]);
  qn_memory_free(all->buffers[1]);
  qn_memory_free(all->taken);
}

static void choice_assign(choice *all, int p, const subset *rows) {
  const part *value = &all->parts[p];
  for (int64_t i = 0; i < rows->n; i++) {
    const int64_t row = subset_row(rows, i);
    all->part_of[row] = p;
    all->row_in[row] = (int32_t)part_row(value, rows, i);
  }
}

static qn_status choose_texts(const choice *all, qn_type type, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_column_builder builder;
  qn_column_builder_init(&builder, type);
  QN_TRY(qn_column_builder_reserve(&builder, all->n_rows, 0, err));
  for (int64_t i = 0; i < all->n_rows; i++) {
    const qn_column *column = &all->parts[all->part_of[i]].operand.column;
    if (qn_column_is_null(column, all->row_in[i])) {
      QN_TRY(qn_column_builder_append_null(&builder, err));
    } else {
      const qn_text text = qn_column_text(column, all->row_in[i]);
      QN_TRY(qn_column_builder_append_text(&builder, text.data, text.size, err));
    }
  }
  QN_TRY(qn_column_builder_finish(&builder, out, err));

done:
  qn_column_builder_release(&builder);
  return status;
}

static void choose_values(const choice *all, int width, void *values) {
  for (int64_t i = 0; i < all->n_rows; i++) {
    const void *from = all->parts[all->part_of[i]].operand.column.values;
    if (width == 1) {
      ((uint8_t *)values)[i] = ((const uint8_t *)from)[all->row_in[i]];
    } else if (width == 4) {
      ((uint32_t *)values)[i] = ((const uint32_t *)from)[all->row_in[i]];
    } else {
      ((uint64_t *)values)[i] = ((const uint64_t *)from)[all->row_in[i]];
    }
  }
}

static qn_status choose_fixed(const choice *all, qn_type type, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  void *values = NULL;
  bool has_nulls = false;
  qn_column column = {0};
  uint8_t *bits = NULL;

  QN_TRY(qn_column_fixed(type, all->n_rows, &column, &values, err));
  choose_values(all, qn_type_width(type), values);
  for (int p = 0; p < all->n_parts; p++) {
    has_nulls = has_nulls || all->parts[p].operand.column.validity != NULL;
  }
  if (has_nulls) {
    bits = qn_memory_alloc(qn_bitmap_bytes(all->n_rows));
    QN_REQUIRE(bits != NULL, err, QN_ERR_MEMORY, "no memory for the nulls of %lld rows",
               (long long)all->n_rows);
    memset(bits, 0, (size_t)qn_bitmap_bytes(all->n_rows));
    for (int64_t i = 0; i < all->n_rows; i++) {
      const unsigned valid = !qn_column_is_null(&all->parts[all->part_of[i]].operand.column, all->row_in[i]);
      bits[i >> 3] = (uint8_t)(bits[i >> 3] | valid << (i & 7));
      column.n_nulls += !valid;
    }
    QN_TRY(qn_block_new(bits, qn_memory_free, &column.blocks[0], err));
    column.validity = bits;
  }
  *out = column;
  column = (qn_column){0};

done:
  qn_column_release(&column);
  return status;
}

static qn_status choice_finish(choice *all, qn_type type, qn_operand *out, qn_error *err) {
  const part *first = &all->parts[0];
  if (all->n_parts == 1 && (first->is_whole || first->operand.is_constant)) {
    *out = first->operand;
    all->parts[0].operand.column = (qn_column){0};
    return QN_OK;
  }
  out->is_constant = false;
  return qn_type_is_text(type) ? choose_texts(all, type, &out->column, err)
                               : choose_fixed(all, type, &out->column, err);
}

static qn_status choice_add(choice *all, const qn_evaluation *evaluation, const qn_expr *expr,
                            const subset *rows, qn_error *err) {
  const int p = all->n_parts;
  const qn_status status = eval_part(evaluation, expr, rows, &all->parts[p], err);
  if (status == QN_OK) {
    all->n_parts++;
    choice_assign(all, p, rows);
  }
  return status;
}

// Cuts `rows` into those where a condition is true and the others.
static void split(const part *condition, const subset *rows, int32_t *taken, int64_t *n_taken,
                  int32_t *others, int64_t *n_others) {
  const qn_column *column = &condition->operand.column;
  *n_taken = *n_others = 0;
  for (int64_t i = 0; i < rows->n; i++) {
    const int64_t at = part_row(condition, rows, i);
    const int32_t row = (int32_t)subset_row(rows, i);
    const bool is_true = qn_column_bool(column, at) && !qn_column_is_null(column, at);
    taken[*n_taken] = row;
    others[*n_others] = row;
    *n_taken += is_true;
    *n_others += !is_true;
  }
}

qn_status qn_eval_case(const qn_evaluation *evaluation, const qn_expr *expr, qn_operand *out, qn_error *err) {
  qn_status status = QN_OK;
  choice all = {0};
  part condition = {0};
  subset left = {.n = evaluation->n_rows};

  QN_TRY(choice_init(&all, expr->n_args / 2 + 1, evaluation->n_rows, err));
  for (int i = 0; i + 1 < expr->n_args && left.n > 0; i += 2) {
    int32_t *others = all.buffers[(i / 2) & 1];
    int64_t n_taken = 0;
    int64_t n_others = 0;
    QN_TRY(eval_part(evaluation, expr->args[i], &left, &condition, err));
    split(&condition, &left, all.taken, &n_taken, others, &n_others);
    qn_column_release(&condition.operand.column);
    if (n_taken > 0) {
      const subset taken = {.rows = n_taken == evaluation->n_rows ? NULL : all.taken, .n = n_taken};
      QN_TRY(choice_add(&all, evaluation, expr->args[i + 1], &taken, err));
    }
    left = (subset){.rows = n_others == evaluation->n_rows ? NULL : others, .n = n_others};
  }
  if (left.n > 0) {
    QN_TRY(choice_add(&all, evaluation, expr->args[expr->n_args - 1], &left, err));
  }
  QN_TRY(choice_finish(&all, expr->type, out, err));

done:
  qn_column_release(&condition.operand.column);
  choice_release(&all);
  return status;
}

qn_status qn_eval_coalesce(const qn_evaluation *evaluation, const qn_expr *expr, qn_operand *out,
                           qn_error *err) {
  qn_status status = QN_OK;
  choice all = {0};
  subset left = {.n = evaluation->n_rows};

  QN_TRY(choice_init(&all, expr->n_args, evaluation->n_rows, err));
  for (int k = 0; k < expr->n_args && left.n > 0; k++) {
    QN_TRY(choice_add(&all, evaluation, expr->args[k], &left, err));
    const part *value = &all.parts[k];
    int32_t *others = all.buffers[k & 1];
    int64_t n_others = 0;
    if (value->operand.column.validity != NULL) {
      for (int64_t i = 0; i < left.n; i++) {
        others[n_others] = (int32_t)subset_row(&left, i);
        n_others += qn_column_is_null(&value->operand.column, part_row(value, &left, i));
      }
    }
    left = (subset){.rows = n_others == evaluation->n_rows ? NULL : others, .n = n_others};
  }
  QN_TRY(choice_finish(&all, expr->type, out, err));

done:
  choice_release(&all);
  return status;
}

// --- and, or
// --------------------------------------------------------------------------------------------------------

// The rows that `so_far` does not decide: for `and` those that are not false, for `or` those that are not
// true.
static int64_t undecided_rows(bool is_and, const qn_column *so_far, int32_t *rows) {
  const uint8_t *values = so_far->values;
  int64_t n = 0;
  for (int64_t i = 0; i < so_far->n_rows; i++) {
    rows[n] = (int32_t)i;
    n += (values[i] != 0) == is_and || qn_column_is_null(so_far, i);
  }
  return n;
}

// A bool column of all rows from one of some; the others are true for `and`, false for `or`: they change
// nothing.
static qn_status spread(bool is_and, const part *value, const subset *rows, int64_t n_rows, qn_column *out,
                        qn_error *err) {
  qn_status status = QN_OK;
  void *values = NULL;
  uint8_t *bits = NULL;
  qn_column column = {0};
  const qn_column *from = &value->operand.column;

  QN_TRY(qn_column_fixed(QN_BOOL, n_rows, &column, &values, err));
  memset(values, is_and ? 1 : 0, (size_t)n_rows);
  bits = qn_memory_alloc(qn_bitmap_bytes(n_rows));
  QN_REQUIRE(bits != NULL, err, QN_ERR_MEMORY, "no memory for the nulls of %lld rows", (long long)n_rows);
  qn_bitmap_fill(bits, 0, n_rows, true);
  for (int64_t i = 0; i < rows->n; i++) {
    const int64_t at = part_row(value, rows, i);
    const int64_t row = subset_row(rows, i);
    ((uint8_t *)values)[row] = qn_column_bool(from, at);
    if (qn_column_is_null(from, at)) {
      qn_bitmap_clear(bits, row);
      column.n_nulls++;
    }
  }
  QN_TRY(qn_block_new(bits, qn_memory_free, &column.blocks[0], err));
  column.validity = bits;
  *out = column;
  column = (qn_column){0};

done:
  qn_column_release(&column);
  return status;
}

// so_far = so_far and expr, for an expr that can fail.
static qn_status combine_lazily(const qn_evaluation *evaluation, bool is_and, const qn_expr *expr,
                                qn_column *so_far, qn_error *err) {
  qn_status status = QN_OK;
  part value = {0};
  qn_column right = {0};
  int32_t *rows = qn_memory_alloc((int64_t)sizeof *rows * evaluation->n_rows);

  QN_REQUIRE(rows != NULL, err, QN_ERR_MEMORY, "no memory to evaluate '%s'", expr->text);
  const int64_t n = undecided_rows(is_and, so_far, rows);
  if (n > 0) {
    const subset undecided = {.rows = n == evaluation->n_rows ? NULL : rows, .n = n};
    QN_TRY(eval_part(evaluation, expr, &undecided, &value, err));
    QN_TRY(spread(is_and, &value, &undecided, evaluation->n_rows, &right, err));
    QN_TRY(qn_logic_combine(is_and, so_far, &right, err));
  }

done:
  qn_column_release(&value.operand.column);
  qn_column_release(&right);
  qn_memory_free(rows);
  return status;
}

static qn_status eval_whole(const qn_evaluation *evaluation, const qn_expr *expr, qn_column *out,
                            qn_error *err) {
  qn_operand operand = {0};
  qn_status status = qn_eval_node(evaluation, expr, &operand, err);
  if (status == QN_OK && operand.is_constant) {
    status = qn_column_repeat(&operand.column, evaluation->n_rows, out, err);
    qn_column_release(&operand.column);
  } else {
    *out = operand.column;
  }
  return status;
}

qn_status qn_eval_and_or(const qn_evaluation *evaluation, const qn_expr *expr, qn_operand *out,
                         qn_error *err) {
  qn_status status = QN_OK;
  const bool is_and = expr->kind == QN_EXPR_AND;
  qn_column so_far = {0};
  qn_column right = {0};

  QN_TRY(eval_whole(evaluation, expr->args[0], &so_far, err));
  for (int i = 1; i < expr->n_args; i++) {
    if (expr->args[i]->can_fail) {
      QN_TRY(combine_lazily(evaluation, is_and, expr->args[i], &so_far, err));
      continue;
    }
    QN_TRY(eval_whole(evaluation, expr->args[i], &right, err));
    QN_TRY(qn_logic_combine(is_and, &so_far, &right, err));
    qn_column_release(&right);
  }
  *out = (qn_operand){.column = so_far};
  so_far = (qn_column){0};

done:
  qn_column_release(&so_far);
  qn_column_release(&right);
  return status;
}
