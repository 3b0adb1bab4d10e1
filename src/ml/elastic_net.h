// SPDX-License-Identifier: Apache-2.0
// What the two ways to an elastic net share: coordinate descent on products of columns that are in memory,
// and the duality gap that ends both.
#pragma once
#include "ml/fit.h"

/// Sums at a point b, per weight: what objective and gap are made of.
typedef struct qn_net_point {
  double residual;     // mean square of y - x b
  double label_square; // the same at b = 0
  double b_label;      // b times the mean of x y
  double one_norm, square_norm;
  double steepest; // largest |mean of x (y - x b) - l2 b|
} qn_net_point;

/// Local. The objective, and its distance to the dual problem's value at the scaled residual, which bounds
/// how far it is from the least: as scikit-learn has it.
double qn_net_gap(const qn_net_point *point, double l1, double l2, double *objective);

typedef struct qn_net_descent {
  int n;
  const double *matrix;   // [n, n]: means of products of columns
  const double *variance; // [n]: its diagonal; columns of 0 stay out
  const double *label;    // [n]: means of products with the label
  double label_square, l1, l2;
  double *b, *product; // [n]; product = matrix b
  double objective, gap;
} qn_net_descent;

/// Local. Each coefficient in turn to where the objective is least.
void qn_net_sweep(qn_net_descent *descent);
/// Local. Sets objective and gap.
void qn_net_measure(qn_net_descent *descent);

/// Collective. How many columns, `most` or fewer, can have all their products in memory. In exact mode it is
/// `most`: memory is not the same on all numbers of ranks.
qn_status qn_net_room(qn_fit_state *fit, int most, int *out, qn_error *err);

/// Collective. A whole fit without the products of all pairs of columns.
qn_status qn_net_fit_by_rows(qn_fit_state *fit, qn_error *err);
