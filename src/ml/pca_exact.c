// SPDX-License-Identifier: Apache-2.0
// The Gram matrix, a triangle of it by level-3 BLAS for each block, or for sparse rows by pairs of what is
// not zero; and its eigenvectors on every rank.
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include "base/check.h"
#include "ml/column_products.h"
#include "ml/doubles.h"
#include "ml/gram.h"
#include "ml/lane_sum.h"
#include "ml/pca.h"
#include "ml/wide.h"

enum { RUN_VALUES = 3600 }; // of rows in the first-level cache

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

// --- Dense rows around their mean ------------------------------------------------------------------------
// One pass: rows are taken less a guess of the mean, and what the guess was off is taken off the squares.

typedef struct centring {
  int n_columns;
  int64_t run_rows; // rows that are gone through at once: few, or a block for BLAS
  bool is_few;
  double *guess; // [n_columns, and one for a label]
  double *room;  // [run_rows, n_columns]
} centring;

static qn_status open_centring(qn_fit_state *fit, centring *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = fit->rows;
  centring c = {.n_columns = rows->n_columns, .is_few = qn_column_products_pay(rows->n_columns)};

  c.run_rows = c.is_few ? RUN_VALUES / c.n_columns : rows->block_rows;
  QN_TRY(qn_doubles_new(1, c.n_columns + 1, &c.guess, err));
  QN_TRY(qn_doubles_new(c.run_rows, c.n_columns, &c.room, err));
  QN_TRY(qn_guess_means(fit, c.guess, err));
  *out = c;
  c = (centring){0};

done:
  qn_memory_free(c.guess);
  qn_memory_free(c.room);
  return status;
}

// n rows less the guess, times the root of their weights, to room. Adds to sums: these, and the weights.
QN_WIDE static void centre(const centring *c, const double *x, const double *w, int64_t n, double *sums) {
  const int n_columns = c->n_columns;
  const double *guess = c->guess;

  for (int64_t i = 0; i < n; i++) {
    const double *row = x + i * n_columns;
    double *to = c->room + i * n_columns;
    const double root = w == NULL ? 1.0 : sqrt(w[i]);
    for (int j = 0; j < n_columns; j++) {
      to[j] = (row[j] - guess[j]) * root;
      sums[j] += to[j] * root;
    }
    sums[n_columns] += w == NULL ? 1.0 : w[i];
  }
}

// sums: the squares, of which the upper triangle counts, and what centre() adds.
static void add_centred(const centring *c, const qn_row_block *block, double *sums) {
  const int n_columns = c->n_columns;
  double *of_columns = sums + (int64_t)n_columns * n_columns;

  for (int64_t first = 0; first < block->n_rows; first += c->run_rows) {
    const int64_t left = block->n_rows - first;
    const int64_t n = left < c->run_rows ? left : c->run_rows;
    const double *x = block->x + first * n_columns;
    centre(c, x, block->w == NULL ? NULL : block->w + first, n, of_columns);
    if (c->is_few) {
      qn_column_products_add(c->room, n, n_columns, x + n * n_columns, n * n_columns * 8, sums);
    } else {
      cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, n_columns, (int)n, 1.0, c->room, n_columns, 1.0,
                  sums, n_columns);
    }
  }
}

// gram [n_columns, n_columns]: its upper triangle. mean [n_columns] is found on the way.
static qn_status sum_centred(qn_fit_state *fit, double *dense, double *mean, double *gram, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = fit->rows;
  const int n_columns = rows->n_columns;
  const int64_t n = (int64_t)n_columns * n_columns;
  const double *total = NULL;
  centring c = {0};
  qn_lane_sum *sum = NULL;

  QN_TRY(qn_lane_sum_new(fit->comm, rows, fit->how->exact, n + n_columns + 1, &sum, err));
  QN_TRY(open_centring(fit, &c, err));
  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    qn_row_block_densify(&block, dense);
    add_centred(&c, &block, qn_lane_sum_at(sum, block.lane));
  }
  QN_TRY(qn_lane_sum_finish(sum, &total, err));
  const double *off = total + n;
  const double weight = off[n_columns];
  QN_REQUIRE(weight > 0, err, QN_ERR_VALUE,
             "the weights of all rows are 0, so there is nothing to learn from; give "
             "some rows a weight > 0");
  for (int i = 0; i < n_columns; i++) {
    mean[i] = c.guess[i] + off[i] / weight;
    for (int j = i; j < n_columns; j++) {
      gram[i * n_columns + j] = total[i * n_columns + j] - off[i] * (off[j] / weight);
    }
  }

done:
  qn_lane_sum_free(sum);
  qn_memory_free(c.guess);
  qn_memory_free(c.room);
  return status;
}

// --- Rows as they are ------------------------------------------------------------------------------------

// gram [n_columns, n_columns]: its upper triangle.
static qn_status sum_squares(qn_fit_state *fit, double *dense, double *gram, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = fit->rows;
  const int n_columns = rows->n_columns;
  const int64_t n = (int64_t)n_columns * n_columns;
  const double *total = NULL;
  double *room = NULL;
  qn_lane_sum *sum = NULL;

  QN_TRY(qn_lane_sum_new(fit->comm, rows, fit->how->exact, n, &sum, err));
  QN_TRY(qn_doubles_new(rows->w != NULL ? rows->block_rows : 0, n_columns, &room, err));
  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    double *squares = qn_lane_sum_at(sum, block.lane);
    if (rows->is_sparse) {
      add_sparse(&block, squares);
      continue;
    }
    qn_row_block_densify(&block, dense);
    const double *x = qn_block_scaled(&block, NULL, false, room);
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
  QN_TRY(is_centred ? sum_centred(fit, room, out->mean, gram, err) : sum_squares(fit, room, gram, err));
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
