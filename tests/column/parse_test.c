// SPDX-License-Identifier: Apache-2.0
#include <locale.h>
#include <math.h>
#include "column/calendar.h"
#include "column/parse.h"
#include "kit/kit.h"

static void check_bool(const char *text, int wanted) { // -1: no bool
  bool value = false;
  const bool is_read = qn_parse_bool(text, (int64_t)strlen(text), &value);
  QN_CHECK_INT(is_read ? (int)value : -1, wanted);
}

static void bools_are_read_as_in_postgresql(void) {
  static const char *const trues[] = {"t", "true", "TRUE", "tRu", "y", "yes", "on", "1"};
  static const char *const falses[] = {"f", "false", "FA", "n", "no", "of", "off", "0"};
  static const char *const others[] = {"", "o", "2", "truee", " t", "t ", "nope", "10", "yess"};
  for (size_t i = 0; i < sizeof trues / sizeof trues[0]; i++) {
    check_bool(trues[i], 1);
  }
  for (size_t i = 0; i < sizeof falses / sizeof falses[0]; i++) {
    check_bool(falses[i], 0);
  }
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    check_bool(others[i], -1);
  }
}

static bool reads_int64(const char *text, int64_t *value) {
  return qn_parse_int64(text, (int64_t)strlen(text), value);
}

static void integers_are_read_to_their_ends(void) {
  int64_t value = 0;
  int32_t small = 0;
  QN_CHECK(reads_int64("0", &value) && value == 0);
  QN_CHECK(reads_int64("-0", &value) && value == 0);
  QN_CHECK(reads_int64("+17", &value) && value == 17);
  QN_CHECK(reads_int64("9223372036854775807", &value) && value == INT64_MAX);
  QN_CHECK(reads_int64("-9223372036854775808", &value) && value == INT64_MIN);
  QN_CHECK(reads_int64("000000000000000000000000000012", &value) && value == 12);
  QN_CHECK(reads_int64("999999999999999999", &value) && value == 999999999999999999);
  static const char *const bad[] = {"",
                                    "-",
                                    "+",
                                    "9223372036854775808",
                                    "-9223372036854775809",
                                    "99999999999999999999",
                                    "92233720368547758070",
                                    "12a",
                                    "a",
                                    " 1",
                                    "1 ",
                                    "1.0",
                                    "--1",
                                    "1e3",
                                    "0x10"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    QN_CHECK(!reads_int64(bad[i], &value));
  }
  QN_CHECK(qn_parse_int32("2147483647", 10, &small) && small == INT32_MAX);
  QN_CHECK(qn_parse_int32("-2147483648", 11, &small) && small == INT32_MIN);
  QN_CHECK(!qn_parse_int32("2147483648", 10, &small));
  QN_CHECK(!qn_parse_int32("-2147483649", 11, &small));
}

static void check_float64(const char *text, double wanted) {
  double value = 0;
  QN_CHECK(qn_parse_float64(text, (int64_t)strlen(text), &value));
  QN_CHECK(memcmp(&value, &wanted, sizeof value) == 0 || (isnan(value) && isnan(wanted)));
  QN_CHECK_FLOAT(value, wanted, 0);
}

static void floats_are_read_exactly(void) {
  check_float64("0", 0.0);
  check_float64("-0", -0.0);
  check_float64("-0e5", -0.0);
  check_float64("0e999999999999", 0.0);
  check_float64(".5", 0.5);
  check_float64("5.", 5);
  check_float64("+1e3", 1000);
  check_float64("1E-3", 0.001);
  check_float64("00012.5000", 12.5);
  check_float64("0.1", 0.1);
  check_float64("123456789.123456789", 123456789.123456789);
  check_float64("9007199254740993", 9007199254740992.0); // a tie, to even
  check_float64("9007199254740993.00000000000000000001", 9007199254740994.0);
  check_float64("1.7976931348623157e308", 1.7976931348623157e308);
  check_float64("2.2250738585072011e-308", 2.2250738585072011e-308);
  check_float64("4.9e-324", 4.9e-324);
  check_float64("5e-324", 5e-324);
  check_float64("1e22", 1e22);
  check_float64("1e23", 1e23);
  check_float64("8.5e-30", 8.5e-30);
  check_float64("0.000000000000000000000000000000000000000000000001", 1e-48);
  check_float64("100000000000000000000000000000000000000000", 1e41);
  check_float64("NaN", (double)NAN);
  check_float64("-nan", (double)NAN);
  check_float64("Infinity", (double)INFINITY);
  check_float64("-inf", -(double)INFINITY);
  check_float64("+INF", (double)INFINITY);
}

