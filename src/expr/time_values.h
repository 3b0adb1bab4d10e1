// SPDX-License-Identifier: Apache-2.0
// Days, clock and calendar of a timestamp.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "column/parse.h"

static const int64_t qn_second_us = 1000000;
static const int64_t qn_day_us = 86400000000;

static inline int64_t qn_floor_divide(int64_t a, int64_t b) {
  return a / b - ((a % b != 0) & ((a < 0) != (b < 0)));
}
static inline int32_t qn_time_days(int64_t time) {
  return (int32_t)qn_floor_divide(time, qn_day_us);
}
/// Microseconds since midnight.
static inline int64_t qn_time_clock(int64_t time) {
  return time - qn_floor_divide(time, qn_day_us) * qn_day_us;
}
/// 0 is Monday.
static inline int32_t qn_weekday(int32_t days) {
  return (int32_t)((((int64_t)days + 3) % 7 + 7) % 7);
}
int32_t qn_month_days(int32_t year, int32_t month);
/// False if the result is out of range.
bool qn_timestamp_from_days(int64_t days, int64_t clock, int64_t *out);
