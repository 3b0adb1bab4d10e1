// SPDX-License-Identifier: Apache-2.0
// Prints batches as CSV, a row at a time into a buffer with room for the whole row.
#include "io/csv_format.h"
#include <string.h>
#include "base/check.h"
#include "column/print.h"

enum { MOST_FIXED = 32 };

static bool is_blank(uint8_t byte) {
  return byte == ' ' || byte == '\t';
}

/// True if the text must stand in quotes to come back as it is.
static bool needs_quotes(const uint8_t *text, int64_t size, uint8_t separator) {
  if (size == 0 || is_blank(text[0]) || is_blank(text[size - 1])) {
    return true;
  }
  for (int64_t i = 0; i < size; i++) {
    if (text[i] == separator || text[i] == '"' || text[i] == '\n' || text[i] == '\r') {
      return true;
    }
  }
  return false;
}

/// Writes at most 2 * size + 2 bytes; returns how many.
static int64_t write_text(const uint8_t *text, int64_t size, uint8_t separator, uint8_t *to) {
  int64_t n = 0;

  if (!needs_quotes(text, size, separator)) {
    memcpy(to, text, (size_t)size);
    return size;
  }
  to[n++] = '"';
  for (int64_t i = 0; i < size; i++) {
    if (text[i] == '"') {
      to[n++] = '"';
    }
    to[n++] = text[i];
  }
  to[n++] = '"';
  return n;
}

/// Writes \x and two digits a byte.
static int64_t write_hex(const uint8_t *bytes, int64_t size, uint8_t *to) {
  static const char digits[] = "0123456789abcdef";

  to[0] = '\\';
  to[1] = 'x';
  for (int64_t i = 0; i < size; i++) {
    to[2 * i + 2] = (uint8_t)digits[bytes[i] >> 4];
    to[2 * i + 3] = (uint8_t)digits[bytes[i] & 15];
  }
  return 2 * size + 2;
}

/// Writes a value that is not null; returns its size.
static int64_t write_value(const qn_column *column, int64_t row, uint8_t separator, uint8_t *to) {
  const qn_text text = qn_type_is_text(column->type) ? qn_column_text(column, row) : (qn_text){0};
  const uint8_t *bytes = (const uint8_t *)text.data;

  switch (column->type) {
  case QN_UTF8:
    return write_text(bytes, text.size, separator, to);
  case QN_BINARY:
    return write_hex(bytes, text.size, to);
  default:
    return qn_print_fixed(column, row, (char *)to);
  }
}

/// Bytes that a row can take at most.
static int64_t most_of_row(const qn_batch *batch, int64_t row) {
  int64_t most = 0;

  for (int i = 0; i < batch->n_columns; i++) {
    const qn_column *column = &batch->columns[i];
    most += 1 + (qn_type_is_text(column->type) ? 2 * qn_column_text(column, row).size + 2 : MOST_FIXED);
  }
  return most + 1;
}

qn_status qn_csv_print_header(const qn_schema *schema, char separator, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;

  for (int i = 0; i < schema->n_columns; i++) {
    const char *name = schema->fields[i].name;
    const int64_t size = (int64_t)strlen(name);
    QN_TRY(qn_buffer_reserve(out, 2 * size + 4, err));
    if (i > 0) {
      out->data[out->size++] = (uint8_t)separator;
    }
    out->size += write_text((const uint8_t *)name, size, (uint8_t)separator, out->data + out->size);
  }
  QN_TRY(qn_buffer_append(out, "\n", 1, err));

done:
  return status;
}

qn_status qn_csv_print_batch(const qn_batch *batch, char separator, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;

  for (int64_t row = 0; row < batch->n_rows; row++) {
    QN_TRY(qn_buffer_reserve(out, most_of_row(batch, row), err));
    uint8_t *to = out->data + out->size;
    for (int i = 0; i < batch->n_columns; i++) {
      if (i > 0) {
        *to++ = (uint8_t)separator;
      }
      if (!qn_column_is_null(&batch->columns[i], row)) {
        to += write_value(&batch->columns[i], row, (uint8_t)separator, to);
      }
    }
    *to++ = '\n';
    out->size = to - out->data;
  }

done:
  return status;
}
