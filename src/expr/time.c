// SPDX-License-Identifier: Apache-2.0
// Intervals, and timestamps from and to numbers.
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/check.h"
#include "expr/function_table.h"
#include "expr/time_values.h"

static const char out_of_range[] = "timestamp out of range";

int32_t qn_month_days(int32_t year, int32_t month) {
  static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return days[month - 1] + (month == 2 && is_leap);
}

bool qn_timestamp_from_days(int64_t days, int64_t clock, int64_t *out) {
  int64_t midnight = 0;
  return !__builtin_mul_overflow(days, qn_day_us, &midnight) && !__builtin_add_overflow(midnight, clock, out);
}

// --- Intervals
// ------------------------------------------------------------------------------------------------------

static const struct {
  const char *name; // singular; an s may follow
  int32_t months, days;
  int64_t microseconds;
} units[] = {
    {"microsecond", 0, 0, 1},   {"us", 0, 0, 1},        {"millisecond", 0, 0, 1000}, {"ms", 0, 0, 1000},
    {"second", 0, 0, 1000000},  {"sec", 0, 0, 1000000}, {"minute", 0, 0, 60000000},  {"min", 0, 0, 60000000},
    {"hour", 0, 0, 3600000000}, {"day", 0, 1, 0},       {"week", 0, 7, 0},           {"month", 1, 0, 0},
    {"mon", 1, 0, 0},           {"quarter", 3, 0, 0},   {"year", 12, 0, 0},          {"decade", 120, 0, 0},
    {"century", 1200, 0, 0},
};

static bool is_unit(const char *word, size_t size, const char *unit) {
  const size_t unit_size = strlen(unit);
  const bool has_s = size == unit_size + 1 && tolower((unsigned char)word[size - 1]) == 's';
  return (size == unit_size || has_s) && strncasecmp(word, unit, unit_size) == 0;
}

// total += amount * factor, of doubles that must stay exact enough to be counts.
static bool add_scaled(double amount, double factor, double *total) {
  *total += amount * factor;
  return fabs(*total) < 0x1p53;
}

typedef struct interval_sum {
  double months, days, microseconds;
} interval_sum;

// A fraction of a month is in days of 30, one of a day in hours.
static bool add_unit(interval_sum *sum, double amount, const char *word, size_t size) {
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (!is_unit(word, size, units[i].name)) {
      continue;
    }
    const double months = amount * units[i].months;
    const double days = amount * units[i].days + (months - trunc(months)) * 30;
    const double day_part = days - trunc(days);
    return add_scaled(trunc(months), 1, &sum->months) && add_scaled(trunc(days), 1, &sum->days) &&
           add_scaled(rint(amount * (double)units[i].microseconds + day_part * (double)qn_day_us), 1,
                      &sum->microseconds);
  }
  return false;
}

// HH:MM[:SS[.ffffff]]; returns where it ends, or NULL.
static const char *read_clock(const char *at, interval_sum *sum) {
  const bool is_negative = *at == '-';
  double parts[3] = {0};
  int n = 0;
  at += *at == '-' || *at == '+';
  for (; n < 3; n++) {
    if (!isdigit((unsigned char)*at)) {
      return NULL;
    }
    while (isdigit((unsigned char)*at)) {
      parts[n] = parts[n] * 10 + (*at++ - '0');
    }
    if (n == 2 && *at == '.') {
      double place = 0.1;
      at++;
      while (isdigit((unsigned char)*at)) {
        parts[2] += place * (*at++ - '0');
        place /= 10;
      }
    }
    if (*at != ':') {
      break;
    }
    at++;
  }
  const double seconds = parts[0] * 3600 + parts[1] * 60 + parts[2];
  if (n < 1 || n > 2 || parts[1] >= 60 || parts[2] >= 60 ||
      !add_scaled(rint(seconds * 1e6) * (is_negative ? -1 : 1), 1, &sum->microseconds)) {
    return NULL;
  }
  return at;
}

static const char *skip_blanks(const char *at) {
  while (isspace((unsigned char)*at)) {
    at++;
  }
  return at;
}

// A decimal number, as digits with at most one point. NULL if there is none.
static const char *read_amount(const char *at, double *out) {
  const char *first = at;
  at += *at == '-' || *at == '+';
  at += strspn(at, "0123456789");
  if (*at == '.') {
    at += 1 + strspn(at + 1, "0123456789");
  }
  return qn_parse_float64(first, at - first, out) && fabs(*out) < 1e15 ? at : NULL;
}

static bool read_parts(const char *at, const char *unit, interval_sum *sum) {
  bool has_part = false;
  while (*(at = skip_blanks(at)) != '\0') {
    double amount = 0;
    if (has_part && strcasecmp(at, "ago") == 0) {
      *sum = (interval_sum){-sum->months, -sum->days, -sum->microseconds};
      return true;
    }
    const char *behind = at + (*at == '-' || *at == '+');
    behind += strspn(behind, "0123456789");
    if (*behind == ':') {
      at = read_clock(at, sum);
      has_part = true;
      if (at == NULL) {
        return false;
      }
      continue;
    }
    at = read_amount(at, &amount);
    if (at == NULL) {
      return false;
    }
    at = skip_blanks(at);
    size_t size = 0;
    while (isalpha((unsigned char)at[size])) {
      size++;
    }
    const bool is_bare = size == 0 && *at == '\0' && !has_part;
    const char *word = is_bare ? (unit != NULL ? unit : "second") : at;
    if (!add_unit(sum, amount, word, is_bare ? strlen(word) : size)) {
      return false;
    }
    at += size;
    has_part = true;
  }
  return has_part;
}

