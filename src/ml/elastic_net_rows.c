// SPDX-License-Identifier: Apache-2.0
// Lasso and elastic net with very many columns, of which few will not be 0. A pass over the rows gives the
// slope at each column, and so the duality gap and which zeros should be none. The products of these columns
// and of those that are not 0 take another pass; coordinate descent among them costs none (working sets as in
// Massias, Gramfort and Salmon, 2018). Where they are too many for that, a pass makes one step of accelerated
// proximal gradients in the metric of the columns' variances (Beck and Teboulle, 2009), restarted where it
// goes astray (O'Donoghue and Candes, 2015). Slopes are linear in b, so that both need one pass only.
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "ml/elastic_net.h"
#include "ml/linear_objective.h"

enum { MAX_WORKING = 4000, MAX_WORKING_EXACT = 2000, LEAST_WORKING = 256, SWEEPS = 10, MAX_ROUNDS = 10 };

typedef struct net {
  qn_fit_state *fit;
  qn_linear_objective rows; // squared errors, with their gradient
  int n, n_values;          // columns; and with the intercept
  double l1, l2, label_square, objective, gap, flops;
  double *b, *previous;             // [n_values]; before the last accelerated step
  double *slopes, *previous_slopes; // [n] means of x (y - x b)
  double *label;                    // [n] slopes at 0
  double *room, *gradient;          // [n_values]
  double momentum, curvature;       // of accelerated steps
  int64_t n_sweeps;
  // The columns whose products are there.
  int most_working, n_working;
  int *working; // [most_working], ascending
  bool *is_working;
  double *matrix; // [n_working, n_working]
} net;

static void release(net *s) {
  qn_linear_objective_release(&s->rows);
  qn_memory_free(s->b);
  qn_memory_free(s->previous);
  qn_memory_free(s->slopes);
  qn_memory_free(s->previous_slopes);
  qn_memory_free(s->label);
  qn_memory_free(s->room);
  qn_memory_free(s->gradient);
  qn_memory_free(s->working);
  qn_memory_free(s->is_working);
  qn_memory_free(s->matrix);
}

// A pass over the rows: slopes [n] at b [n_values], and the mean square of what is left of the label.
static qn_status pass(net *s, const double *b, double *slopes, double *residual, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_linear_evaluate(&s->rows, b, residual, s->gradient, err));
  for (int j = 0; j < s->n; j++) {
    slopes[j] = -0.5 * s->gradient[j];
  }
  s->flops += s->rows.flops;

done:
  return status;
}

static void measure(net *s, double residual) {
  qn_net_point point = {.residual = residual,
                        .label_square = s->label_square,
                        .b_label = cblas_ddot(s->n, s->b, 1, s->label, 1),
                        .one_norm = cblas_dasum(s->n, s->b, 1),
                        .square_norm = cblas_ddot(s->n, s->b, 1, s->b, 1)};

  for (int j = 0; j < s->n; j++) {
    point.steepest = fmax(point.steepest, fabs(s->slopes[j] - s->l2 * s->b[j]));
  }
  s->gap = qn_net_gap(&point, s->l1, s->l2, &s->objective);
}

static qn_status make_room(net *s, double *start, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t size = 8 * (int64_t)s->n_values;

  s->b = start;
  s->previous = qn_memory_alloc(size);
  s->slopes = qn_memory_alloc(size);
  s->previous_slopes = qn_memory_alloc(size);
  s->label = qn_memory_alloc(size);
  s->room = qn_memory_alloc(size);
  s->gradient = qn_memory_alloc(size);
  s->is_working = qn_memory_alloc(s->n);
  s->working = qn_memory_alloc((int64_t)sizeof *s->working * s->most_working);
  QN_REQUIRE(s->previous && s->slopes && s->previous_slopes && s->label && s->room && s->gradient &&
                 s->is_working && s->working,
             err, QN_ERR_MEMORY, "out of memory for %d coefficients", s->n);
  memset(s->is_working, 0, (size_t)s->n);
  memcpy(s->room, s->b, (size_t)size);
  memcpy(s->previous, s->b, (size_t)size);

done:
  return status;
}

// --- Working sets ----------------------------------------------------------------------------------------

// By how much the objective falls if this coefficient alone leaves 0; 0: it is not 0, or should stay so.
static double gain_of(const net *s, int j) {
  const double variance = s->rows.gram.variance[j];
  const double over = fabs(s->slopes[j]) - s->l1;

  return s->b[j] != 0 || variance == 0 || over <= 0 ? 0 : over * over / (2 * (variance + s->l2));
}

typedef struct candidate {
  double gain;
  int column;
} candidate;

