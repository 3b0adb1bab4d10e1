// SPDX-License-Identifier: Apache-2.0
// Models to and from HDF5 files: everything but what the job lends, as named arrays and texts. Nothing about
// when, where and on how many ranks it was made, so that the same model makes the same bytes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/check.h"
#include "base/files.h"
#include "base/hash.h"
#include "exec/job_state.h"
#include "ml/blas.h"
#include "ml/estimator.h"
#include "ml/model_state.h"

static const char KIND[] = "quern model";
enum { FORMAT_VERSION = 1 };

static qn_status put_text(qn_arrays *out, const char *name, const char *text, qn_error *err) {
  return text == NULL ? QN_OK : qn_arrays_put_text(out, name, text, err);
}

static qn_status put_metrics(const qn_metrics *metrics, qn_arrays *out, qn_error *err) {
  qn_status status = QN_OK;
  char name[64];

  for (int i = 0; i < metrics->n; i++) {
    snprintf(name, sizeof name, "metric_%s", metrics->values[i].name);
    QN_TRY(qn_arrays_put(out, name, QN_FLOAT64, 1, &metrics->values[i].value, err));
  }

done:
  return status;
}

qn_status qn_model_put(const qn_model *model, qn_arrays *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};
  const int64_t numbers[] = {FORMAT_VERSION, model->n_rows, (int64_t)model->seed, model->is_float32,
                             model->is_exact};

  QN_TRY(qn_arrays_put_text(out, "estimator", model->estimator->name, err));
  QN_TRY(qn_settings_print(model->estimator, model->options, &text, err));
  QN_TRY(qn_buffer_terminate(&text, err));
  QN_TRY(qn_arrays_put_text(out, "options", (const char *)text.data, err));
  QN_TRY(qn_arrays_put_text(out, "made_by", "quern " QN_VERSION, err));
  QN_TRY(put_text(out, "label", model->label, err));
  QN_TRY(put_text(out, "weight", model->weight, err));
  QN_TRY(put_text(out, "columns", model->columns, err));
  if (model->features != NULL) {
    text.size = 0;
    QN_TRY(qn_features_encode(model->features, &text, err));
    QN_TRY(qn_buffer_terminate(&text, err));
    QN_TRY(qn_arrays_put_text(out, "features", (const char *)text.data, err));
  }
  // format version, rows trained on, seed, float32, exact
  QN_TRY(qn_arrays_put(out, "model_numbers", QN_INT64, sizeof numbers / sizeof *numbers, numbers, err));
  QN_TRY(qn_classes_put(&model->classes, "class", out, err));
  QN_TRY(qn_classes_put(&model->ids, "id", out, err));
  QN_TRY(put_metrics(&model->metrics, out, err));
  QN_TRY(qn_arrays_copy(&model->curve, "", "curve_", out, err));
  QN_TRY(qn_arrays_copy(&model->arrays, "", "learned_", out, err));

done:
  qn_buffer_release(&text);
  return status;
}

static qn_status get_text(const qn_arrays *kept, const char *name, qn_arena *arena, const char **out,
                          qn_error *err) {
  const char *text = qn_arrays_text(kept, name);

  *out = text == NULL ? NULL : qn_arena_string(arena, text);
  return text != NULL && *out == NULL ? qn_fail(err, QN_ERR_MEMORY, "no memory for a model") : QN_OK;
}

static qn_status get_metrics(const qn_arrays *kept, qn_metrics *metrics, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t one = 1;
  const void *value = NULL;

  for (int i = 0; i < kept->n && metrics->n < QN_MAX_METRICS; i++) {
    const char *name = kept->items[i].name;
    if (strncmp(name, "metric_", 7) == 0) {
      QN_TRY(qn_arrays_get(kept, name, QN_FLOAT64, 1, &one, &value, err));
      snprintf(metrics->values[metrics->n].name, sizeof metrics->values[0].name, "%s", name + 7);
      metrics->values[metrics->n++].value = *(const double *)value;
    }
  }

done:
  return status;
}

