// SPDX-License-Identifier: Apache-2.0
// A growable run of bytes. A zeroed qn_buffer is empty and usable.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <quern/status.h>

typedef struct qn_buffer {
  uint8_t *data;
  int64_t size;     // bytes in use
  int64_t capacity; // bytes allocated, without the slack
} qn_buffer;

/// Makes room for `more` bytes beyond size (amortised doubling). Errors: QN_ERR_MEMORY.
qn_status qn_buffer_reserve(qn_buffer *buffer, int64_t more, qn_error *err);
qn_status qn_buffer_append(qn_buffer *buffer, const void *data, int64_t size, qn_error *err);
/// Appends printf output, without the terminating zero.
qn_status qn_buffer_printf(qn_buffer *buffer, qn_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/// Appends a zero byte that is not counted in size, so that data is a C string.
qn_status qn_buffer_terminate(qn_buffer *buffer, qn_error *err);
/// Frees; leaves it empty and usable.
void qn_buffer_release(qn_buffer *buffer);
/// Moves the contents; `from` is empty afterwards. `to` must be empty.
void qn_buffer_move(qn_buffer *from, qn_buffer *to);
