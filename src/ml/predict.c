// SPDX-License-Identifier: Apache-2.0
// Scoring: a dataset with the model's columns behind its own. The features' inputs are computed in front of
// the rows' columns, the model looks at them, and a select leaves them out again.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "exec/job_state.h"
#include "ml/als.h"
#include "ml/estimator.h"
#include "plan/plan.h"

enum { MOST_CLASS_COLUMNS = 64 };

// What the callback works with; the job owns it.
typedef struct predictor {
  const qn_model *model;
  qn_task task;
  int n_outputs;
  qn_buffer outputs;
  bool *is_bad;
  int64_t capacity;
} predictor;

static void free_predictor(void *object) {
  predictor *state = object;

  qn_buffer_release(&state->outputs);
  qn_memory_free(state->is_bad);
  free(state);
}

// --- a row's outputs as columns --------------------------------------------------------------------------

static void append_number(qn_appender *out, double value) {
  if (isnan(value)) {
    qn_append_null(out);
  } else {
    qn_append_float64(out, value);
  }
}

static void append_whole(qn_appender *out, double value) {
  if (isnan(value)) {
    qn_append_null(out);
  } else {
    qn_append_int64(out, (int64_t)value);
  }
}

static int greatest(const double *values, int n) {
  int best = 0;

  for (int i = 1; i < n; i++) {
    best = values[i] > values[best] ? i : best;
  }
  return best;
}

static void append_class(const predictor *state, qn_appender *out, const double *values) {
  const int n = state->n_outputs;

  if (isnan(values[0])) {
    qn_append_null(out);
  } else {
    qn_append_from(out, &state->model->classes.values->columns[0], greatest(values, n));
  }
  for (int i = 0; i < n && n <= MOST_CLASS_COLUMNS; i++) {
    append_number(out, values[i]);
  }
}

// Numbers of rows, or of their ids; then distances.
static void append_neighbours(const predictor *state, qn_appender *out, const double *values) {
  const qn_classes *ids = &state->model->ids;
  const int k = state->n_outputs / 2;

  for (int i = 0; i < k; i++) {
    if (ids->n == 0 || isnan(values[i])) {
      append_whole(out, values[i]);
    } else {
      qn_append_from(out, &ids->values->columns[0], (int64_t)values[i]);
    }
  }
  for (int i = k; i < 2 * k; i++) {
    append_number(out, values[i]);
  }
}

static void append_row(const predictor *state, qn_appender *out, const double *values) {
  switch (state->task) {
  case QN_TASK_CLASS:
    append_class(state, out, values);
    break;
  case QN_TASK_CLUSTER:
    append_whole(out, values[0]);
    append_number(out, values[1]);
    break;
  case QN_TASK_MIXTURE:
    append_whole(out, isnan(values[0]) ? (double)NAN : (double)greatest(values, state->n_outputs));
    for (int i = 0; i < state->n_outputs; i++) {
      append_number(out, values[i]);
    }
    break;
  case QN_TASK_NEIGHBOURS:
    append_neighbours(state, out, values);
    break;
  case QN_TASK_NUMBER:
  case QN_TASK_COMPONENTS:
  case QN_TASK_RATING:
    for (int i = 0; i < state->n_outputs; i++) {
      append_number(out, values[i]);
    }
    break;
  }
}

static qn_status predict_batch(const qn_batch *in, qn_appender *out, void *ctx) {
  predictor *state = ctx;
  qn_error err = {0};

  if (in->n_rows > state->capacity) {
    qn_memory_free(state->is_bad);
    state->is_bad = qn_memory_alloc(in->n_rows * (int64_t)sizeof *state->is_bad);
    state->capacity = state->is_bad == NULL ? 0 : in->n_rows;
    if (state->is_bad == NULL) {
      return qn_appender_fail(out, "no memory for predictions");
    }
  }
  if (qn_model_outputs(state->model, in, &state->outputs, state->is_bad, &err) != QN_OK) {
    return qn_appender_fail(out, "%s", err.message);
  }
  const double *values = (const double *)(const void *)state->outputs.data;
  for (int64_t row = 0; row < in->n_rows; row++) {
    append_row(state, out, values + row * state->n_outputs);
  }
  return QN_OK;
}

// --- names -----------------------------------------------------------------------------------------------

static qn_status print_class_columns(const qn_model *model, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  char *name = NULL;
  char *column = NULL;

  QN_TRY(qn_buffer_printf(out, err, "prediction %s", qn_type_name(model->classes.type)));
  for (int i = 0; i < model->classes.n && model->classes.n <= MOST_CLASS_COLUMNS; i++) {
    name = qn_classes_name(&model->classes, i);
    QN_REQUIRE(name != NULL && asprintf(&column, "p_%s", name) > 0, err, QN_ERR_MEMORY,
               "no memory for names");
    QN_TRY(qn_buffer_printf(out, err, ", "));
    QN_TRY(qn_name_quote(column, out, err));
    QN_TRY(qn_buffer_printf(out, err, " float64"));
    free(name);
    free(column);
    name = column = NULL;
  }

done:
  free(name);
  free(column);
  return status;
}

