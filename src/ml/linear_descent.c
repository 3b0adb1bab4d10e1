// SPDX-License-Identifier: Apache-2.0
// How the descent of linear models begins and goes on. At b = 0 with the intercepts at the classes'
// log-odds the Hessian of the logistic loss is p (1 - p) times the columns' covariance (Boehning, 1992, has
// the bound for all b), so its Cholesky factor makes a preconditioner that no scale or correlation of the
// columns can harm; with several outputs and l2 its eigenvectors do, which are the same for all outputs.
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "ml/lbfgs.h"
#include "ml/linear_objective.h"

// Eigenvectors take some thirty times as long as a factor.
enum { MAX_PAIRED_COLUMNS = 2000, MAX_TURNED_COLUMNS = 1000, RUN_VALUES = 1 << 15 };

void qn_linear_objective_release(qn_linear_objective *o) {
  qn_gram_release(&o->gram);
  qn_lane_sum_free(o->sum);
  qn_few_outputs_release(&o->few);
  qn_memory_free(o->curvature);
  qn_memory_free(o->factor);
  qn_memory_free(o->directions);
  qn_memory_free(o->variances);
  qn_memory_free(o->turned);
  qn_memory_free(o->margins);
  qn_memory_free(o->dense);
  qn_memory_free(o->intercept);
  qn_memory_free(o->room);
  *o = (qn_linear_objective){0};
}

// Weight of each class, as a share of all.
static qn_status weigh_classes(const qn_linear_objective *o, int n_classes, double *shares, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = o->fit->rows;
  qn_lane_sum *sum = NULL;
  const double *total = NULL;

  QN_TRY(qn_lane_sum_new(o->fit->comm, rows, o->fit->how->exact, n_classes, &sum, err));
  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    double *sums = qn_lane_sum_at(sum, block.lane);
    for (int64_t row = 0; row < block.n_rows; row++) {
      sums[(int)block.y[row]] += block.w ? block.w[row] : 1;
    }
  }
  QN_TRY(qn_lane_sum_finish(sum, &total, err));
  for (int k = 0; k < n_classes; k++) {
    shares[k] = total[k] / rows->total_weight;
  }

done:
  qn_lane_sum_free(sum);
  return status;
}

// Intercepts to begin with, and the curvature there. shares: of the classes.
static void begin_at(qn_linear_objective *o, const double *shares, double *start) {
  double *intercepts = start + (int64_t)o->n_columns * o->n_outputs;
  const double floor = 1e-6; // a class may have no weight

  for (int k = 0; k < o->n_outputs; k++) {
    const double share = shares ? fmin(fmax(shares[o->n_outputs == 1 ? 1 : k], floor), 1 - floor) : 0;
    double intercept = 0;
    if (o->loss == QN_LOSS_LOGISTIC) {
      intercept = log(share / (1 - share));
    } else if (o->loss == QN_LOSS_SOFTMAX) {
      intercept = log(share);
    } else if (o->loss == QN_LOSS_SQUARED) {
      intercept = o->gram.label_mean;
    } else {
      intercept = 2 * share - 1;
    }
    if (o->loss == QN_LOSS_LOGISTIC) {
      o->curvature[k] = o->has_intercept ? share * (1 - share) : 0.25;
    } else if (o->loss == QN_LOSS_SOFTMAX) {
      o->curvature[k] = o->has_intercept ? share : 1.0 / o->n_outputs;
    } else {
      o->curvature[k] = 2;
    }
    if (o->has_intercept) {
      intercepts[k] = intercept;
    }
  }
}

// The factor of curvature * covariance + l2, the diagonal a trifle larger so that it exists.
static void factorise(const qn_linear_objective *o, double curvature, double *factor) {
  const int n = o->n_columns;
  double trifle = 1e-10;

  for (int trial = 0; trial < 5; trial++) {
    for (int64_t i = 0; i < (int64_t)n * n; i++) {
      factor[i] = curvature * o->gram.matrix[i];
    }
    for (int j = 0; j < n; j++) {
      double *diagonal = factor + (int64_t)j * n + j;
      *diagonal = *diagonal * (1 + trifle) + o->l2;
      *diagonal = *diagonal > 0 ? *diagonal : 1;
    }
    if (LAPACKE_dpotrf(LAPACK_ROW_MAJOR, 'L', n, factor, n) == 0) {
      return;
    }
    trifle *= 100;
  }
  memset(factor, 0, (size_t)n * (size_t)n * 8); // hopeless: no preconditioner
  for (int j = 0; j < n; j++) {
    factor[(int64_t)j * n + j] = 1;
  }
}

