// SPDX-License-Identifier: Apache-2.0
// Metrics by name, and evaluation of a model by its task.
#include "ml/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "exec/job_state.h"
#include "ml/collect_all.h"

bool qn_metrics_add(qn_metrics *metrics, const char *name, double value) {
  int at = 0;

  while (at < metrics->n && strcmp(metrics->values[at].name, name) != 0) {
    at++;
  }
  if (at == QN_MAX_METRICS) {
    return false;
  }
  snprintf(metrics->values[at].name, sizeof metrics->values[at].name, "%s", name);
  metrics->values[at].value = value;
  metrics->n = at == metrics->n ? at + 1 : metrics->n;
  return true;
}

QN_API double qn_metric(const qn_metrics *metrics, const char *name) {
  for (int i = 0; metrics != NULL && i < metrics->n; i++) {
    if (strcmp(metrics->values[i].name, name) == 0) {
      return metrics->values[i].value;
    }
  }
  return NAN;
}

QN_API qn_status qn_model_note(qn_model *model, const char *set, const qn_metrics *metrics) {
  if (model == NULL) {
    return QN_ERR_ARG;
  }
  for (int i = 0; i < metrics->n; i++) {
    char name[2 * sizeof metrics->values[i].name];
    snprintf(name, sizeof name, "%.*s_%s", (int)sizeof metrics->values[i].name, set, metrics->values[i].name);
    if (strlen(name) >= sizeof metrics->values[i].name || model->metrics.n == QN_MAX_METRICS) {
      return qn_job_fail(model->job,
                         "there is no room in the model for metric '%s': a name has less than %zu "
                         "bytes, a model at most %d metrics",
                         name, sizeof metrics->values[i].name, QN_MAX_METRICS);
    }
    qn_metrics_add(&model->metrics, name, metrics->values[i].value);
  }
  return QN_OK;
}

QN_API qn_status qn_model_metrics(const qn_model *model, qn_metrics *out) {
  *out = model == NULL ? (qn_metrics){0} : model->metrics;
  if (model != NULL && model->fit_seconds > 0) { // of this run: a file does not have them
    qn_metrics_add(out, "load_seconds", model->load_seconds);
    qn_metrics_add(out, "fit_seconds", model->fit_seconds);
    qn_metrics_add(out, "fit_cpu_seconds", model->fit_cpu_seconds);
  }
  return model == NULL ? QN_ERR_ARG : QN_OK;
}

static double number_at(const qn_column *column, int64_t row) {
  if (qn_column_is_null(column, row)) {
    return NAN;
  }
  return column->type == QN_FLOAT64 ? qn_column_float64(column, row) : (double)qn_column_int64(column, row);
}

static qn_status append_numbers(const qn_batch *batch, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const int n_columns = qn_batch_n_columns(batch);

  QN_TRY(qn_buffer_reserve(out, qn_batch_n_rows(batch) * n_columns * (int64_t)sizeof(double), err));
  for (int64_t row = 0; row < qn_batch_n_rows(batch); row++) {
    for (int c = 0; c < n_columns; c++) {
      const double value = number_at(qn_batch_column(batch, c), row);
      QN_TRY(qn_buffer_append(out, &value, sizeof value, err));
    }
  }

done:
  return status;
}

qn_status qn_collect_numbers(qn_dataset *dataset, qn_buffer *out) {
  qn_error err = {0};
  qn_batch *batch = NULL;

  out->size = 0;
  if (dataset == NULL) {
    return QN_ERR_MEMORY;
  }
  qn_status status = qn_collect_all(dataset, &batch, &err);
  if (status == QN_OK) {
    status = qn_comm_agree(dataset->plan->job->comm, append_numbers(batch, out, &err), &err);
  }
  qn_batch_free(batch);
  return qn_job_keep_error(dataset->plan->job, status, &err);
}

static qn_status refuse(qn_job *job, const char *format, const char *name) {
  qn_error err = {0};
  return qn_job_keep_error(job, qn_fail(&err, QN_ERR_ARG, format, name), &err);
}

// By what the estimator makes of rows.
static qn_status evaluate(qn_dataset *data, qn_model *model, const char *weight, qn_metrics *out,
                          qn_dataset **confusion) {
  switch (model->estimator->task(model->options)) {
  case QN_TASK_NUMBER:
    return qn_evaluate_numbers(data, model, weight, out);
  case QN_TASK_CLASS:
    return qn_evaluate_classes(data, model, weight, out, confusion);
  case QN_TASK_CLUSTER:
  case QN_TASK_MIXTURE:
    return qn_evaluate_clusters(data, model, weight, out);
  case QN_TASK_COMPONENTS:
    return qn_evaluate_components(data, model, weight, out);
  case QN_TASK_RATING:
    return qn_evaluate_ratings(data, model, out);
  case QN_TASK_NEIGHBOURS:
    break;
  }
  return refuse(data->plan->job, "there is no metric for a model of '%s' without a label",
                model->estimator->name);
}

static qn_status check_weight(const qn_dataset *data, const qn_model *model, const char *weight) {
  const int column = weight == NULL ? -1 : qn_schema_find(data->schema, weight);
  qn_job *job = data->plan->job;
  qn_error err = {0};

  if (weight == NULL) {
    return QN_OK;
  }
  if (model->estimator->loads_itself) {
    return refuse(job, "%s takes no weights", model->estimator->name);
  }
  if (column < 0) {
    return refuse(job,
                  "there is no column '%s' for the weights of rows, which the model was trained with; "
                  "evaluate it without weights, or on rows that have them",
                  weight);
  }
  return qn_job_keep_error(job, qn_check_number_column(data, weight, "weight", &err), &err);
}

QN_API qn_status qn_evaluate(qn_dataset *data, qn_model *model, qn_metrics *out, qn_dataset **confusion) {
  return qn_evaluate_weighted(data, model, model == NULL ? NULL : model->weight, out, confusion);
}

QN_API qn_status qn_evaluate_weighted(qn_dataset *data, qn_model *model, const char *weight, qn_metrics *out,
                                      qn_dataset **confusion) {
  qn_metrics found = {0};

  *out = (qn_metrics){0};
  if (confusion != NULL) {
    *confusion = NULL;
  }
  if (data == NULL) {
    return QN_ERR_MEMORY;
  }
  const qn_status known = qn_job_check(data->plan->job, NULL);
  if (known != QN_OK || data->status != QN_OK || model == NULL) {
    return known != QN_OK ? known : refuse(data->plan->job, "%s", "there is no model to evaluate");
  }
  qn_status status = check_weight(data, model, weight);
  if (status == QN_OK) {
    qn_action_begin(data->plan->job, QN_ACTION_EVALUATE, data, model->estimator->name);
    status = qn_action_end(data->plan->job, evaluate(data, model, weight, &found, confusion));
  }
  if (status == QN_OK) {
    *out = found;
  }
  return status;
}
