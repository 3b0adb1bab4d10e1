// SPDX-License-Identifier: Apache-2.0
// What is in a model, for people to read.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "exec/job_state.h"
#include "ml/estimator.h"

enum { SHOWN_NAMES = 40 }; // of features, and of classes

static qn_status show_options(const qn_model *model, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_buffer_printf(out, err, "%s: %s\n", model->estimator->name, model->estimator->summary));
  QN_TRY(qn_buffer_printf(out, err, "options   "));
  QN_TRY(qn_settings_print(model->estimator, model->options, out, err));
  QN_TRY(qn_buffer_printf(out, err, "\nrows      %" PRId64 "\nseed      %" PRIu64 "\n", model->n_rows,
                          model->seed));
  if (model->label != NULL) {
    QN_TRY(qn_buffer_printf(out, err, "label     %s\n", model->label));
  }
  if (model->weight != NULL) {
    QN_TRY(qn_buffer_printf(out, err, "weight    %s\n", model->weight));
  }
  if (model->columns != NULL) {
    QN_TRY(qn_buffer_printf(out, err, "columns   %s\n", model->columns));
  }

done:
  return status;
}

static qn_status show_features(const qn_features *features, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const int n = features == NULL ? 0 : qn_features_n_columns(features);

  for (int i = 0; i < n && i < SHOWN_NAMES; i++) {
    QN_TRY(qn_buffer_printf(out, err, "%s%s", i == 0 ? "features  " : ", ", qn_features_name(features, i)));
  }
  if (n > 0) {
    QN_TRY(qn_buffer_printf(out, err, "%s (%d)\n", n > SHOWN_NAMES ? ", ..." : "", n));
  }

done:
  return status;
}

static qn_status show_classes(const qn_classes *classes, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  char *name = NULL;

  for (int i = 0; i < classes->n && i < SHOWN_NAMES; i++) {
    name = qn_classes_name(classes, i);
    QN_REQUIRE(name != NULL, err, QN_ERR_MEMORY, "no memory for the name of a class");
    QN_TRY(qn_buffer_printf(out, err, "%s%s", i == 0 ? "classes   " : ", ", name));
    free(name);
    name = NULL;
  }
  if (classes->n > 0) {
    QN_TRY(qn_buffer_printf(out, err, "%s (%d)\n", classes->n > SHOWN_NAMES ? ", ..." : "", classes->n));
  }

done:
  free(name);
  return status;
}

static qn_status show_numbers(const qn_model *model, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_buffer_printf(out, err, "\nArrays\n"));
  for (int i = 0; i < model->arrays.n; i++) {
    const qn_array *array = &model->arrays.items[i];
    QN_TRY(qn_buffer_printf(out, err, "  %-24s %-8s", array->name, qn_type_name(array->type)));
    for (int d = 0; d < array->n_dims; d++) {
      QN_TRY(qn_buffer_printf(out, err, "%s%" PRId64, d == 0 ? " " : " x ", array->dims[d]));
    }
    QN_TRY(qn_buffer_printf(out, err, "\n"));
  }
  QN_TRY(qn_buffer_printf(out, err, "\nMetrics\n"));
  for (int i = 0; i < model->metrics.n; i++) {
    QN_TRY(qn_buffer_printf(out, err, "  %-24s %.10g\n", model->metrics.values[i].name,
                            model->metrics.values[i].value));
  }

done:
  return status;
}

QN_API qn_status qn_model_show(qn_model *model, FILE *out) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_buffer text = {0};

  if (model == NULL || qn_job_check(model->job, NULL) != QN_OK) {
    return model == NULL ? QN_ERR_ARG : qn_job_check(model->job, NULL);
  }
  QN_TRY(show_options(model, &text, &err));
  QN_TRY(show_features(model->features, &text, &err));
  QN_TRY(show_classes(&model->classes, &text, &err));
  QN_TRY(show_numbers(model, &text, &err));
  if (qn_comm_rank(model->job->comm) == 0) {
    fwrite(text.data, 1, (size_t)text.size, out);
    fflush(out);
  }

done:
  qn_buffer_release(&text);
  if (status != QN_OK) {
    qn_job_fail(model->job, "%s", err.message);
  }
  return status;
}
