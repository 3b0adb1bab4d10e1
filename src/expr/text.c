// SPDX-License-Identifier: Apache-2.0
// Functions of text as a whole: lengths, search, joining, hashes, characters and their codes.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/hash.h"
#include "base/utf8.h"
#include "expr/text_rows.h"

uint32_t qn_char_decode(const char *text) {
  const unsigned char *c = (const unsigned char *)text;
  switch (qn_char_size(*text)) {
  case 1:
    return c[0];
  case 2:
    return (c[0] & 0x1fu) << 6 | (c[1] & 0x3fu);
  case 3:
    return (c[0] & 0x0fu) << 12 | (c[1] & 0x3fu) << 6 | (c[2] & 0x3fu);
  default:
    return (c[0] & 0x07u) << 18 | (c[1] & 0x3fu) << 12 | (c[2] & 0x3fu) << 6 | (c[3] & 0x3fu);
  }
}

int qn_char_encode(uint32_t character, char *out) {
  if (character < 0x80) {
    out[0] = (char)character;
    return 1;
  }
  if (character < 0x800) {
    out[0] = (char)(0xc0 | character >> 6);
    out[1] = (char)(0x80 | (character & 0x3f));
    return 2;
  }
  if (character < 0x10000) {
    out[0] = (char)(0xe0 | character >> 12);
    out[1] = (char)(0x80 | (character >> 6 & 0x3f));
    out[2] = (char)(0x80 | (character & 0x3f));
    return 3;
  }
  out[0] = (char)(0xf0 | character >> 18);
  out[1] = (char)(0x80 | (character >> 12 & 0x3f));
  out[2] = (char)(0x80 | (character >> 6 & 0x3f));
  out[3] = (char)(0x80 | (character & 0x3f));
  return 4;
}

static qn_status octet_length(qn_call *call, qn_error *err) {
  (void)err;
  int32_t *out = call->values;
  const int32_t *offsets = call->args[0].column.offsets;
  for (int64_t i = 0; i < call->n_rows; i++) {
    out[i] = offsets[i + 1] - offsets[i];
  }
  return QN_OK;
}

static qn_status length(qn_call *call, qn_error *err) {
  int32_t *out = call->values;
  qn_call_check_ascii(call);
  if (call->is_ascii) {
    return octet_length(call, err);
  }
  for (int64_t i = 0; i < call->n_rows; i++) {
    const qn_text text = qn_arg_text(call, 0, i);
    out[i] = (int32_t)qn_utf8_length(text.data, text.size);
  }
  return QN_OK;
}

static qn_status hash_text(qn_call *call, qn_error *err) {
  (void)err;
  int64_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    const qn_text text = qn_arg_text(call, 0, i);
    out[i] = (int64_t)qn_hash_bytes(text.data, text.size, 0);
  }
  return QN_OK;
}

static qn_status hash_int64(qn_call *call, qn_error *err) {
  (void)err;
  int64_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    const int64_t value = qn_arg_int64(call, 0, i);
    out[i] = (int64_t)qn_hash_bytes(&value, sizeof value, 0);
  }
  return QN_OK;
}

static qn_status ascii(qn_call *call, qn_error *err) {
  (void)err;
  int32_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    const qn_text text = qn_arg_text(call, 0, i);
    out[i] = text.size == 0 || qn_call_is_null(call, i) ? 0 : (int32_t)qn_char_decode(text.data);
  }
  return QN_OK;
}

static qn_status starts_with(qn_call *call, qn_error *err) {
  (void)err;
  uint8_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    const qn_text text = qn_arg_text(call, 0, i);
    const qn_text start = qn_arg_text(call, 1, i);
    out[i] = start.size <= text.size &&
             (start.size == 0 || memcmp(text.data, start.data, (size_t)start.size) == 0);
  }
  return QN_OK;
}

