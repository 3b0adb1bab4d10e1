// SPDX-License-Identifier: Apache-2.0
// The Gram matrix, a triangle of it by level-3 BLAS for each block, or for sparse rows by pairs of what is
// not zero; and its eigenvectors on every rank.
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include "base/check.h"
#include "ml/doubles.h"
#include "ml/lane_sum.h"
#include "ml/pca.h"

const double *qn_block_scaled(const qn_row_block *block, const double *mean, bool is_centred, double *room) {
  const int n_columns = block->n_columns;
  if (!is_centred && block->w == NULL) {
    return block->x;
  }
  for (int64_t i = 0; i < block->n_rows; i++) {
    const double *row = block->x + i * n_columns;
    double *to = room + i * n_columns;
    const double scale = block->w == NULL ? 1.0 : sqrt(block->w[i]);
    for (int j = 0; j < n_columns; j++) {
      to[j] = (row[j] - (is_centred ? mean[j] : 0.0)) * scale;
    }
  }
  return room;
}

static void add_sparse(const qn_row_block *block, double *gram) {
  const int64_t n_columns = block->n_columns;

  for (int64_t i = 0; i < block->n_rows; i++) {
    const double weight = block->w == NULL ? 1.0 : block->w[i];
    for (int64_t a = block->starts[i]; a < block->starts[i + 1]; a++) {
      double *row = gram + block->columns[a] * n_columns;
      const double value = weight * block->values[a];
      for (int64_t b = a; b < block->starts[i + 1]; b++) {
        row[block->columns[b]] += value * block->values[b];
      }
    }
  }
}

// gram [n_columns, n_columns]: its upper triangle.
static qn_status sum_squares(qn_fit_state *fit, bool is_centred, const double *mean, double *dense,
                             double *gram, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = fit->rows;
  const int n_columns = rows->n_columns;
  const int64_t n = (int64_t)n_columns * n_columns;
  const double *total = NULL;
  double *room = NULL;
  qn_lane_sum *sum = NULL;

  QN_TRY(qn_lane_sum_new(fit->comm, rows, fit->how->exact, n, &sum, err));
  QN_TRY(qn_doubles_new(is_centred || rows->w != NULL ? rows->block_rows : 0, n_columns, &room, err));
  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    double *squares = qn_lane_sum_at(sum, block.lane);
    if (rows->is_sparse) {
      add_sparse(&block, squares);
      continue;
    }
    qn_row_block_densify(&block, dense);
    const double *x = qn_block_scaled(&block, mean, is_centred, room);
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, n_columns, (int)block.n_rows, 1.0, x, n_columns, 1.0,
                squares, n_columns);
  }
  QN_TRY(qn_lane_sum_finish(sum, &total, err));
  memcpy(gram, total, (size_t)n * sizeof(double));
done:
  qn_lane_sum_free(sum);
  qn_memory_free(room);
  return status;
}

qn_status qn_spectrum_exact(qn_fit_state *fit, bool is_centred, double *room, qn_spectrum *out,
                            qn_error *err) {
  qn_status status = QN_OK;
  const int n_columns = fit->rows->n_columns;
  double *gram = NULL;
  double *values = NULL;

  QN_TRY(qn_doubles_new(n_columns, n_columns, &gram, err));
  QN_TRY(qn_doubles_new(n_columns, 1, &values, err));
  QN_TRY(sum_squares(fit, is_centred, out->mean, room, gram, err));
  out->squares = 0;
  for (int64_t j = 0; j < n_columns; j++) {
    out->squares += gram[j * n_columns + j];
  }
  QN_REQUIRE(isfinite(out->squares), err, QN_ERR_VALUE,
             "the rows are so large that their squares do not sum to a finite number: scale the features");
  const qn_fit_report report = {.step = 1,
                                .loss = out->squares,
                                .gradient_norm = NAN,
                                .n_rows = fit->rows->n_total,
                                .flops = (double)fit->rows->n_local * n_columns * (n_columns + 1.0)};
  QN_TRY(qn_fit_step(fit, &report, err));
  // the upper triangle by rows is the lower one by columns
  const int info = (int)LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'L', n_columns, gram, n_columns, values);
  QN_REQUIRE(info == 0, err, QN_ERR_VALUE, "the eigenvalues of the columns' squares do not converge (%d)",
             info);
  for (int64_t c = 0; c < out->k; c++) {
    const int64_t from = n_columns - 1 - c;
    out->values[c] = fmax(0.0, values[from]);
    memcpy(out->vectors + c * n_columns, gram + from * n_columns, (size_t)n_columns * sizeof(double));
  }
done:
  qn_memory_free(gram);
  qn_memory_free(values);
  return status;
}
