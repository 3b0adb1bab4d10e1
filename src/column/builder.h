// SPDX-License-Identifier: Apache-2.0
// Builders: mutable, private to one function or operator; finishing one freezes its rows into a column or a
// batch. A column builder is the fast way (whole ranges, gathers, inline appends); qn_appender (public) puts
// one per column of a schema together with the checks that callbacks need.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/appender.h>
#include "base/buffer.h"
#include "column/batch.h"
#include "column/bitmap.h"

typedef struct qn_column_builder {
  qn_type type;
  int64_t n_rows;
  int64_t n_nulls;
  qn_buffer validity; // empty until the first null
  qn_buffer values;   // fixed width: the values; text: n_rows + 1 int32 offsets (from the first append on)
  qn_buffer bytes;    // text
} qn_column_builder;

void qn_column_builder_init(qn_column_builder *builder, qn_type type);
void qn_column_builder_release(qn_column_builder *builder);
/// Forgets the rows, keeps the memory.
void qn_column_builder_clear(qn_column_builder *builder);
/// Room for n_rows more rows and n_bytes more bytes of text, so that appending them does not allocate (but
/// for the first null). QN_ERR_VALUE if text would pass 2^31 - 1 bytes.
qn_status qn_column_builder_reserve(qn_column_builder *builder, int64_t n_rows, int64_t n_bytes,
                                    qn_error *err);
qn_status qn_column_builder_append_null(qn_column_builder *builder, qn_error *err);
/// n_rows nulls.
qn_status qn_column_builder_append_nulls(qn_column_builder *builder, int64_t n_rows, qn_error *err);
/// One value: `value` points at a value of the type's width (a const qn_text * for utf8 and binary).
qn_status qn_column_builder_append_value(qn_column_builder *builder, const void *value, qn_error *err);
qn_status qn_column_builder_append_text(qn_column_builder *builder, const void *data, int64_t size,
                                        qn_error *err);
/// Rows [first, first + n_rows) of a column of the same type.
qn_status qn_column_builder_append_range(qn_column_builder *builder, const qn_column *column, int64_t first,
                                         int64_t n_rows, qn_error *err);
/// Rows rows[0 .. n_rows - 1] of a column of the same type; a negative index appends a null.
qn_status qn_column_builder_append_gather(qn_column_builder *builder, const qn_column *column,
                                          const int32_t *rows, int64_t n_rows, qn_error *err);
/// Makes the bitmap of validity as long as n_rows more rows need, its new bits 0; for those who write into
/// the buffers themselves. While there is no null the bitmap must be empty.
qn_status qn_column_builder_extend_validity(qn_column_builder *builder, int64_t n_rows, qn_error *err);
/// Freezes the rows into a column; the builder is empty and usable afterwards.
qn_status qn_column_builder_finish(qn_column_builder *builder, qn_column *out, qn_error *err);
/// Bytes of the rows so far.
int64_t qn_column_builder_n_bytes(const qn_column_builder *builder);

/// One builder per column of a schema, without checks per value: what operators use to assemble batches.
typedef struct qn_batch_builder {
  qn_schema *schema;
  int64_t n_rows; // kept by the functions below; set it by hand after appending to `columns` directly
  int n_columns;
  qn_column_builder *columns;
} qn_batch_builder;

qn_status qn_batch_builder_init(qn_batch_builder *builder, const qn_schema *schema, qn_error *err);
void qn_batch_builder_release(qn_batch_builder *builder);
void qn_batch_builder_clear(qn_batch_builder *builder);
qn_status qn_batch_builder_append_range(qn_batch_builder *builder, const qn_batch *batch, int64_t first,
                                        int64_t n_rows, qn_error *err);
qn_status qn_batch_builder_append_gather(qn_batch_builder *builder, const qn_batch *batch,
                                         const int32_t *rows, int64_t n_rows, qn_error *err);
int64_t qn_batch_builder_n_bytes(const qn_batch_builder *builder);
/// Freezes all rows into a batch; the builder is empty and usable afterwards.
qn_status qn_batch_builder_finish(qn_batch_builder *builder, qn_batch **out, qn_error *err);

/// The rows of `batch` at rows[0 .. n_rows - 1] as a new batch, origin kept; all rows in order: the same
/// batch shared.
qn_status qn_batch_gather(const qn_batch *batch, const int32_t *rows, int64_t n_rows, qn_batch **out,
                          qn_error *err);

/// What is wrong so far with an appender (QN_OK if nothing).
qn_status qn_appender_status(const qn_appender *appender, qn_error *err);
/// Complete rows so far, and their bytes.
int64_t qn_appender_n_rows(const qn_appender *appender);
int64_t qn_appender_n_bytes(const qn_appender *appender);
/// Calls `full` with each batch as soon as the appender holds QN_BATCH_ROWS rows or 1 MiB, at a row's end.
/// The batch is borrowed for the call. A failure of `full` is kept as the appender's status.
void qn_appender_set_sink(qn_appender *appender, qn_status (*full)(void *ctx, qn_batch *batch, qn_error *err),
                          void *ctx);
/// Hands what is left to the sink; reports the first mistake.
qn_status qn_appender_flush(qn_appender *appender, qn_error *err);
