// SPDX-License-Identifier: Apache-2.0
// The message of a failed evaluation: where the row comes from, the expression, what is wrong, and the values
// that the failing part of the expression read: "ratings.csv, row 812: in 'a / b': division by zero (a = 5, b
// = 0)".
#include <stdio.h>
#include <string.h>
#include "base/check.h"
#include "column/print.h"
#include "expr/eval.h"

enum { MOST_VALUES = 4, LONGEST_VALUE = 40, LONGEST_TEXT = 120 };

static bool is_inside_character(char c) {
  return ((unsigned char)c & 0xc0) == 0x80;
}

// The largest size <= `size` that does not cut a character.
static int64_t whole_characters(const char *text, int64_t size) {
  while (size > 0 && is_inside_character(text[size])) {
    size--;
  }
  return size;
}

static qn_status append_value(const qn_column *column, int64_t row, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer value = {0};
  const bool is_text = column->type == QN_UTF8;
  if (qn_column_is_null(column, row)) {
    return qn_buffer_printf(out, err, "null");
  }
  QN_TRY(qn_value_print(column, row, &value, err));
  QN_TRY(qn_buffer_terminate(&value, err));
  const char *text = (const char *)value.data;
  const int64_t size = value.size <= LONGEST_VALUE ? value.size : whole_characters(text, LONGEST_VALUE);
  QN_TRY(qn_buffer_printf(out, err, is_text ? "'%.*s%s'" : "%.*s%s", (int)size, text,
                          size < value.size ? "..." : ""));

done:
  qn_buffer_release(&value);
  return status;
}

// "(a = 5, b = 0)" of the columns that the expression reads.
static qn_status append_values(const qn_evaluation *evaluation, const qn_expr *expr, int64_t row,
                               qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer used = {0};
  int n = 0;

  QN_TRY(qn_buffer_reserve(&used, evaluation->n_columns, err));
  memset(used.data, 0, (size_t)evaluation->n_columns);
  qn_expr_mark_columns(expr, (bool *)used.data);
  for (int c = 0; c < evaluation->n_columns && n < MOST_VALUES; c++) {
    if (used.data[c] != 0) {
      const char *name = evaluation->batch->schema->fields[c].name;
      QN_TRY(qn_buffer_printf(out, err, "%s%s = ", n++ == 0 ? " (" : ", ", name));
      QN_TRY(append_value(&evaluation->columns[c], row, out, err));
    }
  }
  if (n > 0) {
    QN_TRY(qn_buffer_append(out, ")", 1, err));
  }

done:
  qn_buffer_release(&used);
  return status;
}

// The text, on one line, cut around the part that failed.
static qn_status append_text(const qn_expr *expr, qn_buffer *out, qn_error *err) {
  const int64_t size = (int64_t)strlen(expr->text);
  int64_t first = 0;
  if (size > LONGEST_TEXT && expr->location > LONGEST_TEXT / 2) {
    first = expr->location - LONGEST_TEXT / 2;
    first = first > size - LONGEST_TEXT ? size - LONGEST_TEXT : first;
    first = whole_characters(expr->text, first);
  }
  const int64_t shown =
      size - first <= LONGEST_TEXT ? size - first : whole_characters(expr->text + first, LONGEST_TEXT);
  const int64_t begin = out->size;
  const qn_status status = qn_buffer_printf(out, err, "%s%.*s%s", first > 0 ? "..." : "", (int)shown,
                                            expr->text + first, first + shown < size ? "..." : "");
  for (int64_t i = begin; i < out->size; i++) {
    out->data[i] = out->data[i] < ' ' ? ' ' : out->data[i];
  }
  return status;
}

qn_status qn_eval_describe_failure(const qn_evaluation *evaluation, const qn_expr *expr, int64_t row,
                                   qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer message = {0};
  char origin[512] = "";

  if (err == NULL || evaluation->batch == NULL) {
    return QN_ERR_VALUE;
  }
  if (row >= 0) {
    const int64_t batch_row = evaluation->rows != NULL ? evaluation->rows[row] : row;
    qn_batch_describe_row(evaluation->batch, batch_row, origin, sizeof origin);
  }
  QN_TRY(qn_buffer_printf(&message, NULL, "%s%sin '", origin, origin[0] != '\0' ? ": " : ""));
  QN_TRY(append_text(expr, &message, NULL));
  QN_TRY(qn_buffer_printf(&message, NULL, "': %s", err->message));
  if (row >= 0) {
    QN_TRY(append_values(evaluation, expr, row, &message, NULL));
  }
  QN_TRY(qn_buffer_terminate(&message, NULL));
  qn_fail(err, QN_ERR_VALUE, "%s", (const char *)message.data);

done:
  qn_buffer_release(&message);
  return QN_ERR_VALUE; // without memory for more the kernel's bare message stays
}
