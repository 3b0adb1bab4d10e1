// SPDX-License-Identifier: Apache-2.0
// Minimises a smooth function of a vector that every rank holds whole: limited-memory BFGS with a line search
// for the strong Wolfe conditions (Nocedal and Wright, Numerical Optimization, 2nd edition, algorithms 7.4,
// 7.5, 3.5 and 3.6). Every rank computes the same from the same values and gradients, so no message is sent
// here. The state goes to and comes from arrays, to the bit.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>
#include "store/arrays.h"

typedef struct qn_lbfgs_problem {
  int64_t n;
  int history;      // pairs kept; 0: 10
  double tolerance; // on the gradient's norm (in the metric of `precondition`) relative to the first one
  void *context;
  /// The value and gradient [n] at x [n], the same on every rank.
  qn_status (*evaluate)(void *context, const double *x, double *value, double *gradient, qn_error *err);
  /// May be NULL. In place: about the inverse of the Hessian matrix times the vector; symmetric, positive
  /// definite.
  void (*precondition)(void *context, double *vector);
} qn_lbfgs_problem;

typedef enum {
  QN_LBFGS_GOES_ON,
  QN_LBFGS_CONVERGED, // the gradient is small enough, or as small as rounding lets it be
  QN_LBFGS_STUCK      // no step along the gradient lowers the value
} qn_lbfgs_end;

typedef struct qn_lbfgs {
  qn_lbfgs_problem problem;
  double *x, *gradient; // [n], after the last step
  double value, gradient_norm, first_norm;
  int64_t n_evaluations;
  int n_pairs, newest; // pair i of history: x differences, gradient differences, 1/(their product)
  double *steps, *changes, *rhos;
  double *direction, *trial_x, *trial_gradient, *weights; // room
} qn_lbfgs;

/// Starts at x [n]: evaluates there.
qn_status qn_lbfgs_start(qn_lbfgs *solver, const qn_lbfgs_problem *problem, const double *x, qn_error *err);
/// Is there anything left to do at the first point?
qn_lbfgs_end qn_lbfgs_state(const qn_lbfgs *solver);
/// One iteration.
qn_status qn_lbfgs_step(qn_lbfgs *solver, qn_lbfgs_end *end, qn_error *err);
void qn_lbfgs_release(qn_lbfgs *solver);

/// Puts all that the next step needs into arrays; starts from such arrays without evaluating.
qn_status qn_lbfgs_save(const qn_lbfgs *solver, qn_arrays *state, qn_error *err);
qn_status qn_lbfgs_load(qn_lbfgs *solver, const qn_lbfgs_problem *problem, const qn_arrays *state,
                        qn_error *err);
