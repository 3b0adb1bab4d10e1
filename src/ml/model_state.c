// SPDX-License-Identifier: Apache-2.0
// A model's life, and what its estimator says of a batch.
#include "ml/model_state.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/batch.h"
#include "exec/job_state.h"
#include "ml/als.h"
#include "ml/estimator.h"

qn_status qn_model_alloc(qn_job *job, const qn_estimator *estimator, qn_model **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_model *model = calloc(1, sizeof *model);

  QN_REQUIRE(model != NULL, err, QN_ERR_MEMORY, "no memory for a model");
  model->job = job;
  model->estimator = estimator;
  model->options = qn_arena_alloc(&model->arena, (int64_t)estimator->options_size);
  QN_REQUIRE(model->options != NULL, err, QN_ERR_MEMORY, "no memory for a model");
  qn_settings_defaults(estimator, model->options);
  *out = model;
  model = NULL;

done:
  qn_model_free(model);
  return status;
}

static void free_model(void *model) {
  qn_model_free(model);
}

qn_status qn_model_new(qn_job *job, const qn_estimator *estimator, qn_model **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_model *model = NULL;

  QN_TRY(qn_model_alloc(job, estimator, &model, err));
  QN_TRY(qn_job_own_take(job, model, free_model, err));
  *out = model;

done:
  return status;
}

void qn_model_free(qn_model *model) {
  if (model != NULL) {
    qn_als_lookup_free(model->als_lookup);
    qn_features_free(model->features);
    qn_classes_release(&model->classes);
    qn_classes_release(&model->ids);
    qn_arrays_release(&model->arrays);
    qn_arrays_release(&model->curve);
    qn_arena_release(&model->arena);
    free(model);
  }
}

// The length of a dimension of an array that was learned.
static int learned_size(const qn_model *model, const char *name, int dim) {
  const qn_array *array = qn_arrays_find(&model->arrays, name);
  return array == NULL || dim >= array->n_dims ? 0 : (int)array->dims[dim];
}

int qn_model_n_outputs(const qn_model *model) {
  switch (model->estimator->task(model->options)) {
  case QN_TASK_NUMBER:
  case QN_TASK_RATING:
    return 1;
  case QN_TASK_CLASS:
    return model->classes.n;
  case QN_TASK_CLUSTER:
    return 2;
  case QN_TASK_NEIGHBOURS:
    return 2 * (int)((const qn_neighbours_options *)model->options)->k;
  case QN_TASK_MIXTURE:
    return learned_size(model, "weights", 0);
  case QN_TASK_COMPONENTS:
    return learned_size(model, "components", 0);
  }
  return 0;
}

// Rows whose numbers may not be looked at: zero stands for them, and NaN is what comes out.
static void zero_bad_rows(qn_row_block *block, double *x, const bool *is_bad) {
  for (int64_t row = 0; row < block->n_rows; row++) {
    if (is_bad[row]) {
      memset(x + row * block->n_columns, 0, (size_t)block->n_columns * sizeof *x);
    }
  }
}

static void forget_bad_rows(int64_t n_rows, int n_outputs, const bool *is_bad, double *outputs) {
  for (int64_t row = 0; row < n_rows; row++) {
    for (int i = 0; is_bad[row] && i < n_outputs; i++) {
      outputs[row * n_outputs + i] = NAN;
    }
  }
}

static qn_status outputs_dense(const qn_model *model, const qn_batch *inputs, double *outputs, bool *is_bad,
                               qn_error *err) {
  qn_status status = QN_OK;
  const int n_columns = qn_features_n_columns(model->features);
  int64_t n_bytes = 0;
  double *x = NULL;
  qn_row_block block = {.n_rows = inputs->n_rows, .n_columns = n_columns};

  QN_TRY(qn_mul_size(inputs->n_rows * n_columns, sizeof *x, &n_bytes, err));
  x = qn_memory_alloc(n_bytes);
  QN_REQUIRE(x != NULL, err, QN_ERR_MEMORY, "no memory for the features of %lld rows",
             (long long)inputs->n_rows);
  QN_TRY(qn_features_dense(model->features, inputs, x, is_bad, err));
  zero_bad_rows(&block, x, is_bad);
  block.x = x;
  QN_TRY(model->estimator->predict(model, &block, outputs, err));

done:
  qn_memory_free(x);
  return status;
}

static qn_status outputs_sparse(const qn_model *model, const qn_batch *inputs, double *outputs, bool *is_bad,
                                qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer starts = {0};
  qn_buffer columns = {0};
  qn_buffer values = {0};

  QN_TRY(qn_features_sparse(model->features, inputs, &starts, &columns, &values, is_bad, err));
  double *value = (double *)(void *)values.data;
  for (int64_t i = 0; i < values.size / (int64_t)sizeof *value; i++) {
    value[i] = isfinite(value[i]) ? value[i] : 0;
  }
  const qn_row_block block = {.n_rows = inputs->n_rows,
                              .n_columns = qn_features_n_columns(model->features),
                              .starts = (const int64_t *)(const void *)starts.data,
                              .columns = (const int32_t *)(const void *)columns.data,
                              .values = value};
  QN_TRY(model->estimator->predict(model, &block, outputs, err));

done:
  qn_buffer_release(&starts);
  qn_buffer_release(&columns);
  qn_buffer_release(&values);
  return status;
}

qn_status qn_model_outputs(const qn_model *model, const qn_batch *inputs, qn_buffer *outputs, bool *is_bad,
                           qn_error *err) {
  qn_status status = QN_OK;
  const int n_outputs = qn_model_n_outputs(model);
  int64_t n_bytes = 0;

  QN_TRY(qn_mul_size(inputs->n_rows * n_outputs, sizeof(double), &n_bytes, err));
  outputs->size = 0;
  QN_TRY(qn_buffer_reserve(outputs, n_bytes, err));
  outputs->size = n_bytes;
  memset(is_bad, 0, (size_t)inputs->n_rows * sizeof *is_bad);
  double *out = (double *)(void *)outputs->data;
  if (inputs->n_rows > 0) {
    if (qn_features_is_sparse(model->features) && model->estimator->takes_sparse) {
      QN_TRY(outputs_sparse(model, inputs, out, is_bad, err));
    } else {
      QN_TRY(outputs_dense(model, inputs, out, is_bad, err));
    }
    forget_bad_rows(inputs->n_rows, n_outputs, is_bad, out);
  }

done:
  return status;
}
