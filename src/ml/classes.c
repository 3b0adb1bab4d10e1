// SPDX-License-Identifier: Apache-2.0
// Classes: collected, sorted, looked up by binary search (few of them) in their column.
#include "ml/classes.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "column/print.h"
#include "column/wire.h"
#include "comm/comm.h"
#include "exec/job_state.h"
#include "kernel/sort_rows.h"
#include "ml/collect_all.h"
#include "ml/estimator.h"

enum { MOST_CLASSES = 10000 };

static qn_status decode(const qn_schema *schema, qn_buffer *bytes, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_block *block = NULL;
  const int64_t size = bytes->size;

  QN_TRY(qn_block_from_buffer_take(bytes, &block, err));
  QN_TRY(qn_wire_decode(schema, block, block->memory, size, out, err));

done:
  qn_block_free(block);
  return status;
}

// `role` is what the column is for.
static qn_status check_values(const qn_batch *values, const char *role, const char *name, qn_error *err) {
  qn_status status = QN_OK;
  const qn_column *column = &values->columns[0];

  QN_REQUIRE(values->n_rows > 0, err, QN_ERR_VALUE, "%s '%s': there are no rows to train on", role, name);
  for (int64_t row = 0; row < values->n_rows; row++) {
    QN_REQUIRE(!qn_column_is_null(column, row), err, QN_ERR_VALUE,
               "%s '%s' is null in some rows; leave them out: filter \"%s is not null\"", role, name, name);
    QN_REQUIRE(column->type != QN_FLOAT64 || isfinite(qn_column_float64(column, row)), err, QN_ERR_VALUE,
               "%s '%s' is NaN or infinite in some rows: it must be finite", role, name);
  }

done:
  return status;
}

static qn_status check_classes(const qn_batch *values, const char *label, qn_error *err) {
  qn_status status = QN_OK;

  QN_REQUIRE(values->n_rows <= MOST_CLASSES, err, QN_ERR_VALUE,
             "label '%s' has more than %d different values: too many for classes; a label to be predicted as "
             "a number needs another estimator or task",
             label, MOST_CLASSES);
  QN_TRY(check_values(values, "label", label, err));
  for (int64_t row = 0; row < values->n_rows && values->columns[0].type == QN_FLOAT64; row++) {
    const double value = qn_column_float64(&values->columns[0], row);
    QN_REQUIRE(
        value == floor(value), err, QN_ERR_VALUE,
        "label '%s' has the value %g: fractions are no classes; to predict a number take another estimator "
        "or task, for classes a label of whole numbers or text",
        label, value);
  }
  QN_REQUIRE(values->n_rows > 1, err, QN_ERR_VALUE,
             "label '%s' has the same value in all rows: there is nothing to learn", label);

done:
  return status;
}

// The different values, ascending; at most so many of them.
static qn_status collect(qn_dataset *data, const char *role, const char *name, int64_t most, qn_batch **out,
                         qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &data->plan->job->arena;

  QN_TRY(qn_column_require(data->schema, name, role, err));
  const char *quoted = qn_name_quoted(arena, name);
  const char *select = quoted == NULL ? NULL : qn_arena_printf(arena, "%s as label", quoted);
  QN_REQUIRE(select != NULL, err, QN_ERR_MEMORY, "no memory for the values of '%s'", name);
  qn_dataset *distinct = qn_distinct(qn_select(data, select), NULL);
  QN_TRY(qn_collect_all(qn_limit(qn_sort(distinct, "label"), most), out, err));

done:
  return status;
}

static void take(const qn_dataset *data, const char *name, qn_batch **values, qn_classes *out) {
  *out = (qn_classes){.n = (int)(*values)->n_rows,
                      .type = qn_schema_type(data->schema, qn_schema_find(data->schema, name)),
                      .values = *values};
  *values = NULL;
}

qn_status qn_classes_fit(qn_dataset *data, const char *label, qn_classes *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *values = NULL;

  QN_TRY(collect(data, "label", label, MOST_CLASSES + 1, &values, err));
  QN_TRY(check_classes(values, label, err));
  take(data, label, &values, out);

done:
  qn_batch_free(values);
  return status;
}

qn_status qn_classes_fit_ids(qn_dataset *data, const char *column, qn_classes *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *values = NULL;

  QN_TRY(collect(data, "id", column, INT32_MAX, &values, err));
  QN_TRY(check_values(values, "id", column, err));
  take(data, column, &values, out);

done:
  qn_batch_free(values);
  return status;
}

