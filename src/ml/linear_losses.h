// SPDX-License-Identifier: Apache-2.0
// What linear models compute for each row, on small runs of rows that lie in the cache: losses with their
// derivatives, and the products of dense rows with one vector.
#pragma once
#include <stdint.h>

typedef enum { QN_LOSS_SQUARED, QN_LOSS_LOGISTIC, QN_LOSS_SOFTMAX, QN_LOSS_SQUARED_HINGE } qn_linear_loss;

/// margins [n_rows, n_outputs] become derivatives of the loss by them, times the weight. Returns the sum of
/// weight times loss. y: the number, or the class. logistic: 1 output; squared_hinge: 1 (two classes), or one
/// for each.
double qn_linear_loss_rows(qn_linear_loss loss, int64_t n_rows, int n_outputs, const double *y,
                           const double *w, double *margins);

/// margins [n_rows] = x [n_rows, n_columns] b + intercept.
void qn_rows_times_vector(const double *x, int64_t n_rows, int64_t n_columns, const double *b,
                          double intercept, double *margins);
/// gradient [n_columns] += x^T residuals.
void qn_rows_add_transposed(const double *x, int64_t n_rows, int64_t n_columns, const double *residuals,
                            double *gradient);

/// In place. values [n] <= 0 to e^value, within 2 ulp; below -708 about 0.
void qn_exp_all(double *values, int64_t n);
/// In place, each row of [n_rows, n_outputs]: logarithms of probabilities, but for a constant, to
/// probabilities.
void qn_softmax_rows(double *values, int64_t n_rows, int n_outputs);
/// Probability of the second class.
double qn_sigmoid(double margin);