bool qn_interval_parse(const char *text, const char *unit, qn_interval *out) {
  interval_sum sum = {0};
  if (!read_parts(text, unit, &sum) || fabs(sum.months) > INT32_MAX || fabs(sum.days) > INT32_MAX ||
      fabs(sum.microseconds) > 0x1p62) {
    return false;
  }
  *out = (qn_interval){(int32_t)sum.months, (int32_t)sum.days, (int64_t)sum.microseconds};
  return true;
}

// Months keep the day of the month, or take the last one there is; then days, then the clock.
static bool add_interval_to(int64_t time, const qn_interval *interval, int64_t *out) {
  int64_t days = qn_time_days(time);
  if (interval->months != 0) {
    int32_t year = 0;
    int32_t month = 0;
    int32_t day = 0;
    qn_civil_from_days((int32_t)days, &year, &month, &day);
    const int64_t months = (int64_t)year * 12 + month - 1 + interval->months;
    year = (int32_t)qn_floor_divide(months, 12);
    month = (int32_t)(months - (int64_t)year * 12) + 1;
    if (year < -290000 || year > 300000) {
      return false;
    }
    const int32_t last = qn_month_days(year, month);
    days = qn_days_from_civil(year, month, day < last ? day : last);
  }
  int64_t moved = 0;
  return qn_timestamp_from_days(days + interval->days, qn_time_clock(time), &moved) &&
         !__builtin_add_overflow(moved, interval->microseconds, out);
}

static qn_status add_interval(qn_call *call, qn_error *err) {
  const qn_interval *interval = call->expr->data;
  const int64_t *times = call->args[0].column.values;
  int64_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    out[i] = 0;
    if (!add_interval_to(times[i], interval, &out[i]) && !qn_call_is_null(call, i)) {
      return qn_call_fail(call, i, err, out_of_range);
    }
  }
  return QN_OK;
}
const qn_function qn_function_add_interval = {.name = "+",
                                              .n_args = 1,
                                              .args = {QN_TIMESTAMP},
                                              .result = QN_TIMESTAMP,
                                              .kernel = add_interval,
                                              .flags = QN_CALL_CAN_FAIL};

// --- Numbers
// --------------------------------------------------------------------------------------------------------

static qn_status epoch(qn_call *call, qn_error *err) {
  (void)err;
  const int64_t *times = call->args[0].column.values;
  double *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    out[i] = (double)times[i] / 1e6;
  }
  return QN_OK;
}

static qn_status epoch_us(qn_call *call, qn_error *err) {
  (void)err;
  memcpy(call->values, call->args[0].column.values, sizeof(int64_t) * (size_t)call->n_rows);
  return QN_OK;
}

static qn_status to_timestamp(qn_call *call, qn_error *err) {
  const double *seconds = call->args[0].column.values;
  int64_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    const double microseconds = rint(seconds[i] * 1e6);
    const bool fits = microseconds >= -0x1p63 && microseconds < 0x1p63;
    out[i] = fits ? (int64_t)microseconds : 0;
    if (!fits && !qn_call_is_null(call, i)) {
      return qn_call_fail(call, i, err, out_of_range);
    }
  }
  return QN_OK;
}

// Exact for whole seconds, which a float is not beyond 2^53 microseconds.
static qn_status to_timestamp_int(qn_call *call, qn_error *err) {
  const int64_t *seconds = call->args[0].column.values;
  int64_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    if (__builtin_mul_overflow(seconds[i], qn_second_us, &out[i]) && !qn_call_is_null(call, i)) {
      return qn_call_fail(call, i, err, out_of_range);
    }
  }
  return QN_OK;
}

static qn_status timestamp_from_us(qn_call *call, qn_error *err) {
  return epoch_us(call, err);
}

static bool make_days(const qn_call *call, int64_t row, int32_t *out) {
  const int32_t year = qn_arg_int32(call, 0, row);
  const int32_t month = qn_arg_int32(call, 1, row);
  const int32_t day = qn_arg_int32(call, 2, row);
  if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || day > qn_month_days(year, month)) {
    return false;
  }
  *out = qn_days_from_civil(year, month, day);
  return true;
}

static qn_status make_date(qn_call *call, qn_error *err) {
  int32_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    out[i] = 0;
    if (!make_days(call, i, &out[i]) && !qn_call_is_null(call, i)) {
      return qn_call_fail(call, i, err, "there is no such date");
    }
  }
  return QN_OK;
}

#define T QN_TIMESTAMP
static const qn_function functions[] = {
    {"epoch", 1, {T}, QN_FLOAT64, epoch, 0, NULL},
    {"epoch_us", 1, {T}, QN_INT64, epoch_us, 0, NULL},
    {"to_timestamp", 1, {QN_FLOAT64}, T, to_timestamp, QN_CALL_CAN_FAIL, NULL},
    {"to_timestamp", 1, {QN_INT64}, T, to_timestamp_int, QN_CALL_CAN_FAIL, NULL},
    {"timestamp_us", 1, {QN_INT64}, T, timestamp_from_us, 0, NULL},
    {"make_date", 3, {QN_INT32, QN_INT32, QN_INT32}, QN_DATE, make_date, QN_CALL_CAN_FAIL, NULL},
};
const qn_function_table qn_time_functions = {functions, (int)(sizeof functions / sizeof *functions)};
