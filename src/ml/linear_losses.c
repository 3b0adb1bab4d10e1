// SPDX-License-Identifier: Apache-2.0
// Loops without branches, which compilers turn into vector code; sums go into eight fixed accumulators, so
// that the width of the vectors does not change a bit.
#include "ml/linear_losses.h"

#include <math.h>
#include <string.h>
#include "ml/wide.h"

enum { CHUNK = 256 };

// Eight neighbouring numbers, wherever they lie.
typedef double eight __attribute__((vector_size(64), aligned(8), may_alias));
typedef int64_t eight_bits __attribute__((vector_size(64), aligned(8), may_alias));

// e^x for eight x <= 0, in place: x = k ln 2 + r, a Taylor polynomial in r, and k added to the exponent's
// bits.
__attribute__((always_inline)) static inline void exp_of_eight(double *values) {
  const eight shift = {0x1.8p52, 0x1.8p52, 0x1.8p52, 0x1.8p52, 0x1.8p52, 0x1.8p52, 0x1.8p52, 0x1.8p52};
  const eight least = {-708, -708, -708, -708, -708, -708, -708, -708};
  const eight given = *(const eight *)values;
  const eight_bits is_low = (eight_bits)(given < least);
  const eight x = (eight)((is_low & (eight_bits)least) | (~is_low & (eight_bits)given));
  const eight shifted = x * 1.4426950408889634 + shift; // adding it rounds to whole numbers
  const eight k = shifted - shift;
  const eight r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10;
  eight p = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  *(eight *)values = (eight)((eight_bits)p + ((eight_bits)shifted << 52)); // its low bits are k
}

// ln(1 + e) for 0 <= e <= 1: 2 artanh(e / (2 + e)) by its series.
static inline double log1p_of(double e) {
  const double s = e / (2.0 + e);
  const double q = s * s;
  double p = 1.0 / 33.0;
  p = p * q + 1.0 / 31.0;
  p = p * q + 1.0 / 29.0;
  p = p * q + 1.0 / 27.0;
  p = p * q + 1.0 / 25.0;
  p = p * q + 1.0 / 23.0;
  p = p * q + 1.0 / 21.0;
  p = p * q + 1.0 / 19.0;
  p = p * q + 1.0 / 17.0;
  p = p * q + 1.0 / 15.0;
  p = p * q + 1.0 / 13.0;
  p = p * q + 1.0 / 11.0;
  p = p * q + 1.0 / 9.0;
  p = p * q + 1.0 / 7.0;
  p = p * q + 1.0 / 5.0;
  p = p * q + 1.0 / 3.0;
  p = p * q + 1.0;
  return 2.0 * s * p;
}

QN_WIDE void qn_exp_all(double *values, int64_t n) {
  double rest[8] = {0};
  const int64_t n_rest = n % 8;

  for (int64_t i = 0; i < n - n_rest; i += 8) {
    exp_of_eight(values + i);
  }
  memcpy(rest, values + n - n_rest, (size_t)n_rest * 8);
  exp_of_eight(rest);
  memcpy(values + n - n_rest, rest, (size_t)n_rest * 8);
}

double qn_sigmoid(double margin) {
  const double e = exp(-fabs(margin));
  return margin >= 0 ? 1 / (1 + e) : e / (1 + e);
}

static double sum_of(const double *values, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    sum += values[i];
  }
  return sum;
}

QN_WIDE static void logistic_rows(int64_t n, const double *y, double *restrict margins,
                                  double *restrict losses) {
  for (int64_t i = 0; i < n; i++) {
    losses[i] = -fabs(margins[i]);
  }
  qn_exp_all(losses, n);
  for (int64_t i = 0; i < n; i++) {
    const double m = margins[i];
    const double e = losses[i];
    const double upper = 1.0 / (1.0 + e);
    const double lower = e * upper;
    const double towards = y[i] > 0.5 ? m : -m; // how far it is on the right side
    losses[i] = log1p_of(e) + (towards < 0 ? -towards : 0.0);
    const double wrong = towards < 0 ? upper : lower; // probability of the other class
    margins[i] = y[i] > 0.5 ? -wrong : wrong;
  }
}

QN_WIDE static void squared_rows(int64_t n, const double *y, double *margins, double *losses) {
  for (int64_t i = 0; i < n; i++) {
    const double r = margins[i] - y[i];
    losses[i] = r * r;
    margins[i] = 2 * r;
  }
}

QN_WIDE static void hinge_rows(int64_t n, const double *y, double *margins, double *losses) {
  for (int64_t i = 0; i < n; i++) {
    const double t = y[i] > 0.5 ? 1.0 : -1.0;
    const double gap = 1.0 - t * margins[i];
    const double short_by = gap > 0 ? gap : 0.0;
    losses[i] = short_by * short_by;
    margins[i] = -2 * t * short_by;
  }
}

static double hinges_rows(int64_t n_rows, int n_outputs, const double *y, const double *w, double *margins) {
  double loss = 0;

  for (int64_t row = 0; row < n_rows; row++) {
    double *m = margins + row * n_outputs;
    const double weight = w ? w[row] : 1;
    for (int k = 0; k < n_outputs; k++) {
      const double t = k == (int)y[row] ? 1.0 : -1.0;
      const double gap = fmax(0, 1 - t * m[k]);
      loss += weight * gap * gap;
      m[k] = -2 * weight * t * gap;
    }
  }
  return loss;
}

// Takes the largest of each row off; returns nothing of it but what is needed: row maxima are gone in values.
static void take_maxima(double *values, int64_t n_rows, int n_outputs) {
  for (int64_t row = 0; row < n_rows; row++) {
    double *m = values + row * n_outputs;
    double most = m[0];
    for (int k = 1; k < n_outputs; k++) {
      most = m[k] > most ? m[k] : most;
    }
    for (int k = 0; k < n_outputs; k++) {
      m[k] -= most;
    }
  }
}