// Where `part` begins in `text`, from an offset on, or -1.
static int64_t find(qn_text text, qn_text part, int64_t from) {
  if (part.size == 0) {
    return from;
  }
  const char *found = text.size - from < part.size ? NULL
                                                   : memmem(text.data + from, (size_t)(text.size - from),
                                                            part.data, (size_t)part.size);
  return found == NULL ? -1 : found - text.data;
}

static qn_status strpos(qn_call *call, qn_error *err) {
  (void)err;
  int32_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    const qn_text text = qn_arg_text(call, 0, i);
    const int64_t at = find(text, qn_arg_text(call, 1, i), 0);
    out[i] = at < 0 ? 0 : (int32_t)qn_utf8_length(text.data, at) + 1;
  }
  return QN_OK;
}

// Straight into the result: one check of room a row.
static qn_status concat(qn_call *call, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer *bytes = &call->texts.bytes;
  for (int64_t i = 0; i < call->n_rows; i++) {
    int64_t size = 0;
    for (int k = 0; k < call->n_args; k++) {
      size += qn_operand_is_null(&call->args[k], i) ? 0 : qn_arg_text(call, k, i).size;
    }
    QN_TRY(qn_column_builder_reserve(&call->texts, 1, size, err));
    for (int k = 0; k < call->n_args; k++) {
      const qn_text part = qn_operand_is_null(&call->args[k], i) ? (qn_text){0} : qn_arg_text(call, k, i);
      if (part.size > 0) {
        memcpy(bytes->data + bytes->size, part.data, (size_t)part.size);
        bytes->size += part.size;
      }
    }
    const int32_t end = (int32_t)bytes->size;
    memcpy(call->texts.values.data + call->texts.values.size, &end, sizeof end);
    call->texts.values.size += sizeof end;
    call->texts.n_rows++;
  }

done:
  return status;
}

// The first argument between the others.
static qn_status concat_ws_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_text separator = qn_arg_text(call, 0, row);
  bool is_first = true;
  for (int k = 1; k < call->n_args; k++) {
    if (qn_operand_is_null(&call->args[k], row)) {
      continue;
    }
    if (!is_first) {
      QN_TRY(qn_buffer_append(scratch, separator.data, separator.size, err));
    }
    const qn_text part = qn_arg_text(call, k, row);
    QN_TRY(qn_buffer_append(scratch, part.data, part.size, err));
    is_first = false;
  }
  *out = qn_buffer_text(scratch);

done:
  return status;
}
static qn_status concat_ws(qn_call *call, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer scratch = {0};
  for (int64_t i = 0; i < call->n_rows; i++) {
    qn_text text = {0};
    scratch.size = 0;
    if (qn_operand_is_null(&call->args[0], i)) {
      QN_TRY(qn_column_builder_append_null(&call->texts, err));
      continue;
    }
    QN_TRY(concat_ws_row(call, i, &scratch, &text, err));
    QN_TRY(qn_column_builder_append_text(&call->texts, text.data, text.size, err));
  }

done:
  qn_buffer_release(&scratch);
  return status;
}

static qn_status reverse_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_text text = qn_arg_text(call, 0, row);
  QN_TRY(qn_buffer_reserve(scratch, text.size, err));
  for (int64_t i = 0; i < text.size;) {
    const int64_t size = qn_char_size(text.data[i]);
    memcpy(scratch->data + text.size - i - size, text.data + i, (size_t)size);
    i += size;
  }
  scratch->size = text.size;
  *out = qn_buffer_text(scratch);

done:
  return status;
}
static qn_status reverse(qn_call *call, qn_error *err) {
  return qn_call_map_texts(call, reverse_row, err);
}

static qn_status repeat_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_text text = qn_arg_text(call, 0, row);
  const int64_t n = qn_arg_int32(call, 1, row);
  if (n > 0 && text.size > QN_LONGEST_MADE_TEXT / n) {
    return qn_call_fail(call, row, err, "the repeated text would be longer than 64 MiB");
  }
  QN_TRY(qn_buffer_reserve(scratch, n > 0 ? n * text.size : 0, err));
  for (int64_t i = 0; i < n && text.size > 0; i++) {
    QN_TRY(qn_buffer_append(scratch, text.data, text.size, err));
  }
  *out = qn_buffer_text(scratch);

