// SPDX-License-Identifier: Apache-2.0
// Growable runs of bytes over accounted memory.
#include "base/buffer.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include "base/check.h"
#include "base/memory.h"

qn_status qn_buffer_reserve(qn_buffer *buffer, int64_t more, qn_error *err) {
  if (more >= 0 && more <= buffer->capacity - buffer->size) {
    return QN_OK;
  }
  int64_t needed = 0;
  if (more < 0 || __builtin_add_overflow(buffer->size, more, &needed)) {
    return qn_fail(err, QN_ERR_MEMORY, "a buffer of %" PRId64 " bytes cannot take %" PRId64 " more",
                   buffer->size, more);
  }
  // An exact first size (callers who know it say it), then doubling.
  int64_t capacity = needed < 64 ? 64 : needed;
  if (buffer->capacity > 0 && buffer->capacity <= INT64_MAX / 2 && capacity < 2 * buffer->capacity) {
    capacity = 2 * buffer->capacity;
  }
  uint8_t *data = qn_memory_resize(buffer->data, capacity);
  if (data == NULL && capacity > needed) {
    capacity = needed;
    data = qn_memory_resize(buffer->data, capacity);
  }
  if (data == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory for a buffer of %" PRId64 " bytes (%" PRId64 " in use)",
                   capacity, qn_memory_used());
  }
  buffer->data = data;
  buffer->capacity = capacity;
  return QN_OK;
}

qn_status qn_buffer_append(qn_buffer *buffer, const void *data, int64_t size, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(qn_buffer_reserve(buffer, size, err));
  if (size > 0) {
    memcpy(buffer->data + buffer->size, data, (size_t)size);
    buffer->size += size;
  }

done:
  return status;
}

qn_status qn_buffer_printf(qn_buffer *buffer, qn_error *err, const char *format, ...) {
  qn_status status = QN_OK;
  va_list args;
  va_list again;

  va_start(args, format);
  va_copy(again, args);
  const int size = vsnprintf(NULL, 0, format, args);
  QN_REQUIRE(size >= 0, err, QN_ERR_VALUE, "text with format '%s' cannot be printed", format);
  QN_TRY(qn_buffer_reserve(buffer, (int64_t)size + 1, err));
  vsnprintf((char *)buffer->data + buffer->size, (size_t)size + 1, format, again);
  buffer->size += size;

done:
  va_end(again);
  va_end(args);
  return status;
}

qn_status qn_buffer_terminate(qn_buffer *buffer, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(qn_buffer_reserve(buffer, 1, err));
  buffer->data[buffer->size] = 0;

done:
  return status;
}

void qn_buffer_release(qn_buffer *buffer) {
  qn_memory_free(buffer->data);
  *buffer = (qn_buffer){0};
}

void qn_buffer_move(qn_buffer *from, qn_buffer *to) {
  *to = *from;
  *from = (qn_buffer){0};
}