qn_status qn_model_get(qn_model *model, const qn_arrays *kept, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_numbers = 5;
  const void *data = NULL;
  const char *options = qn_arrays_text(kept, "options");
  const char *features = qn_arrays_text(kept, "features");

  QN_TRY(qn_arrays_get(kept, "model_numbers", QN_INT64, 1, &n_numbers, &data, err));
  const int64_t *numbers = data;
  QN_REQUIRE(numbers[0] == FORMAT_VERSION, err, QN_ERR_FORMAT,
             "a model of format version %lld, this is for version %d", (long long)numbers[0], FORMAT_VERSION);
  model->n_rows = numbers[1];
  model->seed = (uint64_t)numbers[2];
  model->is_float32 = numbers[3] != 0;
  model->is_exact = numbers[4] != 0;
  // No fit has done it for what is predicted.
  qn_blas_set_threads(model->is_exact ? 1 : qn_placement_n_threads(&model->job->placement));
  QN_TRY(qn_settings_parse(model->estimator, options, &model->arena, model->options, err));
  QN_TRY(get_text(kept, "label", &model->arena, &model->label, err));
  QN_TRY(get_text(kept, "weight", &model->arena, &model->weight, err));
  QN_TRY(get_text(kept, "columns", &model->arena, &model->columns, err));
  if (features != NULL) {
    QN_TRY(qn_features_decode(features, &model->features, err));
  }
  QN_REQUIRE(features != NULL || model->estimator->loads_itself, err, QN_ERR_FORMAT,
             "the model lacks its features");
  QN_TRY(qn_classes_get(kept, "class", &model->classes, err));
  QN_TRY(qn_classes_get(kept, "id", &model->ids, err));
  QN_TRY(get_metrics(kept, &model->metrics, err));
  QN_TRY(qn_arrays_copy(kept, "curve_", "", &model->curve, err));
  QN_TRY(qn_arrays_copy(kept, "learned_", "", &model->arrays, err));

done:
  return status;
}

qn_status qn_model_write(const qn_model *model, const char *path, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays all = {0};

  QN_TRY(qn_model_put(model, &all, err));
  QN_TRY(qn_arrays_write(&all, KIND, path, err));

done:
  qn_arrays_release(&all);
  return status;
}

static qn_status save_here(const qn_model *model, const char *path, qn_error *err) {
  const qn_status status = qn_model_write(model, path, err);

  if (status == QN_OK && model->checkpoint != NULL) {
    unlink(model->checkpoint); // it is not needed any more; that it cannot be removed is no failure
  }
  return status;
}

QN_API qn_status qn_model_save(qn_model *model, const char *path) {
  qn_error err = {0};
  qn_status status = QN_OK;

  if (model == NULL) {
    return QN_ERR_ARG;
  }
  status = qn_job_check(model->job, &err);
  if (status == QN_OK) {
    const bool is_mine = qn_comm_rank(model->job->comm) == 0;
    status = path == NULL ? qn_fail(&err, QN_ERR_ARG, "there is no path to save the model to")
             : is_mine    ? save_here(model, path, &err)
                          : QN_OK;
    status = qn_comm_agree(model->job->comm, status, &err);
  }
  return qn_job_keep_error(model->job, status, &err);
}

// The file's bytes as rank 0 has read them.
static qn_status read_shared(qn_job *job, const char *path, qn_arrays *out, uint64_t *identity,
                             qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer bytes = {0};

  QN_REQUIRE(path != NULL, err, QN_ERR_ARG, "there is no path to load a model from");
  if (qn_comm_rank(job->comm) == 0) {
    QN_TRY(qn_arrays_read(path, KIND, out, err));
    QN_TRY(qn_arrays_encode(out, &bytes, err));
    *identity = qn_hash_bytes(bytes.data, bytes.size, 0);
  }
  QN_TRY(qn_comm_broadcast(job->comm, 0, &bytes, err));
  if (qn_comm_rank(job->comm) != 0) {
    QN_TRY(qn_arrays_decode(bytes.data, bytes.size, out, err));
  }

done:
  qn_buffer_release(&bytes);
  return status;
}

static qn_status build(qn_job *job, const char *path, const qn_arrays *kept, qn_model **out, qn_error *err) {
  qn_status status = QN_OK;
  const char *name = qn_arrays_text(kept, "estimator");
  qn_error why = {0};

  const qn_estimator *estimator = name == NULL ? NULL : qn_estimator_find(name);
  QN_REQUIRE(estimator != NULL, err, QN_ERR_FORMAT, "%s: a model by '%s', which this version does not know",
             path, name == NULL ? "nobody" : name);
  QN_TRY(qn_model_new(job, estimator, out, err));
  status = qn_model_get(*out, kept, &why);
  QN_REQUIRE(status == QN_OK, err, status == QN_ERR_MEMORY ? status : QN_ERR_FORMAT, "%s: %s", path,
             why.message);

done:
  return status;
}

QN_API qn_model *qn_model_load(qn_job *job, const char *path) {
  qn_error err = {0};
  qn_arrays kept = {0};
  qn_model *model = NULL;
  uint64_t identity = 0;

  qn_status status = qn_job_check(job, &err);
  if (status == QN_OK) {
    status = read_shared(job, path, &kept, &identity, &err);
    if (status == QN_OK) {
      status = build(job, path, &kept, &model, &err);
    }
    if (status == QN_OK) {
      model->identity = identity;
    }
    status = qn_comm_agree(job->comm, status, &err);
  }
  qn_arrays_release(&kept);
  qn_job_keep_error(job, status, &err);
  return status == QN_OK ? model : NULL;
}
