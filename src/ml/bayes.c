// SPDX-License-Identifier: Apache-2.0
// Naive Bayes. gaussian: means first and squares around them in a second pass, so that no digits cancel.
// multinomial and bernoulli are linear in the row (or in which values are > 0), so they predict as linear
// models do.
#include <cblas.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "ml/estimator.h"
#include "ml/linear_objective.h"
#include "ml/wide.h"

#define FIELD(name) offsetof(qn_bayes_options, name)
static const qn_setting settings[] = {
    {{"kind", "gaussian", "gaussian; multinomial for counts; bernoulli for truths (values > 0)"},
     QN_SETTING_CHOICE,
     FIELD(kind),
     .choices = "gaussian multinomial bernoulli"},
    {{"smoothing", "1", "added to the counts of multinomial and bernoulli (Laplace)"},
     QN_SETTING_FLOAT64,
     FIELD(smoothing),
     .min = 0,
     .max = 1e300},
    {{"var_smoothing", "1e-9", "share of the largest variance that is added to all, of gaussian"},
     QN_SETTING_FLOAT64,
     FIELD(var_smoothing),
     .min = 0,
     .max = 1e300},
    {{0}, 0, 0, 0, 0, 0}};

// A pass adds up per class: values [n_classes, n_columns], weights of values that are there (sparse) or
// nothing, weights of the classes.
typedef struct pass {
  qn_fit_state *fit;
  qn_bayes_kind kind;
  const double *centre; // taken off: [n_columns], or with squares [n_classes, n_columns]
  bool squares;
  double *dense;
} pass;

static qn_task task(const void *options) {
  (void)options;
  return QN_TASK_CLASS;
}

QN_WIDE static void add_values(const double *x, int n, double weight, const double *centre, double *sums) {
  for (int j = 0; j < n; j++) {
    sums[j] += weight * (x[j] - centre[j]);
  }
}

QN_WIDE static void add_squares(const double *x, int n, double weight, const double *centre, double *sums) {
  for (int j = 0; j < n; j++) {
    sums[j] += weight * (x[j] - centre[j]) * (x[j] - centre[j]);
  }
}

QN_WIDE static void add_truths(const double *x, int n, double weight, double *sums) {
  for (int j = 0; j < n; j++) {
    sums[j] += x[j] > 0 ? weight : 0.0;
  }
}

static void add_dense_row(const pass *p, const double *x, int class, double weight, double *sums) {
  const int n = p->fit->rows->n_columns;
  double *own = sums + (int64_t) class * n;

  if (p->kind == QN_BAYES_BERNOULLI) {
    add_truths(x, n, weight, own);
  } else if (p->squares) {
    add_squares(x, n, weight, p->centre + (int64_t) class * n, own);
  } else {
    add_values(x, n, weight, p->centre, own);
  }
}

static void add_sparse_row(const pass *p, const qn_row_block *block, int64_t row, int class, double weight,
                           double *sums) {
  const int64_t n = block->n_columns;
  double *own = sums + class * n;
  double *there = sums + p->fit->n_classes * n + class * n;

  for (int64_t i = block->starts[row]; i < block->starts[row + 1]; i++) {
    const int32_t column = block->columns[i];
    double value = block->values[i];
    if (p->kind == QN_BAYES_BERNOULLI) {
      value = value > 0;
    } else if (p->squares) {
      value -= p->centre[class * n + column];
      value *= value;
    }
    own[column] += weight * value;
    there[column] += weight;
  }
}

static qn_status check_counts(const pass *p, const qn_row_block *block, qn_error *err) {
  qn_status status = QN_OK;
  const bool is_sparse = p->fit->rows->is_sparse;
  const int64_t first = is_sparse ? block->starts[0] : 0;
  const int64_t end = is_sparse ? block->starts[block->n_rows] : block->n_rows * block->n_columns;
  const double *values = is_sparse ? block->values : block->x;

  for (int64_t i = first; i < end; i++) {
    if (values[i] < 0) {
      const int column = is_sparse ? block->columns[i] : (int)(i % block->n_columns);
      const qn_features *features = p->fit->model->features;
      QN_REQUIRE(false, err, QN_ERR_VALUE,
                 "bayes: feature %d (%s) is %g in some row, but multinomial takes counts, which are not "
                 "negative; take kind=gaussian, or other features",
                 column, features ? qn_features_name(features, column) : "no name", values[i]);
    }
  }

done:
  return status;
}

