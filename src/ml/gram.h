// SPDX-License-Identifier: Apache-2.0
// Means, variances and, if wished, all products of pairs of columns, in one pass over the rows. Dense columns
// are first taken less a guess of their mean (from a few rows of every block), so that a column such as a
// year or a time stamp loses no digits.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "ml/fit.h"

typedef struct qn_gram {
  int n_columns;
  double weight;       // of the rows that were taken
  double *mean;        // [n_columns], 0 if not centred
  double *variance;    // [n_columns] weighted mean of (x - mean)^2; exactly 0 for constant columns if centred
  double *matrix;      // [n_columns, n_columns] mean of (x_i - mean_i)(x_j - mean_j); NULL without pairs
  double *label;       // [n_columns] mean of (x - mean)(y - label_mean); NULL without pairs
  double label_mean;   // 0 if not centred
  double label_square; // mean of (y - label_mean)^2
} qn_gram;

/// Collective. Errors: QN_ERR_MEMORY, QN_ERR_VALUE if no row has weight.
qn_status qn_gram_compute(qn_fit_state *fit, bool is_centred, bool with_pairs, qn_gram *out, qn_error *err);
void qn_gram_release(qn_gram *gram);

/// Collective. matrix [n, n]: means of products of the columns [n], which ascend, each less its mean in
/// `moments`. In memory there are three times as many values at most (many more in exact mode).
qn_status qn_gram_of_some(qn_fit_state *fit, const qn_gram *moments, const int *columns, int n,
                          double *matrix, qn_error *err);

/// Collective. Weighted means of the columns over the first rows of every block: near enough to take them off
/// before squares are summed. means [n_columns + 1], the last of the label (0 without one).
qn_status qn_guess_means(qn_fit_state *fit, double *means, qn_error *err);
