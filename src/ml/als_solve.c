// SPDX-License-Identifier: Apache-2.0
// The normal equations of a row: factors of what it rated are gathered, a piece at a time, with two columns
// more (the target, and 1), so that one product of the piece with itself gives matrix, right-hand side and
// sums. Products of a piece are float32 and small; they are added up, and solved, in float64. A row is solved
// whole, in a fixed order, by one rank, so its bits do not depend on the number of ranks.
#include "ml/als_solve.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

enum {
  PIECE_RATINGS = 512,
  FEW_RATINGS = 160 // of a piece: the whole product is faster than its half
};

qn_status qn_als_side_new(const char *what, int64_t n, int64_t k, qn_als_side *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_als_side side = {.what = what, .n = n, .k = k};

  side.factors = qn_memory_alloc(n * k * (int64_t)sizeof *side.factors);
  side.offsets = qn_memory_alloc(n * (int64_t)sizeof *side.offsets);
  side.losses = qn_memory_alloc(n * (int64_t)sizeof *side.losses);
  side.penalties = qn_memory_alloc(n * (int64_t)sizeof *side.penalties);
  QN_REQUIRE(side.factors != NULL && side.offsets != NULL && side.losses != NULL && side.penalties != NULL,
             err, QN_ERR_MEMORY, "no memory for %lld factors of %lld %ss", (long long)k, (long long)n, what);
  memset(side.factors, 0, (size_t)(n * k) * sizeof *side.factors);
  memset(side.offsets, 0, (size_t)n * sizeof *side.offsets);
  memset(side.losses, 0, (size_t)n * sizeof *side.losses);
  memset(side.penalties, 0, (size_t)n * sizeof *side.penalties);
  *out = side;
  side = (qn_als_side){0};

done:
  qn_als_side_release(&side);
  return status;
}

void qn_als_side_release(qn_als_side *side) {
  qn_memory_free(side->factors);
  qn_memory_free(side->offsets);
  qn_memory_free(side->losses);
  qn_memory_free(side->penalties);
  *side = (qn_als_side){0};
}

qn_status qn_als_solver_init(qn_als_solver *solver, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t width = solver->k + 2;

  solver->rows = qn_memory_alloc(PIECE_RATINGS * width * (int64_t)sizeof *solver->rows);
  solver->products = qn_memory_alloc(width * width * (int64_t)sizeof *solver->products);
  solver->system = qn_memory_alloc(width * width * (int64_t)sizeof *solver->system);
  solver->sides = qn_memory_alloc(4 * width * (int64_t)sizeof *solver->sides);
  solver->gram = qn_memory_alloc(width * width * (int64_t)sizeof *solver->gram);
  QN_REQUIRE(solver->rows != NULL && solver->products != NULL && solver->system != NULL &&
                 solver->sides != NULL && solver->gram != NULL,
             err, QN_ERR_MEMORY, "no memory for %lld factors", (long long)solver->k);
  if (solver->is_implicit && solver->cg_steps > 0) {
    QN_TRY(qn_als_descent_init(&solver->descent, solver->k, solver->alpha, solver->cg_steps, err));
  }

done:
  return status;
}

void qn_als_solver_release(qn_als_solver *solver) {
  qn_als_descent_release(&solver->descent);
  qn_memory_free(solver->rows);
  qn_memory_free(solver->products);
  qn_memory_free(solver->system);
  qn_memory_free(solver->sides);
  qn_memory_free(solver->gram);
  *solver = (qn_als_solver){0};
}

// What is added up over the ratings of a row beside products of factors.
typedef struct row_sums {
  double n, targets, squares; // explicit: ratings, their targets, the squares of these
  double confidences;         // implicit: of what is rated above 0
} row_sums;

static void gather_explicit(qn_als_solver *solver, const int32_t *others, const float *ratings, int64_t n,
                            const qn_als_side *other, row_sums *sums) {
  const int64_t k = solver->k;

  for (int64_t i = 0; i < n; i++) {
    float *row = solver->rows + i * (k + 2);
    const double target =
        (double)ratings[i] - (solver->has_offsets ? solver->mean + other->offsets[others[i]] : 0);
    memcpy(row, other->factors + others[i] * k, (size_t)k * sizeof *row);
    row[k] = (float)target;
    row[k + 1] = 1;
    sums->targets += target;
    sums->squares += target * target;
  }
  sums->n += (double)n;
}

