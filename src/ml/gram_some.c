// SPDX-License-Identifier: Apache-2.0
// Products of a few of many columns. Dense rows are less the mean, times the root of their weight, and go to
// BLAS; of sparse ones the products of what is not 0 are added up, and the means' taken off in the end.
#include <cblas.h>
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "ml/gram.h"
#include "ml/lane_sum.h"

typedef struct choice {
  const qn_gram *moments;
  const int *columns; // [n]
  int n;
  int32_t *places; // [n_columns]: number among the chosen, or -1; of sparse rows
  double *shifted; // [block_rows, n]; of sparse rows [n] values
  int *found;      // [n] places of a sparse row's values
} choice;

static void add_dense(const choice *c, const qn_row_block *block, double *sums) {
  const double *means = c->moments->mean;

  for (int64_t row = 0; row < block->n_rows; row++) {
    const double root = block->w ? sqrt(block->w[row]) : 1;
    const int64_t start = row * block->n_columns;
    double *out = c->shifted + row * c->n;
    for (int i = 0; i < c->n; i++) {
      const int j = c->columns[i];
      out[i] = ((block->x ? block->x[start + j] : (double)block->x32[start + j]) - means[j]) * root;
    }
  }
  cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, c->n, (blasint)block->n_rows, 1, c->shifted, c->n, 1,
              sums, c->n);
}

static void add_sparse(const choice *c, const qn_row_block *block, double *sums) {
  for (int64_t row = 0; row < block->n_rows; row++) {
    const double weight = block->w ? block->w[row] : 1;
    int n_found = 0;
    for (int64_t i = block->starts[row]; i < block->starts[row + 1]; i++) {
      const int place = c->places[block->columns[i]];
      if (place >= 0) {
        c->found[n_found] = place;
        c->shifted[n_found++] = block->values[i];
      }
    }
    for (int i = 0; i < n_found; i++) { // places ascend with the columns
      double *line = sums + (int64_t)c->found[i] * c->n;
      const double value = weight * c->shifted[i];
      for (int j = 0; j <= i; j++) {
        line[c->found[j]] += value * c->shifted[j];
      }
    }
  }
}

static void finish(const choice *c, bool is_sparse, const double *total, double *matrix) {
  const double *means = c->moments->mean;
  const double share = 1 / c->moments->weight;
  const int64_t n = c->n;

  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < i; j++) {
      const double of_means = is_sparse ? means[c->columns[i]] * means[c->columns[j]] : 0;
      matrix[i * n + j] = matrix[j * n + i] = total[i * n + j] * share - of_means;
    }
    matrix[i * n + i] = c->moments->variance[c->columns[i]];
  }
}

qn_status qn_gram_of_some(qn_fit_state *fit, const qn_gram *moments, const int *columns, int n,
                          double *matrix, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = fit->rows;
  choice c = {.moments = moments, .columns = columns, .n = n};
  qn_lane_sum *sum = NULL;
  const double *total = NULL;

  c.places = qn_memory_alloc(rows->is_sparse ? (int64_t)sizeof *c.places * rows->n_columns : 0);
  c.found = qn_memory_alloc((int64_t)sizeof *c.found * n);
  c.shifted = qn_memory_alloc(8 * n * (rows->is_sparse ? 1 : rows->block_rows));
  QN_REQUIRE(c.places && c.found && c.shifted, err, QN_ERR_MEMORY,
             "out of memory for the products of %d columns", n);
  if (rows->is_sparse) {
    memset(c.places, 0xff, sizeof *c.places * (size_t)rows->n_columns);
    for (int i = 0; i < n; i++) {
      c.places[columns[i]] = i;
    }
  }
  QN_TRY(qn_lane_sum_new(fit->comm, rows, fit->how->exact, (int64_t)n * n, &sum, err));
  for (int64_t b = 0; b < rows->n_blocks; b++) {
    qn_row_block block;
    qn_rows_block(rows, b, &block);
    double *sums = qn_lane_sum_at(sum, block.lane);
    if (rows->is_sparse) {
      add_sparse(&c, &block, sums);
    } else {
      add_dense(&c, &block, sums);
    }
  }
  QN_TRY(qn_lane_sum_finish(sum, &total, err));
  finish(&c, rows->is_sparse, total, matrix);

done:
  qn_lane_sum_free(sum);
  qn_memory_free(c.places);
  qn_memory_free(c.found);
  qn_memory_free(c.shifted);
  return status;
}