// The factor for one output, or for all where they differ by a number only; with l2 these differ by more.
static qn_status make_factor(qn_linear_objective *o, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = o->n_columns;

  o->factor = qn_memory_alloc(8 * n * n);
  QN_REQUIRE(o->factor, err, QN_ERR_MEMORY, "out of memory for the products of %lld columns", (long long)n);
  factorise(o, o->n_outputs > 1 ? 1 : o->curvature[0], o->factor);
  qn_memory_free(o->gram.matrix);
  o->gram.matrix = NULL;

done:
  return status;
}

// Directions in which the covariance is diagonal: in these, one division solves the system of every output,
// and turning all outputs at once is a product of matrices.
static qn_status find_directions(qn_linear_objective *o, qn_error *err) {
  qn_status status = QN_OK;
  const int n = o->n_columns;

  o->variances = qn_memory_alloc(8 * n);
  o->turned = qn_memory_alloc(8 * (int64_t)n * o->n_outputs);
  QN_REQUIRE(o->variances && o->turned, err, QN_ERR_MEMORY, "out of memory for the directions of %d columns",
             n);
  const int failed = (int)LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', n, o->gram.matrix, n, o->variances);
  QN_REQUIRE(
      failed == 0, err, QN_ERR_VALUE,
      "no eigenvectors of the columns' covariance are found: some numbers are too large; bring the columns "
      "to a common scale, as with standardise()");
  for (int j = 0; j < n; j++) {
    o->variances[j] = fmax(o->variances[j], 0); // of columns that depend on each other: a rounding error
  }
  o->directions = o->gram.matrix;
  o->gram.matrix = NULL;

done:
  return status;
}

// Takes the mean over the outputs off: adding the same to all of them changes no softmax.
static void centre_outputs(const qn_linear_objective *o, double *vector) {
  for (int64_t i = 0; i < o->n; i += o->n_outputs) {
    double mean = 0;
    for (int k = 0; k < o->n_outputs; k++) {
      mean += vector[i + k];
    }
    mean /= o->n_outputs;
    for (int k = 0; k < o->n_outputs; k++) {
      vector[i + k] -= mean;
    }
  }
}

// Of the coefficients of all outputs, vector [n_columns, n_outputs].
static void precondition_by_factor(const qn_linear_objective *o, double *vector) {
  const int n = o->n_columns;
  const int n_outputs = o->n_outputs;

  cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, n, n_outputs, 1, o->factor, n,
              vector, n_outputs);
  cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, n, n_outputs, 1, o->factor, n,
              vector, n_outputs);
  for (int k = 0; k < n_outputs && n_outputs > 1; k++) {
    cblas_dscal(n, 1 / o->curvature[k], vector + k, n_outputs);
  }
}

static void precondition_by_directions(const qn_linear_objective *o, double *vector) {
  const int n = o->n_columns;
  const int n_outputs = o->n_outputs;

  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n_outputs, n, 1, o->directions, n, vector,
              n_outputs, 0, o->turned, n_outputs);
  for (int j = 0; j < n; j++) {
    for (int k = 0; k < n_outputs; k++) {
      o->turned[(int64_t)j * n_outputs + k] /= o->curvature[k] * o->variances[j] + o->l2;
    }
  }
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, n_outputs, n, 1, o->directions, n, o->turned,
              n_outputs, 0, vector, n_outputs);
}

static void precondition_by_variances(const qn_linear_objective *o, double *vector) {
  for (int j = 0; j < o->n_columns; j++) {
    for (int k = 0; k < o->n_outputs; k++) {
      const double curvature = o->curvature[k] * o->gram.variance[j] + o->l2;
      vector[(int64_t)j * o->n_outputs + k] /= curvature > 0 ? curvature : 1;
    }
  }
}

