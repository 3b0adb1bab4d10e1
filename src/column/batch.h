// SPDX-License-Identifier: Apache-2.0
// Batches and columns inside the library. Memory is held by blocks counted by reference (one thread per rank:
// plain counters); columns share blocks, so projecting, sharing and passing on never copy values.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/batch.h>
#include "base/buffer.h"
#include "column/schema.h"

/// Rows that sources and operators aim at per batch: a few columns of it fit the L2 cache.
enum { QN_BATCH_ROWS = 4096 };

struct qn_block {
  int64_t n_references;
  void *memory;                  // what release gets
  void (*release)(void *memory); // called when the last reference goes
};

/// A block around memory; on failure memory is released too (so the caller never has to).
qn_status qn_block_new(void *memory, void (*release)(void *), qn_block **out, qn_error *err);
/// A block that takes the contents of a buffer, which is empty afterwards. *data gets its bytes.
qn_status qn_block_from_buffer_take(qn_buffer *buffer, qn_block **out, qn_error *err);
static inline qn_block *qn_block_share(qn_block *block) {
  if (block != NULL) {
    block->n_references++;
  }
  return block;
}
void qn_block_free(qn_block *block); // NULL is allowed

/// Where the rows of a batch come from, for error messages. Rows of a batch are rows of `name` from first_row
/// on; if rows is not NULL row i of the batch is row first_row + rows[i] (a filter made it). A batch made by
/// a callback or after a shuffle has no origin (name NULL).
typedef struct qn_origin {
  const char *name;    // a file, a staged part; lives as long as the job
  int64_t first_row;   // counted from byte_offset of the file if that is >= 0, else from the start; 0-based
  int64_t byte_offset; // of the split the rows are counted from, or -1
  bool has_header;     // the file's first line is no row
  const int32_t *rows; // in rows_block
  qn_block *rows_block;
} qn_origin;

struct qn_batch {
  int64_t n_references;
  qn_schema *schema;
  int64_t n_rows;
  int n_columns;
  qn_origin origin;
  qn_column columns[]; // n_columns
};

/// A batch of n_columns = the schema's columns, taken over (emptied) from `columns`; also on failure.
/// Every column must have the schema's type and n_rows rows.
qn_status qn_batch_new_take(const qn_schema *schema, int64_t n_rows, qn_column *columns, qn_batch **out,
                            qn_error *err);
qn_batch *qn_batch_share(const qn_batch *batch);
/// The columns at `columns` under another schema (of the same types in that order); nothing is copied.
qn_status qn_batch_project(const qn_batch *batch, const qn_schema *schema, const int *columns, qn_batch **out,
                           qn_error *err);
/// Rows [first, first + n_rows); shares values and bytes, copies validity where it is not byte-aligned.
qn_status qn_batch_slice(const qn_batch *batch, int64_t first, int64_t n_rows, qn_batch **out, qn_error *err);
/// One batch of all rows of n_batches >= 0 batches of the same schema. QN_ERR_VALUE if a text column would
/// pass 2^31 - 1 bytes.
qn_status qn_batch_concat(const qn_schema *schema, qn_batch *const *batches, int64_t n_batches,
                          qn_batch **out, qn_error *err);
/// Sets the origin (shares rows_block). Only for a batch with a single reference.
void qn_batch_set_origin(qn_batch *batch, const qn_origin *origin);
/// "ratings.csv, row 812" (1-based, without the header; reads the file up to there where it must count lines)
/// or
/// "" without an origin.
void qn_batch_describe_row(const qn_batch *batch, int64_t row, char *text, size_t size);
/// Bytes that the values of all columns take (shared blocks counted as far as this batch sees them).
int64_t qn_batch_n_bytes(const qn_batch *batch);
/// Checks sizes, offsets, validity counts and (full) UTF-8. For what comes from outside; QN_ERR_FORMAT.
qn_status qn_batch_validate(const qn_batch *batch, bool full, qn_error *err);

/// A column that shares the blocks of `column`.
qn_column qn_column_share(const qn_column *column);
/// Gives up the blocks; leaves it zeroed.
void qn_column_release(qn_column *column);
/// n_rows rows, all null.
qn_status qn_column_all_null(qn_type type, int64_t n_rows, qn_column *out, qn_error *err);
/// n_rows uninitialised values of a fixed-width type without nulls, to be written through *values.
qn_status qn_column_fixed(qn_type type, int64_t n_rows, qn_column *out, void **values, qn_error *err);
int64_t qn_column_n_bytes(const qn_column *column);
