// SPDX-License-Identifier: Apache-2.0
// Rows through weights, losses and gradient at once, against plain loops. Where the processor lacks what that
// is written for, it must say that it does not pay.
#include <math.h>
#include <stdlib.h>
#include "kit/kit.h"
#include "ml/few_outputs.h"

enum { MOST_ROWS = 150, MOST_COLUMNS = 400, MOST_OUTPUTS = 23 };

typedef struct shape {
  int n_rows, n_columns, n_outputs;
  bool has_weights, is_float32;
  qn_linear_loss loss;
} shape;

static double x[MOST_ROWS * MOST_COLUMNS], b[MOST_COLUMNS * MOST_OUTPUTS], intercept[MOST_OUTPUTS];
static double y[MOST_ROWS], w[MOST_ROWS];
static float x32[MOST_ROWS * MOST_COLUMNS];
static double found[(MOST_COLUMNS + 1) * MOST_OUTPUTS + 1], wanted[(MOST_COLUMNS + 1) * MOST_OUTPUTS + 1];

static double next_number(void) {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (double)(state >> 11) / (double)(1ull << 52) - 1; // -1 .. 1
}

static void fill(const shape *s) {
  for (int i = 0; i < s->n_rows * s->n_columns; i++) {
    x32[i] = (float)next_number();
    x[i] = s->is_float32 ? (double)x32[i] : next_number();
  }
  for (int i = 0; i < s->n_columns * s->n_outputs; i++) {
    b[i] = 2 * next_number();
  }
  for (int k = 0; k < s->n_outputs; k++) {
    intercept[k] = 3 * next_number();
  }
  for (int row = 0; row < s->n_rows; row++) {
    y[row] = floor((next_number() + 1) / 2 * s->n_outputs);
    w[row] = s->has_weights ? next_number() + 1 : 1;
  }
}

// The loss of one row, and its derivatives in place of the margins.
static double plain_softmax(int n, int own, double *m) {
  double most = m[0];
  double sum = 0;
  for (int k = 1; k < n; k++) {
    most = fmax(most, m[k]);
  }
  const double of_own = m[own] - most;
  for (int k = 0; k < n; k++) {
    m[k] = exp(m[k] - most);
    sum += m[k];
  }
  for (int k = 0; k < n; k++) {
    m[k] = m[k] / sum - (k == own);
  }
  return log(sum) - of_own;
}

static double plain_hinge(int n, int own, double *m) {
  double loss = 0;
  for (int k = 0; k < n; k++) {
    const double t = k == own ? 1 : -1;
    const double gap = fmax(0, 1 - t * m[k]);
    loss += gap * gap;
    m[k] = -2 * t * gap;
  }
  return loss;
}

static void add_plain(const shape *s) {
  const int n = s->n_outputs;
  double m[MOST_OUTPUTS];

  for (int row = 0; row < s->n_rows; row++) {
    for (int k = 0; k < n; k++) {
      m[k] = intercept[k];
      for (int j = 0; j < s->n_columns; j++) {
        m[k] += x[row * s->n_columns + j] * b[j * n + k];
      }
    }
    const double loss =
        s->loss == QN_LOSS_SOFTMAX ? plain_softmax(n, (int)y[row], m) : plain_hinge(n, (int)y[row], m);
    wanted[(s->n_columns + 1) * n] += w[row] * loss;
    for (int k = 0; k < n; k++) {
      for (int j = 0; j < s->n_columns; j++) {
        wanted[j * n + k] += w[row] * m[k] * x[row * s->n_columns + j];
      }
      wanted[s->n_columns * n + k] += w[row] * m[k];
    }
  }
}

static void check(const shape *s) {
  const int n_sums = (s->n_columns + 1) * s->n_outputs + 1;
  const qn_row_block block = {.n_rows = s->n_rows,
                              .n_columns = s->n_columns,
                              .x = s->is_float32 ? NULL : x,
                              .x32 = s->is_float32 ? x32 : NULL,
                              .y = y,
                              .w = s->has_weights ? w : NULL};
  qn_few_outputs few = {0};

  fill(s);
  for (int i = 0; i < n_sums; i++) {
    found[i] = wanted[i] = i; // it adds to what is there
  }
  QN_CHECK_OK(qn_few_outputs_new(s->n_columns, s->n_outputs, &few, &kit_error));
  qn_few_outputs_set(&few, b, intercept);
  qn_few_outputs_add(&few, s->loss, &block, found);
  qn_few_outputs_release(&few);
  add_plain(s);
  for (int i = 0; i < n_sums; i++) {
    QN_CHECK_FLOAT(found[i], wanted[i], 1e-11 * (1 + fabs(wanted[i]) + s->n_rows));
  }
}

static void sums_are_right_for_all_shapes(void) {
  const int rows[] = {1, 7, 8, 17, 64, 150};
  const int columns[] = {1, 3, 7, 8, 9, 31, 33, 100, 400};
  const int outputs[] = {2, 3, 4, 5, 6, 7, 10, 11, 23};
  int n = 0;

  for (int i = 0; i < 6; i++) {
    for (int j = 0; j < 9; j++) {
      for (int k = 0; k < 9; k++, n++) {
        check(&(shape){.n_rows = rows[i],
                       .n_columns = columns[j],
                       .n_outputs = outputs[k],
                       .has_weights = n % 2 == 1,
                       .is_float32 = n % 3 == 1,
                       .loss = n % 5 < 3 ? QN_LOSS_SOFTMAX : QN_LOSS_SQUARED_HINGE});
      }
    }
  }
}

// Probabilities of 1 and 0, and margins of which no power can be taken without their largest.
static void far_margins_are_right(void) {
  const shape s = {.n_rows = 3, .n_columns = 1, .n_outputs = 3, .loss = QN_LOSS_SOFTMAX};
  const qn_row_block block = {.n_rows = 3, .n_columns = 1, .x = x, .y = y};
  double sums[7] = {0};
  qn_few_outputs few = {0};

  x[0] = 1, x[1] = 2, x[2] = -1;
  y[0] = 0, y[1] = 1, y[2] = 2;
  QN_CHECK_OK(qn_few_outputs_new(s.n_columns, s.n_outputs, &few, &kit_error));
  qn_few_outputs_set(&few, (double[]){1000, 0, -1000}, (double[]){0, 0, 0});
  qn_few_outputs_add(&few, s.loss, &block, sums);
  QN_CHECK_FLOAT(sums[6], 2000.0, 0.0); // the second row's class has e^-2000
  QN_CHECK_FLOAT(sums[0], 2.0, 0.0);
  QN_CHECK_FLOAT(sums[1], -2.0, 0.0);
  QN_CHECK_FLOAT(sums[2], 0.0, 0.0);
  qn_few_outputs_release(&few);
}

static void it_pays_for_few_outputs_only(void) {
  QN_CHECK(!qn_few_outputs_pays(100, 1));
  QN_CHECK(!qn_few_outputs_pays(100, 1000));
  QN_CHECK(!qn_few_outputs_pays(1 << 20, 10));
}

int main(void) {
  KIT_RUN(it_pays_for_few_outputs_only);
  if (qn_few_outputs_pays(100, 10)) { // else there are no loops for this processor
    KIT_RUN(sums_are_right_for_all_shapes);
    KIT_RUN(far_margins_are_right);
  }
  return kit_result();
}
