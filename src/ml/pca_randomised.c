// SPDX-License-Identifier: Apache-2.0
// Randomised block Krylov iteration (Musco and Musco, 2015): a few random directions go again and again
// through X'X, one pass over the rows each, and are made orthonormal in between; the components are the best
// within the span of all that came of it. Where all directions vary almost alike that is closer by far than
// what the last pass alone gives (Halko, Martinsson and Tropp, 2011), which is taken where there is no room
// to keep the others. What is kept and summed is as small as the directions.
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include "base/check.h"
#include "ml/counter_random.h"
#include "ml/doubles.h"
#include "ml/lane_sum.h"
#include "ml/pca.h"

static const int64_t most_kept = (int64_t)1 << 26; // numbers: half a GiB

typedef struct subspace {
  qn_fit_state *fit;
  bool is_centred;
  const double *mean;
  double *dense, *room; // of a block
  int n_directions;     // of a pass
  int n_blocks;         // passes whose directions are kept
  double *basis;        // [n_blocks][n_columns, n_directions], orthonormal, also between blocks
  double *products;     // the same times X'X
  double *directions;   // of the pass: a block of the basis
  double *images;       // [block_rows, n_directions]
  qn_lane_sum *sum;     // [n_columns * n_directions + 1]: X'X times directions, and the sum of squares
} subspace;

static void close_subspace(subspace *s) {
  qn_memory_free(s->room);
  qn_memory_free(s->basis);
  qn_memory_free(s->products);
  qn_memory_free(s->images);
  qn_lane_sum_free(s->sum);
}

static int64_t block_size(const subspace *s) {
  return (int64_t)s->fit->rows->n_columns * s->n_directions;
}

// As many directions as are wanted in each of n_passes; all there are, if that would be as many.
static qn_status open_subspace(subspace *s, int64_t n_directions, int64_t n_passes, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = s->fit->rows;
  const int64_t n_columns = rows->n_columns;
  const bool is_whole = n_directions * n_passes >= n_columns;
  const int64_t n_kept = n_passes * 2 * n_directions <= most_kept / n_columns ? n_passes : 1;

  s->n_directions = (int)(is_whole && n_kept > 1     ? n_columns
                          : n_directions < n_columns ? n_directions
                                                     : n_columns);
  s->n_blocks = is_whole ? 1 : (int)n_kept;
  QN_TRY(qn_doubles_new(rows->is_sparse ? 0 : rows->block_rows, rows->n_columns, &s->room, err));
  QN_TRY(qn_doubles_new(s->n_blocks, block_size(s), &s->basis, err));
  QN_TRY(qn_doubles_new(s->n_blocks, block_size(s), &s->products, err));
  QN_TRY(qn_doubles_new(rows->block_rows, s->n_directions, &s->images, err));
  QN_TRY(qn_lane_sum_new(s->fit->comm, rows, s->fit->how->exact, block_size(s) + 1, &s->sum, err));
  s->directions = s->basis;
  for (int64_t i = 0; i < block_size(s); i++) {
    s->directions[i] = qn_counter_normal(s->fit->how->seed, 11, (uint64_t)i);
  }
done:
  return status;
}

// The directions less their part along the first n blocks of the basis.
static qn_status take_off(subspace *s, int n, qn_error *err) {
  qn_status status = QN_OK;
  const int m = s->fit->rows->n_columns;
  const int width = s->n_directions;
  double *small = NULL;

  QN_TRY(qn_doubles_new(width, width, &small, err));
  for (int b = 0; b < n; b++) {
    const double *block = s->basis + b * block_size(s);
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, width, width, m, 1.0, block, width, s->directions,
                width, 0.0, small, width);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, width, width, -1.0, block, width, small, width,
                1.0, s->directions, width);
  }
done:
  qn_memory_free(small);
  return status;
}

static qn_status make_orthonormal(subspace *s, qn_error *err) {
  qn_status status = QN_OK;
  const int m = s->fit->rows->n_columns;
  const int n = s->n_directions;
  double *factors = NULL;

  QN_TRY(qn_doubles_new(n, 1, &factors, err));
  int info = (int)LAPACKE_dgeqrf(LAPACK_ROW_MAJOR, m, n, s->directions, n, factors);
  info = info != 0 ? info : (int)LAPACKE_dorgqr(LAPACK_ROW_MAJOR, m, n, n, s->directions, n, factors);
  QN_REQUIRE(info == 0, err, QN_ERR_MEMORY, "the directions cannot be made orthonormal (%d)", info);
done:
  qn_memory_free(factors);
  return status;
}

// The next directions are what a pass has made of the last ones. Twice, since what is left of them may be so
// little that its direction is rounding.
static qn_status turn(subspace *s, int pass, const double *product, qn_error *err) {
  qn_status status = QN_OK;
  const size_t n_bytes = (size_t)block_size(s) * sizeof(double);
  const bool is_kept = s->n_blocks > 1;

  s->directions = s->basis + (is_kept ? pass * block_size(s) : 0);
  memcpy(s->directions, product, n_bytes);
  for (int i = 0; i < (is_kept ? 2 : 1); i++) {
    QN_TRY(take_off(s, is_kept ? pass : 0, err));
    QN_TRY(make_orthonormal(s, err));
  }
done:
  return status;
}