static void what_is_no_float_is_refused(void) {
  static const char *const bad[] = {"",
                                    "-",
                                    "+",
                                    ".",
                                    "-.",
                                    "e5",
                                    "1e",
                                    "1e+",
                                    "1e5.",
                                    "1.2.3",
                                    "0x1p3",
                                    "0x10",
                                    "1_0",
                                    " 1",
                                    "1 ",
                                    "1,5",
                                    "nan1",
                                    "infinit",
                                    "inf ",
                                    "1e400",
                                    "-1e400",
                                    "1e-400",
                                    "4e99999999999999999999",
                                    "1e-99999999999999999999",
                                    "in",
                                    "1f",
                                    "--1"};
  double value = 7;
  float small = 7;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    QN_CHECK(!qn_parse_float64(bad[i], (int64_t)strlen(bad[i]), &value));
    QN_CHECK(!qn_parse_float32(bad[i], (int64_t)strlen(bad[i]), &small));
  }
  QN_CHECK(!qn_parse_float32("1e39", 4, &small));
  QN_CHECK(!qn_parse_float32("1e-60", 5, &small));
}

// As strtod reads it, on random digits; also with very many.
static void floats_agree_with_strtod(void) {
  kit_random random = {.state = 21};
  char text[1400];
  for (int round = 0; round < 100000; round++) {
    int64_t n = 0;
    const int64_t n_digits =
        1 + (round % 500 == 0 ? kit_random_below(&random, 1300) : kit_random_below(&random, 25));
    const int64_t point = kit_random_below(&random, n_digits + 1);
    for (int64_t i = 0; i < n_digits; i++) {
      if (i == point) {
        text[n++] = '.';
      }
      text[n++] = (char)('0' + kit_random_below(&random, 10));
    }
    const int range = round % 3 == 0 ? 40 : 320;
    n += snprintf(text + n, 16, "e%d", (int)kit_random_below(&random, 2 * range) - range);
    double value = 0;
    float small = 0;
    const double wanted = strtod(text, NULL);
    const float wanted_small = strtof(text, NULL);
    if (qn_parse_float64(text, n, &value)) {
      QN_CHECK_FLOAT(value, wanted, 0);
    } else {
      QN_CHECK(wanted == 0 || isinf(wanted));
    }
    if (qn_parse_float32(text, n, &small)) {
      QN_CHECK_FLOAT((double)small, (double)wanted_small, 0);
    } else {
      QN_CHECK(wanted_small == 0 || isinf(wanted_small));
    }
  }
}

static void check_date(const char *text, int32_t wanted) {
  int32_t days = 0;
  QN_CHECK(qn_parse_date(text, (int64_t)strlen(text), &days));
  QN_CHECK_INT(days, wanted);
}

static void dates_are_read(void) {
  check_date("1970-01-01", 0);
  check_date("1969-12-31", -1);
  check_date("2000-02-29", 11016);
  check_date("2015-5-7", 16562);
  check_date("0001-01-01", -719162);
  check_date("9999-12-31", 2932896);
  static const char *const bad[] = {
      "",           "2015-02-29",  "1900-02-29",  "2015-13-01",  "2015-00-01",  "2015-01-00",
      "2015-04-31", "0000-01-01",  "15-01-01",    "2015/01/01",  "2015-01-01 ", "2015-01",
      "20150101",   "2015-01-01x", "-2015-01-01", "12015-01-01", "2015-001-01"};
  int32_t days = 0;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    QN_CHECK(!qn_parse_date(bad[i], (int64_t)strlen(bad[i]), &days));
  }
}

static void the_calendar_goes_both_ways(void) {
  int32_t before[3] = {-1, 12, 31};
  for (int32_t days = -800000; days < 3000000; days++) {
    int32_t date[3];
    qn_civil_from_days(days, &date[0], &date[1], &date[2]);
    const bool is_same = qn_days_from_civil(date[0], date[1], date[2]) == days;
    const bool is_next_day = date[0] == before[0] && date[1] == before[1] && date[2] == before[2] + 1;
    const bool is_next_month = date[2] == 1 && before[2] >= 28 && (date[1] == before[1] + 1 || date[1] == 1);
    if (!is_same || (days > -800000 && !is_next_day && !is_next_month)) {
      QN_CHECK_INT(days, -1);
      break;
    }
    memcpy(before, date, sizeof before);
  }
  int32_t year = 0, month = 0, day = 0;
  qn_civil_from_days(INT32_MIN, &year, &month, &day);
  QN_CHECK_INT(qn_days_from_civil(year, month, day), INT32_MIN);
  qn_civil_from_days(INT32_MAX, &year, &month, &day);
  QN_CHECK_INT(qn_days_from_civil(year, month, day), INT32_MAX);
}

