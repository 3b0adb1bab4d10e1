// SPDX-License-Identifier: Apache-2.0
// Comparisons. Order is PostgreSQL's: NaN equals NaN and is above all numbers, -0 equals 0, false is below
// true, text is compared by bytes.
#include "base/check.h"
#include "expr/function_table.h"

#define IN uint8_t
#define SUFFIX truth
#define EQUAL(x, y) ((x) == (y))
#define LESS(x, y) ((x) < (y))
#define LESS_EQUAL(x, y) ((x) <= (y))
#include "expr/compare_type.inc"

#define IN int32_t
#define SUFFIX int32
#define EQUAL(x, y) ((x) == (y))
#define LESS(x, y) ((x) < (y))
#define LESS_EQUAL(x, y) ((x) <= (y))
#include "expr/compare_type.inc"

#define IN int64_t
#define SUFFIX int64
#define EQUAL(x, y) ((x) == (y))
#define LESS(x, y) ((x) < (y))
#define LESS_EQUAL(x, y) ((x) <= (y))
#include "expr/compare_type.inc"

// Floats twice: with care for NaN on either side, and against a constant that is none.
#define IN float
#define SUFFIX float32_total
#define EQUAL(x, y) (((x) == (y)) | (((x) != (x)) & ((y) != (y))))
#define LESS(x, y) (((x) < (y)) | (((x) == (x)) & ((y) != (y))))
#define LESS_EQUAL(x, y) (((x) <= (y)) | ((y) != (y)))
#include "expr/compare_type.inc"
#define ONLY_COMPARISONS
#define IN float
#define SUFFIX float32_plain
#define EQUAL(x, y) ((x) == (y))
#define LESS(x, y) ((x) < (y))
#define LESS_EQUAL(x, y) ((x) <= (y))
#include "expr/compare_type.inc"
#undef ONLY_COMPARISONS

#define IN double
#define SUFFIX float64_total
#define EQUAL(x, y) (((x) == (y)) | (((x) != (x)) & ((y) != (y))))
#define LESS(x, y) (((x) < (y)) | (((x) == (x)) & ((y) != (y))))
#define LESS_EQUAL(x, y) (((x) <= (y)) | ((y) != (y)))
#include "expr/compare_type.inc"
#define ONLY_COMPARISONS
#define IN double
#define SUFFIX float64_plain
#define EQUAL(x, y) ((x) == (y))
#define LESS(x, y) ((x) < (y))
#define LESS_EQUAL(x, y) ((x) <= (y))
#include "expr/compare_type.inc"
#undef ONLY_COMPARISONS

#define FLOAT_COMPARISON(name, suffix, c_type)                                                               \
  static qn_status name##_##suffix(qn_call *call, qn_error *err) {                                           \
    const c_type constant = *(const c_type *)call->args[1].column.values;                                    \
    const bool is_plain = call->args[1].is_constant && constant == constant;                                 \
    return is_plain ? name##_##suffix##_plain(call, err) : name##_##suffix##_total(call, err);               \
  }
#define FLOAT_COMPARISONS(suffix, c_type)                                                                    \
  FLOAT_COMPARISON(equal, suffix, c_type)                                                                    \
  FLOAT_COMPARISON(not_equal, suffix, c_type)                                                                \
  FLOAT_COMPARISON(less, suffix, c_type)                                                                     \
  FLOAT_COMPARISON(less_equal, suffix, c_type)                                                               \
  FLOAT_COMPARISON(greater, suffix, c_type)                                                                  \
  FLOAT_COMPARISON(greater_equal, suffix, c_type)
FLOAT_COMPARISONS(float32, float)
FLOAT_COMPARISONS(float64, double)
#undef FLOAT_COMPARISON
#undef FLOAT_COMPARISONS

static int compare_text(qn_text a, qn_text b) {
  const int64_t size = a.size < b.size ? a.size : b.size;
  const int order = size == 0 ? 0 : memcmp(a.data, b.data, (size_t)size);
  return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static inline __attribute__((always_inline)) qn_status equal_texts(qn_call *call, bool wanted) {
  uint8_t *out = call->values;
  const bool is_constant = call->args[1].is_constant;
  const qn_text constant = is_constant ? qn_arg_text(call, 1, 0) : (qn_text){0};
  for (int64_t i = 0; i < call->n_rows; i++) {
    const qn_text a = qn_arg_text(call, 0, i);
    const qn_text b = is_constant ? constant : qn_arg_text(call, 1, i);
    const bool is_equal = a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, (size_t)a.size) == 0);
    out[i] = is_equal == wanted;
  }
  return QN_OK;
}
static qn_status equal_text(qn_call *call, qn_error *err) {
  (void)err;
  return equal_texts(call, true);
}
static qn_status not_equal_text(qn_call *call, qn_error *err) {
  (void)err;
  return equal_texts(call, false);
}

