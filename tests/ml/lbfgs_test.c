// SPDX-License-Identifier: Apache-2.0
// The solver on functions whose minimum is known, and the loops that it is fed by against libm.
#include <math.h>
#include "kit/kit.h"
#include "ml/lbfgs.h"
#include "ml/linear_losses.h"

enum { N = 10 };

// Rosenbrock's valley in N dimensions: the minimum is 0 at (1, ..., 1).
static qn_status valley(void *context, const double *x, double *value, double *gradient, qn_error *err) {
  (void)err;
  *value = 0;
  memset(gradient, 0, N * sizeof *gradient);
  for (int i = 0; i + 1 < N; i++) {
    const double a = x[i + 1] - x[i] * x[i];
    const double b = 1 - x[i];
    *value += 100 * a * a + b * b;
    gradient[i] += -400 * a * x[i] - 2 * b;
    gradient[i + 1] += 200 * a;
  }
  ++*(int *)context;
  return QN_OK;
}

static const double start[N] = {-1.2, 1, -1.2, 1, -1.2, 1, -1.2, 1, -1.2, 1};

static qn_lbfgs_problem valley_problem(int *n_calls) {
  return (qn_lbfgs_problem){.n = N, .tolerance = 1e-10, .context = n_calls, .evaluate = valley};
}

static void it_finds_the_end_of_a_curved_valley(void) {
  int n_calls = 0;
  const qn_lbfgs_problem problem = valley_problem(&n_calls);
  qn_lbfgs solver = {0};
  qn_lbfgs_end end = QN_LBFGS_GOES_ON;

  QN_CHECK_OK(qn_lbfgs_start(&solver, &problem, start, &kit_error));
  for (int i = 0; i < 500 && end == QN_LBFGS_GOES_ON; i++) {
    const double before = solver.value;
    QN_CHECK_OK(qn_lbfgs_step(&solver, &end, &kit_error));
    QN_CHECK(solver.value <= before);
  }
  QN_CHECK_INT(end, QN_LBFGS_CONVERGED);
  QN_CHECK_INT(solver.n_evaluations, n_calls);
  QN_CHECK(n_calls < 300);
  for (int i = 0; i < N; i++) {
    QN_CHECK_FLOAT(solver.x[i], 1.0, 1e-7);
  }
  qn_lbfgs_release(&solver);
}

static void it_goes_on_from_saved_state_to_the_bit(void) {
  int n_calls = 0;
  const qn_lbfgs_problem problem = valley_problem(&n_calls);
  qn_lbfgs_end end = QN_LBFGS_GOES_ON;
  qn_lbfgs plain = {0};
  qn_lbfgs other = {0};
  qn_arrays state = {0};

  QN_CHECK_OK(qn_lbfgs_start(&plain, &problem, start, &kit_error));
  for (int i = 0; i < 60; i++) {
    if (i % 7 == 3) { // before and after all pairs are there
      qn_arrays_release(&state);
      QN_CHECK_OK(qn_lbfgs_save(&plain, &state, &kit_error));
      qn_lbfgs_release(&other);
      QN_CHECK_OK(qn_lbfgs_load(&other, &problem, &state, &kit_error));
    }
    QN_CHECK_OK(qn_lbfgs_step(&plain, &end, &kit_error));
    if (i >= 3) {
      QN_CHECK_OK(qn_lbfgs_step(&other, &end, &kit_error));
      QN_CHECK_INT(memcmp(plain.x, other.x, sizeof start), 0);
    }
  }
  qn_arrays_release(&state);
  qn_lbfgs_release(&plain);
  qn_lbfgs_release(&other);
}

// sum_i 10^i (x_i - i)^2, hopeless without its scales.
static qn_status bowl(void *context, const double *x, double *value, double *gradient, qn_error *err) {
  (void)context;
  (void)err;
  *value = 0;
  for (int i = 0; i < N; i++) {
    const double scale = pow(10, i);
    *value += scale * (x[i] - i) * (x[i] - i);
    gradient[i] = 2 * scale * (x[i] - i);
  }
  return QN_OK;
}

static void divide_by_scales(void *context, double *vector) {
  (void)context;
  for (int i = 0; i < N; i++) {
    vector[i] /= 2 * pow(10, i);
  }
}

