// SPDX-License-Identifier: Apache-2.0
// What kernels with a result of text share: the loop over rows, and steps over characters of valid UTF-8.
#pragma once
#include "base/check.h"
#include "expr/function_table.h"

enum { QN_LONGEST_MADE_TEXT = 64 << 20 }; // that repeat and pad may make of one value

/// The text of a row: a piece of an argument, or in `scratch`, which is empty before. The row has no null
/// argument.
typedef qn_status qn_text_of_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err);

static inline __attribute__((always_inline)) qn_status qn_call_map_texts(qn_call *call, qn_text_of_row *make,
                                                                         qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer scratch = {0};
  for (int64_t i = 0; i < call->n_rows; i++) {
    qn_text text = {0};
    if (qn_call_is_null(call, i)) {
      QN_TRY(qn_column_builder_append_null(&call->texts, err));
      continue;
    }
    scratch.size = 0;
    QN_TRY(make(call, i, &scratch, &text, err));
    QN_TRY(qn_column_builder_append_text(&call->texts, text.data, text.size, err));
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
