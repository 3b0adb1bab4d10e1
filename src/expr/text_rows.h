// SPDX-License-Identifier: Apache-2.0
// What kernels with a result of text share: the loop over rows, and steps over characters of valid UTF-8.
#pragma once
#include <string.h>
#include "base/check.h"
#include "expr/function_table.h"

enum { QN_LONGEST_MADE_TEXT = 64 << 20 }; // that repeat and pad may make of one value

/// The text of a row: a piece of an argument, or in `scratch`, which is empty before. The row has no null
/// argument.
typedef qn_status qn_text_of_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err);

/// No byte beyond ASCII.
static inline bool qn_bytes_are_ascii(const uint8_t *bytes, int64_t size) {
  uint8_t all = 0;
  for (int64_t i = 0; i < size; i++) {
    all |= bytes[i];
  }
  return all < 0x80;
}
static inline bool qn_column_is_ascii(const qn_column *column) {
  const int32_t first = column->offsets[0];
  return qn_bytes_are_ascii(column->bytes + first, (int64_t)column->offsets[column->n_rows] - first);
}
/// Sets is_ascii: then characters are bytes.
static inline void qn_call_check_ascii(qn_call *call) {
  call->is_ascii = qn_column_is_ascii(&call->args[0].column);
}

/// Appends to call->texts, which has room for the offsets of all rows.
static inline qn_status qn_call_append_text(qn_call *call, qn_text text, qn_error *err) {
  qn_column_builder *builder = &call->texts;
  const int64_t end = builder->bytes.size + text.size;
  if (__builtin_expect(end > builder->bytes.capacity || end > INT32_MAX || builder->n_nulls > 0 ||
                           builder->values.size + 4 > builder->values.capacity,
                       0)) {
    return qn_column_builder_append_text(builder, text.data, text.size, err);
  }
  if (text.size > 0) {
    memcpy(builder->bytes.data + builder->bytes.size, text.data, (size_t)text.size);
  }
  const int32_t offset = (int32_t)end;
  memcpy(builder->values.data + builder->values.size, &offset, sizeof offset);
  builder->bytes.size = end;
  builder->values.size += 4;
  builder->n_rows++;
  return QN_OK;
}

static inline __attribute__((always_inline)) qn_status qn_call_map_texts(qn_call *call, qn_text_of_row *make,
                                                                         qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer scratch = {0};
  for (int64_t i = 0; i < call->n_rows; i++) {
    qn_text text = {0};
    if (!qn_call_is_null(call, i)) {
      scratch.size = 0;
      QN_TRY(make(call, i, &scratch, &text, err));
    }
    QN_TRY(qn_call_append_text(call, text, err));
  }

done:
  qn_buffer_release(&scratch);
  return status;
}

static inline qn_text qn_buffer_text(const qn_buffer *buffer) {
  return (qn_text){.data = (const char *)buffer->data, .size = buffer->size};
}

/// Bytes of the character that starts with this one.
static inline int64_t qn_char_size(char lead) {
  const unsigned char c = (unsigned char)lead;
  return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}
/// The offset behind n characters, or the size if there are fewer.
static inline int64_t qn_chars_skip(qn_text text, int64_t n) {
  int64_t at = 0;
  for (; n > 0 && at < text.size; n--) {
    at += qn_char_size(text.data[at]);
  }
  return at < text.size ? at : text.size;
}
/// Reads the character at `text`, of qn_char_size() bytes.
uint32_t qn_char_decode(const char *text);
/// Writes a character, at most 4 bytes; returns how many.
int qn_char_encode(uint32_t character, char *out);
