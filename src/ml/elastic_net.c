// SPDX-License-Identifier: Apache-2.0
// Lasso and elastic net by coordinate descent on the Gram matrix (Friedman, Hastie and Tibshirani, 2010): one
// pass over the rows, then sweeps that cost nothing for columns that stay at 0. It ends by the duality gap,
// which bounds how far the objective is from the least.
#include <cblas.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "ml/estimator.h"
#include "ml/gram.h"
#include "ml/linear_objective.h"

enum { SWEEPS_PER_STEP = 10 };

#define FIELD(name) offsetof(qn_elastic_net_options, name)
static const qn_setting settings[] = {
    {{"alpha", "1", "strength of the penalty"}, QN_SETTING_FLOAT64, FIELD(alpha), .min = 0, .max = 1e300},
    {{"l1_ratio", "1", "share of |b| in it; the rest is |b|^2 / 2"},
     QN_SETTING_FLOAT64,
     FIELD(l1_ratio),
     .min = 0,
     .max = 1},
    {{"no_intercept", "false", "without a constant term"}, QN_SETTING_BOOL, FIELD(no_intercept), .min = 0},
    {{"max_iterations", "10000", "sweeps over all columns"},
     QN_SETTING_INT64,
     FIELD(max_iterations),
     .min = 0,
     .max = 1e15},
    {{"tolerance", "1e-9", "end when the duality gap is this share of the label's mean square"},
     QN_SETTING_FLOAT64,
     FIELD(tolerance),
     .min = 0,
     .max = 1},
    {{0}, 0, 0, 0, 0, 0}};

typedef struct descent {
  const qn_gram *gram;
  double l1, l2;
  double *b, *product; // [n]; product = matrix b
  double objective, gap;
} descent;

static qn_task task(const void *options) {
  (void)options;
  return QN_TASK_NUMBER;
}

static void sweep(descent *d) {
  const int n = d->gram->n_columns;

  for (int j = 0; j < n; j++) {
    const double square = d->gram->variance[j];
    if (square == 0) {
      continue;
    }
    const double slope = d->gram->label[j] - d->product[j] + square * d->b[j];
    const double shrunk = copysign(fmax(fabs(slope) - d->l1, 0), slope);
    const double b = shrunk / (square + d->l2);
    if (b != d->b[j]) {
      cblas_daxpy(n, b - d->b[j], d->gram->matrix + (int64_t)j * n, 1, d->product, 1);
      d->b[j] = b;
    }
  }
}

// The gap to the dual problem's value at the scaled residual, all per weight: as scikit-learn has it.
static void measure(descent *d) {
  const int n = d->gram->n_columns;
  const double square = d->gram->label_square;
  const double b_label = cblas_ddot(n, d->b, 1, d->gram->label, 1);
  const double b_b = cblas_ddot(n, d->b, 1, d->b, 1);
  const double residual = fmax(0, square - 2 * b_label + cblas_ddot(n, d->b, 1, d->product, 1));
  const double one_norm = cblas_dasum(n, d->b, 1);
  double steepest = 0;

  for (int j = 0; j < n; j++) {
    steepest = fmax(steepest, fabs(d->gram->label[j] - d->product[j] - d->l2 * d->b[j]));
  }
  const double scale = steepest > d->l1 ? d->l1 / steepest : 1;
  const double with_label = square - b_label; // residual times label
  d->objective = 0.5 * residual + d->l1 * one_norm + 0.5 * d->l2 * b_b;
  d->gap = 0.5 * residual * (1 + scale * scale) + d->l1 * one_norm - scale * with_label +
           0.5 * d->l2 * (1 + scale * scale) * b_b;
}

static qn_status resume(qn_fit_state *fit, descent *d, int64_t *n_sweeps, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays state = {0};
  const int64_t n = d->gram->n_columns;
  const void *b = NULL;
  const void *product = NULL;
  int64_t step = 0;

  QN_TRY(qn_fit_resume(fit, &step, &state, err));
  *n_sweeps = step * SWEEPS_PER_STEP;
  if (step > 0) {
    QN_TRY(qn_arrays_get(&state, "b", QN_FLOAT64, 1, &n, &b, err));
    QN_TRY(qn_arrays_get(&state, "product", QN_FLOAT64, 1, &n, &product, err));
    memcpy(d->b, b, (size_t)n * 8);
    memcpy(d->product, product, (size_t)n * 8);
  }

done:
  qn_arrays_release(&state);
  return status;
}

