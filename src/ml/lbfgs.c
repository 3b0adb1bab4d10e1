// SPDX-License-Identifier: Apache-2.0
#include "ml/lbfgs.h"

#include <cblas.h>
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"

enum { MAX_TRIALS = 30 };
static const double DECREASE = 1e-4; // of the Wolfe conditions
static const double CURVATURE = 0.9;
// Values that differ by less, relatively, are alike, and slopes decide (Hager and Zhang, 2005): sums over
// rows are rounded, the more so where a column's mean is far from 0.
static const double VALUE_ROUNDING = 1e-10;

static double dot(const qn_lbfgs *solver, const double *a, const double *b) {
  return cblas_ddot((blasint)solver->problem.n, a, 1, b, 1);
}

static qn_status make_room(qn_lbfgs *solver, const qn_lbfgs_problem *problem, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = problem->n;

  *solver = (qn_lbfgs){.problem = *problem};
  if (solver->problem.history <= 0) {
    solver->problem.history = 10;
  }
  int64_t size = 0;
  int64_t pairs = 0;
  QN_TRY(qn_mul_size(n, 8, &size, err));
  QN_TRY(qn_mul_size(size, solver->problem.history, &pairs, err));
  solver->x = qn_memory_alloc(size);
  solver->gradient = qn_memory_alloc(size);
  solver->direction = qn_memory_alloc(size);
  solver->trial_x = qn_memory_alloc(size);
  solver->trial_gradient = qn_memory_alloc(size);
  solver->steps = qn_memory_alloc(pairs);
  solver->changes = qn_memory_alloc(pairs);
  solver->rhos = qn_memory_alloc(8 * solver->problem.history);
  solver->weights = qn_memory_alloc(8 * solver->problem.history);
  QN_REQUIRE(solver->x && solver->gradient && solver->direction && solver->trial_x &&
                 solver->trial_gradient && solver->steps && solver->changes && solver->rhos &&
                 solver->weights,
             err, QN_ERR_MEMORY, "out of memory for the solver's vectors of %lld values", (long long)n);
  memset(solver->steps, 0, (size_t)pairs); // all of it is saved
  memset(solver->changes, 0, (size_t)pairs);
  memset(solver->rhos, 0, (size_t)solver->problem.history * 8);

done:
  if (status) {
    qn_lbfgs_release(solver);
  }
  return status;
}

void qn_lbfgs_release(qn_lbfgs *solver) {
  qn_memory_free(solver->x);
  qn_memory_free(solver->gradient);
  qn_memory_free(solver->direction);
  qn_memory_free(solver->trial_x);
  qn_memory_free(solver->trial_gradient);
  qn_memory_free(solver->steps);
  qn_memory_free(solver->changes);
  qn_memory_free(solver->rhos);
  qn_memory_free(solver->weights);
  *solver = (qn_lbfgs){0};
}

// The gradient's norm as the preconditioner measures it. Uses `direction` as room.
static double norm_of_gradient(qn_lbfgs *solver) {
  if (solver->problem.precondition) {
    memcpy(solver->direction, solver->gradient, (size_t)solver->problem.n * 8);
    solver->problem.precondition(solver->problem.context, solver->direction);
    return sqrt(fmax(0, dot(solver, solver->gradient, solver->direction)));
  }
  return sqrt(dot(solver, solver->gradient, solver->gradient));
}

qn_status qn_lbfgs_start(qn_lbfgs *solver, const qn_lbfgs_problem *problem, const double *x, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(make_room(solver, problem, err));
  memcpy(solver->x, x, (size_t)problem->n * 8);
  QN_TRY(problem->evaluate(problem->context, solver->x, &solver->value, solver->gradient, err));
  solver->n_evaluations = 1;
  solver->gradient_norm = norm_of_gradient(solver);
  solver->first_norm = solver->gradient_norm;

done:
  return status;
}

qn_lbfgs_end qn_lbfgs_state(const qn_lbfgs *solver) {
  return solver->gradient_norm <= solver->problem.tolerance * solver->first_norm ? QN_LBFGS_CONVERGED
                                                                                 : QN_LBFGS_GOES_ON;
}

