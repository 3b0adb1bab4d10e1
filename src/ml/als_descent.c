// SPDX-License-Identifier: Apache-2.0
// The factors that a row needs are gathered once, if they fit the second-level cache, and gone through once
// for each product, a tile in the first-level cache at a time.
#include "ml/als_descent.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "ml/wide.h"

enum { PIECE_VALUES = 1 << 16, TILE_ROWS = 64 };

static const float SMALLEST = 1e-30F; // residuals squared: there is nothing left to improve

qn_status qn_als_descent_init(qn_als_descent *descent, int64_t k, double alpha, int64_t n_steps,
                              qn_error *err) {
  qn_status status = QN_OK;
  const int64_t width = (k + QN_ALS_LANES - 1) / QN_ALS_LANES * QN_ALS_LANES;
  const int64_t size = (int64_t)sizeof(float);
  const qn_als_kernels *kernels = qn_als_avx512_kernels();
  const int64_t piece = PIECE_VALUES / width / TILE_ROWS * TILE_ROWS;
  qn_als_descent made = {.kernels = kernels != NULL ? kernels : &qn_als_plain_kernels,
                         .k = k,
                         .width = width,
                         .n_steps = n_steps,
                         .alpha = (float)alpha,
                         .piece = piece > TILE_ROWS ? piece : TILE_ROWS};

  made.gram = qn_memory_alloc(width * width * size);
  made.rows = qn_memory_alloc(made.piece * width * size);
  made.targets = qn_memory_alloc(made.piece * size);
  made.weights = qn_memory_alloc(made.piece * size);
  made.x = qn_memory_alloc(5 * width * size);
  made.sums = qn_memory_alloc(width * (int64_t)sizeof *made.sums);
  QN_REQUIRE(made.gram != NULL && made.rows != NULL && made.targets != NULL && made.weights != NULL &&
                 made.x != NULL && made.sums != NULL,
             err, QN_ERR_MEMORY, "no memory for %lld factors", (long long)k);
  memset(made.x, 0, (size_t)(5 * width * size));
  made.r = made.x + width;
  made.p = made.r + width;
  made.q = made.p + width;
  made.coefficients = made.q + width;
  *descent = made;
  made = (qn_als_descent){0};

done:
  qn_als_descent_release(&made);
  return status;
}

void qn_als_descent_release(qn_als_descent *descent) {
  qn_memory_free(descent->gram);
  qn_memory_free(descent->rows);
  qn_memory_free(descent->targets);
  qn_memory_free(descent->weights);
  qn_memory_free(descent->x);
  qn_memory_free(descent->sums);
  *descent = (qn_als_descent){0};
}

void qn_als_descent_set_gram(qn_als_descent *descent, const double *gram) {
  const int64_t k = descent->k;
  const int64_t width = descent->width;

  memset(descent->gram, 0, (size_t)(width * width) * sizeof *descent->gram);
  for (int64_t i = 0; i < k; i++) {
    for (int64_t j = i; j < k; j++) {
      descent->gram[i * width + j] = descent->gram[j * width + i] = (float)gram[i * k + j];
    }
  }
}

// --- Vectors of a row
// ---------------------------------------------------------------------------------------------

QN_WIDE static double dot(const float *a, const float *b, int64_t width) {
  float sums[QN_ALS_LANES] = {0};
  double sum = 0;

  for (int64_t j = 0; j < width; j += QN_ALS_LANES) {
    for (int lane = 0; lane < QN_ALS_LANES; lane++) {
      sums[lane] += a[j + lane] * b[j + lane];
    }
  }
  for (int lane = 0; lane < QN_ALS_LANES; lane++) {
    sum += (double)sums[lane];
  }
  return sum;
}

// a = scale a + other scale b
QN_WIDE static void combine(float *restrict a, float scale, const float *restrict b, float other_scale,
                            int64_t width) {
  for (int64_t j = 0; j < width; j++) {
    a[j] = scale * a[j] + other_scale * b[j];
  }
}

QN_WIDE static void add_to_sums(double *restrict sums, const float *restrict values, int64_t width) {
  for (int64_t j = 0; j < width; j++) {
    sums[j] += (double)values[j];
  }
}

// --- The matrix times a vector
// ------------------------------------------------------------------------------------

QN_WIDE static void weigh(const float *ratings, int64_t n, float alpha, float *restrict targets,
                          float *restrict weights) {
  for (int64_t i = 0; i < n; i++) {
    weights[i] = alpha * ratings[i];
    targets[i] = ratings[i] > 0 ? 1 + weights[i] : 0;
  }
}

