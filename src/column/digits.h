// SPDX-License-Identifier: Apache-2.0
// Decimal digits of whole numbers, eight at a time in a register.
#pragma once
#include <endian.h>
#include <stdint.h>
#include <string.h>

/// The eight digits of value < 10^8 as bytes 0 to 9, the first in the lowest byte: halves of four digits,
/// then of two, then of one, by multiplications that divide all of them at once.
static inline uint64_t qn_split_digits(uint32_t value) {
  const uint64_t fours = value / 10000 | (uint64_t)(value % 10000) << 32;
  const uint64_t hundreds = ((fours * 10486) >> 20) & 0x0000007f0000007fu; // exact below 10^4
  const uint64_t twos = hundreds | (fours - 100 * hundreds) << 16;
  const uint64_t tens = ((twos * 103) >> 10) & 0x000f000f000f000fu; // exact below 100
  return tens | (twos - 10 * tens) << 8;
}

static inline char *qn_put_word(char *to, uint64_t digits) {
  const uint64_t text = htole64(digits | 0x3030303030303030u);
  memcpy(to, &text, sizeof text);
  return to + 8;
}

/// value < 10^8 as exactly eight digits.
static inline char *qn_put_eight(char *to, uint32_t value) {
  return qn_put_word(to, qn_split_digits(value));
}

/// value < 10^8 without zeros before it; 8 bytes are written, whatever they are behind the result.
static inline char *qn_put_up_to_eight(char *to, uint32_t value) {
  const uint64_t digits = qn_split_digits(value);
  const int n_zeros = __builtin_ctzll(digits | (uint64_t)1 << 56) >> 3;
  qn_put_word(to, digits >> (8 * n_zeros));
  return to + 8 - n_zeros;
}

/// At most 20 digits, and up to 7 bytes behind them.
static inline char *qn_put_digits(char *to, uint64_t value) {
  static const uint64_t hundred_million = 100000000;
  if (value < hundred_million) {
    return qn_put_up_to_eight(to, (uint32_t)value);
  }
  const uint64_t high = value / hundred_million;
  if (high < hundred_million) {
    to = qn_put_up_to_eight(to, (uint32_t)high);
  } else {
    to = qn_put_up_to_eight(to, (uint32_t)(high / hundred_million));
    to = qn_put_eight(to, (uint32_t)(high % hundred_million));
  }
  return qn_put_eight(to, (uint32_t)(value % hundred_million));
}

/// value < 100 as two digits.
static inline char *qn_put_two(char *to, uint32_t value) {
  to[0] = (char)('0' + value / 10);
  to[1] = (char)('0' + value % 10);
  return to + 2;
}