static void gather_implicit(qn_als_solver *solver, const int32_t *others, const float *ratings, int64_t n,
                            const qn_als_side *other, row_sums *sums) {
  const int64_t k = solver->k;
  float known = 0; // most ratings are that of the row before
  double more = 0;
  float root = 0;
  float target = 0;

  for (int64_t i = 0; i < n; i++) {
    float *row = solver->rows + i * (k + 2);
    const float *factors = other->factors + others[i] * k;
    if (ratings[i] != known) {
      known = ratings[i];
      more = solver->alpha * (double)known;
      root = (float)sqrt(more);
      target = more > 0 ? (float)((1 + more) / sqrt(more)) : 0;
    }
    for (int64_t f = 0; f < k; f++) {
      row[f] = root * factors[f];
    }
    row[k] = target;
    row[k + 1] = 0;
    sums->confidences += more > 0 ? 1 + more : 0;
  }
  sums->n += (double)n;
}

// products [k + 2, k + 2], its upper triangle: of all columns over the ratings of a piece.
static void multiply_piece(qn_als_solver *solver, int64_t n) {
  const int width = (int)solver->k + 2;

  if (n <= FEW_RATINGS) {
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, width, width, (int)n, 1, solver->rows, width,
                solver->rows, width, 0, solver->products, width);
  } else {
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, width, (int)n, 1, solver->rows, width, 0,
                solver->products, width);
  }
}

// system [k + 2, k + 2], its upper triangle: the same over all ratings of a row.
static void add_products(qn_als_solver *solver, const int32_t *others, const float *ratings, int64_t n,
                         const qn_als_side *other, row_sums *sums) {
  const int64_t width = solver->k + 2;

  for (int64_t first = 0; first < n; first += PIECE_RATINGS) {
    const int64_t m = n - first < PIECE_RATINGS ? n - first : PIECE_RATINGS;
    if (solver->is_implicit) {
      gather_implicit(solver, others + first, ratings + first, m, other, sums);
    } else {
      gather_explicit(solver, others + first, ratings + first, m, other, sums);
    }
    multiply_piece(solver, m);
    for (int64_t i = 0; i < width; i++) {
      double *to = solver->system + i * width;
      const float *from = solver->products + i * width;
      for (int64_t j = i; j < width; j++) {
        to[j] = (first == 0 ? 0 : to[j]) + (double)from[j];
      }
    }
  }
}

static double dot(const double *a, const double *b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    sum += a[i] * b[i];
  }
  return sum;
}

// Adds what is not of the ratings to the matrix: penalty, and the Gram matrix of implicit.
static void complete_system(qn_als_solver *solver, double penalty) {
  const int64_t k = solver->k;
  const int64_t width = k + 2;

  for (int64_t i = 0; i < k; i++) {
    for (int64_t j = i; solver->is_implicit && j < k; j++) {
      solver->system[i * width + j] += solver->gram[i * k + j];
    }
    solver->system[i * width + i] += penalty;
  }
}

static void keep_solution(const qn_als_solver *solver, const row_sums *sums, double penalty, double offset,
                          qn_als_side *side, int64_t row) {
  const int64_t k = solver->k;
  const double *solution = solver->sides;
  const double square = dot(solution, solution, k);
  const double explained = dot(solution, solver->sides + 2 * k, k);
  const double offset_penalty = QN_ALS_OFFSET_PRIOR * offset * offset;

  for (int64_t f = 0; f < k; f++) {
    side->factors[row * k + f] = (float)solution[f];
  }
  side->offsets[row] = offset;
  side->penalties[row] = penalty * square + offset_penalty;
  if (solver->is_implicit) { // at the solution, p A p = p b - penalty |p|^2
    side->losses[row] = sums->confidences - explained - penalty * square;
  } else {
    const double loss =
        sums->squares - explained - offset * sums->targets - penalty * square - offset_penalty;
    side->losses[row] = loss > 0 ? loss : 0;
  }
}

// The matrix and both right-hand sides are there: p = x - b z, where A x = (sums of target times factors)
// and A z = (sums of factors); b is what is left of the row of the offset.
static double solve_offset(qn_als_solver *solver, const row_sums *sums) {
  const int64_t k = solver->k;
  const double *ones = solver->sides + 3 * k;
  double *x = solver->sides;
  const double *z = solver->sides + k;
  const double offset = (sums->targets - dot(ones, x, k)) / (sums->n + QN_ALS_OFFSET_PRIOR - dot(ones, z, k));

  for (int64_t f = 0; f < k; f++) {
    x[f] -= offset * z[f];
  }
  return offset;
}

