// SPDX-License-Identifier: Apache-2.0
// Alternating least squares: reads the ratings, solves users and items in turns, keeps the factors. What a
// row is solved from is in als_solve.h.
#include "ml/als.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#include <quern/job.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "ml/als_solve.h"
#include "ml/blas.h"
#include "ml/estimator.h"

static const double SMALL_FACTOR = 0.01;

#define FIELD(name) offsetof(qn_als_options, name)

static const qn_setting settings[] = {
    {.info = {"k", "32", "factors of each user and item"},
     .kind = QN_SETTING_INT64,
     .offset = FIELD(k),
     .min = 1,
     .max = 4096},
    {.info = {"l2", "0.1", "penalty on factors, times the ratings of the user or item"},
     .kind = QN_SETTING_FLOAT64,
     .offset = FIELD(l2),
     .min = 0,
     .max = 1e15},
    {.info = {"unweighted_l2", "false", "the penalty is not times the number of ratings"},
     .kind = QN_SETTING_BOOL,
     .offset = FIELD(unweighted_l2)},
    {.info = {"no_biases", "false", "learn no mean and offsets of users and items"},
     .kind = QN_SETTING_BOOL,
     .offset = FIELD(no_biases)},
    {.info = {"implicit", "false", "the label says how often or how much, not how good"},
     .kind = QN_SETTING_BOOL,
     .offset = FIELD(implicit)},
    {.info = {"alpha", "40", "implicit: confidence is 1 + alpha r"},
     .kind = QN_SETTING_FLOAT64,
     .offset = FIELD(alpha),
     .min = 0,
     .max = 1e9},
    {.info = {"cg_steps", "3", "implicit: conjugate gradients for each row; 0: solve exactly"},
     .kind = QN_SETTING_INT64,
     .offset = FIELD(cg_steps),
     .min = 0,
     .max = 1000},
    {.info = {"max_iterations", "15", "times that users and items are solved"},
     .kind = QN_SETTING_INT64,
     .offset = FIELD(max_iterations),
     .min = 1,
     .max = 1e6},
    {.info = {NULL, NULL, NULL}},
};

typedef struct als_fit {
  qn_fit_state *fit;
  const qn_als_options *options;
  qn_als_ratings ratings;
  qn_als_solver solver;
  qn_als_side users, items;
} als_fit;

static void release_fit(als_fit *als) {
  qn_als_ratings_release(&als->ratings);
  qn_als_solver_release(&als->solver);
  qn_als_side_release(&als->users);
  qn_als_side_release(&als->items);
}

// --- The start
// ----------------------------------------------------------------------------------------------------------

// Of the rows of this rank the sums of ratings - shift, divided by their number + prior (prior < 0: not
// divided), on all ranks: out [rows of all].
static qn_status gather_means(qn_comm *comm, const qn_als_block *block, double shift, double prior,
                              double *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer all = {0};
  const int64_t n = block->end - block->first;
  int64_t *sizes = qn_memory_alloc(qn_comm_size(comm) * (int64_t)sizeof *sizes);
  double *own = qn_memory_alloc(n * (int64_t)sizeof *own);

  QN_REQUIRE(own != NULL && sizes != NULL, err, QN_ERR_MEMORY, "no memory for means of ratings");
  for (int64_t row = 0; row < n; row++) {
    double sum = 0;
    for (int64_t i = block->starts[row]; i < block->starts[row + 1]; i++) {
      sum += (double)block->ratings[i] - shift;
    }
    own[row] = prior < 0 ? sum : sum / ((double)(block->starts[row + 1] - block->starts[row]) + prior);
  }
  QN_TRY(qn_comm_gather(comm, own, n * (int64_t)sizeof *own, &all, sizes, err));
  if (all.size > 0) {
    memcpy(out, all.data, (size_t)all.size);
  }

done:
  qn_buffer_release(&all);
  qn_memory_free(own);
  qn_memory_free(sizes);
  return status;
}

// Nearly normal with standard deviation 1: four of the 16-bit parts of a hash.
static double random_factor(uint64_t seed, int64_t place) {
  const uint64_t bits = qn_hash_mix(qn_hash_mix(seed + 0x9e3779b97f4a7c15ull) + (uint64_t)place);
  const uint64_t sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
  return ((double)sum / 65536 - 2) * 1.7320508075688772;
}

