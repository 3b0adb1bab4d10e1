// SPDX-License-Identifier: Apache-2.0
// The memory is laid out as head, entries, values of all columns, bytes of text, validity: validity comes
// last because most batches have none, so a full buffer without nulls has no gaps.
#include "column/wire_builder.h"
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/wire_form.h"

enum { LARGEST_GAPS = 16 }; // this part of the encoded batch

qn_status qn_wire_builder_init(qn_wire_builder *builder, const qn_schema *schema, qn_error *err) {
  *builder = (qn_wire_builder){0};
  return qn_batch_builder_init(&builder->rows, schema, err);
}

static void displace(qn_wire_builder *builder) {
  for (int i = 0; i < builder->rows.n_columns; i++) {
    const qn_type type = builder->rows.columns[i].type;
    builder->rows.columns[i] = (qn_column_builder){.type = type};
  }
  builder->rows.n_rows = 0;
  builder->memory = NULL;
  builder->capacity = 0;
}

void qn_wire_builder_release(qn_wire_builder *builder) {
  displace(builder);
  qn_batch_builder_release(&builder->rows);
}

static int64_t text_per_row(const qn_column *column) {
  const int64_t n_bytes =
      column->n_rows > 0 ? (int64_t)column->offsets[column->n_rows] - column->offsets[0] : 0;
  return column->n_rows > 0 ? n_bytes / column->n_rows + 1 : 1;
}

// What the parts of `capacity` rows of a column take, as the builder of a column asks for it.
static int64_t values_room(qn_type type, int64_t capacity) {
  return qn_wire_pad((capacity + 2) * (qn_type_is_text(type) ? 4 : qn_type_width(type)));
}
static int64_t validity_room(int64_t capacity) {
  return qn_wire_pad(qn_bitmap_bytes(capacity) + 3);
}

static int64_t all_room(const qn_batch_builder *rows, const qn_batch *like, int64_t capacity) {
  int64_t size = qn_wire_head_size(rows->n_columns);
  for (int i = 0; i < rows->n_columns; i++) {
    const qn_type type = rows->columns[i].type;
    size += values_room(type, capacity) + validity_room(capacity);
    size +=
        qn_type_is_text(type) ? qn_wire_pad(capacity * text_per_row(&like->columns[i])) + QN_MEMORY_SLACK : 0;
  }
  return size;
}

