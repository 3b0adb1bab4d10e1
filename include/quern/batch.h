// SPDX-License-Identifier: Apache-2.0
// A batch: a schema and one column per field, each of n_rows rows, in Arrow's memory layout. Callbacks read
// their rows from batches, as whole arrays or value by value.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <quern/schema.h>
#include <quern/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct qn_block qn_block; // owner of memory, counted by reference

/// One column of a batch. Read it, never write it. Values of null rows are undefined but readable.
typedef struct qn_column {
  qn_type type;
  int64_t n_rows;
  int64_t n_nulls; // 0: validity may be NULL
  const uint8_t
      *validity;      // bit i, least significant first, is set where row i has a value; NULL: all rows have
  const void *values; // fixed width: n_rows values; bool: one byte each, 0 or 1; NULL for utf8 and binary
  const int32_t *offsets; // utf8, binary: n_rows + 1 ascending offsets into bytes; else NULL
  const uint8_t *bytes;   // utf8, binary
  qn_block *blocks[3];    // who owns validity, values or offsets, and bytes; NULL: nobody
} qn_column;

typedef struct qn_batch qn_batch;

/// A piece of text or bytes inside a batch: not terminated, valid as long as the batch.
typedef struct {
  const char *data;
  int64_t size; // bytes
} qn_text;

QN_API int64_t qn_batch_n_rows(const qn_batch *batch);
QN_API int qn_batch_n_columns(const qn_batch *batch);
QN_API const qn_schema *qn_batch_schema(const qn_batch *batch);

/// Local. The column at an index, 0 <= column < n_columns.
QN_API const qn_column *qn_batch_column(const qn_batch *batch, int column);

/// Local. Gives up one reference. NULL is allowed.
QN_API void qn_batch_free(qn_batch *batch);

static inline bool qn_column_is_null(const qn_column *column, int64_t row) {
  return column->validity != NULL && ((column->validity[row >> 3] >> (row & 7)) & 1) == 0;
}
static inline bool qn_column_bool(const qn_column *column, int64_t row) {
  return ((const uint8_t *)column->values)[row] != 0;
}
/// int32 and date
static inline int32_t qn_column_int32(const qn_column *column, int64_t row) {
  return ((const int32_t *)column->values)[row];
}
/// int64 and timestamp
static inline int64_t qn_column_int64(const qn_column *column, int64_t row) {
  return ((const int64_t *)column->values)[row];
}
static inline float qn_column_float32(const qn_column *column, int64_t row) {
  return ((const float *)column->values)[row];
}
static inline double qn_column_float64(const qn_column *column, int64_t row) {
  return ((const double *)column->values)[row];
}
/// utf8 and binary
static inline qn_text qn_column_text(const qn_column *column, int64_t row) {
  const int32_t first = column->offsets[row];
  return (qn_text){.data = (const char *)column->bytes + first, .size = column->offsets[row + 1] - first};
}

#ifdef __cplusplus
}
#endif