static qn_status run_pass(const pass *p, qn_lane_sum *sum, const double **total, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = p->fit->rows;
  const int64_t n_values = (int64_t)p->fit->n_classes * rows->n_columns;
  const int64_t n_before = rows->is_sparse ? 2 * n_values : n_values;

  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    if (!rows->is_sparse) {
      qn_row_block_densify(&block, p->dense);
    }
    if (p->kind == QN_BAYES_MULTINOMIAL) {
      QN_TRY(check_counts(p, &block, err));
    }
    double *sums = qn_lane_sum_at(sum, block.lane);
    for (int64_t row = 0; row < block.n_rows; row++) {
      const int class = (int)block.y[row];
      const double weight = block.w ? block.w[row] : 1;
      if (rows->is_sparse) {
        add_sparse_row(p, &block, row, class, weight, sums);
      } else {
        add_dense_row(p, block.x + row * block.n_columns, class, weight, sums);
      }
      sums[n_before + class] += weight;
    }
  }
  QN_TRY(qn_lane_sum_finish(sum, total, err));

done:
  return status;
}

// mean [n_classes, n_columns] and weights [n_classes] from the first pass.
static void take_means(const pass *p, const double *total, double *means, double *weights) {
  const int n_classes = p->fit->n_classes;
  const int n = p->fit->rows->n_columns;
  const int64_t n_values = (int64_t)n_classes * n;

  memcpy(weights, total + (p->fit->rows->is_sparse ? 2 * n_values : n_values), (size_t)n_classes * 8);
  for (int64_t i = 0; i < n_values; i++) {
    const double weight = weights[i / n];
    means[i] = weight > 0 ? p->centre[i % n] + total[i] / weight : 0;
  }
}

// Variances in place of sums of squares; the zeros of sparse rows are added here.
static void take_variances(const pass *p, const double *total, const double *means, const double *weights,
                           double smoothing, double *variances) {
  const int n_classes = p->fit->n_classes;
  const int n = p->fit->rows->n_columns;
  const int64_t n_values = (int64_t)n_classes * n;
  double largest = 0;
  double weight = 0;

  for (int k = 0; k < n_classes; k++) {
    weight += weights[k];
  }
  for (int64_t i = 0; i < n_values; i++) {
    const double own = weights[i / n];
    const double zeros = p->fit->rows->is_sparse ? fmax(0, own - total[n_values + i]) : 0;
    variances[i] = own > 0 ? (total[i] + zeros * means[i] * means[i]) / own : 0;
  }
  for (int j = 0; j < n; j++) {
    double mean = 0;
    double square = 0;
    for (int k = 0; k < n_classes; k++) {
      mean += weights[k] / weight * means[(int64_t)k * n + j];
    }
    for (int k = 0; k < n_classes; k++) {
      const double shift = means[(int64_t)k * n + j] - mean;
      square += weights[k] / weight * (variances[(int64_t)k * n + j] + shift * shift);
    }
    largest = fmax(largest, square);
  }
  for (int64_t i = 0; i < n_values; i++) {
    variances[i] += smoothing * largest;
    variances[i] = variances[i] > 0 ? variances[i] : 1e-300;
  }
}

static qn_status put(qn_fit_state *fit, const char *name, const double *values, qn_error *err) {
  return qn_arrays_put_matrix(&fit->model->arrays, name, QN_FLOAT64, fit->n_classes, fit->rows->n_columns,
                              values, err);
}

static qn_status finish_gaussian(pass *p, qn_lane_sum *sum, double *means, double *weights, double *variances,
                                 qn_error *err) {
  qn_status status = QN_OK;
  const qn_bayes_options *options = p->fit->options;
  const double *total = NULL;
  const int64_t n_values = (int64_t)p->fit->n_classes * p->fit->rows->n_columns;

  p->squares = true;
  p->centre = means;
  QN_TRY(run_pass(p, sum, &total, err));
  take_variances(p, total, means, weights, options->var_smoothing, variances);
  for (int64_t i = 0; i < n_values; i++) {
    QN_REQUIRE(
        isfinite(variances[i]) && isfinite(means[i]), err, QN_ERR_VALUE,
        "bayes: the variance of feature %lld is too large for float64; scale it, as with standardise()",
        (long long)(i % p->fit->rows->n_columns));
  }
  QN_TRY(put(p->fit, "means", means, err));
  QN_TRY(put(p->fit, "variances", variances, err));

done:
  return status;
}

