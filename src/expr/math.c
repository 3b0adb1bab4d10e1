// SPDX-License-Identifier: Apache-2.0
// Functions of float64. What PostgreSQL calls an error is one here: arguments outside a function's domain,
// finite arguments with an infinite result.
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include "base/check.h"
#include "expr/function_table.h"

static const char overflow[] = "value out of range: overflow";
static const char underflow[] = "value out of range: underflow";
static const char out_of_domain[] = "input is out of range";

static const double degree = M_PI / 180;

// What is wrong with x, whose result is r; NULL: nothing.
static const char *check_sqrt(double x, double r) {
  (void)r;
  return x < 0 ? "cannot take the square root of a negative number" : NULL;
}
static const char *check_log(double x, double r) {
  (void)r;
  return x == 0  ? "cannot take the logarithm of zero"
         : x < 0 ? "cannot take the logarithm of a negative number"
                 : NULL;
}
static const char *check_exp(double x, double r) {
  return isinf(r) && !isinf(x) ? overflow : r == 0 && !isinf(x) ? underflow : NULL;
}
static const char *check_arc(double x, double r) {
  (void)r;
  return x < -1 || x > 1 ? out_of_domain : NULL;
}
static const char *check_finite(double x, double r) {
  (void)r;
  return isinf(x) ? out_of_domain : NULL;
}
static const char *check_overflow(double x, double r) {
  return isinf(r) && !isinf(x) ? overflow : NULL;
}

static double sign_of(double x) {
  return (double)((x > 0) - (x < 0)); // 0 for NaN, as in PostgreSQL
}
static double to_degrees(double x) {
  return x / degree;
}
static double to_radians(double x) {
  return x * degree;
}
static double cotangent(double x) {
  return 1.0 / tan(x);
}

// X(name, C function): defined everywhere; the loop has the function's code inside.
#define TOTAL_FUNCTIONS(X)                                                                                   \
  X(ceil, ceil)                                                                                              \
  X(floor, floor)                                                                                            \
  X(round, rint)                                                                                             \
  X(trunc, trunc)                                                                                            \
  X(sign, sign_of)                                                                                           \
  X(cbrt, cbrt)                                                                                              \
  X(atan, atan)                                                                                              \
  X(tanh, tanh)                                                                                              \
  X(asinh, asinh)                                                                                            \
  X(radians, to_radians)
// X(name, C function, check)
#define PARTIAL_FUNCTIONS(X)                                                                                 \
  X(sqrt, sqrt, check_sqrt)                                                                                  \
  X(exp, exp, check_exp)                                                                                     \
  X(ln, log, check_log)                                                                                      \
  X(log, log10, check_log)                                                                                   \
  X(log2, log2, check_log)                                                                                   \
  X(sin, sin, check_finite)                                                                                  \
  X(cos, cos, check_finite)                                                                                  \
  X(tan, tan, check_finite)                                                                                  \
  X(cot, cotangent, check_finite)                                                                            \
  X(asin, asin, check_arc)                                                                                   \
  X(acos, acos, check_arc)                                                                                   \
  X(sinh, sinh, check_overflow)                                                                              \
  X(cosh, cosh, check_overflow)                                                                              \
  X(degrees, to_degrees, check_overflow)

#define X(name, function)                                                                                    \
  static qn_status kernel_##name(qn_call *call, qn_error *err) {                                             \
    (void)err;                                                                                               \
    const double *x = call->args[0].column.values;                                                           \
    double *out = call->values;                                                                              \
    for (int64_t i = 0; i < call->n_rows; i++) {                                                             \
      out[i] = function(x[i]);                                                                               \
    }                                                                                                        \
    return QN_OK;                                                                                            \
  }
TOTAL_FUNCTIONS(X)
#undef X

#define X(name, function, check)                                                                             \
  static qn_status kernel_##name(qn_call *call, qn_error *err) {                                             \
    const double *x = call->args[0].column.values;                                                           \
    double *out = call->values;                                                                              \
    for (int64_t i = 0; i < call->n_rows; i++) {                                                             \
      out[i] = function(x[i]);                                                                               \
      const char *message = check(x[i], out[i]);                                                             \
      if (__builtin_expect(message != NULL, 0) && !qn_call_is_null(call, i)) {                               \
        return qn_call_fail(call, i, err, message);                                                          \
      }                                                                                                      \
    }                                                                                                        \
    return QN_OK;                                                                                            \
  }
