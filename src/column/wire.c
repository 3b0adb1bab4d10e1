// SPDX-License-Identifier: Apache-2.0
// The encoded form: a head, an entry per column, then the columns' memory, each part at a multiple of 8 bytes
// where its entry says. Decoding copies nothing; it checks everything that a wrong byte could turn into a
// read outside the block.
#include "column/wire.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "column/bitmap.h"
#include "column/wire_form.h"

enum { WIRE_MAGIC = 0x32574e51 }; // "QNW2" on a little-endian machine; another byte order is refused by it

static int64_t text_bytes(const qn_column *column) {
  return column->n_rows > 0 ? (int64_t)column->offsets[column->n_rows] - column->offsets[0] : 0;
}

static int64_t validity_size(int64_t n_nulls, int64_t n_rows) {
  return n_nulls > 0 ? qn_wire_pad(qn_bitmap_bytes(n_rows)) : 0;
}

static int64_t values_size(qn_type type, int64_t n_rows) {
  return qn_wire_pad(qn_type_is_text(type) ? (n_rows + 1) * 4 : n_rows * qn_type_width(type));
}

int64_t qn_wire_size(const qn_batch *batch) {
  int64_t size = qn_wire_head_size(batch->n_columns);
  for (int i = 0; i < batch->n_columns; i++) {
    const qn_column *column = &batch->columns[i];
    size += validity_size(column->n_nulls, batch->n_rows) + values_size(column->type, batch->n_rows);
    size += qn_type_is_text(column->type) ? qn_wire_pad(text_bytes(column)) : 0;
  }
  return size;
}

// Copies and pads with zeros; returns where the next part goes.
static int64_t put(uint8_t *out, int64_t at, const void *from, int64_t size) {
  if (size > 0) {
    memcpy(out + at, from, (size_t)size);
    memset(out + at + size, 0, (size_t)(qn_wire_pad(size) - size));
  }
  return at + qn_wire_pad(size);
}

static int64_t put_offsets(uint8_t *out, int64_t at, const qn_column *column) {
  const int64_t n = column->n_rows + 1;
  const int32_t first = column->n_rows > 0 ? column->offsets[0] : 0;
  if (first == 0 && column->n_rows > 0) {
    return put(out, at, column->offsets, n * 4);
  }
  int32_t *offsets = (int32_t *)(void *)(out + at);
  offsets[0] = 0;
  for (int64_t i = 1; i < n; i++) {
    offsets[i] = column->offsets[i] - first;
  }
  memset(out + at + n * 4, 0, (size_t)(qn_wire_pad(n * 4) - n * 4));
  return at + qn_wire_pad(n * 4);
}

static int64_t put_column(uint8_t *out, int64_t at, const qn_column *column, qn_wire_entry *entry) {
  *entry = (qn_wire_entry){.type = (uint32_t)column->type, .n_nulls = column->n_nulls, .validity_at = at};
  if (column->n_nulls > 0) {
    at = put(out, at, column->validity, qn_bitmap_bytes(column->n_rows));
  }
  entry->values_at = entry->bytes_at = at;
  if (!qn_type_is_text(column->type)) {
    return put(out, at, column->values, column->n_rows * qn_type_width(column->type));
  }
  entry->bytes_at = put_offsets(out, at, column);
  entry->n_bytes = text_bytes(column);
  return put(out, entry->bytes_at, entry->n_bytes > 0 ? column->bytes + column->offsets[0] : NULL,
             entry->n_bytes);
}

void qn_wire_put_head(uint8_t *out, int n_columns, int64_t n_rows, int64_t size) {
  const qn_wire_head head = {
      .magic = WIRE_MAGIC, .n_columns = (uint32_t)n_columns, .n_rows = n_rows, .size = size};
  memcpy(out, &head, sizeof head);
}

qn_status qn_wire_encode(const qn_batch *batch, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t size = qn_wire_size(batch);

  QN_TRY(qn_buffer_reserve(out, size, err));
  uint8_t *to = out->data + out->size;
  int64_t at = qn_wire_head_size(batch->n_columns);
  qn_wire_put_head(to, batch->n_columns, batch->n_rows, size);
  for (int i = 0; i < batch->n_columns; i++) {
    at = put_column(to, at, &batch->columns[i], qn_wire_entry_at(to, i));
  }
  out->size += size;

done:
  return status;
}

// An encoded batch that is being read.
typedef struct {
  const uint8_t *data;
  int64_t first; // where the columns' memory begins
  int64_t size;
} wire_view;

// A part of `size` bytes, or NULL if it is not inside.
static const uint8_t *take(const wire_view *view, int64_t at, int64_t size) {
  if (at < view->first || at % 8 != 0 || at > view->size || size < 0 || size > view->size - at) {
    return NULL;
  }
  return view->data + at;
}

