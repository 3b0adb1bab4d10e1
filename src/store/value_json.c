// SPDX-License-Identifier: Apache-2.0
// Single values of a range as JSON, for the manifest, and as columns, for who asks for statistics.
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"
#include "store/value_range.h"

static json_t *float_to_json(double value) {
  if (isnan(value)) {
    return json_string("NaN");
  }
  if (isinf(value)) {
    return json_string(value > 0 ? "Infinity" : "-Infinity");
  }
  return json_real(value);
}

static json_t *binary_to_json(const uint8_t *value, int64_t size) {
  static const char digits[] = "0123456789abcdef";
  char text[2 * QN_RANGE_BYTES];
  for (int64_t i = 0; i < size; i++) {
    text[2 * i] = digits[value[i] >> 4];
    text[2 * i + 1] = digits[value[i] & 15];
  }
  return json_stringn(text, (size_t)(2 * size));
}

json_t *qn_value_to_json(qn_type type, const uint8_t *value, int64_t size) {
  int32_t narrow = 0;
  int64_t wide = 0;
  float single = 0;
  double real = 0;
  switch (type) {
  case QN_BOOL:
    return json_boolean(value[0] != 0);
  case QN_INT32:
  case QN_DATE:
    memcpy(&narrow, value, sizeof narrow);
    return json_integer(narrow);
  case QN_INT64:
  case QN_TIMESTAMP:
    memcpy(&wide, value, sizeof wide);
    return json_integer(wide);
  case QN_FLOAT32:
    memcpy(&single, value, sizeof single);
    return float_to_json((double)single);
  case QN_FLOAT64:
    memcpy(&real, value, sizeof real);
    return float_to_json(real);
  case QN_UTF8:
    return json_stringn((const char *)value, (size_t)size);
  case QN_BINARY:
    return binary_to_json(value, size);
  }
  return NULL;
}

static bool float_from_json(const json_t *json, double *out) {
  if (json_is_number(json)) {
    *out = json_number_value(json);
    return true;
  }
  const char *text = json_string_value(json);
  if (text == NULL) {
    return false;
  }
  *out = strcmp(text, "NaN") == 0 ? (double)NAN : strcmp(text, "Infinity") == 0 ? HUGE_VAL : -HUGE_VAL;
  return strcmp(text, "NaN") == 0 || strcmp(text, "Infinity") == 0 || strcmp(text, "-Infinity") == 0;
}

static int digit_value(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool binary_from_json(const json_t *json, uint8_t *value, int32_t *size) {
  const char *text = json_string_value(json);
  const size_t n = json_string_length(json);
  if (text == NULL || n % 2 != 0 || n > 2 * QN_RANGE_BYTES) {
    return false;
  }
  for (size_t i = 0; i < n; i += 2) {
    const int high = digit_value(text[i]), low = digit_value(text[i + 1]);
    if (high < 0 || low < 0) {
      return false;
    }
    value[i / 2] = (uint8_t)(16 * high + low);
  }
  *size = (int32_t)(n / 2);
  return true;
}

static bool integer_from_json(qn_type type, const json_t *json, uint8_t *value) {
  const int64_t wide = json_integer_value(json);
  const int32_t narrow = (int32_t)wide;
  if (!json_is_integer(json)) {
    return false;
  }
  if (qn_type_width(type) == (int)sizeof wide) {
    memcpy(value, &wide, sizeof wide);
    return true;
  }
  memcpy(value, &narrow, sizeof narrow);
  return narrow == wide;
}

bool qn_value_from_json(qn_type type, const json_t *json, uint8_t *value, int32_t *size) {
  double real = 0;
  float single = 0;
  *size = qn_type_width(type);
  switch (type) {
  case QN_BOOL:
    value[0] = json_is_true(json);
    return json_is_boolean(json);
  case QN_INT32:
  case QN_DATE:
  case QN_INT64:
  case QN_TIMESTAMP:
    return integer_from_json(type, json, value);
  case QN_FLOAT32:
    if (!float_from_json(json, &real)) {
      return false;
    }
    single = (float)real;
    memcpy(value, &single, sizeof single);
    return isnan(real) || (double)single == real;
  case QN_FLOAT64:
    if (!float_from_json(json, &real)) {
      return false;
    }
    memcpy(value, &real, sizeof real);
    return true;
  case QN_UTF8:
    if (!json_is_string(json) || json_string_length(json) > QN_RANGE_BYTES) {
      return false;
    }
    *size = (int32_t)json_string_length(json);
    memcpy(value, json_string_value(json), (size_t)*size);
    return true;
  case QN_BINARY:
    return binary_from_json(json, value, size);
  }
  return false;
}

qn_status qn_value_to_column(qn_type type, const uint8_t *value, int64_t size, qn_column *out,
                             qn_error *err) {
  qn_status status = QN_OK;
  qn_column_builder builder;
  qn_column_builder_init(&builder, type);
  if (qn_type_is_text(type)) {
    QN_TRY(qn_column_builder_append_text(&builder, value, size, err));
  } else {
    QN_TRY(qn_column_builder_append_value(&builder, value, err));
  }
  QN_TRY(qn_column_builder_finish(&builder, out, err));

done:
  qn_column_builder_release(&builder);
  return status;
}
