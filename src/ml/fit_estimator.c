// SPDX-License-Identifier: Apache-2.0
// From a dataset to a model, the same way for all estimators.
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/check.h"
#include "base/clock.h"
#include "base/system_files.h"
#include "exec/action.h"
#include "exec/job_state.h"
#include "exec/record_spans.h"
#include "io/nearest_name.h"
#include "ml/blas.h"
#include "ml/estimator.h"
#include "ml/fit_progress.h"
#include "ml/fit_restart.h"
#include "ml/rows_load.h"
#include "plan/plan.h"

enum { MOST_DENSE_COLUMNS = 20000 };

static bool is_number(qn_type type) {
  return type == QN_BOOL || type == QN_INT32 || type == QN_INT64 || type == QN_FLOAT32 || type == QN_FLOAT64;
}

qn_status qn_column_require(const qn_schema *schema, const char *name, const char *role, qn_error *err) {
  enum { MOST = 256 };
  const char *names[MOST];
  int n = 0;

  if (qn_schema_find(schema, name) >= 0) {
    return QN_OK;
  }
  for (; n < MOST && n < qn_schema_n_columns(schema); n++) {
    names[n] = qn_schema_name(schema, n);
  }
  const int64_t nearest = qn_nearest_name(name, names, n);
  if (nearest >= 0) {
    return qn_fail(err, QN_ERR_ARG, "there is no column '%s' for the %s; did you mean '%s'?", name, role,
                   names[nearest]);
  }
  return qn_fail(err, QN_ERR_ARG, "there is no column '%s' for the %s; the data has %d, the first is '%s'",
                 name, role, qn_schema_n_columns(schema), n == 0 ? "" : names[0]);
}

qn_status qn_check_number_column(const qn_dataset *data, const char *name, const char *role, qn_error *err) {
  qn_status status = QN_OK;
  const int column = qn_schema_find(data->schema, name);

  QN_TRY(qn_column_require(data->schema, name, role, err));
  QN_REQUIRE(is_number(qn_schema_type(data->schema, column)), err, QN_ERR_TYPE,
             "column '%s' is %s: the %s must be a number", name,
             qn_type_name(qn_schema_type(data->schema, column)), role);

done:
  return status;
}

// A field of the options by its name, NULL if the estimator has none.
static void *option_of(const qn_estimator *estimator, const void *options, const char *name) {
  const qn_setting *setting = qn_setting_find(estimator, name);
  return setting == NULL ? NULL : (char *)options + setting->offset;
}

// The column that names rows, or NULL.
static const char *id_of(const qn_estimator *estimator, const void *options) {
  const char **id = option_of(estimator, options, "id");
  return id == NULL || *id == NULL || (*id)[0] == '\0' ? NULL : *id;
}

// What can be known before any row is read.
static qn_status check_training(const qn_dataset *data, const qn_estimator *estimator, const qn_training *how,
                                const void *options, qn_error *err) {
  qn_status status = QN_OK;

  QN_REQUIRE(how->label != NULL || !estimator->needs_label, err, QN_ERR_ARG,
             "%s learns a label: say which column it is", estimator->name);
  QN_REQUIRE(how->label == NULL || !estimator->takes_no_label, err, QN_ERR_ARG,
             "%s learns no label: leave '%s' out", estimator->name, how->label);
  if (estimator->task(options) == QN_TASK_NEIGHBOURS) {
    QN_REQUIRE(how->label == NULL, err, QN_ERR_ARG,
               "%s gives the neighbours themselves (list, id) where it learns no label: leave '%s' out",
               estimator->name, how->label);
    QN_REQUIRE(how->weight == NULL, err, QN_ERR_ARG,
               "%s without a label has no use for weights: leave '%s' out", estimator->name, how->weight);
  }
  if (how->weight != NULL) {
    QN_TRY(qn_check_number_column(data, how->weight, "weight", err));
  }
  if (how->label != NULL && estimator->task(options) != QN_TASK_CLASS) {
    QN_TRY(qn_check_number_column(data, how->label, "label", err));
  }

done:
  return status;
}

static qn_status copy_text(qn_arena *arena, const char *text, const char **out, qn_error *err) {
  *out = text == NULL ? NULL : qn_arena_string(arena, text);
  return text != NULL && *out == NULL ? qn_fail(err, QN_ERR_MEMORY, "no memory for a model") : QN_OK;
}

// The caller's texts may go away before the model.
static qn_status copy_options(qn_model *model, const void *options, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};

  QN_TRY(qn_settings_print(model->estimator, options, &text, err));
  QN_TRY(qn_buffer_terminate(&text, err));
  QN_TRY(qn_settings_parse(model->estimator, (const char *)text.data, &model->arena, model->options, err));

done:
  qn_buffer_release(&text);
  return status;
}

