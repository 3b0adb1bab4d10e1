// SPDX-License-Identifier: Apache-2.0
// Three-valued logic: a bool column is a byte a row and a bitmap of the rows that are known.
#include "base/check.h"
#include "base/memory.h"
#include "expr/eval.h"
#include "expr/function_table.h"

static uint8_t byte_of(const uint8_t *bits, int64_t i) {
  return bits == NULL ? 0xff : bits[i];
}

// Eight bytes of 0 and 1 as bits, the first the lowest.
static uint8_t pack(const uint8_t *values, int64_t n) {
  unsigned packed = 0;
  for (int64_t j = 0; j < n; j++) {
    packed |= (unsigned)(values[j] != 0) << j;
  }
  return (uint8_t)packed;
}

// Where a row is known: both sides are, or one side decides (false for `and`, true for `or`).
static qn_status combine_nulls(bool is_and, const qn_column *a, const qn_column *b, uint8_t *values,
                               qn_column *out, qn_error *err) {
  const int64_t n_rows = a->n_rows;
  const uint8_t *a_values = a->values;
  const uint8_t *b_values = b->values;
  uint8_t *bits = qn_memory_alloc(qn_bitmap_bytes(n_rows));
  if (bits == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory for the nulls of %lld rows", (long long)n_rows);
  }
  for (int64_t i = 0; i < n_rows; i += 8) {
    const int64_t n = n_rows - i < 8 ? n_rows - i : 8;
    const uint8_t a_known = byte_of(a->validity, i >> 3);
    const uint8_t b_known = byte_of(b->validity, i >> 3);
    const uint8_t flip = is_and ? 0xff : 0;
    const uint8_t a_decides = (uint8_t)(a_known & (pack(a_values + i, n) ^ flip));
    const uint8_t b_decides = (uint8_t)(b_known & (pack(b_values + i, n) ^ flip));
    const uint8_t decided = a_decides | b_decides;
    bits[i >> 3] = (uint8_t)((a_known & b_known) | decided);
    for (int64_t j = 0; j < n; j++) {
      const bool is_decided = ((decided >> j) & 1) != 0;
      values[i + j] = is_and ? !is_decided : is_decided;
    }
  }
  const qn_status status = qn_block_new(bits, qn_memory_free, &out->blocks[0], err);
  if (status == QN_OK) {
    out->validity = bits;
    out->n_nulls = n_rows - qn_bitmap_count(bits, n_rows);
  }
  return status;
}

qn_status qn_logic_combine(bool is_and, qn_column *a, const qn_column *b, qn_error *err) {
  qn_status status = QN_OK;
  void *memory = NULL;
  qn_column out = {0};
  QN_TRY(qn_column_fixed(QN_BOOL, a->n_rows, &out, &memory, err));
  uint8_t *values = memory;
  const uint8_t *a_values = a->values;
  const uint8_t *b_values = b->values;
  if (a->n_nulls > 0 || b->n_nulls > 0) {
    QN_TRY(combine_nulls(is_and, a, b, values, &out, err));
  } else if (is_and) {
    for (int64_t i = 0; i < a->n_rows; i++) {
      values[i] = a_values[i] & b_values[i];
    }
  } else {
    for (int64_t i = 0; i < a->n_rows; i++) {
      values[i] = a_values[i] | b_values[i];
    }
  }
  qn_column_release(a);
  *a = out;
  out = (qn_column){0};

done:
  qn_column_release(&out);
  return status;
}

static qn_status not_bool(qn_call *call, qn_error *err) {
  (void)err;
  const uint8_t *a = call->args[0].column.values;
  uint8_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    out[i] = !a[i];
  }
  return QN_OK;
}

static qn_status test_null(qn_call *call, bool wants_null) {
  uint8_t *out = call->values;
  const uint8_t *validity = call->args[0].column.validity;
  for (int64_t i = 0; i < call->n_rows; i++) {
    const bool is_null = validity != NULL && !qn_bitmap_get(validity, i);
    out[i] = is_null == wants_null;
  }
  return QN_OK;
}
static qn_status is_null(qn_call *call, qn_error *err) {
  (void)err;
  return test_null(call, true);
}
static qn_status is_not_null(qn_call *call, qn_error *err) {
  (void)err;
  return test_null(call, false);
}

