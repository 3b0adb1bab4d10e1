// SPDX-License-Identifier: Apache-2.0
// A scan gives the field ends; that they form rows of the right width is then checked by one look per row.
// Only where that fails is each line looked at: blank lines, comments, rows with too few or too many fields.
#include "io/csv_rows.h"
#include <inttypes.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/batch.h"

enum { BATCH_BYTES = 384 * 1024, SCAN_CHUNK = 4 * 1024, FRONT_ENDS = 16 };

qn_status qn_csv_rows_init(qn_csv_rows *rows, const qn_csv_dialect *dialect, int n_columns, qn_error *err) {
  qn_status status = QN_OK;

  *rows = (qn_csv_rows){.kernels = qn_scan_kernels_best(), .dialect = *dialect, .n_columns = n_columns};
  rows->firsts = qn_memory_alloc(QN_BATCH_ROWS * (int64_t)sizeof *rows->firsts);
  rows->numbers = qn_memory_alloc(QN_BATCH_ROWS * (int64_t)sizeof *rows->numbers);
  QN_REQUIRE(rows->firsts != NULL && rows->numbers != NULL, err, QN_ERR_MEMORY, "no memory to read rows");

done:
  return status;
}

void qn_csv_rows_release(qn_csv_rows *rows) {
  qn_memory_free(rows->ends == NULL ? NULL : rows->ends - FRONT_ENDS);
  qn_memory_free(rows->firsts);
  qn_memory_free(rows->numbers);
  qn_memory_free(rows->ragged);
  *rows = (qn_csv_rows){0};
}

static qn_status reserve_ends(qn_csv_rows *rows, int64_t n, qn_error *err) {
  qn_status status = QN_OK;

  if (rows->ends_capacity < n) {
    const int64_t capacity = 2 * n;
    uint32_t *ends = rows->ends == NULL ? NULL : rows->ends - FRONT_ENDS;
    ends = qn_memory_resize(ends, (capacity + FRONT_ENDS) * (int64_t)sizeof *ends);
    QN_REQUIRE(ends != NULL, err, QN_ERR_MEMORY, "no memory for the ends of %" PRId64 " fields", capacity);
    rows->ends = ends + FRONT_ENDS;
    rows->ends[-1] = UINT32_MAX;
    rows->ends_capacity = capacity;
  }

done:
  return status;
}

static qn_status add_ragged(qn_csv_rows *rows, const qn_csv_ragged *ragged, qn_error *err) {
  qn_status status = QN_OK;

  if (rows->n_ragged == rows->ragged_capacity) {
    const int64_t capacity = 2 * rows->ragged_capacity + 16;
    qn_csv_ragged *more = qn_memory_resize(rows->ragged, capacity * (int64_t)sizeof *more);
    QN_REQUIRE(more != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " malformed rows", capacity);
    rows->ragged = more;
    rows->ragged_capacity = capacity;
  }
  rows->ragged[rows->n_ragged++] = *ragged;

done:
  return status;
}

/// Scans until there are rows enough, or the window's bytes are at an end.
static qn_status scan_rows(qn_csv_rows *rows, qn_input_window *window, int64_t limit, qn_csv_scan *scan,
                           qn_error *err) {
  qn_status status = QN_OK;
  int64_t scanned = 0;

  for (;;) {
    while (scanned < window->size && scan->n_rows < QN_BATCH_ROWS &&
           (scan->n_rows == 0 || (scanned < BATCH_BYTES && scanned < limit))) {
      const int64_t end = window->size - scanned > SCAN_CHUNK ? scanned + SCAN_CHUNK : window->size;
      QN_TRY(reserve_ends(rows, scan->n_ends + end - scanned + QN_SCAN_SLACK, err));
      scan->ends = rows->ends;
      rows->kernels->scan_csv(&rows->dialect, window->data, scanned, end, scan);
      scanned = end;
    }
    if (scan->n_rows > 0 || window->is_last) {
      break;
    }
    QN_TRY(qn_input_window_grow(window, scan->state == QN_CSV_QUOTED ? "row with an unclosed quote" : "row",
                                err));
  }
  // the last row of a file needs no line end
  const int64_t last_end = scan->n_rows == 0 ? -1 : (int64_t)rows->ends[scan->n_ends - 1];
  if (window->is_last && scanned == window->size && scan->n_rows < QN_BATCH_ROWS &&
      scan->state != QN_CSV_ROW_START && scan->state != QN_CSV_QUOTED && last_end < window->size) {
    QN_TRY(reserve_ends(rows, scan->n_ends + 1, err));
    rows->ends[scan->n_ends++] = (uint32_t)window->size;
    scan->n_rows++;
  }

done:
  return status;
}