static int by_gain(const void *left, const void *right) {
  const candidate *a = left;
  const candidate *b = right;
  return a->gain != b->gain ? (a->gain < b->gain ? 1 : -1)
                            : (a->column > b->column) - (a->column < b->column);
}

// What is not 0, and behind it zeros that should be none.
typedef struct counts {
  int n_used, n_wanted;
  bool are_working; // all of them are
} counts;

static counts count(const net *s) {
  counts found = {.are_working = s->n_working > 0};

  for (int j = 0; j < s->n; j++) {
    const bool is_wanted = gain_of(s, j) > 0;
    found.n_used += s->b[j] != 0;
    found.n_wanted += is_wanted;
    found.are_working = found.are_working && (s->is_working[j] || (s->b[j] == 0 && !is_wanted));
  }
  return found;
}

static qn_status take_products(net *s, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = s->n_working;

  qn_memory_free(s->matrix);
  s->matrix = qn_memory_alloc(8 * n * n);
  QN_REQUIRE(s->matrix, err, QN_ERR_MEMORY, "out of memory for the products of %lld columns", (long long)n);
  memset(s->is_working, 0, (size_t)s->n);
  for (int i = 0; i < s->n_working; i++) {
    s->is_working[s->working[i]] = true;
  }
  QN_TRY(qn_gram_of_some(s->fit, &s->rows.gram, s->working, s->n_working, s->matrix, err));
  s->flops += s->fit->rows->is_sparse ? s->rows.flops / 4 : (double)(s->fit->rows->n_local * n * n);

done:
  return status;
}

// The columns that are not 0 and the n_more that gain the most.
static qn_status choose(net *s, const counts *found, int n_more, qn_error *err) {
  qn_status status = QN_OK;
  candidate *wanted = qn_memory_alloc((int64_t)sizeof *wanted * found->n_wanted);
  int n = 0;

  QN_REQUIRE(wanted, err, QN_ERR_MEMORY, "out of memory to choose among %d columns", found->n_wanted);
  for (int j = 0; j < s->n; j++) {
    const double gain = gain_of(s, j);
    if (gain > 0) {
      wanted[n++] = (candidate){.gain = gain, .column = j};
    }
    s->is_working[j] = s->b[j] != 0;
  }
  qsort(wanted, (size_t)n, sizeof *wanted, by_gain);
  for (int i = 0; i < n_more; i++) {
    s->is_working[wanted[i].column] = true;
  }
  s->n_working = 0;
  for (int j = 0; j < s->n; j++) {
    if (s->is_working[j]) {
      s->working[s->n_working++] = j;
    }
  }
  QN_TRY(take_products(s, err));

done:
  qn_memory_free(wanted);
  return status;
}

// Sweeps over the working columns until their own gap is small beside that of all.
static qn_status sweep_working(net *s, double enough, int64_t most_sweeps, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = s->n_working;
  double *values = qn_memory_alloc(8 * 4 * n);
  double residual = 0;

  QN_REQUIRE(values, err, QN_ERR_MEMORY, "out of memory for %lld coefficients", (long long)n);
  double *label = values;
  double *variance = values + n;
  qn_net_descent d = {.n = (int)n,
                      .matrix = s->matrix,
                      .variance = variance,
                      .label = label,
                      .label_square = s->label_square,
                      .l1 = s->l1,
                      .l2 = s->l2,
                      .b = values + 2 * n,
                      .product = values + 3 * n};
  for (int64_t i = 0; i < n; i++) {
    const int j = s->working[i];
    label[i] = s->label[j];
    variance[i] = s->rows.gram.variance[j];
    d.b[i] = s->b[j];
    d.product[i] = s->label[j] - s->slopes[j];
  }
  d.gap = INFINITY;
  for (int round = 0; round < MAX_ROUNDS && d.gap > enough && s->n_sweeps < most_sweeps; round++) {
    for (int i = 0; i < SWEEPS && s->n_sweeps < most_sweeps; i++, s->n_sweeps++) {
      qn_net_sweep(&d);
      s->flops += 2 * (double)n * (double)n;
    }
    qn_net_measure(&d);
  }
  for (int64_t i = 0; i < n; i++) {
    s->b[s->working[i]] = d.b[i];
  }
  QN_TRY(pass(s, s->b, s->slopes, &residual, err));
  measure(s, residual);
  memcpy(s->previous, s->b, (size_t)s->n_values * 8); // accelerated steps begin anew from here
  memcpy(s->previous_slopes, s->slopes, (size_t)s->n * 8);
  s->momentum = 1;

done:
  qn_memory_free(values);
  return status;
}

// --- Accelerated steps -----------------------------------------------------------------------------------

