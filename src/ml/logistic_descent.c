// SPDX-License-Identifier: Apache-2.0
// Adam (Kingma and Ba, 2015) on columns that are divided by their standard deviations, so that one step size
// does for all; the step size goes down to 0 along a half cosine over all epochs. Coefficients are kept for
// the columns as they are, so loss and penalty are the same as those of L-BFGS.
#include "ml/logistic_descent.h"

#include <math.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"

static const double DECAY_MEAN = 0.9;
static const double DECAY_SQUARE = 0.999;
static const double TINY = 1e-8;

typedef struct adam {
  qn_linear_objective *o;
  const qn_logistic_options *options;
  double *x, *mean, *square; // [n] parameters and the moments of their gradients
  double *b;                 // [n_columns, n_outputs], for the columns as they are
  double *scale;             // [n_columns] 1 / standard deviation
  int64_t n_steps_done, n_steps_all;
  // The rows of a step, gathered.
  qn_buffer starts, columns, values;
  double *dense, *y, *w, *margins;
  int64_t room_rows;
} adam;

static void release(adam *a) {
  qn_memory_free(a->x);
  qn_memory_free(a->mean);
  qn_memory_free(a->square);
  qn_memory_free(a->b);
  qn_memory_free(a->scale);
  qn_buffer_release(&a->starts);
  qn_buffer_release(&a->columns);
  qn_buffer_release(&a->values);
  qn_memory_free(a->dense);
  qn_memory_free(a->y);
  qn_memory_free(a->w);
  qn_memory_free(a->margins);
}

static qn_status make_room(adam *a, const double *x, qn_error *err) {
  qn_status status = QN_OK;
  const qn_linear_objective *o = a->o;
  const int64_t size = 8 * o->n;

  a->x = qn_memory_alloc(size);
  a->mean = qn_memory_alloc(size);
  a->square = qn_memory_alloc(size);
  a->b = qn_memory_alloc(size);
  a->scale = qn_memory_alloc(8 * (int64_t)o->n_columns);
  QN_REQUIRE(a->x && a->mean && a->square && a->b && a->scale, err, QN_ERR_MEMORY,
             "out of memory for %lld coefficients", (long long)o->n);
  memcpy(a->x, x, (size_t)size);
  memset(a->mean, 0, (size_t)size);
  memset(a->square, 0, (size_t)size);
  for (int j = 0; j < o->n_columns; j++) {
    a->scale[j] = o->gram.variance[j] > 0 ? 1 / sqrt(o->gram.variance[j]) : 1;
  }

done:
  return status;
}

static qn_status need_rows(adam *a, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = a->o->fit->rows;

  if (n_rows <= a->room_rows) {
    goto done;
  }
  qn_memory_free(a->dense);
  qn_memory_free(a->y);
  qn_memory_free(a->w);
  qn_memory_free(a->margins);
  a->dense = qn_memory_alloc(rows->is_sparse ? 0 : 8 * n_rows * rows->n_columns);
  a->y = qn_memory_alloc(8 * n_rows);
  a->w = qn_memory_alloc(8 * n_rows);
  a->margins = qn_memory_alloc(8 * n_rows * a->o->n_outputs);
  a->room_rows = n_rows;
  QN_REQUIRE(a->dense && a->y && a->w && a->margins, err, QN_ERR_MEMORY,
             "out of memory for mini-batches of %lld rows; take a smaller batch_rows", (long long)n_rows);

done:
  return status;
}

static qn_status gather_sparse(adam *a, const int64_t *positions, int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = a->o->fit->rows;
  int64_t end = 0;

  a->starts.size = 0;
  a->columns.size = 0;
  a->values.size = 0;
  QN_TRY(qn_buffer_append(&a->starts, &end, 8, err));
  for (int64_t i = 0; i < n; i++) {
    const int64_t from = rows->starts[positions[i]];
    const int64_t count = rows->starts[positions[i] + 1] - from;
    QN_TRY(qn_buffer_append(&a->columns, rows->columns + from, 4 * count, err));
    QN_TRY(qn_buffer_append(&a->values, rows->values + from, 8 * count, err));
    end += count;
    QN_TRY(qn_buffer_append(&a->starts, &end, 8, err));
  }

done:
  return status;
}

static qn_status gather(adam *a, const int64_t *positions, int64_t n, qn_row_block *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = a->o->fit->rows;
  const int64_t n_columns = rows->n_columns;

  QN_TRY(need_rows(a, n, err));
  for (int64_t i = 0; i < n; i++) {
    const int64_t from = positions[i] * n_columns;
    a->y[i] = rows->y[positions[i]];
    a->w[i] = rows->w ? rows->w[positions[i]] : 1;
    if (rows->x) {
      memcpy(a->dense + i * n_columns, rows->x + from, (size_t)n_columns * 8);
    }
    for (int64_t j = 0; j < n_columns && rows->x32; j++) {
      a->dense[i * n_columns + j] = rows->x32[from + j];
    }
  }
  *out = (qn_row_block){.n_rows = n, .n_columns = rows->n_columns, .y = a->y, .w = rows->w ? a->w : NULL};
  if (!rows->is_sparse) {
    out->x = a->dense;
    goto done;
  }
  QN_TRY(gather_sparse(a, positions, n, err));
  out->starts = (const int64_t *)a->starts.data;
  out->columns = (const int32_t *)a->columns.data;
  out->values = (const double *)a->values.data;

done:
  return status;
}

