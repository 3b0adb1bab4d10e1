// SPDX-License-Identifier: Apache-2.0
// Text to floats, correctly rounded: short numbers by one exact multiplication or division (Clinger 1990),
// those of up to 19 digits in integers of 128 bits, others by strtod on the digits without the point, which
// no locale can misread.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "column/parse.h"

static bool is_word(const char *text, int64_t size, const char *word) {
  return size == (int64_t)strlen(word) && strncasecmp(text, word, (size_t)size) == 0;
}

static unsigned digit_of(char c) {
  return (unsigned)(unsigned char)c - '0';
}

// A decimal number: 0.d1d2d3... digits counted as an integer times a power of ten.
typedef struct {
  bool is_negative;
  uint64_t mantissa;    // of the first 19 digits without leading zeros
  int64_t exponent;     // value = mantissa * 10^exponent, if n_digits <= 19
  int64_t n_digits;     // without leading zeros
  const char *digits;   // first significant digit
  const char *end;      // behind the last digit (a point may lie between)
  int64_t exponent_all; // value = (all digits) * 10^exponent_all
} decimal;

// Reads digits and one point. Returns where they end, or NULL if there is no digit.
static const char *read_digits(const char *at, const char *end, decimal *number) {
  bool has_point = false;
  int64_t n_seen = 0;
  int64_t n_behind_point = 0;
  for (; at < end; at++) {
    const unsigned digit = digit_of(*at);
    if (digit > 9) {
      if (*at != '.' || has_point) {
        break;
      }
      has_point = true;
      continue;
    }
    n_seen++;
    n_behind_point += has_point;
    if (number->n_digits > 0 || digit != 0) {
      number->digits = number->n_digits == 0 ? at : number->digits;
      number->mantissa = number->n_digits < 19 ? number->mantissa * 10 + digit : number->mantissa;
      number->n_digits++;
    }
  }
  number->end = at;
  number->exponent_all = -n_behind_point;
  return n_seen > 0 ? at : NULL;
}

// Reads e or E, a sign and digits. Returns where they end, or NULL.
static const char *read_exponent(const char *at, const char *end, int64_t *exponent) {
  at++;
  const bool is_negative = at < end && *at == '-';
  at += at < end && (*at == '-' || *at == '+');
  if (at >= end) {
    return NULL;
  }
  int64_t value = 0;
  for (; at < end; at++) {
    if (digit_of(*at) > 9) {
      return NULL;
    }
    value = value < 1000000000 ? value * 10 + digit_of(*at) : value;
  }
  *exponent = is_negative ? -value : value;
  return at;
}

static bool read_decimal(const char *text, int64_t size, decimal *number) {
  const char *end = text + size;
  const char *at = text;
  *number = (decimal){.is_negative = size > 0 && *at == '-'};
  at += size > 0 && (*at == '-' || *at == '+');
  at = read_digits(at, end, number);
  if (at == NULL) {
    return false;
  }
  int64_t exponent = 0;
  if (at < end && (*at == 'e' || *at == 'E')) {
    at = read_exponent(at, end, &exponent);
  }
  if (at != end) {
    return false;
  }
  number->exponent_all += exponent;
  number->exponent = number->exponent_all;
  return true;
}

// NaN, Infinity and inf with an optional sign.
static bool read_special(const char *text, int64_t size, double *out) {
  const bool is_negative = size > 0 && *text == '-';
  const int64_t skip = is_negative || (size > 0 && *text == '+');
  const char *word = text + skip;
  if (is_word(word, size - skip, "nan")) {
    *out = (double)NAN;
    return true;
  }
  if (is_word(word, size - skip, "infinity") || is_word(word, size - skip, "inf")) {
    *out = is_negative ? -(double)INFINITY : (double)INFINITY;
    return true;
  }
  return false;
}

// Significant digits beyond this many cannot change a result but by being there: 767 is what the longest
// double between two others has.
enum { MOST_DIGITS = 800 };

// Writes the digits without the point and the exponent, as strtod reads them in any locale.
static void write_plain(const decimal *number, char text[MOST_DIGITS + 32]) {
  int64_t n = 0;
  bool has_rest = false;
  for (const char *at = number->digits; at < number->end; at++) {
    if (*at == '.') {
      continue;
    }
    if (n < MOST_DIGITS) {
      text[n++] = *at;
    } else {
      has_rest = has_rest || *at != '0';
    }
  }
  int64_t exponent = number->exponent_all + number->n_digits - n;
  if (has_rest) {
    text[n++] = '1';
    exponent--;
  }
  exponent = exponent < -100000 ? -100000 : exponent > 100000 ? 100000 : exponent;
  snprintf(text + n, 16, "e%d", (int)exponent);
}

