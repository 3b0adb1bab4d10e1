// SPDX-License-Identifier: Apache-2.0
// Each type starts as possible and dies with the first value that is not of it.
#include "io/csv_type_guess.h"
#include <strings.h>
#include "column/parse.h"
#include "io/csv_fast_parse.h"

static unsigned bit(qn_type type) {
  return 1u << type;
}

static const qn_type guessed[] = {QN_BOOL, QN_INT64, QN_FLOAT64, QN_DATE, QN_TIMESTAMP};
enum { N_GUESSED = sizeof guessed / sizeof guessed[0] };

bool qn_csv_type_guess_is_text(const qn_csv_type_guess *guess) {
  unsigned all = 0;

  for (int i = 0; i < N_GUESSED; i++) {
    all |= bit(guessed[i]);
  }
  return (guess->dead & all) == all;
}

static bool see_bool(qn_csv_type_guess *guess, const char *text, int64_t size) {
  const bool is_t = size == 1 && (*text == 't' || *text == 'T');
  const bool is_f = size == 1 && (*text == 'f' || *text == 'F');
  const bool is_word =
      (size == 4 && strncasecmp(text, "true", 4) == 0) || (size == 5 && strncasecmp(text, "false", 5) == 0);

  guess->has_t |= is_t;
  guess->has_f |= is_f;
  guess->has_word |= is_word;
  return is_t || is_f || is_word;
}

static bool is_digit(char byte) {
  return byte >= '0' && byte <= '9';
}

/// What would not come back when the number is printed: codes that only look like numbers.
static bool is_code(const char *text, int64_t size) {
  const int64_t sign = size > 0 && *text == '-';
  int64_t n_digits = 0;
  int64_t value;

  if (*text == '+' || (size >= sign + 2 && text[sign] == '0' && is_digit(text[sign + 1]))) {
    return true;
  }
  while (sign + n_digits < size && is_digit(text[sign + n_digits])) {
    n_digits++;
  }
  return sign + n_digits == size && !qn_parse_int64(text, size, &value);
}

bool qn_csv_type_guess_is_usual(const qn_csv_type_guess *guess, const char *text, int64_t size) {
  const unsigned others = bit(QN_BOOL) | bit(QN_DATE) | bit(QN_TIMESTAMP);
  const int64_t sign = *text == '-';
  int64_t whole;
  double number;

  if (!guess->has_number || (guess->dead & others) != others || (guess->dead & bit(QN_FLOAT64)) != 0 ||
      (size > sign + 1 && text[sign] == '0' && is_digit(text[sign + 1]))) {
    return false;
  }
  return (guess->dead & bit(QN_INT64)) == 0 ? qn_fast_int64(text, size, &whole)
                                            : qn_fast_float64(text, size, &number);
}

static bool see_float(qn_csv_type_guess *guess, const char *text, int64_t size) {
  const int64_t sign = *text == '-';
  double value;
  const bool is_number = size > sign && (is_digit(text[sign]) || text[sign] == '.');

  guess->has_number |= is_number;
  return qn_parse_float64(text, size, &value);
}

void qn_csv_type_guess_see(qn_csv_type_guess *guess, const char *text, int64_t size) {
  int64_t whole, moment;
  int32_t day;

  if (size == 0) {
    return;
  }
  guess->has_value = true;
  if ((guess->dead & bit(QN_BOOL)) == 0 && !see_bool(guess, text, size)) {
    guess->dead |= bit(QN_BOOL);
  }
  if ((guess->dead & bit(QN_FLOAT64)) == 0) { // an int64 is one too
    if (is_code(text, size)) {
      guess->dead |= bit(QN_INT64) | bit(QN_FLOAT64);
    } else if ((guess->dead & bit(QN_INT64)) != 0 || !qn_parse_int64(text, size, &whole)) {
      guess->dead |= bit(QN_INT64);
      guess->dead |= see_float(guess, text, size) ? 0 : bit(QN_FLOAT64);
    } else {
      guess->has_number = true;
    }
  }
  if ((guess->dead & bit(QN_TIMESTAMP)) == 0) { // a date is one too
    if ((guess->dead & bit(QN_DATE)) != 0 || !qn_parse_date(text, size, &day)) {
      guess->dead |= bit(QN_DATE);
      guess->dead |= qn_parse_timestamp(text, size, &moment) ? 0 : bit(QN_TIMESTAMP);
    }
  }
}

qn_type qn_csv_type_guess_result(const qn_csv_type_guess *guess) {
  for (int i = 0; guess->has_value && i < N_GUESSED; i++) {
    const qn_type type = guessed[i];
    const bool is_clear = type == QN_BOOL      ? guess->has_word || (guess->has_t && guess->has_f)
                          : type == QN_FLOAT64 ? guess->has_number
                                               : true;
    if ((guess->dead & bit(type)) == 0 && is_clear) {
      return type;
    }
  }
  return QN_UTF8;
}