typedef struct leap {
  double along;    // from the point that momentum leads to: change times change of slopes
  double length;   // change squared, in the metric of the variances
  double backward; // > 0: momentum leads uphill
} leap;

// room becomes the next b.
static void propose(net *s, double beta) {
  for (int j = 0; j < s->n; j++) {
    const double strength = s->curvature * s->rows.gram.variance[j];
    const double from = s->b[j] + beta * (s->b[j] - s->previous[j]);
    const double slope = s->slopes[j] + beta * (s->slopes[j] - s->previous_slopes[j]);
    const double aim = strength * from + slope;
    s->room[j] = strength == 0 ? 0 : copysign(fmax(fabs(aim) - s->l1, 0), aim) / (strength + s->l2);
  }
}

// `slopes`: at room.
static leap judge(const net *s, double beta, const double *slopes) {
  leap found = {0};

  for (int j = 0; j < s->n; j++) {
    const double variance = s->rows.gram.variance[j];
    const double from = s->b[j] + beta * (s->b[j] - s->previous[j]);
    const double slope = s->slopes[j] + beta * (s->slopes[j] - s->previous_slopes[j]);
    const double change = s->room[j] - from;
    found.along += change * (slope - slopes[j]);
    found.length += variance * change * change;
    found.backward -= variance * change * (s->room[j] - s->b[j]);
  }
  return found;
}

static void swap(double **a, double **b) {
  double *was = *a;
  *a = *b;
  *b = was;
}

static qn_status step_accelerated(net *s, qn_error *err) {
  qn_status status = QN_OK;
  const double next = 0.5 * (1 + sqrt(1 + 4 * s->momentum * s->momentum));
  const double beta = (s->momentum - 1) / next;
  double residual = 0;
  double *slopes = qn_memory_alloc(8 * (int64_t)s->n);
  leap found = {0};

  QN_REQUIRE(slopes, err, QN_ERR_MEMORY, "out of memory for %d coefficients", s->n);
  for (;;) { // steps are shortened where the objective bends more than they assume
    propose(s, beta);
    QN_TRY(pass(s, s->room, slopes, &residual, err));
    found = judge(s, beta, slopes);
    if (found.along <= s->curvature * found.length * (1 + 1e-6) || s->curvature >= s->n) {
      break;
    }
    s->curvature = fmin(s->n, fmax(1.5 * s->curvature, 1.1 * found.along / found.length));
  }
  swap(&s->previous, &s->b);
  memcpy(s->b, s->room, (size_t)s->n_values * 8);
  swap(&s->previous_slopes, &s->slopes);
  memcpy(s->slopes, slopes, (size_t)s->n * 8);
  s->momentum = found.backward > 0 ? 1 : next;
  s->n_sweeps++;
  measure(s, residual);

done:
  qn_memory_free(slopes);
  return status;
}

// --- All of it -------------------------------------------------------------------------------------------

static qn_status step(net *s, double enough, int64_t most_sweeps, qn_error *err) {
  qn_status status = QN_OK;
  const counts found = count(s);
  const int usual = found.n_used > LEAST_WORKING ? found.n_used : LEAST_WORKING;
  const int n_more = found.n_wanted < usual ? found.n_wanted : usual;
  const double share = fmax(0.3 * enough, 1e-3 * s->gap);

  const bool is_none = found.n_used + n_more == 0; // but the gap wants more than rounding gives
  if (is_none || (found.n_used + n_more > s->most_working && !found.are_working)) {
    QN_TRY(step_accelerated(s, err));
    goto done;
  }
  if (!found.are_working) {
    QN_TRY(choose(s, &found, n_more, err));
  }
  QN_TRY(sweep_working(s, share, most_sweeps, err));

done:
  return status;
}

static qn_status save(const net *s, int64_t step_number, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays state = {0};
  const double numbers[] = {s->momentum, s->curvature};
  const int64_t sizes[] = {s->n_sweeps, s->n_working};

  QN_TRY(qn_arrays_put(&state, "b", QN_FLOAT64, s->n_values, s->b, err));
  QN_TRY(qn_arrays_put(&state, "previous", QN_FLOAT64, s->n_values, s->previous, err));
  QN_TRY(qn_arrays_put(&state, "numbers", QN_FLOAT64, 2, numbers, err));
  QN_TRY(qn_arrays_put(&state, "sizes", QN_INT64, 2, sizes, err));
  QN_TRY(qn_arrays_put(&state, "working", QN_INT32, s->n_working, s->working, err));
  QN_TRY(qn_fit_checkpoint(s->fit, step_number, &state, err));

done:
  qn_arrays_release(&state);
  return status;
}