static void a_preconditioner_that_is_the_inverse_makes_it_one_step(void) {
  const qn_lbfgs_problem problem = {
      .n = N, .tolerance = 1e-10, .evaluate = bowl, .precondition = divide_by_scales};
  qn_lbfgs solver = {0};
  qn_lbfgs_end end = QN_LBFGS_GOES_ON;

  QN_CHECK_OK(qn_lbfgs_start(&solver, &problem, start, &kit_error));
  QN_CHECK_OK(qn_lbfgs_step(&solver, &end, &kit_error));
  QN_CHECK_INT(end, QN_LBFGS_CONVERGED);
  QN_CHECK_INT(solver.n_evaluations, 2);
  qn_lbfgs_release(&solver);
}

static void exponentials_are_right_to_two_units(void) {
  enum { N_VALUES = 100003 };
  static double values[N_VALUES];

  for (int i = 0; i < N_VALUES; i++) {
    values[i] = -700.0 * i / N_VALUES * (i % 3 == 0 ? 1e-3 : 1.0);
  }
  qn_exp_all(values, N_VALUES);
  double worst = 0;
  for (int i = 0; i < N_VALUES; i++) {
    const double right = exp(-700.0 * i / N_VALUES * (i % 3 == 0 ? 1e-3 : 1.0));
    worst = fmax(worst, fabs(values[i] - right) / right);
  }
  QN_CHECK_FLOAT(worst, 0.0, 4.5e-16);
  double ends[] = {0, -1e300, -INFINITY, -745.2};
  qn_exp_all(ends, 4);
  QN_CHECK(ends[0] == 1 && ends[1] < 1e-300 && ends[2] < 1e-300 && ends[3] < 1e-300);
}

static void logistic_losses_are_right_at_all_sizes(void) {
  for (double m = -800; m <= 800; m += m > -40 && m < 40 ? 0.01 : 7) {
    for (int y = 0; y < 2; y++) {
      double margin = m;
      const double label = y;
      const double towards = y == 1 ? m : -m;
      const double right = towards > 0 ? log1p(exp(-towards)) : -towards + log1p(exp(towards));
      const double loss = qn_linear_loss_rows(QN_LOSS_LOGISTIC, 1, 1, &label, NULL, &margin);
      QN_CHECK_FLOAT(loss, right, 1e-15 * right + 1e-300);
      QN_CHECK_FLOAT(margin, 1 / (1 + exp(-m)) - y, 3e-16);
    }
  }
}

static void products_of_rows_are_right_for_all_shapes(void) {
  static double x[11 * 37], b[37], r[11], margins[11], gradient[37];

  for (int i = 0; i < 11 * 37; i++) {
    x[i] = (i * 7919) % 101 - 50;
    b[i % 37] = i % 13 - 6;
    r[i % 11] = i % 5 - 2;
  }
  for (int n_rows = 0; n_rows <= 11; n_rows++) {
    for (int n = 1; n <= 37; n++) {
      memset(gradient, 0, sizeof gradient);
      qn_rows_times_vector(x, n_rows, n, b, 2, margins);
      qn_rows_add_transposed(x, n_rows, n, r, gradient);
      for (int i = 0; i < n_rows; i++) {
        double sum = 2;
        for (int j = 0; j < n; j++) {
          sum += x[i * n + j] * b[j];
          gradient[j] -= x[i * n + j] * r[i];
        }
        QN_CHECK_FLOAT(margins[i], sum, 0.0);
      }
      for (int j = 0; j < n; j++) {
        QN_CHECK_FLOAT(gradient[j], 0.0, 0.0);
      }
    }
  }
}

int main(void) {
  KIT_RUN(it_finds_the_end_of_a_curved_valley);
  KIT_RUN(it_goes_on_from_saved_state_to_the_bit);
  KIT_RUN(a_preconditioner_that_is_the_inverse_makes_it_one_step);
  KIT_RUN(exponentials_are_right_to_two_units);
  KIT_RUN(logistic_losses_are_right_at_all_sizes);
  KIT_RUN(products_of_rows_are_right_for_all_shapes);
  return kit_result();
}
