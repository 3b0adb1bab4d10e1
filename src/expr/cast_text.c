// SPDX-License-Identifier: Apache-2.0
// Casts from and to text and bytes. What is not a value of the type is an error that shows the text.
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include "base/check.h"
#include "base/utf8.h"
#include "column/parse.h"
#include "column/print.h"
#include "expr/cast_table.h"

enum { SHOWN_BYTES = 60 };

static qn_status fail_parse(qn_call *call, int64_t row, qn_error *err) {
  const qn_text text = qn_arg_text(call, 0, row);
  char message[SHOWN_BYTES + 80];
  int64_t size = text.size > SHOWN_BYTES ? SHOWN_BYTES : text.size;
  while (size < text.size && size > 0 && ((unsigned char)text.data[size] & 0xc0) == 0x80) {
    size--;
  }
  snprintf(message, sizeof message, "'%.*s%s' is not %s %s", (int)size, text.data,
           size < text.size ? "..." : "",
           call->expr->type == QN_INT32 || call->expr->type == QN_INT64 ? "an" : "a",
           qn_type_name(call->expr->type));
  return qn_call_fail(call, row, err, message);
}

static qn_text trimmed(qn_text text) {
  while (text.size > 0 && isspace((unsigned char)text.data[0])) {
    text.data++;
    text.size--;
  }
  while (text.size > 0 && isspace((unsigned char)text.data[text.size - 1])) {
    text.size--;
  }
  return text;
}

// PostgreSQL reads a date from the text of a timestamp too.
static bool parse_date(const char *text, int64_t size, int32_t *out) {
  int64_t time = 0;
  if (qn_parse_date(text, size, out)) {
    return true;
  }
  if (!qn_parse_timestamp(text, size, &time)) {
    return false;
  }
  const int64_t day = 86400000000;
  *out = (int32_t)(time / day - (time % day < 0));
  return true;
}

#define PARSE(name, c_type, parse)                                                                           \
  static qn_status text_to_##name(qn_call *call, qn_error *err) {                                            \
    c_type *out = call->values;                                                                              \
    for (int64_t i = 0; i < call->n_rows; i++) {                                                             \
      const qn_text text = trimmed(qn_arg_text(call, 0, i));                                                 \
      out[i] = 0;                                                                                            \
      if (!parse(text.data, text.size, &out[i]) && !qn_call_is_null(call, i)) {                              \
        return fail_parse(call, i, err);                                                                     \
      }                                                                                                      \
    }                                                                                                        \
    return QN_OK;                                                                                            \
  }
PARSE(bool, bool, qn_parse_bool)
PARSE(int32, int32_t, qn_parse_int32)
PARSE(int64, int64_t, qn_parse_int64)
PARSE(float32, float, qn_parse_float32)
PARSE(float64, double, qn_parse_float64)
PARSE(date, int32_t, parse_date)
PARSE(timestamp, int64_t, qn_parse_timestamp)
#undef PARSE

static int print_int32(int32_t value, char *out) {
  return qn_print_int64(value, out);
}
static int print_bool(uint8_t value, char *out) {
  return value != 0 ? snprintf(out, 6, "true") : snprintf(out, 6, "false");
}

#define PRINT(name, c_type, print)                                                                           \
  static qn_status name##_to_text(qn_call *call, qn_error *err) {                                            \
    qn_status status = QN_OK;                                                                                \
    const c_type *values = call->args[0].column.values;                                                      \
    char text[40];                                                                                           \
    for (int64_t i = 0; i < call->n_rows; i++) {                                                             \
      if (qn_call_is_null(call, i)) {                                                                        \
        QN_TRY(qn_column_builder_append_null(&call->texts, err));                                            \
        continue;                                                                                            \
      }                                                                                                      \
      const int size = print(values[i], text);                                                               \
      QN_TRY(qn_column_builder_append_text(&call->texts, text, size, err));                                  \
    }                                                                                                        \
                                                                                                             \
  done:                                                                                                      \
    return status;                                                                                           \
  }
PRINT(bool, uint8_t, print_bool)
PRINT(int32, int32_t, print_int32)
PRINT(int64, int64_t, qn_print_int64)
PRINT(float32, float, qn_print_float32)
PRINT(float64, double, qn_print_float64)
PRINT(date, int32_t, qn_print_date)
PRINT(timestamp, int64_t, qn_print_timestamp)
#undef PRINT

