// SPDX-License-Identifier: Apache-2.0
// Appenders. Each call is a handful of instructions: every column has a slot with the types it takes at the
// moment (none after a mistake), so that one test covers wrong types and failed appenders; then a capacity
// check and a store. Everything else is off the path.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "column/appender_state.h"

enum { SINK_BYTES = 1 << 20, SHORT_TEXT = 16, ACCEPTS_NULL = 1u << QN_N_TYPES };

qn_status qn_appender_new(const qn_schema *schema, qn_appender **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_appender *appender = calloc(1, sizeof *appender);

  QN_REQUIRE(appender != NULL, err, QN_ERR_MEMORY, "no memory for an appender");
  QN_REQUIRE(schema->n_columns > 0, err, QN_ERR_ARG, "an appender needs a schema with at least one column");
  QN_TRY(qn_batch_builder_init(&appender->builder, schema, err));
  appender->slots = calloc((size_t)schema->n_columns, sizeof *appender->slots);
  QN_REQUIRE(appender->slots != NULL, err, QN_ERR_MEMORY, "no memory for an appender");
  appender->n_columns = schema->n_columns;
  appender->words = qn_word_kernels_best();
  appender->most_rows = INT64_MAX;
  appender->most_bytes = INT64_MAX;
  for (int i = 0; i < schema->n_columns; i++) {
    const qn_type type = schema->fields[i].type;
    appender->slots[i] =
        (qn_appender_slot){.accepts = (1u << type) | ACCEPTS_NULL, .builder = &appender->builder.columns[i]};
    appender->row_bytes += qn_type_is_text(type) ? 4 : qn_type_width(type);
  }
  *out = appender;
  appender = NULL;

done:
  qn_appender_free(appender);
  return status;
}

void qn_appender_free(qn_appender *appender) {
  if (appender == NULL) {
    return;
  }
  qn_batch_builder_release(&appender->builder);
  free(appender->slots);
  free(appender);
}

void qn_appender_keep_mistake(qn_appender *appender, qn_status status) {
  appender->status = status;
  for (int i = 0; i < appender->n_columns; i++) {
    appender->slots[i].accepts = 0;
  }
}

static const char *next_name(const qn_appender *appender) {
  return appender->builder.schema->fields[appender->column].name;
}

// Called when a slot does not take a value: `given` is what was appended.
__attribute__((cold, noinline)) static void refuse(qn_appender *appender, const char *given) {
  if (appender->status != QN_OK) {
    return;
  }
  const qn_type type = appender->builder.schema->fields[appender->column].type;
  const qn_status status =
      qn_fail(&appender->error, QN_ERR_TYPE,
              "output row %" PRId64
              ", column '%s': %s was appended, but the column (%d of %d) is %s; append the values of a "
              "row in the order of the schema",
              appender->n_rows_given + appender->n_rows + 1, next_name(appender), given, appender->column + 1,
              appender->n_columns, qn_type_name(type));
  qn_appender_keep_mistake(appender, status);
}

// Makes a batch of the complete rows. The next rows will be of about the same size, so their memory is taken
// at once.
static qn_status take_batch(qn_appender *appender, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_rows = appender->n_rows;
  qn_batch *batch = NULL;

  appender->builder.n_rows = n_rows;
  QN_TRY(qn_batch_builder_finish(&appender->builder, &batch, err));
  appender->n_rows_given += n_rows;
  appender->n_rows = 0;
  appender->n_bytes = 0;
  *out = batch;

done:
  return status;
}

static qn_status reserve_like(qn_appender *appender, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  for (int i = 0; i < appender->n_columns; i++) {
    const qn_column *column = &batch->columns[i];
    const int64_t n_bytes = column->offsets != NULL ? column->offsets[column->n_rows] : 0;
    QN_TRY(qn_column_builder_reserve(appender->slots[i].builder, column->n_rows, n_bytes + n_bytes / 8, err));
  }

done:
  return status;
}

static qn_status give_batch(qn_appender *appender, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  QN_TRY(take_batch(appender, &batch, err));
  QN_TRY(reserve_like(appender, batch, err));
  QN_TRY(appender->full(appender->ctx, batch, err));

done:
  qn_batch_free(batch);
  return status;
}

