// SPDX-License-Identifier: Apache-2.0
// Text to dates and timestamps, and the proleptic Gregorian calendar (the arithmetic of years of 400 *
// 365.2425 days that begin in March, so that the leap day is the last).
#include "column/calendar.h"
#include "column/parse.h"

enum { DAYS_OF_ERA = 146097 };

static const int64_t second_us = 1000000;
static const int64_t day_us = 86400 * 1000000ll;

static int64_t floor_divide(int64_t a, int64_t b) {
  return a / b - (a % b < 0);
}

int32_t qn_days_from_civil(int32_t year, int32_t month, int32_t day) {
  const int64_t y = (int64_t)year - (month <= 2);
  const int64_t era = floor_divide(y, 400);
  const int64_t year_of_era = y - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return (int32_t)(era * DAYS_OF_ERA + day_of_era - QN_DAYS_TO_1970);
}

void qn_civil_from_days(int32_t days, int32_t *year, int32_t *month, int32_t *day) {
  if (qn_day_is_common(days)) {
    qn_civil_of_common(days, year, month, day);
    return;
  }
  const int64_t shifted = (int64_t)days + QN_DAYS_TO_1970;
  const int64_t era = floor_divide(shifted, DAYS_OF_ERA);
  const int64_t day_of_era = shifted - era * DAYS_OF_ERA;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (DAYS_OF_ERA - 1)) / 365;
  const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month_from_march = (5 * day_of_year + 2) / 153;
  *day = (int32_t)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
  *month = (int32_t)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
  *year = (int32_t)(year_of_era + era * 400 + (*month <= 2));
}

static int32_t days_of_month(int32_t year, int32_t month) {
  static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return days[month - 1] + (month == 2 && is_leap);
}

// What is left of the text.
typedef struct {
  const char *at;
  const char *end;
} text_cursor;

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Reads `least` to `most` digits.
static bool read_number(text_cursor *cursor, int least, int most, int32_t *out) {
  int n = 0;
  int32_t value = 0;
  while (n < most && cursor->at < cursor->end && is_digit(*cursor->at)) {
    value = value * 10 + (*cursor->at++ - '0');
    n++;
  }
  *out = value;
  return n >= least;
}

static bool read_char(text_cursor *cursor, char c) {
  if (cursor->at >= cursor->end || *cursor->at != c) {
    return false;
  }
  cursor->at++;
  return true;
}

static bool read_date(text_cursor *cursor, int32_t *days) {
  int32_t year = 0;
  int32_t month = 0;
  int32_t day = 0;
  if (!read_number(cursor, 4, 4, &year) || !read_char(cursor, '-') || !read_number(cursor, 1, 2, &month) ||
      !read_char(cursor, '-') || !read_number(cursor, 1, 2, &day)) {
    return false;
  }
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_of_month(year, month)) {
    return false;
  }
  *days = qn_days_from_civil(year, month, day);
  return true;
}

// The digits behind the point of a second, rounded to microseconds.
static bool read_fraction(text_cursor *cursor, int64_t *microseconds) {
  int64_t value = 0;
  int n = 0;
  bool rounds_up = false;
  for (; cursor->at < cursor->end && is_digit(*cursor->at); cursor->at++, n++) {
    if (n < 6) {
      value = value * 10 + (*cursor->at - '0');
    } else if (n == 6) {
      rounds_up = *cursor->at >= '5';
    }
  }
  for (int i = n; i < 6; i++) {
    value *= 10;
  }
  *microseconds = value + rounds_up;
  return n > 0;
}

// HH:MM[:SS[.ffffff]] as microseconds; 24:00:00 is the end of the day and :60 the next minute, as in
// PostgreSQL.
static bool read_clock(text_cursor *cursor, int64_t *microseconds) {
  int32_t hour = 0;
  int32_t minute = 0;
  int32_t second = 0;
  int64_t fraction = 0;
  if (!read_number(cursor, 1, 2, &hour) || !read_char(cursor, ':') || !read_number(cursor, 2, 2, &minute)) {
    return false;
  }
  if (read_char(cursor, ':') && !read_number(cursor, 2, 2, &second)) {
    return false;
  }
  if (read_char(cursor, '.') && !read_fraction(cursor, &fraction)) {
    return false;
  }
  const int64_t total = ((int64_t)hour * 3600 + minute * 60 + second) * second_us + fraction;
  *microseconds = total;
  return hour <= 24 && minute <= 59 && second <= 60 && (hour < 24 || total == day_us);
}

// Z or +HH[[:]MM]: how far the clock is ahead of UTC.
static bool read_zone(text_cursor *cursor, int64_t *ahead) {
  int32_t hours = 0;
  int32_t minutes = 0;
  *ahead = 0;
  if (read_char(cursor, 'Z') || read_char(cursor, 'z')) {
    return true;
  }
  const bool is_behind = read_char(cursor, '-');
  if (!is_behind && !read_char(cursor, '+')) {
    return false;
  }
  if (!read_number(cursor, 2, 2, &hours)) {
    return false;
  }
  const bool has_colon = read_char(cursor, ':');
  if ((has_colon || cursor->at < cursor->end) && !read_number(cursor, 2, 2, &minutes)) {
    return false;
  }
  *ahead = (hours * 3600 + minutes * 60) * second_us * (is_behind ? -1 : 1);
  return hours <= 15 && minutes <= 59;
}

bool qn_parse_date(const char *text, int64_t size, int32_t *out) {
  text_cursor cursor = {.at = text, .end = text + size};
  return read_date(&cursor, out) && cursor.at == cursor.end;
}

bool qn_parse_timestamp(const char *text, int64_t size, int64_t *out) {
  text_cursor cursor = {.at = text, .end = text + size};
  int32_t days = 0;
  int64_t clock = 0;
  int64_t ahead = 0;
  if (!read_date(&cursor, &days)) {
    return false;
  }
  if (cursor.at < cursor.end) {
    if (!read_char(&cursor, ' ') && !read_char(&cursor, 'T') && !read_char(&cursor, 't')) {
      return false;
    }
    if (!read_clock(&cursor, &clock)) {
      return false;
    }
    read_char(&cursor, ' ');
    if (cursor.at < cursor.end && !read_zone(&cursor, &ahead)) {
      return false;
    }
    if (cursor.at < cursor.end || cursor.at[-1] == ' ') {
      return false;
    }
  }
  *out = days * day_us + clock - ahead;
  return true;
}
