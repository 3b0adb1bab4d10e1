// SPDX-License-Identifier: Apache-2.0
// Densities and moments by level-3 BLAS on blocks of rows. Full covariances: rows less a mean are whitened by
// the inverse of its Cholesky factor, and moments are taken around the mean that is there, so that they lose
// no digits. Diagonal ones: squares around the mean of all rows, times 1/variance.
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include "base/check.h"
#include "ml/doubles.h"
#include "ml/mixture.h"

qn_status qn_mixture_init(qn_mixture *mixture, int64_t k, int n_columns, bool is_full, int64_t max_rows,
                          const double *origin, qn_error *err) {
  qn_status status = QN_OK;

  *mixture = (qn_mixture){.k = k, .n_columns = n_columns, .is_full = is_full, .max_rows = max_rows};
  mixture->size = is_full ? (int64_t)n_columns * n_columns : n_columns;
  QN_TRY(qn_doubles_new(k, 1, &mixture->weights, err));
  QN_TRY(qn_doubles_new(k, n_columns, &mixture->means, err));
  QN_TRY(qn_doubles_new(k, mixture->size, &mixture->covariances, err));
  QN_TRY(qn_doubles_new(k, mixture->size, &mixture->factors, err));
  QN_TRY(qn_doubles_new(k, 1, &mixture->offsets, err));
  QN_TRY(qn_doubles_new(1, n_columns, &mixture->origin, err));
  QN_TRY(qn_doubles_new(2 * max_rows, n_columns, &mixture->room, err));
  QN_TRY(qn_doubles_new(2 * k, n_columns, &mixture->scaled, err));
  memcpy(mixture->origin, origin, (size_t)n_columns * sizeof(double));
done:
  return status;
}

void qn_mixture_release(qn_mixture *mixture) {
  qn_memory_free(mixture->weights);
  qn_memory_free(mixture->means);
  qn_memory_free(mixture->covariances);
  qn_memory_free(mixture->factors);
  qn_memory_free(mixture->offsets);
  qn_memory_free(mixture->origin);
  qn_memory_free(mixture->room);
  qn_memory_free(mixture->scaled);
  *mixture = (qn_mixture){0};
}

static qn_status prepare_full(qn_mixture *mixture, int64_t c, double *half_log, qn_error *err) {
  qn_status status = QN_OK;
  const int d = mixture->n_columns;
  double *factor = mixture->factors + c * mixture->size;

  // the lower triangle by rows is the upper one by columns
  memcpy(factor, mixture->covariances + c * mixture->size, (size_t)mixture->size * sizeof(double));
  const int info = (int)LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'U', d, factor, d);
  QN_REQUIRE(info == 0, err, QN_ERR_VALUE,
             "the covariance of component %lld (%.3g of the rows) is not positive definite: columns are "
             "constant or depend on each other there; raise regularisation, or choose a smaller k or "
             "covariance=diagonal",
             (long long)c, mixture->weights[c]);
  for (int64_t j = 0; j < d; j++) {
    *half_log += log(factor[j * d + j]);
  }
  LAPACKE_dtrtri(LAPACK_COL_MAJOR, 'U', 'N', d, factor, d); // a product is several times as fast as a solve
  for (int64_t i = 0; i < d; i++) {
    memset(factor + i * d + i + 1, 0, (size_t)(d - i - 1) * sizeof(double));
  }
done:
  return status;
}

static qn_status prepare_diagonal(qn_mixture *mixture, int64_t c, double *half_log, double *square,
                                  qn_error *err) {
  qn_status status = QN_OK;
  const int64_t d = mixture->n_columns;

  for (int64_t j = 0; j < d; j++) {
    const double variance = mixture->covariances[c * d + j];
    QN_REQUIRE(
        variance > 0, err, QN_ERR_VALUE,
        "the variance of column %lld in component %lld (%.3g of the rows) is %g: raise regularisation, "
        "or leave the column out",
        (long long)j, (long long)c, mixture->weights[c], variance);
    const double mean = mixture->means[c * d + j] - mixture->origin[j];
    mixture->factors[c * d + j] = 1 / variance;
    mixture->scaled[c * d + j] = -0.5 / variance;
    mixture->scaled[(mixture->k + c) * d + j] = mean / variance;
    *half_log += 0.5 * log(variance);
    *square += 0.5 * mean * mean / variance;
  }
done:
  return status;
}