static qn_status load(net *s, const qn_arrays *state, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_values = s->n_values;
  const void *b = NULL;
  const void *previous = NULL;
  const void *working = NULL;
  const double *numbers = NULL;
  const int64_t *sizes = NULL;
  double residual = 0;

  QN_TRY(qn_arrays_get(state, "b", QN_FLOAT64, 1, &n_values, &b, err));
  QN_TRY(qn_arrays_get(state, "previous", QN_FLOAT64, 1, &n_values, &previous, err));
  QN_TRY(qn_arrays_get(state, "numbers", QN_FLOAT64, 1, (int64_t[]){2}, (const void **)&numbers, err));
  QN_TRY(qn_arrays_get(state, "sizes", QN_INT64, 1, (int64_t[]){2}, (const void **)&sizes, err));
  QN_TRY(qn_arrays_get(state, "working", QN_INT32, 1, &sizes[1], &working, err));
  memcpy(s->b, b, (size_t)n_values * 8);
  memcpy(s->previous, previous, (size_t)n_values * 8);
  s->momentum = numbers[0];
  s->curvature = numbers[1];
  s->n_sweeps = sizes[0];
  if (sizes[1] <= s->most_working) { // else there is less memory than there was
    s->n_working = (int)sizes[1];
    memcpy(s->working, working, sizeof *s->working * (size_t)s->n_working);
  }
  if (s->n_working > 0) {
    QN_TRY(take_products(s, err));
  }
  QN_TRY(pass(s, s->previous, s->previous_slopes, &residual, err));

done:
  return status;
}

static qn_status begin(net *s, int64_t *step_number, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays state = {0};
  double residual = 0;

  QN_TRY(pass(s, s->b, s->label, &s->label_square, err));
  residual = s->label_square;
  memcpy(s->slopes, s->label, (size_t)s->n * 8);
  memcpy(s->previous_slopes, s->label, (size_t)s->n * 8);
  QN_REQUIRE(isfinite(residual), err, QN_ERR_VALUE,
             "the label's numbers are too large, their squares leave float64; scale it");
  QN_TRY(qn_fit_resume(s->fit, step_number, &state, err));
  if (*step_number > 0) {
    QN_TRY(load(s, &state, err));
    QN_TRY(pass(s, s->b, s->slopes, &residual, err));
  }
  measure(s, residual);

done:
  qn_arrays_release(&state);
  return status;
}

static qn_status descend(net *s, qn_error *err) {
  qn_status status = QN_OK;
  const qn_elastic_net_options *options = s->fit->options;
  int64_t number = 0;

  QN_TRY(begin(s, &number, err));
  const double enough = options->tolerance * s->label_square;
  while (s->gap > enough && s->n_sweeps < options->max_iterations) {
    const int64_t before = s->rows.n_evaluations;
    s->flops = 0;
    QN_TRY(step(s, enough, options->max_iterations, err));
    number++;
    QN_TRY(qn_fit_step(s->fit,
                       &(qn_fit_report){.step = number,
                                        .loss = s->objective,
                                        .gradient_norm = s->gap,
                                        .n_rows = (s->rows.n_evaluations - before) * s->fit->rows->n_total,
                                        .flops = s->flops},
                       err));
    if (s->gap > enough && qn_fit_wants_checkpoint(s->fit, number)) {
      QN_TRY(save(s, number, err));
    }
  }
  QN_TRY(qn_linear_put(&s->rows, s->b, err));
  QN_TRY(qn_fit_note(s->fit, "iterations", (double)s->n_sweeps, err));
  QN_TRY(qn_fit_note(s->fit, "converged", s->gap <= enough, err));
  QN_TRY(qn_fit_note(s->fit, "train_loss", s->objective, err));
  QN_TRY(qn_fit_note(s->fit, "duality_gap", s->gap, err));

done:
  return status;
}

qn_status qn_net_fit_by_rows(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  const qn_elastic_net_options *options = fit->options;
  const qn_linear_problem problem = {
      .loss = QN_LOSS_SQUARED, .has_intercept = !options->no_intercept, .n_outputs = 1, .by_variances = true};
  double *start = NULL;
  net s = {.fit = fit,
           .n = fit->rows->n_columns,
           .n_values = fit->rows->n_columns + problem.has_intercept,
           .l1 = options->alpha * options->l1_ratio,
           .l2 = options->alpha * (1 - options->l1_ratio),
           .momentum = 1,
           .curvature = 1};

  QN_TRY(qn_net_room(fit, fit->how->exact ? MAX_WORKING_EXACT : MAX_WORKING, &s.most_working, err));
  QN_TRY(qn_linear_objective_new(fit, &problem, &s.rows, &start, err));
  QN_TRY(make_room(&s, start, err));
  QN_TRY(descend(&s, err));

done:
  release(&s);
  return status;
}
