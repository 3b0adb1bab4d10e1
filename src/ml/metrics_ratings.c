// SPDX-License-Identifier: Apache-2.0
// Evaluation of models that rate: errors of the ratings that they have a prediction for, and how many of the
// rows are among the best items that they recommend to a user.
#include <quern/train.h>
#include "base/check.h"
#include "exec/job_state.h"
#include "ml/metrics.h"
#include "ml/ranking.h"

static qn_status add_errors(qn_dataset *data, qn_model *model, qn_metrics *out) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_buffer sums = {0};
  qn_job *job = model->job;

  if (model->label != NULL) {
    const char *columns =
        qn_arena_printf(&job->arena, "%s::float64 as label, prediction", qn_quoted_label(model));
    qn_dataset *rows = columns == NULL ? data : qn_select(qn_predict(data, model), columns);
    rows = qn_filter(rows, "label is not null and prediction is not null");
    rows = qn_select(rows, "label, prediction - label as error");
    QN_TRY(qn_collect_numbers(
        qn_reduce(rows, NULL, "count(*), sum(error * error), sum(abs(error)), var_pop(label)"), &sums));
    const double *s = (const double *)sums.data;
    if (s[0] == 0) {
      status = qn_fail(&err, QN_ERR_VALUE,
                       "there is no row to evaluate the model on with a user and an item "
                       "that it knows, and a rating");
      QN_TRY(qn_job_keep_error(job, status, &err));
    }
    qn_metrics_of_numbers(s[0], s[1], s[2], s[3] * s[0], out);
    qn_metrics_add(out, "rows", s[0]);
  }

done:
  qn_buffer_release(&sums);
  return status;
}

// Every row is an item that the user took; of implicit ones those that count more than nothing.
static qn_status add_ranking(qn_dataset *data, qn_model *model, bool is_implicit, qn_metrics *out) {
  qn_status status = QN_OK;
  qn_buffer numbers = {0};

  if (is_implicit && model->label != NULL) {
    const char *condition = qn_arena_printf(&model->job->arena, "%s > 0", qn_quoted_label(model));
    data = condition == NULL ? data : qn_filter(data, condition);
  }
  QN_TRY(qn_collect_numbers(qn_ranking(data, model, 10), &numbers));
  const double *n = (const double *)numbers.data;
  if (n[0] > 0) {
    qn_metrics_add(out, "ndcg", n[1]);
    qn_metrics_add(out, "recall", n[2]);
    qn_metrics_add(out, "users", n[0]);
  }

done:
  qn_buffer_release(&numbers);
  return status;
}

qn_status qn_evaluate_ratings(qn_dataset *data, qn_model *model, qn_metrics *out) {
  qn_status status = QN_OK;
  const bool is_implicit = ((const qn_als_options *)model->options)->implicit;

  if (!is_implicit) { // what predicts these has no unit
    QN_TRY(add_errors(data, model, out));
  }
  QN_TRY(add_ranking(data, model, is_implicit, out));

done:
  return status;
}
