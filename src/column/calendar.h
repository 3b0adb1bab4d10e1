// SPDX-License-Identifier: Apache-2.0
// The Gregorian calendar of the years 1 to 9999 in 32-bit integers, by multiplications in place of divisions
// (Neri and Schneider 2022, "Euclidean affine functions and their application to calendar algorithms"). Years
// begin in March, so that the leap day is the last. column/parse.h has functions for all years.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { QN_DAY_OF_YEAR_1 = -719162, QN_DAY_OF_YEAR_9999 = 2932896, QN_DAYS_TO_1970 = 719468 };

static inline bool qn_day_is_common(int32_t days) { // 1 January 1 to 31 December 9999
  return days >= QN_DAY_OF_YEAR_1 && days <= QN_DAY_OF_YEAR_9999;
}

/// Days since 1970-01-01 of a date of the years 1 to 9999.
static inline int32_t qn_days_of_common(uint32_t year, uint32_t month, uint32_t day) {
  const uint32_t is_early = month <= 2;
  const uint32_t y = year - is_early, m = month + 12 * is_early;
  const uint32_t century = y / 100;
  const uint32_t days_before_year = 1461 * y / 4 - century + century / 4;
  const uint32_t days_before_month = (979 * m - 2919) / 32;
  return (int32_t)(days_before_year + days_before_month + day - 1) - QN_DAYS_TO_1970;
}

/// The date of a day for which qn_day_is_common().
static inline void qn_civil_of_common(int32_t days, int32_t *year, int32_t *month, int32_t *day) {
  const uint32_t quarters = 4 * (uint32_t)(days + QN_DAYS_TO_1970) + 3;
  const uint32_t century = quarters / 146097, day_of_century = quarters % 146097 / 4;
  const uint64_t product = (uint64_t)2939745 * (4 * day_of_century + 3);
  const uint32_t day_of_year = (uint32_t)product / 2939745 / 4;
  const uint32_t month_and_day = 2141 * day_of_year + 197913;
  const uint32_t is_early = day_of_year >= 306;
  *year = (int32_t)(100 * century + (uint32_t)(product >> 32) + is_early);
  *month = (int32_t)((month_and_day >> 16) - 12 * is_early);
  *day = (int32_t)((month_and_day & 0xffff) / 2141 + 1);
}
