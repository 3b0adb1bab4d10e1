// SPDX-License-Identifier: Apache-2.0
// The values of one column, one after the other: written at one end, then read in order. They are in a spool,
// so there may be more of them than memory holds.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "column/builder.h"
#include "exec/spool.h"

typedef struct qn_column_stream {
  qn_schema *schema; // of one column
  const char *scratch;
  qn_batch_builder tail; // values not yet in the spool
  qn_spool *spool;       // NULL: none so far
  qn_batch *head;        // being read, from head_row on
  int64_t head_row;
} qn_column_stream;

qn_status qn_column_stream_init(qn_column_stream *stream, qn_type type, const char *scratch, qn_error *err);
void qn_column_stream_release(qn_column_stream *stream);
/// Rows rows[0 .. n_rows - 1] of a column; a negative index makes a null.
qn_status qn_column_stream_gather(qn_column_stream *stream, const qn_column *column, const int32_t *rows,
                                  int64_t n_rows, qn_error *err);
/// n_rows times the same value of a fixed-width type; NULL for null.
qn_status qn_column_stream_repeat(qn_column_stream *stream, const void *value, int64_t n_rows, qn_error *err);
/// n_rows int64 values.
qn_status qn_column_stream_int64(qn_column_stream *stream, const int64_t *values, int64_t n_rows,
                                 qn_error *err);
/// A column of a batch, shared.
qn_status qn_column_stream_share(qn_column_stream *stream, const qn_batch *batch, int column, qn_error *err);
/// No more values; reading begins.
qn_status qn_column_stream_rewind(qn_column_stream *stream, qn_error *err);
/// Appends the next n_rows values to a builder. QN_ERR_ARG if there are not so many.
qn_status qn_column_stream_read(qn_column_stream *stream, qn_column_builder *to, int64_t n_rows,
                                qn_error *err);
qn_status qn_column_stream_skip(qn_column_stream *stream, int64_t n_rows, qn_error *err);
/// Forgets all values; writing may begin again.
void qn_column_stream_clear(qn_column_stream *stream);
