// SPDX-License-Identifier: Apache-2.0
// Inside of a bound expression, and what a kernel gets to compute one node of it for all rows of a batch.
#pragma once
#include "column/bitmap.h"
#include "column/builder.h"
#include "expr/expr.h"

typedef enum {
  QN_EXPR_CONSTANT,
  QN_EXPR_COLUMN,
  QN_EXPR_CALL,
  QN_EXPR_AND,
  QN_EXPR_OR,
  QN_EXPR_CASE,     // args: when, then, when, then, ..., else
  QN_EXPR_COALESCE, // later args are evaluated only where all before are null
  QN_EXPR_UNKNOWN,  // only while binding: a quoted literal or NULL whose type its surroundings decide; value
                    // is utf8
  QN_EXPR_INTERVAL  // only while binding: data is a qn_interval
} qn_expr_kind;

typedef struct qn_interval {
  int32_t months;
  int32_t days;
  int64_t microseconds;
} qn_interval;

/// One value per row, or one for all rows.
typedef struct qn_operand {
  qn_column column;
  bool is_constant; // column has one row
} qn_operand;

/// A function, an operator or a cast over arguments of fixed types.
typedef struct qn_call qn_call;
typedef qn_status qn_kernel(qn_call *call, qn_error *err);

enum {
  QN_CALL_CAN_FAIL = 1,
  QN_CALL_SEES_NULLS =
      2, // else the result is null where an argument is, and the kernel's values there are ignored
  QN_CALL_FAILS_UNPREPARED = 4, // can fail unless prepare found arguments that make it safe (and gave data)
};
enum { QN_MAX_SIGNATURE = 4 };

typedef struct qn_binder qn_binder;

typedef struct qn_function {
  const char *name;
  int n_args;
  qn_type args[QN_MAX_SIGNATURE];
  qn_type result;
  qn_kernel *kernel;
  int flags;
  /// Checks constant arguments and makes what the kernel wants to have ready; may be NULL. `location` is for
  /// carets. qn_call_is_safe as data says no more than that.
  qn_status (*prepare)(qn_binder *binder, int location, const qn_expr *const *args, int n_args,
                       const void **data);
} qn_function;

/// What prepare gives where there is nothing to have ready but the call cannot fail.
extern const char qn_call_is_safe[];

struct qn_expr {
  qn_expr_kind kind;
  qn_type type;
  bool can_fail;          // it or something below
  int location;           // where in text; -1 if unknown
  const char *text;       // of the whole expression it was written in
  int column;             // of a column
  const char *name;       // of a column, as the schema has it
  const qn_column *value; // of a constant: one row
  int n_args;
  const qn_expr *const *args;
  const qn_function *function;
  const void *data; // what function->prepare made
};

struct qn_call {
  const qn_expr *expr;
  const qn_operand *args;
  int n_args;
  int64_t n_rows;
  const uint8_t
      *validity; // rows in which no argument is null; NULL: all rows. Not set if the kernel sees nulls
  void *values;  // to be written: of result, unless that is text
  qn_column result;
  /// To be appended to, a row at a time, if the result is text. Rows with a null argument: null, or anything
  /// if the kernel appends no null at all.
  qn_column_builder texts;
  bool is_ascii;      // argument 0 is text without other characters; only if qn_call_check_ascii() was asked
  int64_t failed_row; // for the message; -1: no certain one
};

/// Ends a kernel: the message of `row` is put together with expression, values and origin by the caller.
static inline qn_status qn_call_fail(qn_call *call, int64_t row, qn_error *err, const char *message) {
  call->failed_row = row;
  return qn_fail(err, QN_ERR_VALUE, "%s", message);
}
/// A bitmap for the result, all rows valid, for kernels that see nulls. Their number is counted afterwards.
qn_status qn_call_own_validity(qn_call *call, uint8_t **validity, qn_error *err);

static inline int64_t qn_operand_row(const qn_operand *operand, int64_t row) {
  return operand->is_constant ? 0 : row;
}
static inline bool qn_operand_is_null(const qn_operand *operand, int64_t row) {
  return qn_column_is_null(&operand->column, qn_operand_row(operand, row));
}
static inline qn_text qn_operand_text(const qn_operand *operand, int64_t row) {
  return qn_column_text(&operand->column, qn_operand_row(operand, row));
}
static inline bool qn_call_is_null(const qn_call *call, int64_t row) {
  return call->validity != NULL && !qn_bitmap_get(call->validity, row);
}
/// Argument `arg` of a row, of that C type.
static inline bool qn_arg_bool(const qn_call *call, int arg, int64_t row) {
  return qn_column_bool(&call->args[arg].column, qn_operand_row(&call->args[arg], row));
}
static inline int32_t qn_arg_int32(const qn_call *call, int arg, int64_t row) {
  return qn_column_int32(&call->args[arg].column, qn_operand_row(&call->args[arg], row));
}
static inline int64_t qn_arg_int64(const qn_call *call, int arg, int64_t row) {
  return qn_column_int64(&call->args[arg].column, qn_operand_row(&call->args[arg], row));
}
static inline double qn_arg_float64(const qn_call *call, int arg, int64_t row) {
  return qn_column_float64(&call->args[arg].column, qn_operand_row(&call->args[arg], row));
}
static inline qn_text qn_arg_text(const qn_call *call, int arg, int64_t row) {
  return qn_operand_text(&call->args[arg], row);
}

/// Evaluates an expression of constants only. err gets the bare message, without the expression.
qn_status qn_expr_eval_constant(const qn_expr *expr, qn_column *out, qn_error *err);

static inline bool qn_expr_is_null_constant(const qn_expr *expr) {
  return (expr->kind == QN_EXPR_CONSTANT || expr->kind == QN_EXPR_UNKNOWN) &&
         qn_column_is_null(expr->value, 0);
}
