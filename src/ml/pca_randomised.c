// SPDX-License-Identifier: Apache-2.0
// Randomised subspace iteration (Halko, Martinsson and Tropp, 2011, algorithm 4.4, on the side of the
// columns): a few random directions go again and again through X'X, one pass over the rows each, and are made
// orthonormal in between. What is kept and summed is as small as the directions.
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include "base/check.h"
#include "ml/counter_random.h"
#include "ml/doubles.h"
#include "ml/lane_sum.h"
#include "ml/pca.h"

typedef struct subspace {
  qn_fit_state *fit;
  bool is_centred;
  const double *mean;
  double *dense, *room; // of a block
  int n_directions;
  double *directions; // [n_columns, n_directions], orthonormal
  double *images;     // [block_rows, n_directions]
  qn_lane_sum *sum;   // [n_columns * n_directions + 1]: X'X times directions, and the sum of squares
} subspace;

static void close_subspace(subspace *s) {
  qn_memory_free(s->room);
  qn_memory_free(s->directions);
  qn_memory_free(s->images);
  qn_lane_sum_free(s->sum);
}

static qn_status open_subspace(subspace *s, int n_directions, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = s->fit->rows;

  s->n_directions = n_directions;
  QN_TRY(qn_doubles_new(rows->is_sparse ? 0 : rows->block_rows, rows->n_columns, &s->room, err));
  QN_TRY(qn_doubles_new(rows->n_columns, n_directions, &s->directions, err));
  QN_TRY(qn_doubles_new(rows->block_rows, n_directions, &s->images, err));
  QN_TRY(qn_lane_sum_new(s->fit->comm, rows, s->fit->how->exact, (int64_t)rows->n_columns * n_directions + 1,
                         &s->sum, err));
  for (int64_t i = 0; i < (int64_t)rows->n_columns * n_directions; i++) {
    s->directions[i] = qn_counter_normal(s->fit->how->seed, 11, (uint64_t)i);
  }
done:
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

// The best vectors within the directions (Rayleigh and Ritz).
static qn_status project(const subspace *s, const double *product, qn_spectrum *out, qn_error *err) {
  qn_status status = QN_OK;
  const int m = s->fit->rows->n_columns;
  const int n = s->n_directions;
  double *small = NULL;
  double *values = NULL;

  QN_TRY(qn_doubles_new(n, n, &small, err));
  QN_TRY(qn_doubles_new(n, 1, &values, err));
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, n, m, 1.0, s->directions, n, product, n, 0.0, small,
              n);
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
    cblas_dgemv(CblasRowMajor, CblasNoTrans, m, n, 1.0, s->directions, n, small + from * n, 1, 0.0,
                out->vectors + c * m, 1);
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
  const int n_columns = fit->rows->n_columns;
  const int64_t n_wanted = out->k + options->oversampling;
  const double *product = NULL;
  subspace s = {.fit = fit, .is_centred = is_centred, .mean = out->mean, .dense = room};

  QN_TRY(open_subspace(&s, n_wanted < n_columns ? (int)n_wanted : n_columns, err));
  QN_TRY(make_orthonormal(&s, err));
  for (int64_t step = 1; step <= options->power_iterations; step++) {
    QN_TRY(multiply(&s, step, &product, &out->squares, err));
    memcpy(s.directions, product, (size_t)n_columns * (size_t)s.n_directions * sizeof(double));
    QN_TRY(make_orthonormal(&s, err));
  }
  QN_TRY(multiply(&s, options->power_iterations + 1, &product, &out->squares, err));
  QN_TRY(project(&s, product, out, err));
done:
  close_subspace(&s);
  return status;
}