// IS [NOT] TRUE or FALSE: never null.
static qn_status test_bool(qn_call *call, bool wanted, bool is_negated) {
  uint8_t *out = call->values;
  const qn_column *column = &call->args[0].column;
  for (int64_t i = 0; i < call->n_rows; i++) {
    const bool matches = !qn_column_is_null(column, i) && qn_column_bool(column, i) == wanted;
    out[i] = matches != is_negated;
  }
  return QN_OK;
}
static qn_status is_true(qn_call *call, qn_error *err) {
  (void)err;
  return test_bool(call, true, false);
}
static qn_status is_not_true(qn_call *call, qn_error *err) {
  (void)err;
  return test_bool(call, true, true);
}
static qn_status is_false(qn_call *call, qn_error *err) {
  (void)err;
  return test_bool(call, false, false);
}
static qn_status is_not_false(qn_call *call, qn_error *err) {
  (void)err;
  return test_bool(call, false, true);
}

// args: a, b, a = b. Nulls are equal to each other and to nothing else.
static qn_status test_distinct(qn_call *call, bool is_negated) {
  uint8_t *out = call->values;
  for (int64_t i = 0; i < call->n_rows; i++) {
    const bool a_is_null = qn_operand_is_null(&call->args[0], i);
    const bool b_is_null = qn_operand_is_null(&call->args[1], i);
    const bool is_distinct = a_is_null || b_is_null ? a_is_null != b_is_null : !qn_arg_bool(call, 2, i);
    out[i] = is_distinct != is_negated;
  }
  return QN_OK;
}
static qn_status is_distinct(qn_call *call, qn_error *err) {
  (void)err;
  return test_distinct(call, false);
}
static qn_status is_not_distinct(qn_call *call, qn_error *err) {
  (void)err;
  return test_distinct(call, true);
}

static bool nullif_is_null(const qn_call *call, int64_t row) {
  return qn_operand_is_null(&call->args[0], row) ||
         (!qn_operand_is_null(&call->args[1], row) && qn_arg_bool(call, 1, row));
}

// args: a, a = b
static qn_status nullif_text(qn_call *call, qn_error *err) {
  qn_status status = QN_OK;
  for (int64_t i = 0; i < call->n_rows; i++) {
    if (nullif_is_null(call, i)) {
      QN_TRY(qn_column_builder_append_null(&call->texts, err));
    } else {
      const qn_text text = qn_arg_text(call, 0, i);
      QN_TRY(qn_column_builder_append_text(&call->texts, text.data, text.size, err));
    }
  }

done:
  return status;
}

static qn_status nullif(qn_call *call, qn_error *err) {
  qn_status status = QN_OK;
  uint8_t *validity = NULL;
  if (qn_type_is_text(call->expr->type)) {
    return nullif_text(call, err);
  }
  const int64_t width = qn_type_width(call->expr->type);
  const char *from = call->args[0].column.values;
  QN_TRY(qn_call_own_validity(call, &validity, err));
  for (int64_t i = 0; i < call->n_rows; i++) {
    memcpy((char *)call->values + i * width, from + qn_operand_row(&call->args[0], i) * width, (size_t)width);
    if (nullif_is_null(call, i)) {
      qn_bitmap_clear(validity, i);
    }
  }

done:
  return status;
}

static const qn_function functions[] = {
    {"not", 1, {QN_BOOL}, QN_BOOL, not_bool, 0, NULL},
    {"is true", 1, {QN_BOOL}, QN_BOOL, is_true, QN_CALL_SEES_NULLS, NULL},
    {"is not true", 1, {QN_BOOL}, QN_BOOL, is_not_true, QN_CALL_SEES_NULLS, NULL},
    {"is false", 1, {QN_BOOL}, QN_BOOL, is_false, QN_CALL_SEES_NULLS, NULL},
    {"is not false", 1, {QN_BOOL}, QN_BOOL, is_not_false, QN_CALL_SEES_NULLS, NULL},
};
const qn_function_table qn_logic_functions = {functions, (int)(sizeof functions / sizeof *functions)};

const qn_function qn_function_is_null = {
    .name = "is null", .result = QN_BOOL, .kernel = is_null, .flags = QN_CALL_SEES_NULLS};
const qn_function qn_function_is_not_null = {
    .name = "is not null", .result = QN_BOOL, .kernel = is_not_null, .flags = QN_CALL_SEES_NULLS};
const qn_function qn_function_is_distinct = {
    .name = "is distinct from", .result = QN_BOOL, .kernel = is_distinct, .flags = QN_CALL_SEES_NULLS};
const qn_function qn_function_is_not_distinct = {.name = "is not distinct from",
                                                 .result = QN_BOOL,
                                                 .kernel = is_not_distinct,
                                                 .flags = QN_CALL_SEES_NULLS};
const qn_function qn_function_nullif = {.name = "nullif", .kernel = nullif, .flags = QN_CALL_SEES_NULLS};
