// SPDX-License-Identifier: Apache-2.0
// Least squares and ridge. Few columns: one pass for the Gram matrix, then its Cholesky factor; where columns
// depend on each other, its eigenvectors give the solution of least norm. Many columns: L-BFGS.
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "ml/estimator.h"
#include "ml/gram.h"
#include "ml/linear_objective.h"

enum { MAX_NORMAL_COLUMNS = 2000 };

#define FIELD(name) offsetof(qn_linear_options, name)
static const qn_setting settings[] = {
    {{"l2", "0", "times the squared coefficients is added to the sum of squares (ridge)"},
     QN_SETTING_FLOAT64,
     FIELD(l2),
     .min = 0,
     .max = 1e300},
    {{"solver", "auto", "normal equations or lbfgs; auto: normal up to 2,000 columns"},
     QN_SETTING_CHOICE,
     FIELD(solver),
     .choices = "auto normal lbfgs"},
    {{"no_intercept", "false", "without a constant term"}, QN_SETTING_BOOL, FIELD(no_intercept), .min = 0},
    {{"max_iterations", "1000", "iterations of lbfgs"},
     QN_SETTING_INT64,
     FIELD(max_iterations),
     .min = 0,
     .max = 1e15},
    {{"tolerance", "1e-9", "lbfgs ends when the gradient's norm has shrunk to this share"},
     QN_SETTING_FLOAT64,
     FIELD(tolerance),
     .min = 0,
     .max = 1},
    {{0}, 0, 0, 0, 0, 0}};

static qn_task task(const void *options) {
  (void)options;
  return QN_TASK_NUMBER;
}

// The equations matrix b = right, with rows and columns scaled so that the diagonal is 1.
typedef struct equations {
  int n;
  double *matrix; // [n, n]; scaled
  double *factor; // [n, n]
  double *scale;  // [n] what was multiplied; 0 for columns that are constant
  double *right;  // [n]; becomes b
  int rank;
} equations;

static void scale_equations(equations *e, const qn_gram *gram, double l2) {
  const int64_t n = e->n;

  for (int64_t j = 0; j < n; j++) {
    const double diagonal = gram->variance[j] + l2;
    e->scale[j] = gram->variance[j] > 0 ? 1 / sqrt(diagonal) : 0;
    e->right[j] = gram->label[j] * e->scale[j];
  }
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < n; j++) {
      e->matrix[i * n + j] = i == j ? 1 : gram->matrix[i * n + j] * e->scale[i] * e->scale[j];
    }
  }
}

static bool solve_by_cholesky(equations *e) {
  const int n = e->n;
  double condition = 0;

  memcpy(e->factor, e->matrix, (size_t)n * (size_t)n * 8);
  if (LAPACKE_dpotrf(LAPACK_ROW_MAJOR, 'L', n, e->factor, n) != 0) {
    return false;
  }
  double norm = 0;
  for (int64_t i = 0; i < n; i++) {
    norm = fmax(norm, cblas_dasum(n, e->matrix + i * n, 1));
  }
  if (LAPACKE_dpocon(LAPACK_ROW_MAJOR, 'L', n, e->factor, n, norm, &condition) != 0 ||
      condition < 16 * 2.2e-16 * n) {
    return false;
  }
  return LAPACKE_dpotrs(LAPACK_ROW_MAJOR, 'L', n, 1, e->factor, n, e->right, 1) == 0;
}