void qn_appender_hand_over(qn_appender *appender) {
  const qn_status status = give_batch(appender, &appender->error);
  if (status != QN_OK) {
    qn_appender_keep_mistake(appender, status);
  }
}

static inline void end_value(qn_appender *appender) {
  if (++appender->column < appender->n_columns) {
    return;
  }
  appender->column = 0;
  appender->n_rows++;
  appender->n_bytes += appender->row_bytes;
  if (__builtin_expect(appender->n_rows >= appender->most_rows || appender->n_bytes >= appender->most_bytes,
                       0)) {
    qn_appender_hand_over(appender);
  }
}

// Marks the next row as valid, if that takes no memory.
static inline bool mark_valid(qn_column_builder *builder) {
  if (__builtin_expect(builder->n_nulls == 0, 1)) {
    return true;
  }
  qn_buffer *validity = &builder->validity;
  if (builder->n_rows >> 3 >= validity->size) {
    if (validity->size == validity->capacity) {
      return false;
    }
    validity->data[validity->size++] = 0;
  }
  qn_bitmap_set(validity->data, builder->n_rows);
  return true;
}

// The way of a value that needs memory.
__attribute__((noinline)) static void append_slowly(qn_appender *appender, const void *value) {
  const qn_status status =
      qn_column_builder_append_value(appender->slots[appender->column].builder, value, &appender->error);
  if (status != QN_OK) {
    qn_appender_keep_mistake(appender, status);
    return;
  }
  end_value(appender);
}

__attribute__((always_inline)) static inline void
append_fixed(qn_appender *appender, unsigned types, const char *given, const void *value, int width) {
  const qn_appender_slot *slot = &appender->slots[appender->column];
  if (__builtin_expect((slot->accepts & types) == 0, 0)) {
    refuse(appender, given);
    return;
  }
  qn_column_builder *builder = slot->builder;
  const bool has_room = width <= builder->values.capacity - builder->values.size && mark_valid(builder);
  if (__builtin_expect(!has_room, 0)) {
    append_slowly(appender, value);
    return;
  }
  memcpy(builder->values.data + builder->values.size, value, (size_t)width);
  builder->values.size += width;
  builder->n_rows++;
  end_value(appender);
}

void qn_append_bool(qn_appender *appender, bool value) {
  const uint8_t byte = value;
  append_fixed(appender, 1u << QN_BOOL, "a bool", &byte, 1);
}

void qn_append_int32(qn_appender *appender, int32_t value) {
  append_fixed(appender, 1u << QN_INT32 | 1u << QN_DATE, "an int32", &value, 4);
}

void qn_append_int64(qn_appender *appender, int64_t value) {
  append_fixed(appender, 1u << QN_INT64 | 1u << QN_TIMESTAMP, "an int64", &value, 8);
}

void qn_append_float32(qn_appender *appender, float value) {
  append_fixed(appender, 1u << QN_FLOAT32, "a float32", &value, 4);
}

void qn_append_float64(qn_appender *appender, double value) {
  append_fixed(appender, 1u << QN_FLOAT64, "a float64", &value, 8);
}

void qn_append_null(qn_appender *appender) {
  const qn_appender_slot *slot = &appender->slots[appender->column];
  if (slot->accepts == 0) {
    return;
  }
  const qn_status status = qn_column_builder_append_null(slot->builder, &appender->error);
  if (status != QN_OK) {
    qn_appender_keep_mistake(appender, status);
    return;
  }
  end_value(appender);
}

