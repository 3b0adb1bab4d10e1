// SPDX-License-Identifier: Apache-2.0
// Lasso and elastic net by coordinate descent on the Gram matrix (Friedman, Hastie and Tibshirani, 2010): one
// pass over the rows, then sweeps that cost nothing for columns that stay at 0. It ends by the duality gap,
// which bounds how far the objective is from the least. Many columns: see elastic_net_rows.c.
#include "ml/elastic_net.h"
#include <cblas.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "ml/estimator.h"
#include "ml/gram.h"
#include "ml/linear_objective.h"

enum { SWEEPS_PER_STEP = 10, MAX_GRAM_COLUMNS = 2000 };

#define FIELD(name) offsetof(qn_elastic_net_options, name)
static const qn_setting settings[] = {
    {{"alpha", "1", "strength of the penalty"}, QN_SETTING_FLOAT64, FIELD(alpha), .min = 0, .max = 1e300},
    {{"l1_ratio", "1", "share of |b| in it; the rest is |b|^2 / 2"},
     QN_SETTING_FLOAT64,
     FIELD(l1_ratio),
     .min = 0,
     .max = 1},
    {{"solver", "auto", "gram (all pairs of columns), or rows; auto: gram up to 2,000 columns, if it fits"},
     QN_SETTING_CHOICE,
     FIELD(solver),
     .choices = "auto gram rows"},
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

static qn_task task(const void *options) {
  (void)options;
  return QN_TASK_NUMBER;
}

void qn_net_sweep(qn_net_descent *d) {
  const int n = d->n;

  for (int j = 0; j < n; j++) {
    const double square = d->variance[j];
    if (square == 0) {
      continue;
    }
    const double slope = d->label[j] - d->product[j] + square * d->b[j];
    const double shrunk = copysign(fmax(fabs(slope) - d->l1, 0), slope);
    const double b = shrunk / (square + d->l2);
    if (b != d->b[j]) {
      cblas_daxpy(n, b - d->b[j], d->matrix + (int64_t)j * n, 1, d->product, 1);
      d->b[j] = b;
    }
  }
}

double qn_net_gap(const qn_net_point *p, double l1, double l2, double *objective) {
  const double scale = p->steepest > l1 ? l1 / p->steepest : 1;
  const double with_label = p->label_square - p->b_label; // residual times label

  *objective = 0.5 * p->residual + l1 * p->one_norm + 0.5 * l2 * p->square_norm;
  return 0.5 * p->residual * (1 + scale * scale) + l1 * p->one_norm - scale * with_label +
         0.5 * l2 * (1 + scale * scale) * p->square_norm;
}

void qn_net_measure(qn_net_descent *d) {
  const int n = d->n;
  qn_net_point point = {.label_square = d->label_square,
                        .b_label = cblas_ddot(n, d->b, 1, d->label, 1),
                        .one_norm = cblas_dasum(n, d->b, 1),
                        .square_norm = cblas_ddot(n, d->b, 1, d->b, 1)};

  point.residual = fmax(0, d->label_square - 2 * point.b_label + cblas_ddot(n, d->b, 1, d->product, 1));
  for (int j = 0; j < n; j++) {
    point.steepest = fmax(point.steepest, fabs(d->label[j] - d->product[j] - d->l2 * d->b[j]));
  }
  d->gap = qn_net_gap(&point, d->l1, d->l2, &d->objective);
}

static qn_status resume(qn_fit_state *fit, qn_net_descent *d, int64_t *n_sweeps, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays state = {0};
  const int64_t n = d->n;
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

static qn_status save(qn_fit_state *fit, const qn_net_descent *d, int64_t step, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays state = {0};

  QN_TRY(qn_arrays_put(&state, "b", QN_FLOAT64, d->n, d->b, err));
  QN_TRY(qn_arrays_put(&state, "product", QN_FLOAT64, d->n, d->product, err));
  QN_TRY(qn_fit_checkpoint(fit, step, &state, err));

done:
  qn_arrays_release(&state);
  return status;
}

static qn_status run_sweeps(qn_fit_state *fit, qn_net_descent *d, qn_error *err) {
  qn_status status = QN_OK;
  const qn_elastic_net_options *options = fit->options;
  const double n = d->n;
  const double enough = options->tolerance * d->label_square;
  int64_t n_sweeps = 0;

  QN_TRY(resume(fit, d, &n_sweeps, err));
  qn_net_measure(d);
  bool is_first = n_sweeps == 0;
  while (d->gap > enough && n_sweeps < options->max_iterations) {
    const int64_t until = n_sweeps + SWEEPS_PER_STEP;
    for (; n_sweeps < until && n_sweeps < options->max_iterations; n_sweeps++) {
      qn_net_sweep(d);
    }
    qn_net_measure(d);
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

static qn_status fit_by_gram(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  const qn_elastic_net_options *options = fit->options;
  const int64_t n = fit->rows->n_columns;
  qn_gram gram = {0};
  double *room = NULL;

  QN_TRY(qn_gram_compute(fit, !options->no_intercept, true, &gram, err));
  room = qn_memory_alloc(2 * 8 * n);
  QN_REQUIRE(room, err, QN_ERR_MEMORY, "out of memory for %lld coefficients", (long long)n);
  memset(room, 0, (size_t)n * 2 * 8);
  qn_net_descent d = {.n = (int)n,
                      .matrix = gram.matrix,
                      .variance = gram.variance,
                      .label = gram.label,
                      .label_square = gram.label_square,
                      .l1 = options->alpha * options->l1_ratio,
                      .l2 = options->alpha * (1 - options->l1_ratio),
                      .b = room,
                      .product = room + n};
  QN_TRY(run_sweeps(fit, &d, err));
  const double intercept = gram.label_mean - cblas_ddot((blasint)n, gram.mean, 1, d.b, 1);
  QN_TRY(qn_arrays_put_matrix(&fit->model->arrays, "coefficients", QN_FLOAT64, 1, n, d.b, err));
  QN_TRY(qn_arrays_put(&fit->model->arrays, "intercept", QN_FLOAT64, 1, &intercept, err));

done:
  qn_memory_free(room);
  qn_gram_release(&gram);
  return status;
}

qn_status qn_net_room(qn_fit_state *fit, int most, int *out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t budget = qn_memory_budget();
  int64_t fitting = most;

  if (budget > 0 && !fit->how->exact) { // half of what is left: a matrix, sums for it, and what BLAS needs
    const double left = (double)(budget - qn_memory_used());
    fitting = (int64_t)fmin(most, sqrt(fmax(0, left) / 2 / (3 * 8)));
    QN_TRY(qn_comm_reduce_int64(fit->comm, QN_MIN, &fitting, 1, err));
  }
  *out = (int)fitting;

done:
  return status;
}

static qn_status fit_elastic_net(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  const qn_elastic_net_options *options = fit->options;
  int most = 0;

  QN_TRY(qn_net_room(fit, MAX_GRAM_COLUMNS, &most, err));
  const bool is_small = fit->rows->n_columns <= most;
  if (options->solver == QN_NET_GRAM || (options->solver == QN_NET_AUTO && is_small)) {
    QN_TRY(fit_by_gram(fit, err));
  } else {
    QN_TRY(qn_net_fit_by_rows(fit, err));
  }

done:
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