PARTIAL_FUNCTIONS(X)
#undef X

static const char *check_power(double x, double y, double r) {
  if (x == 0 && y < 0) {
    return "zero raised to a negative power is undefined";
  }
  if (x < 0 && isfinite(x) && isfinite(y) && floor(y) != y) {
    return "a negative number raised to a non-integer power yields a complex result";
  }
  if (isinf(r) && !isinf(x) && !isinf(y)) {
    return overflow;
  }
  return r == 0 && x != 0 && !isinf(x) && !isinf(y) ? underflow : NULL;
}

static const char *check_log_base(double base, double x, double r) {
  const char *message = check_log(base, r);
  message = message == NULL ? check_log(x, r) : message;
  return message == NULL && base == 1 ? "division by zero" : message;
}

static const char *check_atan2(double y, double x, double r) {
  (void)y, (void)x, (void)r;
  return NULL;
}

static double log_base(double base, double x) {
  return base == 10 ? log10(x) : base == 2 ? log2(x) : log(x) / log(base);
}

#define BINARY_FUNCTIONS(X)                                                                                  \
  X(power, pow, check_power)                                                                                 \
  X(log_base, log_base, check_log_base)                                                                      \
  X(atan2, atan2, check_atan2)
#define X(name, function, check)                                                                             \
  static qn_status kernel_##name(qn_call *call, qn_error *err) {                                             \
    double *out = call->values;                                                                              \
    for (int64_t i = 0; i < call->n_rows; i++) {                                                             \
      const double x = qn_arg_float64(call, 0, i);                                                           \
      const double y = qn_arg_float64(call, 1, i);                                                           \
      out[i] = function(x, y);                                                                               \
      const char *message = check(x, y, out[i]);                                                             \
      if (__builtin_expect(message != NULL, 0) && !qn_call_is_null(call, i)) {                               \
        return qn_call_fail(call, i, err, message);                                                          \
      }                                                                                                      \
    }                                                                                                        \
    return QN_OK;                                                                                            \
  }
BINARY_FUNCTIONS(X)
#undef X

// Halves away from zero, as PostgreSQL's decimals do. A decimal like 2.675 is stored a little below itself:
// what a product misses of a half by a rounding error is a half.
static double round_product(double product) {
  const double rounded = round(product);
  const double nudged = round(product * (1 + DBL_EPSILON));
  return fabs(nudged - product) <= 0.5 + 2 * DBL_EPSILON * fabs(product) ? nudged : rounded;
}

// And what it misses of an integer is one: 0.29 * 100 is 28.999999999999996.
static double trunc_product(double product) {
  const double nearest = round(product);
  return fabs(nearest - product) <= 2 * DBL_EPSILON * fabs(product) ? nearest : trunc(product);
}

// x at `digits` digits behind the point; x itself where it has not as many.
static double cut_digits(double x, int32_t digits, bool rounds) {
  if (!isfinite(x) || digits > 300) {
    return x;
  }
  if (digits < -308) {
    return 0;
  }
  const double power = pow(10, abs(digits));
  const double product = digits < 0 ? x / power : x * power;
  if (!(fabs(product) < 0x1p52)) {
    return x;
  }
  const double cut = rounds ? round_product(product) : trunc_product(product);
  return digits < 0 ? cut * power : cut / power;
}

static qn_status round_digits(qn_call *call, qn_error *err) {
  (void)err;
  double *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    out[i] = cut_digits(qn_arg_float64(call, 0, i), qn_arg_int32(call, 1, i), true);
  }
  return QN_OK;
}

static qn_status trunc_digits(qn_call *call, qn_error *err) {
  (void)err;
  double *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    out[i] = cut_digits(qn_arg_float64(call, 0, i), qn_arg_int32(call, 1, i), false);
  }
  return QN_OK;
}

