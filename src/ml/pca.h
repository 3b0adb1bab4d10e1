// SPDX-License-Identifier: Apache-2.0
// The parts of pca and svd: total squares of rows around a mean, and their largest eigenvectors.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "ml/fit.h"

typedef struct qn_spectrum {
  int64_t k;
  double *values;  // [k] eigenvalues of the total of squares, descending, >= 0
  double *vectors; // [k, n_columns], each of length 1
  double *mean;    // [n_columns]; of svd it is not subtracted
  double squares;  // weighted sum of squares of all numbers, less their mean with is_centred
} qn_spectrum;

/// Collective. By the Gram matrix of all columns. Of dense rows it finds the mean too, with is_centred.
qn_status qn_spectrum_exact(qn_fit_state *fit, bool is_centred, double *room, qn_spectrum *out,
                            qn_error *err);
/// Collective. By subspace iteration from a random start.
qn_status qn_spectrum_randomised(qn_fit_state *fit, bool is_centred, double *room, qn_spectrum *out,
                                 qn_error *err);
/// Local. Rows as [n_rows, n_columns] in `room`: dense, less the mean if is_centred, times the root of their
/// weights. Returns the block's own where nothing is to be done; `room` has block_rows * n_columns.
const double *qn_block_scaled(const qn_row_block *block, const double *mean, bool is_centred, double *room);
