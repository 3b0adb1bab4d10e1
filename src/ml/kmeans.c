// SPDX-License-Identifier: Apache-2.0
// k-means: from seeds (kmeans_seed.c) by Lloyd's steps (kmeans_move.c) until the centres hold still; of
// several starts the one with the least inertia.
#include "ml/kmeans.h"
#include <math.h>
#include <quern/train.h>
#include "base/check.h"
#include "ml/counter_random.h"
#include "ml/doubles.h"
#include "ml/estimator.h"

static const qn_setting settings[] = {
    {{"k", "8", "clusters"}, QN_SETTING_INT64, offsetof(qn_kmeans_options, k), 1, 1e6, NULL},
    {{"max_iterations", "300", "steps of Lloyd's at most"},
     QN_SETTING_INT64,
     offsetof(qn_kmeans_options, max_iterations),
     1,
     1e9,
     NULL},
    {{"tolerance", "1e-4", "squared shift of the centres, relative to the mean variance, to stop at"},
     QN_SETTING_FLOAT64,
     offsetof(qn_kmeans_options, tolerance),
     0,
     1,
     NULL},
    {{"n_starts", "1", "starts tried; the best one is kept"},
     QN_SETTING_INT64,
     offsetof(qn_kmeans_options, n_starts),
     1,
     1e6,
     NULL},
    {{NULL, NULL, NULL}, QN_SETTING_INT64, 0, 0, 0, NULL}};

// Where a fit is, of which all but the rows is kept in checkpoints.
typedef struct progress {
  int64_t start, iteration, step;
  double *centres, *sizes;                     // [k, n_columns], [k]
  double *best_centres, *best_sizes;           // of the starts that ended
  double best_inertia, best_iterations, shift; // shift: of the last step
} progress;

static qn_status keep(qn_fit_state *fit, const qn_kmeans_work *work, const progress *p, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t k = work->k;
  const int n_columns = work->rows->n_columns;
  const int64_t counts[3] = {p->start, p->iteration, p->step};
  const double measures[3] = {p->best_inertia, p->best_iterations, p->shift};
  qn_arrays state = {0};

  QN_TRY(qn_arrays_put(&state, "counts", QN_INT64, 3, counts, err));
  QN_TRY(qn_arrays_put(&state, "measures", QN_FLOAT64, 3, measures, err));
  QN_TRY(qn_arrays_put_matrix(&state, "centres", QN_FLOAT64, k, n_columns, p->centres, err));
  QN_TRY(qn_arrays_put_matrix(&state, "best_centres", QN_FLOAT64, k, n_columns, p->best_centres, err));
  QN_TRY(qn_arrays_put(&state, "best_sizes", QN_FLOAT64, k, p->best_sizes, err));
  QN_TRY(qn_fit_checkpoint(fit, p->step, &state, err));
done:
  qn_arrays_release(&state);
  return status;
}

static qn_status copy_state(const qn_arrays *state, const char *name, int n_dims, const int64_t *dims,
                            double *to, qn_error *err) {
  qn_status status = QN_OK;
  const void *data = NULL;

  QN_TRY(qn_arrays_get(state, name, QN_FLOAT64, n_dims, dims, &data, err));
  memcpy(to, data, (size_t)(dims[0] * (n_dims > 1 ? dims[1] : 1)) * sizeof(double));
done:
  return status;
}

// Goes on from a checkpoint, if there is one; then *has_centres.
static qn_status resume(qn_fit_state *fit, const qn_kmeans_work *work, progress *p, bool *has_centres,
                        qn_error *err) {
  qn_status status = QN_OK;
  const int64_t shape[2] = {work->k, work->rows->n_columns};
  const int64_t three = 3;
  double measures[3] = {0};
  const void *counts = NULL;
  qn_arrays state = {0};

  QN_TRY(qn_fit_resume(fit, &p->step, &state, err));
  *has_centres = p->step > 0;
  if (*has_centres) {
    QN_TRY(qn_arrays_get(&state, "counts", QN_INT64, 1, &three, &counts, err));
    p->start = ((const int64_t *)counts)[0];
    p->iteration = ((const int64_t *)counts)[1];
    QN_TRY(copy_state(&state, "measures", 1, &three, measures, err));
    p->best_inertia = measures[0];
    p->best_iterations = measures[1];
    p->shift = measures[2];
    QN_TRY(copy_state(&state, "centres", 2, shape, p->centres, err));
    QN_TRY(copy_state(&state, "best_centres", 2, shape, p->best_centres, err));
    QN_TRY(copy_state(&state, "best_sizes", 1, shape, p->best_sizes, err));
  }
done:
  qn_arrays_release(&state);
  return status;
}

// Steps until the centres hold still.
static qn_status settle(qn_fit_state *fit, qn_kmeans_work *work, progress *p, qn_error *err) {
  qn_status status = QN_OK;
  const qn_kmeans_options *options = fit->options;
  const qn_rows *rows = work->rows;
  const double limit = options->tolerance * work->mean_variance;

  while (p->iteration < options->max_iterations && !(p->iteration > 0 && p->shift <= limit)) {
    qn_kmeans_step step = {0};
    QN_TRY(qn_kmeans_move(work, p->centres, p->sizes, &step, err));
    p->shift = step.shift;
    p->iteration++;
    p->step++;
    const qn_fit_report report = {.step = p->step,
                                  .loss = step.inertia,
                                  .gradient_norm = NAN,
                                  .n_rows = rows->n_total,
                                  .flops = 2.0 * (double)rows->n_local * (double)work->k * rows->n_columns};
    QN_TRY(qn_fit_step(fit, &report, err));
    if (qn_fit_wants_checkpoint(fit, p->step)) {
      QN_TRY(keep(fit, work, p, err));
    }
  }
done:
  return status;
}