// direction = - (inverse Hessian, as the pairs have it) gradient.
static void find_direction(qn_lbfgs *solver) {
  const blasint n = (blasint)solver->problem.n;
  const int history = solver->problem.history;
  double *d = solver->direction;
  double scale = 1;

  for (int64_t i = 0; i < solver->problem.n; i++) {
    d[i] = -solver->gradient[i];
  }
  for (int i = 0; i < solver->n_pairs; i++) {
    const int pair = (solver->newest - i + history) % history;
    const double weight = solver->rhos[pair] * cblas_ddot(n, solver->steps + (int64_t)pair * n, 1, d, 1);
    solver->weights[pair] = weight;
    cblas_daxpy(n, -weight, solver->changes + (int64_t)pair * n, 1, d, 1);
  }
  if (solver->n_pairs > 0) { // scaled to agree with the newest pair
    const double *change = solver->changes + (int64_t)solver->newest * n;
    double *room = solver->trial_x;
    memcpy(room, change, (size_t)n * 8);
    if (solver->problem.precondition) {
      solver->problem.precondition(solver->problem.context, room);
    }
    scale = 1 / (solver->rhos[solver->newest] * cblas_ddot(n, change, 1, room, 1));
  }
  if (solver->problem.precondition) {
    solver->problem.precondition(solver->problem.context, d);
  }
  cblas_dscal(n, scale, d, 1);
  for (int i = solver->n_pairs - 1; i >= 0; i--) {
    const int pair = (solver->newest - i + history) % history;
    const double weight = solver->rhos[pair] * cblas_ddot(n, solver->changes + (int64_t)pair * n, 1, d, 1);
    cblas_daxpy(n, solver->weights[pair] - weight, solver->steps + (int64_t)pair * n, 1, d, 1);
  }
}

typedef struct trial {
  double step, value, slope;
} trial;

static qn_status try_step(qn_lbfgs *solver, double step, trial *out, qn_error *err) {
  qn_status status = QN_OK;

  for (int64_t i = 0; i < solver->problem.n; i++) {
    solver->trial_x[i] = solver->x[i] + step * solver->direction[i];
  }
  QN_TRY(solver->problem.evaluate(solver->problem.context, solver->trial_x, &out->value,
                                  solver->trial_gradient, err));
  solver->n_evaluations++;
  out->step = step;
  out->slope = dot(solver, solver->trial_gradient, solver->direction);

done:
  return status;
}

// Where the cubic through two trials has its least value, kept away from both ends.
static double step_between(const trial *a, const trial *b) {
  const double width = b->step - a->step;
  const double d1 = a->slope + b->slope - 3 * (a->value - b->value) / (a->step - b->step);
  const double square = d1 * d1 - a->slope * b->slope;
  double share = 0.5;

  if (square >= 0) {
    const double d2 = copysign(sqrt(square), width);
    share = 1 - (b->slope + d2 - d1) / (b->slope - a->slope + 2 * d2);
  }
  if (!(share >= 0.1)) { // NaN too
    share = isnan(share) ? 0.5 : 0.1;
  }
  return a->step + fmin(share, 0.9) * width;
}

// A step along `direction` that fulfils the strong Wolfe conditions; trial_x and trial_gradient are there
// then. out->step is 0 if no step lowers the value.
static qn_status search_line(qn_lbfgs *solver, double slope, double first_step, trial *out, qn_error *err) {
  qn_status status = QN_OK;
  const double rounding = VALUE_ROUNDING * fabs(solver->value);
  trial low = {0, solver->value, slope};
  trial high = {0};
  bool is_bracketed = false;
  double step = first_step;
  trial now = {0};

  for (int i = 0; i < MAX_TRIALS; i++) {
    QN_TRY(try_step(solver, step, &now, err));
    const bool is_finite = isfinite(now.value) && isfinite(now.slope);
    if (!is_finite || now.value > solver->value + DECREASE * step * slope + rounding ||
        now.value > low.value + rounding) {
      high = now;
      is_bracketed = true;
      step = is_finite ? step_between(&low, &high) : low.step + 0.1 * (high.step - low.step);
      continue;
    }
    if (fabs(now.slope) <= -CURVATURE * slope) {
      *out = now;
      goto done;
    }
    if (is_bracketed ? now.slope * (high.step - low.step) >= 0 : now.slope >= 0) {
      high = low;
      is_bracketed = true;
    }
    low = now;
    step = is_bracketed ? step_between(&low, &high) : 4 * step;
  }
  *out = (trial){0};
  if (low.step > 0) { // lower, if not as flat as wished
    QN_TRY(try_step(solver, low.step, out, err));
  }

done:
  return status;
}

static void keep_pair(qn_lbfgs *solver) {
  const int64_t n = solver->problem.n;
  const int slot = solver->n_pairs == 0 ? 0 : (solver->newest + 1) % solver->problem.history;
  double *s = solver->steps + slot * n;
  double *y = solver->changes + slot * n;

  for (int64_t i = 0; i < n; i++) {
    s[i] = solver->trial_x[i] - solver->x[i];
    y[i] = solver->trial_gradient[i] - solver->gradient[i];
  }
  const double product = dot(solver, s, y);
  if (product > 1e-16 * sqrt(dot(solver, s, s) * dot(solver, y, y))) {
    solver->rhos[slot] = 1 / product;
    solver->newest = slot;
    solver->n_pairs += solver->n_pairs < solver->problem.history;
  } else if (solver->n_pairs == solver->problem.history) {
    solver->n_pairs--; // the oldest, which lay there
  }
}