static qn_status save(qn_fit_state *fit, const descent *d, int64_t step, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays state = {0};

  QN_TRY(qn_arrays_put(&state, "b", QN_FLOAT64, d->gram->n_columns, d->b, err));
  QN_TRY(qn_arrays_put(&state, "product", QN_FLOAT64, d->gram->n_columns, d->product, err));
  QN_TRY(qn_fit_checkpoint(fit, step, &state, err));

done:
  qn_arrays_release(&state);
  return status;
}

static qn_status run_sweeps(qn_fit_state *fit, descent *d, qn_error *err) {
  qn_status status = QN_OK;
  const qn_elastic_net_options *options = fit->options;
  const double n = d->gram->n_columns;
  const double enough = options->tolerance * d->gram->label_square;
  int64_t n_sweeps = 0;

  QN_TRY(resume(fit, d, &n_sweeps, err));
  measure(d);
  bool is_first = n_sweeps == 0;
  while (d->gap > enough && n_sweeps < options->max_iterations) {
    const int64_t until = n_sweeps + SWEEPS_PER_STEP;
    for (; n_sweeps < until && n_sweeps < options->max_iterations; n_sweeps++) {
      sweep(d);
    }
    measure(d);
    const int64_t step = (n_sweeps + SWEEPS_PER_STEP - 1) / SWEEPS_PER_STEP;
    const double flops = 2 * n * n * SWEEPS_PER_STEP;
    QN_TRY(qn_fit_step(fit,
                       &(qn_fit_report){.step = step,
                                        .loss = d->objective,
                                        .gradient_norm = d->gap,
                                        .n_rows = is_first ? fit->rows->n_total : 0,
                                        .flops = flops},
                       err));
    is_first = false;
    if (n_sweeps == until && d->gap > enough && qn_fit_wants_checkpoint(fit, step)) {
      QN_TRY(save(fit, d, step, err));
    }
  }
  QN_TRY(qn_fit_note(fit, "iterations", (double)n_sweeps, err));
  QN_TRY(qn_fit_note(fit, "converged", d->gap <= enough, err));
  QN_TRY(qn_fit_note(fit, "train_loss", d->objective, err));
  QN_TRY(qn_fit_note(fit, "duality_gap", d->gap, err));

done:
  return status;
}

static qn_status fit_elastic_net(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  const qn_elastic_net_options *options = fit->options;
  const int64_t n = fit->rows->n_columns;
  qn_gram gram = {0};
  descent d = {.gram = &gram,
               .l1 = options->alpha * options->l1_ratio,
               .l2 = options->alpha * (1 - options->l1_ratio)};

  QN_TRY(qn_gram_compute(fit, !options->no_intercept, true, &gram, err));
  d.b = qn_memory_alloc(8 * n);
  d.product = qn_memory_alloc(8 * n);
  QN_REQUIRE(d.b && d.product, err, QN_ERR_MEMORY, "out of memory for %lld coefficients", (long long)n);
  memset(d.b, 0, (size_t)n * 8);
  memset(d.product, 0, (size_t)n * 8);
  QN_TRY(run_sweeps(fit, &d, err));
  const double intercept = gram.label_mean - cblas_ddot((blasint)n, gram.mean, 1, d.b, 1);
  QN_TRY(qn_arrays_put_matrix(&fit->model->arrays, "coefficients", QN_FLOAT64, 1, n, d.b, err));
  QN_TRY(qn_arrays_put(&fit->model->arrays, "intercept", QN_FLOAT64, 1, &intercept, err));

done:
  qn_memory_free(d.b);
  qn_memory_free(d.product);
  qn_gram_release(&gram);
  return status;
}

static qn_status predict(const qn_model *model, const qn_row_block *block, double *outputs, qn_error *err) {
  return qn_linear_margins(model, 1, block, outputs, err);
}

const qn_estimator qn_estimator_elastic_net = {
    .name = "elastic_net",
    .summary = "linear regression with coefficients that are small or 0 (lasso)",
    .settings = settings,
    .options_size = sizeof(qn_elastic_net_options),
    .needs_label = true,
    .takes_sparse = true,
    .task = task,
    .fit = fit_elastic_net,
    .predict = predict,
};

qn_elastic_net_options qn_elastic_net_defaults(void) {
  qn_elastic_net_options options;
  qn_settings_defaults(&qn_estimator_elastic_net, &options);
  return options;
}

qn_model *qn_fit_elastic_net(qn_dataset *data, const qn_training *how,
                             const qn_elastic_net_options *options) {
  return qn_fit_estimator(data, &qn_estimator_elastic_net, how, options);
}
