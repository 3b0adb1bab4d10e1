// SPDX-License-Identifier: Apache-2.0
// Values of the usual form out of CSV fields, many digits at a time in a register. Each function returns
// false for anything else: then column/parse.h decides. 24 bytes before the field's end must be readable,
// whatever they are.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "column/calendar.h"
#include "column/parse.h"

static inline uint64_t qn_load_digits(const char *text) {
  uint64_t word;
  memcpy(&word, text, sizeof word);
  return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? word : __builtin_bswap64(word);
}

/// The last n <= 8 bytes before `end`, with '0' for those before them.
static inline uint64_t qn_load_last_digits(const char *end, int64_t n) {
  const uint64_t mask = ~(uint64_t)0 << (64 - 8 * n);
  return (qn_load_digits(end - 8) & mask) | (0x3030303030303030u & ~mask);
}

static inline bool qn_are_digits(uint64_t word) {
  return ((word & 0xf0f0f0f0f0f0f0f0u) | (((word + 0x0606060606060606u) & 0xf0f0f0f0f0f0f0f0u) >> 4)) ==
         0x3333333333333333u;
}

/// Eight digits, the first in the lowest byte: pairs, fours and eight by three multiplications.
static inline uint64_t qn_digits_value(uint64_t word) {
  word = (word & 0x0f0f0f0f0f0f0f0fu) * 2561 >> 8;
  word = (word & 0x00ff00ff00ff00ffu) * 6553601 >> 16;
  return (word & 0x0000ffff0000ffffu) * 42949672960001 >> 32;
}

/// Up to 16 digits with a sign.
static inline bool qn_fast_int64(const char *text, int64_t size, int64_t *out) {
  const bool is_negative = *text == '-';
  const int64_t n = size - is_negative;
  uint64_t value;

  if (__builtin_expect((uint64_t)(n - 1) < 8, 1)) {
    const uint64_t word = qn_load_last_digits(text + size, n);
    if (!qn_are_digits(word)) {
      return false;
    }
    value = qn_digits_value(word);
  } else if ((uint64_t)(n - 9) < 8) {
    const uint64_t low = qn_load_last_digits(text + size - 8, n - 8), high = qn_load_digits(text + size - 8);
    if (!qn_are_digits(low) || !qn_are_digits(high)) {
      return false;
    }
    value = qn_digits_value(low) * 100000000 + qn_digits_value(high);
  } else {
    return false;
  }
  *out = is_negative ? -(int64_t)value : (int64_t)value;
  return true;
}

static inline bool qn_fast_int32(const char *text, int64_t size, int32_t *out) {
  int64_t value;

  if (!qn_fast_int64(text, size, &value) || value != (int32_t)value) {
    return false;
  }
  *out = (int32_t)value;
  return true;
}

/// 0x80 in the lowest byte of `word` that is a point (and perhaps in higher ones); 0 if there is none.
static inline uint64_t qn_find_point(uint64_t word) {
  const uint64_t zero = word ^ 0x2e2e2e2e2e2e2e2eu;
  return (zero - 0x0101010101010101u) & ~zero & 0x8080808080808080u;
}

/// Takes the byte at `place` (0 to 7) out; those before it move up, `fill` comes in below.
static inline uint64_t qn_remove_byte(uint64_t word, int place, uint64_t fill) {
  const uint64_t before = ((uint64_t)1 << (8 * place)) - 1;
  const uint64_t behind = ~(((uint64_t)2 << (8 * place + 7)) - 1);
  return (word & behind) | ((word & before) << 8) | fill;
}

/// Digits with one point or none, 16 bytes at most: value = mantissa / 10^n_behind.
static inline bool qn_fast_decimal(const char *end, int64_t n, uint64_t *mantissa, int *n_behind) {
  if (__builtin_expect((uint64_t)(n - 1) < 8, 1)) {
    uint64_t word = qn_load_last_digits(end, n);
    const uint64_t point = qn_find_point(word);
    *n_behind = 0;
    if (point != 0) {
      const int place = __builtin_ctzll(point) >> 3;
      word = qn_remove_byte(word, place, '0');
      *n_behind = 7 - place;
    }
    *mantissa = qn_digits_value(word);
    return qn_are_digits(word) && (point == 0 || n > 1);
  }
  if ((uint64_t)(n - 9) >= 8) {
    return false;
  }
  uint64_t low = qn_load_last_digits(end - 8, n - 8), high = qn_load_digits(end - 8);
  const uint64_t low_point = qn_find_point(low), high_point = qn_find_point(high);
  *n_behind = 0;
  if (low_point != 0) {
    const int place = __builtin_ctzll(low_point) >> 3;
    low = qn_remove_byte(low, place, '0');
    *n_behind = 15 - place;
  } else if (high_point != 0) {
    const int place = __builtin_ctzll(high_point) >> 3;
    high = qn_remove_byte(high, place, low >> 56);
    low = (low << 8) | '0';
    *n_behind = 7 - place;
  }
  *mantissa = qn_digits_value(low) * 100000000 + qn_digits_value(high);
  return qn_are_digits(low) && qn_are_digits(high) && *mantissa <= (uint64_t)1 << 53;
}