static qn_status sign_int(qn_call *call, qn_error *err) {
  (void)err;
  double *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    const int64_t x = qn_arg_int64(call, 0, i);
    out[i] = (double)((x > 0) - (x < 0));
  }
  return QN_OK;
}

static qn_status is_nan(qn_call *call, qn_error *err) {
  (void)err;
  uint8_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    const double x = qn_arg_float64(call, 0, i);
    out[i] = x != x;
  }
  return QN_OK;
}

static qn_status is_infinite(qn_call *call, qn_error *err) {
  (void)err;
  uint8_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    const double x = qn_arg_float64(call, 0, i);
    out[i] = x > DBL_MAX || x < -DBL_MAX;
  }
  return QN_OK;
}

static int64_t greatest_divisor(int64_t a, int64_t b) { // -1: it does not fit
  uint64_t x = a < 0 ? 0 - (uint64_t)a : (uint64_t)a;
  uint64_t y = b < 0 ? 0 - (uint64_t)b : (uint64_t)b;
  while (y != 0) {
    const uint64_t rest = x % y;
    x = y;
    y = rest;
  }
  return x > INT64_MAX ? -1 : (int64_t)x;
}

static qn_status gcd(qn_call *call, qn_error *err) {
  int64_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    out[i] = greatest_divisor(qn_arg_int64(call, 0, i), qn_arg_int64(call, 1, i));
    if (out[i] < 0 && !qn_call_is_null(call, i)) {
      return qn_call_fail(call, i, err, "int64 out of range");
    }
  }
  return QN_OK;
}

static qn_status constant_pi(qn_call *call, qn_error *err) {
  (void)err;
  double *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    out[i] = M_PI;
  }
  return QN_OK;
}

static const qn_function functions[] = {
#define X(name, function) {#name, 1, {QN_FLOAT64}, QN_FLOAT64, kernel_##name, 0, NULL},
    TOTAL_FUNCTIONS(X)
#undef X
#define X(name, function, check) {#name, 1, {QN_FLOAT64}, QN_FLOAT64, kernel_##name, QN_CALL_CAN_FAIL, NULL},
        PARTIAL_FUNCTIONS(X)
#undef X
            {"ceiling", 1, {QN_FLOAT64}, QN_FLOAT64, kernel_ceil, 0, NULL},
    {"log10", 1, {QN_FLOAT64}, QN_FLOAT64, kernel_log, QN_CALL_CAN_FAIL, NULL},
    {"log", 2, {QN_FLOAT64, QN_FLOAT64}, QN_FLOAT64, kernel_log_base, QN_CALL_CAN_FAIL, NULL},
    {"power", 2, {QN_FLOAT64, QN_FLOAT64}, QN_FLOAT64, kernel_power, QN_CALL_CAN_FAIL, NULL},
    {"pow", 2, {QN_FLOAT64, QN_FLOAT64}, QN_FLOAT64, kernel_power, QN_CALL_CAN_FAIL, NULL},
    {"^", 2, {QN_FLOAT64, QN_FLOAT64}, QN_FLOAT64, kernel_power, QN_CALL_CAN_FAIL, NULL},
    {"atan2", 2, {QN_FLOAT64, QN_FLOAT64}, QN_FLOAT64, kernel_atan2, 0, NULL},
    {"round", 2, {QN_FLOAT64, QN_INT32}, QN_FLOAT64, round_digits, 0, NULL},
    {"trunc", 2, {QN_FLOAT64, QN_INT32}, QN_FLOAT64, trunc_digits, 0, NULL},
    {"sign", 1, {QN_INT64}, QN_FLOAT64, sign_int, 0, NULL},
    {"isnan", 1, {QN_FLOAT64}, QN_BOOL, is_nan, 0, NULL},
    {"isinf", 1, {QN_FLOAT64}, QN_BOOL, is_infinite, 0, NULL},
    {"gcd", 2, {QN_INT64, QN_INT64}, QN_INT64, gcd, QN_CALL_CAN_FAIL, NULL},
    {"pi", 0, {0}, QN_FLOAT64, constant_pi, 0, NULL},
};
const qn_function_table qn_math_functions = {functions, (int)(sizeof functions / sizeof *functions)};
