// SPDX-License-Identifier: Apache-2.0
// Text to integers and bools.
#include "column/parse.h"
#include <string.h>
#include <strings.h>

static bool is_word(const char *text, int64_t size, const char *word) {
  return size == (int64_t)strlen(word) && strncasecmp(text, word, (size_t)size) == 0;
}

static bool is_start_of(const char *text, int64_t size, const char *word, int64_t least) {
  return size >= least && size <= (int64_t)strlen(word) && strncasecmp(text, word, (size_t)size) == 0;
}

bool qn_parse_bool(const char *text, int64_t size, bool *out) {
  if (is_start_of(text, size, "true", 1) || is_start_of(text, size, "yes", 1) ||
      is_start_of(text, size, "on", 2) || is_word(text, size, "1")) {
    *out = true;
    return true;
  }
  if (is_start_of(text, size, "false", 1) || is_start_of(text, size, "no", 1) ||
      is_start_of(text, size, "off", 2) || is_word(text, size, "0")) {
    *out = false;
    return true;
  }
  return false;
}

static unsigned digit_of(char c) {
  return (unsigned)(unsigned char)c - '0';
}

bool qn_parse_int64(const char *text, int64_t size, int64_t *out) {
  const bool is_negative = size > 0 && text[0] == '-';
  int64_t i = is_negative || (size > 0 && text[0] == '+');
  if (i >= size) {
    return false;
  }
  // 18 digits cannot overflow.
  uint64_t value = 0;
  const int64_t safe = size - i <= 18 ? size : i + 18;
  for (; i < safe; i++) {
    const unsigned digit = digit_of(text[i]);
    if (digit > 9) {
      return false;
    }
    value = value * 10 + digit;
  }
  for (; i < size; i++) {
    const unsigned digit = digit_of(text[i]);
    if (digit > 9 || value > (uint64_t)INT64_MAX / 10) {
      return false;
    }
    value = value * 10 + digit; // below 2^63 + 10
  }
  if (value > (uint64_t)INT64_MAX + is_negative) {
    return false;
  }
  *out = (int64_t)(is_negative ? 0 - value : value);
  return true;
}

bool qn_parse_int32(const char *text, int64_t size, int32_t *out) {
  int64_t value = 0;
  if (!qn_parse_int64(text, size, &value) || value < INT32_MIN || value > INT32_MAX) {
    return false;
  }
  *out = (int32_t)value;
  return true;
}
