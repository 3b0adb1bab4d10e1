// SPDX-License-Identifier: Apache-2.0
// Row numbers are found by counting the rows from the begin of the file: slow, but only on the way to a
// failure.
#include "io/csv_mistake.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/utf8.h"

enum { SHOWN_BYTES = 60 };

/// A field's text for a message: cut, and with a ? for control characters and for what is not UTF-8.
static void show_text(const char *text, int64_t size, char out[SHOWN_BYTES + 8]) {
  int64_t n = size < SHOWN_BYTES ? size : SHOWN_BYTES;

  while (n < size && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) {
    n--;
  }
  const bool is_utf8 = qn_utf8_find_invalid(text, n) < 0;
  for (int64_t i = 0; i < n; i++) {
    const unsigned char byte = (unsigned char)text[i];
    out[i] = byte < 0x20 || byte == 0x7f || (byte > 0x7f && !is_utf8) ? '?' : (char)byte;
  }
  snprintf(out + n, 8, "%s", n < size ? "..." : "");
}

void qn_csv_describe_bad(const qn_csv_bad *bad, const char *column, const qn_csv_rows *rows, const char *data,
                         qn_csv_mistake *out) {
  const uint32_t *field = rows->ends + rows->firsts[bad->row] + bad->column;
  const char *text = data + (uint32_t)(field[-1] + 1);
  int64_t size = data + field[0] - text;
  char shown[SHOWN_BYTES + 8];

  if (bad->column == rows->n_columns - 1 && size > 0 && text[size - 1] == '\r') {
    size--;
  }
  *out = (qn_csv_mistake){
      .number = rows->n_rows < rows->n_all ? rows->numbers[bad->row] : bad->row,
      .row = bad->row,
      .file_column = bad->column,
      .column = column,
      .first = (int64_t)(uint32_t)(rows->ends[rows->firsts[bad->row] - 1] + 1),
      .end = rows->ends[rows->firsts[bad->row] + rows->n_columns - 1],
      .is_value = bad->reason == QN_CSV_WRONG_VALUE,
  };
  show_text(text, size, shown);
  if (bad->reason == QN_CSV_WRONG_VALUE) {
    snprintf(out->reason, sizeof out->reason, "'%s' is not %s %s", shown,
             bad->type == QN_INT32 || bad->type == QN_INT64 ? "an" : "a", qn_type_name(bad->type));
  } else if (bad->reason == QN_CSV_BAD_QUOTES) {
    snprintf(out->reason, sizeof out->reason, "text follows the closing quote in %s", shown);
  } else {
    snprintf(out->reason, sizeof out->reason, "the text is not valid UTF-8");
  }
}

void qn_csv_describe_ragged(const qn_csv_ragged *ragged, int n_columns, const char *data,
                            qn_csv_mistake *out) {
  *out = (qn_csv_mistake){.number = ragged->number,
                          .row = -1,
                          .file_column = -1,
                          .column = "",
                          .first = ragged->first,
                          .end = ragged->end};
  if (ragged->n_fields == 0) {
    char shown[SHOWN_BYTES + 8];
    show_text(data + ragged->first, ragged->end - ragged->first, shown);
    snprintf(out->reason, sizeof out->reason,
             "a quote opened in this row is not closed before the file ends: %s", shown);
  } else {
    snprintf(out->reason, sizeof out->reason, "the row has %" PRId64 " field%s, not %d", ragged->n_fields,
             ragged->n_fields == 1 ? "" : "s", n_columns);
  }
}

qn_status qn_csv_fail_mistake(const qn_csv_mistake *mistake, const qn_file *file, int64_t row, int64_t offset,
                              qn_error *err) {
  char number[40] = "", column[300] = "";

  if (row > 0) {
    snprintf(number, sizeof number, ", row %" PRId64, row);
  }
  if (mistake->column[0] != '\0') {
    snprintf(column, sizeof column, ", column '%s'", mistake->column);
  }
  return qn_fail(err, QN_ERR_FORMAT, "%s%s%s (byte offset %" PRId64 "%s): %s; %s", file->path, number, column,
                 offset, file->compression != QN_COMPRESSION_NONE ? " uncompressed" : "", mistake->reason,
                 mistake->is_value
                     ? "give the column another type by the option `schema`, or set such rows aside by "
                       "the option `rejects`"
                     : "mend the file, or set such rows aside by the option `rejects`");
}

int64_t qn_csv_count_rows(const qn_csv_dialect *dialect, int n_columns, const qn_file *file, int64_t first,
                          int64_t end) {
  qn_input_window window = {0};
  qn_csv_rows rows = {0};
  int64_t n = 0;

  qn_status status = qn_csv_rows_init(&rows, dialect, n_columns, NULL);
  if (status == QN_OK) {
    status = qn_input_window_start(&window, file, 0, end, NULL);
  }
  if (status == QN_OK && file->compression == QN_COMPRESSION_NONE) {
    status = qn_input_window_start(&window, file, first, end, NULL);
  }
  while (status == QN_OK && window.offset < first) { // a compressed file is read from its begin
    status = qn_input_window_fill(&window, 1, "row", NULL);
    const int64_t skipped = window.size < first - window.offset ? window.size : first - window.offset;
    status = skipped == 0 ? QN_ERR_IO : status;
    qn_input_window_skip(&window, skipped);
  }
  while (status == QN_OK && window.offset < end) {
    status = qn_csv_rows_find(&rows, &window, end - window.offset, 1, NULL);
    n += rows.n_all;
    status = rows.n_bytes == 0 ? QN_ERR_IO : status;
    qn_input_window_skip(&window, rows.n_bytes);
  }
  qn_input_window_release(&window);
  qn_csv_rows_release(&rows);
  return status == QN_OK ? n : -1;
}
