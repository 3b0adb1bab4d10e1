// SPDX-License-Identifier: Apache-2.0
// extract(field from timestamp), date_trunc.
#include <string.h>
#include <strings.h>
#include "base/check.h"
#include "expr/function_table.h"
#include "expr/time_values.h"

typedef struct civil {
  int32_t year, month, day;
} civil;

static civil civil_of(int64_t time) {
  civil date;
  qn_civil_from_days(qn_time_days(time), &date.year, &date.month, &date.day);
  return date;
}

static double get_year(int64_t time) {
  const int32_t year = civil_of(time).year;
  return year > 0 ? year : year - 1; // there is no year 0: 1 BC is -1
}
static double get_month(int64_t time) {
  return civil_of(time).month;
}
static double get_day(int64_t time) {
  return civil_of(time).day;
}
static double get_quarter(int64_t time) {
  const int32_t quarter = (civil_of(time).month - 1) / 3;
  return quarter + 1;
}
static double get_decade(int64_t time) {
  return (double)qn_floor_divide(civil_of(time).year, 10);
}
static double get_century(int64_t time) {
  const int32_t year = civil_of(time).year;
  const int32_t century = year > 0 ? (year + 99) / 100 : -((99 - (year - 1)) / 100);
  return century;
}
static double get_hour(int64_t time) {
  const int64_t hours = qn_time_clock(time) / (3600 * qn_second_us);
  return (double)hours;
}
static double get_minute(int64_t time) {
  const int64_t minutes = qn_time_clock(time) / (60 * qn_second_us);
  return (double)(minutes % 60);
}
static double get_second(int64_t time) {
  return (double)(qn_time_clock(time) % (60 * qn_second_us)) / 1e6;
}
static double get_milliseconds(int64_t time) {
  return (double)(qn_time_clock(time) % (60 * qn_second_us)) / 1e3;
}
static double get_microseconds(int64_t time) {
  return (double)(qn_time_clock(time) % (60 * qn_second_us));
}
static double get_epoch(int64_t time) {
  return (double)time / 1e6;
}
static double get_dow(int64_t time) {
  return (qn_weekday(qn_time_days(time)) + 1) % 7;
}
static double get_isodow(int64_t time) {
  return qn_weekday(qn_time_days(time)) + 1;
}
static double get_doy(int64_t time) {
  const int32_t days = qn_time_days(time);
  return days - qn_days_from_civil(civil_of(time).year, 1, 1) + 1;
}

// A week belongs to the year of its Thursday.
static civil thursday_of(int64_t time, int32_t *days) {
  const int32_t day = qn_time_days(time);
  civil date;
  *days = day - qn_weekday(day) + 3;
  qn_civil_from_days(*days, &date.year, &date.month, &date.day);
  return date;
}
static double get_week(int64_t time) {
  int32_t days = 0;
  const civil date = thursday_of(time, &days);
  const int32_t week = (days - qn_days_from_civil(date.year, 1, 1)) / 7;
  return week + 1;
}
static double get_isoyear(int64_t time) {
  int32_t days = 0;
  const int32_t year = thursday_of(time, &days).year;
  return year > 0 ? year : year - 1;
}

// --- Truncation
// -----------------------------------------------------------------------------------------------------

static bool trunc_months(int64_t time, int32_t months, int64_t *out) {
  const civil date = civil_of(time);
  const int64_t month = (int64_t)date.year * 12 + date.month - 1;
  const int64_t first = qn_floor_divide(month, months) * months;
  const int32_t year = (int32_t)qn_floor_divide(first, 12);
  return qn_timestamp_from_days(qn_days_from_civil(year, (int32_t)(first - (int64_t)year * 12) + 1, 1), 0,
                                out);
}
static bool trunc_to_clock(int64_t time, int64_t unit, int64_t *out) {
  return !__builtin_mul_overflow(qn_floor_divide(time, unit), unit, out);
}

