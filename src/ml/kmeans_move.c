// SPDX-License-Identifier: Apache-2.0
// A step of Lloyd's: one pass over the rows, each chunk multiplied with the centres and added to the sums of
// the nearest ones while it is in the cache.
#include <math.h>
#include "base/buffer.h"
#include "base/check.h"
#include "ml/column_moments.h"
#include "ml/doubles.h"
#include "ml/kmeans.h"

qn_status qn_kmeans_open(qn_comm *comm, const qn_rows *rows, bool is_exact, int64_t k, qn_kmeans_work *work,
                         qn_error *err) {
  qn_status status = QN_OK;
  const int n_columns = rows->n_columns;
  double *variance = NULL;

  *work = (qn_kmeans_work){.comm = comm, .rows = rows, .is_exact = is_exact, .k = k};
  QN_REQUIRE(k <= rows->n_total, err, QN_ERR_VALUE,
             "%lld clusters are wanted (k), but there are only %lld rows: choose a smaller k", (long long)k,
             (long long)rows->n_total);
  QN_TRY(qn_rows_room(rows, &work->room, err));
  QN_TRY(qn_doubles_new(1, n_columns, &work->mean, err));
  QN_TRY(qn_doubles_new(1, n_columns, &variance, err));
  QN_TRY(qn_column_moments(comm, rows, is_exact, work->room, work->mean, variance, err));
  for (int j = 0; j < n_columns; j++) {
    work->mean_variance += variance[j] / n_columns;
    work->total_distance += variance[j] * rows->total_weight;
  }
  QN_REQUIRE(isfinite(work->total_distance), err, QN_ERR_VALUE,
             "the rows are so large that their variance is not a finite number: scale the features");
  QN_TRY(qn_nearest_init(&work->nearest, n_columns, k, work->mean, err));
  QN_TRY(qn_lane_sum_new(comm, rows, is_exact, k * n_columns + k + 1, &work->sum, err));
  work->which = qn_memory_alloc(rows->block_rows * (int64_t)sizeof *work->which);
  QN_REQUIRE(work->which != NULL, err, QN_ERR_MEMORY, "no memory for the clusters of a block of rows");
  QN_TRY(qn_doubles_new(rows->block_rows, 1, &work->scores, err));
done:
  qn_memory_free(variance);
  return status;
}

void qn_kmeans_close(qn_kmeans_work *work) {
  qn_memory_free(work->room);
  qn_memory_free(work->mean);
  qn_memory_free(work->which);
  qn_memory_free(work->scores);
  qn_lane_sum_free(work->sum);
  qn_nearest_release(&work->nearest);
  *work = (qn_kmeans_work){0};
}

// Adds a chunk at a time: sums of the rows by centre, weights, and the weighted score.
static void add_block(qn_kmeans_work *work, const qn_row_block *block, double *sums) {
  const int n_columns = block->n_columns;
  double *weights = sums + work->k * n_columns;
  double *score = weights + work->k;
  const int64_t chunk = work->nearest.chunk;

  for (int64_t from = 0; from < block->n_rows; from += chunk) {
    const int64_t n = block->n_rows - from < chunk ? block->n_rows - from : chunk;
    const double *x = block->x + from * n_columns;
    const double *w = block->w == NULL ? NULL : block->w + from;
    qn_nearest_find(&work->nearest, n, x, work->which, work->scores);
    qn_nearest_add(n_columns, n, x, w, work->which, sums, weights);
    for (int64_t i = 0; i < n; i++) {
      *score += w == NULL ? work->scores[i] : w[i] * work->scores[i];
    }
  }
}