/// True if all rows have all columns: then the ends of rows are at known places.
static bool is_regular(const qn_csv_rows *rows, const qn_input_window *window, const qn_csv_scan *scan) {
  const int64_t n_columns = rows->n_columns;

  if (rows->dialect.comment != '\0' || scan->n_rows * n_columns > scan->n_ends) {
    return false;
  }
  bool is_end = true;
  for (int64_t i = 0, last = n_columns - 1; i < scan->n_rows; i++, last += n_columns) {
    is_end &= window->data[rows->ends[last]] == '\n' || rows->ends[last] == window->size;
  }
  return is_end; // as many line ends as rows stand there, so none stands elsewhere
}

static void take_regular(qn_csv_rows *rows, int64_t n_found, int64_t limit) {
  const int64_t n_columns = rows->n_columns;
  int64_t n = n_found < QN_BATCH_ROWS ? n_found : QN_BATCH_ROWS;

  while (n > 0 && (int64_t)(uint32_t)(rows->ends[(n - 1) * n_columns - 1] + 1) >= limit) {
    n--;
  }
  for (int64_t i = 0; i < n; i++) {
    rows->firsts[i] = (int32_t)(i * n_columns);
  }
  rows->n_rows = rows->n_all = n;
  rows->n_bytes = n == 0 ? 0 : (int64_t)rows->ends[n * n_columns - 1] + 1;
  rows->last_first = n == 0 ? 0 : (int64_t)(uint32_t)(rows->ends[(n - 1) * n_columns - 1] + 1);
}

static bool is_left_out(const qn_csv_rows *rows, const char *data, int64_t first, int64_t end,
                        int64_t n_fields) {
  const char *line = data + first;
  int64_t size = end - first;

  if (rows->dialect.comment != '\0' && size > 0 && line[0] == rows->dialect.comment) {
    return true;
  }
  if (n_fields > 1 || rows->n_columns == 1) {
    return false;
  }
  size -= size > 0 && line[size - 1] == '\r';
  while (rows->dialect.trim && size > 0 && (line[size - 1] == ' ' || line[size - 1] == '\t')) {
    size--;
  }
  return size == 0;
}

static qn_status take_each(qn_csv_rows *rows, const qn_input_window *window, const qn_csv_scan *scan,
                           int64_t limit, qn_error *err) {
  qn_status status = QN_OK;

  for (int64_t field = 0, row_field = 0; field < scan->n_ends && rows->n_all < QN_BATCH_ROWS; field++) {
    const uint32_t end = rows->ends[field];
    if (end < window->size && window->data[end] != '\n') {
      continue;
    }
    const uint32_t first = rows->ends[row_field - 1] + 1;
    const int64_t n_fields = field + 1 - row_field;
    if (first >= limit) {
      break;
    }
    if (!is_left_out(rows, window->data, first, end, n_fields)) {
      if (n_fields == rows->n_columns) {
        rows->firsts[rows->n_rows] = (int32_t)row_field;
        rows->numbers[rows->n_rows++] = (int32_t)rows->n_all;
      } else {
        const qn_csv_ragged ragged = {
            .number = rows->n_all, .first = first, .end = end, .n_fields = n_fields};
        QN_TRY(add_ragged(rows, &ragged, err));
      }
      rows->n_all++;
    }
    rows->n_bytes = (int64_t)end + 1;
    rows->last_first = first;
    row_field = field + 1;
  }

done:
  return status;
}

qn_status qn_csv_rows_find(qn_csv_rows *rows, qn_input_window *window, int64_t limit, int64_t wanted,
                           qn_error *err) {
  qn_status status = QN_OK;
  qn_csv_scan scan = {.state = QN_CSV_ROW_START};

  rows->n_rows = rows->n_all = rows->n_ragged = rows->n_bytes = rows->last_first = 0;
  if (limit <= 0) {
    goto done;
  }
  QN_TRY(qn_input_window_fill(window, wanted, "row", err));
  QN_TRY(scan_rows(rows, window, limit, &scan, err));
  rows->has_quotes = scan.has_quotes;
  if (is_regular(rows, window, &scan)) {
    take_regular(rows, scan.n_rows, limit);
  } else {
    QN_TRY(take_each(rows, window, &scan, limit, err));
  }
  if (rows->n_bytes > window->size) {
    rows->n_bytes = window->size; // the last line had no end
  }
  if (scan.n_rows == 0 && window->size > 0) { // the file ends in a quoted field
    const qn_csv_ragged open = {.number = rows->n_all++, .end = (uint32_t)window->size};
    QN_TRY(add_ragged(rows, &open, err));
    rows->n_bytes = window->size;
  }

done:
  return status;
}