// Coefficients and intercepts of a linear model whose margins are the joint logarithms of probabilities.
static qn_status finish_counts(const pass *p, const double *total, const double *weights, double *b,
                               double *intercepts, qn_error *err) {
  qn_status status = QN_OK;
  const qn_bayes_options *options = p->fit->options;
  const double smoothing = fmax(options->smoothing, 1e-10); // never the logarithm of 0
  const int64_t n = p->fit->rows->n_columns;

  for (int k = 0; k < p->fit->n_classes; k++) {
    const double *counts = total + k * n;
    double sum = 0;
    for (int64_t j = 0; j < n; j++) {
      sum += counts[j] + smoothing;
    }
    for (int64_t j = 0; j < n; j++) {
      b[k * n + j] = log((counts[j] + smoothing) / sum);
      if (p->kind == QN_BAYES_BERNOULLI) {
        const double all = weights[k] + 2 * smoothing;
        const double missing = fmax(weights[k] - counts[j], 0) + smoothing;
        b[k * n + j] = log((counts[j] + smoothing) / missing);
        intercepts[k] += log(missing / all);
      }
    }
  }
  QN_TRY(put(p->fit, "coefficients", b, err));
  QN_TRY(qn_arrays_put(&p->fit->model->arrays, "intercept", QN_FLOAT64, p->fit->n_classes, intercepts, err));

done:
  return status;
}

static qn_status finish(pass *p, qn_lane_sum *sum, const double *total, qn_error *err) {
  qn_status status = QN_OK;
  qn_fit_state *fit = p->fit;
  const int n_classes = fit->n_classes;
  const int64_t n_values = (int64_t)n_classes * fit->rows->n_columns;
  double *first = qn_memory_alloc(8 * n_values);
  double *second = qn_memory_alloc(8 * n_values);
  double *weights = qn_memory_alloc(16 * n_classes);

  QN_REQUIRE(first && second && weights, err, QN_ERR_MEMORY, "out of memory for %d classes of %d columns",
             n_classes, fit->rows->n_columns);
  double *priors = weights + n_classes;
  take_means(p, total, first, weights);
  for (int k = 0; k < n_classes; k++) { // a class may have no weight: then it is never the answer
    priors[k] = weights[k] > 0 ? log(weights[k] / fit->rows->total_weight) : -1e300;
  }
  QN_TRY(qn_arrays_put(&fit->model->arrays, "log_priors", QN_FLOAT64, n_classes, priors, err));
  if (p->kind == QN_BAYES_GAUSSIAN) {
    QN_TRY(finish_gaussian(p, sum, first, weights, second, err));
  } else {
    QN_TRY(finish_counts(p, total, weights, second, priors, err));
  }

done:
  qn_memory_free(first);
  qn_memory_free(second);
  qn_memory_free(weights);
  return status;
}

static qn_status fit_bayes(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  const qn_bayes_options *options = fit->options;
  const qn_rows *rows = fit->rows;
  const int64_t n = rows->n_columns;
  const int64_t n_values = fit->n_classes * n * (rows->is_sparse ? 2 : 1);
  pass p = {.fit = fit, .kind = options->kind};
  double *guess = qn_memory_alloc(8 * (n + 1));
  qn_lane_sum *sum = NULL;
  const double *total = NULL;

  p.dense = rows->is_sparse ? NULL : qn_memory_alloc(8 * rows->block_rows * n);
  QN_REQUIRE(guess && (p.dense || rows->is_sparse), err, QN_ERR_MEMORY,
             "out of memory for a block of %lld rows", (long long)rows->block_rows);
  QN_REQUIRE(rows->total_weight > 0, err, QN_ERR_VALUE,
             "the weights of all rows are 0, so there is nothing to learn from; give some rows a weight > 0");
  memset(guess, 0, (size_t)(n + 1) * 8);
  if (p.kind == QN_BAYES_GAUSSIAN && !rows->is_sparse) {
    QN_TRY(qn_guess_means(fit, guess, err));
  }
  p.centre = guess;
  QN_TRY(qn_lane_sum_new(fit->comm, rows, fit->how->exact, n_values + fit->n_classes, &sum, err));
  QN_TRY(run_pass(&p, sum, &total, err));
  QN_TRY(finish(&p, sum, total, err));
  QN_TRY(qn_fit_step(fit,
                     &(qn_fit_report){.step = 1,
                                      .loss = 0,
                                      .gradient_norm = NAN,
                                      .n_rows = rows->n_total,
                                      .flops = 2.0 * (double)rows->n_local * (double)n},
                     err));

done:
  qn_lane_sum_free(sum);
  qn_memory_free(guess);
  qn_memory_free(p.dense);
  return status;
}

// --- Predict ---

// The sum of (x - mean)^2 / (2 variance) of a dense row, in eight fixed accumulators.
QN_WIDE static double distance_of(const double *x, const double *mean, const double *variance, int n) {
  double sums[8] = {0};
  int j = 0;

  for (; j + 8 <= n; j += 8) {
    for (int i = 0; i < 8; i++) {
      const double d = x[j + i] - mean[j + i];
      sums[i] += d * d / variance[j + i];
    }
  }
  for (; j < n; j++) {
    sums[0] += (x[j] - mean[j]) * (x[j] - mean[j]) / variance[j];
  }
  return 0.5 * (((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7])));
}