qn_status qn_mixture_prepare(qn_mixture *mixture, qn_error *err) {
  qn_status status = QN_OK;

  for (int64_t c = 0; c < mixture->k; c++) {
    double half_log = 0;
    double square = 0;
    if (mixture->is_full) {
      QN_TRY(prepare_full(mixture, c, &half_log, err));
    } else {
      QN_TRY(prepare_diagonal(mixture, c, &half_log, &square, err));
    }
    mixture->offsets[c] =
        log(mixture->weights[c]) - 0.5 * mixture->n_columns * log(2 * M_PI) - half_log - square;
  }
done:
  return status;
}

// out [n_rows, n_columns]: rows less a point, times a number each (NULL: 1).
static void subtract(int64_t n_rows, int n_columns, const double *x, const double *point,
                     const double *factors, int64_t stride, double *out) {
  for (int64_t i = 0; i < n_rows; i++) {
    const double factor = factors == NULL ? 1.0 : factors[i * stride];
    for (int j = 0; j < n_columns; j++) {
      out[i * n_columns + j] = (x[i * n_columns + j] - point[j]) * factor;
    }
  }
}

static void logs_full(qn_mixture *mixture, int64_t n_rows, const double *x, double *logs) {
  const int d = mixture->n_columns;
  double *white = mixture->room + mixture->max_rows * d;

  for (int64_t c = 0; c < mixture->k; c++) {
    subtract(n_rows, d, x, mixture->means + c * d, NULL, 0, mixture->room);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n_rows, d, d, 1.0, mixture->room, d,
                mixture->factors + c * mixture->size, d, 0.0, white, d);
    for (int64_t i = 0; i < n_rows; i++) {
      const double *row = white + i * d;
      logs[i * mixture->k + c] = mixture->offsets[c] - 0.5 * cblas_ddot(d, row, 1, row, 1);
    }
  }
}

// Rows from the origin into room, and behind them their squares.
static const double *take_squares(qn_mixture *mixture, int64_t n_rows, const double *x) {
  const int d = mixture->n_columns;
  double *squares = mixture->room + mixture->max_rows * d;

  subtract(n_rows, d, x, mixture->origin, NULL, 0, mixture->room);
  for (int64_t i = 0; i < n_rows * d; i++) {
    squares[i] = mixture->room[i] * mixture->room[i];
  }
  return squares;
}

static void logs_diagonal(qn_mixture *mixture, int64_t n_rows, const double *x, double *logs) {
  const int d = mixture->n_columns;
  const int k = (int)mixture->k;
  const double *squares = take_squares(mixture, n_rows, x);

  for (int64_t i = 0; i < n_rows; i++) {
    memcpy(logs + i * k, mixture->offsets, (size_t)k * sizeof(double));
  }
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n_rows, k, d, 1.0, squares, d, mixture->scaled, d,
              1.0, logs, k);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n_rows, k, d, 1.0, mixture->room, d,
              mixture->scaled + (int64_t)k * d, d, 1.0, logs, k);
}

void qn_mixture_logs(qn_mixture *mixture, int64_t n_rows, const double *x, double *logs) {
  if (mixture->is_full) {
    logs_full(mixture, n_rows, x, logs);
  } else {
    logs_diagonal(mixture, n_rows, x, logs);
  }
}

double qn_mixture_normalise(int64_t n_rows, int64_t k, const double *w, double *logs) {
  double total = 0;

  for (int64_t i = 0; i < n_rows; i++) {
    double *row = logs + i * k;
    double most = row[0];
    double sum = 0;
    for (int64_t c = 1; c < k; c++) {
      most = row[c] > most ? row[c] : most;
    }
    for (int64_t c = 0; c < k; c++) {
      row[c] = exp(row[c] - most);
      sum += row[c];
    }
    for (int64_t c = 0; c < k; c++) {
      row[c] /= sum;
    }
    total += (w == NULL ? 1.0 : w[i]) * (most + log(sum));
  }
  return total;
}

