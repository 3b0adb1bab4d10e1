// SPDX-License-Identifier: Apache-2.0
// Gaussian mixtures by expectation maximisation (Dempster, Laird and Rubin, 1977), one pass over the rows a
// step: the probabilities of a block are used for its moments while it is in the cache. Starts from k-means.
#include "ml/mixture.h"
#include <math.h>
#include <quern/train.h>
#include "base/check.h"
#include "ml/doubles.h"
#include "ml/estimator.h"
#include "ml/kmeans.h"
#include "ml/lane_sum.h"

enum { START_STEPS = 100 };

static const qn_setting settings[] = {
    {{"k", "8", "components"}, QN_SETTING_INT64, offsetof(qn_mixture_options, k), 1, 1e6, NULL},
    {{"covariance", "full", "of each component: full or diagonal"},
     QN_SETTING_CHOICE,
     offsetof(qn_mixture_options, covariance),
     0,
     0,
     "full diagonal"},
    {{"max_iterations", "100", "steps at most"},
     QN_SETTING_INT64,
     offsetof(qn_mixture_options, max_iterations),
     1,
     1e9,
     NULL},
    {{"tolerance", "1e-3", "change of the mean log-likelihood to stop at"},
     QN_SETTING_FLOAT64,
     offsetof(qn_mixture_options, tolerance),
     0,
     1e9,
     NULL},
    {{"regularisation", "1e-6", "added to the variances"},
     QN_SETTING_FLOAT64,
     offsetof(qn_mixture_options, regularisation),
     0,
     1e300,
     NULL},
    {{NULL, NULL, NULL}, QN_SETTING_INT64, 0, 0, 0, NULL}};

typedef struct mixture_fit {
  qn_fit_state *fit;
  qn_kmeans_work start;
  qn_mixture mixture;
  qn_lane_sum *sum;
  double *probabilities; // [block_rows, k]
  int64_t step;
  double likelihood,
      change; // mean logarithm before the last step; by how much it differs from the one before
} mixture_fit;

static qn_status keep(mixture_fit *m, qn_error *err) {
  qn_status status = QN_OK;
  const qn_mixture *mixture = &m->mixture;
  const double measures[2] = {m->likelihood, m->change};
  qn_arrays state = {0};

  QN_TRY(qn_arrays_put(&state, "measures", QN_FLOAT64, 2, measures, err));
  QN_TRY(qn_arrays_put(&state, "weights", QN_FLOAT64, mixture->k, mixture->weights, err));
  QN_TRY(
      qn_arrays_put_matrix(&state, "means", QN_FLOAT64, mixture->k, mixture->n_columns, mixture->means, err));
  QN_TRY(qn_arrays_put_matrix(&state, "covariances", QN_FLOAT64, mixture->k, mixture->size,
                              mixture->covariances, err));
  QN_TRY(qn_fit_checkpoint(m->fit, m->step, &state, err));
done:
  qn_arrays_release(&state);
  return status;
}

// Weights, means and covariances from arrays.
static qn_status get(const qn_arrays *arrays, qn_mixture *mixture, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t means[2] = {mixture->k, mixture->n_columns};
  const int64_t covariances[2] = {mixture->k, mixture->size};
  const void *data = NULL;

  QN_TRY(qn_arrays_get(arrays, "weights", QN_FLOAT64, 1, means, &data, err));
  memcpy(mixture->weights, data, (size_t)mixture->k * sizeof(double));
  QN_TRY(qn_arrays_get(arrays, "means", QN_FLOAT64, 2, means, &data, err));
  memcpy(mixture->means, data, (size_t)(mixture->k * mixture->n_columns) * sizeof(double));
  QN_TRY(qn_arrays_get(arrays, "covariances", QN_FLOAT64, 2, covariances, &data, err));
  memcpy(mixture->covariances, data, (size_t)(mixture->k * mixture->size) * sizeof(double));
done:
  return status;
}

static qn_status resume(mixture_fit *m, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t two = 2;
  const void *measures = NULL;
  qn_arrays state = {0};

  QN_TRY(qn_fit_resume(m->fit, &m->step, &state, err));
  if (m->step > 0) {
    QN_TRY(get(&state, &m->mixture, err));
    QN_TRY(qn_arrays_get(&state, "measures", QN_FLOAT64, 1, &two, &measures, err));
    m->likelihood = ((const double *)measures)[0];
    m->change = ((const double *)measures)[1];
  }
done:
  qn_arrays_release(&state);
  return status;
}

