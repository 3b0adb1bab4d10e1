// SPDX-License-Identifier: Apache-2.0
// Numbers as text in PostgreSQL's forms. Floats: the shortest digits that read back the same. Those of at
// most 15 digits are found by one multiplication and one exact division, those of 16 and 17 in integers of
// 128 bits; very large and very small ones by trying precisions.
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "column/digits.h"
#include "column/print.h"

int qn_print_int64(int64_t value, char *out) {
  char *to = out;
  *to = '-';
  to += value < 0;
  return (int)(qn_put_digits(to, value < 0 ? 0 - (uint64_t)value : (uint64_t)value) - out);
}

typedef unsigned __int128 wide_integer;

// value = mantissa * 10^exponent, the mantissa without zeros at the end and below 10^18
typedef struct {
  uint64_t mantissa;
  int exponent;
} shortest;

static void set_digits(shortest *number, uint64_t mantissa, int exponent) {
  static const struct {
    uint32_t power;
    int n_zeros;
  } steps[] = {{100000000, 8}, {10000, 4}, {100, 2}, {10, 1}};
  for (int i = 0; i < 4; i++) {
    if (mantissa % steps[i].power == 0) {
      mantissa /= steps[i].power;
      exponent += steps[i].n_zeros;
    }
  }
  while (mantissa % 10 == 0) { // more than 15 of them
    mantissa /= 10;
    exponent++;
  }
  *number = (shortest){.mantissa = mantissa, .exponent = exponent};
}

static const double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9, 1e10,
                                       1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20};

// The power of ten that gives a value from 1e-5 to below 1e15 n_digits <= 15 digits before the point (or one
// fewer, by rounding); -1 if it has more, or is out of that range.
static int scale_to_digits(double value, int n_digits) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (value < 1e-5 || value >= powers_of_ten[n_digits]) {
    return -1;
  }
  // the whole number of tens that 2^exponent has, times log10(2); one too few at most
  int n_tens = (((int)(bits >> 52) - 1023) * 1233) >> 12;
  if (n_tens >= 0) {
    n_tens += value >= powers_of_ten[n_tens + 1];
  } else {
    n_tens += value * powers_of_ten[-n_tens - 1] >= 1;
  }
  return n_digits - 1 - n_tens;
}

static double round_up_half(double value) {
  return (double)(int64_t)(value + 0.5);
}

// Prices, marks and the like: four digits behind the point. Fifteen digits are known exactly, so that this
// finds what the search among all of them would.
static bool find_four_places(double value, shortest *number) {
  if (!(value < 1e11)) {
    return false;
  }
  const double mantissa = round_up_half(value * 1e4);
  if (mantissa / 1e4 != value || mantissa < 1) {
    return false;
  }
  set_digits(number, (uint64_t)mantissa, -4);
  return true;
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
  assert(exponent >= 0 && exponent <= 38);
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

enum { MOST_DIGITS = 24, DIGIT_STEP = 8 };

// n digits of a buffer with room behind them, up to seven bytes more than that.
static char *put_some(char *to, const char *digits, int n) {
  for (int i = 0; i < n; i += DIGIT_STEP) {
    memcpy(to + i, digits + i, DIGIT_STEP);
  }
  return to + n;
}

// As printf's %g would: 1.5e+20, 0.0001, 1500.
static char *put_number(char *to, const shortest *number, int most_fixed) {
  char digits[2 * MOST_DIGITS];
  const int n = (int)(qn_put_digits(digits, number->mantissa) - digits);
  const int exponent = number->exponent + n - 1; // of the first digit
  const int n_before = exponent + 1;             // digits before the point
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
    char power[MOST_DIGITS];
    return put(to, power, (int)(qn_put_digits(power, (uint64_t)abs(exponent)) - power));
  }
  if (n_before <= 0) {
    memcpy(to, "0.000000", DIGIT_STEP);
    return put_some(to + 2 - n_before, digits, n);
  }
  if (n <= n_before) {
    memset(digits + n, '0', MOST_DIGITS);
    return put_some(to, digits, n_before);
  }
  put_some(to, digits, n_before);
  to[n_before] = '.';
  return put_some(to + n_before + 1, digits + n_before, n - n_before);
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
  if (!find_four_places(size, &number) && !find_by_division64(size, &number) &&
      !find_by_product64(size, &number)) {
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
