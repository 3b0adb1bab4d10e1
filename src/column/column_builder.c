// SPDX-License-Identifier: Apache-2.0
// Column builders. The validity bitmap exists from the first null on: bits of rows before are set then. A
// text builder's offsets exist from the first append on.
#include <inttypes.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"

void qn_column_builder_init(qn_column_builder *builder, qn_type type) {
  *builder = (qn_column_builder){.type = type};
}

void qn_column_builder_release(qn_column_builder *builder) {
  qn_buffer_release(&builder->validity);
  qn_buffer_release(&builder->values);
  qn_buffer_release(&builder->bytes);
  builder->n_rows = 0;
  builder->n_nulls = 0;
}

void qn_column_builder_clear(qn_column_builder *builder) {
  builder->validity.size = 0;
  builder->values.size = 0;
  builder->bytes.size = 0;
  builder->n_rows = 0;
  builder->n_nulls = 0;
}

static qn_status reserve(qn_buffer *buffer, int64_t more, qn_error *err) {
  return __builtin_expect(more <= buffer->capacity - buffer->size, 1) ? QN_OK
                                                                      : qn_buffer_reserve(buffer, more, err);
}

static qn_status fail_too_long(const qn_column_builder *builder, int64_t more, qn_error *err) {
  return qn_fail(err, QN_ERR_VALUE,
                 "%" PRId64 " bytes more in a %s column that holds %" PRId64 " bytes in %" PRId64
                 " rows: one batch holds at most 2147483647 bytes a column; use smaller batches",
                 more, qn_type_name(builder->type), builder->bytes.size, builder->n_rows);
}

qn_status qn_column_builder_reserve(qn_column_builder *builder, int64_t n_rows, int64_t n_bytes,
                                    qn_error *err) {
  qn_status status = QN_OK;
  int64_t size = 0;
  const bool is_text = qn_type_is_text(builder->type);

  QN_TRY(qn_mul_size(n_rows + 1, is_text ? 4 : qn_type_width(builder->type), &size, err));
  QN_TRY(reserve(&builder->values, size, err));
  if (builder->n_nulls > 0) {
    QN_TRY(reserve(&builder->validity, qn_bitmap_bytes(n_rows) + 1, err));
  }
  if (is_text) {
    if (n_bytes > INT32_MAX - builder->bytes.size) {
      status = fail_too_long(builder, n_bytes, err);
      goto done;
    }
    // Never NULL, even if all text is empty: short copies may write into the slack.
    QN_TRY(reserve(&builder->bytes, n_bytes > 0 || builder->bytes.data != NULL ? n_bytes : 1, err));
    if (builder->values.size == 0) {
      memset(builder->values.data, 0, 4);
      builder->values.size = 4;
    }
  }

done:
  return status;
}

qn_status qn_column_builder_extend_validity(qn_column_builder *builder, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer *validity = &builder->validity;
  const int64_t needed = qn_bitmap_bytes(builder->n_rows + n_rows);

  QN_TRY(reserve(validity, needed - validity->size, err));
  if (needed > validity->size) {
    memset(validity->data + validity->size, 0, (size_t)(needed - validity->size));
  }
  if (validity->size == 0) {
    qn_bitmap_fill(validity->data, 0, builder->n_rows, true);
  }
  validity->size = needed;

done:
  return status;
}

// Marks the next n_rows rows as valid (before they are counted).
static qn_status append_valid(qn_column_builder *builder, int64_t n_rows, qn_error *err) {
  if (builder->n_nulls == 0) {
    return QN_OK;
  }
  const qn_status status = qn_column_builder_extend_validity(builder, n_rows, err);
  if (status == QN_OK) {
    qn_bitmap_fill(builder->validity.data, builder->n_rows, n_rows, true);
  }
  return status;
}

// Makes room for n_rows values or offsets.
static qn_status reserve_values(qn_column_builder *builder, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;
  int64_t size = 0;
  if (!qn_type_is_text(builder->type)) {
    QN_TRY(qn_mul_size(n_rows, qn_type_width(builder->type), &size, err));
    QN_TRY(reserve(&builder->values, size, err));
  } else if (builder->values.size == 0) {
    QN_TRY(qn_column_builder_reserve(builder, n_rows, 0, err));
  } else {
    QN_TRY(qn_mul_size(n_rows, 4, &size, err));
    QN_TRY(reserve(&builder->values, size, err));
  }

done:
  return status;
}

static void *end_of(const qn_buffer *buffer) {
  return buffer->data + buffer->size;
}

qn_status qn_column_builder_append_nulls(qn_column_builder *builder, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;
  if (n_rows <= 0) {
    return QN_OK;
  }
  QN_TRY(reserve_values(builder, n_rows, err));
  QN_TRY(qn_column_builder_extend_validity(builder, n_rows, err));
  if (qn_type_is_text(builder->type)) {
    const int32_t end = (int32_t)builder->bytes.size;
    int32_t *offsets = end_of(&builder->values);
    for (int64_t i = 0; i < n_rows; i++) {
      offsets[i] = end;
    }
    builder->values.size += n_rows * 4;
  } else {
    const int64_t size = n_rows * qn_type_width(builder->type);
    memset(end_of(&builder->values), 0, (size_t)size);
    builder->values.size += size;
  }
  builder->n_rows += n_rows;
  builder->n_nulls += n_rows;

done:
  return status;
}

