// SPDX-License-Identifier: Apache-2.0
// A dense block becomes [columns, label, 1], each less its guessed mean and times the root of the row's
// weight; one syrk then adds sums, squares and products at once.
#include "ml/gram.h"

#include <cblas.h>
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "ml/lane_sum.h"

enum { GUESS_ROWS = 16 };

// What a pass needs. width: columns, label and a one.
typedef struct pass {
  const qn_rows *rows;
  int width;
  bool is_centred, with_pairs;
  double *guess;   // [width]
  double *dense;   // a block as float64
  double *shifted; // [block_rows, width]
} pass;

void qn_gram_release(qn_gram *gram) {
  qn_memory_free(gram->mean);
  qn_memory_free(gram->variance);
  qn_memory_free(gram->matrix);
  qn_memory_free(gram->label);
  *gram = (qn_gram){0};
}

static void add_sparse_row(const qn_row_block *block, int64_t row, double weight, double *sums) {
  for (int64_t i = block->starts[row]; i < block->starts[row + 1]; i++) {
    sums[block->columns[i]] += weight * block->values[i];
  }
}

qn_status qn_guess_means(qn_fit_state *fit, double *means, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = fit->rows;
  const int n = rows->n_columns;
  qn_lane_sum *sum = NULL;
  double *room = qn_memory_alloc(rows->is_sparse ? 0 : 8 * rows->block_rows * n);
  const double *total = NULL;

  QN_REQUIRE(room, err, QN_ERR_MEMORY, "out of memory for a block of %lld rows", (long long)rows->block_rows);
  QN_TRY(qn_lane_sum_new(fit->comm, rows, fit->how->exact, n + 2, &sum, err));
  for (int64_t b = 0; b < rows->n_blocks; b++) {
    qn_row_block block;
    qn_rows_block(rows, b, &block);
    double *sums = qn_lane_sum_at(sum, block.lane);
    block.n_rows = block.n_rows < GUESS_ROWS ? block.n_rows : GUESS_ROWS;
    if (!rows->is_sparse) {
      qn_row_block_densify(&block, room);
    }
    for (int64_t row = 0; row < block.n_rows; row++) {
      const double weight = block.w ? block.w[row] : 1;
      if (rows->is_sparse) {
        add_sparse_row(&block, row, weight, sums);
      } else {
        cblas_daxpy(n, weight, block.x + row * n, 1, sums, 1);
      }
      sums[n] += block.y ? weight * block.y[row] : 0;
      sums[n + 1] += weight;
    }
  }
  QN_TRY(qn_lane_sum_finish(sum, &total, err));
  for (int i = 0; i <= n; i++) {
    means[i] = total[n + 1] > 0 ? total[i] / total[n + 1] : 0;
  }

done:
  qn_lane_sum_free(sum);
  qn_memory_free(room);
  return status;
}

static void shift_block(const pass *state, const qn_row_block *block) {
  const int n = state->width - 2;
  const double *guess = state->guess;

  for (int64_t row = 0; row < block->n_rows; row++) {
    const double *x = block->x + row * n;
    double *out = state->shifted + row * state->width;
    const double root = block->w ? sqrt(block->w[row]) : 1;
    for (int j = 0; j < n; j++) {
      out[j] = (x[j] - guess[j]) * root;
    }
    out[n] = block->y ? (block->y[row] - guess[n]) * root : 0;
    out[n + 1] = root;
  }
}

// sums: [width, width], its lower triangle, or without pairs the last row and then the squares [width].
static void add_dense_block(const pass *state, const qn_row_block *block, double *sums) {
  const int width = state->width;

  shift_block(state, block);
  if (state->with_pairs) {
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, width, (blasint)block->n_rows, 1, state->shifted,
                width, 1, sums, width);
    return;
  }
  for (int64_t row = 0; row < block->n_rows; row++) {
    const double *x = state->shifted + row * width;
    const double root = x[width - 1];
    for (int j = 0; j < width; j++) {
      sums[j] += root * x[j];
      sums[width + j] += x[j] * x[j];
    }
  }
}

static void add_sparse_block(const pass *state, const qn_row_block *block, double *sums) {
  const int64_t width = state->width;
  double *ones = state->with_pairs ? sums + (width - 1) * width : sums;
  double *labels = sums + (width - 2) * width;

  for (int64_t row = 0; row < block->n_rows; row++) {
    const double weight = block->w ? block->w[row] : 1;
    const double label = block->y ? block->y[row] - state->guess[width - 2] : 0;
    add_sparse_row(block, row, weight, ones);
    ones[width - 2] += weight * label;
    ones[width - 1] += weight;
    if (state->with_pairs) {
      add_sparse_row(block, row, weight * label, labels);
      labels[width - 2] += weight * label * label;
    }
    for (int64_t i = block->starts[row]; i < block->starts[row + 1]; i++) {
      const double value = weight * block->values[i];
      if (!state->with_pairs) {
        sums[width + block->columns[i]] += value * block->values[i];
        continue;
      }
      double *line = sums + block->columns[i] * width;
      for (int64_t j = block->starts[row]; j <= i; j++) {
        line[block->columns[j]] += value * block->values[j];
      }
    }
  }
}

static qn_status sum_blocks(pass *state, qn_lane_sum *sum, const double **total, qn_error *err) {
  qn_status status = QN_OK;

  for (int64_t b = 0; b < state->rows->n_blocks; b++) {
    qn_row_block block;
    qn_rows_block(state->rows, b, &block);
    if (state->rows->is_sparse) {
      add_sparse_block(state, &block, qn_lane_sum_at(sum, block.lane));
    } else {
      qn_row_block_densify(&block, state->dense);
      add_dense_block(state, &block, qn_lane_sum_at(sum, block.lane));
    }
  }
  QN_TRY(qn_lane_sum_finish(sum, total, err));

done:
  return status;
}

