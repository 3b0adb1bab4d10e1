// SPDX-License-Identifier: Apache-2.0
// Expressions: any text binds or is refused without harm, in each kind of list; what binds is evaluated on a
// small batch and gives a sound column or an error, the same for single rows.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <quern/appender.h>
#include "column/builder.h"
#include "column/source.h"
#include "expr/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char schema_text[] =
    "a int32, b int64, x float64, g float32, s utf8, y binary, f bool, d date, t timestamp, \"userId\" int32";

static qn_batch *new_rows(const qn_schema *schema) {
  static const char *const texts[] = {"", "abc", "12", "2020-02-29", "Äpfel ß", "a%_\\"};
  qn_appender *appender = NULL;
  qn_batch *batch = NULL;
  if (qn_appender_new(schema, &appender, NULL) != QN_OK) {
    abort();
  }
  for (int i = 0; i < 6; i++) {
    for (int c = 0; c < schema->n_columns; c++) {
      const char *text = texts[(i + c) % 6];
      if ((i * 7 + c) % 5 == 0) {
        qn_append_null(appender);
        continue;
      }
      switch (schema->fields[c].type) {
      case QN_BOOL:
        qn_append_bool(appender, i % 2 != 0);
        break;
      case QN_INT32:
      case QN_DATE:
        qn_append_int32(appender, i == 3 ? INT32_MIN : i - 2);
        break;
      case QN_INT64:
      case QN_TIMESTAMP:
        qn_append_int64(appender, i == 4 ? INT64_MAX : i * 1000000007ll);
        break;
      case QN_FLOAT32:
        qn_append_float32(appender, (float)(i - 3) / 2);
        break;
      case QN_FLOAT64:
        qn_append_float64(appender, i == 2 ? 1e308 : (i - 3) * 0.7);
        break;
      default:
        qn_append_text(appender, text, (int64_t)strlen(text));
      }
    }
  }
  if (qn_appender_finish(appender, &batch, NULL) != QN_OK) {
    abort();
  }
  qn_appender_free(appender);
  return batch;
}

static qn_status eval_and_check(const qn_expr *expr, const qn_batch *batch) {
  qn_column column = {0};
  qn_schema *schema = NULL;
  qn_batch *result = NULL;
  qn_error err = {0};
  const qn_field field = {.name = (char *)"v", .type = qn_expr_type(expr)};
  const qn_status status = qn_expr_eval(expr, batch, &column, &err);
  if (status != QN_OK) {
    if (!qn_expr_can_fail(expr) || err.message[0] == '\0') {
      abort();
    }
    return status;
  }
  if (qn_schema_new(&field, 1, &schema, NULL) != QN_OK ||
      qn_batch_new_take(schema, batch->n_rows, &column, &result, NULL) != QN_OK ||
      qn_batch_validate(result, true, NULL) != QN_OK) {
    abort();
  }
  qn_batch_free(result);
  qn_schema_free(schema);
  return QN_OK;
}

static void use_expression(const qn_expr *expr, const qn_batch *batch, qn_arena *arena) {
  const qn_expr **parts = NULL;
  qn_bound bound = {0};
  int n = 0;
  const qn_status whole = eval_and_check(expr, batch);
  qn_status single = QN_OK;
  for (int64_t row = 0; row < batch->n_rows; row++) {
    qn_batch *slice = NULL;
    if (qn_batch_slice(batch, row, 1, &slice, NULL) != QN_OK) {
      abort();
    }
    const qn_status status = eval_and_check(expr, slice);
    single = single == QN_OK ? status : single;
    qn_batch_free(slice);
  }
  if (whole != single) {
    abort();
  }
  if (qn_expr_type(expr) != QN_BOOL) {
    return;
  }
  if (qn_expr_as_bound(expr, &bound)) {
    qn_column_release(&bound.value);
  }
  if (qn_expr_conjuncts(expr, arena, &parts, &n, NULL) != QN_OK || n < 1) {
    abort();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  qn_arena arena = {0};
  qn_error err = {0};
  qn_schema *schema = NULL;
  const qn_expr *expr = NULL;
  qn_named_expr *named = NULL;
  qn_sort_key *keys = NULL;
  qn_aggregate *aggregates = NULL;
  qn_window_function *functions = NULL;
  qn_join_key *join_keys = NULL;
  int n = 0;
  if (size > 2000) { // longer ones only take longer
    return 0;
  }
  char *text = malloc(size + 1);
  memcpy(text, data, size);
  text[size] = '\0';
  if (qn_schema_parse(schema_text, &schema, NULL) != QN_OK) {
    abort();
  }
  qn_batch *batch = new_rows(schema);
  if (qn_expr_bind(text, "fuzz", schema, &arena, &expr, &err) == QN_OK) {
    use_expression(expr, batch, &arena);
  } else if (err.message[0] == '\0') {
    abort();
  }
  if (qn_expr_bind_list(text, "fuzz", schema, &arena, &named, &n, &err) == QN_OK && n < 1) {
    abort();
  }
  qn_sort_keys_bind(text, schema, &arena, &keys, &n, &err);
  qn_aggregates_bind(text, schema, &arena, &aggregates, &n, &err);
  qn_window_functions_bind(text, schema, &arena, &functions, &n, &err);
  qn_join_keys_bind(text, schema, schema, &arena, &join_keys, &n, &err);
  qn_join_condition_bind(text, schema, schema, &arena, &expr, &err);
  qn_batch_free(batch);
  qn_schema_free(schema);
  qn_arena_release(&arena);
  free(text);
  return 0;
}