static bool trunc_microseconds(int64_t time, int64_t *out) {
  return trunc_to_clock(time, 1, out);
}
static bool trunc_milliseconds(int64_t time, int64_t *out) {
  return trunc_to_clock(time, 1000, out);
}
static bool trunc_second(int64_t time, int64_t *out) {
  return trunc_to_clock(time, qn_second_us, out);
}
static bool trunc_minute(int64_t time, int64_t *out) {
  return trunc_to_clock(time, 60 * qn_second_us, out);
}
static bool trunc_hour(int64_t time, int64_t *out) {
  return trunc_to_clock(time, 3600 * qn_second_us, out);
}
static bool trunc_day(int64_t time, int64_t *out) {
  return trunc_to_clock(time, qn_day_us, out);
}
static bool trunc_week(int64_t time, int64_t *out) {
  const int64_t day = qn_time_days(time);
  return qn_timestamp_from_days(day - qn_weekday((int32_t)day), 0, out);
}
static bool trunc_month(int64_t time, int64_t *out) {
  return trunc_months(time, 1, out);
}
static bool trunc_quarter(int64_t time, int64_t *out) {
  return trunc_months(time, 3, out);
}
static bool trunc_year(int64_t time, int64_t *out) {
  return trunc_months(time, 12, out);
}
static bool trunc_decade(int64_t time, int64_t *out) {
  return trunc_months(time, 120, out);
}
static bool trunc_century(int64_t time, int64_t *out) { // centuries begin with a year 1
  const int64_t first = qn_floor_divide((int64_t)civil_of(time).year - 1, 100) * 100 + 1;
  return qn_timestamp_from_days(qn_days_from_civil((int32_t)first, 1, 1), 0, out);
}

// --- By name
// --------------------------------------------------------------------------------------------------------

typedef struct time_field {
  const char *name;
  const char *other_name;
  double (*get)(int64_t time);
  bool (*trunc)(int64_t time, int64_t *out); // false: out of range
} time_field;

static const time_field fields[] = {
    {"year", "years", get_year, trunc_year},
    {"month", "months", get_month, trunc_month},
    {"day", "days", get_day, trunc_day},
    {"hour", "hours", get_hour, trunc_hour},
    {"minute", "minutes", get_minute, trunc_minute},
    {"second", "seconds", get_second, trunc_second},
    {"milliseconds", "millisecond", get_milliseconds, trunc_milliseconds},
    {"microseconds", "microsecond", get_microseconds, trunc_microseconds},
    {"quarter", "quarters", get_quarter, trunc_quarter},
    {"decade", "decades", get_decade, trunc_decade},
    {"century", "centuries", get_century, trunc_century},
    {"week", "weeks", get_week, trunc_week},
    {"dow", "dayofweek", get_dow, NULL},
    {"isodow", "isodow", get_isodow, NULL},
    {"doy", "dayofyear", get_doy, NULL},
    {"isoyear", "isoyear", get_isoyear, NULL},
    {"epoch", "epoch", get_epoch, NULL},
};

bool qn_time_field_find(const char *name, bool to_truncate, const void **out) {
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    const bool is_it = strcasecmp(fields[i].name, name) == 0 || strcasecmp(fields[i].other_name, name) == 0;
    if (is_it && (!to_truncate || fields[i].trunc != NULL)) {
      *out = &fields[i];
      return true;
    }
  }
  return false;
}

const char *qn_time_field_name(const void *field) {
  return ((const time_field *)field)->name;
}

static qn_status extract(qn_call *call, qn_error *err) {
  (void)err;
  const time_field *field = call->expr->data;
  double (*get)(int64_t) = field->get;
  const int64_t *times = call->args[0].column.values;
  double *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    out[i] = get(times[i]);
  }
  return QN_OK;
}

static qn_status date_trunc(qn_call *call, qn_error *err) {
  const time_field *field = call->expr->data;
  const int64_t *times = call->args[0].column.values;
  int64_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    out[i] = 0;
    if (!field->trunc(times[i], &out[i]) && !qn_call_is_null(call, i)) {
      return qn_call_fail(call, i, err, "timestamp out of range");
    }
  }
  return QN_OK;
}

const qn_function qn_function_extract = {
    .name = "date_part", .n_args = 1, .args = {QN_TIMESTAMP}, .result = QN_FLOAT64, .kernel = extract};
const qn_function qn_function_date_trunc = {.name = "date_trunc",
                                            .n_args = 1,
                                            .args = {QN_TIMESTAMP},
                                            .result = QN_TIMESTAMP,
                                            .kernel = date_trunc,
                                            .flags = QN_CALL_CAN_FAIL};
