// SPDX-License-Identifier: Apache-2.0
// Values as text in PostgreSQL's forms; numbers are in print_number.c.
#include "column/print.h"
#include <string.h>
#include "base/check.h"
#include "column/digits.h"
#include "column/parse.h"

static char *put(char *to, const char *text, int size) {
  memcpy(to, text, (size_t)size);
  return to + size;
}

// The date; *is_before_christ tells that " BC" has to follow.
static char *put_date(char *to, int32_t days, bool *is_before_christ) {
  int32_t year = 0;
  int32_t month = 0;
  int32_t day = 0;
  qn_civil_from_days(days, &year, &month, &day);
  *is_before_christ = year <= 0;
  year = year <= 0 ? 1 - year : year;
  if (year < 10000) {
    to = qn_put_two(qn_put_two(to, (uint32_t)year / 100), (uint32_t)year % 100);
  } else {
    to = qn_put_digits(to, (uint64_t)year);
  }
  *to++ = '-';
  to = qn_put_two(to, (uint32_t)month);
  *to++ = '-';
  return qn_put_two(to, (uint32_t)day);
}

int qn_print_date(int32_t days, char *out) {
  bool is_before_christ = false;
  char *to = put_date(out, days, &is_before_christ);
  if (is_before_christ) {
    to = put(to, " BC", 3);
  }
  return (int)(to - out);
}

int qn_print_timestamp(int64_t microseconds, char *out) {
  const int64_t day_us = 86400 * 1000000ll;
  const int64_t rest = microseconds % day_us;
  const int64_t clock = rest < 0 ? rest + day_us : rest;
  const int64_t days = microseconds / day_us - (rest < 0);
  const uint32_t second = (uint32_t)(clock / 1000000);
  const uint32_t fraction = (uint32_t)(clock % 1000000);
  bool is_before_christ = false;
  char *to = put_date(out, (int32_t)days, &is_before_christ);
  *to++ = ' ';
  to = qn_put_two(to, second / 3600);
  *to++ = ':';
  to = qn_put_two(to, second / 60 % 60);
  *to++ = ':';
  to = qn_put_two(to, second % 60);
  if (fraction > 0) {
    char digits[8];
    qn_put_eight(digits, fraction * 100); // its six digits and two zeros
    int n = 6;
    while (digits[n - 1] == '0') {
      n--;
    }
    *to++ = '.';
    to = put(to, digits, n);
  }
  if (is_before_christ) {
    to = put(to, " BC", 3);
  }
  return (int)(to - out);
}

static qn_status print_binary(qn_text text, qn_buffer *out, qn_error *err) {
  static const char digits[] = "0123456789abcdef";
  qn_status status = QN_OK;
  QN_TRY(qn_buffer_reserve(out, 2 + 2 * text.size, err));
  uint8_t *to = out->data + out->size;
  *to++ = '\\';
  *to++ = 'x';
  for (int64_t i = 0; i < text.size; i++) {
    const uint8_t byte = (uint8_t)text.data[i];
    *to++ = (uint8_t)digits[byte >> 4];
    *to++ = (uint8_t)digits[byte & 15];
  }
  out->size += 2 + 2 * text.size;

done:
  return status;
}

int qn_print_fixed(const qn_column *column, int64_t row, char *out) {
  switch (column->type) {
  case QN_BOOL:
    out[0] = qn_column_bool(column, row) ? 't' : 'f';
    return 1;
  case QN_INT32:
    return qn_print_int64(qn_column_int32(column, row), out);
  case QN_INT64:
    return qn_print_int64(qn_column_int64(column, row), out);
  case QN_FLOAT32:
    return qn_print_float32(qn_column_float32(column, row), out);
  case QN_FLOAT64:
    return qn_print_float64(qn_column_float64(column, row), out);
  case QN_DATE:
    return qn_print_date(qn_column_int32(column, row), out);
  case QN_TIMESTAMP:
    return qn_print_timestamp(qn_column_int64(column, row), out);
  case QN_UTF8:
  case QN_BINARY:
    break;
  }
  return 0;
}

qn_status qn_value_print(const qn_column *column, int64_t row, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  if (qn_column_is_null(column, row)) {
    return QN_OK;
  }
  if (qn_type_is_text(column->type)) {
    const qn_text text = qn_column_text(column, row);
    return column->type == QN_BINARY ? print_binary(text, out, err)
                                     : qn_buffer_append(out, text.data, text.size, err);
  }
  QN_TRY(qn_buffer_reserve(out, 32, err));
  out->size += qn_print_fixed(column, row, (char *)out->data + out->size);

done:
  return status;
}