// The class of a value that is not null, or -1.
static int find(const qn_column *values, int n, const qn_column *column, int64_t row) {
  static const qn_order ascending = {0};
  int low = 0;
  int high = n;

  while (low < high) {
    const int middle = (low + high) / 2;
    if (qn_compare_rows(&values, middle, &column, row, &ascending, 1) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < n && qn_compare_rows(&values, low, &column, row, &ascending, 1) == 0 ? low : -1;
}

qn_status qn_classes_number(const qn_classes *classes, const qn_column *column, double *numbers,
                            qn_error *err) {
  qn_status status = QN_OK;
  const qn_column *values = &classes->values->columns[0];

  QN_REQUIRE(column->type == classes->type, err, QN_ERR_TYPE, "the label is %s here, the model's is %s",
             qn_type_name(column->type), qn_type_name(classes->type));
  for (int64_t row = 0; row < column->n_rows; row++) {
    numbers[row] = qn_column_is_null(column, row) ? -1 : find(values, classes->n, column, row);
  }

done:
  return status;
}

char *qn_classes_name(const qn_classes *classes, int number) {
  qn_buffer text = {0};
  qn_error err = {0};
  char *name = NULL;

  if (qn_value_print(&classes->values->columns[0], number, &text, &err) == QN_OK &&
      qn_buffer_terminate(&text, &err) == QN_OK) {
    name = strdup((const char *)text.data);
  }
  qn_buffer_release(&text);
  return name;
}

// "<role>_<what>".
static const char *named(char name[64], const char *role, const char *what) {
  snprintf(name, 64, "%s_%s", role, what);
  return name;
}

qn_status qn_classes_put(const qn_classes *classes, const char *role, qn_arrays *arrays, qn_error *err) {
  qn_status status = QN_OK;
  char name[64];
  qn_buffer text = {0};
  void *words = NULL;

  if (classes->n == 0) {
    goto done;
  }
  for (int i = 0; i < classes->n; i++) {
    QN_TRY(qn_value_print(&classes->values->columns[0], i, &text, err));
    QN_TRY(qn_buffer_append(&text, "\n", 1, err));
  }
  QN_TRY(qn_buffer_terminate(&text, err));
  QN_TRY(qn_arrays_put_text(arrays, named(name, role, "type"), qn_type_name(classes->type), err));
  QN_TRY(qn_arrays_put_text(arrays, named(name, role, "names"), (const char *)text.data,
                            err)); // for other readers
  text.size = 0;
  QN_TRY(qn_wire_encode(classes->values, &text, err));
  const int64_t n_words = (text.size + 7) / 8;
  QN_TRY(qn_arrays_new(arrays, named(name, role, "batch"), QN_INT64, 1, &n_words, &words, err));
  memset(words, 0, (size_t)n_words * 8);
  memcpy(words, text.data, (size_t)text.size);

done:
  qn_buffer_release(&text);
  return status;
}

qn_status qn_classes_get(const qn_arrays *arrays, const char *role, qn_classes *out, qn_error *err) {
  qn_status status = QN_OK;
  char name[64];
  const char *type = qn_arrays_text(arrays, named(name, role, "type"));
  const void *data = NULL;
  const int64_t any = -1;
  char schema_text[64];
  qn_schema *schema = NULL;
  qn_buffer bytes = {0};

  *out = (qn_classes){0};
  if (type == NULL) {
    goto done;
  }
  snprintf(schema_text, sizeof schema_text, "label %.32s", type);
  QN_TRY(qn_schema_parse(schema_text, &schema, err));
  QN_TRY(qn_arrays_get(arrays, named(name, role, "batch"), QN_INT64, 1, &any, &data, err));
  QN_TRY(qn_buffer_append(&bytes, data, qn_arrays_find(arrays, name)->dims[0] * 8, err));
  QN_TRY(decode(schema, &bytes, &out->values, err));
  out->n = (int)out->values->n_rows;
  out->type = qn_schema_type(schema, 0);
  QN_REQUIRE(out->values->n_rows <= (strcmp(role, "class") == 0 ? MOST_CLASSES : INT32_MAX), err,
             QN_ERR_FORMAT, "a model with %lld classes", (long long)out->values->n_rows);

done:
  qn_buffer_release(&bytes);
  qn_schema_free(schema);
  return status;
}

void qn_classes_release(qn_classes *classes) {
  qn_batch_free(classes->values);
  *classes = (qn_classes){0};
}