static qn_status print_short_bool(qn_call *call, qn_error *err) {
  qn_status status = QN_OK;
  for (int64_t i = 0; i < call->n_rows; i++) {
    if (qn_call_is_null(call, i)) {
      QN_TRY(qn_column_builder_append_null(&call->texts, err));
    } else {
      QN_TRY(qn_column_builder_append_text(&call->texts, qn_arg_bool(call, 0, i) ? "t" : "f", 1, err));
    }
  }

done:
  return status;
}
const qn_function qn_function_print_bool = {
    .name = "print", .n_args = 1, .args = {QN_BOOL}, .result = QN_UTF8, .kernel = print_short_bool};

// "\x" and hexadecimal digits.
static qn_status binary_to_text(qn_call *call, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};
  for (int64_t i = 0; i < call->n_rows; i++) {
    if (qn_call_is_null(call, i)) {
      QN_TRY(qn_column_builder_append_null(&call->texts, err));
      continue;
    }
    text.size = 0;
    QN_TRY(qn_value_print(&call->args[0].column, i, &text, err));
    QN_TRY(qn_column_builder_append_text(&call->texts, text.data, text.size, err));
  }

done:
  qn_buffer_release(&text);
  return status;
}

static int digit_of(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : 99;
}

// PostgreSQL's two forms of bytea: \x68656c6c6f, or text with \\ and \ooo. Returns the size, or -1.
static int64_t parse_binary(qn_text text, uint8_t *out) {
  int64_t n = 0;
  if (text.size >= 2 && text.data[0] == '\\' && text.data[1] == 'x') {
    for (int64_t i = 2; i < text.size;) {
      if (isspace((unsigned char)text.data[i])) {
        i++;
        continue;
      }
      if (i + 1 >= text.size || digit_of(text.data[i]) > 15 || digit_of(text.data[i + 1]) > 15) {
        return -1;
      }
      out[n++] = (uint8_t)(digit_of(text.data[i]) * 16 + digit_of(text.data[i + 1]));
      i += 2;
    }
    return n;
  }
  for (int64_t i = 0; i < text.size; i++) {
    const char *c = text.data + i;
    if (*c != '\\') {
      out[n++] = (uint8_t)*c;
    } else if (i + 1 < text.size && c[1] == '\\') {
      out[n++] = '\\';
      i++;
    } else if (i + 3 < text.size && digit_of(c[1]) < 4 && digit_of(c[2]) < 8 && digit_of(c[3]) < 8) {
      out[n++] = (uint8_t)(digit_of(c[1]) * 64 + digit_of(c[2]) * 8 + digit_of(c[3]));
      i += 3;
    } else {
      return -1;
    }
  }
  return n;
}

static qn_status text_to_binary(qn_call *call, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer bytes = {0};
  for (int64_t i = 0; i < call->n_rows; i++) {
    if (qn_call_is_null(call, i)) {
      QN_TRY(qn_column_builder_append_null(&call->texts, err));
      continue;
    }
    const qn_text text = qn_arg_text(call, 0, i);
    QN_TRY(qn_buffer_reserve(&bytes, text.size + 1, err));
    const int64_t size = parse_binary(text, bytes.data);
    if (size < 0) {
      status = fail_parse(call, i, err);
      goto done;
    }
    QN_TRY(qn_column_builder_append_text(&call->texts, bytes.data, size, err));
  }

done:
  qn_buffer_release(&bytes);
  return status;
}

#define TO_TEXT(type, name)                                                                                  \
  { "cast", 1, {type}, QN_UTF8, name##_to_text, 0, NULL }
#define FROM_TEXT(type, name)                                                                                \
  { "cast", 1, {QN_UTF8}, type, text_to_##name, QN_CALL_CAN_FAIL, NULL }
static const qn_function casts[] = {
    TO_TEXT(QN_BOOL, bool),           TO_TEXT(QN_INT32, int32),     TO_TEXT(QN_INT64, int64),
    TO_TEXT(QN_FLOAT32, float32),     TO_TEXT(QN_FLOAT64, float64), TO_TEXT(QN_DATE, date),
    TO_TEXT(QN_TIMESTAMP, timestamp), TO_TEXT(QN_BINARY, binary),   FROM_TEXT(QN_BOOL, bool),
    FROM_TEXT(QN_INT32, int32),       FROM_TEXT(QN_INT64, int64),   FROM_TEXT(QN_FLOAT32, float32),
    FROM_TEXT(QN_FLOAT64, float64),   FROM_TEXT(QN_DATE, date),     FROM_TEXT(QN_TIMESTAMP, timestamp),
    FROM_TEXT(QN_BINARY, binary),
};
const qn_function_table qn_text_casts = {casts, (int)(sizeof casts / sizeof *casts)};