done:
  return status;
}
static qn_status repeat(qn_call *call, qn_error *err) {
  return qn_call_map_texts(call, repeat_row, err);
}

static qn_status replace_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_text text = qn_arg_text(call, 0, row);
  const qn_text from = qn_arg_text(call, 1, row);
  const qn_text to = qn_arg_text(call, 2, row);
  int64_t at = from.size == 0 ? -1 : find(text, from, 0);
  int64_t copied = 0;
  *out = text;
  if (at < 0) {
    return QN_OK;
  }
  for (; at >= 0; at = find(text, from, copied)) {
    QN_TRY(qn_buffer_append(scratch, text.data + copied, at - copied, err));
    QN_TRY(qn_buffer_append(scratch, to.data, to.size, err));
    copied = at + from.size;
  }
  QN_TRY(qn_buffer_append(scratch, text.data + copied, text.size - copied, err));
  *out = qn_buffer_text(scratch);

done:
  return status;
}
static qn_status replace(qn_call *call, qn_error *err) {
  return qn_call_map_texts(call, replace_row, err);
}

// Characters of `from` become those of `to` at the same place, or are left out where there is none.
static qn_status translate_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_text text = qn_arg_text(call, 0, row);
  const qn_text from = qn_arg_text(call, 1, row);
  const qn_text to = qn_arg_text(call, 2, row);
  for (int64_t i = 0; i < text.size;) {
    const int64_t size = qn_char_size(text.data[i]);
    qn_text character = {.data = text.data + i, .size = size};
    int64_t place = 0;
    int64_t at = 0;
    for (; at < from.size; at += qn_char_size(from.data[at]), place++) {
      if (qn_char_size(from.data[at]) == size && memcmp(from.data + at, character.data, (size_t)size) == 0) {
        const int64_t to_at = qn_chars_skip(to, place);
        character = to_at < to.size ? (qn_text){to.data + to_at, qn_char_size(to.data[to_at])} : (qn_text){0};
        break;
      }
    }
    QN_TRY(qn_buffer_append(scratch, character.data, character.size, err));
    i += size;
  }
  *out = qn_buffer_text(scratch);

done:
  return status;
}
static qn_status translate(qn_call *call, qn_error *err) {
  return qn_call_map_texts(call, translate_row, err);
}

static qn_status chr_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  qn_status status = QN_OK;
  const int32_t code = qn_arg_int32(call, 0, row);
  char character[4];
  if (code <= 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
    return qn_call_fail(call, row, err, "there is no character of that code");
  }
  QN_TRY(qn_buffer_append(scratch, character, qn_char_encode((uint32_t)code, character), err));
  *out = qn_buffer_text(scratch);

done:
  return status;
}
static qn_status chr(qn_call *call, qn_error *err) {
  return qn_call_map_texts(call, chr_row, err);
}

static qn_status hex32_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  const qn_status status = qn_buffer_printf(scratch, err, "%" PRIx32, (uint32_t)qn_arg_int32(call, 0, row));
  *out = qn_buffer_text(scratch);
  return status;
}
static qn_status hex32(qn_call *call, qn_error *err) {
  return qn_call_map_texts(call, hex32_row, err);
}
static qn_status hex64_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  const qn_status status = qn_buffer_printf(scratch, err, "%" PRIx64, (uint64_t)qn_arg_int64(call, 0, row));
  *out = qn_buffer_text(scratch);
  return status;
}
static qn_status hex64(qn_call *call, qn_error *err) {
  return qn_call_map_texts(call, hex64_row, err);
}