// Of softmax the Hessian is (diag(p) - p p^T) times the covariance; its inverse, where the outputs' sum is 0,
// is that of diag(p) times the covariance between two projections.
void qn_linear_precondition(void *objective, double *vector) {
  const qn_linear_objective *o = objective;

  if (o->loss == QN_LOSS_SOFTMAX) {
    centre_outputs(o, vector);
  }
  if (o->factor != NULL) {
    precondition_by_factor(o, vector);
  } else if (o->directions != NULL) {
    precondition_by_directions(o, vector);
  } else {
    precondition_by_variances(o, vector);
  }
  for (int k = 0; k < o->n_outputs && o->has_intercept; k++) {
    vector[(int64_t)o->n_columns * o->n_outputs + k] /= o->curvature[k];
  }
  if (o->loss == QN_LOSS_SOFTMAX) {
    centre_outputs(o, vector);
  }
}

static qn_status make_room(qn_linear_objective *o, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = o->fit->rows;

  o->run_rows = RUN_VALUES / (rows->n_columns > 0 ? rows->n_columns : 1) / 4 * 4;
  o->run_rows = o->run_rows < 16 ? 16 : o->run_rows;
  o->run_rows = o->run_rows > rows->block_rows ? rows->block_rows : o->run_rows;
  o->margins = qn_memory_alloc(8 * o->run_rows * o->n_outputs);
  o->dense = rows->is_float32 ? qn_memory_alloc(8 * o->run_rows * o->n_columns) : NULL;
  o->intercept = qn_memory_alloc(8 * o->n_outputs);
  o->curvature = qn_memory_alloc(8 * o->n_outputs);
  QN_REQUIRE(o->margins && o->intercept && o->curvature && (o->dense || !rows->is_float32), err,
             QN_ERR_MEMORY, "out of memory for %d outputs of %d columns", o->n_outputs, o->n_columns);
  if (!rows->is_sparse && qn_few_outputs_pays(o->n_columns, o->n_outputs)) {
    QN_TRY(qn_few_outputs_new(o->n_columns, o->n_outputs, &o->few, err));
  }
  QN_TRY(qn_lane_sum_new(o->fit->comm, rows, o->fit->how->exact,
                         (int64_t)(o->n_columns + 1) * o->n_outputs + 1, &o->sum, err));
  const int64_t n_values =
      rows->is_sparse ? rows->starts[rows->n_local] - rows->starts[0] : rows->n_local * rows->n_columns;
  o->flops = 4.0 * (double)n_values * o->n_outputs;

done:
  return status;
}

qn_status qn_linear_objective_new(qn_fit_state *fit, const qn_linear_problem *problem,
                                  qn_linear_objective *out, double **start, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = fit->rows->n_columns;
  double *x = NULL;
  double *shares = NULL;

  *out = (qn_linear_objective){.fit = fit,
                               .loss = problem->loss,
                               .has_intercept = problem->has_intercept,
                               .l2 = problem->l2,
                               .n_outputs = problem->n_outputs,
                               .n_columns = (int)n,
                               .n = (n + problem->has_intercept) * problem->n_outputs};
  QN_TRY(make_room(out, err));
  const bool is_turned = problem->n_outputs > 1 && problem->l2 > 0;
  const bool with_pairs =
      n <= (is_turned ? MAX_TURNED_COLUMNS : MAX_PAIRED_COLUMNS) && !problem->by_variances;
  QN_TRY(qn_gram_compute(fit, problem->has_intercept, with_pairs, &out->gram, err));
  x = qn_memory_alloc(8 * out->n);
  QN_REQUIRE(x, err, QN_ERR_MEMORY, "out of memory for %lld coefficients", (long long)out->n);
  memset(x, 0, (size_t)out->n * 8);
  if (fit->n_classes > 0) {
    shares = qn_memory_alloc(8 * fit->n_classes);
    QN_REQUIRE(shares, err, QN_ERR_MEMORY, "out of memory for %d classes", fit->n_classes);
    QN_TRY(weigh_classes(out, fit->n_classes, shares, err));
  }
  begin_at(out, shares, x);
  if (with_pairs) {
    QN_TRY(is_turned ? find_directions(out, err) : make_factor(out, err));
  }
  *start = x;

done:
  qn_memory_free(shares);
  if (status) {
    qn_memory_free(x);
    qn_linear_objective_release(out);
  }
  return status;
}