qn_status qn_column_builder_append_null(qn_column_builder *builder, qn_error *err) {
  return qn_column_builder_append_nulls(builder, 1, err);
}

qn_status qn_column_builder_append_text(qn_column_builder *builder, const void *data, int64_t size,
                                        qn_error *err) {
  qn_status status = QN_OK;
  if (size < 0 || size > INT32_MAX - builder->bytes.size) {
    return fail_too_long(builder, size, err);
  }
  QN_TRY(reserve_values(builder, 1, err));
  QN_TRY(reserve(&builder->bytes, size, err));
  QN_TRY(append_valid(builder, 1, err));
  if (size > 0) {
    memcpy(end_of(&builder->bytes), data, (size_t)size);
    builder->bytes.size += size;
  }
  const int32_t end = (int32_t)builder->bytes.size;
  memcpy(end_of(&builder->values), &end, sizeof end);
  builder->values.size += 4;
  builder->n_rows++;

done:
  return status;
}

qn_status qn_column_builder_append_value(qn_column_builder *builder, const void *value, qn_error *err) {
  qn_status status = QN_OK;
  if (qn_type_is_text(builder->type)) {
    const qn_text *text = value;
    return qn_column_builder_append_text(builder, text->data, text->size, err);
  }
  const int width = qn_type_width(builder->type);
  QN_TRY(reserve(&builder->values, width, err));
  QN_TRY(append_valid(builder, 1, err));
  memcpy(end_of(&builder->values), value, (size_t)width);
  builder->values.size += width;
  builder->n_rows++;

done:
  return status;
}

// Writes offsets and bytes behind what is counted.
static qn_status append_text_range(qn_column_builder *builder, const qn_column *column, int64_t first,
                                   int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;
  const int32_t *from = column->offsets + first;
  const int64_t n_bytes = (int64_t)from[n_rows] - from[0];
  const int64_t before = builder->bytes.size;

  if (n_bytes > INT32_MAX - before) {
    return fail_too_long(builder, n_bytes, err);
  }
  QN_TRY(reserve_values(builder, n_rows, err));
  QN_TRY(reserve(&builder->bytes, n_bytes, err));
  const int32_t shift = (int32_t)(before - from[0]);
  int32_t *offsets = end_of(&builder->values);
  for (int64_t i = 0; i < n_rows; i++) {
    offsets[i] = from[i + 1] + shift;
  }
  if (n_bytes > 0) {
    memcpy(end_of(&builder->bytes), column->bytes + from[0], (size_t)n_bytes);
  }

done:
  return status;
}

qn_status qn_column_builder_append_range(qn_column_builder *builder, const qn_column *column, int64_t first,
                                         int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n_nulls = 0;

  if (n_rows <= 0) {
    return QN_OK;
  }
  if (column->n_nulls > 0) {
    n_nulls = n_rows - qn_bitmap_count_range(column->validity, first, n_rows);
  }
  const bool is_text = qn_type_is_text(builder->type);
  const int width = is_text ? 4 : qn_type_width(builder->type);
  if (is_text) {
    QN_TRY(append_text_range(builder, column, first, n_rows, err));
  } else {
    QN_TRY(reserve_values(builder, n_rows, err));
    memcpy(end_of(&builder->values), (const char *)column->values + first * width, (size_t)(n_rows * width));
  }
  if (n_nulls > 0 || builder->n_nulls > 0) {
    QN_TRY(qn_column_builder_extend_validity(builder, n_rows, err));
    qn_bitmap_copy(builder->validity.data, builder->n_rows, n_nulls > 0 ? column->validity : NULL, first,
                   n_rows);
  }
  if (is_text) {
    builder->bytes.size += column->offsets[first + n_rows] - column->offsets[first];
  }
  builder->values.size += n_rows * width;
  builder->n_rows += n_rows;
  builder->n_nulls += n_nulls;

done:
  return status;
}

int64_t qn_column_builder_n_bytes(const qn_column_builder *builder) {
  return builder->validity.size + builder->values.size + builder->bytes.size;
}

qn_status qn_column_builder_finish(qn_column_builder *builder, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  const bool is_text = qn_type_is_text(builder->type);
  qn_column column = {.type = builder->type, .n_rows = builder->n_rows, .n_nulls = builder->n_nulls};

  // An empty column has valid pointers too.
  QN_TRY(qn_column_builder_reserve(builder, 0, 0, err));
  if (column.n_nulls > 0) {
    QN_TRY(qn_block_from_buffer_take(&builder->validity, &column.blocks[0], err));
    column.validity = column.blocks[0]->memory;
  }
  QN_TRY(qn_block_from_buffer_take(&builder->values, &column.blocks[1], err));
  if (is_text) {
    QN_TRY(qn_block_from_buffer_take(&builder->bytes, &column.blocks[2], err));
    column.offsets = column.blocks[1]->memory;
    column.bytes = column.blocks[2]->memory;
  } else {
    column.values = column.blocks[1]->memory;
  }
  *out = column;
  column = (qn_column){0};

done:
  qn_column_release(&column);
  qn_column_builder_release(builder);
  return status;
}
