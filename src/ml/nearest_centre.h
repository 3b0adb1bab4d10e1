// SPDX-License-Identifier: Apache-2.0
// The nearest of k centres for many rows: squared distances by GEMM, |x|^2 - 2 x c + |c|^2, the smallest
// picked while the products are in the cache. Everything is taken from a common origin (such as the mean of
// the columns), so that a large mean costs no digits.
#pragma once
#include <stdint.h>
#include <quern/status.h>

typedef struct qn_nearest {
  int n_columns, k;
  int group, stride; // centres that are multiplied at once, and the same rounded up
  int chunk;         // rows multiplied at once
  double *origin;    // [n_columns]
  double *centres;   // from the origin: [n_columns, group] for each group, the last one narrower
  double *norms;     // [max_k + 8]: what a product lacks
  double *products;  // [chunk, stride]
  double *lows;      // [chunk]
} qn_nearest;

/// Local. For up to max_k centres.
qn_status qn_nearest_init(qn_nearest *nearest, int n_columns, int64_t max_k, const double *origin,
                          qn_error *err);
void qn_nearest_release(qn_nearest *nearest);
/// centres [k, n_columns].
void qn_nearest_set(qn_nearest *nearest, int64_t k, const double *centres);
/// which [n_rows]: number of the nearest centre, the lowest one if several are; scores [n_rows] (may be
/// NULL): its squared distance less the row's own from the origin.
void qn_nearest_find(qn_nearest *nearest, int64_t n_rows, const double *x, int32_t *which, double *scores);
/// sums [k, n_columns] += weight * row in the row of each one's centre, weights [k] += weight. w may be NULL.
void qn_nearest_add(int n_columns, int64_t n_rows, const double *x, const double *w, const int32_t *which,
                    double *sums, double *weights);
/// Squared distance, taken directly: 0 just where a and b are equal.
double qn_squared_distance(const double *a, const double *b, int n);
