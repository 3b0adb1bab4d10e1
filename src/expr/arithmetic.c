// SPDX-License-Identifier: Apache-2.0
// Arithmetic on numbers, and of dates with numbers of days. Overflow, underflow of floats and division by
// zero are errors, as in PostgreSQL.
#include <float.h>
#include <math.h>
#include "expr/function_table.h"

static const char division_by_zero[] = "division by zero";
static const char float_overflow[] = "value out of range: overflow";
static const char float_underflow[] = "value out of range: underflow";

#define INT int32_t
#define UNSIGNED uint32_t
#define MIN INT32_MIN
#define RANGE "int32 out of range; cast an operand to int64"
#include "expr/arithmetic_int.inc"

#define INT int64_t
#define UNSIGNED uint64_t
#define MIN INT64_MIN
#define RANGE "int64 out of range; cast an operand to float64"
#include "expr/arithmetic_int.inc"

#define FLOAT float
#define LARGEST FLT_MAX
#define REMAINDER fmodf
#define ABSOLUTE fabsf
#include "expr/arithmetic_float.inc"

#define FLOAT double
#define LARGEST DBL_MAX
#define REMAINDER fmod
#define ABSOLUTE fabs
#include "expr/arithmetic_float.inc"

static qn_status unchanged(qn_call *call, qn_error *err) {
  (void)err;
  const int64_t size = call->n_rows * qn_type_width(call->expr->type);
  memcpy(call->values, call->args[0].column.values, (size_t)size);
  return QN_OK;
}

static qn_status bit_not_int32(qn_call *call, qn_error *err) {
  (void)err;
  const int32_t *a = call->args[0].column.values;
  int32_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    out[i] = ~a[i];
  }
  return QN_OK;
}

static qn_status bit_not_int64(qn_call *call, qn_error *err) {
  (void)err;
  const int64_t *a = call->args[0].column.values;
  int64_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    out[i] = ~a[i];
  }
  return QN_OK;
}

// Shifts take the count modulo the width, as the machine and PostgreSQL do.
#define IN int64_t
#define OUT int64_t
#define NAME shift_left_int64
#define COMPUTE(x, y) (uint64_t)(x) << ((uint64_t)(y)&63)
#include "expr/elementwise.inc"
#define NAME shift_right_int64
#define COMPUTE(x, y) (x) >> ((uint64_t)(y)&63)
#include "expr/elementwise.inc"
#undef IN
#undef OUT
#define IN int32_t
#define OUT int32_t
#define NAME shift_left_int32
#define COMPUTE(x, y) (uint32_t)(x) << ((uint32_t)(y)&31)
#include "expr/elementwise.inc"
#define NAME shift_right_int32
#define COMPUTE(x, y) (x) >> ((uint32_t)(y)&31)
#include "expr/elementwise.inc"

// Safe with a constant divisor, but for 0 and -1 (the least integer has no opposite).
static qn_status prepare_divisor(qn_binder *binder, int location, const qn_expr *const *args, int n_args,
                                 const void **data) {
  (void)binder, (void)location, (void)n_args;
  if (args[1]->kind == QN_EXPR_CONSTANT && !qn_expr_is_null_constant(args[1])) {
    const qn_column *value = args[1]->value;
    const int64_t divisor = value->type == QN_INT32 ? qn_column_int32(value, 0) : qn_column_int64(value, 0);
    *data = divisor != 0 && divisor != -1 ? qn_call_is_safe : NULL;
  }
  return QN_OK;
}

#define DIVISION(name, type, kernel)                                                                         \
  { name, 2, {type, type}, type, kernel, QN_CALL_FAILS_UNPREPARED, prepare_divisor }
#define BINARY(name, type, kernel, flags)                                                                    \
  { name, 2, {type, type}, type, kernel, flags, NULL }
#define UNARY(name, type, kernel, flags)                                                                     \
  { name, 1, {type}, type, kernel, flags, NULL }
#define INTEGERS(type, c_type, suffix)                                                                       \
  BINARY("+", type, add_##c_type, QN_CALL_CAN_FAIL), BINARY("-", type, subtract_##c_type, QN_CALL_CAN_FAIL), \
      BINARY("*", type, multiply_##c_type, QN_CALL_CAN_FAIL), DIVISION("/", type, divide_##c_type),          \
      DIVISION("%", type, modulo_##c_type), DIVISION("mod", type, modulo_##c_type),                          \
      DIVISION("div", type, divide_##c_type), BINARY("&", type, bit_and_##c_type, 0),                        \
      BINARY("|", type, bit_or_##c_type, 0), BINARY("#", type, bit_xor_##c_type, 0),                         \
      BINARY("<<", type, shift_left_##suffix, 0), BINARY(">>", type, shift_right_##suffix, 0),               \
      UNARY("-", type, negate_##c_type, QN_CALL_CAN_FAIL),                                                   \
      UNARY("abs", type, abs_##c_type, QN_CALL_CAN_FAIL), UNARY("@", type, abs_##c_type, QN_CALL_CAN_FAIL),  \
      UNARY("~", type, bit_not_##suffix, 0), UNARY("+", type, unchanged, 0)
#define FLOATS(type, c_type)                                                                                 \
  BINARY("+", type, add_##c_type, QN_CALL_CAN_FAIL), BINARY("-", type, subtract_##c_type, QN_CALL_CAN_FAIL), \
      BINARY("*", type, multiply_##c_type, QN_CALL_CAN_FAIL),                                                \
      BINARY("/", type, divide_##c_type, QN_CALL_CAN_FAIL),                                                  \
      BINARY("%", type, modulo_##c_type, QN_CALL_CAN_FAIL),                                                  \
      BINARY("mod", type, modulo_##c_type, QN_CALL_CAN_FAIL), UNARY("-", type, negate_##c_type, 0),          \
      UNARY("abs", type, abs_##c_type, 0), UNARY("@", type, abs_##c_type, 0), UNARY("+", type, unchanged, 0)

static const qn_function functions[] = {
    INTEGERS(QN_INT32, int32_t, int32),
    INTEGERS(QN_INT64, int64_t, int64),
    FLOATS(QN_FLOAT32, float),
    FLOATS(QN_FLOAT64, double),
    {"+", 2, {QN_DATE, QN_INT32}, QN_DATE, add_int32_t, QN_CALL_CAN_FAIL, NULL},
    {"+", 2, {QN_INT32, QN_DATE}, QN_DATE, add_int32_t, QN_CALL_CAN_FAIL, NULL},
    {"-", 2, {QN_DATE, QN_INT32}, QN_DATE, subtract_int32_t, QN_CALL_CAN_FAIL, NULL},
    {"-", 2, {QN_DATE, QN_DATE}, QN_INT32, subtract_int32_t, QN_CALL_CAN_FAIL, NULL},
};
const qn_function_table qn_arithmetic_functions = {functions, (int)(sizeof functions / sizeof *functions)};
