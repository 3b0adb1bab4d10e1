// SPDX-License-Identifier: Apache-2.0
// Products of thin matrices against plain loops, in all the ways they can lie.
#include <math.h>
#include "kit/kit.h"
#include "ml/thin_products.h"

enum { MOST = 600 * 150 };

static float a[MOST], b[MOST], c[MOST + 1], before[MOST];

static float next_number(void) {
  static uint64_t state = 7;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (float)(state >> 40) / (float)(1u << 23) - 1; // -1 .. 1
}

static double plain(const qn_thin_product *p, int64_t row, int64_t column) {
  double sum = p->adds ? (double)before[row * p->n_columns + column] : 0;
  for (int64_t term = 0; term < p->n_terms; term++) {
    const int64_t at_a = p->a_is_transposed ? term * p->n_rows + row : row * p->n_terms + term;
    const int64_t at_b = p->b_is_transposed ? column * p->n_terms + term : term * p->n_columns + column;
    sum += (double)p->a[at_a] * (double)p->b[at_b];
  }
  return sum;
}

static void check(const qn_thin_product *p) {
  for (int64_t i = 0; i < MOST; i++) { // what does not belong to the matrices must not be looked at
    a[i] = i < p->n_rows * p->n_terms ? next_number() : NAN;
    b[i] = i < p->n_terms * p->n_columns ? next_number() : NAN;
    c[i] = before[i] = p->adds && i < p->n_rows * p->n_columns ? next_number() : NAN;
  }
  c[p->n_rows * p->n_columns] = 17;
  qn_thin_multiply(p);
  QN_CHECK_FLOAT((double)c[p->n_rows * p->n_columns], 17.0, 0.0);
  for (int64_t row = 0; row < p->n_rows; row++) {
    for (int64_t column = 0; column < p->n_columns; column++) {
      QN_CHECK_FLOAT((double)c[row * p->n_columns + column], plain(p, row, column),
                     1e-6 * sqrt((double)p->n_terms) * 4);
    }
  }
}

static void products_are_right_in_all_ways_of_lying(void) {
  const int64_t sizes[][3] = {{1, 1, 1},      {16, 1, 1},    {17, 16, 15},  {18, 17, 16},
                              {19, 63, 33},   {20, 64, 128}, {21, 65, 129}, {128, 100, 10},
                              {37, 145, 300}, {600, 20, 16}, {5, 70, 130},  {16, 31, 600}};

  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    for (int way = 0; way < 8; way++) {
      check(&(qn_thin_product){.n_rows = sizes[i][0],
                               .n_columns = sizes[i][1],
                               .n_terms = sizes[i][2],
                               .a = a,
                               .b = b,
                               .c = c,
                               .a_is_transposed = (way & 1) != 0,
                               .b_is_transposed = (way & 2) != 0,
                               .adds = (way & 4) != 0});
    }
  }
}

int main(void) {
  KIT_RUN(products_are_right_in_all_ways_of_lying);
  return kit_result();
}
