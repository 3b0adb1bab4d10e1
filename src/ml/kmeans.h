// SPDX-License-Identifier: Apache-2.0
// The parts of k-means, which a mixture starts from too: seeds, and a step of Lloyd's. All of it is the same
// on every rank, and does not depend on their number.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "comm/comm.h"
#include "ml/lane_sum.h"
#include "ml/nearest_centre.h"
#include "ml/rows.h"

typedef struct qn_kmeans_work {
  qn_comm *comm;
  const qn_rows *rows;
  bool is_exact;
  int64_t k;
  double *room;          // of qn_row_block_densify()
  double *mean;          // [n_columns]
  double mean_variance;  // of the columns
  double total_distance; // weighted squared distances of all rows from their mean
  qn_lane_sum *sum;      // [k * n_columns + k + 1]
  qn_nearest nearest;
  int32_t *which; // [block_rows]
  double *scores; // [block_rows]
} qn_kmeans_work;

/// Collective, inside a run. Errors: QN_ERR_VALUE, k is larger than the number of rows.
qn_status qn_kmeans_open(qn_comm *comm, const qn_rows *rows, bool is_exact, int64_t k, qn_kmeans_work *work,
                         qn_error *err);
void qn_kmeans_close(qn_kmeans_work *work);
/// Collective. centres [k, n_columns] by k-means||. Errors: QN_ERR_VALUE, fewer than k different rows.
qn_status qn_kmeans_seed(qn_kmeans_work *work, uint64_t seed, double *centres, qn_error *err);

typedef struct qn_kmeans_step {
  double inertia; // of the centres before the step
  double shift;   // squared, of all centres
} qn_kmeans_step;
/// Collective. Moves each centre to the mean of its rows; one that has none to the row farthest from its own,
/// and so on. sizes [k]: weights of the rows of each.
qn_status qn_kmeans_move(qn_kmeans_work *work, double *centres, double *sizes, qn_kmeans_step *step,
                         qn_error *err);
/// Collective. The inertia, each distance taken directly; sizes [k].
qn_status qn_kmeans_inertia(qn_kmeans_work *work, const double *centres, double *sizes, double *inertia,
                            qn_error *err);

/// Far rows: squared distance, number of the row, number of its centre, weight; then the row itself.
enum { QN_FAR_HEAD = 4 };
/// Collective. out [n, QN_FAR_HEAD + n_columns]: the rows farthest from their nearest centre of those set in
/// `nearest`, farthest first, rows before later ones. *n_found <= n: those with a distance and a weight > 0.
qn_status qn_kmeans_farthest(qn_kmeans_work *work, qn_nearest *nearest, const double *centres, int64_t n,
                             double *out, int64_t *n_found, qn_error *err);