// Text that needs memory, or is wrong.
__attribute__((noinline)) static void append_text_slowly(qn_appender *appender, const char *data,
                                                         int64_t size) {
  qn_status status = QN_OK;
  qn_column_builder *builder = appender->slots[appender->column].builder;
  qn_error *err = &appender->error;

  QN_REQUIRE(size >= 0 && (data != NULL || size == 0), err, QN_ERR_ARG,
             "output row %" PRId64 ", column '%s': text of %" PRId64 " bytes at %s was appended",
             appender->n_rows_given + appender->n_rows + 1, next_name(appender), size,
             data == NULL ? "no address" : "some address");
  if (builder->type == QN_UTF8 && data != NULL) {
    const int64_t bad = qn_utf8_find_invalid(data, size);
    QN_REQUIRE(bad < 0, err, QN_ERR_VALUE,
               "output row %" PRId64 ", column '%s': byte 0x%02x at byte %" PRId64
               " of the appended text is not valid UTF-8; convert the text, or make the column binary",
               appender->n_rows_given + appender->n_rows + 1, next_name(appender),
               (unsigned)(uint8_t)data[bad], bad);
  }
  QN_TRY(qn_column_builder_append_text(builder, data, size, err));
  appender->n_bytes += size;
  end_value(appender);

done:
  if (status != QN_OK) {
    qn_appender_keep_mistake(appender, status);
  }
}

// Two words that overlap hold any text of 8 to 16 bytes, two halves any of 4 to 8, so that short text is
// tested and copied without a loop. The target has room for more: its slack.
typedef struct {
  uint64_t first;
  uint64_t last;
} short_text;

__attribute__((always_inline)) static inline short_text load_short(const char *data, int64_t size) {
  short_text text = {0};
  if (size >= 8) {
    memcpy(&text.first, data, 8);
    memcpy(&text.last, data + size - 8, 8);
  } else if (size >= 4) {
    uint32_t first;
    uint32_t last;
    memcpy(&first, data, 4);
    memcpy(&last, data + size - 4, 4);
    text.first = first;
    text.last = last;
  } else if (size > 0) {
    text.first = (uint8_t)data[0];
    text.last = (uint64_t)(uint8_t)data[size >> 1] | (uint64_t)(uint8_t)data[size - 1] << 8;
  }
  return text;
}

__attribute__((always_inline)) static inline void store_short(uint8_t *to, short_text text, int64_t size) {
  if (size >= 8) {
    memcpy(to, &text.first, 8);
    memcpy(to + size - 8, &text.last, 8);
  } else if (size >= 4) {
    const uint32_t first = (uint32_t)text.first;
    const uint32_t last = (uint32_t)text.last;
    memcpy(to, &first, 4);
    memcpy(to + size - 4, &last, 4);
  } else if (size > 0) {
    to[0] = (uint8_t)text.first;
    to[size >> 1] = (uint8_t)text.last;
    to[size - 1] = (uint8_t)(text.last >> 8);
  }
}

static bool text_is_valid(const qn_column_builder *builder, const char *data, int64_t size) {
  return builder->type == QN_BINARY || qn_utf8_find_invalid(data, size) < 0;
}

// Room for an offset and the bytes; offsets are there from the first append on.
static bool has_room_for_text(const qn_column_builder *builder, int64_t size) {
  return builder->values.size > 0 && 4 <= builder->values.capacity - builder->values.size &&
         (uint64_t)size <= (uint64_t)(builder->bytes.capacity - builder->bytes.size) &&
         size <= INT32_MAX - builder->bytes.size;
}

void qn_append_text(qn_appender *appender, const char *data, int64_t size) {
  const qn_appender_slot *slot = &appender->slots[appender->column];
  if (__builtin_expect((slot->accepts & (1u << QN_UTF8 | 1u << QN_BINARY)) == 0, 0)) {
    refuse(appender, "text");
    return;
  }
  qn_column_builder *builder = slot->builder;
  if (__builtin_expect(!has_room_for_text(builder, size) || (data == NULL && size > 0), 0)) {
    append_text_slowly(appender, data, size);
    return;
  }
  uint8_t *to = builder->bytes.data + builder->bytes.size;
  if (size <= SHORT_TEXT) {
    const short_text text = load_short(data, size);
    const bool is_ascii = ((text.first | text.last) & 0x8080808080808080ull) == 0;
    if (__builtin_expect((!is_ascii && !text_is_valid(builder, data, size)) || !mark_valid(builder), 0)) {
      append_text_slowly(appender, data, size);
      return;
    }
    store_short(to, text, size);
  } else {
    if (__builtin_expect(!text_is_valid(builder, data, size) || !mark_valid(builder), 0)) {
      append_text_slowly(appender, data, size);
      return;
    }
    memcpy(to, data, (size_t)size);
  }
  builder->bytes.size += size;
  const int32_t end = (int32_t)builder->bytes.size;
  memcpy(builder->values.data + builder->values.size, &end, sizeof end);
  builder->values.size += 4;
  builder->n_rows++;
  appender->n_bytes += size;
  end_value(appender);
}