// Evenly between 0 and SMALL_FACTOR. From small and positive factors the penalty leaves in the first steps
// only what the ratings ask for, and less of it comes back than is found from others: a larger loss, but what
// is recommended is better where there are more factors than taste.
static double small_factor(uint64_t seed, int64_t place) {
  const uint64_t bits = qn_hash_mix(qn_hash_mix(seed + 0x9e3779b97f4a7c15ull) + (uint64_t)place);
  return SMALL_FACTOR * (double)(bits >> 11) / (double)(1ull << 53);
}

static qn_status start_factors(als_fit *als, qn_error *err) {
  qn_status status = QN_OK;
  qn_comm *comm = als->fit->comm;
  const uint64_t seed = als->fit->how->seed;
  const double scale = 1 / sqrt((double)als->solver.k);
  double sum = 0;

  for (int64_t i = 0; i < als->items.n * als->items.k; i++) {
    als->items.factors[i] =
        (float)(als->solver.is_implicit ? small_factor(seed, i) : scale * random_factor(seed, i));
  }
  if (als->solver.has_offsets) {
    QN_TRY(gather_means(comm, &als->ratings.by_user, 0, -1, als->users.losses, err));
    for (int64_t user = 0; user < als->users.n; user++) {
      sum += als->users.losses[user];
    }
    als->solver.mean = sum / (double)als->ratings.n_total;
    QN_TRY(gather_means(comm, &als->ratings.by_item, als->solver.mean, QN_ALS_OFFSET_PRIOR,
                        als->items.offsets, err));
  }

done:
  return status;
}

// --- Checkpoints
// --------------------------------------------------------------------------------------------------------

static qn_status put_sides(const als_fit *als, qn_arrays *out, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_arrays_put_matrix(out, "user_factors", QN_FLOAT32, als->users.n, als->users.k, als->users.factors,
                              err));
  QN_TRY(qn_arrays_put_matrix(out, "item_factors", QN_FLOAT32, als->items.n, als->items.k, als->items.factors,
                              err));
  QN_TRY(qn_arrays_put(out, "user_offsets", QN_FLOAT64, als->users.n, als->users.offsets, err));
  QN_TRY(qn_arrays_put(out, "item_offsets", QN_FLOAT64, als->items.n, als->items.offsets, err));
  QN_TRY(qn_arrays_put(out, "mean", QN_FLOAT64, 1, &als->solver.mean, err));

done:
  return status;
}

static qn_status get_side(const qn_arrays *arrays, const char *factors, const char *offsets,
                          qn_als_side *side, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t dims[2] = {side->n, side->k};
  const void *values = NULL;

  QN_TRY(qn_arrays_get(arrays, factors, QN_FLOAT32, 2, dims, &values, err));
  memcpy(side->factors, values, (size_t)(side->n * side->k) * sizeof(float));
  QN_TRY(qn_arrays_get(arrays, offsets, QN_FLOAT64, 1, &side->n, &values, err));
  memcpy(side->offsets, values, (size_t)side->n * sizeof(double));

done:
  return status;
}

// Collective. From a checkpoint, or new ones; *step is the last that is done.
static qn_status resume_or_start(als_fit *als, int64_t *step, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays state = {0};
  const void *mean = NULL;
  const int64_t one = 1;

  QN_TRY(qn_fit_resume(als->fit, step, &state, err));
  if (*step == 0) {
    QN_TRY(start_factors(als, err));
    goto done;
  }
  QN_TRY(get_side(&state, "user_factors", "user_offsets", &als->users, err));
  QN_TRY(get_side(&state, "item_factors", "item_offsets", &als->items, err));
  QN_TRY(qn_arrays_get(&state, "mean", QN_FLOAT64, 1, &one, &mean, err));
  als->solver.mean = *(const double *)mean;

done:
  qn_arrays_release(&state);
  return status;
}

static qn_status keep_checkpoint(als_fit *als, int64_t step, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays state = {0};

  if (qn_fit_wants_checkpoint(als->fit, step)) {
    QN_TRY(put_sides(als, &state, err));
    QN_TRY(qn_fit_checkpoint(als->fit, step, &state, err));
  }

done:
  qn_arrays_release(&state);
  return status;
}