static qn_status run_starts(qn_fit_state *fit, qn_kmeans_work *work, progress *p, qn_error *err) {
  qn_status status = QN_OK;
  const qn_kmeans_options *options = fit->options;
  const size_t size = (size_t)(work->k * work->rows->n_columns) * sizeof(double);
  bool has_centres = false;

  p->best_inertia = INFINITY;
  QN_TRY(resume(fit, work, p, &has_centres, err));
  for (; p->start < options->n_starts; p->start++) {
    double inertia = 0;
    if (!has_centres) {
      p->iteration = 0;
      QN_TRY(qn_kmeans_seed(work, qn_counter_bits(fit->how->seed, 7, (uint64_t)p->start), p->centres, err));
    }
    has_centres = false;
    QN_TRY(settle(fit, work, p, err));
    QN_TRY(qn_kmeans_inertia(work, p->centres, p->sizes, &inertia, err));
    if (inertia < p->best_inertia) {
      p->best_inertia = inertia;
      p->best_iterations = (double)p->iteration;
      memcpy(p->best_centres, p->centres, size);
      memcpy(p->best_sizes, p->sizes, (size_t)work->k * sizeof(double));
    }
  }
done:
  return status;
}

static qn_status fit_kmeans(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  const qn_kmeans_options *options = fit->options;
  const int n_columns = fit->rows->n_columns;
  const int64_t k = options->k;
  qn_kmeans_work work = {0};
  progress p = {0};

  QN_TRY(qn_kmeans_open(fit->comm, fit->rows, fit->how->exact, k, &work, err));
  QN_TRY(qn_doubles_new(k, n_columns, &p.centres, err));
  QN_TRY(qn_doubles_new(k, n_columns, &p.best_centres, err));
  QN_TRY(qn_doubles_new(k, 1, &p.sizes, err));
  QN_TRY(qn_doubles_new(k, 1, &p.best_sizes, err));
  QN_TRY(run_starts(fit, &work, &p, err));
  QN_TRY(qn_arrays_put_matrix(&fit->model->arrays, "centres", QN_FLOAT64, k, n_columns, p.best_centres, err));
  QN_TRY(qn_arrays_put(&fit->model->arrays, "sizes", QN_FLOAT64, k, p.best_sizes, err));
  QN_TRY(qn_fit_note(fit, "inertia", p.best_inertia, err));
  QN_TRY(qn_fit_note(fit, "iterations", p.best_iterations, err));
  QN_TRY(qn_fit_note(fit, "converged", p.best_iterations < (double)options->max_iterations, err));
done:
  qn_kmeans_close(&work);
  qn_memory_free(p.centres);
  qn_memory_free(p.best_centres);
  qn_memory_free(p.sizes);
  qn_memory_free(p.best_sizes);
  return status;
}

static qn_status predict(const qn_model *model, const qn_row_block *block, double *outputs, qn_error *err) {
  qn_status status = QN_OK;
  const int n_columns = block->n_columns;
  const qn_array *array = qn_arrays_find(&model->arrays, "centres");
  const int64_t shape[2] = {-1, n_columns};
  const void *data = NULL;
  double *origin = NULL;
  int32_t *which = NULL;
  qn_nearest nearest = {0};

  QN_TRY(qn_arrays_get(&model->arrays, "centres", QN_FLOAT64, 2, shape, &data, err));
  const double *centres = data;
  const int64_t k = array->dims[0];
  QN_TRY(qn_doubles_new(1, n_columns, &origin, err));
  for (int64_t i = 0; i < k * n_columns; i++) {
    origin[i % n_columns] += centres[i] / (double)k;
  }
  QN_TRY(qn_nearest_init(&nearest, n_columns, k, origin, err));
  qn_nearest_set(&nearest, k, centres);
  which = qn_memory_alloc(block->n_rows * (int64_t)sizeof *which);
  QN_REQUIRE(which != NULL, err, QN_ERR_MEMORY, "no memory for the clusters of %lld rows",
             (long long)block->n_rows);
  qn_nearest_find(&nearest, block->n_rows, block->x, which, NULL);
  for (int64_t i = 0; i < block->n_rows; i++) {
    outputs[2 * i] = which[i];
    outputs[2 * i + 1] = sqrt(
        qn_squared_distance(block->x + i * n_columns, centres + (int64_t)which[i] * n_columns, n_columns));
  }
done:
  qn_memory_free(origin);
  qn_memory_free(which);
  qn_nearest_release(&nearest);
  return status;
}

static qn_task task(const void *options) {
  (void)options;
  return QN_TASK_CLUSTER;
}

const qn_estimator qn_estimator_kmeans = {.name = "kmeans",
                                          .summary = "clusters around k centres",
                                          .settings = settings,
                                          .options_size = sizeof(qn_kmeans_options),
                                          .takes_no_label = true,
                                          .task = task,
                                          .fit = fit_kmeans,
                                          .predict = predict};

QN_API qn_kmeans_options qn_kmeans_defaults(void) {
  qn_kmeans_options options;
  qn_settings_defaults(&qn_estimator_kmeans, &options);
  return options;
}

QN_API qn_model *qn_fit_kmeans(qn_dataset *data, const qn_training *how, const qn_kmeans_options *options) {
  return qn_fit_estimator(data, &qn_estimator_kmeans, how, options);
}
