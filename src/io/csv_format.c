// SPDX-License-Identifier: Apache-2.0
// Prints batches as CSV, a row at a time into a buffer with room for a block of rows. Whether texts need
// quotes is asked of a whole block first.
#include "io/csv_format.h"
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "column/print.h"

enum { MOST_FIXED = 32, SHORT_COPY = 16, BLOCK_ROWS = 256 };

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

/// A column being printed.
typedef struct csv_cells {
  const qn_column *column;
  bool is_plain; // no text of the rows at hand holds a byte that must stand in quotes
} csv_cells;

/// True if one of the bytes is the separator, a quote or a line end.
static bool has_special_byte(const uint8_t *bytes, int64_t size, uint8_t separator) {
  unsigned any = 0;
  for (int64_t i = 0; i < size; i++) {
    any |= (unsigned)(bytes[i] == separator) | (unsigned)(bytes[i] == '"') | (unsigned)(bytes[i] == '\n') |
           (unsigned)(bytes[i] == '\r');
  }
  return any != 0;
}

/// Copies a short text in one step where so many bytes can be read.
static inline uint8_t *put_text(uint8_t *to, const qn_column *column, int64_t first, int64_t size) {
  if (size <= SHORT_COPY && first + SHORT_COPY <= column->offsets[column->n_rows]) {
    memcpy(to, column->bytes + first, SHORT_COPY);
  } else {
    memcpy(to, column->bytes + first, (size_t)size);
  }
  return to + size;
}

/// Writes a value that is not null; returns where it ends.
static inline uint8_t *write_value(const csv_cells *cells, int64_t row, uint8_t separator, uint8_t *to) {
  const qn_column *column = cells->column;

  if (!qn_type_is_text(column->type)) {
    return to + qn_print_fixed(column, row, (char *)to);
  }
  const int64_t first = column->offsets[row], size = column->offsets[row + 1] - first;
  const uint8_t *bytes = column->bytes + first;
  if (column->type == QN_BINARY) {
    return to + write_hex(bytes, size, to);
  }
  if (cells->is_plain && size > 0 && !is_blank(bytes[0]) && !is_blank(bytes[size - 1])) {
    return put_text(to, column, first, size);
  }
  return to + write_text(bytes, size, separator, to);
}

/// Looks at rows [first, first + n) of each column; the bytes that these rows can take at most.
static int64_t look_ahead(const qn_batch *batch, int64_t first, int64_t n, uint8_t separator,
                          csv_cells *cells) {
  int64_t most = SHORT_COPY;

  for (int i = 0; i < batch->n_columns; i++) {
    const qn_column *column = &batch->columns[i];
    cells[i] = (csv_cells){.column = column};
    if (qn_type_is_text(column->type)) {
      const int64_t start = column->offsets[first], size = column->offsets[first + n] - start;
      cells[i].is_plain =
          column->type == QN_UTF8 && !(size > 0 && has_special_byte(column->bytes + start, size, separator));
      most += 2 * size + 3 * n;
    } else {
      most += n * (MOST_FIXED + 1);
    }
  }
  return most + n;
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
  csv_cells *cells = calloc((size_t)batch->n_columns + 1, sizeof *cells);

  QN_REQUIRE(cells != NULL, err, QN_ERR_MEMORY, "no memory to print %d columns", batch->n_columns);
  for (int64_t row = 0; row < batch->n_rows;) {
    const int64_t left = batch->n_rows - row;
    const int64_t end = row + (left < BLOCK_ROWS ? left : BLOCK_ROWS);
    QN_TRY(qn_buffer_reserve(out, look_ahead(batch, row, end - row, (uint8_t)separator, cells), err));
    uint8_t *to = out->data + out->size;
    for (; row < end; row++) {
      for (int i = 0; i < batch->n_columns; i++) {
        if (!qn_column_is_null(cells[i].column, row)) {
          to = write_value(&cells[i], row, (uint8_t)separator, to);
        }
        *to++ = (uint8_t)separator;
      }
      to[-(batch->n_columns > 0)] = '\n';
      to += batch->n_columns == 0;
    }
    out->size = to - out->data;
  }

done:
  free(cells);
  return status;
}