static double distance_of_sparse(const qn_row_block *block, int64_t row, const double *mean,
                                 const double *variance) {
  double sum = 0;

  for (int64_t i = block->starts[row]; i < block->starts[row + 1]; i++) {
    const int32_t j = block->columns[i];
    const double x = block->values[i];
    sum += x * (x - 2 * mean[j]) / variance[j]; // (x - m)^2 - m^2
  }
  return 0.5 * sum;
}

static qn_status predict_gaussian(const qn_model *model, const qn_row_block *block, double *outputs,
                                  qn_error *err) {
  qn_status status = QN_OK;
  const int n_classes = model->classes.n;
  const int n = block->n_columns;
  const double *means = NULL;
  const double *variances = NULL;
  const double *priors = NULL;

  QN_TRY(qn_arrays_get(&model->arrays, "means", QN_FLOAT64, 2, (int64_t[]){n_classes, n},
                       (const void **)&means, err));
  QN_TRY(qn_arrays_get(&model->arrays, "variances", QN_FLOAT64, 2, (int64_t[]){n_classes, n},
                       (const void **)&variances, err));
  QN_TRY(qn_arrays_get(&model->arrays, "log_priors", QN_FLOAT64, 1, (int64_t[]){n_classes},
                       (const void **)&priors, err));
  for (int k = 0; k < n_classes; k++) {
    const double *mean = means + (int64_t)k * n;
    const double *variance = variances + (int64_t)k * n;
    double constant = priors[k];
    for (int j = 0; j < n; j++) {
      constant -= 0.5 * log(2 * M_PI * variance[j]);
      constant -= block->x ? 0 : 0.5 * mean[j] * mean[j] / variance[j];
    }
    for (int64_t row = 0; row < block->n_rows; row++) {
      outputs[row * n_classes + k] = constant - (block->x ? distance_of(block->x + row * n, mean, variance, n)
                                                          : distance_of_sparse(block, row, mean, variance));
    }
  }

done:
  return status;
}

// Rows with 1 for every value > 0.
static qn_status predict_truths(const qn_model *model, const qn_row_block *block, double *outputs,
                                qn_error *err) {
  qn_status status = QN_OK;
  const int64_t first = block->x ? 0 : block->starts[0];
  const int64_t n = block->x ? block->n_rows * block->n_columns : block->starts[block->n_rows];
  const double *values = block->x ? block->x : block->values;
  double *truths = qn_memory_alloc(8 * n);
  qn_row_block other = *block;

  QN_REQUIRE(truths, err, QN_ERR_MEMORY, "out of memory for a block of %lld rows", (long long)block->n_rows);
  for (int64_t i = first; i < n; i++) {
    truths[i] = values[i] > 0;
  }
  if (block->x) {
    other.x = truths;
  } else {
    other.values = truths;
  }
  QN_TRY(qn_linear_margins(model, model->classes.n, &other, outputs, err));

done:
  qn_memory_free(truths);
  return status;
}

static qn_status predict(const qn_model *model, const qn_row_block *block, double *outputs, qn_error *err) {
  qn_status status = QN_OK;
  const qn_bayes_options *options = model->options;

  if (options->kind == QN_BAYES_GAUSSIAN) {
    QN_TRY(predict_gaussian(model, block, outputs, err));
  } else if (options->kind == QN_BAYES_MULTINOMIAL) {
    QN_TRY(qn_linear_margins(model, model->classes.n, block, outputs, err));
  } else {
    QN_TRY(predict_truths(model, block, outputs, err));
  }
  qn_softmax_rows(outputs, block->n_rows, model->classes.n);

done:
  return status;
}

const qn_estimator qn_estimator_bayes = {
    .name = "bayes",
    .summary = "naive Bayes: gaussian, multinomial, bernoulli",
    .settings = settings,
    .options_size = sizeof(qn_bayes_options),
    .needs_label = true,
    .takes_sparse = true,
    .task = task,
    .fit = fit_bayes,
    .predict = predict,
};

qn_bayes_options qn_bayes_defaults(void) {
  qn_bayes_options options;
  qn_settings_defaults(&qn_estimator_bayes, &options);
  return options;
}

qn_model *qn_fit_bayes(qn_dataset *data, const qn_training *how, const qn_bayes_options *options) {
  return qn_fit_estimator(data, &qn_estimator_bayes, how, options);
}