static void add_sparse(const subspace *s, const qn_row_block *block, double *sums, double *squares) {
  const int64_t n = s->n_directions;
  double *image = s->images;

  for (int64_t i = 0; i < block->n_rows; i++) {
    const double weight = block->w == NULL ? 1.0 : block->w[i];
    memset(image, 0, (size_t)n * sizeof(double));
    for (int64_t a = block->starts[i]; a < block->starts[i + 1]; a++) {
      cblas_daxpy((int)n, block->values[a], s->directions + block->columns[a] * n, 1, image, 1);
      *squares += weight * block->values[a] * block->values[a];
    }
    for (int64_t a = block->starts[i]; a < block->starts[i + 1]; a++) {
      cblas_daxpy((int)n, weight * block->values[a], image, 1, sums + block->columns[a] * n, 1);
    }
  }
}

static void add_dense(const subspace *s, qn_row_block *block, double *sums, double *squares) {
  const int n_columns = block->n_columns;
  const int n = s->n_directions;

  qn_row_block_densify(block, s->dense);
  const double *x = qn_block_scaled(block, s->mean, s->is_centred, s->room);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)block->n_rows, n, n_columns, 1.0, x, n_columns,
              s->directions, n, 0.0, s->images, n);
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n_columns, n, (int)block->n_rows, 1.0, x, n_columns,
              s->images, n, 1.0, sums, n);
  *squares += cblas_ddot((int)block->n_rows * n_columns, x, 1, x, 1);
}

// A pass: *product [n_columns, n_directions] gets X'X times the directions.
static qn_status multiply(subspace *s, int64_t step, const double **product, double *squares, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = s->fit->rows;
  const int64_t n = (int64_t)rows->n_columns * s->n_directions;

  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    double *sums = qn_lane_sum_at(s->sum, block.lane);
    if (rows->is_sparse) {
      add_sparse(s, &block, sums, sums + n);
    } else {
      add_dense(s, &block, sums, sums + n);
    }
  }
  QN_TRY(qn_lane_sum_finish(s->sum, product, err));
  *squares = (*product)[n];
  const double n_values = rows->is_sparse && rows->n_local > 0 ? (double)rows->starts[rows->n_local]
                                                               : (double)rows->n_local * rows->n_columns;
  const qn_fit_report report = {.step = step,
                                .loss = *squares,
                                .gradient_norm = NAN,
                                .n_rows = rows->n_total,
                                .flops = 4.0 * n_values * s->n_directions};
  QN_TRY(qn_fit_step(s->fit, &report, err));
done:
  return status;
}

// The best vectors within all directions (Rayleigh and Ritz).
static qn_status project(const subspace *s, qn_spectrum *out, qn_error *err) {
  qn_status status = QN_OK;
  const int m = s->fit->rows->n_columns;
  const int width = s->n_directions;
  const int n = width * s->n_blocks;
  double *small = NULL;
  double *values = NULL;

  QN_TRY(qn_doubles_new(n, n, &small, err));
  QN_TRY(qn_doubles_new(n, 1, &values, err));
  for (int a = 0; a < s->n_blocks; a++) {
    for (int b = 0; b < s->n_blocks; b++) {
      cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, width, width, m, 1.0, s->basis + a * block_size(s),
                  width, s->products + b * block_size(s), width, 0.0,
                  small + (int64_t)a * width * n + b * width, n);
    }
  }
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < i; j++) {
      small[i * n + j] = small[j * n + i] = 0.5 * (small[i * n + j] + small[j * n + i]);
    }
  }
  const int info = (int)LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'L', n, small, n, values);
  QN_REQUIRE(info == 0, err, QN_ERR_VALUE, "the eigenvalues of the directions do not converge (%d)", info);
  for (int64_t c = 0; c < out->k; c++) {
    const int64_t from = n - 1 - c;
    out->values[c] = fmax(0.0, values[from]);
    for (int b = 0; b < s->n_blocks; b++) {
      cblas_dgemv(CblasRowMajor, CblasNoTrans, m, width, 1.0, s->basis + b * block_size(s), width,
                  small + from * n + (int64_t)b * width, 1, b == 0 ? 0.0 : 1.0, out->vectors + c * m, 1);
    }
  }
done:
  qn_memory_free(small);
  qn_memory_free(values);
  return status;
}

// NOLINTNEXTLINE(readability-non-const-parameter): a block is made dense in it
qn_status qn_spectrum_randomised(qn_fit_state *fit, bool is_centred, double *room, qn_spectrum *out,
                                 qn_error *err) {
  qn_status status = QN_OK;
  const qn_pca_options *options = fit->options;
  const double *product = NULL;
  subspace s = {.fit = fit, .is_centred = is_centred, .mean = out->mean, .dense = room};

  QN_TRY(open_subspace(&s, out->k + options->oversampling, options->power_iterations + 1, err));
  QN_TRY(make_orthonormal(&s, err));
  const bool is_whole = s.n_directions == fit->rows->n_columns; // then one pass tells all
  const int64_t n_passes = is_whole ? 1 : options->power_iterations + 1;
  for (int64_t pass = 0; pass < n_passes; pass++) {
    if (pass > 0) {
      QN_TRY(turn(&s, (int)pass, product, err));
    }
    QN_TRY(multiply(&s, pass + 1, &product, &out->squares, err));
    memcpy(s.products + (s.n_blocks > 1 ? pass : 0) * block_size(&s), product,
           (size_t)block_size(&s) * sizeof(double));
  }
  QN_TRY(project(&s, out, err));
done:
  close_subspace(&s);
  return status;
}
