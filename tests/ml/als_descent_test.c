// SPDX-License-Identifier: Apache-2.0
// Steps of conjugate gradients for a row against the same in float64 with a dense matrix, by the loops of
// every processor and by those for AVX-512 where it has them.
#include <math.h>
#include <string.h>
#include "kit/kit.h"
#include "ml/als_descent.h"

enum { N_OTHERS = 300, MOST_K = 70, MOST_RATINGS = 5000 };

static float factors[N_OTHERS * MOST_K], ratings[MOST_RATINGS];
static int32_t others[MOST_RATINGS];
static double gram[MOST_K * MOST_K], matrix[MOST_K * MOST_K], side[MOST_K];

static double next_number(void) {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (double)(state >> 11) / (double)(1ull << 52) - 1; // -1 .. 1
}

static void fill(int64_t k, int64_t n_ratings) {
  memset(gram, 0, sizeof gram);
  for (int64_t i = 0; i < N_OTHERS; i++) {
    for (int64_t f = 0; f < k; f++) {
      factors[i * k + f] = (float)(0.3 * next_number() + (f == 0 ? 0.4 : 0));
    }
    for (int64_t f = 0; f < k; f++) {
      for (int64_t g = f; g < k; g++) {
        gram[f * k + g] += (double)factors[i * k + f] * (double)factors[i * k + g];
      }
    }
  }
  for (int64_t i = 0; i < n_ratings; i++) {
    others[i] = (int32_t)((double)N_OTHERS * (next_number() + 1) / 2);
    ratings[i] = i % 7 == 0 ? 0 : (float)(next_number() + 1);
  }
}

// The matrix and the right-hand side of the row; returns the sum of its targets.
static double make_system(const qn_als_row *row, int64_t k, double alpha) {
  double targets = 0;

  memset(side, 0, sizeof side);
  for (int64_t f = 0; f < k; f++) {
    for (int64_t g = 0; g < k; g++) {
      matrix[f * k + g] = gram[f < g ? f * k + g : g * k + f] + (f == g ? (double)row->penalty : 0);
    }
  }
  for (int64_t i = 0; i < row->n; i++) {
    const float *q = row->factors + row->others[i] * k;
    const double weight = alpha * (double)row->ratings[i];
    const double target = weight > 0 ? 1 + weight : 0;
    targets += target;
    for (int64_t f = 0; f < k; f++) {
      side[f] += target * (double)q[f];
      for (int64_t g = 0; g < k; g++) {
        matrix[f * k + g] += weight * (double)q[f] * (double)q[g];
      }
    }
  }
  return targets;
}

static double dot(const double *a, const double *b, int64_t k) {
  double sum = 0;

  for (int64_t f = 0; f < k; f++) {
    sum += a[f] * b[f];
  }
  return sum;
}

static void multiply(const double *x, int64_t k, double *out) {
  for (int64_t f = 0; f < k; f++) {
    out[f] = dot(matrix + f * k, x, k);
  }
}

// The textbook's; returns x A x - 2 x b.
static double descend_plainly(int64_t k, int64_t n_steps, double *x) {
  double r[MOST_K], p[MOST_K], q[MOST_K];

  multiply(x, k, q);
  for (int64_t f = 0; f < k; f++) {
    p[f] = r[f] = side[f] - q[f];
  }
  for (int64_t step = 0; step < n_steps; step++) {
    multiply(p, k, q);
    const double square = dot(r, r, k);
    const double length = square / dot(p, q, k);
    for (int64_t f = 0; f < k; f++) {
      x[f] += length * p[f];
      r[f] -= length * q[f];
    }
    const double ratio = dot(r, r, k) / square;
    for (int64_t f = 0; f < k; f++) {
      p[f] = r[f] + ratio * p[f];
    }
  }
  multiply(x, k, q);
  return dot(x, q, k) - 2 * dot(x, side, k);
}

static void check_row(const qn_als_kernels *kernels, int64_t k, int64_t n, int64_t n_steps) {
  const double alpha = 2.5;
  const qn_als_row row = {.factors = factors, .others = others, .ratings = ratings, .n = n, .penalty = 0.7F};
  qn_als_descent descent = {0};
  float x[MOST_K];
  double wanted[MOST_K];
  double largest = 0;

  fill(k, n);
  for (int64_t f = 0; f < k; f++) {
    x[f] = (float)next_number();
    wanted[f] = (double)x[f];
    largest = fmax(largest, fabs(wanted[f]));
  }
  QN_CHECK_OK(qn_als_descent_init(&descent, k, alpha, n_steps, &kit_error));
  descent.kernels = kernels;
  qn_als_descent_set_gram(&descent, gram);
  const double found_loss = qn_als_descend(&descent, &row, x);
  const double targets = make_system(&row, k, alpha);
  const double first_loss = targets + descend_plainly(k, 0, wanted);
  const double wanted_loss = targets + descend_plainly(k, n_steps, wanted);
  for (int64_t f = 0; f < k; f++) {
    largest = fmax(largest, fabs(wanted[f]));
  }
  for (int64_t f = 0; f < k; f++) {
    QN_CHECK_FLOAT((double)x[f], wanted[f], 1e-5 * largest);
  }
  QN_CHECK_FLOAT(found_loss, wanted_loss, 1e-5 * (targets + first_loss));
  qn_als_descent_release(&descent);
}

static void check_rows(const qn_als_kernels *kernels) {
  const int64_t ks[] = {1, 5, 16, 17, 32, 48, 63, 64, 70};
  const int64_t ns[] = {0, 1, 7, 8, 63, 64, 65, 200, MOST_RATINGS}; // the last is gathered in pieces

  for (size_t a = 0; a < sizeof ks / sizeof *ks; a++) {
    for (size_t b = 0; b < sizeof ns / sizeof *ns; b++) {
      check_row(kernels, ks[a], ns[b], 1);
      check_row(kernels, ks[a], ns[b], ks[a] < 3 ? ks[a] : 3); // the k-th step finds the solution
    }
  }
}

static void steps_are_those_of_the_textbook(void) {
  check_rows(&qn_als_plain_kernels);
}

static void avx512_takes_the_same_steps(void) {
  check_rows(qn_als_avx512_kernels());
}

// There is nothing left to go down: factors stay what they are, and are numbers.
static void many_steps_end_at_the_solution(void) {
  const int64_t k = 6;
  const qn_als_row row = {.factors = factors, .others = others, .ratings = ratings, .n = 40, .penalty = 0.7F};
  qn_als_descent descent = {0};
  float x[6] = {0};
  double q[6], wanted[6];

  fill(k, 40);
  QN_CHECK_OK(qn_als_descent_init(&descent, k, 1, 50, &kit_error));
  qn_als_descent_set_gram(&descent, gram);
  QN_CHECK(isfinite(qn_als_descend(&descent, &row, x)));
  make_system(&row, k, 1);
  for (int64_t f = 0; f < k; f++) {
    wanted[f] = (double)x[f];
  }
  multiply(wanted, k, q);
  for (int64_t f = 0; f < k; f++) {
    QN_CHECK_FLOAT(q[f], side[f], 1e-5 * fabs(side[0]));
  }
  qn_als_descent_release(&descent);
}

int main(void) {
  KIT_RUN(steps_are_those_of_the_textbook);
  if (qn_als_avx512_kernels() != NULL) { // else there are no loops for this processor
    KIT_RUN(avx512_takes_the_same_steps);
  }
  KIT_RUN(many_steps_end_at_the_solution);
  return kit_result();
}
