// SPDX-License-Identifier: Apache-2.0
// Batches as aligned tables for people: a header, a line below it, numbers to the right and text to the left.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "column/print.h"

enum { WIDEST_COLUMN = 48 };

// The texts of all cells, row after row, the header's row first.
typedef struct {
  int n_columns;
  int64_t n_rows;  // with the header
  qn_buffer text;  // of all cells
  int64_t *ends;   // [n_rows * n_columns]
  int64_t *widths; // [n_columns], in characters
} text_table;

static const char ellipsis[] = "\xe2\x80\xa6";

// Cuts what was printed from `start` on to WIDEST_COLUMN characters and makes control characters blanks, so
// that a cell stays in its line. Binary that is printed is ASCII, so all of it is UTF-8.
static qn_status tidy_cell(qn_buffer *text, int64_t start, qn_error *err) {
  int64_t n_characters = 0;
  for (int64_t i = start; i < text->size; i++) {
    const uint8_t byte = text->data[i];
    n_characters += (byte & 0xc0) != 0x80;
    if (n_characters == WIDEST_COLUMN && qn_utf8_length(text->data + i, text->size - i) > 1) {
      text->size = i;
      return qn_buffer_append(text, ellipsis, sizeof ellipsis - 1, err);
    }
    if (byte < 0x20 || byte == 0x7f) {
      text->data[i] = ' ';
    }
  }
  return QN_OK;
}

static qn_status add_cell(text_table *table, const qn_batch *batch, int64_t row, int column, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t start = table->text.size;
  const char *name = batch->schema->fields[column].name;
  if (row < 0) {
    QN_TRY(qn_buffer_append(&table->text, name, (int64_t)strlen(name), err));
  } else if (qn_column_is_null(&batch->columns[column], row)) {
    QN_TRY(qn_buffer_append(&table->text, "NULL", 4, err));
  } else {
    QN_TRY(qn_value_print(&batch->columns[column], row, &table->text, err));
  }
  QN_TRY(tidy_cell(&table->text, start, err));
  table->ends[(row + 1) * table->n_columns + column] = table->text.size;
  if (table->text.size > start) {
    const int64_t width = qn_utf8_length(table->text.data + start, table->text.size - start);
    table->widths[column] = width > table->widths[column] ? width : table->widths[column];
  }

done:
  return status;
}

static qn_status pad(qn_buffer *out, char with, int64_t n, qn_error *err) {
  const qn_status status = qn_buffer_reserve(out, n, err);
  if (status == QN_OK && n > 0) {
    memset(out->data + out->size, with, (size_t)n);
    out->size += n;
  }
  return status;
}

static bool is_number(qn_type type) {
  return type == QN_INT32 || type == QN_INT64 || type == QN_FLOAT32 || type == QN_FLOAT64;
}

static qn_status put_row(const text_table *table, const qn_batch *batch, int64_t row, qn_buffer *out,
                         qn_error *err) {
  qn_status status = QN_OK;
  for (int c = 0; c < table->n_columns; c++) {
    const int64_t cell = row * table->n_columns + c;
    const int64_t start = cell > 0 ? table->ends[cell - 1] : 0;
    const int64_t size = table->ends[cell] - start;
    const int64_t missing =
        table->widths[c] - (size > 0 ? qn_utf8_length(table->text.data + start, size) : 0);
    const bool is_right = is_number(batch->schema->fields[c].type);
    const bool is_last = c == table->n_columns - 1;
    QN_TRY(pad(out, ' ', (c > 0 ? 2 : 0) + (is_right ? missing : 0), err));
    if (size > 0) {
      QN_TRY(qn_buffer_append(out, table->text.data + start, size, err));
    }
    QN_TRY(pad(out, ' ', is_right || is_last ? 0 : missing, err));
  }
  QN_TRY(qn_buffer_append(out, "\n", 1, err));

done:
  return status;
}

static qn_status put_line(const text_table *table, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  for (int c = 0; c < table->n_columns; c++) {
    QN_TRY(pad(out, ' ', c > 0 ? 2 : 0, err));
    QN_TRY(pad(out, '-', table->widths[c], err));
  }
  QN_TRY(qn_buffer_append(out, "\n", 1, err));

done:
  return status;
}

qn_status qn_batch_print(const qn_batch *batch, int64_t max_rows, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  text_table table = {.n_columns = batch->n_columns};
  int64_t n_cells = 0;

  if (batch->n_columns == 0) {
    return qn_buffer_printf(out, err, "%" PRId64 " rows\n", batch->n_rows);
  }
  table.n_rows = 1 + (max_rows < batch->n_rows ? (max_rows > 0 ? max_rows : 0) : batch->n_rows);
  QN_TRY(qn_mul_size(table.n_rows, table.n_columns, &n_cells, err));
  table.ends = calloc((size_t)n_cells, sizeof *table.ends);
  table.widths = calloc((size_t)table.n_columns, sizeof *table.widths);
  QN_REQUIRE(table.ends != NULL && table.widths != NULL, err, QN_ERR_MEMORY,
             "no memory to print %" PRId64 " rows", table.n_rows);
  for (int64_t row = -1; row < table.n_rows - 1; row++) {
    for (int c = 0; c < table.n_columns; c++) {
      QN_TRY(add_cell(&table, batch, row, c, err));
    }
  }
  QN_TRY(put_row(&table, batch, 0, out, err));
  QN_TRY(put_line(&table, out, err));
  for (int64_t row = 1; row < table.n_rows; row++) {
    QN_TRY(put_row(&table, batch, row, out, err));
  }

done:
  qn_buffer_release(&table.text);
  free(table.ends);
  free(table.widths);
  return status;
}