static qn_status print_neighbour_columns(const qn_model *model, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const int k = qn_model_n_outputs(model) / 2;
  const char *type = qn_type_name(model->ids.n > 0 ? model->ids.type : QN_INT64);

  for (int i = 1; i <= k; i++) {
    QN_TRY(qn_buffer_printf(out, err, "neighbour_%d %s, ", i, type));
  }
  for (int i = 1; i <= k; i++) {
    QN_TRY(qn_buffer_printf(out, err, "distance_%d float64%s", i, i == k ? "" : ", "));
  }

done:
  return status;
}

// The schema of the model's columns, as text.
static qn_status print_columns(const qn_model *model, qn_task task, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const int n = qn_model_n_outputs(model);
  const char *name = task == QN_TASK_MIXTURE ? "p_%d float64" : "c%d float64";

  switch (task) {
  case QN_TASK_CLASS:
    QN_TRY(print_class_columns(model, out, err));
    break;
  case QN_TASK_NEIGHBOURS:
    QN_TRY(print_neighbour_columns(model, out, err));
    break;
  case QN_TASK_CLUSTER:
    QN_TRY(qn_buffer_printf(out, err, "cluster int64, distance float64"));
    break;
  case QN_TASK_NUMBER:
  case QN_TASK_RATING:
    QN_TRY(qn_buffer_printf(out, err, "prediction float64"));
    break;
  case QN_TASK_MIXTURE:
    QN_TRY(qn_buffer_printf(out, err, "cluster int64, "));
    // fall through
  case QN_TASK_COMPONENTS:
    for (int i = 0; i < n; i++) {
      QN_TRY(qn_buffer_printf(out, err, i == 0 ? "" : ", "));
      QN_TRY(qn_buffer_printf(out, err, name, task == QN_TASK_MIXTURE ? i : i + 1));
    }
    break;
  }
  QN_TRY(qn_buffer_terminate(out, err));

done:
  return status;
}

// The select list that gives the columns of `data` and then those of `made`, and leaves out what lies in
// front.
static qn_status print_kept(const qn_schema *data, const char *made, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_schema *schema = NULL;

  QN_TRY(qn_schema_parse(made, &schema, err));
  for (int c = 0; c < data->n_columns; c++) {
    QN_REQUIRE(qn_schema_find(schema, qn_schema_name(data, c)) < 0, err, QN_ERR_ARG,
               "predict: the rows have a column '%s' already; rename it in front", qn_schema_name(data, c));
    QN_TRY(qn_buffer_printf(out, err, c == 0 ? "" : ", "));
    QN_TRY(qn_name_quote(qn_schema_name(data, c), out, err));
  }
  for (int c = 0; c < schema->n_columns; c++) {
    QN_TRY(qn_buffer_printf(out, err, ", "));
    QN_TRY(qn_name_quote(qn_schema_name(schema, c), out, err));
  }
  QN_TRY(qn_buffer_terminate(out, err));

done:
  qn_schema_free(schema);
  return status;
}

static qn_status new_predictor(qn_model *model, predictor **out, qn_error *err) {
  qn_status status = QN_OK;
  predictor *state = calloc(1, sizeof *state);

  QN_REQUIRE(state != NULL, err, QN_ERR_MEMORY, "no memory for a prediction");
  *state = (predictor){
      .model = model, .task = model->estimator->task(model->options), .n_outputs = qn_model_n_outputs(model)};
  QN_TRY(qn_job_own_take(model->job, state, free_predictor, err));
  *out = state;

done:
  return status;
}

static qn_status make_prediction(qn_dataset *data, qn_model *model, qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  predictor *state = NULL;
  qn_buffer made = {0};
  qn_buffer kept = {0};

  QN_TRY(new_predictor(model, &state, err));
  QN_TRY(print_columns(model, state->task, &made, err));
  QN_TRY(print_kept(data->schema, (const char *)made.data, &kept, err));
  qn_dataset *inputs = qn_features_inputs(model->features, data, "*");
  qn_dataset *predicted = qn_extend(inputs, predict_batch, state, (const char *)made.data);
  if (predicted != NULL) {
    predicted->ctx_hash = model->identity;
  }
  *out = qn_select(predicted, (const char *)kept.data);

done:
  qn_buffer_release(&made);
  qn_buffer_release(&kept);
  return status;
}

QN_API qn_dataset *qn_predict(qn_dataset *data, qn_model *model) {
  qn_error err = {0};
  qn_dataset *out = NULL;

  if (data == NULL || data->status != QN_OK) {
    return data;
  }
  if (model != NULL && model->estimator->task(model->options) == QN_TASK_RATING) {
    return qn_als_predict(data, model);
  }
  const qn_status status = model == NULL ? qn_fail(&err, QN_ERR_ARG, "predict: there is no model")
                                         : make_prediction(data, model, &out, &err);
  return status == QN_OK
             ? out
             : qn_plan_finish(qn_plan_node(data->plan, QN_NODE_SELECT, data, NULL, "predict"), status, &err);
}