static const double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                       1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// Exact where the digits and the power of ten both are: one rounding.
static bool convert_by_double(const decimal *number, double *out) {
  if (number->n_digits > 19 || number->mantissa > (1ull << 53) || number->exponent < -22 ||
      number->exponent > 22) {
    return false;
  }
  const double mantissa = (double)number->mantissa;
  *out = number->exponent < 0 ? mantissa / powers_of_ten[-number->exponent]
                              : mantissa * powers_of_ten[number->exponent];
  return true;
}

typedef unsigned __int128 wide_integer;

// value * 2^exponent, where bits behind the last of `value` are only known not to be all 0 (is_inexact).
typedef struct {
  wide_integer value;
  bool is_inexact;
  int exponent;
} binary;

// The value in binary, with more bits than a double has, if the digits and the power of ten fit into 64 bits
// each. For division both are shifted up, the digits to one bit below the divisor's highest, so that the
// quotient has 63 or 64 bits.
static bool convert_to_binary(const decimal *number, binary *out) {
  static const uint64_t powers[20] = {1,
                                      10,
                                      100,
                                      1000,
                                      10000,
                                      100000,
                                      1000000,
                                      10000000,
                                      100000000,
                                      1000000000,
                                      10000000000,
                                      100000000000,
                                      1000000000000,
                                      10000000000000,
                                      100000000000000,
                                      1000000000000000,
                                      10000000000000000,
                                      100000000000000000,
                                      1000000000000000000,
                                      10000000000000000000u};
  const int64_t exponent = number->exponent;
  if (number->n_digits > 19 || exponent < -19 || exponent > 19) {
    return false;
  }
  if (exponent >= 0) {
    *out = (binary){.value = (wide_integer)number->mantissa * powers[exponent]};
    return true;
  }
  const uint64_t power = powers[-exponent];
  const int up = __builtin_clzll(number->mantissa), power_up = __builtin_clzll(power);
  const wide_integer numerator = (wide_integer)(number->mantissa << up) << 63;
  const uint64_t divisor = power << power_up;
  const uint64_t quotient = (uint64_t)(numerator / divisor);
  *out = (binary){.value = quotient,
                  .is_inexact = (wide_integer)quotient * divisor != numerator,
                  .exponent = power_up - up - 63};
  return true;
}

// 2^exponent, for exponents of normal floats.
static double power_of_two(int exponent) {
  const uint64_t bits = (uint64_t)(1023 + exponent) << 52;
  double power;
  memcpy(&power, &bits, sizeof power);
  return power;
}

// The magnitude of a number that has digits; 0 or infinite if it is too small or too large.
static double magnitude64(const decimal *number) {
  double value = 0;
  binary wide;
  if (convert_by_double(number, &value)) {
    return value;
  }
  if (convert_to_binary(number, &wide)) {
    // One rounding: the bit for "not exact" lies below the ones that count, and the power of two changes no
    // digit.
    return (double)(wide.value | wide.is_inexact) * power_of_two(wide.exponent);
  }
  char plain[MOST_DIGITS + 32];
  write_plain(number, plain);
  return strtod(plain, NULL);
}

double qn_float64_of_decimal(uint64_t mantissa, int n_behind) {
  const decimal number = {.mantissa = mantissa, .exponent = -n_behind, .n_digits = 19};
  return mantissa == 0 ? 0 : magnitude64(&number);
}

static float magnitude32(const decimal *number) {
  binary wide;
  if (convert_to_binary(number, &wide)) {
    return (float)(wide.value | wide.is_inexact) * (float)power_of_two(wide.exponent);
  }
  char plain[MOST_DIGITS + 32];
  write_plain(number, plain);
  return strtof(plain, NULL);
}

bool qn_parse_float64(const char *text, int64_t size, double *out) {
  decimal number;
  if (!read_decimal(text, size, &number)) {
    return read_special(text, size, out);
  }
  double value = 0;
  if (number.mantissa > 0) {
    value = magnitude64(&number);
    if (value == 0 || isinf(value)) {
      return false; // a number, but too small or too large
    }
  }
  *out = number.is_negative ? -value : value;
  return true;
}

bool qn_parse_float32(const char *text, int64_t size, float *out) {
  decimal number;
  if (!read_decimal(text, size, &number)) {
    double special = 0;
    if (!read_special(text, size, &special)) {
      return false;
    }
    *out = (float)special;
    return true;
  }
  float value = 0;
  if (number.mantissa > 0) {
    value = magnitude32(&number);
    if (value == 0 || isinf(value)) {
      return false;
    }
  }
  *out = number.is_negative ? -value : value;
  return true;
}
