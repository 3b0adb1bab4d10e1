// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include "column/parse.h"
#include "column/print.h"
#include "kit/kit.h"

static void check_float64(double value, const char *wanted) {
  char text[40] = {0};
  const int size = qn_print_float64(value, text);
  QN_CHECK(size <= 32);
  text[size] = '\0';
  QN_CHECK_TEXT(text, wanted);
}

static void check_float32(float value, const char *wanted) {
  char text[40] = {0};
  const int size = qn_print_float32(value, text);
  QN_CHECK(size <= 32);
  text[size] = '\0';
  QN_CHECK_TEXT(text, wanted);
}

static void floats_look_as_in_postgresql(void) {
  check_float64(0, "0");
  check_float64(-0.0, "-0");
  check_float64(0.1, "0.1");
  check_float64(100, "100");
  check_float64(-1.5, "-1.5");
  check_float64(1e14, "100000000000000");
  check_float64(1e15, "1e+15");
  check_float64(123456789012345.0, "123456789012345");
  check_float64(1234567890123456.0, "1.234567890123456e+15");
  check_float64(1e20, "1e+20");
  check_float64(0.0001, "0.0001");
  check_float64(0.00001, "1e-05");
  check_float64(0.000123456789012345, "0.000123456789012345");
  check_float64(1.0 / 3, "0.3333333333333333");
  check_float64(0.1 + 0.2, "0.30000000000000004");
  check_float64(5e-324, "5e-324");
  check_float64(1.7976931348623157e308, "1.7976931348623157e+308");
  check_float64(-2.5e-100, "-2.5e-100");
  check_float64((double)NAN, "NaN");
  check_float64((double)INFINITY, "Infinity");
  check_float64(-(double)INFINITY, "-Infinity");
  check_float64(-1.2345678901234567e-308, "-1.2345678901234567e-308");
  check_float32(0.1f, "0.1");
  check_float32(1e6f, "1e+06");
  check_float32(999999.0f, "999999");
  check_float32(16777216.0f, "1.6777216e+07");
  check_float32(3.4028235e38f, "3.4028235e+38");
  check_float32(1e-45f, "1e-45");
  check_float32(0.33333334f, "0.33333334");
  check_float32(-12.25f, "-12.25");
  check_float32((float)NAN, "NaN");
}

// Reads back the same, and no shorter text does (as printf's precisions go).
static void check_shortest(double value) {
  char text[40] = {0};
  double again = 0;
  const int size = qn_print_float64(value, text);
  text[size] = '\0';
  QN_CHECK(qn_parse_float64(text, size, &again));
  if (memcmp(&value, &again, sizeof value) != 0) {
    QN_CHECK_TEXT(text, "a text that reads back the same");
  }
  int n_digits = 0; // from the first that is not 0 to the last before e
  int n_zeros = 0;
  for (const char *at = text; *at != '\0' && *at != 'e'; at++) {
    n_zeros = *at == '0' ? n_zeros + 1 : *at == '.' ? n_zeros : 0;
    n_digits += *at >= '0' && *at <= '9' && (n_digits > 0 || *at != '0');
  }
  n_digits -= n_zeros;
  if (n_digits > 1) {
    char shorter[40];
    snprintf(shorter, sizeof shorter, "%.*e", n_digits - 2, value);
    QN_CHECK(strtod(shorter, NULL) != value);
  }
}

static void random_floats_read_back_the_same(void) {
  kit_random random = {.state = 31};
  for (int round = 0; round < 200000; round++) {
    const uint64_t bits = kit_random_next(&random);
    double value = 0;
    if (round % 2 == 0) {
      memcpy(&value, &bits, sizeof value);
    } else {
      const double powers[] = {1, 10, 100, 1000, 1e4, 1e6, 1e9, 1e12, 1e18};
      value =
          (double)(kit_random_below(&random, 2000000000) - 1000000000) / powers[kit_random_below(&random, 9)];
    }
    if (isfinite(value) && value != 0) {
      check_shortest(value);
    }
    float small = 0, again = 0;
    const uint32_t few = (uint32_t)(bits >> 20);
    memcpy(&small, &few, sizeof small);
    small = round % 2 == 0 ? small : (float)value;
    if (isfinite(small)) {
      char text[40] = {0};
      QN_CHECK(qn_parse_float32(text, qn_print_float32(small, text), &again));
      QN_CHECK(memcmp(&small, &again, sizeof small) == 0);
    }
  }
}

static void check_int64(int64_t value) {
  char text[40] = {0}, wanted[40];
  const int size = qn_print_int64(value, text);
  text[size] = '\0';
  snprintf(wanted, sizeof wanted, "%lld", (long long)value);
  QN_CHECK_TEXT(text, wanted);
}

static void whole_numbers_of_each_length_are_printed(void) {
  kit_random random = {.state = 32};
  check_int64(INT64_MIN);
  check_int64(INT64_MAX);
  check_int64(0);
  uint64_t power = 1;
  for (int n_digits = 1; n_digits <= 19; n_digits++, power *= 10) {
    for (int64_t near = -2; near <= 2; near++) {
      check_int64((int64_t)power + near);
      check_int64(-((int64_t)power + near));
    }
    for (int round = 0; round < 500; round++) {
      check_int64((int64_t)(kit_random_next(&random) % (10 * power)));
    }
  }
}