static qn_status describe(qn_model *model, const qn_training *how, const void *options, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(copy_options(model, options, err));
  QN_TRY(copy_text(&model->arena, how->label, &model->label, err));
  QN_TRY(copy_text(&model->arena, how->weight, &model->weight, err));
  QN_TRY(copy_text(&model->arena, how->checkpoint, &model->checkpoint, err));
  if (model->estimator->loads_itself) {
    QN_TRY(copy_text(&model->arena, how->features, &model->columns, err));
  }
  model->seed = how->seed;
  model->is_float32 = how->float32;
  model->is_exact = how->exact;

done:
  return status;
}

// A label that is text has classes, whether or not an option of that name was set; without a label rows are
// listed, if they can be.
static void choose_task(const qn_dataset *data, const char *label, qn_model *model) {
  const int column = label == NULL ? -1 : qn_schema_find(data->schema, label);
  bool *list = option_of(model->estimator, model->options, "list");
  bool *classes = option_of(model->estimator, model->options, "classes");

  if (list != NULL && (label == NULL || id_of(model->estimator, model->options) != NULL)) {
    *list = true;
  }
  if (column < 0 || is_number(qn_schema_type(data->schema, column))) {
    return;
  }
  if (classes != NULL) {
    *classes = true;
  }
}

qn_status qn_fit_features(qn_model *model, qn_dataset *data, const qn_training *how, qn_error *err) {
  const char *excluded[] = {how->label, how->weight, id_of(model->estimator, model->options)};

  qn_features_free(model->features);
  model->features = NULL;
  return qn_features_fit(data, how->features, excluded, 3, model->estimator->takes_missing, &model->features,
                         err);
}

qn_status qn_fit_load(const qn_model *model, qn_dataset *data, const qn_training *how, qn_rows **rows,
                      qn_error *err) {
  qn_status status = QN_OK;
  const qn_estimator *estimator = model->estimator;
  const bool is_sparse = qn_features_is_sparse(model->features);
  const char *id = id_of(estimator, model->options);

  QN_REQUIRE(!is_sparse || estimator->takes_sparse ||
                 qn_features_n_columns(model->features) <= MOST_DENSE_COLUMNS,
             err, QN_ERR_ARG, "%s needs dense rows, and %d columns are too many for that (at most %d)",
             estimator->name, qn_features_n_columns(model->features), MOST_DENSE_COLUMNS);
  const qn_rows_wanted wanted = {.features = model->features,
                                 .classes = id == NULL ? &model->classes : &model->ids,
                                 .label = id == NULL ? how->label : id,
                                 .weight = how->weight,
                                 .is_float32 = how->float32,
                                 .is_exact = how->exact,
                                 .is_sparse = is_sparse && estimator->takes_sparse,
                                 .n_lanes = how->exact ? estimator->exact_lanes : 0};
  QN_TRY(qn_rows_load(data, &wanted, rows, err));

done:
  return status;
}

qn_status qn_fit_prepare(qn_dataset *data, const qn_estimator *estimator, const qn_training *how,
                         const void *options, qn_model **model, qn_error *err) {
  qn_status status = QN_OK;
  qn_model *made = NULL;

  QN_TRY(qn_job_check(data->plan->job, err));
  QN_TRY(qn_settings_check(estimator, options, err));
  QN_TRY(qn_model_new(data->plan->job, estimator, &made, err));
  QN_TRY(describe(made, how, options, err));
  choose_task(data, how->label, made);
  QN_TRY(check_training(data, estimator, how, made->options, err));
  if (estimator->task(made->options) == QN_TASK_CLASS) {
    QN_TRY(qn_classes_fit(data, how->label, &made->classes, err));
  }
  if (id_of(estimator, made->options) != NULL) {
    QN_TRY(qn_classes_fit_ids(data, id_of(estimator, made->options), &made->ids, err));
  }
  *model = made;

done:
  return status;
}

static qn_status prepare_and_load(qn_dataset *data, const qn_estimator *estimator, const qn_training *how,
                                  const void *options, qn_model **model, qn_rows **rows, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t start = qn_clock_ns();

  QN_TRY(qn_fit_prepare(data, estimator, how, options, model, err));
  if (!estimator->loads_itself) {
    QN_TRY(qn_fit_features(*model, data, how, err));
    QN_TRY(qn_fit_load(*model, data, how, rows, err));
    (*model)->n_rows = (*rows)->n_total;
  }
  (*model)->load_seconds = (double)(qn_clock_ns() - start) / 1e9;

done:
  return status;
}

// A model with numbers that are none must not leave: whatever went wrong, it would spread silently.
static qn_status check_arrays(const qn_model *model, qn_error *err) {
  qn_status status = QN_OK;

  for (int i = 0; i < model->arrays.n; i++) {
    const qn_array *array = &model->arrays.items[i];
    const int64_t n = qn_array_n_values(array);
    bool is_finite = true;
    for (int64_t v = 0; v < n && array->type == QN_FLOAT64; v++) {
      is_finite = is_finite && isfinite(((const double *)array->data)[v]);
    }
    for (int64_t v = 0; v < n && array->type == QN_FLOAT32; v++) {
      is_finite = is_finite && isfinite(((const float *)array->data)[v]);
    }
    QN_REQUIRE(is_finite, err, QN_ERR_VALUE,
               "%s: the fit ended with a NaN or infinite number in '%s': features of very different scales "
               "may be the "
               "reason; try standardise(...)",
               model->estimator->name, array->name);
  }

done:
  return status;
}

