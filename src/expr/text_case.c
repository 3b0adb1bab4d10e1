// SPDX-License-Identifier: Apache-2.0
// upper, lower, initcap. ASCII is mapped in place a column at a time; a column with other characters row by
// row.
#include "expr/text_case.h"
#include <string.h>
#include <wctype.h>
#include "expr/text_rows.h"

locale_t qn_utf8_locale_new(void) {
  const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
  return locale != (locale_t)0 ? locale : newlocale(LC_CTYPE_MASK, "C.utf8", (locale_t)0);
}

void qn_utf8_locale_free(locale_t locale) {
  if (locale != (locale_t)0) {
    freelocale(locale);
  }
}

static char ascii_case(char c, bool is_upper) {
  const char first = is_upper ? 'a' : 'A';
  return c >= first && c <= first + 25 ? (char)(c ^ 0x20) : c;
}

static uint32_t wide_case(uint32_t c, bool is_upper, locale_t locale) {
  if (locale == (locale_t)0) {
    return c;
  }
  return (uint32_t)(is_upper ? towupper_l((wint_t)c, locale) : towlower_l((wint_t)c, locale));
}

qn_status qn_text_append_case(qn_text text, bool is_upper, locale_t locale, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(qn_buffer_reserve(out, 2 * text.size + 4, err)); // a character may grow from 2 bytes to 3, or 1 to 2
  char *to = (char *)out->data + out->size;
  for (int64_t i = 0; i < text.size;) {
    if ((unsigned char)text.data[i] < 0x80) {
      *to++ = ascii_case(text.data[i++], is_upper);
      continue;
    }
    const uint32_t c = wide_case(qn_char_decode(text.data + i), is_upper, locale);
    to += qn_char_encode(c, to);
    i += qn_char_size(text.data[i]);
  }
  out->size = to - (char *)out->data;

done:
  return status;
}

static void map_ascii(uint8_t *restrict to, const uint8_t *restrict from, int64_t size, uint8_t first) {
  for (int64_t i = 0; i < size; i++) {
    to[i] = (uint8_t)(from[i] ^ ((uint8_t)(from[i] - first) < 26 ? 0x20 : 0));
  }
}

// All rows at once: sizes stay.
static qn_status map_ascii_column(qn_call *call, bool is_upper, qn_error *err) {
  qn_status status = QN_OK;
  const qn_column *column = &call->args[0].column;
  const int64_t before = call->texts.bytes.size;
  QN_TRY(qn_column_builder_append_range(&call->texts, column, 0, call->n_rows, err));
  const int64_t size = call->texts.bytes.size - before;
  if (size > 0) {
    map_ascii(call->texts.bytes.data + before, column->bytes + column->offsets[0], size,
              is_upper ? 'a' : 'A');
  }

done:
  return status;
}

static qn_status map_case(qn_call *call, bool is_upper, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer scratch = {0};
  locale_t locale = (locale_t)0;

  if (qn_column_is_ascii(&call->args[0].column)) {
    return map_ascii_column(call, is_upper, err);
  }
  locale = qn_utf8_locale_new();
  for (int64_t i = 0; i < call->n_rows; i++) {
    if (qn_call_is_null(call, i)) {
      QN_TRY(qn_column_builder_append_null(&call->texts, err));
      continue;
    }
    scratch.size = 0;
    QN_TRY(qn_text_append_case(qn_arg_text(call, 0, i), is_upper, locale, &scratch, err));
    QN_TRY(qn_column_builder_append_text(&call->texts, scratch.data, scratch.size, err));
  }

done:
  qn_utf8_locale_free(locale);
  qn_buffer_release(&scratch);
  return status;
}

static qn_status upper(qn_call *call, qn_error *err) {
  return map_case(call, true, err);
}
static qn_status lower(qn_call *call, qn_error *err) {
  return map_case(call, false, err);
}

static bool is_alphanumeric(uint32_t c, locale_t locale) {
  if (c < 0x80) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }
  return locale != (locale_t)0 && iswalnum_l((wint_t)c, locale) != 0;
}

static qn_status append_initcap(qn_text text, locale_t locale, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  bool is_inside_word = false;
  for (int64_t i = 0; i < text.size;) {
    const int64_t size = qn_char_size(text.data[i]);
    const qn_text character = {.data = text.data + i, .size = size};
    QN_TRY(qn_text_append_case(character, !is_inside_word, locale, out, err));
    is_inside_word = is_alphanumeric(qn_char_decode(character.data), locale);
    i += size;
  }

done:
  return status;
}

static qn_status initcap(qn_call *call, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer scratch = {0};
  const locale_t locale = qn_utf8_locale_new();
  for (int64_t i = 0; i < call->n_rows; i++) {
    if (qn_call_is_null(call, i)) {
      QN_TRY(qn_column_builder_append_null(&call->texts, err));
      continue;
    }
    scratch.size = 0;
    QN_TRY(append_initcap(qn_arg_text(call, 0, i), locale, &scratch, err));
    QN_TRY(qn_column_builder_append_text(&call->texts, scratch.data, scratch.size, err));
  }

done:
  qn_utf8_locale_free(locale);
  qn_buffer_release(&scratch);
  return status;
}

static const qn_function functions[] = {
    {"upper", 1, {QN_UTF8}, QN_UTF8, upper, 0, NULL},
    {"lower", 1, {QN_UTF8}, QN_UTF8, lower, 0, NULL},
    {"initcap", 1, {QN_UTF8}, QN_UTF8, initcap, 0, NULL},
};
const qn_function_table qn_text_case_functions = {functions, (int)(sizeof functions / sizeof *functions)};
