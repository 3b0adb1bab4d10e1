// SPDX-License-Identifier: Apache-2.0
// Checks of batches that come from outside: nothing in them may lead a kernel outside its memory.
#include <inttypes.h>
#include "base/check.h"
#include "base/utf8.h"
#include "column/batch.h"
#include "column/bitmap.h"

static const char *check_nulls(const qn_column *column) {
  if (column->n_nulls < 0 || column->n_nulls > column->n_rows) {
    return "has more nulls than rows";
  }
  if (column->n_nulls > 0 && column->validity == NULL) {
    return "has nulls but no validity";
  }
  if (column->validity != NULL &&
      column->n_rows - qn_bitmap_count(column->validity, column->n_rows) != column->n_nulls) {
    return "has another number of nulls than it says";
  }
  return NULL;
}

static const char *check_offsets(const qn_column *column) {
  const int32_t *offsets = column->offsets;
  if (offsets == NULL) {
    return "has no offsets";
  }
  if (offsets[0] < 0) {
    return "has a negative offset";
  }
  int is_bad = 0;
  for (int64_t i = 0; i < column->n_rows; i++) {
    is_bad |= offsets[i] > offsets[i + 1];
  }
  if (is_bad) {
    return "has offsets that descend";
  }
  return column->bytes == NULL && offsets[column->n_rows] > offsets[0] ? "has no bytes" : NULL;
}

// Every text on its own, but for those of null rows.
static const char *check_each_text(const qn_column *column) {
  for (int64_t i = 0; i < column->n_rows; i++) {
    const qn_text text = qn_column_text(column, i);
    if (!qn_column_is_null(column, i) && qn_utf8_find_invalid(text.data, text.size) >= 0) {
      return "has text that is not valid UTF-8";
    }
  }
  return NULL;
}

// All bytes at once, which is fast; then whether a text begins within a character.
static const char *check_text(const qn_column *column) {
  const int32_t *offsets = column->offsets;
  const int32_t end = offsets[column->n_rows];
  if (end == offsets[0]) {
    return NULL;
  }
  if (qn_utf8_find_invalid(column->bytes + offsets[0], end - offsets[0]) >= 0) {
    return check_each_text(column);
  }
  for (int64_t i = 0; i < column->n_rows; i++) {
    if (offsets[i] < end && (column->bytes[offsets[i]] & 0xc0) == 0x80) {
      return check_each_text(column);
    }
  }
  return NULL;
}

static const char *check_bools(const qn_column *column) {
  const uint8_t *values = column->values;
  uint8_t any = 0;
  for (int64_t i = 0; i < column->n_rows; i++) {
    any |= values[i];
  }
  return any > 1 ? "has bools that are neither 0 nor 1" : NULL;
}

// What is wrong with a column, or NULL.
static const char *check_column(const qn_column *column, bool full) {
  const char *mistake = check_nulls(column);
  if (mistake == NULL && qn_type_is_text(column->type)) {
    mistake = check_offsets(column);
  } else if (mistake == NULL && column->values == NULL) {
    mistake = column->n_rows > 0 ? "has no values" : NULL;
  }
  if (mistake == NULL && full && column->type == QN_UTF8) {
    mistake = check_text(column);
  }
  if (mistake == NULL && full && column->type == QN_BOOL) {
    mistake = check_bools(column);
  }
  return mistake;
}

qn_status qn_batch_validate(const qn_batch *batch, bool full, qn_error *err) {
  for (int i = 0; i < batch->n_columns; i++) {
    const qn_column *column = &batch->columns[i];
    const qn_field *field = &batch->schema->fields[i];
    const char *mistake = column->n_rows != batch->n_rows ? "has another number of rows than the batch"
                          : column->type != field->type   ? "has another type than the schema says"
                                                          : check_column(column, full);
    if (mistake != NULL) {
      return qn_fail(err, QN_ERR_FORMAT, "column '%s' (%s) of a batch of %" PRId64 " rows %s", field->name,
                     qn_type_name(field->type), batch->n_rows, mistake);
    }
  }
  return QN_OK;
}