// The factors that the row has are improved.
static qn_status descend(qn_als_solver *solver, const qn_als_row *data, const qn_als_values *names,
                         qn_als_side *side, int64_t row, qn_error *err) {
  qn_status status = QN_OK;
  float *factors = side->factors + row * solver->k;
  double square = 0;
  char name[128];

  const double loss = qn_als_descend(&solver->descent, data, factors);
  if (!isfinite(loss)) {
    qn_als_values_describe(names, row, name, sizeof name);
    status =
        qn_fail(err, QN_ERR_VALUE,
                "als: the ratings of %s %s, times alpha %g, are too large: scale them, or set cg_steps = 0",
                side->what, name, solver->alpha);
    goto done;
  }
  for (int64_t f = 0; f < solver->k; f++) {
    square += (double)factors[f] * (double)factors[f];
  }
  side->penalties[row] = (double)data->penalty * square;
  side->losses[row] = loss - side->penalties[row];

done:
  return status;
}

// The factors that the row has are of no account.
static qn_status solve_exactly(qn_als_solver *solver, const qn_als_block *block, const qn_als_side *other,
                               const qn_als_values *names, qn_als_side *side, int64_t row, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t first = block->starts[row - block->first];
  const int64_t n = block->starts[row - block->first + 1] - first;
  const int64_t k = solver->k;
  const int64_t width = k + 2;
  const double penalty = solver->l2 * (solver->is_weighted ? (double)n : 1);
  const bool has_offset = solver->has_offsets && !solver->is_implicit;
  row_sums sums = {0};
  double offset = 0;
  char name[128];

  add_products(solver, block->others + first, block->ratings + first, n, other, &sums);
  complete_system(solver, penalty);
  for (int64_t f = 0; f < k; f++) {
    solver->sides[f] = solver->sides[2 * k + f] = solver->system[f * width + k];
    solver->sides[k + f] = solver->sides[3 * k + f] = solver->system[f * width + k + 1];
  }
  const lapack_int failed = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', (lapack_int)k, solver->system,
                                                (lapack_int)width); // upper by rows is lower by columns
  if (failed != 0) {
    qn_als_values_describe(names, row, name, sizeof name);
    status = qn_fail(err, QN_ERR_VALUE,
                     "als: the %lld ratings of %s %s do not determine %lld factors: set l2 above %g",
                     (long long)n, side->what, name, (long long)k, solver->l2);
    goto done;
  }
  const int n_sides = has_offset ? 2 : 1;
  LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, 'L', (lapack_int)k, n_sides, solver->system, (lapack_int)width,
                      solver->sides, (lapack_int)k);
  if (has_offset) {
    offset = solve_offset(solver, &sums);
  }
  keep_solution(solver, &sums, penalty, offset, side, row);

done:
  return status;
}

qn_status qn_als_solve(qn_als_solver *solver, const qn_als_block *block, const qn_als_side *other,
                       const qn_als_values *names, qn_als_side *side, int64_t row, qn_error *err) {
  const int64_t first = block->starts[row - block->first];
  const int64_t n = block->starts[row - block->first + 1] - first;

  if (solver->descent.rows == NULL) {
    return solve_exactly(solver, block, other, names, side, row, err);
  }
  const qn_als_row data = {.factors = other->factors,
                           .others = block->others + first,
                           .ratings = block->ratings + first,
                           .n = n,
                           .penalty = (float)(solver->l2 * (solver->is_weighted ? (double)n : 1))};
  return descend(solver, &data, names, side, row, err);
}

double qn_als_flops(const qn_als_solver *solver, const qn_als_block *block) {
  const double k = (double)solver->k;
  const double n_rows = (double)(block->end - block->first);
  const double n_ratings = (double)block->starts[block->end - block->first];
  if (solver->descent.rows != NULL) { // products of ratings and Gram matrix for the residual and each step
    return (double)(solver->cg_steps + 1) * (n_ratings * 4 * k + n_rows * 2 * k * k);
  }
  return n_ratings * (k + 2) * (k + 3) + n_rows * (k * k * k / 3 + 4 * k * k);
}