static void gather(qn_als_descent *descent, const qn_als_row *row, int64_t first, int64_t n) {
  descent->kernels->gather(row->factors, descent->k, row->others + first, n, descent->width, descent->rows);
  weigh(row->ratings + first, n, descent->alpha, descent->targets, descent->weights);
}

// out += each gathered row times (its target, if asked for, less its weight times the row times x). Returns
// the sum of targets times (row times x).
static double add_ratings(qn_als_descent *descent, int64_t n, const float *x, bool with_targets, float *out) {
  const int64_t width = descent->width;
  float coefficients[TILE_ROWS];
  double explained = 0;

  for (int64_t first = 0; first < n; first += TILE_ROWS) {
    const int64_t m = n - first < TILE_ROWS ? n - first : TILE_ROWS;
    const int64_t m_whole = (m + QN_ALS_ROWS - 1) / QN_ALS_ROWS * QN_ALS_ROWS;
    const float *rows = descent->rows + first * width;
    const float *targets = descent->targets + first;
    const float *weights = descent->weights + first;
    descent->kernels->multiply(rows, m_whole, width, x, coefficients);
    if (with_targets) {
      for (int64_t i = 0; i < m; i++) {
        explained += (double)(targets[i] * coefficients[i]);
        coefficients[i] = targets[i] - weights[i] * coefficients[i];
      }
    } else {
      for (int64_t i = 0; i < m; i++) {
        coefficients[i] = -weights[i] * coefficients[i];
      }
    }
    descent->kernels->add(rows, m_whole, width, coefficients, out);
  }
  return explained;
}

// out = (the right-hand side, if asked for) - A x. Returns the product of that side and x.
static double find_residual(qn_als_descent *descent, const qn_als_row *row, const float *x, bool with_targets,
                            float *out) {
  const int64_t width = descent->width;
  const bool is_gathered = !with_targets && row->n <= descent->piece; // by the first call for this row
  double explained = 0;

  for (int64_t j = 0; j < width; j++) {
    descent->coefficients[j] = -x[j];
    out[j] = -row->penalty * x[j];
  }
  descent->kernels->add(descent->gram, width, width, descent->coefficients, out);
  if (is_gathered) {
    return add_ratings(descent, row->n, x, with_targets, out);
  }
  memset(descent->sums, 0, (size_t)width * sizeof *descent->sums);
  for (int64_t first = 0; first < row->n; first += descent->piece) {
    const int64_t n = row->n - first < descent->piece ? row->n - first : descent->piece;
    gather(descent, row, first, n);
    add_to_sums(descent->sums, out, width);
    memset(out, 0, (size_t)width * sizeof *out);
    explained += add_ratings(descent, n, x, with_targets, out);
  }
  add_to_sums(descent->sums, out, width);
  for (int64_t j = 0; j < width; j++) {
    out[j] = (float)descent->sums[j];
  }
  return explained;
}

// What the errors of the row would be if all its factors were 0.
static double sum_targets(const qn_als_descent *descent, const qn_als_row *row) {
  double sum = 0;

  for (int64_t i = 0; i < row->n; i++) {
    sum += row->ratings[i] > 0 ? (double)(1 + descent->alpha * row->ratings[i]) : 0;
  }
  return sum;
}

double qn_als_descend(qn_als_descent *descent, const qn_als_row *row, float *factors) {
  const int64_t width = descent->width;
  float *x = descent->x;
  float *r = descent->r;
  float *p = descent->p;
  float *q = descent->q;

  memcpy(x, factors, (size_t)descent->k * sizeof *x);
  const double explained = find_residual(descent, row, x, true, r);
  double loss = sum_targets(descent, row) - explained - dot(x, r, width); // sum of targets + x A x - 2 x b
  double square = dot(r, r, width);
  memcpy(p, r, (size_t)width * sizeof *p);
  for (int64_t step = 0; step < descent->n_steps && square > (double)SMALLEST; step++) {
    find_residual(descent, row, p, false, q);
    const double curvature = -dot(p, q, width);
    if (!(curvature > 0)) {
      break;
    }
    const double length = square / curvature;
    combine(x, 1, p, (float)length, width);
    combine(r, 1, q, (float)length, width);
    loss -= length * square;
    const double before = square;
    square = dot(r, r, width);
    combine(p, (float)(square / before), r, 1, width);
  }
  memcpy(factors, x, (size_t)descent->k * sizeof *x);
  return loss;
}
