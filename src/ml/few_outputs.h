// SPDX-License-Identifier: Apache-2.0
// Many rows times few columns and back, as linear models of several outputs need it: OpenBLAS is at a fifth
// of its speed in such shapes. Some rows at a time go through weights, losses and gradient while the
// first-level cache has them, and those that come next are fetched meanwhile.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>
#include "ml/linear_losses.h"
#include "ml/rows.h"

enum { QN_FEW_RUN_ROWS = 64 }; // at most so many rows are gone through at once

typedef struct qn_few_outputs {
  int n_columns, n_outputs;
  int64_t stride;        // numbers of a row of the gradient: of the columns, and zeros to whole vectors
  int64_t run_rows;      // rows that are gone through at once
  double *room;          // [run_rows, n_columns]: rows that are float32, or not a multiple of 8
  double *y, *w;         // [run_rows]; w is 0 behind the last row
  double *weights;       // of each pair of outputs, by 4 columns: those of the one, those of the other
  double *intercepts;    // [n_outputs], to an even number
  double *gradient;      // [n_outputs, stride]
  double *of_intercepts; // [n_outputs, 8]: their gradient, in 8 parts
  double *margins;       // [n_outputs, QN_FEW_RUN_ROWS], to an even number; then derivatives by them
} qn_few_outputs;

/// Numbers of the weights of two outputs.
static inline int64_t qn_few_outputs_pair_size(int64_t n_columns) {
  return (n_columns + 3) / 4 * 8;
}

/// Whether this processor and these sizes are such that it is faster than products by BLAS.
bool qn_few_outputs_pays(int n_columns, int n_outputs);

/// Local. Room for it; the shape must pay.
qn_status qn_few_outputs_new(int n_columns, int n_outputs, qn_few_outputs *out, qn_error *err);
void qn_few_outputs_release(qn_few_outputs *few);
/// Local. Takes b [n_columns, n_outputs] and the intercepts [n_outputs].
void qn_few_outputs_set(qn_few_outputs *few, const double *b, const double *intercept);
/// Local. Adds what dense rows give to sums: the gradient [n_columns, n_outputs], that of the intercepts
/// [n_outputs], and the loss (1 number). softmax or squared_hinge. What is added depends on the rows and
/// their order alone.
void qn_few_outputs_add(qn_few_outputs *few, qn_linear_loss loss, const qn_row_block *block, double *sums);
