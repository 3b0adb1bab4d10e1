// SPDX-License-Identifier: Apache-2.0
// Values become what JSON has for them; what it has not (NaN, bytes, times, very large integers) becomes
// text.
#include "report/result_json.h"

#include <math.h>
#include "base/buffer.h"
#include "column/print.h"

enum { LONGEST_TEXT = 500 }; // bytes of a value
static const int64_t LARGEST_EXACT = 1ll
                                     << 53; // integer that a double holds, as all numbers are in JavaScript

static json_t *text_of(const char *data, int64_t size) {
  int64_t cut = size;

  if (size > LONGEST_TEXT) {
    for (cut = LONGEST_TEXT;
         cut > 0 && ((unsigned char)data[cut] & 0xc0) == 0x80;) { // not within a character
      cut--;
    }
  }
  json_t *text = cut < size ? json_sprintf("%.*s…", (int)cut, data) : json_stringn(data, (size_t)size);
  return text != NULL ? text : json_string("(not text)");
}

static json_t *printed(const qn_column *column, int64_t row) {
  qn_buffer text = {0};
  json_t *value = NULL;

  if (qn_value_print(column, row, &text, NULL) == QN_OK) {
    value = text_of(text.data == NULL ? "" : (const char *)text.data, text.size);
  }
  qn_buffer_release(&text);
  return value;
}

static json_t *number_of(const qn_column *column, int64_t row, double value) {
  return isfinite(value) ? json_real(value) : printed(column, row);
}

static json_t *value_of(const qn_column *column, int64_t row) {
  if (qn_column_is_null(column, row)) {
    return json_null();
  }
  switch (column->type) {
  case QN_BOOL:
    return json_boolean(qn_column_bool(column, row));
  case QN_INT32:
    return json_integer(qn_column_int32(column, row));
  case QN_INT64: {
    const int64_t value = qn_column_int64(column, row);
    return value > -LARGEST_EXACT && value < LARGEST_EXACT ? json_integer(value) : printed(column, row);
  }
  case QN_FLOAT32:
    return number_of(column, row, (double)qn_column_float32(column, row));
  case QN_FLOAT64:
    return number_of(column, row, qn_column_float64(column, row));
  case QN_UTF8: {
    const qn_text text = qn_column_text(column, row);
    return text_of(text.data, text.size);
  }
  case QN_BINARY:
  case QN_DATE:
  case QN_TIMESTAMP:
    break;
  }
  return printed(column, row);
}

json_t *qn_result_columns(const qn_schema *schema, int n) {
  json_t *columns = json_array();

  for (int i = 0; i < n; i++) {
    json_array_append_new(columns, json_pack("{s:s, s:s}", "name", qn_schema_name(schema, i), "type",
                                             qn_type_name(qn_schema_type(schema, i))));
  }
  return columns;
}

json_t *qn_result_rows(const qn_batch *batch, int n, int64_t n_rows) {
  json_t *rows = json_array();

  for (int64_t row = 0; row < n_rows; row++) {
    json_t *values = json_array();
    for (int i = 0; i < n; i++) {
      json_array_append_new(values, value_of(qn_batch_column(batch, i), row));
    }
    if (json_array_append_new(rows, values) != 0) {
      json_decref(rows);
      return NULL;
    }
  }
  return rows;
}