void qn_append_from(qn_appender *appender, const qn_column *column, int64_t row) {
  const qn_appender_slot *slot = &appender->slots[appender->column];
  if (__builtin_expect((slot->accepts & (1u << column->type)) == 0, 0)) {
    char given[64];
    snprintf(given, sizeof given, "a value of a %s column", qn_type_name(column->type));
    refuse(appender, given);
    return;
  }
  if (__builtin_expect((uint64_t)row >= (uint64_t)column->n_rows, 0)) {
    qn_appender_keep_mistake(appender, qn_fail(&appender->error, QN_ERR_ARG,
                                               "output row %" PRId64 ", column '%s': row %" PRId64
                                               " of a column of %" PRId64 " rows was appended",
                                               appender->n_rows_given + appender->n_rows + 1,
                                               next_name(appender), row, column->n_rows));
    return;
  }
  if (qn_column_is_null(column, row)) {
    qn_append_null(appender);
    return;
  }
  qn_status status = QN_OK;
  if (qn_type_is_text(column->type)) {
    // Batches hold valid UTF-8, so there is nothing to check here.
    const qn_text text = qn_column_text(column, row);
    status = qn_column_builder_append_text(slot->builder, text.data, text.size, &appender->error);
    appender->n_bytes += text.size;
  } else {
    const void *value = (const char *)column->values + row * qn_type_width(column->type);
    status = qn_column_builder_append_value(slot->builder, value, &appender->error);
  }
  if (status != QN_OK) {
    qn_appender_keep_mistake(appender, status);
    return;
  }
  end_value(appender);
}

qn_status qn_appender_fail(qn_appender *appender, const char *format, ...) {
  if (appender->status != QN_OK) {
    return QN_ERR_CALLBACK;
  }
  char message[sizeof appender->error.message];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  qn_appender_keep_mistake(appender, qn_fail(&appender->error, QN_ERR_CALLBACK, "%s", message));
  return QN_ERR_CALLBACK;
}

qn_status qn_appender_status(const qn_appender *appender, qn_error *err) {
  if (appender->status != QN_OK && err != NULL) {
    *err = appender->error;
  }
  return appender->status;
}

int64_t qn_appender_n_rows(const qn_appender *appender) {
  return appender->n_rows;
}

int64_t qn_appender_n_bytes(const qn_appender *appender) {
  return appender->n_bytes;
}

void qn_appender_set_sink(qn_appender *appender, qn_status (*full)(void *ctx, qn_batch *batch, qn_error *err),
                          void *ctx) {
  appender->full = full;
  appender->ctx = ctx;
  appender->most_rows = full != NULL ? QN_BATCH_ROWS : INT64_MAX;
  appender->most_bytes = full != NULL ? SINK_BYTES : INT64_MAX;
}

// Reports the first mistake, or a row that was begun and not completed.
static qn_status check_complete(const qn_appender *appender, qn_error *err) {
  if (appender->status != QN_OK) {
    return qn_appender_status(appender, err);
  }
  if (appender->column > 0) {
    return qn_fail(err, QN_ERR_ARG,
                   "output row %" PRId64
                   " has %d of %d values: column '%s' is the next; append a value for every "
                   "column",
                   appender->n_rows_given + appender->n_rows + 1, appender->column, appender->n_columns,
                   next_name(appender));
  }
  return QN_OK;
}

qn_status qn_appender_finish(qn_appender *appender, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(check_complete(appender, err));
  QN_TRY(take_batch(appender, out, err));

done:
  return status;
}

qn_status qn_appender_flush(qn_appender *appender, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(check_complete(appender, err));
  if (appender->n_rows > 0 && appender->full != NULL) {
    qn_appender_hand_over(appender);
    QN_TRY(qn_appender_status(appender, err));
  }

done:
  return status;
}
