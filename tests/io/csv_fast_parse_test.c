// SPDX-License-Identifier: Apache-2.0
// What the fast parsers accept is what column/parse.h says; what they leave, they leave to it.
#include "io/csv_fast_parse.h"
#include "kit/kit.h"

/// Compares one text, which has readable bytes around it.
static void check(const char *text, int64_t size) {
  int64_t fast64 = 0, slow64 = 0;
  int32_t fast32 = 0, slow32 = 0;
  double fast_double = 0, slow_double = 0;
  float fast_float = 0, slow_float = 0;
  uint8_t fast_bool = 0;
  bool slow_bool = false, good = true;
  if (qn_fast_int64(text, size, &fast64)) {
    good &= qn_parse_int64(text, size, &slow64) && fast64 == slow64;
  }
  if (qn_fast_int32(text, size, &fast32)) {
    good &= qn_parse_int32(text, size, &slow32) && fast32 == slow32;
  }
  if (qn_fast_float64(text, size, &fast_double)) {
    good &= qn_parse_float64(text, size, &slow_double) &&
            memcmp(&fast_double, &slow_double, sizeof fast_double) == 0;
  }
  if (qn_fast_float32(text, size, &fast_float)) {
    good &=
        qn_parse_float32(text, size, &slow_float) && memcmp(&fast_float, &slow_float, sizeof fast_float) == 0;
  }
  if (qn_fast_bool(text, size, &fast_bool)) {
    good &= qn_parse_bool(text, size, &slow_bool) && fast_bool == slow_bool;
  }
  if (qn_fast_date(text, size, &fast32)) {
    good &= qn_parse_date(text, size, &slow32) && fast32 == slow32;
  }
  if (qn_fast_timestamp(text, size, &fast64)) {
    good &= qn_parse_timestamp(text, size, &slow64) && fast64 == slow64;
  }
  if (!good) {
    printf("  '%.*s'\n", (int)size, text);
  }
  QN_CHECK(good);
}

static void check_text(const char *value) {
  char text[160];
  memset(text, '7', sizeof text);
  memcpy(text + 64, value, strlen(value));
  text[64 + strlen(value)] = ',';
  check(text + 64, (int64_t)strlen(value));
}

static void short_texts_of_all_kinds_of_bytes_agree(void) {
  static const char bytes[] = "0123456789999.-+e: Tt,\"";
  kit_random random = {.state = 99};
  for (int round = 0; round < 300000; round++) {
    char value[40];
    const int64_t size = kit_random_below(&random, 27), kinds = kit_random_below(&random, 3) == 0 ? 23 : 14;
    for (int64_t i = 0; i < size; i++) {
      value[i] = bytes[kit_random_below(&random, kinds)];
    }
    value[size] = '\0';
    check_text(value);
  }
}

static void dates_and_times_agree(void) {
  kit_random random = {.state = 5};
  for (int round = 0; round < 200000; round++) {
    char value[64];
    const int year = (int)kit_random_below(&random, 3000), month = (int)kit_random_below(&random, 14);
    const int day = (int)kit_random_below(&random, 34), hour = (int)kit_random_below(&random, 26);
    const int minute = (int)kit_random_below(&random, 62), second = (int)kit_random_below(&random, 62);
    snprintf(value, sizeof value, "%04d-%02d-%02d", year, month, day);
    check_text(value);
    snprintf(value, sizeof value, "%04d-%02d-%02d%c%02d:%02d:%02d", year, month, day, round % 2 ? ' ' : 'T',
             hour, minute, second);
    if (round % 5 == 0) { // one byte that is something else
      value[kit_random_below(&random, 19)] = (char)(32 + kit_random_below(&random, 90));
    }
    check_text(value);
  }
}

static void floats_in_full_are_taken_and_agree(void) {
  kit_random random = {.state = 6};
  int64_t n_taken = 0;
  for (int round = 0; round < 100000; round++) {
    char text[200];
    double number = 0;
    const double value =
        (double)(kit_random_next(&random) >> 11) * 0x1p-53 * (round % 3 == 0 ? 1 : round % 1000);
    memset(text, '.', 64);
    snprintf(text + 64, sizeof text - 64, round % 2 == 0 ? "%.17g," : "-%.16f,", value);
    const int64_t size = (int64_t)strcspn(text + 64, ",");
    check(text + 64, size);
    n_taken += qn_fast_float64(text + 64, size, &number);
  }
  QN_CHECK(n_taken > 90000);
}

static void numbers_of_the_usual_form_are_taken(void) {
  int64_t whole = 0;
  double number = 0;
  int32_t day = 0;
  char text[100];
  memset(text, 'x', sizeof text);
  memcpy(text + 64, "-1234567890123456", 17);
  QN_CHECK(qn_fast_int64(text + 64, 17, &whole) && whole == -1234567890123456);
  memcpy(text + 64, "-12345.6789", 11);
  QN_CHECK(qn_fast_float64(text + 64, 11, &number) && number == -12345.6789);
  memcpy(text + 64, "2015-05-17", 10);
  QN_CHECK(qn_fast_date(text + 64, 10, &day) && day == 16572);
  memcpy(text + 64, "2015-05-17 10:05:03", 19);
  QN_CHECK(qn_fast_timestamp(text + 64, 19, &whole) && whole == 1431857103000000);
  QN_CHECK(!qn_fast_int64(text + 64, 0, &whole));
  memcpy(text + 64, "-.", 2);
  QN_CHECK(!qn_fast_float64(text + 64, 2, &number));
}

int main(void) {
  KIT_RUN(short_texts_of_all_kinds_of_bytes_agree);
  KIT_RUN(dates_and_times_agree);
  KIT_RUN(floats_in_full_are_taken_and_agree);
  KIT_RUN(numbers_of_the_usual_form_are_taken);
  return kit_result();
}
