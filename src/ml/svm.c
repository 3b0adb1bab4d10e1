// SPDX-License-Identifier: Apache-2.0
// Linear support vector machines with the squared hinge loss, which is smooth enough for L-BFGS. With more
// than two classes all problems of one against the rest go in one descent, so that a pass over the rows is a
// matrix product.
#include <stddef.h>
#include "base/check.h"
#include "ml/estimator.h"
#include "ml/linear_objective.h"

#define FIELD(name) offsetof(qn_svm_options, name)
static const qn_setting settings[] = {
    {{"l2", "1e-4", "half of it times the squared coefficients is added to the mean loss"},
     QN_SETTING_FLOAT64,
     FIELD(l2),
     .min = 0,
     .max = 1e300},
    {{"no_intercept", "false", "without a constant term"}, QN_SETTING_BOOL, FIELD(no_intercept), .min = 0},
    {{"max_iterations", "1000", "iterations of the solver"},
     QN_SETTING_INT64,
     FIELD(max_iterations),
     .min = 0,
     .max = 1e15},
    {{"tolerance", "1e-6", "end when the gradient's norm has shrunk to this share"},
     QN_SETTING_FLOAT64,
     FIELD(tolerance),
     .min = 0,
     .max = 1},
    {{0}, 0, 0, 0, 0, 0}};

static qn_task task(const void *options) {
  (void)options;
  return QN_TASK_CLASS;
}

static qn_status fit_svm(qn_fit_state *fit, qn_error *err) {
  const qn_svm_options *options = fit->options;
  const qn_linear_problem problem = {.loss = QN_LOSS_SQUARED_HINGE,
                                     .has_intercept = !options->no_intercept,
                                     .l2 = options->l2,
                                     .n_outputs = fit->n_classes > 2 ? fit->n_classes : 1};
  return qn_linear_fit(fit, &problem, options->max_iterations, options->tolerance, err);
}

// Two classes have one margin, the second class's; the first one's is its negative.
static qn_status predict(const qn_model *model, const qn_row_block *block, double *outputs, qn_error *err) {
  qn_status status = QN_OK;
  const bool is_binary = model->classes.n == 2;

  QN_TRY(qn_linear_margins(model, is_binary ? 1 : model->classes.n, block, outputs, err));
  for (int64_t row = block->n_rows - 1; is_binary && row >= 0; row--) {
    outputs[2 * row + 1] = outputs[row];
    outputs[2 * row] = -outputs[2 * row + 1];
  }

done:
  return status;
}

const qn_estimator qn_estimator_svm = {
    .name = "svm",
    .summary = "linear support vector machine, one class against the rest",
    .settings = settings,
    .options_size = sizeof(qn_svm_options),
    .needs_label = true,
    .takes_sparse = true,
    .has_margins = true,
    .task = task,
    .fit = fit_svm,
    .predict = predict,
};

qn_svm_options qn_svm_defaults(void) {
  qn_svm_options options;
  qn_settings_defaults(&qn_estimator_svm, &options);
  return options;
}

qn_model *qn_fit_svm(qn_dataset *data, const qn_training *how, const qn_svm_options *options) {
  return qn_fit_estimator(data, &qn_estimator_svm, how, options);
}