#define TEXT_COMPARISON(name, test)                                                                          \
  static qn_status name##_text(qn_call *call, qn_error *err) {                                               \
    (void)err;                                                                                               \
    uint8_t *out = call->values;                                                                             \
    for (int64_t i = 0; i < call->n_rows; i++) {                                                             \
      out[i] = compare_text(qn_arg_text(call, 0, i), qn_arg_text(call, 1, i)) test;                          \
    }                                                                                                        \
    return QN_OK;                                                                                            \
  }
TEXT_COMPARISON(less, < 0)
TEXT_COMPARISON(less_equal, <= 0)
TEXT_COMPARISON(greater, > 0)
TEXT_COMPARISON(greater_equal, >= 0)
#undef TEXT_COMPARISON

#define COMPARISONS(type, suffix)                                                                            \
  {"=", 2, {type, type}, QN_BOOL, equal_##suffix, 0, NULL},                                                  \
      {"<>", 2, {type, type}, QN_BOOL, not_equal_##suffix, 0, NULL},                                         \
      {"<", 2, {type, type}, QN_BOOL, less_##suffix, 0, NULL},                                               \
      {"<=", 2, {type, type}, QN_BOOL, less_equal_##suffix, 0, NULL},                                        \
      {">", 2, {type, type}, QN_BOOL, greater_##suffix, 0, NULL}, {                                          \
    ">=", 2, {type, type}, QN_BOOL, greater_equal_##suffix, 0, NULL                                          \
  }

static const qn_function functions[] = {
    COMPARISONS(QN_BOOL, truth),      COMPARISONS(QN_INT32, int32),     COMPARISONS(QN_INT64, int64),
    COMPARISONS(QN_FLOAT32, float32), COMPARISONS(QN_FLOAT64, float64), COMPARISONS(QN_UTF8, text),
    COMPARISONS(QN_BINARY, text),     COMPARISONS(QN_DATE, int32),      COMPARISONS(QN_TIMESTAMP, int64),
};
const qn_function_table qn_compare_functions = {functions, (int)(sizeof functions / sizeof *functions)};

static qn_status choose_texts(qn_call *call, bool wants_greatest, qn_error *err) {
  qn_status status = QN_OK;
  for (int64_t i = 0; i < call->n_rows; i++) {
    bool has_value = false;
    qn_text best = {0};
    for (int k = 0; k < call->n_args; k++) {
      if (qn_operand_is_null(&call->args[k], i)) {
        continue;
      }
      const qn_text value = qn_arg_text(call, k, i);
      const int order = has_value ? compare_text(value, best) : 0;
      if (!has_value || (wants_greatest ? order > 0 : order < 0)) {
        best = value;
      }
      has_value = true;
    }
    if (has_value) {
      QN_TRY(qn_column_builder_append_text(&call->texts, best.data, best.size, err));
    } else {
      QN_TRY(qn_column_builder_append_null(&call->texts, err));
    }
  }

done:
  return status;
}

static qn_status greatest(qn_call *call, qn_error *err) {
  switch (call->expr->type) {
  case QN_BOOL:
    return greatest_truth(call, err);
  case QN_INT32:
  case QN_DATE:
    return greatest_int32(call, err);
  case QN_INT64:
  case QN_TIMESTAMP:
    return greatest_int64(call, err);
  case QN_FLOAT32:
    return greatest_float32_total(call, err);
  case QN_FLOAT64:
    return greatest_float64_total(call, err);
  default:
    return choose_texts(call, true, err);
  }
}

static qn_status least(qn_call *call, qn_error *err) {
  switch (call->expr->type) {
  case QN_BOOL:
    return least_truth(call, err);
  case QN_INT32:
  case QN_DATE:
    return least_int32(call, err);
  case QN_INT64:
  case QN_TIMESTAMP:
    return least_int64(call, err);
  case QN_FLOAT32:
    return least_float32_total(call, err);
  case QN_FLOAT64:
    return least_float64_total(call, err);
  default:
    return choose_texts(call, false, err);
  }
}

const qn_function qn_function_greatest = {
    .name = "greatest", .kernel = greatest, .flags = QN_CALL_SEES_NULLS};
const qn_function qn_function_least = {.name = "least", .kernel = least, .flags = QN_CALL_SEES_NULLS};
