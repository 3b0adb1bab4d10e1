// SPDX-License-Identifier: Apache-2.0
// Equality and order of rows written in the plainest way, a value at a time: what the kernels are compared
// with.
#pragma once
#include <math.h>
#include "column/schema.h"
#include "kernel/sort_rows.h"
#include "kit/kit.h"

static inline int ref_compare_doubles(double a, double b) {
  if (isnan(a) || isnan(b)) {
    return (isnan(a) != 0) - (isnan(b) != 0);
  }
  return (a > b) - (a < b);
}

static inline int64_t ref_int(const qn_column *column, int64_t row) {
  switch (column->type) {
  case QN_BOOL:
    return qn_column_bool(column, row);
  case QN_INT32:
  case QN_DATE:
    return qn_column_int32(column, row);
  default:
    return qn_column_int64(column, row);
  }
}

static inline double ref_float(const qn_column *column, int64_t row) {
  switch (column->type) {
  case QN_FLOAT32:
    return (double)qn_column_float32(column, row);
  case QN_FLOAT64:
    return qn_column_float64(column, row);
  default:
    return (double)ref_int(column, row);
  }
}

static inline int ref_compare_texts(qn_text a, qn_text b) {
  for (int64_t i = 0; i < a.size && i < b.size; i++) {
    if (a.data[i] != b.data[i]) {
      return (uint8_t)a.data[i] < (uint8_t)b.data[i] ? -1 : 1;
    }
  }
  return (a.size > b.size) - (a.size < b.size);
}

/// Neither is null.
static inline int ref_compare_values(const qn_column *a, int64_t row_a, const qn_column *b, int64_t row_b) {
  if (qn_type_is_text(a->type)) {
    return ref_compare_texts(qn_column_text(a, row_a), qn_column_text(b, row_b));
  }
  if (a->type == QN_FLOAT32 || a->type == QN_FLOAT64) {
    return ref_compare_doubles(ref_float(a, row_a), ref_float(b, row_b));
  }
  const int64_t value_a = ref_int(a, row_a);
  const int64_t value_b = ref_int(b, row_b);
  return (value_a > value_b) - (value_a < value_b);
}

static inline int ref_compare_rows(const qn_column *const *a, int64_t row_a, const qn_column *const *b,
                                   int64_t row_b, const qn_order *orders, int n_keys) {
  for (int k = 0; k < n_keys; k++) {
    const qn_order order = orders != NULL ? orders[k] : (qn_order){0};
    const bool null_a = qn_column_is_null(a[k], row_a);
    const bool null_b = qn_column_is_null(b[k], row_b);
    int found = 0;
    if (null_a && !null_b) {
      found = order.nulls_first ? -1 : 1;
    } else if (null_b && !null_a) {
      found = order.nulls_first ? 1 : -1;
    } else if (!null_a) {
      found = ref_compare_values(a[k], row_a, b[k], row_b) * (order.is_descending ? -1 : 1);
    }
    if (found != 0) {
      return found;
    }
  }
  return 0;
}

static inline bool ref_rows_are_equal(const qn_column *const *a, int64_t row_a, const qn_column *const *b,
                                      int64_t row_b, int n_keys) {
  return ref_compare_rows(a, row_a, b, row_b, NULL, n_keys) == 0;
}

/// Pointers to the columns of a batch.
static inline void ref_columns(const qn_batch *batch, const qn_column **columns) {
  for (int c = 0; c < batch->n_columns; c++) {
    columns[c] = &batch->columns[c];
  }
}

/// One batch of a schema of every kind of key there is.
static const char *const ref_schemas[] = {
    "a bool",
    "a int32",
    "a int64",
    "a float32",
    "a float64",
    "a utf8",
    "a binary",
    "a date",
    "a timestamp",
    "a int32, b int32",
    "a int64, b date",
    "a int64, b float64",
    "a utf8, b int32",
    "a bool, b utf8, c float32",
    "a binary, b binary",
    "a bool, b bool, c date",
    "a int64, b int64, c int64, d utf8, e bool, f float64, g timestamp, h int32, i float32",
};
enum { REF_N_SCHEMAS = sizeof ref_schemas / sizeof ref_schemas[0] };
enum { REF_MAX_COLUMNS = 16 };
static const int64_t ref_sizes[] = {0, 1, 2, 63, 64, 65, 5000};
enum { REF_N_SIZES = sizeof ref_sizes / sizeof ref_sizes[0] };
