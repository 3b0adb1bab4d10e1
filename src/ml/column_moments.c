// SPDX-License-Identifier: Apache-2.0
// Two passes, since the difference of sums of squares has no correct digits where the mean is large.
#include "ml/column_moments.h"
#include "base/check.h"
#include "ml/doubles.h"
#include "ml/lane_sum.h"

qn_status qn_rows_room(const qn_rows *rows, double **room, qn_error *err) {
  *room = NULL;
  if (!rows->is_sparse && !rows->is_float32) {
    return QN_OK;
  }
  return qn_doubles_new(rows->block_rows, rows->n_columns, room, err);
}

static void add_rows(const qn_row_block *block, double *sums) {
  const int n_columns = block->n_columns;

  for (int64_t i = 0; i < block->n_rows; i++) {
    const double *row = block->x + i * n_columns;
    const double weight = block->w == NULL ? 1.0 : block->w[i];
    for (int j = 0; j < n_columns; j++) {
      sums[j] += weight * row[j];
    }
  }
}

static void add_squares(const qn_row_block *block, const double *mean, double *sums) {
  const int n_columns = block->n_columns;

  for (int64_t i = 0; i < block->n_rows; i++) {
    const double *row = block->x + i * n_columns;
    const double weight = block->w == NULL ? 1.0 : block->w[i];
    for (int j = 0; j < n_columns; j++) {
      sums[j] += weight * (row[j] - mean[j]) * (row[j] - mean[j]);
    }
  }
}

// One pass: of sums, or with `mean` of squares around it; `out` gets them over the total weight.
static qn_status pass(qn_lane_sum *sum, const qn_rows *rows, double *room, const double *mean, double *out,
                      qn_error *err) {
  qn_status status = QN_OK;
  const double *total = NULL;

  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    qn_row_block_densify(&block, room);
    double *sums = qn_lane_sum_at(sum, block.lane);
    if (mean == NULL) {
      add_rows(&block, sums);
    } else {
      add_squares(&block, mean, sums);
    }
  }
  QN_TRY(qn_lane_sum_finish(sum, &total, err));
  for (int j = 0; j < rows->n_columns; j++) {
    out[j] = total[j] / rows->total_weight;
  }
done:
  return status;
}

qn_status qn_column_moments(qn_comm *comm, const qn_rows *rows, bool is_exact, double *room, double *mean,
                            double *variance, qn_error *err) {
  qn_status status = QN_OK;
  qn_lane_sum *sum = NULL;

  QN_REQUIRE(rows->total_weight > 0, err, QN_ERR_VALUE,
             "the weights of the rows sum to %g, which must be > 0", rows->total_weight);
  QN_TRY(qn_lane_sum_new(comm, rows, is_exact, rows->n_columns, &sum, err));
  QN_TRY(pass(sum, rows, room, NULL, mean, err));
  if (variance != NULL) {
    QN_TRY(pass(sum, rows, room, mean, variance, err));
  }
done:
  qn_lane_sum_free(sum);
  return status;
}