// Takes from b (for the columns as they are) what lies in the null space, spanned by the scaled eigenvectors
// [n, n_null] that begin at each row of `factor`: so its norm becomes the least of all solutions.
static qn_status take_off_null_space(const equations *e, int n_null, double *b, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = e->n;
  double *basis = qn_memory_alloc(8 * n * n_null);

  QN_REQUIRE(basis, err, QN_ERR_MEMORY, "out of memory for %lld columns", (long long)n);
  for (int64_t i = 0; i < n; i++) {
    for (int64_t k = 0; k < n_null; k++) {
      basis[i * n_null + k] = e->factor[i * n + k] * e->scale[i]; // 0 of a constant column
    }
  }
  for (int k = 0; k < n_null; k++) { // Gram-Schmidt, twice for accuracy
    for (int round = 0; round < 2; round++) {
      for (int other = 0; other < k; other++) {
        const double share = cblas_ddot((blasint)n, basis + k, n_null, basis + other, n_null);
        cblas_daxpy((blasint)n, -share, basis + other, n_null, basis + k, n_null);
      }
      const double norm = cblas_dnrm2((blasint)n, basis + k, n_null);
      cblas_dscal((blasint)n, norm > 0 ? 1 / norm : 0, basis + k, n_null);
    }
    const double share = cblas_ddot((blasint)n, basis + k, n_null, b, 1);
    cblas_daxpy((blasint)n, -share, basis + k, n_null, b, 1);
  }

done:
  qn_memory_free(basis);
  return status;
}

static qn_status solve_by_eigenvectors(equations *e, double *b, qn_error *err) {
  qn_status status = QN_OK;
  const int n = e->n;
  double *values = qn_memory_alloc(8 * (int64_t)n);
  double *shares = qn_memory_alloc(8 * (int64_t)n);

  QN_REQUIRE(values && shares, err, QN_ERR_MEMORY, "out of memory for %d columns", n);
  memcpy(e->factor, e->matrix, (size_t)n * (size_t)n * 8);
  QN_REQUIRE(LAPACKE_dsyevd(LAPACK_ROW_MAJOR, 'V', 'L', n, e->factor, n, values) == 0, err, QN_ERR_VALUE,
             "linear: the eigenvalues of the normal equations do not converge; take solver=lbfgs");
  const double least = 16 * 2.2e-16 * n * values[n - 1];
  int n_null = 0;
  while (n_null < n && values[n_null] <= least) {
    n_null++;
  }
  cblas_dgemv(CblasRowMajor, CblasTrans, n, n, 1, e->factor, n, e->right, 1, 0, shares, 1);
  for (int k = 0; k < n; k++) {
    shares[k] = k < n_null ? 0 : shares[k] / values[k];
  }
  cblas_dgemv(CblasRowMajor, CblasNoTrans, n, n, 1, e->factor, n, shares, 1, 0, b, 1);
  for (int j = 0; j < n; j++) {
    b[j] *= e->scale[j];
  }
  e->rank = n - n_null;
  if (n_null > 0) {
    QN_TRY(take_off_null_space(e, n_null, b, err));
  }

done:
  qn_memory_free(values);
  qn_memory_free(shares);
  return status;
}

static qn_status solve(equations *e, const qn_gram *gram, double l2, double *b, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = gram->n_columns;

  e->n = gram->n_columns;
  e->rank = e->n;
  e->matrix = qn_memory_alloc(8 * n * n);
  e->factor = qn_memory_alloc(8 * n * n);
  e->scale = qn_memory_alloc(8 * n);
  e->right = qn_memory_alloc(8 * n);
  QN_REQUIRE(e->matrix && e->factor && e->scale && e->right, err, QN_ERR_MEMORY,
             "out of memory for normal equations of %lld columns; take solver=lbfgs", (long long)n);
  scale_equations(e, gram, l2);
  if (!solve_by_cholesky(e)) {
    QN_TRY(solve_by_eigenvectors(e, b, err));
    goto done;
  }
  for (int64_t j = 0; j < n; j++) {
    b[j] = e->right[j] * e->scale[j];
  }

done:
  qn_memory_free(e->matrix);
  qn_memory_free(e->factor);
  qn_memory_free(e->scale);
  qn_memory_free(e->right);
  return status;
}

// label_square - 2 b label + b matrix b + l2 |b|^2.
static qn_status mean_loss(const qn_gram *gram, double l2, const double *b, double *out, qn_error *err) {
  qn_status status = QN_OK;
  const int n = gram->n_columns;
  double *product = qn_memory_alloc(8 * (int64_t)n);

  QN_REQUIRE(product, err, QN_ERR_MEMORY, "out of memory for %d columns", n);
  cblas_dgemv(CblasRowMajor, CblasNoTrans, n, n, 1, gram->matrix, n, b, 1, 0, product, 1);
  *out = fmax(0, gram->label_square - 2 * cblas_ddot(n, gram->label, 1, b, 1) +
                     cblas_ddot(n, product, 1, b, 1)) +
         l2 * cblas_ddot(n, b, 1, b, 1);

done:
  qn_memory_free(product);
  return status;
}

