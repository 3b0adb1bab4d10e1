// SPDX-License-Identifier: Apache-2.0
// Linear models by descent: the mean loss of margins x b + intercept over all rows, plus l2/2 |b|^2, with its
// gradient in one pass over the rows, and what makes descent short whatever the columns' scales: parameters
// are [b, intercept at the columns' means], and the solver is preconditioned with the curvature that the
// columns' covariance gives at the start (all columns if they are few, else their variances).
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "ml/few_outputs.h"
#include "ml/fit.h"
#include "ml/gram.h"
#include "ml/lane_sum.h"
#include "ml/linear_losses.h"

typedef struct qn_linear_objective {
  qn_fit_state *fit;
  qn_linear_loss loss;
  bool has_intercept;
  double l2;
  int n_outputs, n_columns;
  int64_t n;         // parameters: b [n_columns, n_outputs], then the intercepts [n_outputs]
  qn_gram gram;      // mean and variance; the matrix is gone when that is made
  double *curvature; // [n_outputs]: second derivative of the mean loss at the start
  // What preconditions: a Cholesky factor, eigenvectors, or neither: variances of the columns.
  double *factor;     // [n_columns, n_columns]
  double *directions; // [n_columns, n_columns], an eigenvector a row
  double *variances;  // [n_columns] along the directions
  double *turned;     // [n_columns, n_outputs]
  qn_lane_sum *sum;
  double *margins, *dense, *intercept, *room;
  qn_few_outputs few; // where that pays, instead of products by BLAS
  int64_t run_rows;   // rows that are gone through while they are in the cache
  int64_t n_evaluations;
  double flops; // of one evaluation, on this rank
} qn_linear_objective;

typedef struct qn_linear_problem {
  qn_linear_loss loss;
  bool has_intercept;
  double l2;
  int n_outputs;
  bool by_variances; // no products of columns, though they be few
} qn_linear_problem;

/// Collective. One pass over the rows (or part of them), and for classes the weight of each. `start` [n]
/// gets the parameters to begin with.
qn_status qn_linear_objective_new(qn_fit_state *fit, const qn_linear_problem *problem,
                                  qn_linear_objective *out, double **start, qn_error *err);
void qn_linear_objective_release(qn_linear_objective *objective);
/// Collective. For qn_lbfgs_problem.
qn_status qn_linear_evaluate(void *objective, const double *x, double *value, double *gradient,
                             qn_error *err);
/// Local. The inverse of the curvature at the start times a vector, for qn_lbfgs_problem.
void qn_linear_precondition(void *objective, double *vector);

/// Collective. Descends from `x` [n] to the minimum, with reports, checkpoints and resuming, and puts
/// "coefficients" and "intercept" into the model.
qn_status qn_linear_descend(qn_linear_objective *objective, int64_t max_iterations, double tolerance,
                            const double *x, qn_error *err);

/// Collective. Both of it: a whole fit by descent.
qn_status qn_linear_fit(qn_fit_state *fit, const qn_linear_problem *problem, int64_t max_iterations,
                        double tolerance, qn_error *err);

/// Local. Puts the parameters into the model as "coefficients" [n_outputs, n_columns], "intercept".
qn_status qn_linear_put(const qn_linear_objective *objective, const double *x, qn_error *err);
/// Local. margins [n_rows, n_outputs] of a model that has these arrays.
qn_status qn_linear_margins(const qn_model *model, int n_outputs, const qn_row_block *block, double *margins,
                            qn_error *err);
/// Local. Adds the block's margins, which are filled in first, from b [n_columns, n_outputs].
void qn_linear_block_margins(const qn_row_block *block, int n_outputs, const double *b,
                             const double *intercept, double *margins);
/// Local. gradient [n_columns, n_outputs] += block^T derivatives [n_rows, n_outputs].
void qn_linear_block_gradient(const qn_row_block *block, int n_outputs, const double *derivatives,
                              double *gradient);
