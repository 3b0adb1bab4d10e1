// SPDX-License-Identifier: Apache-2.0
// Implicit factors of a row by a few steps of conjugate gradients from what they are (Takacs, Pilaszy and
// Tikk, 2011), instead of the solution: no matrix is made, a step takes products of the row's ratings and of
// the Gram matrix with one vector. Everything is float32 but for the sums of long rows.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>
#include "ml/als_kernels.h"

typedef struct qn_als_descent {
  const qn_als_kernels *kernels;
  int64_t k, width; // width: k, made whole
  int64_t n_steps;
  float alpha;
  float *gram;          // [width, width] of the other side
  int64_t piece;        // ratings whose factors are gathered at a time,
  float *rows;          // [piece, width] which lie here,
  float *targets;       // [piece] with 1 + alpha r
  float *weights;       // [piece] and alpha r
  float *x, *r, *p, *q; // [width] factors, residual, direction, the matrix times it
  float *coefficients;  // [width]
  double *sums;         // [width]
} qn_als_descent;
/// Local. alpha and n_steps > 0 as in qn_als_options.
qn_status qn_als_descent_init(qn_als_descent *descent, int64_t k, double alpha, int64_t n_steps,
                              qn_error *err);
void qn_als_descent_release(qn_als_descent *descent);
/// Takes the upper triangle of a matrix [k, k].
void qn_als_descent_set_gram(qn_als_descent *descent, const double *gram);

/// What a row is solved from.
typedef struct qn_als_row {
  const float *factors;  // [.., k] of the other side
  const int32_t *others; // [n] which of them
  const float *ratings;  // [n]
  int64_t n;
  float penalty;
} qn_als_row;
/// factors [k]: from what they are to better ones. Returns what the sum of all errors of the row, and the
/// penalty, then are; not finite if float32 could not hold them.
double qn_als_descend(qn_als_descent *descent, const qn_als_row *row, float *factors);