// The most rows for which there is room.
static int64_t choose_capacity(const qn_batch_builder *rows, int64_t size, const qn_batch *like) {
  int64_t low = 0;
  int64_t high = size;
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (all_room(rows, like, middle) <= size) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

static int64_t place_buffer(const qn_wire_builder *builder, qn_buffer *buffer, int64_t at, int64_t room) {
  *buffer = (qn_buffer){.data = builder->memory + at, .capacity = room};
  return at + room;
}

void qn_wire_builder_place(qn_wire_builder *builder, uint8_t *memory, int64_t size, const qn_batch *like) {
  qn_batch_builder *rows = &builder->rows;
  int64_t at = qn_wire_head_size(rows->n_columns);

  displace(builder);
  builder->memory = memory;
  const int64_t capacity = choose_capacity(rows, size, like);
  for (int i = 0; i < rows->n_columns; i++) {
    at = place_buffer(builder, &rows->columns[i].values, at, values_room(rows->columns[i].type, capacity));
  }
  for (int i = 0; i < rows->n_columns; i++) {
    if (qn_type_is_text(rows->columns[i].type)) {
      const int64_t room = qn_wire_pad(capacity * text_per_row(&like->columns[i]));
      at = place_buffer(builder, &rows->columns[i].bytes, at, room) + QN_MEMORY_SLACK;
    }
  }
  for (int i = 0; i < rows->n_columns; i++) {
    at = place_buffer(builder, &rows->columns[i].validity, at, validity_room(capacity));
  }
  builder->capacity = at <= size ? capacity : 0;
}

// How many of the first n rows have room for their text in a column.
static int64_t count_fitting_text(const qn_buffer *bytes, const qn_column *column, const qn_selection *rows,
                                  int64_t n) {
  const int64_t room = bytes->capacity - bytes->size;
  const int32_t *offsets = column->offsets;
  if (rows->rows == NULL && (int64_t)offsets[rows->first + n] - offsets[rows->first] <= room) {
    return n;
  }
  if ((int64_t)offsets[column->n_rows] - offsets[0] <= room) {
    return n;
  }
  int64_t n_bytes = 0;
  for (int64_t i = 0; i < n; i++) {
    const int64_t row = rows->rows != NULL ? rows->rows[i] : rows->first + i;
    n_bytes += offsets[row + 1] - offsets[row];
    if (n_bytes > room) {
      return i;
    }
  }
  return n;
}

int64_t qn_wire_builder_count_fitting(const qn_wire_builder *builder, const qn_selection *rows) {
  const int64_t room = builder->capacity - builder->rows.n_rows;
  int64_t n = rows->n_rows < room ? rows->n_rows : room;
  for (int i = 0; i < builder->rows.n_columns && n > 0; i++) {
    if (qn_type_is_text(builder->rows.columns[i].type)) {
      n = count_fitting_text(&builder->rows.columns[i].bytes, &rows->batch->columns[i], rows, n);
    }
  }
  return n;
}

qn_status qn_wire_builder_append(qn_wire_builder *builder, const qn_selection *rows, int64_t n,
                                 qn_error *err) {
  return rows->rows != NULL ? qn_batch_builder_append_gather(&builder->rows, rows->batch, rows->rows, n, err)
                            : qn_batch_builder_append_range(&builder->rows, rows->batch, rows->first, n, err);
}

// Bytes that the encoded batch takes without gaps, and where its last part ends now.
static int64_t measure(const qn_wire_builder *builder, int64_t *end) {
  int64_t size = qn_wire_head_size(builder->rows.n_columns);
  *end = size;
  for (int i = 0; i < builder->rows.n_columns; i++) {
    const qn_column_builder *column = &builder->rows.columns[i];
    const qn_buffer *parts[] = {&column->values, &column->bytes, &column->validity};
    for (int p = 0; p < (column->n_nulls > 0 ? 3 : 2); p++) {
      const int64_t padded = qn_wire_pad(parts[p]->size);
      const int64_t part_end = padded > 0 ? parts[p]->data - builder->memory + padded : 0;
      size += padded;
      *end = part_end > *end ? part_end : *end;
    }
  }
  return size;
}

// Where a part of the encoded batch goes that lies in a buffer now; *end moves behind it.
static int64_t seal_part(uint8_t *memory, const qn_buffer *buffer, bool is_moved, int64_t *end) {
  const int64_t padded = qn_wire_pad(buffer->size);
  int64_t at = padded > 0 ? buffer->data - memory : *end;
  if (is_moved && at > *end) {
    at = *end;
    memmove(memory + at, buffer->data, (size_t)buffer->size);
  }
  memset(memory + *end, 0, (size_t)(at - *end));
  memset(memory + at + buffer->size, 0, (size_t)(padded - buffer->size));
  *end = at + padded;
  return at;
}

int64_t qn_wire_builder_seal(qn_wire_builder *builder) {
  const qn_batch_builder *rows = &builder->rows;
  uint8_t *memory = builder->memory;
  int64_t last_end = 0;
  const int64_t dense = measure(builder, &last_end);
  const bool is_moved = last_end - dense > dense / LARGEST_GAPS;
  int64_t end = qn_wire_head_size(rows->n_columns);

  for (int i = 0; i < rows->n_columns; i++) {
    const qn_column_builder *column = &rows->columns[i];
    qn_wire_entry *entry = qn_wire_entry_at(memory, i);
    *entry = (qn_wire_entry){.type = (uint32_t)column->type, .n_nulls = column->n_nulls};
    entry->values_at = entry->bytes_at = seal_part(memory, &column->values, is_moved, &end);
  }
  for (int i = 0; i < rows->n_columns; i++) {
    const qn_column_builder *column = &rows->columns[i];
    if (qn_type_is_text(column->type)) {
      qn_wire_entry *entry = qn_wire_entry_at(memory, i);
      entry->bytes_at = seal_part(memory, &column->bytes, is_moved, &end);
      entry->n_bytes = column->bytes.size;
    }
  }
  for (int i = 0; i < rows->n_columns; i++) {
    const qn_column_builder *column = &rows->columns[i];
    if (column->n_nulls > 0) {
      qn_wire_entry_at(memory, i)->validity_at = seal_part(memory, &column->validity, is_moved, &end);
    }
  }
  qn_wire_put_head(memory, rows->n_columns, rows->n_rows, end);
  displace(builder);
  return end;
}
