// SPDX-License-Identifier: Apache-2.0
// Values gather in a builder up to the size of a batch, then go to the spool.
#include "exec/column_stream.h"
#include <inttypes.h>
#include "base/check.h"

qn_status qn_column_stream_init(qn_column_stream *stream, qn_type type, const char *scratch, qn_error *err) {
  qn_status status = QN_OK;
  char name[] = "value";
  const qn_field field = {.name = name, .type = type};

  *stream = (qn_column_stream){.scratch = scratch};
  QN_TRY(qn_schema_new(&field, 1, &stream->schema, err));
  QN_TRY(qn_batch_builder_init(&stream->tail, stream->schema, err));

done:
  return status;
}

void qn_column_stream_clear(qn_column_stream *stream) {
  qn_batch_builder_clear(&stream->tail);
  qn_spool_free(stream->spool);
  qn_batch_free(stream->head);
  stream->spool = NULL;
  stream->head = NULL;
  stream->head_row = 0;
}

void qn_column_stream_release(qn_column_stream *stream) {
  qn_column_stream_clear(stream);
  qn_batch_builder_release(&stream->tail);
  qn_schema_free(stream->schema);
  *stream = (qn_column_stream){0};
}

static qn_status append_batch(qn_column_stream *stream, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;

  if (stream->spool == NULL) {
    QN_TRY(qn_spool_new(stream->schema, stream->scratch, &stream->spool, err));
  }
  QN_TRY(qn_spool_append(stream->spool, batch, err));

done:
  return status;
}

static qn_status flush(qn_column_stream *stream, int64_t least_rows, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;

  stream->tail.n_rows = stream->tail.columns[0].n_rows;
  if (stream->tail.n_rows >= least_rows) {
    QN_TRY(qn_batch_builder_finish(&stream->tail, &batch, err));
    QN_TRY(append_batch(stream, batch, err));
  }

done:
  qn_batch_free(batch);
  return status;
}

qn_status qn_column_stream_gather(qn_column_stream *stream, const qn_column *column, const int32_t *rows,
                                  int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_column_builder_append_gather(&stream->tail.columns[0], column, rows, n_rows, err));
  QN_TRY(flush(stream, QN_BATCH_ROWS, err));

done:
  return status;
}

qn_status qn_column_stream_repeat(qn_column_stream *stream, const void *value, int64_t n_rows,
                                  qn_error *err) {
  qn_status status = QN_OK;
  qn_column_builder *tail = &stream->tail.columns[0];

  for (int64_t i = 0; i < n_rows; i++) {
    if (value == NULL) {
      QN_TRY(qn_column_builder_append_null(tail, err));
    } else {
      QN_TRY(qn_column_builder_append_value(tail, value, err));
    }
    if (tail->n_rows >= QN_BATCH_ROWS) {
      QN_TRY(flush(stream, QN_BATCH_ROWS, err));
    }
  }

done:
  return status;
}

qn_status qn_column_stream_int64(qn_column_stream *stream, const int64_t *values, int64_t n_rows,
                                 qn_error *err) {
  qn_status status = QN_OK;
  const qn_column column = {.type = QN_INT64, .n_rows = n_rows, .values = values};

  QN_TRY(qn_column_builder_append_range(&stream->tail.columns[0], &column, 0, n_rows, err));
  QN_TRY(flush(stream, QN_BATCH_ROWS, err));

done:
  return status;
}

qn_status qn_column_stream_share(qn_column_stream *stream, const qn_batch *batch, int column, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *alone = NULL;

  QN_TRY(flush(stream, 1, err));
  QN_TRY(qn_batch_project(batch, stream->schema, &column, &alone, err));
  QN_TRY(append_batch(stream, alone, err));

done:
  qn_batch_free(alone);
  return status;
}

qn_status qn_column_stream_rewind(qn_column_stream *stream, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(flush(stream, 1, err));
  if (stream->spool != NULL) {
    QN_TRY(qn_spool_rewind(stream->spool, err));
  }

done:
  return status;
}

// Takes up to n_rows rows of the head, getting the next one if need be; to may be NULL.
static qn_status take_some(qn_column_stream *stream, qn_column_builder *to, int64_t n_rows, int64_t *n_taken,
                           qn_error *err) {
  qn_status status = QN_OK;

  if (stream->head == NULL && stream->spool != NULL) {
    QN_TRY(qn_spool_take(stream->spool, &stream->head, err));
    stream->head_row = 0;
  }
  QN_REQUIRE(stream->head != NULL, err, QN_ERR_ARG, "%" PRId64 " more values are wanted than there are",
             n_rows);
  const int64_t left = stream->head->n_rows - stream->head_row;
  const int64_t n = left < n_rows ? left : n_rows;
  if (to != NULL) {
    QN_TRY(qn_column_builder_append_range(to, &stream->head->columns[0], stream->head_row, n, err));
  }
  stream->head_row += n;
  if (stream->head_row == stream->head->n_rows) {
    qn_batch_free(stream->head);
    stream->head = NULL;
  }
  *n_taken = n;

done:
  return status;
}

qn_status qn_column_stream_read(qn_column_stream *stream, qn_column_builder *to, int64_t n_rows,
                                qn_error *err) {
  qn_status status = QN_OK;
  int64_t n = 0;

  for (; n_rows > 0; n_rows -= n) {
    QN_TRY(take_some(stream, to, n_rows, &n, err));
  }

done:
  return status;
}

qn_status qn_column_stream_skip(qn_column_stream *stream, int64_t n_rows, qn_error *err) {
  return qn_column_stream_read(stream, NULL, n_rows, err);
}
