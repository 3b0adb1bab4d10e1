// SPDX-License-Identifier: Apache-2.0
// Casts between numbers, bool, date and timestamp. Floats become integers by rounding halves to even, as in
// PostgreSQL.
#include <float.h>
#include <math.h>
#include "expr/cast_table.h"

static const int64_t day_us = 86400000000;

#define SAME(x) (x)
#define IS_NOT_ZERO(x) ((x) != 0)

#define NAME bool_to_int32
#define FROM uint8_t
#define TO int32_t
#define CONVERT SAME
#include "expr/cast_numbers.inc"
#define NAME bool_to_int64
#define FROM uint8_t
#define TO int64_t
#define CONVERT SAME
#include "expr/cast_numbers.inc"
#define NAME int32_to_bool
#define FROM int32_t
#define TO uint8_t
#define CONVERT IS_NOT_ZERO
#include "expr/cast_numbers.inc"
#define NAME int64_to_bool
#define FROM int64_t
#define TO uint8_t
#define CONVERT IS_NOT_ZERO
#include "expr/cast_numbers.inc"

#define NAME int32_to_int64
#define FROM int32_t
#define TO int64_t
#define CONVERT SAME
#include "expr/cast_numbers.inc"
#define NAME int32_to_float32
#define FROM int32_t
#define TO float
#define CONVERT (float)
#include "expr/cast_numbers.inc"
#define NAME int32_to_float64
#define FROM int32_t
#define TO double
#define CONVERT SAME
#include "expr/cast_numbers.inc"

#define NAME int64_to_int32
#define FROM int64_t
#define TO int32_t
#define CONVERT SAME
#define FITS(x) ((x) >= INT32_MIN && (x) <= INT32_MAX)
#define MESSAGE "value out of range of int32"
#include "expr/cast_numbers.inc"
#define NAME int64_to_float32
#define FROM int64_t
#define TO float
#define CONVERT (float)
#include "expr/cast_numbers.inc"
#define NAME int64_to_float64
#define FROM int64_t
#define TO double
#define CONVERT (double)
#include "expr/cast_numbers.inc"

// What rounds to 2^31 is too much; what rounds to -2^31 is not. NaN fails both comparisons.
#define NAME float32_to_int32
#define FROM float
#define TO int32_t
#define CONVERT rintf
#define FITS(x) ((x) >= -0x1p31f && (x) < 0x1p31f)
#define MESSAGE "value out of range of int32"
#include "expr/cast_numbers.inc"
#define NAME float32_to_int64
#define FROM float
#define TO int64_t
#define CONVERT rintf
#define FITS(x) ((x) >= -0x1p63f && (x) < 0x1p63f)
#define MESSAGE "value out of range of int64"
#include "expr/cast_numbers.inc"
#define NAME float32_to_float64
#define FROM float
#define TO double
#define CONVERT (double)
#include "expr/cast_numbers.inc"
#define NAME float64_to_int32
#define FROM double
#define TO int32_t
#define CONVERT rint
#define FITS(x) (rint(x) >= -0x1p31 && rint(x) < 0x1p31)
#define MESSAGE "value out of range of int32"
#include "expr/cast_numbers.inc"
#define NAME float64_to_int64
#define FROM double
#define TO int64_t
#define CONVERT rint
#define FITS(x) ((x) >= -0x1p63 && (x) < 0x1p63)
#define MESSAGE "value out of range of int64"
#include "expr/cast_numbers.inc"
#define NAME float64_to_float32
#define FROM double
#define TO float
#define CONVERT (float)
#define FITS(x) ((!(fabsf((float)(x)) > FLT_MAX) || fabs(x) > DBL_MAX) && ((float)(x) != 0 || (x) == 0))
#define MESSAGE "value out of range of float32"
#include "expr/cast_numbers.inc"

#define DAYS_OF(x) ((x) / day_us - ((x) % day_us < 0))
#define MICROSECONDS_OF(x) ((x)*day_us)
#define NAME timestamp_to_date
#define FROM int64_t
#define TO int32_t
#define CONVERT DAYS_OF
#include "expr/cast_numbers.inc"
#define NAME date_to_timestamp
#define FROM int32_t
#define TO int64_t
#define CONVERT MICROSECONDS_OF
#define FITS(x) ((x) >= -INT64_MAX / day_us && (x) <= INT64_MAX / day_us)
#define MESSAGE "date out of range of timestamp"
#include "expr/cast_numbers.inc"

#define CAST(from, to, kernel, flags)                                                                        \
  { "cast", 1, {from}, to, kernel, flags, NULL }
static const qn_function casts[] = {
    CAST(QN_BOOL, QN_INT32, bool_to_int32, 0),
    CAST(QN_BOOL, QN_INT64, bool_to_int64, 0),
    CAST(QN_INT32, QN_BOOL, int32_to_bool, 0),
    CAST(QN_INT64, QN_BOOL, int64_to_bool, 0),
    CAST(QN_INT32, QN_INT64, int32_to_int64, 0),
    CAST(QN_INT32, QN_FLOAT32, int32_to_float32, 0),
    CAST(QN_INT32, QN_FLOAT64, int32_to_float64, 0),
    CAST(QN_INT64, QN_INT32, int64_to_int32, QN_CALL_CAN_FAIL),
    CAST(QN_INT64, QN_FLOAT32, int64_to_float32, 0),
    CAST(QN_INT64, QN_FLOAT64, int64_to_float64, 0),
    CAST(QN_FLOAT32, QN_INT32, float32_to_int32, QN_CALL_CAN_FAIL),
    CAST(QN_FLOAT32, QN_INT64, float32_to_int64, QN_CALL_CAN_FAIL),
    CAST(QN_FLOAT32, QN_FLOAT64, float32_to_float64, 0),
    CAST(QN_FLOAT64, QN_INT32, float64_to_int32, QN_CALL_CAN_FAIL),
    CAST(QN_FLOAT64, QN_INT64, float64_to_int64, QN_CALL_CAN_FAIL),
    CAST(QN_FLOAT64, QN_FLOAT32, float64_to_float32, QN_CALL_CAN_FAIL),
    CAST(QN_TIMESTAMP, QN_DATE, timestamp_to_date, 0),
    CAST(QN_DATE, QN_TIMESTAMP, date_to_timestamp, QN_CALL_CAN_FAIL),
};
const qn_function_table qn_number_casts = {casts, (int)(sizeof casts / sizeof *casts)};

const qn_function *qn_cast_find(qn_type from, qn_type to) {
  const qn_function_table *const tables[] = {&qn_number_casts, &qn_text_casts};
  for (int t = 0; t < 2; t++) {
    for (int i = 0; i < tables[t]->n; i++) {
      const qn_function *cast = &tables[t]->functions[i];
      if (cast->args[0] == from && cast->result == to) {
        return cast;
      }
    }
  }
  return NULL;
}