static bool offsets_are_valid(const int32_t *offsets, int64_t n_rows, int64_t n_bytes) {
  int is_bad = offsets[0] != 0 || offsets[n_rows] != n_bytes;
  for (int64_t i = 0; i < n_rows; i++) {
    is_bad |= offsets[i] > offsets[i + 1];
  }
  return !is_bad;
}

static bool bools_are_valid(const uint8_t *values, int64_t n_rows) {
  uint8_t any = 0;
  for (int64_t i = 0; i < n_rows; i++) {
    any |= values[i];
  }
  return any <= 1;
}

// Finds a column's parts. Returns what is wrong, or NULL.
static const char *take_column(const wire_view *view, const qn_wire_entry *entry, qn_type type,
                               int64_t n_rows, qn_column *column) {
  if (entry->type != (uint32_t)type) {
    return "has another type";
  }
  if (n_rows > view->size || entry->n_nulls < 0 || entry->n_nulls > n_rows) {
    return "has more rows than bytes, or more nulls than rows";
  }
  *column = (qn_column){.type = type, .n_rows = n_rows, .n_nulls = entry->n_nulls};
  if (entry->n_nulls > 0) {
    column->validity = take(view, entry->validity_at, qn_bitmap_bytes(n_rows));
    if (column->validity == NULL) {
      return "is cut off in its validity";
    }
    if (n_rows - qn_bitmap_count(column->validity, n_rows) != entry->n_nulls) {
      return "has another number of nulls than it says";
    }
  }
  const uint8_t *values =
      take(view, entry->values_at, qn_type_is_text(type) ? (n_rows + 1) * 4 : n_rows * qn_type_width(type));
  if (values == NULL) {
    return "is cut off in its values";
  }
  if (!qn_type_is_text(type)) {
    column->values = values;
    return type != QN_BOOL || bools_are_valid(values, n_rows) ? NULL : "has bools that are neither 0 nor 1";
  }
  column->offsets = (const int32_t *)(const void *)values;
  column->bytes = take(view, entry->bytes_at, entry->n_bytes);
  if (column->bytes == NULL) {
    return "is cut off in its text";
  }
  return offsets_are_valid(column->offsets, n_rows, entry->n_bytes) ? NULL : "has wrong offsets";
}

static qn_status check_head(const qn_wire_head *head, const qn_schema *schema, int64_t size, qn_error *err) {
  if (head->magic != WIRE_MAGIC) {
    return qn_fail(err, QN_ERR_FORMAT, "an encoded batch starts with %08" PRIx32 " instead of %08x",
                   head->magic, (unsigned)WIRE_MAGIC);
  }
  if (head->n_columns != (uint32_t)schema->n_columns) {
    return qn_fail(err, QN_ERR_FORMAT, "an encoded batch has %" PRIu32 " columns, %d were expected",
                   head->n_columns, schema->n_columns);
  }
  if (head->size < qn_wire_head_size(schema->n_columns) || head->size > size || head->size % 8 != 0) {
    return qn_fail(err, QN_ERR_FORMAT,
                   "an encoded batch says it has %" PRId64 " bytes, but there are %" PRId64, head->size,
                   size);
  }
  if (head->n_rows < 0) {
    return qn_fail(err, QN_ERR_FORMAT, "an encoded batch says it has %" PRId64 " rows", head->n_rows);
  }
  return QN_OK;
}

qn_status qn_wire_decode(const qn_schema *schema, qn_block *block, const uint8_t *data, int64_t size,
                         qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_column *columns = NULL;
  qn_wire_head head;

  QN_REQUIRE(size >= (int64_t)sizeof head && (uintptr_t)data % 8 == 0, err, QN_ERR_FORMAT,
             "an encoded batch has %" PRId64
             " bytes, %zu at least were expected, at an address divisible by 8",
             size, sizeof head);
  memcpy(&head, data, sizeof head);
  QN_TRY(check_head(&head, schema, size, err));
  columns = calloc((size_t)schema->n_columns + 1, sizeof *columns);
  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for a batch of %d columns", schema->n_columns);
  const qn_wire_entry *entries = (const qn_wire_entry *)(const void *)(data + sizeof head);
  const wire_view view = {.data = data, .first = qn_wire_head_size(schema->n_columns), .size = head.size};
  for (int i = 0; i < schema->n_columns; i++) {
    const char *mistake = take_column(&view, &entries[i], schema->fields[i].type, head.n_rows, &columns[i]);
    QN_REQUIRE(mistake == NULL, err, QN_ERR_FORMAT, "an encoded batch of %" PRId64 " rows: column '%s' %s",
               head.n_rows, schema->fields[i].name, mistake);
  }
  for (int i = 0; i < schema->n_columns; i++) {
    columns[i].blocks[1] = qn_block_share(block);
  }
  QN_TRY(qn_batch_new_take(schema, head.n_rows, columns, out, err));

done:
  free(columns);
  return status;
}