// Centres without rows take the farthest rows, each of which leaves its own centre.
static qn_status fill_empty(qn_kmeans_work *work, const double *centres, double *sums, double *weights,
                            int64_t n_empty, qn_error *err) {
  qn_status status = QN_OK;
  const int n_columns = work->rows->n_columns;
  const int64_t size = QN_FAR_HEAD + n_columns;
  double *far = NULL;
  int64_t n_found = 0;
  int64_t at = 0;

  QN_TRY(qn_doubles_new(n_empty, size, &far, err));
  QN_TRY(qn_kmeans_farthest(work, &work->nearest, centres, n_empty, far, &n_found, err));
  for (int64_t c = 0; c < work->k && at < n_found; c++) {
    if (weights[c] > 0) {
      continue;
    }
    const double *head = far + at++ * size;
    const double *row = head + QN_FAR_HEAD;
    const int64_t left = (int64_t)head[2];
    const double weight = head[3];
    const bool is_alone = weights[left] <= weight * (1 + 1e-9); // then its centre would have none
    for (int j = 0; j < n_columns; j++) {
      sums[c * n_columns + j] = weight * row[j];
      sums[left * n_columns + j] -= is_alone ? 0 : weight * row[j];
    }
    weights[left] -= is_alone ? 0 : weight;
    weights[c] = weight;
  }
done:
  qn_memory_free(far);
  return status;
}

static double move_centres(const qn_kmeans_work *work, const double *sums, const double *weights,
                           double *centres) {
  const int n_columns = work->rows->n_columns;
  double shift = 0;

  for (int64_t c = 0; c < work->k; c++) {
    for (int j = 0; j < n_columns && weights[c] > 0; j++) {
      double *centre = centres + c * n_columns + j;
      const double moved = sums[c * n_columns + j] / weights[c];
      shift += (moved - *centre) * (moved - *centre);
      *centre = moved;
    }
  }
  return shift;
}

qn_status qn_kmeans_move(qn_kmeans_work *work, double *centres, double *sizes, qn_kmeans_step *step,
                         qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = work->rows;
  const int64_t n_sums = work->k * rows->n_columns;
  const double *total = NULL;
  double *sums = NULL;
  int64_t n_empty = 0;

  QN_TRY(qn_doubles_new(n_sums + work->k, 1, &sums, err));
  qn_nearest_set(&work->nearest, work->k, centres);
  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    qn_row_block_densify(&block, work->room);
    add_block(work, &block, qn_lane_sum_at(work->sum, block.lane));
  }
  QN_TRY(qn_lane_sum_finish(work->sum, &total, err));
  step->inertia = fmax(0.0, work->total_distance + total[n_sums + work->k]);
  memcpy(sums, total, (size_t)(n_sums + work->k) * sizeof(double));
  memcpy(sizes, sums + n_sums, (size_t)work->k * sizeof(double));
  for (int64_t c = 0; c < work->k; c++) {
    n_empty += !(sizes[c] > 0);
  }
  if (n_empty > 0) {
    QN_TRY(fill_empty(work, centres, sums, sums + n_sums, n_empty, err));
  }
  step->shift = move_centres(work, sums, sums + n_sums, centres);
done:
  qn_memory_free(sums);
  return status;
}

qn_status qn_kmeans_inertia(qn_kmeans_work *work, const double *centres, double *sizes, double *inertia,
                            qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = work->rows;
  const double *total = NULL;

  qn_nearest_set(&work->nearest, work->k, centres);
  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    qn_row_block_densify(&block, work->room);
    qn_nearest_find(&work->nearest, block.n_rows, block.x, work->which, NULL);
    double *sums = qn_lane_sum_at(work->sum, block.lane);
    for (int64_t r = 0; r < block.n_rows; r++) {
      const int64_t c = work->which[r];
      const double weight = block.w == NULL ? 1.0 : block.w[r];
      sums[c] += weight;
      sums[work->k] += weight * qn_squared_distance(block.x + r * block.n_columns,
                                                    centres + c * block.n_columns, block.n_columns);
    }
  }
  QN_TRY(qn_lane_sum_finish(work->sum, &total, err));
  memcpy(sizes, total, (size_t)work->k * sizeof(double));
  *inertia = total[work->k];
done:
  return status;
}