// One pass: moments by probabilities, or at the start by the nearest centre, and then the new parameters.
static qn_status pass(mixture_fit *m, bool is_start, double *likelihood, qn_error *err) {
  qn_status status = QN_OK;
  const qn_mixture_options *options = m->fit->options;
  const qn_rows *rows = m->fit->rows;
  const int64_t k = m->mixture.k;
  const int64_t n_sums = qn_mixture_sums(&m->mixture);
  const double *total = NULL;

  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    qn_row_block_densify(&block, m->start.room);
    double *sums = qn_lane_sum_at(m->sum, block.lane);
    if (is_start) {
      qn_nearest_find(&m->start.nearest, block.n_rows, block.x, m->start.which, NULL);
      memset(m->probabilities, 0, (size_t)(block.n_rows * k) * sizeof(double));
      for (int64_t r = 0; r < block.n_rows; r++) {
        m->probabilities[r * k + m->start.which[r]] = 1;
      }
    } else {
      qn_mixture_logs(&m->mixture, block.n_rows, block.x, m->probabilities);
      sums[n_sums - 1] += qn_mixture_normalise(block.n_rows, k, block.w, m->probabilities);
    }
    qn_mixture_add(&m->mixture, block.n_rows, block.x, block.w, m->probabilities, sums);
  }
  QN_TRY(qn_lane_sum_finish(m->sum, &total, err));
  *likelihood = total[n_sums - 1] / rows->total_weight;
  if (isfinite(*likelihood)) {
    qn_mixture_update(&m->mixture, total, options->regularisation);
  }
done:
  return status;
}

// The means of k-means, and the moments of its clusters.
static qn_status begin(mixture_fit *m, qn_error *err) {
  qn_status status = QN_OK;
  double none = 0;
  qn_kmeans_step step = {.shift = INFINITY};

  QN_TRY(qn_kmeans_seed(&m->start, m->fit->how->seed, m->mixture.means, err));
  for (int i = 0; i < START_STEPS && step.shift > 1e-4 * m->start.mean_variance; i++) {
    QN_TRY(qn_kmeans_move(&m->start, m->mixture.means, m->mixture.weights, &step, err));
  }
  qn_nearest_set(&m->start.nearest, m->mixture.k, m->mixture.means);
  QN_TRY(pass(m, true, &none, err));
done:
  return status;
}

static double flops_of(const mixture_fit *m) {
  const double n = (double)m->fit->rows->n_local * (double)m->mixture.k * m->mixture.n_columns;
  return m->mixture.is_full ? 2.0 * n * m->mixture.n_columns : 8.0 * n;
}

static qn_status run_steps(mixture_fit *m, qn_error *err) {
  qn_status status = QN_OK;
  const qn_mixture_options *options = m->fit->options;

  while (m->step < options->max_iterations && !(m->step > 1 && fabs(m->change) < options->tolerance)) {
    double likelihood = 0;
    QN_TRY(qn_mixture_prepare(&m->mixture, err));
    QN_TRY(pass(m, false, &likelihood, err));
    m->step++;
    m->change = likelihood - m->likelihood;
    m->likelihood = likelihood;
    const qn_fit_report report = {.step = m->step,
                                  .loss = -likelihood,
                                  .gradient_norm = NAN,
                                  .n_rows = m->fit->rows->n_total,
                                  .flops = flops_of(m)};
    QN_TRY(qn_fit_step(m->fit, &report, err));
    if (qn_fit_wants_checkpoint(m->fit, m->step)) {
      QN_TRY(keep(m, err));
    }
  }
  QN_TRY(qn_mixture_prepare(&m->mixture, err)); // fails here rather than when it predicts
done:
  return status;
}

static qn_status put(mixture_fit *m, qn_error *err) {
  qn_status status = QN_OK;
  const qn_mixture *mixture = &m->mixture;
  qn_arrays *arrays = &m->fit->model->arrays;

  QN_TRY(qn_arrays_put(arrays, "weights", QN_FLOAT64, mixture->k, mixture->weights, err));
  QN_TRY(
      qn_arrays_put_matrix(arrays, "means", QN_FLOAT64, mixture->k, mixture->n_columns, mixture->means, err));
  QN_TRY(qn_arrays_put_matrix(arrays, "covariances", QN_FLOAT64, mixture->k, mixture->size,
                              mixture->covariances, err));
  QN_TRY(qn_fit_note(m->fit, "log_likelihood", m->likelihood, err));
  QN_TRY(qn_fit_note(m->fit, "iterations", (double)m->step, err));
  const double tolerance = ((const qn_mixture_options *)m->fit->options)->tolerance;
  QN_TRY(qn_fit_note(m->fit, "converged", m->step > 1 && fabs(m->change) < tolerance, err));
done:
  return status;
}

