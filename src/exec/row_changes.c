// SPDX-License-Identifier: Apache-2.0
// A loop per type over each column; validity is looked at only where a column has nulls.
#include "exec/row_changes.h"
#include <string.h>
#include "column/bitmap.h"
#include "column/schema.h"
#include "kernel/ordered_bits.h"
#include "kernel/sort_rows.h"

static void mark_bytes(const uint8_t *values, int64_t n_rows, uint8_t *changes) {
  for (int64_t i = 1; i < n_rows; i++) {
    changes[i] = (uint8_t)(changes[i] | (values[i] != values[i - 1]));
  }
}

static void mark_int32(const int32_t *values, int64_t n_rows, uint8_t *changes) {
  for (int64_t i = 1; i < n_rows; i++) {
    changes[i] = (uint8_t)(changes[i] | (values[i] != values[i - 1]));
  }
}

static void mark_int64(const int64_t *values, int64_t n_rows, uint8_t *changes) {
  for (int64_t i = 1; i < n_rows; i++) {
    changes[i] = (uint8_t)(changes[i] | (values[i] != values[i - 1]));
  }
}

static void mark_float32(const float *values, int64_t n_rows, uint8_t *changes) {
  for (int64_t i = 1; i < n_rows; i++) {
    changes[i] = (uint8_t)(changes[i] | (qn_float32_bits(values[i]) != qn_float32_bits(values[i - 1])));
  }
}

static void mark_float64(const double *values, int64_t n_rows, uint8_t *changes) {
  for (int64_t i = 1; i < n_rows; i++) {
    changes[i] = (uint8_t)(changes[i] | (qn_float64_bits(values[i]) != qn_float64_bits(values[i - 1])));
  }
}

static void mark_text(const qn_column *column, int64_t n_rows, uint8_t *changes) {
  const int32_t *offsets = column->offsets;
  for (int64_t i = 1; i < n_rows; i++) {
    const int32_t size = offsets[i + 1] - offsets[i];
    if (changes[i] == 0) {
      changes[i] =
          size != offsets[i] - offsets[i - 1] ||
          (size > 0 && memcmp(column->bytes + offsets[i], column->bytes + offsets[i - 1], (size_t)size) != 0);
    }
  }
}

static void mark_values(const qn_column *column, int64_t n_rows, uint8_t *changes) {
  switch (column->type) {
  case QN_BOOL:
    mark_bytes(column->values, n_rows, changes);
    break;
  case QN_INT32:
  case QN_DATE:
    mark_int32(column->values, n_rows, changes);
    break;
  case QN_INT64:
  case QN_TIMESTAMP:
    mark_int64(column->values, n_rows, changes);
    break;
  case QN_FLOAT32:
    mark_float32(column->values, n_rows, changes);
    break;
  case QN_FLOAT64:
    mark_float64(column->values, n_rows, changes);
    break;
  case QN_UTF8:
  case QN_BINARY:
    mark_text(column, n_rows, changes);
    break;
  }
}

// Rows one by one: what stands behind a null is undefined, so such columns need a look at validity first.
static void mark_with_nulls(const qn_column *column, int64_t n_rows, uint8_t *changes) {
  const qn_order order = {0};
  for (int64_t i = 1; i < n_rows; i++) {
    if (changes[i] == 0) {
      changes[i] = qn_compare_rows(&column, i, &column, i - 1, &order, 1) != 0;
    }
  }
}

static uint8_t first_row_differs(const qn_batch *before, const qn_batch *batch, const int *columns,
                                 int n_columns) {
  if (before == NULL || before->n_rows == 0) {
    return 1;
  }
  for (int k = 0; k < n_columns; k++) {
    const qn_column *last = &before->columns[columns[k]];
    const qn_column *first = &batch->columns[columns[k]];
    const qn_order order = {0};
    if (qn_compare_rows(&last, before->n_rows - 1, &first, 0, &order, 1) != 0) {
      return 1;
    }
  }
  return 0;
}

void qn_mark_changes(const qn_batch *before, const qn_batch *batch, const int *columns, int n_columns,
                     uint8_t *changes) {
  if (batch->n_rows == 0) {
    return;
  }
  changes[0] = changes[0] | first_row_differs(before, batch, columns, n_columns);
  for (int k = 0; k < n_columns; k++) {
    const qn_column *column = &batch->columns[columns[k]];
    if (column->n_nulls > 0) {
      mark_with_nulls(column, batch->n_rows, changes);
    } else {
      mark_values(column, batch->n_rows, changes);
    }
  }
}