// Of all ranks, waiting for others included.
static qn_status sum_processor_time(qn_fit_state *fit, double start, qn_error *err) {
  int64_t ns = (int64_t)(1e9 * (qn_own_cpu_seconds() - start));
  const qn_status status = qn_comm_reduce_int64(fit->comm, QN_SUM, &ns, 1, err);
  fit->model->fit_cpu_seconds = (double)ns / 1e9;
  return status;
}

static qn_status fit_rows(qn_fit_state *fit, bool is_silent, qn_error *err) {
  qn_status status = QN_OK;
  const double start = qn_own_cpu_seconds();

  status = qn_fit_progress_new(fit, is_silent, &fit->progress, err);
  if (fit->model->estimator->loads_itself) { // it runs plans, which end together
    status = qn_comm_agree(fit->comm, status, err);
  }
  QN_TRY(status);
  qn_fit_restart_start(fit, is_silent);
  QN_TRY(fit->model->estimator->fit(fit, err));
  QN_TRY(check_arrays(fit->model, err));
  QN_TRY(qn_fit_progress_finish(fit, err));
  QN_TRY(sum_processor_time(fit, start, err));

done:
  qn_fit_restart_steps_end(fit);
  return status;
}

qn_status qn_fit_rows(qn_model *model, qn_comm *comm, const qn_training *how, qn_dataset *data,
                      const qn_rows *rows, bool is_silent, qn_error *err) {
  const int64_t start = qn_clock_ns();
  qn_span span = qn_span_start(model->job);
  qn_fit_state fit = {.comm = comm,
                      .how = how,
                      .options = model->options,
                      .model = model,
                      .rows = rows,
                      .data = data,
                      .n_classes = model->classes.n};

  char library[64];
  qn_blas_library(library, sizeof library);
  qn_note_library(model->job, "blas", library);
  qn_blas_set_threads(how->exact ? 1 : qn_placement_n_threads(&model->job->placement));
  const qn_status status = qn_comm_agree(comm, fit_rows(&fit, is_silent, err), err);
  model->fit_seconds = (double)(qn_clock_ns() - start) / 1e9;
  if (status == QN_OK) {
    qn_fit_progress_tell(&fit);
  }
  qn_fit_progress_free(fit.progress);
  if (!is_silent) {
    snprintf(span.name, sizeof span.name, "fit %s", model->estimator->name);
    qn_span_end(model->job, &span);
  }
  return status;
}

qn_model *qn_fit_estimator(qn_dataset *data, const qn_estimator *estimator, const qn_training *how,
                           const void *options) {
  static const qn_training plain = {0};
  qn_error err = {0};
  qn_model *model = NULL;
  qn_rows *rows = NULL;
  qn_restart_action restart = {0};

  if (data == NULL || data->status != QN_OK) {
    return NULL;
  }
  how = how == NULL ? &plain : how;
  qn_action_begin(data->plan->job, QN_ACTION_FIT, data, estimator->name);
  qn_status status = qn_fit_restart_look(data, estimator, how, options, &restart, &model, &err);
  const bool is_done = model != NULL;
  if (status == QN_OK && !is_done) {
    status = prepare_and_load(data, estimator, how, options, &model, &rows, &err);
  }
  if (status == QN_OK && !is_done) {
    status = qn_fit_rows(model, data->plan->job->comm, how, data, rows, false, &err);
  }
  qn_rows_free(rows);
  if (status == QN_OK && !is_done) {
    qn_fit_restart_finish(model, &restart);
  }
  qn_job_keep_error(data->plan->job, status, &err);
  return qn_action_end(data->plan->job, status) == QN_OK ? model : NULL;
}

QN_API qn_model *qn_fit(qn_dataset *data, const char *name, const qn_training *how, const char *text) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_error *e = &err;
  qn_arena arena = {0};
  qn_model *model = NULL;
  const qn_estimator *estimator = NULL;

  if (data == NULL || data->status != QN_OK) {
    return NULL;
  }
  QN_TRY(qn_estimator_require(name, &estimator, e));
  void *options = qn_arena_alloc(&arena, (int64_t)estimator->options_size);
  QN_REQUIRE(options != NULL, e, QN_ERR_MEMORY, "no memory for options");
  QN_TRY(qn_settings_parse(estimator, text, &arena, options, e));
  model = qn_fit_estimator(data, estimator, how, options);

done:
  qn_arena_release(&arena);
  qn_job_keep_error(data->plan->job, status, &err);
  return model;
}