static qn_status fit_mixture(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  const qn_mixture_options *options = fit->options;
  const qn_rows *rows = fit->rows;
  mixture_fit m = {.fit = fit, .likelihood = -INFINITY, .change = INFINITY};

  QN_TRY(qn_kmeans_open(fit->comm, rows, fit->how->exact, options->k, &m.start, err));
  QN_TRY(qn_mixture_init(&m.mixture, options->k, rows->n_columns, options->covariance == QN_COVARIANCE_FULL,
                         rows->block_rows, m.start.mean, err));
  QN_TRY(qn_lane_sum_new(fit->comm, rows, fit->how->exact, qn_mixture_sums(&m.mixture), &m.sum, err));
  QN_TRY(qn_doubles_new(rows->block_rows, options->k, &m.probabilities, err));
  QN_TRY(resume(&m, err));
  if (m.step == 0) {
    QN_TRY(begin(&m, err));
  }
  QN_TRY(run_steps(&m, err));
  QN_TRY(put(&m, err));
done:
  qn_kmeans_close(&m.start);
  qn_mixture_release(&m.mixture);
  qn_lane_sum_free(m.sum);
  qn_memory_free(m.probabilities);
  return status;
}

// The parts of a model, for as many rows as the block has.
static qn_status open_model(const qn_model *model, const qn_row_block *block, qn_mixture *mixture,
                            qn_error *err) {
  qn_status status = QN_OK;
  const qn_mixture_options *options = model->options;
  const int n_columns = block->n_columns;
  const qn_array *array = qn_arrays_find(&model->arrays, "means");
  const int64_t shape[2] = {-1, n_columns};
  const void *means = NULL;
  double *origin = NULL;

  QN_TRY(qn_arrays_get(&model->arrays, "means", QN_FLOAT64, 2, shape, &means, err));
  const int64_t k = array->dims[0];
  QN_TRY(qn_doubles_new(1, n_columns, &origin, err));
  for (int64_t i = 0; i < k * n_columns; i++) {
    origin[i % n_columns] += ((const double *)means)[i] / (double)k;
  }
  QN_TRY(qn_mixture_init(mixture, k, n_columns, options->covariance == QN_COVARIANCE_FULL, block->n_rows,
                         origin, err));
  QN_TRY(get(&model->arrays, mixture, err));
  QN_TRY(qn_mixture_prepare(mixture, err));
done:
  qn_memory_free(origin);
  return status;
}

static qn_status predict(const qn_model *model, const qn_row_block *block, double *outputs, qn_error *err) {
  qn_status status = QN_OK;
  qn_mixture mixture = {0};

  QN_TRY(open_model(model, block, &mixture, err));
  qn_mixture_logs(&mixture, block->n_rows, block->x, outputs);
  qn_mixture_normalise(block->n_rows, mixture.k, NULL, outputs);
done:
  qn_mixture_release(&mixture);
  return status;
}

qn_status qn_mixture_log_densities(const qn_model *model, const qn_row_block *block, double *out,
                                   qn_error *err) {
  qn_status status = QN_OK;
  qn_mixture mixture = {0};
  double *logs = NULL;

  QN_TRY(open_model(model, block, &mixture, err));
  QN_TRY(qn_doubles_new(block->n_rows, mixture.k, &logs, err));
  qn_mixture_logs(&mixture, block->n_rows, block->x, logs);
  for (int64_t row = 0; row < block->n_rows; row++) {
    out[row] = qn_mixture_normalise(1, mixture.k, NULL, logs + row * mixture.k);
  }
done:
  qn_mixture_release(&mixture);
  qn_memory_free(logs);
  return status;
}

static qn_task task(const void *options) {
  (void)options;
  return QN_TASK_MIXTURE;
}

const qn_estimator qn_estimator_mixture = {.name = "mixture",
                                           .summary = "a mixture of k normal distributions",
                                           .settings = settings,
                                           .options_size = sizeof(qn_mixture_options),
                                           .takes_no_label = true,
                                           .task = task,
                                           .fit = fit_mixture,
                                           .predict = predict};

QN_API qn_mixture_options qn_mixture_defaults(void) {
  qn_mixture_options options;
  qn_settings_defaults(&qn_estimator_mixture, &options);
  return options;
}

QN_API qn_model *qn_fit_mixture(qn_dataset *data, const qn_training *how, const qn_mixture_options *options) {
  return qn_fit_estimator(data, &qn_estimator_mixture, how, options);
}
