// SPDX-License-Identifier: Apache-2.0
// Logistic regression: one output for two classes, softmax over one output each for more.
#include <stddef.h>
#include "base/check.h"
#include "base/memory.h"
#include "ml/estimator.h"
#include "ml/logistic_descent.h"

#define FIELD(name) offsetof(qn_logistic_options, name)
static const qn_setting settings[] = {
    {{"l2", "1e-4", "half of it times the squared coefficients is added to the mean loss"},
     QN_SETTING_FLOAT64,
     FIELD(l2),
     .min = 0,
     .max = 1e300},
    {{"solver", "auto", "lbfgs, which auto takes, or mini_batch (Adam)"},
     QN_SETTING_CHOICE,
     FIELD(solver),
     .choices = "auto normal lbfgs mini_batch"},
    {{"no_intercept", "false", "without a constant term"}, QN_SETTING_BOOL, FIELD(no_intercept), .min = 0},
    {{"max_iterations", "0", "iterations of lbfgs or epochs of mini_batch; 0: 1000 or 20"},
     QN_SETTING_INT64,
     FIELD(max_iterations),
     .min = 0,
     .max = 1e15},
    {{"tolerance", "1e-6", "end when the gradient's norm has shrunk to this share"},
     QN_SETTING_FLOAT64,
     FIELD(tolerance),
     .min = 0,
     .max = 1},
    {{"batch_rows", "1024", "rows of a step of mini_batch, all ranks together"},
     QN_SETTING_INT64,
     FIELD(batch_rows),
     .min = 1,
     .max = 1e15},
    {{"learning_rate", "0.1", "first step size of mini_batch; it goes down to 0"},
     QN_SETTING_FLOAT64,
     FIELD(learning_rate),
     .min = 0,
     .max = 1e300},
    {{0}, 0, 0, 0, 0, 0}};

static qn_task task(const void *options) {
  (void)options;
  return QN_TASK_CLASS;
}

static qn_status fit_logistic(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  const qn_logistic_options *options = fit->options;
  const bool is_binary = fit->n_classes == 2;
  const qn_linear_problem problem = {.loss = is_binary ? QN_LOSS_LOGISTIC : QN_LOSS_SOFTMAX,
                                     .has_intercept = !options->no_intercept,
                                     .l2 = options->l2,
                                     .n_outputs = is_binary ? 1 : fit->n_classes};
  qn_linear_objective objective = {0};
  double *start = NULL;

  QN_REQUIRE(options->solver != QN_SOLVER_NORMAL, err, QN_ERR_ARG,
             "logistic: solver is 'normal', which only linear has; take lbfgs or mini_batch");
  QN_TRY(qn_linear_objective_new(fit, &problem, &objective, &start, err));
  if (options->solver == QN_SOLVER_MINI_BATCH) {
    QN_TRY(qn_logistic_mini_batch(&objective, options, start, err));
  } else {
    QN_TRY(qn_linear_descend(&objective, options->max_iterations > 0 ? options->max_iterations : 1000,
                             options->tolerance, start, err));
  }

done:
  qn_memory_free(start);
  qn_linear_objective_release(&objective);
  return status;
}

static qn_status predict(const qn_model *model, const qn_row_block *block, double *outputs, qn_error *err) {
  qn_status status = QN_OK;
  const int n_classes = model->classes.n;

  QN_TRY(qn_linear_margins(model, n_classes == 2 ? 1 : n_classes, block, outputs, err));
  if (n_classes > 2) {
    qn_softmax_rows(outputs, block->n_rows, n_classes);
    goto done;
  }
  for (int64_t row = block->n_rows - 1; row >= 0; row--) { // from behind: two outputs from one, in place
    const double margin = outputs[row];
    outputs[2 * row] = qn_sigmoid(-margin);
    outputs[2 * row + 1] = qn_sigmoid(margin);
  }

done:
  return status;
}

const qn_estimator qn_estimator_logistic = {
    .name = "logistic",
    .summary = "logistic regression, softmax with more than two classes",
    .settings = settings,
    .options_size = sizeof(qn_logistic_options),
    .needs_label = true,
    .takes_sparse = true,
    .task = task,
    .fit = fit_logistic,
    .predict = predict,
};

qn_logistic_options qn_logistic_defaults(void) {
  qn_logistic_options options;
  qn_settings_defaults(&qn_estimator_logistic, &options);
  return options;
}

qn_model *qn_fit_logistic(qn_dataset *data, const qn_training *how, const qn_logistic_options *options) {
  return qn_fit_estimator(data, &qn_estimator_logistic, how, options);
}
