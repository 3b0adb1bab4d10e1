// SPDX-License-Identifier: Apache-2.0
// One half of an iteration: with the factors of one side (items) held, those of each row of the other (users)
// are the solution of a least-squares problem of its own.
//
// Explicit (Zhou, Wilkinson, Schreiber and Pan, 2008): minimises over p and b
//   sum (r - mean - b - c_i - p q_i)^2 + penalty |p|^2 + QN_ALS_OFFSET_PRIOR b^2
// over the ratings r of the row; q_i, c_i are factors and offsets of the other side; penalty is l2, or l2
// times the number of ratings. Implicit (Hu, Koren and Volinsky, 2008): minimises over p
//   sum over all i of c_i (1[r_i > 0] - p q_i)^2 + penalty |p|^2,    c_i = 1 + alpha r_i
// of which all but the rated i is the Gram matrix of the whole other side; by Cholesky, or nearly, by some
// steps of als_descent.h.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "ml/als_descent.h"
#include "ml/als_ratings.h"

/// An offset is drawn to 0 as if so many more ratings of the mean had been given.
enum { QN_ALS_OFFSET_PRIOR = 5 };

/// What is learned of users, or of items: whole on every rank.
typedef struct qn_als_side {
  const char *what; // "user"
  int64_t n, k;
  float *factors;    // [n, k]
  double *offsets;   // [n]
  double *losses;    // [n] each row's part of the loss: of the errors,
  double *penalties; // [n] and of the penalty
} qn_als_side;
qn_status qn_als_side_new(const char *what, int64_t n, int64_t k, qn_als_side *out, qn_error *err);
void qn_als_side_release(qn_als_side *side);

typedef struct qn_als_solver {
  int64_t k;
  bool is_implicit, has_offsets, is_weighted;
  double l2, alpha, mean;
  int64_t cg_steps;       // of implicit; 0: none, but the solution
  float *rows;            // [pieces of ratings][k + 2]: factors, the target, 1
  float *products;        // [k + 2, k + 2] of a piece
  double *system;         // [k + 2, k + 2] of a row
  double *sides;          // [4, k] solutions of two right-hand sides, and these
  double *gram;           // [k, k] of the other side, of implicit
  qn_als_descent descent; // if there are steps
} qn_als_solver;
/// Local. The settings are set by the caller, then room is made.
qn_status qn_als_solver_init(qn_als_solver *solver, qn_error *err);
void qn_als_solver_release(qn_als_solver *solver);
/// Collective, inside a run. The Gram matrix of `other`, the same bits on any number of ranks.
qn_status qn_als_solver_find_gram(qn_als_solver *solver, qn_comm *comm, const qn_als_side *other,
                                  qn_error *err);
/// Local. Solves row `row` of `side` from its ratings in the block, or brings its factors nearer to the
/// solution.
qn_status qn_als_solve(qn_als_solver *solver, const qn_als_block *block, const qn_als_side *other,
                       const qn_als_values *names, qn_als_side *side, int64_t row, qn_error *err);
/// Collective, inside a run. Solves the rows of all ranks; each sends its own on while it solves the next.
qn_status qn_als_solve_side(qn_als_solver *solver, qn_comm *comm, const qn_als_block *block,
                            const qn_als_side *other, const qn_als_values *names, qn_als_side *side,
                            qn_error *err);
/// Floating-point operations of solving the rows of the block.
double qn_als_flops(const qn_als_solver *solver, const qn_als_block *block);
