// SPDX-License-Identifier: Apache-2.0
// The parts of a Gaussian mixture: densities of rows, and what a step of expectation maximisation sums.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>
#include "ml/model_state.h"
#include "ml/rows.h"

typedef struct qn_mixture {
  int64_t k;
  int n_columns;
  bool is_full;
  int64_t size;        // numbers of a covariance: n_columns, or their square
  double *weights;     // [k]
  double *means;       // [k, n_columns]
  double *covariances; // [k, size]
  double *factors;     // [k, size]: inverses of Cholesky's lower triangles; diagonal: 1/variance
  double *offsets;     // [k]: of the logarithm, what does not depend on the row
  double *origin;      // [n_columns], of diagonal: from where squares are taken
  int64_t max_rows;    // at once
  double *room;        // [2 * max_rows, n_columns]
  double *scaled;      // [2 * k, n_columns], of diagonal: 1/variance, mean/variance
} qn_mixture;

/// Local. Zeros, for up to max_rows rows at once.
qn_status qn_mixture_init(qn_mixture *mixture, int64_t k, int n_columns, bool is_full, int64_t max_rows,
                          const double *origin, qn_error *err);
void qn_mixture_release(qn_mixture *mixture);
/// Local. Factors and offsets from weights and covariances. Errors: QN_ERR_VALUE, a covariance that is not
/// positive definite.
qn_status qn_mixture_prepare(qn_mixture *mixture, qn_error *err);
/// Local. logs [n_rows, k]: logarithm of each component's weight times its density.
void qn_mixture_logs(qn_mixture *mixture, int64_t n_rows, const double *x, double *logs);
/// Local. In place: probabilities of the components. Returns the sum over rows of the logarithm of their
/// densities, each times its weight (NULL: 1).
double qn_mixture_normalise(int64_t n_rows, int64_t k, const double *w, double *logs);

/// Local. Logarithms of the densities of rows [n_rows] under a fitted model.
qn_status qn_mixture_log_densities(const qn_model *model, const qn_row_block *block, double *out,
                                   qn_error *err);

/// How many numbers a step sums: for each component weight, first and second moments; and the logarithms.
int64_t qn_mixture_sums(const qn_mixture *mixture);
/// Local. Adds rows with their probabilities [n_rows, k], which are overwritten.
void qn_mixture_add(qn_mixture *mixture, int64_t n_rows, const double *x, const double *w,
                    double *probabilities, double *sums);
/// Local. New weights, means and covariances.
void qn_mixture_update(qn_mixture *mixture, const double *sums, double regularisation);