// Adds loss, weight and gradient of some rows: sums [n_columns, n_outputs], [n_outputs], loss, weight.
static qn_status add_rows(adam *a, const int64_t *positions, int64_t n, double *sums, qn_error *err) {
  qn_status status = QN_OK;
  qn_linear_objective *o = a->o;
  const int n_outputs = o->n_outputs;
  double *of_intercept = sums + (int64_t)o->n_columns * n_outputs;
  qn_row_block block = {0};

  QN_TRY(gather(a, positions, n, &block, err));
  qn_linear_block_margins(&block, n_outputs, a->b, o->intercept, a->margins);
  of_intercept[n_outputs] += qn_linear_loss_rows(o->loss, n, n_outputs, block.y, block.w, a->margins);
  qn_linear_block_gradient(&block, n_outputs, a->margins, sums);
  for (int64_t i = 0; i < n; i++) {
    of_intercept[n_outputs + 1] += a->w[i];
    for (int k = 0; k < n_outputs; k++) {
      of_intercept[k] += a->margins[i * n_outputs + k];
    }
  }

done:
  return status;
}

// The coefficients of the columns as they are, from those of the scaled ones.
static void unscale(adam *a) {
  qn_linear_objective *o = a->o;
  const int64_t n_weights = (int64_t)o->n_columns * o->n_outputs;

  for (int k = 0; k < o->n_outputs; k++) {
    o->intercept[k] = o->has_intercept ? a->x[n_weights + k] : 0;
  }
  for (int64_t i = 0; i < n_weights; i++) {
    const int64_t column = i / o->n_outputs;
    a->b[i] = a->x[i] * a->scale[column];
    o->intercept[i % o->n_outputs] -= o->has_intercept ? o->gram.mean[column] * a->b[i] : 0;
  }
}

static void move(adam *a, const double *total) {
  const qn_linear_objective *o = a->o;
  const int64_t n_weights = (int64_t)o->n_columns * o->n_outputs;
  const double weight = total[n_weights + o->n_outputs + 1];
  const double share = weight > 0 ? 1 / weight : 0;
  const double done = (double)a->n_steps_done / (double)a->n_steps_all;
  const double step = (double)(a->n_steps_done + 1);
  const double rate = a->options->learning_rate * 0.5 * (1 + cos(M_PI * done)) *
                      sqrt(1 - pow(DECAY_SQUARE, step)) / (1 - pow(DECAY_MEAN, step));

  for (int64_t i = 0; i < o->n; i++) {
    double g = total[i] * share;
    if (i < n_weights) {
      const int64_t column = i / o->n_outputs;
      const bool is_fixed = o->has_intercept && o->gram.variance[column] == 0;
      g -= o->has_intercept ? o->gram.mean[column] * total[n_weights + i % o->n_outputs] * share : 0;
      g = ((is_fixed ? 0 : g) + o->l2 * a->b[i]) * a->scale[column];
    }
    a->mean[i] = DECAY_MEAN * a->mean[i] + (1 - DECAY_MEAN) * g;
    a->square[i] = DECAY_SQUARE * a->square[i] + (1 - DECAY_SQUARE) * g * g;
    a->x[i] -= rate * a->mean[i] / (sqrt(a->square[i]) + TINY);
  }
  a->n_steps_done++;
}

static qn_status run_step(adam *a, const qn_mini_batches *batches, int64_t step, qn_lane_sum *sum,
                          double *loss, double *weight, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = a->o->fit->rows;
  const int n_own = rows->end_lane - rows->first_lane;
  const int64_t at = (int64_t)a->o->n_columns * a->o->n_outputs + a->o->n_outputs;
  int64_t first = batches->step_starts[step];
  const double *total = NULL;

  unscale(a);
  for (int lane = 0; lane < n_own; lane++) { // in exact mode lane by lane, else all in one
    const bool is_last = lane == n_own - 1;
    if (!a->o->fit->how->exact && !is_last) {
      continue;
    }
    const int64_t end = is_last ? batches->step_starts[step + 1] : batches->lane_ends[step * n_own + lane];
    if (end > first) {
      QN_TRY(add_rows(a, batches->positions + first, end - first,
                      qn_lane_sum_at(sum, rows->first_lane + lane), err));
    }
    first = end;
  }
  QN_TRY(qn_lane_sum_finish(sum, &total, err));
  *loss += total[at];
  *weight += total[at + 1];
  move(a, total);

done:
  return status;
}

