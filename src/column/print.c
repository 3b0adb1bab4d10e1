// SPDX-License-Identifier: Apache-2.0
// Values as text in PostgreSQL's forms. Floats: the shortest digits that read back the same. Those of at most
// 15 digits are found by one multiplication and one exact division; others by trying precisions.
#include "column/print.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "column/parse.h"

int qn_print_int64(int64_t value, char *out) {
  char digits[20];
  int n = 0;
  uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  do {
    digits[n++] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  char *to = out;
  if (value < 0) {
    *to++ = '-';
  }
  while (n > 0) {
    *to++ = digits[--n];
  }
  return (int)(to - out);
}

typedef unsigned __int128 wide_integer;

// value = 0.d1d2d3... * 10^point
typedef struct {
  char digits[24];
  int n_digits;
  int point;
} shortest;

// Positive integers times a power of ten, without zeros at the end.
static void set_digits(shortest *number, uint64_t mantissa, int exponent) {
  while (mantissa % 10 == 0) {
    mantissa /= 10;
    exponent++;
  }
  number->n_digits = qn_print_int64((int64_t)mantissa, number->digits);
  number->point = number->n_digits + exponent;
}

static const double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9, 1e10,
                                       1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20};

// The power of ten that gives a value from 1e-5 to below 1e15 n_digits <= 15 digits before the point (or one
// fewer, by rounding); -1 if it has more, or is out of that range.
static int scale_to_digits(double value, int n_digits) {
  int exponent = n_digits - 1;
  if (value < 1e-5 || value >= powers_of_ten[n_digits]) {
    return -1;
  }
  while (value >= powers_of_ten[n_digits - exponent]) {
    exponent--;
  }
  double scaled = value;
  while (scaled < 1 && exponent < 20) {
    scaled *= 10;
    exponent++;
  }
  return exponent;
}

static double round_up_half(double value) {
  return (double)(uint64_t)(value + 0.5);
}

// The 15 digits nearest to a double, if they read back the same. There is at most one such number, so without
// its zeros it is the shortest. Division of two exact numbers rounds once, as reading does.
static bool find_by_division64(double value, shortest *number) {
  const int exponent = scale_to_digits(value, 15);
  if (exponent < 0) {
    return false;
  }
  const double mantissa = round_up_half(value * powers_of_ten[exponent]);
  if (mantissa / powers_of_ten[exponent] != value || mantissa < 1 || mantissa > 1e15) {
    return false;
  }
  set_digits(number, (uint64_t)mantissa, -exponent);
  return true;
}

// The float after or before a positive one.
static double neighbour(float value, int step) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  bits += (uint32_t)step;
  memcpy(&value, &bits, sizeof bits);
  return (double)value;
}

// The same for a float with 6 to 9 digits: those that lie clearly nearer to it than to its neighbours.
static bool find_by_division32(float value, shortest *number) {
  const double exact = (double)value;
  const double above = neighbour(value, 1) - exact;
  const double below = exact - neighbour(value, -1);
  for (int n_digits = 6; n_digits <= 9; n_digits++) {
    const int exponent = scale_to_digits(exact, n_digits);
    if (exponent < 0) {
      return false;
    }
    const double mantissa = round_up_half(exact * powers_of_ten[exponent]);
    const double distance = mantissa / powers_of_ten[exponent] - exact;
    if (mantissa >= 1 && distance < 0.4999 * above && distance > -0.4999 * below) {
      set_digits(number, (uint64_t)mantissa, -exponent);
      return true;
    }
  }
  return false;
}

// Splits "d.ddde+dd" of printf (the point may be that of any locale).
static void set_from_text(shortest *number, const char *text) {
  uint64_t mantissa = 0;
  int n_digits = 0;
  for (; *text != 'e'; text++) {
    if (*text >= '0' && *text <= '9') {
      mantissa = mantissa * 10 + (uint64_t)(*text - '0');
      n_digits++;
    }
  }
  set_digits(number, mantissa, (int)strtol(text + 1, NULL, 10) - (n_digits - 1));
}

static wide_integer wide_power_of_ten(int exponent) {
  const int low = exponent < 19 ? exponent : 19;
  return (wide_integer)(uint64_t)powers_of_ten[low] * (uint64_t)powers_of_ten[exponent - low];
}

// For the same values if they need 16 or 17 digits, exactly, in integers of 128 bits: with value = m /
// 2^shift, value * 10^k is the product m * 10^k, which fits, divided by 2^shift. A number of 16 digits reads
// back the same if it is nearer to the value than half the way to its neighbours, and the nearest one of 17
// digits always is (18 in the loop because scale_to_digits() may give one fewer).
static bool find_by_product64(double value, shortest *number) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  const int shift = 1075 - (int)(bits >> 52);
  const uint64_t fraction = bits & ((1ull << 52) - 1);
  const int exponent = scale_to_digits(value, 15);
  if (exponent < 0 || shift <= 0) {
    return false;
  }
  for (int n_digits = 16; n_digits <= 18; n_digits++) {
    const int k = exponent + n_digits - 15;
    const wide_integer power = wide_power_of_ten(k);
    const wide_integer product = (fraction | 1ull << 52) * power;
    const wide_integer digits = (product + ((wide_integer)1 << (shift - 1))) >> shift;
    const wide_integer rounded = digits << shift;
    const wide_integer distance = rounded > product ? rounded - product : product - rounded;
    // Below a power of two the neighbour is half as far.
    const int nearer = fraction == 0 && rounded < product ? 4 : 2;
    if (distance * nearer < power) {
      set_digits(number, (uint64_t)digits, -k);
      return true;
    }
  }
  return false;
}