// Counted day by day, with the lengths of months as everybody knows them.
static void the_calendar_of_common_years_is_counted_day_by_day(void) {
  static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int32_t days = QN_DAY_OF_YEAR_1;
  int32_t n_wrong = 0;
  for (int32_t year = 1; year <= 9999; year++) {
    const bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    for (int32_t month = 1; month <= 12; month++) {
      for (int32_t day = 1; day <= lengths[month - 1] + (is_leap && month == 2); day++, days++) {
        int32_t date[3] = {0};
        qn_civil_of_common(days, &date[0], &date[1], &date[2]);
        n_wrong += date[0] != year || date[1] != month || date[2] != day;
        n_wrong += qn_days_of_common((uint32_t)year, (uint32_t)month, (uint32_t)day) != days;
      }
    }
  }
  QN_CHECK_INT(n_wrong, 0);
  QN_CHECK_INT(days, QN_DAY_OF_YEAR_9999 + 1);
}

static void check_timestamp(const char *text, int64_t wanted) {
  int64_t value = -1;
  QN_CHECK(qn_parse_timestamp(text, (int64_t)strlen(text), &value));
  QN_CHECK_INT(value, wanted);
}

static void timestamps_are_read(void) {
  const int64_t noon = 1431864303250000; // 2015-05-17 12:05:03.25
  check_timestamp("2015-05-17 12:05:03.25", noon);
  check_timestamp("2015-05-17T12:05:03.25Z", noon);
  check_timestamp("2015-05-17t12:05:03.250000z", noon);
  check_timestamp("2015-05-17 14:05:03.25+02", noon);
  check_timestamp("2015-05-17 14:05:03.25 +02:00", noon);
  check_timestamp("2015-05-17 17:35:03.25+0530", noon);
  check_timestamp("2015-05-17 02:35:03.25-09:30", noon);
  check_timestamp("2015-05-17", 1431820800000000);
  check_timestamp("2015-05-17 0:00", 1431820800000000);
  check_timestamp("2015-05-16 24:00:00", 1431820800000000);
  check_timestamp("2015-05-16 23:59:60", 1431820800000000);
  check_timestamp("1969-12-31 23:59:59.999999", -1);
  check_timestamp("1969-12-31 23:59:59.9999996", 0);
  check_timestamp("1970-01-01 00:00:00.0000014999", 1);
  check_timestamp("0001-01-01 00:00:00", -62135596800000000);
  static const char *const bad[] = {"",
                                    "2015-05-17 ",
                                    "2015-05-17T",
                                    "2015-05-17 12",
                                    "2015-05-17 12:5",
                                    "2015-05-17 12:05:",
                                    "2015-05-17 12:05:03.",
                                    "2015-05-17 12:05:03 ",
                                    "2015-05-17 25:00",
                                    "2015-05-17 24:00:01",
                                    "2015-05-17 12:60",
                                    "2015-05-17 12:05:61",
                                    "2015-05-17 12:05+2",
                                    "2015-05-17 12:05+16",
                                    "2015-05-17 12:05+02:",
                                    "2015-05-17 12:05+02:60",
                                    "2015-05-17 12:05 pm",
                                    "2015-05-17  12:05",
                                    "2015-05-17x12:05",
                                    "2015-02-30 12:05"};
  int64_t value = 0;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    QN_CHECK(!qn_parse_timestamp(bad[i], (int64_t)strlen(bad[i]), &value));
  }
}

// Where the locale's decimal point is a comma, numbers are read as everywhere.
static void no_locale_changes_numbers(void) {
  if (setlocale(LC_NUMERIC, "de_DE.UTF-8") != NULL) {
    check_float64("1.2345678901234567890123e10", 1.2345678901234567890123e10);
    setlocale(LC_NUMERIC, "C");
  }
}

int main(void) {
  KIT_RUN(bools_are_read_as_in_postgresql);
  KIT_RUN(integers_are_read_to_their_ends);
  KIT_RUN(floats_are_read_exactly);
  KIT_RUN(what_is_no_float_is_refused);
  KIT_RUN(floats_agree_with_strtod);
  KIT_RUN(dates_are_read);
  KIT_RUN(the_calendar_goes_both_ways);
  KIT_RUN(the_calendar_of_common_years_is_counted_day_by_day);
  KIT_RUN(timestamps_are_read);
  KIT_RUN(no_locale_changes_numbers);
  return kit_result();
}
