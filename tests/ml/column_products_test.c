// SPDX-License-Identifier: Apache-2.0
// Products of columns against plain loops, for numbers of columns with whole vectors and without, and for few
// rows. Where the processor lacks what they are written for, they must say that they do not pay.
#include <math.h>
#include <string.h>
#include "kit/kit.h"
#include "ml/column_products.h"

enum { MOST_ROWS = 70, MOST_COLUMNS = 256 };

static double x[MOST_ROWS * MOST_COLUMNS], found[MOST_COLUMNS * MOST_COLUMNS];

static double next_number(void) {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (double)(state >> 11) / (double)(1ull << 52) - 1; // -1 .. 1
}

static double plain(int64_t n_rows, int n_columns, int i, int j) {
  double sum = 0;
  for (int64_t row = 0; row < n_rows; row++) {
    sum += x[row * n_columns + i] * x[row * n_columns + j];
  }
  return sum;
}

static void check(int64_t n_rows, int n_columns) {
  for (int64_t i = 0; i < n_rows * n_columns; i++) {
    x[i] = next_number();
  }
  for (int64_t i = 0; i < (int64_t)n_columns * n_columns; i++) {
    found[i] = 0.5; // it adds
  }
  qn_column_products_add(x, n_rows, n_columns, x, n_rows * n_columns * 8, found);
  double worst = 0;
  for (int i = 0; i < n_columns; i++) {
    for (int j = i; j < n_columns; j++) {
      worst = fmax(worst, fabs(found[i * n_columns + j] - 0.5 - plain(n_rows, n_columns, i, j)));
    }
  }
  QN_CHECK_FLOAT(worst, 0.0, 1e-13 * (double)(n_rows + 1));
}

static void products_are_those_of_plain_loops(void) {
  for (int n_columns = 1; n_columns <= MOST_COLUMNS; n_columns += n_columns < 40 ? 1 : 27) {
    if (qn_column_products_pay(n_columns)) {
      check(0, n_columns);
      check(1, n_columns);
      check(MOST_ROWS, n_columns);
    }
  }
}

static void many_columns_are_for_blas(void) {
  QN_CHECK(!qn_column_products_pay(100000));
}

int main(void) {
  KIT_RUN(products_are_those_of_plain_loops);
  KIT_RUN(many_columns_are_for_blas);
  return kit_result();
}