// --- The iterations
// -----------------------------------------------------------------------------------------------------

// Explicit: the root mean square of the errors on the ratings. Implicit: what is minimised, per rating.
static double find_loss(const als_fit *als) {
  double errors = 0;
  double penalties = 0;

  for (int64_t item = 0; item < als->items.n; item++) {
    errors += als->items.losses[item];
    penalties += als->items.penalties[item];
  }
  for (int64_t user = 0; user < als->users.n; user++) {
    penalties += als->users.penalties[user];
  }
  const double n = (double)als->ratings.n_total;
  return als->options->implicit ? (errors + penalties) / n : sqrt(errors / n);
}

static qn_status iterate(als_fit *als, qn_error *err) {
  qn_status status = QN_OK;
  int64_t step = 0;
  double loss = NAN;
  qn_comm *comm = als->fit->comm;
  const qn_als_ratings *ratings = &als->ratings;

  QN_TRY(resume_or_start(als, &step, err));
  while (step < als->options->max_iterations) {
    step++;
    QN_TRY(qn_als_solve_side(&als->solver, comm, &ratings->by_user, &als->items, &ratings->users, &als->users,
                             err));
    QN_TRY(qn_als_solve_side(&als->solver, comm, &ratings->by_item, &als->users, &ratings->items, &als->items,
                             err));
    loss = find_loss(als);
    const qn_fit_report report = {.step = step,
                                  .loss = loss,
                                  .gradient_norm = NAN,
                                  .n_rows = 2 * ratings->n_total,
                                  .flops = qn_als_flops(&als->solver, &ratings->by_user) +
                                           qn_als_flops(&als->solver, &ratings->by_item),
                                  .in_float32 = true};
    QN_TRY(qn_fit_step(als->fit, &report, err));
    QN_TRY(keep_checkpoint(als, step, err));
  }
  QN_TRY(qn_fit_note(als->fit, "iterations", (double)step, err));
  if (!isnan(loss)) {
    QN_TRY(qn_fit_note(als->fit, als->options->implicit ? "train_loss" : "train_rmse", loss, err));
  }

done:
  return status;
}

// --- The model
// ----------------------------------------------------------------------------------------------------------

// Which items each user has rated, of all users on all ranks.
static qn_status put_rated(const als_fit *als, qn_arrays *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer items = {0};
  qn_comm *comm = als->fit->comm;
  const qn_als_block *block = &als->ratings.by_user;
  const int64_t n_own = block->starts[block->end - block->first];
  const int64_t n_starts = als->users.n + 1;
  void *starts = NULL;
  int64_t *sizes = qn_memory_alloc(qn_comm_size(comm) * (int64_t)sizeof *sizes);

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory for the pairs that were rated");
  QN_TRY(qn_comm_gather(comm, block->others, n_own * (int64_t)sizeof *block->others, &items, sizes, err));
  QN_TRY(qn_arrays_put(out, "rated_items", QN_INT32, als->ratings.n_total, items.data, err));
  qn_buffer_release(&items);
  QN_TRY(qn_arrays_new(out, "rated_starts", QN_INT64, 1, &n_starts, &starts, err));
  int64_t *counts = starts; // of the rows of this rank first, then summed over ranks and rows
  memset(counts, 0, (size_t)n_starts * sizeof *counts);
  for (int64_t row = 0; row < block->end - block->first; row++) {
    counts[block->first + row + 1] = block->starts[row + 1] - block->starts[row];
  }
  QN_TRY(qn_comm_reduce_int64(comm, QN_SUM, counts, n_starts, err));
  for (int64_t user = 0; user < als->users.n; user++) {
    counts[user + 1] += counts[user];
  }

done:
  qn_buffer_release(&items);
  qn_memory_free(sizes);
  return status;
}

static qn_status put_model(const als_fit *als, const qn_als_columns *columns, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays *arrays = &als->fit->model->arrays;

  QN_TRY(put_sides(als, arrays, err));
  QN_TRY(qn_als_values_put(&als->ratings.users, "user", arrays, err));
  QN_TRY(qn_als_values_put(&als->ratings.items, "item", arrays, err));
  QN_TRY(qn_arrays_put_text(arrays, "user_column", columns->user, err));
  QN_TRY(qn_arrays_put_text(arrays, "item_column", columns->item, err));
  if (als->ratings.n_total <= QN_ALS_MOST_RATED) {
    QN_TRY(put_rated(als, arrays, err));
  }

done:
  return status;
}