static qn_status fit_normal(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  const qn_linear_options *options = fit->options;
  const int64_t n = fit->rows->n_columns;
  const double l2 = options->l2 / fit->rows->total_weight;
  double *b = NULL;
  double loss = 0;
  qn_gram gram = {0};
  equations e = {0};

  QN_TRY(qn_gram_compute(fit, !options->no_intercept, true, &gram, err));
  b = qn_memory_alloc(8 * n);
  QN_REQUIRE(b, err, QN_ERR_MEMORY, "out of memory for %lld coefficients", (long long)n);
  QN_TRY(solve(&e, &gram, l2, b, err));
  QN_TRY(mean_loss(&gram, l2, b, &loss, err));
  const double intercept = gram.label_mean - cblas_ddot((blasint)n, gram.mean, 1, b, 1);
  QN_TRY(qn_arrays_put_matrix(&fit->model->arrays, "coefficients", QN_FLOAT64, 1, n, b, err));
  QN_TRY(qn_arrays_put(&fit->model->arrays, "intercept", QN_FLOAT64, 1, &intercept, err));
  QN_TRY(qn_fit_step(fit,
                     &(qn_fit_report){.step = 1,
                                      .loss = loss,
                                      .gradient_norm = NAN,
                                      .n_rows = fit->rows->n_total,
                                      .flops = (double)fit->rows->n_local * (double)n * ((double)n + 1)},
                     err));
  QN_TRY(qn_fit_note(fit, "converged", 1, err));
  QN_TRY(qn_fit_note(fit, "rank", e.rank, err));
  QN_TRY(qn_fit_note(fit, "train_loss", loss, err));

done:
  qn_memory_free(b);
  qn_gram_release(&gram);
  return status;
}

static qn_status fit_by_descent(qn_fit_state *fit, qn_error *err) {
  const qn_linear_options *options = fit->options;
  const qn_linear_problem problem = {.loss = QN_LOSS_SQUARED,
                                     .has_intercept = !options->no_intercept,
                                     .l2 = 2 * options->l2 / fit->rows->total_weight,
                                     .n_outputs = 1};
  return qn_linear_fit(fit, &problem, options->max_iterations, options->tolerance, err);
}

static qn_status fit_linear(qn_fit_state *fit, qn_error *err) {
  const qn_linear_options *options = fit->options;
  const bool is_normal = options->solver == QN_SOLVER_NORMAL ||
                         (options->solver == QN_SOLVER_AUTO && fit->rows->n_columns <= MAX_NORMAL_COLUMNS);
  if (options->solver == QN_SOLVER_MINI_BATCH) {
    return qn_fail(err, QN_ERR_ARG, "linear: solver is 'mini_batch', which only logistic has; take lbfgs");
  }
  return is_normal ? fit_normal(fit, err) : fit_by_descent(fit, err);
}

static qn_status predict(const qn_model *model, const qn_row_block *block, double *outputs, qn_error *err) {
  return qn_linear_margins(model, 1, block, outputs, err);
}

const qn_estimator qn_estimator_linear = {
    .name = "linear",
    .summary = "linear regression by least squares, ridge with l2",
    .settings = settings,
    .options_size = sizeof(qn_linear_options),
    .needs_label = true,
    .takes_sparse = true,
    .task = task,
    .fit = fit_linear,
    .predict = predict,
};

qn_linear_options qn_linear_defaults(void) {
  qn_linear_options options;
  qn_settings_defaults(&qn_estimator_linear, &options);
  return options;
}

qn_model *qn_fit_linear(qn_dataset *data, const qn_training *how, const qn_linear_options *options) {
  return qn_fit_estimator(data, &qn_estimator_linear, how, options);
}