int64_t qn_mixture_sums(const qn_mixture *mixture) {
  return mixture->k * (1 + mixture->n_columns + mixture->size) + 1;
}

// Weighted rows around each mean; `roots` [n_rows, k] are roots of probability times weight.
static void add_full(qn_mixture *mixture, int64_t n_rows, const double *x, const double *roots, double *first,
                     double *second) {
  const int d = mixture->n_columns;
  const int k = (int)mixture->k;

  for (int64_t c = 0; c < k; c++) {
    subtract(n_rows, d, x, mixture->means + c * d, roots + c, k, mixture->room);
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, d, (int)n_rows, 1.0, mixture->room, d, 1.0,
                second + c * mixture->size, d);
    cblas_dgemv(CblasRowMajor, CblasTrans, (int)n_rows, d, 1.0, mixture->room, d, roots + c, k, 1.0,
                first + c * d, 1);
  }
}

void qn_mixture_add(qn_mixture *mixture, int64_t n_rows, const double *x, const double *w,
                    double *probabilities, double *sums) {
  const int d = mixture->n_columns;
  const int k = (int)mixture->k;
  double *first = sums + k;
  double *second = first + (int64_t)k * d;

  for (int64_t i = 0; i < n_rows * k; i++) {
    const double weight = (w == NULL ? 1.0 : w[i / k]) * probabilities[i];
    sums[i % k] += weight;
    probabilities[i] = mixture->is_full ? sqrt(weight) : weight;
  }
  if (mixture->is_full) {
    add_full(mixture, n_rows, x, probabilities, first, second);
    return;
  }
  const double *squares = take_squares(mixture, n_rows, x);
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, d, (int)n_rows, 1.0, probabilities, k,
              mixture->room, d, 1.0, first, d);
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, d, (int)n_rows, 1.0, probabilities, k, squares, d,
              1.0, second, d);
}

static void update_full(qn_mixture *mixture, int64_t c, double weight, const double *first,
                        const double *second, double regularisation) {
  const int64_t d = mixture->n_columns;
  double *covariance = mixture->covariances + c * mixture->size;

  for (int64_t i = 0; i < d; i++) {
    for (int64_t j = 0; j <= i; j++) {
      const double value = second[i * d + j] / weight - (first[i] / weight) * (first[j] / weight);
      covariance[i * d + j] = covariance[j * d + i] = value + (i == j ? regularisation : 0.0);
    }
    mixture->means[c * d + i] += first[i] / weight;
  }
}

static void update_diagonal(qn_mixture *mixture, int64_t c, double weight, const double *first,
                            const double *second, double regularisation) {
  const int64_t d = mixture->n_columns;

  for (int64_t j = 0; j < d; j++) {
    const double mean = first[j] / weight;
    const double variance = fmax(0.0, second[j] / weight - mean * mean);
    mixture->covariances[c * d + j] = variance + regularisation;
    mixture->means[c * d + j] = mixture->origin[j] + mean;
  }
}

void qn_mixture_update(qn_mixture *mixture, const double *sums, double regularisation) {
  const int64_t d = mixture->n_columns;
  double total = 0;

  for (int64_t c = 0; c < mixture->k; c++) {
    total += sums[c];
  }
  for (int64_t c = 0; c < mixture->k; c++) {
    const double weight = sums[c] + 1e-15 * total; // a component without rows keeps its mean
    const double *first = sums + mixture->k + c * d;
    const double *second = sums + mixture->k * (1 + d) + c * mixture->size;
    mixture->weights[c] = weight / (total * (1 + 1e-15 * (double)mixture->k));
    if (mixture->is_full) {
      update_full(mixture, c, weight, first, second, regularisation);
    } else {
      update_diagonal(mixture, c, weight, first, second, regularisation);
    }
  }
}