// Collective, inside a run. Empties `rows`.
static qn_status train(als_fit *als, qn_als_rows *rows, const qn_als_columns *columns, qn_error *err) {
  qn_status status = QN_OK;
  qn_comm *comm = als->fit->comm;
  const qn_als_options *options = als->options;
  int64_t n_rows = rows->triplets.n;

  qn_blas_set_threads(1); // matrices of a row are small, and each is solved alike everywhere
  QN_TRY(qn_comm_reduce_int64(comm, QN_SUM, &n_rows, 1, err));
  als->fit->model->n_rows = n_rows;
  QN_TRY(qn_als_ratings_take(comm, rows, columns, &als->ratings, err));
  als->solver = (qn_als_solver){.k = options->k,
                                .is_implicit = options->implicit,
                                .has_offsets = !options->implicit && !options->no_biases,
                                .is_weighted = !options->unweighted_l2,
                                .l2 = options->l2,
                                .alpha = options->alpha,
                                .cg_steps = options->cg_steps};
  QN_TRY(qn_als_solver_init(&als->solver, err));
  QN_TRY(qn_als_side_new("user", als->ratings.users.n, options->k, &als->users, err));
  QN_TRY(qn_als_side_new("item", als->ratings.items.n, options->k, &als->items, err));
  QN_TRY(iterate(als, err));
  QN_TRY(put_model(als, columns, err));

done:
  return status;
}

static qn_status fit_als(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  qn_als_columns columns = {0};
  qn_als_rows rows = {0};
  als_fit als = {.fit = fit, .options = fit->options};
  const qn_schema *schema = fit->data == NULL ? NULL : qn_dataset_schema(fit->data);

  QN_REQUIRE(fit->data != NULL, err, QN_ERR_ARG, "als reads its ratings itself and cannot be searched over");
  if (schema == NULL) {
    status = qn_job_status(fit->model->job, err);
    QN_REQUIRE(status != QN_OK, err, QN_ERR_ARG, "als: the dataset could not be made");
    goto done;
  }
  QN_REQUIRE(fit->how->weight == NULL, err, QN_ERR_ARG,
             "als takes no weights; with implicit = true ratings say how much each row counts");
  QN_REQUIRE(fit->how->label != NULL || als.options->implicit, err, QN_ERR_ARG,
             "als: label names the column of ratings; without one set implicit = true");
  QN_TRY(qn_als_columns_parse(fit->how->features, fit->how->label, schema, &columns, err));
  columns.is_implicit = als.options->implicit;
  columns.per_row_cost = (double)als.options->k / 2; // a Cholesky factorisation
  QN_TRY(qn_als_rows_read(fit->model->job, fit->data, &columns, &rows, err));
  QN_TRY(qn_comm_agree(fit->comm, train(&als, &rows, &columns, err), err));

done:
  release_fit(&als);
  qn_als_rows_release(&rows);
  qn_als_columns_release(&columns);
  return status;
}

static qn_task als_task(const void *options) {
  (void)options;
  return QN_TASK_RATING;
}

static qn_status predict_als(const qn_model *model, const qn_row_block *block, double *outputs,
                             qn_error *err) {
  (void)model;
  for (int64_t row = 0; row < block->n_rows; row++) {
    outputs[row] = NAN;
  }
  return qn_fail(err, QN_ERR_ARG,
                 "als predicts from the columns of users and items, not from rows of numbers");
}

const qn_estimator qn_estimator_als = {.name = "als",
                                       .summary =
                                           "recommender: alternating least squares, explicit or implicit",
                                       .settings = settings,
                                       .options_size = sizeof(qn_als_options),
                                       .loads_itself = true,
                                       .task = als_task,
                                       .fit = fit_als,
                                       .predict = predict_als};

QN_API qn_als_options qn_als_defaults(void) {
  qn_als_options options = {0};
  qn_settings_defaults(&qn_estimator_als, &options);
  return options;
}

QN_API qn_model *qn_fit_als(qn_dataset *data, const qn_training *how, const qn_als_options *options) {
  return qn_fit_estimator(data, &qn_estimator_als, how, options);
}