qn_status qn_lbfgs_step(qn_lbfgs *solver, qn_lbfgs_end *end, qn_error *err) {
  qn_status status = QN_OK;
  trial found = {0};
  double slope = 0;
  const size_t size = (size_t)solver->problem.n * 8;

  for (;;) { // a second time along the plain gradient if the pairs lead nowhere
    find_direction(solver);
    slope = dot(solver, solver->gradient, solver->direction);
    const double first_step = solver->n_pairs == 0 && !solver->problem.precondition
                                  ? fmin(1, 1 / sqrt(dot(solver, solver->gradient, solver->gradient)))
                                  : 1;
    found = (trial){0};
    if (slope < 0) {
      QN_TRY(search_line(solver, slope, first_step, &found, err));
    }
    if (found.step > 0 || solver->n_pairs == 0) {
      break;
    }
    solver->n_pairs = 0;
  }
  if (found.step == 0) {
    *end = slope > -1e-13 * fabs(solver->value) ? QN_LBFGS_CONVERGED : QN_LBFGS_STUCK;
    goto done;
  }
  keep_pair(solver);
  memcpy(solver->x, solver->trial_x, size);
  memcpy(solver->gradient, solver->trial_gradient, size);
  solver->value = found.value;
  solver->gradient_norm = norm_of_gradient(solver);
  *end = qn_lbfgs_state(solver);

done:
  return status;
}

qn_status qn_lbfgs_save(const qn_lbfgs *solver, qn_arrays *state, qn_error *err) {
  qn_status status = QN_OK;
  const double numbers[] = {solver->value, solver->gradient_norm, solver->first_norm};
  const int64_t counts[] = {solver->n_evaluations, solver->n_pairs, solver->newest};
  const int64_t n = solver->problem.n;
  const int history = solver->problem.history;

  QN_TRY(qn_arrays_put(state, "x", QN_FLOAT64, n, solver->x, err));
  QN_TRY(qn_arrays_put(state, "gradient", QN_FLOAT64, n, solver->gradient, err));
  QN_TRY(qn_arrays_put(state, "numbers", QN_FLOAT64, 3, numbers, err));
  QN_TRY(qn_arrays_put(state, "counts", QN_INT64, 3, counts, err));
  QN_TRY(qn_arrays_put_matrix(state, "steps", QN_FLOAT64, history, n, solver->steps, err));
  QN_TRY(qn_arrays_put_matrix(state, "changes", QN_FLOAT64, history, n, solver->changes, err));
  QN_TRY(qn_arrays_put(state, "rhos", QN_FLOAT64, history, solver->rhos, err));

done:
  return status;
}

qn_status qn_lbfgs_load(qn_lbfgs *solver, const qn_lbfgs_problem *problem, const qn_arrays *state,
                        qn_error *err) {
  qn_status status = QN_OK;
  const double *numbers = NULL;
  const int64_t *counts = NULL;
  const double *x = NULL;
  const double *gradient = NULL;
  const double *steps = NULL;
  const double *changes = NULL;
  const double *rhos = NULL;
  const int64_t n = problem->n;

  QN_TRY(make_room(solver, problem, err));
  QN_TRY(qn_arrays_get(state, "x", QN_FLOAT64, 1, &n, (const void **)&x, err));
  QN_TRY(qn_arrays_get(state, "gradient", QN_FLOAT64, 1, &n, (const void **)&gradient, err));
  QN_TRY(qn_arrays_get(state, "numbers", QN_FLOAT64, 1, (int64_t[]){3}, (const void **)&numbers, err));
  QN_TRY(qn_arrays_get(state, "counts", QN_INT64, 1, (int64_t[]){3}, (const void **)&counts, err));
  const int history = solver->problem.history;
  QN_REQUIRE(counts[1] >= 0 && counts[1] <= history && counts[2] >= 0 && counts[2] < history, err,
             QN_ERR_FORMAT, "the checkpoint says that the solver has %lld pairs, but it keeps %d",
             (long long)counts[1], history);
  const int64_t dims[] = {history, n};
  QN_TRY(qn_arrays_get(state, "steps", QN_FLOAT64, 2, dims, (const void **)&steps, err));
  QN_TRY(qn_arrays_get(state, "changes", QN_FLOAT64, 2, dims, (const void **)&changes, err));
  QN_TRY(qn_arrays_get(state, "rhos", QN_FLOAT64, 1, (int64_t[]){history}, (const void **)&rhos, err));
  memcpy(solver->x, x, (size_t)n * 8);
  memcpy(solver->gradient, gradient, (size_t)n * 8);
  memcpy(solver->steps, steps, (size_t)(history * n) * 8);
  memcpy(solver->changes, changes, (size_t)(history * n) * 8);
  memcpy(solver->rhos, rhos, (size_t)history * 8);
  solver->value = numbers[0];
  solver->gradient_norm = numbers[1];
  solver->first_norm = numbers[2];
  solver->n_evaluations = counts[0];
  solver->n_pairs = (int)counts[1];
  solver->newest = (int)counts[2];

done:
  return status;
}