// Bytes that must be, and text that is, UTF-8.
static qn_status decode_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  (void)scratch;
  char message[100];
  *out = qn_arg_text(call, 0, row);
  const int64_t invalid = qn_utf8_find_invalid(out->data, out->size);
  if (invalid >= 0) {
    snprintf(message, sizeof message, "byte %" PRId64 " is not UTF-8", invalid);
    return qn_call_fail(call, row, err, message);
  }
  return QN_OK;
}
static qn_status decode_utf8(qn_call *call, qn_error *err) {
  return qn_call_map_texts(call, decode_row, err);
}
static qn_status encode_row(qn_call *call, int64_t row, qn_buffer *scratch, qn_text *out, qn_error *err) {
  (void)scratch, (void)err;
  *out = qn_arg_text(call, 0, row);
  return QN_OK;
}
static qn_status encode_utf8(qn_call *call, qn_error *err) {
  return qn_call_map_texts(call, encode_row, err);
}

#define TEXT QN_UTF8
static const qn_function functions[] = {
    {"length", 1, {TEXT}, QN_INT32, length, 0, NULL},
    {"char_length", 1, {TEXT}, QN_INT32, length, 0, NULL},
    {"character_length", 1, {TEXT}, QN_INT32, length, 0, NULL},
    {"length", 1, {QN_BINARY}, QN_INT32, octet_length, 0, NULL},
    {"octet_length", 1, {TEXT}, QN_INT32, octet_length, 0, NULL},
    {"octet_length", 1, {QN_BINARY}, QN_INT32, octet_length, 0, NULL},
    {"hash64", 1, {TEXT}, QN_INT64, hash_text, 0, NULL},
    {"hash64", 1, {QN_BINARY}, QN_INT64, hash_text, 0, NULL},
    {"hash64", 1, {QN_INT64}, QN_INT64, hash_int64, 0, NULL},
    {"ascii", 1, {TEXT}, QN_INT32, ascii, 0, NULL},
    {"chr", 1, {QN_INT32}, TEXT, chr, QN_CALL_CAN_FAIL, NULL},
    {"to_hex", 1, {QN_INT32}, TEXT, hex32, 0, NULL},
    {"to_hex", 1, {QN_INT64}, TEXT, hex64, 0, NULL},
    {"starts_with", 2, {TEXT, TEXT}, QN_BOOL, starts_with, 0, NULL},
    {"^@", 2, {TEXT, TEXT}, QN_BOOL, starts_with, 0, NULL},
    {"strpos", 2, {TEXT, TEXT}, QN_INT32, strpos, 0, NULL},
    {"position", 2, {TEXT, TEXT}, QN_INT32, strpos, 0, NULL},
    {"||", 2, {TEXT, TEXT}, TEXT, concat, 0, NULL},
    {"||", 2, {QN_BINARY, QN_BINARY}, QN_BINARY, concat, 0, NULL},
    {"reverse", 1, {TEXT}, TEXT, reverse, 0, NULL},
    {"repeat", 2, {TEXT, QN_INT32}, TEXT, repeat, QN_CALL_CAN_FAIL, NULL},
    {"replace", 3, {TEXT, TEXT, TEXT}, TEXT, replace, 0, NULL},
    {"translate", 3, {TEXT, TEXT, TEXT}, TEXT, translate, 0, NULL},
    {"decode_utf8", 1, {QN_BINARY}, TEXT, decode_utf8, QN_CALL_CAN_FAIL, NULL},
    {"encode_utf8", 1, {TEXT}, QN_BINARY, encode_utf8, 0, NULL},
};
const qn_function_table qn_text_functions = {functions, (int)(sizeof functions / sizeof *functions)};

const qn_function qn_function_concat = {
    .name = "concat", .result = QN_UTF8, .kernel = concat, .flags = QN_CALL_SEES_NULLS};
const qn_function qn_function_concat_ws = {
    .name = "concat_ws", .result = QN_UTF8, .kernel = concat_ws, .flags = QN_CALL_SEES_NULLS};