static void find_for_float64(double value, shortest *number) {
  // Below the normal doubles fewer digits may do; a normal one is known by 15 digits if it has no more.
  const int first = value < 2.2250738585072014e-308 ? 1 : 15;
  char text[64];
  for (int precision = first; precision <= 17; precision++) {
    snprintf(text, sizeof text, "%.*e", precision - 1, value);
    if (precision == 17 || strtod(text, NULL) == value) {
      break;
    }
  }
  set_from_text(number, text);
}

static void find_for_float32(float value, shortest *number) {
  const int first = value < 1.17549435e-38f ? 1 : 6;
  char text[64];
  for (int precision = first; precision <= 9; precision++) {
    snprintf(text, sizeof text, "%.*e", precision - 1, (double)value);
    if (precision == 9 || strtof(text, NULL) == value) {
      break;
    }
  }
  set_from_text(number, text);
}

static char *put(char *to, const char *text, int size) {
  memcpy(to, text, (size_t)size);
  return to + size;
}

static char *put_zeros(char *to, int n) {
  memset(to, '0', (size_t)n);
  return to + n;
}

// As printf's %g would: 1.5e+20, 0.0001, 1500.
static char *put_number(char *to, const shortest *number, int most_fixed) {
  const int exponent = number->point - 1;
  const char *digits = number->digits;
  const int n = number->n_digits;
  if (exponent < -4 || exponent >= most_fixed) {
    *to++ = digits[0];
    if (n > 1) {
      *to++ = '.';
      to = put(to, digits + 1, n - 1);
    }
    *to++ = 'e';
    *to++ = exponent < 0 ? '-' : '+';
    if (abs(exponent) < 10) {
      *to++ = '0';
    }
    return to + qn_print_int64(abs(exponent), to);
  }
  if (number->point <= 0) {
    to = put_zeros(put(to, "0.", 2), -number->point);
    return put(to, digits, n);
  }
  if (n <= number->point) {
    return put_zeros(put(to, digits, n), number->point - n);
  }
  to = put(to, digits, number->point);
  *to++ = '.';
  return put(to, digits + number->point, n - number->point);
}

// NaN, the infinities and zeros; 0 for all other values.
static int print_special(double value, char *out) {
  const char *text = isnan(value)   ? "NaN"
                     : isinf(value) ? (value < 0 ? "-Infinity" : "Infinity")
                     : value == 0   ? (signbit(value) ? "-0" : "0")
                                    : "";
  return (int)(put(out, text, (int)strlen(text)) - out);
}

int qn_print_float64(double value, char *out) {
  const int special = print_special(value, out);
  if (special > 0) {
    return special;
  }
  char *to = out;
  if (value < 0) {
    *to++ = '-';
  }
  shortest number;
  const double size = fabs(value);
  if (!find_by_division64(size, &number) && !find_by_product64(size, &number)) {
    find_for_float64(size, &number);
  }
  return (int)(put_number(to, &number, 15) - out);
}

int qn_print_float32(float value, char *out) {
  const int special = print_special((double)value, out);
  if (special > 0) {
    return special;
  }
  char *to = out;
  if (value < 0) {
    *to++ = '-';
  }
  shortest number;
  const float size = fabsf(value);
  if (!find_by_division32(size, &number)) {
    find_for_float32(size, &number);
  }
  return (int)(put_number(to, &number, 6) - out);
}

static char *put_padded(char *to, int64_t value, int width) {
  char digits[24];
  const int n = qn_print_int64(value, digits);
  if (n < width) {
    to = put_zeros(to, width - n);
  }
  return put(to, digits, n);
}

// The date; *is_before_christ tells that " BC" has to follow.
static char *put_date(char *to, int32_t days, bool *is_before_christ) {
  int32_t year = 0;
  int32_t month = 0;
  int32_t day = 0;
  qn_civil_from_days(days, &year, &month, &day);
  *is_before_christ = year <= 0;
  to = put_padded(to, year <= 0 ? 1 - (int64_t)year : year, 4);
  *to++ = '-';
  to = put_padded(to, month, 2);
  *to++ = '-';
  return put_padded(to, day, 2);
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
  int64_t fraction = clock % 1000000;
  bool is_before_christ = false;
  char *to = put_date(out, (int32_t)days, &is_before_christ);
  *to++ = ' ';
  to = put_padded(to, clock / 3600000000, 2);
  *to++ = ':';
  to = put_padded(to, clock / 60000000 % 60, 2);
  *to++ = ':';
  to = put_padded(to, clock / 1000000 % 60, 2);
  if (fraction > 0) {
    int width = 6;
    for (; fraction % 10 == 0; fraction /= 10) {
      width--;
    }
    *to++ = '.';
    to = put_padded(to, fraction, width);
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