void qn_softmax_rows(double *values, int64_t n_rows, int n_outputs) {
  take_maxima(values, n_rows, n_outputs);
  qn_exp_all(values, n_rows * n_outputs);
  for (int64_t row = 0; row < n_rows; row++) {
    double *p = values + row * n_outputs;
    const double share = 1 / sum_of(p, n_outputs);
    for (int k = 0; k < n_outputs; k++) {
      p[k] *= share;
    }
  }
}

static double softmax_rows(int64_t n_rows, int n_outputs, const double *y, const double *w, double *margins) {
  double loss = 0;
  double own[CHUNK];

  for (int64_t first = 0; first < n_rows; first += CHUNK) {
    const int64_t n = n_rows - first < CHUNK ? n_rows - first : CHUNK;
    double *m = margins + first * n_outputs;
    take_maxima(m, n, n_outputs);
    for (int64_t row = 0; row < n; row++) {
      own[row] = m[row * n_outputs + (int64_t)y[first + row]];
    }
    qn_exp_all(m, n * n_outputs);
    for (int64_t row = 0; row < n; row++) {
      double *p = m + row * n_outputs;
      const double weight = w ? w[first + row] : 1;
      const double sum = sum_of(p, n_outputs);
      const double share = weight / sum;
      for (int k = 0; k < n_outputs; k++) {
        p[k] *= share;
      }
      p[(int64_t)y[first + row]] -= weight;
      loss += weight * (log(sum) - own[row]);
    }
  }
  return loss;
}

static void rows_of_one(qn_linear_loss loss, int64_t n, const double *y, double *margins, double *losses) {
  if (loss == QN_LOSS_LOGISTIC) {
    logistic_rows(n, y, margins, losses);
  } else if (loss == QN_LOSS_SQUARED) {
    squared_rows(n, y, margins, losses);
  } else {
    hinge_rows(n, y, margins, losses);
  }
}

double qn_linear_loss_rows(qn_linear_loss loss, int64_t n_rows, int n_outputs, const double *y,
                           const double *w, double *margins) {
  double sum = 0;
  double losses[CHUNK];

  if (n_outputs > 1) {
    return loss == QN_LOSS_SOFTMAX ? softmax_rows(n_rows, n_outputs, y, w, margins)
                                   : hinges_rows(n_rows, n_outputs, y, w, margins);
  }
  for (int64_t first = 0; first < n_rows; first += CHUNK) {
    const int64_t n = n_rows - first < CHUNK ? n_rows - first : CHUNK;
    double *m = margins + first;
    rows_of_one(loss, n, y + first, m, losses);
    for (int64_t i = 0; w && i < n; i++) {
      losses[i] *= w[first + i];
      m[i] *= w[first + i];
    }
    sum += sum_of(losses, n);
  }
  return sum;
}

QN_WIDE void qn_rows_times_vector(const double *x, int64_t n_rows, int64_t n_columns, const double *b,
                                  double intercept, double *margins) {
  const int64_t n_eights = n_columns / 8;

  for (int64_t row = 0; row < n_rows; row += 4) {
    const int64_t last = n_rows - 1; // past the end the last row is computed again
    const double *x0 = x + row * n_columns;
    const double *x1 = x + (row + 1 < last ? row + 1 : last) * n_columns;
    const double *x2 = x + (row + 2 < last ? row + 2 : last) * n_columns;
    const double *x3 = x + (row + 3 < last ? row + 3 : last) * n_columns;
    eight a0 = {0};
    eight a1 = {0};
    eight a2 = {0};
    eight a3 = {0};
    for (int64_t j = 0; j < 8 * n_eights; j += 8) {
      const eight v = *(const eight *)(b + j);
      a0 += *(const eight *)(x0 + j) * v;
      a1 += *(const eight *)(x1 + j) * v;
      a2 += *(const eight *)(x2 + j) * v;
      a3 += *(const eight *)(x3 + j) * v;
    }
    double sums[4] = {0};
    for (int i = 0; i < 4; i++) {
      sums[0] += a0[i] + a0[i + 4];
      sums[1] += a1[i] + a1[i + 4];
      sums[2] += a2[i] + a2[i + 4];
      sums[3] += a3[i] + a3[i + 4];
    }
    for (int64_t j = 8 * n_eights; j < n_columns; j++) {
      sums[0] += x0[j] * b[j];
      sums[1] += x1[j] * b[j];
      sums[2] += x2[j] * b[j];
      sums[3] += x3[j] * b[j];
    }
    for (int64_t i = 0; i < 4 && row + i < n_rows; i++) {
      margins[row + i] = sums[i] + intercept;
    }
  }
}

QN_WIDE void qn_rows_add_transposed(const double *x, int64_t n_rows, int64_t n_columns,
                                    const double *residuals, double *restrict gradient) {
  int64_t row = 0;

  for (; row + 4 <= n_rows; row += 4) {
    const double *x0 = x + row * n_columns;
    const double *x1 = x0 + n_columns;
    const double *x2 = x1 + n_columns;
    const double *x3 = x2 + n_columns;
    const double *r = residuals + row;
    for (int64_t j = 0; j < n_columns; j++) {
      gradient[j] += (r[0] * x0[j] + r[1] * x1[j]) + (r[2] * x2[j] + r[3] * x3[j]);
    }
  }
  for (; row < n_rows; row++) {
    const double *x0 = x + row * n_columns;
    for (int64_t j = 0; j < n_columns; j++) {
      gradient[j] += residuals[row] * x0[j];
    }
  }
}