/// The same for 17 to 24 bytes that have no more than 19 digits: floats printed in full.
static inline bool qn_fast_long_decimal(const char *end, int64_t n, uint64_t *mantissa, int *n_behind) {
  if ((uint64_t)(n - 17) >= 8) {
    return false;
  }
  uint64_t first = qn_load_last_digits(end - 16, n - 16), second = qn_load_digits(end - 16);
  const uint64_t third = qn_load_digits(end - 8);
  const uint64_t first_point = qn_find_point(first), second_point = qn_find_point(second);
  if (first_point != 0) {
    const int place = __builtin_ctzll(first_point) >> 3;
    first = qn_remove_byte(first, place, '0');
    *n_behind = 23 - place;
  } else if (second_point != 0) {
    const int place = __builtin_ctzll(second_point) >> 3;
    second = qn_remove_byte(second, place, first >> 56);
    first = (first << 8) | '0';
    *n_behind = 15 - place;
  } else {
    return false;
  }
  const uint64_t high = qn_digits_value(first);
  *mantissa = (high * 100000000 + qn_digits_value(second)) * 100000000 + qn_digits_value(third);
  return qn_are_digits(first) && qn_are_digits(second) && qn_are_digits(third) && high < 1000 &&
         *n_behind <= 19;
}

/// Exact: mantissa and power of ten are, so that the division rounds once (Clinger 1990).
static inline bool qn_fast_float64(const char *text, int64_t size, double *out) {
  static const double powers[16] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  if (size == 3 && text[1] == '.') { // the marks of ratings: worth a short cut
    const unsigned whole = (unsigned)(uint8_t)text[0] - '0', tenth = (unsigned)(uint8_t)text[2] - '0';
    *out = (int)(10 * whole + tenth) / 10.0;
    return whole <= 9 && tenth <= 9;
  }
  const bool is_negative = *text == '-';
  uint64_t mantissa;
  int n_behind;

  if (!qn_fast_decimal(text + size, size - is_negative, &mantissa, &n_behind)) {
    if (!qn_fast_long_decimal(text + size, size - is_negative, &mantissa, &n_behind)) {
      return false;
    }
    const double exact = qn_float64_of_decimal(mantissa, n_behind);
    *out = is_negative ? -exact : exact;
    return true;
  }
  const double value = (double)(int64_t)mantissa / powers[n_behind];
  *out = is_negative ? -value : value;
  return true;
}

/// By way of float64: rounding twice is wrong only if the first result lies halfway between two floats.
static inline bool qn_fast_float32(const char *text, int64_t size, float *out) {
  double value;
  uint64_t bits;

  if (!qn_fast_float64(text, size, &value)) {
    return false;
  }
  memcpy(&bits, &value, sizeof bits);
  *out = (float)value;
  return (bits & 0x1fffffff) != 0x10000000;
}

static inline bool qn_fast_bool(const char *text, int64_t size, uint8_t *out) {
  if (size == 1 && (*text == 't' || *text == 'f')) {
    *out = *text == 't';
    return true;
  }
  *out = size == 4;
  return (size == 4 && memcmp(text, "true", 4) == 0) || (size == 5 && memcmp(text, "false", 5) == 0);
}

/// YYYY-MM-DD; `text` has ten bytes at least.
static inline bool qn_fast_day(const char *text, int32_t *out) {
  static const uint8_t days[16] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0, 0, 0};
  const uint64_t word = qn_load_digits(text); // YYYY-MM-
  const unsigned ten = (unsigned)(uint8_t)text[8] - '0', one = (unsigned)(uint8_t)text[9] - '0';

  if ((word & 0xff0000ff00000000u) != 0x2d00002d00000000u || ten > 9 || one > 9) {
    return false;
  }
  // as 00YYYYMM, with the hyphens taken out
  const uint64_t digits = 0x3030u | ((word & 0xffffffffu) << 16) | ((word & 0x00ffff0000000000u) << 8);
  if (!qn_are_digits(digits)) {
    return false;
  }
  const int32_t year_month = (int32_t)qn_digits_value(digits);
  const int32_t year = year_month / 100, month = year_month % 100, day = (int32_t)(10 * ten + one);
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > days[month]) {
    return false; // 29 February is left to others
  }
  *out = qn_days_of_common((uint32_t)year, (uint32_t)month, (uint32_t)day);
  return true;
}

static inline bool qn_fast_date(const char *text, int64_t size, int32_t *out) {
  return size == 10 && qn_fast_day(text, out);
}

/// YYYY-MM-DD HH:MM:SS, or with a T.
static inline bool qn_fast_timestamp(const char *text, int64_t size, int64_t *out) {
  int32_t day;

  if (size != 19 || (text[10] != ' ' && text[10] != 'T') || !qn_fast_day(text, &day)) {
    return false;
  }
  const uint64_t word = qn_load_digits(text + 11); // HH:MM:SS
  if ((word & 0x0000ff0000ff0000u) != 0x00003a00003a0000u) {
    return false;
  }
  // as 00HHMMSS
  const uint64_t digits =
      0x3030u | ((word & 0xffffu) << 16) | ((word & 0x000000ffff000000u) << 8) | (word & 0xffff000000000000u);
  if (!qn_are_digits(digits)) {
    return false;
  }
  const int64_t clock = (int64_t)qn_digits_value(digits);
  const int64_t hour = clock / 10000, minute = clock / 100 % 100, second = clock % 100;
  if (hour > 23 || minute > 59 || second > 59) {
    return false;
  }
  *out = ((day * (int64_t)24 + hour) * 60 + minute) * 60 * 1000000 + second * 1000000;
  return true;
}