static qn_status run_epoch(adam *a, int64_t epoch, int64_t n_epochs, qn_lane_sum *sum, double *loss,
                           qn_error *err) {
  qn_status status = QN_OK;
  qn_fit_state *fit = a->o->fit;
  qn_mini_batches batches = {0};
  double total = 0;
  double weight = 0;

  QN_TRY(qn_mini_batches_draw(fit->rows, a->options->batch_rows, fit->how->seed, epoch, &batches, err));
  a->n_steps_all = batches.n_steps * n_epochs;
  a->n_steps_done = batches.n_steps * epoch;
  for (int64_t step = 0; step < batches.n_steps; step++) {
    QN_TRY(run_step(a, &batches, step, sum, &total, &weight, err));
  }
  *loss = weight > 0 ? total / weight : 0;
  QN_REQUIRE(
      isfinite(*loss) && *loss < 1e3, err, QN_ERR_VALUE,
      "logistic: the mean loss of epoch %lld is %g: mini-batches diverge with learning_rate=%g; take a "
      "tenth of it, or solver=lbfgs",
      (long long)epoch + 1, *loss, a->options->learning_rate);

done:
  qn_mini_batches_release(&batches);
  return status;
}

static qn_status save(const adam *a, int64_t epoch, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays state = {0};

  QN_TRY(qn_arrays_put(&state, "x", QN_FLOAT64, a->o->n, a->x, err));
  QN_TRY(qn_arrays_put(&state, "mean", QN_FLOAT64, a->o->n, a->mean, err));
  QN_TRY(qn_arrays_put(&state, "square", QN_FLOAT64, a->o->n, a->square, err));
  QN_TRY(qn_fit_checkpoint(a->o->fit, epoch, &state, err));

done:
  qn_arrays_release(&state);
  return status;
}

static qn_status resume(adam *a, int64_t *epoch, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays state = {0};
  const char *const names[] = {"x", "mean", "square"};
  double *const to[] = {a->x, a->mean, a->square};

  QN_TRY(qn_fit_resume(a->o->fit, epoch, &state, err));
  for (int i = 0; i < 3 && *epoch > 0 && to[i] != NULL; i++) {
    const void *values = NULL;
    QN_TRY(qn_arrays_get(&state, names[i], QN_FLOAT64, 1, &a->o->n, &values, err));
    memcpy(to[i], values, (size_t)a->o->n * 8);
  }

done:
  qn_arrays_release(&state);
  return status;
}

// The loss of all rows at the end, and what else there is to note.
static qn_status finish(adam *a, int64_t n_epochs, qn_error *err) {
  qn_status status = QN_OK;
  qn_linear_objective *o = a->o;
  double value = 0;

  for (int64_t i = 0; i < (int64_t)o->n_columns * o->n_outputs; i++) {
    a->x[i] *= a->scale[i / o->n_outputs];
  }
  QN_TRY(qn_linear_evaluate(o, a->x, &value, a->mean, err));
  QN_REQUIRE(isfinite(value), err, QN_ERR_VALUE,
             "logistic: the loss is %g after %lld epochs: mini-batches diverge with learning_rate=%g; take a "
             "tenth of it, or solver=lbfgs",
             value, (long long)n_epochs, a->options->learning_rate);
  QN_TRY(qn_linear_put(o, a->x, err));
  QN_TRY(qn_fit_note(o->fit, "iterations", (double)n_epochs, err));
  QN_TRY(qn_fit_note(o->fit, "train_loss", value, err));

done:
  return status;
}

qn_status qn_logistic_mini_batch(qn_linear_objective *objective, const qn_logistic_options *options,
                                 const double *x, qn_error *err) {
  qn_status status = QN_OK;
  qn_fit_state *fit = objective->fit;
  adam a = {.o = objective, .options = options};
  qn_lane_sum *sum = NULL;
  const int64_t n_epochs = options->max_iterations > 0 ? options->max_iterations : 20;
  int64_t epoch = 0;

  QN_TRY(make_room(&a, x, err));
  QN_TRY(qn_lane_sum_new(fit->comm, fit->rows, fit->how->exact,
                         (int64_t)(objective->n_columns + 1) * objective->n_outputs + 2, &sum, err));
  QN_TRY(resume(&a, &epoch, err));
  while (epoch < n_epochs) {
    double loss = 0;
    QN_TRY(run_epoch(&a, epoch, n_epochs, sum, &loss, err));
    epoch++;
    QN_TRY(qn_fit_step(fit,
                       &(qn_fit_report){.step = epoch,
                                        .loss = loss,
                                        .gradient_norm = NAN,
                                        .n_rows = fit->rows->n_total,
                                        .flops = objective->flops},
                       err));
    if (epoch < n_epochs && qn_fit_wants_checkpoint(fit, epoch)) {
      QN_TRY(save(&a, epoch, err));
    }
  }
  QN_TRY(finish(&a, n_epochs, err));

done:
  qn_lane_sum_free(sum);
  release(&a);
  return status;
}