// From sums around the guess to means around the mean: E (x - m)(y - n) = E xy - E x E y.
static void take_moments(const pass *state, const double *total, qn_gram *out) {
  const int64_t width = state->width;
  const int n = out->n_columns;
  const double *ones = state->with_pairs ? total + (width - 1) * width : total;
  const double weight = ones[width - 1];
  const double share = 1 / weight;

  for (int i = 0; i < n; i++) {
    const double drift = state->is_centred ? ones[i] * share : 0;
    const double square =
        (state->with_pairs ? total[i * width + i] : total[width + i]) * share - drift * drift;
    const double mean = state->is_centred ? state->guess[i] + drift : 0;
    const double rounding = (state->rows->is_sparse ? 1e-13 : 1e-26) * mean * mean;
    const bool is_constant = state->is_centred && square <= rounding && isfinite(rounding);
    out->mean[i] = mean;
    out->variance[i] = is_constant || square < 0 ? 0 : square;
  }
  const double label_drift = state->is_centred ? ones[width - 2] * share : 0;
  out->weight = weight;
  out->label_mean = state->guess[n] + label_drift;
  if (!state->with_pairs) {
    return;
  }
  out->label_square = fmax(0, total[(width - 2) * width + width - 2] * share - label_drift * label_drift);
  for (int i = 0; i < n; i++) {
    const double drift = state->is_centred ? ones[i] * share : 0;
    out->label[i] = out->variance[i] > 0 ? total[n * width + i] * share - drift * label_drift : 0;
    for (int j = 0; j <= i; j++) {
      const double other = state->is_centred ? ones[j] * share : 0;
      const bool is_zero = out->variance[i] == 0 || out->variance[j] == 0;
      const double value = i == j ? out->variance[i] : total[i * width + j] * share - drift * other;
      out->matrix[(int64_t)i * n + j] = is_zero ? 0 : value;
      out->matrix[(int64_t)j * n + i] = is_zero ? 0 : value;
    }
  }
}

// Squares of numbers above 1e154 leave float64.
static qn_status check_finite(const qn_fit_state *fit, const qn_gram *gram, qn_error *err) {
  qn_status status = QN_OK;
  const qn_features *features = fit->model->features;

  for (int i = 0; i < gram->n_columns; i++) {
    QN_REQUIRE(isfinite(gram->mean[i]) && isfinite(gram->variance[i]), err, QN_ERR_VALUE,
               "feature %d (%s): its numbers are too large, their squares leave float64; scale it, as with "
               "standardise()",
               i, features == NULL ? "no name" : qn_features_name(features, i));
  }
  QN_REQUIRE(isfinite(gram->label_square) && isfinite(gram->label_mean), err, QN_ERR_VALUE,
             "the label's numbers are too large, their squares leave float64; scale it");

done:
  return status;
}

static qn_status make_room(pass *state, qn_gram *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = state->rows;
  const int64_t n = rows->n_columns;

  out->n_columns = rows->n_columns;
  out->mean = qn_memory_alloc(8 * n);
  out->variance = qn_memory_alloc(8 * n);
  out->matrix = state->with_pairs ? qn_memory_alloc(8 * n * n) : NULL;
  out->label = state->with_pairs ? qn_memory_alloc(8 * n) : NULL;
  state->guess = qn_memory_alloc(8 * state->width);
  state->dense = rows->is_sparse ? NULL : qn_memory_alloc(8 * rows->block_rows * n);
  state->shifted = rows->is_sparse ? NULL : qn_memory_alloc(8 * rows->block_rows * state->width);
  QN_REQUIRE(out->mean && out->variance && state->guess && (out->matrix || !state->with_pairs) &&
                 (out->label || !state->with_pairs) && (rows->is_sparse || (state->dense && state->shifted)),
             err, QN_ERR_MEMORY, "out of memory for the products of %lld columns", (long long)n);
  memset(state->guess, 0, (size_t)state->width * 8);

done:
  return status;
}

qn_status qn_gram_compute(qn_fit_state *fit, bool is_centred, bool with_pairs, qn_gram *out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t width = fit->rows->n_columns + 2;
  pass state = {.rows = fit->rows, .width = (int)width, .is_centred = is_centred, .with_pairs = with_pairs};
  qn_lane_sum *sum = NULL;
  const double *total = NULL;

  *out = (qn_gram){0};
  QN_TRY(make_room(&state, out, err));
  if (is_centred) {
    QN_TRY(qn_guess_means(fit, state.guess, err));
    if (fit->rows->is_sparse) { // zeros stay zeros; only the label is taken less its mean
      memset(state.guess, 0, (size_t)(width - 2) * 8);
    }
  }
  QN_TRY(qn_lane_sum_new(fit->comm, fit->rows, fit->how->exact, with_pairs ? width * width : 2 * width, &sum,
                         err));
  QN_TRY(sum_blocks(&state, sum, &total, err));
  const double weight = total[with_pairs ? width * width - 1 : width - 1];
  QN_REQUIRE(weight > 0, err, QN_ERR_VALUE,
             "the weights of all rows are 0, so there is nothing to learn from; give some rows a weight > 0");
  take_moments(&state, total, out);
  QN_TRY(check_finite(fit, out, err));

done:
  qn_lane_sum_free(sum);
  qn_memory_free(state.guess);
  qn_memory_free(state.dense);
  qn_memory_free(state.shifted);
  if (status) {
    qn_gram_release(out);
  }
  return status;
}