// Decimals of every number of places and digits: what was written is what is read.
static void short_decimals_come_back_as_they_were_written(void) {
  kit_random random = {.state = 33};
  for (int round = 0; round < 100000; round++) {
    const int n_digits = 1 + (int)kit_random_below(&random, 15),
              n_places = (int)kit_random_below(&random, n_digits + 5);
    double power = 1;
    for (int i = 0; i < n_digits; i++) {
      power *= 10;
    }
    char wanted[60], text[60] = {0};
    const double mantissa = (double)(1 + kit_random_below(&random, (int64_t)power - 1));
    snprintf(wanted, sizeof wanted, "%.0fe-%d", mantissa, n_places);
    const double value = strtod(wanted, NULL);
    const int size = qn_print_float64(value, text);
    text[size] = '\0';
    snprintf(wanted, sizeof wanted, "%.15g", value);
    QN_CHECK_TEXT(text, wanted);
  }
}

static void check_time(int64_t value, const char *wanted) {
  char text[40] = {0};
  const int size = qn_print_timestamp(value, text);
  QN_CHECK(size <= 32);
  text[size] = '\0';
  QN_CHECK_TEXT(text, wanted);
}

static void times_look_as_in_postgresql(void) {
  char text[40] = {0};
  text[qn_print_date(16572, text)] = '\0';
  QN_CHECK_TEXT(text, "2015-05-17");
  text[qn_print_date(-719163, text)] = '\0';
  QN_CHECK_TEXT(text, "0001-12-31 BC");
  check_time(1431864303250000, "2015-05-17 12:05:03.25");
  check_time(-1, "1969-12-31 23:59:59.999999");
  check_time(0, "1970-01-01 00:00:00");
  check_time(1, "1970-01-01 00:00:00.000001");
  check_time(INT64_MAX, "294247-01-10 04:00:54.775807");
  check_time(INT64_MIN, "290309-12-21 19:59:05.224192 BC");
}

static void random_times_read_back_the_same(void) {
  kit_random random = {.state = 32};
  for (int round = 0; round < 50000; round++) {
    const int64_t value = -62135596800000000 + kit_random_below(&random, 315537897600000000);
    char text[40];
    int64_t again = 0;
    QN_CHECK(qn_parse_timestamp(text, qn_print_timestamp(value, text), &again));
    QN_CHECK_INT(again, value);
    const int32_t days = (int32_t)(value / 86400000000);
    int32_t days_again = 0;
    QN_CHECK(qn_parse_date(text, qn_print_date(days, text), &days_again));
    QN_CHECK_INT(days_again, days);
    const int64_t number = (int64_t)kit_random_next(&random) >> kit_random_below(&random, 64);
    QN_CHECK(qn_parse_int64(text, qn_print_int64(number, text), &again));
    QN_CHECK_INT(again, number);
  }
  char text[40] = {0};
  qn_print_int64(INT64_MIN, text);
  QN_CHECK_TEXT(text, "-9223372036854775808");
}

static void check_table(const qn_batch *batch, int64_t max_rows, const char *wanted) {
  qn_buffer out = {0};
  QN_CHECK_OK(qn_batch_print(batch, max_rows, &out, &kit_error));
  QN_CHECK_OK(qn_buffer_terminate(&out, &kit_error));
  QN_CHECK_TEXT((char *)out.data, wanted);
  qn_buffer_release(&out);
}

static void tables_are_aligned(void) {
  qn_batch *batch = kit_batch("n int64, word utf8, x float64", "1|caf\xc3\xa9|0.5\n-200|~|~\n3|a b|1e300\n");
  check_table(batch, 10,
              "   n  word       x\n"
              "----  ----  ------\n"
              "   1  caf\xc3\xa9     0.5\n"
              "-200  NULL    NULL\n"
              "   3  a b   1e+300\n");
  check_table(batch, 1,
              "n  word    x\n"
              "-  ----  ---\n"
              "1  caf\xc3\xa9  0.5\n");
  qn_batch_free(batch);
  batch = kit_batch("b binary, t utf8", "\\x00ff|\xc3\xa4"
                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
                                        "~|0123456789012345678901234567890123456789abcdefgh\n"
                                        "~|x\ty\n");
  check_table(batch, 10,
              "b       t\n"
              "------  ------------------------------------------------\n"
              "\\x00ff  \xc3\xa4"
              "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xe2\x80\xa6\n"
              "NULL    0123456789012345678901234567890123456789abcdefgh\n"
              "NULL    x y\n");
  qn_batch_free(batch);
}

int main(void) {
  KIT_RUN(floats_look_as_in_postgresql);
  KIT_RUN(random_floats_read_back_the_same);
  KIT_RUN(whole_numbers_of_each_length_are_printed);
  KIT_RUN(short_decimals_come_back_as_they_were_written);
  KIT_RUN(times_look_as_in_postgresql);
  KIT_RUN(random_times_read_back_the_same);
  KIT_RUN(tables_are_aligned);
  return kit_result();
}