static qn_status begin_or_resume(qn_linear_objective *o, const qn_lbfgs_problem *problem, const double *x,
                                 qn_lbfgs *solver, int64_t *step, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays state = {0};

  QN_TRY(qn_fit_resume(o->fit, step, &state, err));
  if (*step > 0) {
    QN_TRY(qn_lbfgs_load(solver, problem, &state, err));
    goto done;
  }
  QN_TRY(qn_lbfgs_start(solver, problem, x, err));
  QN_REQUIRE(
      isfinite(solver->value) && isfinite(solver->gradient_norm), err, QN_ERR_VALUE,
      "the loss is %g before the first step: some numbers are too large; bring the columns to a common "
      "scale, as with standardise()",
      solver->value);

done:
  qn_arrays_release(&state);
  return status;
}

static qn_status report(qn_linear_objective *o, const qn_lbfgs *solver, int64_t step, int *n_reported,
                        qn_error *err) {
  const int n_new = (int)solver->n_evaluations - *n_reported;
  *n_reported = (int)solver->n_evaluations;
  return qn_fit_step(o->fit,
                     &(qn_fit_report){.step = step,
                                      .loss = solver->value,
                                      .gradient_norm = solver->gradient_norm,
                                      .n_rows = n_new * o->fit->rows->n_total,
                                      .flops = n_new * o->flops},
                     err);
}

static qn_status keep_state(qn_linear_objective *o, const qn_lbfgs *solver, int64_t step, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays state = {0};

  QN_TRY(qn_lbfgs_save(solver, &state, err));
  QN_TRY(qn_fit_checkpoint(o->fit, step, &state, err));

done:
  qn_arrays_release(&state);
  return status;
}

qn_status qn_linear_descend(qn_linear_objective *o, int64_t max_iterations, double tolerance, const double *x,
                            qn_error *err) {
  qn_status status = QN_OK;
  const qn_lbfgs_problem problem = {.n = o->n,
                                    .tolerance = tolerance,
                                    .context = o,
                                    .evaluate = qn_linear_evaluate,
                                    .precondition = qn_linear_precondition};
  qn_lbfgs solver = {0};
  int64_t step = 0;
  int n_reported = 0;

  QN_TRY(begin_or_resume(o, &problem, x, &solver, &step, err));
  n_reported = step > 0 ? (int)solver.n_evaluations : 0;
  qn_lbfgs_end end = qn_lbfgs_state(&solver);
  while (end == QN_LBFGS_GOES_ON && step < max_iterations) {
    QN_TRY(qn_lbfgs_step(&solver, &end, err));
    step++;
    QN_TRY(report(o, &solver, step, &n_reported, err));
    if (end == QN_LBFGS_GOES_ON && qn_fit_wants_checkpoint(o->fit, step)) {
      QN_TRY(keep_state(o, &solver, step, err));
    }
  }
  QN_TRY(qn_linear_put(o, solver.x, err));
  QN_TRY(qn_fit_note(o->fit, "iterations", (double)step, err));
  QN_TRY(qn_fit_note(o->fit, "evaluations", (double)solver.n_evaluations, err));
  QN_TRY(qn_fit_note(o->fit, "converged", end == QN_LBFGS_CONVERGED, err));
  QN_TRY(qn_fit_note(o->fit, "train_loss", solver.value, err));

done:
  qn_lbfgs_release(&solver);
  return status;
}

qn_status qn_linear_fit(qn_fit_state *fit, const qn_linear_problem *problem, int64_t max_iterations,
                        double tolerance, qn_error *err) {
  qn_status status = QN_OK;
  qn_linear_objective objective = {0};
  double *start = NULL;

  QN_TRY(qn_linear_objective_new(fit, problem, &objective, &start, err));
  QN_TRY(qn_linear_descend(&objective, max_iterations, tolerance, start, err));

done:
  qn_memory_free(start);
  qn_linear_objective_release(&objective);
  return status;
}
