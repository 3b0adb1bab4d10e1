// SPDX-License-Identifier: Apache-2.0
// Principal components and truncated singular value decomposition: both are the largest eigenvectors of the
// columns' total squares, around the mean or around 0.
#include "ml/pca.h"
#include <cblas.h>
#include <math.h>
#include <quern/train.h>
#include "base/check.h"
#include "ml/column_moments.h"
#include "ml/doubles.h"
#include "ml/estimator.h"
#include "ml/lane_sum.h"

enum { MAX_EXACT_COLUMNS = 2000 };

static const qn_setting settings[] = {
    {{"k", "2", "components"}, QN_SETTING_INT64, offsetof(qn_pca_options, k), 1, 1e6, NULL},
    {{"method", "auto", "exact is auto up to 2,000 columns"},
     QN_SETTING_CHOICE,
     offsetof(qn_pca_options, method),
     0,
     0,
     "auto exact randomised"},
    {{"oversampling", "10", "further random directions, of randomised"},
     QN_SETTING_INT64,
     offsetof(qn_pca_options, oversampling),
     0,
     1e6,
     NULL},
    {{"power_iterations", "7", "passes that sharpen the directions, of randomised"},
     QN_SETTING_INT64,
     offsetof(qn_pca_options, power_iterations),
     0,
     1000,
     NULL},
    {{"whiten", "false", "scale the outputs to variance 1"},
     QN_SETTING_BOOL,
     offsetof(qn_pca_options, whiten),
     0,
     0,
     NULL},
    {{NULL, NULL, NULL}, QN_SETTING_INT64, 0, 0, 0, NULL}};

// The largest number of each vector, by magnitude, is made positive, as scikit-learn does it.
static void fix_signs(qn_spectrum *spectrum, int n_columns) {
  for (int64_t c = 0; c < spectrum->k; c++) {
    double *vector = spectrum->vectors + c * n_columns;
    int at = 0;
    for (int j = 1; j < n_columns; j++) {
      at = fabs(vector[j]) > fabs(vector[at]) ? j : at;
    }
    if (vector[at] < 0) {
      cblas_dscal(n_columns, -1.0, vector, 1);
    }
  }
}

// Means of the columns of sparse rows.
static qn_status sparse_mean(qn_fit_state *fit, double *mean, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = fit->rows;
  const double *total = NULL;
  qn_lane_sum *sum = NULL;

  QN_TRY(qn_lane_sum_new(fit->comm, rows, fit->how->exact, rows->n_columns, &sum, err));
  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    double *sums = qn_lane_sum_at(sum, block.lane);
    for (int64_t r = 0; r < block.n_rows; r++) {
      const double weight = block.w == NULL ? 1.0 : block.w[r];
      for (int64_t a = block.starts[r]; a < block.starts[r + 1]; a++) {
        sums[block.columns[a]] += weight * block.values[a];
      }
    }
  }
  QN_TRY(qn_lane_sum_finish(sum, &total, err));
  for (int j = 0; j < rows->n_columns; j++) {
    mean[j] = total[j] / rows->total_weight;
  }
done:
  qn_lane_sum_free(sum);
  return status;
}

static qn_status decompose(qn_fit_state *fit, bool is_centred, qn_spectrum *spectrum, qn_error *err) {
  qn_status status = QN_OK;
  const qn_pca_options *options = fit->options;
  const qn_rows *rows = fit->rows;
  const int64_t most = rows->n_total < rows->n_columns ? rows->n_total : rows->n_columns;
  double *room = NULL;

  QN_REQUIRE(options->k <= most, err, QN_ERR_VALUE,
             "%lld components are wanted (k), but %lld rows with %d columns have only %lld: choose k <= %lld",
             (long long)options->k, (long long)rows->n_total, rows->n_columns, (long long)most,
             (long long)most);
  QN_TRY(qn_doubles_new(1, rows->n_columns, &spectrum->mean, err));
  QN_TRY(qn_doubles_new(spectrum->k, 1, &spectrum->values, err));
  QN_TRY(qn_doubles_new(spectrum->k, rows->n_columns, &spectrum->vectors, err));
  const bool is_exact = options->method == QN_DECOMPOSITION_EXACT ||
                        (options->method == QN_DECOMPOSITION_AUTO && rows->n_columns <= MAX_EXACT_COLUMNS);
  if (rows->is_sparse) {
    QN_TRY(sparse_mean(fit, spectrum->mean, err));
  } else {
    QN_TRY(qn_rows_room(rows, &room, err));
  }
  if (!rows->is_sparse && !(is_exact && is_centred)) { // which finds the mean by itself
    QN_TRY(qn_column_moments(fit->comm, rows, fit->how->exact, room, spectrum->mean, NULL, err));
  }
  if (is_exact) {
    QN_TRY(qn_spectrum_exact(fit, is_centred, room, spectrum, err));
  } else {
    QN_TRY(qn_spectrum_randomised(fit, is_centred, room, spectrum, err));
  }
  fix_signs(spectrum, rows->n_columns);
  QN_REQUIRE(spectrum->squares > 0, err, QN_ERR_VALUE, "%s: there is nothing to decompose",
             is_centred ? "all rows are equal" : "all numbers are 0");
done:
  qn_memory_free(room);
  return status;
}

// Variances along the vectors, and their share of that of all columns.
static void take_variances(const qn_fit_state *fit, bool is_centred, const qn_spectrum *spectrum,
                           double *variances, double *ratios) {
  const int n_columns = fit->rows->n_columns;
  const double weight = fit->rows->total_weight;
  // scikit-learn's PCA divides by n - 1, its TruncatedSVD by n
  const double divisor = is_centred && weight > 1 ? weight - 1 : weight;
  double total = spectrum->squares / divisor;

  if (!is_centred) {
    total -= cblas_ddot(n_columns, spectrum->mean, 1, spectrum->mean, 1);
  }
  for (int64_t c = 0; c < spectrum->k; c++) {
    variances[c] = spectrum->values[c] / divisor;
    if (!is_centred) {
      const double mean = cblas_ddot(n_columns, spectrum->mean, 1, spectrum->vectors + c * n_columns, 1);
      variances[c] = fmax(0.0, variances[c] - mean * mean);
    }
    ratios[c] = total > 0 ? variances[c] / total : 0.0;
  }
}

// What outputs are multiplied by.
static qn_status take_scales(const qn_fit_state *fit, bool is_centred, const qn_spectrum *spectrum,
                             double *scales, qn_error *err) {
  qn_status status = QN_OK;
  const qn_pca_options *options = fit->options;
  const double weight = fit->rows->total_weight;
  const double divisor = is_centred && weight > 1 ? weight - 1 : weight;

  for (int64_t c = 0; c < spectrum->k; c++) {
    QN_REQUIRE(!options->whiten || spectrum->values[c] > 1e-14 * spectrum->values[0], err, QN_ERR_VALUE,
               "component %lld has no variance that whiten could scale to 1: choose k <= %lld",
               (long long)(c + 1), (long long)c);
    scales[c] = options->whiten ? sqrt(divisor / spectrum->values[c]) : 1.0;
  }
done:
  return status;
}

static qn_status put(qn_fit_state *fit, bool is_centred, const qn_spectrum *spectrum, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays *arrays = &fit->model->arrays;
  const int n_columns = fit->rows->n_columns;
  const int64_t k = spectrum->k;
  double *rows = NULL; // variances, ratios, scales, singular values
  double ratio = 0;

  QN_TRY(qn_doubles_new(4, k, &rows, err));
  take_variances(fit, is_centred, spectrum, rows, rows + k);
  QN_TRY(take_scales(fit, is_centred, spectrum, rows + 2 * k, err));
  for (int64_t c = 0; c < k; c++) {
    rows[3 * k + c] = sqrt(spectrum->values[c]);
    ratio += rows[k + c];
  }
  QN_TRY(qn_arrays_put_matrix(arrays, "components", QN_FLOAT64, k, n_columns, spectrum->vectors, err));
  if (is_centred) {
    QN_TRY(qn_arrays_put(arrays, "mean", QN_FLOAT64, n_columns, spectrum->mean, err));
  }
  QN_TRY(qn_arrays_put(arrays, "explained_variance", QN_FLOAT64, k, rows, err));
  QN_TRY(qn_arrays_put(arrays, "explained_variance_ratio", QN_FLOAT64, k, rows + k, err));
  QN_TRY(qn_arrays_put(arrays, "scales", QN_FLOAT64, k, rows + 2 * k, err));
  QN_TRY(qn_arrays_put(arrays, "singular_values", QN_FLOAT64, k, rows + 3 * k, err));
  QN_TRY(qn_fit_note(fit, "explained_variance_ratio", ratio, err));
done:
  qn_memory_free(rows);
  return status;
}

static qn_status fit_either(qn_fit_state *fit, bool is_centred, qn_error *err) {
  qn_status status = QN_OK;
  qn_spectrum spectrum = {.k = ((const qn_pca_options *)fit->options)->k};
  qn_arrays state = {0};
  int64_t step = 0;

  QN_TRY(qn_fit_resume(fit, &step, &state, err));
  QN_TRY(decompose(fit, is_centred, &spectrum, err));
  QN_TRY(put(fit, is_centred, &spectrum, err));
done:
  qn_arrays_release(&state);
  qn_memory_free(spectrum.values);
  qn_memory_free(spectrum.vectors);
  qn_memory_free(spectrum.mean);
  return status;
}

static qn_status fit_pca(qn_fit_state *fit, qn_error *err) {
  return fit_either(fit, true, err);
}

static qn_status fit_svd(qn_fit_state *fit, qn_error *err) {
  return fit_either(fit, false, err);
}

static void multiply(const qn_row_block *block, const double *components, int64_t k, double *outputs) {
  const int n_columns = block->n_columns;
  if (block->x != NULL) {
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)block->n_rows, (int)k, n_columns, 1.0, block->x,
                n_columns, components, n_columns, 0.0, outputs, (int)k);
    return;
  }
  for (int64_t i = 0; i < block->n_rows; i++) {
    for (int64_t c = 0; c < k; c++) {
      double sum = 0;
      for (int64_t a = block->starts[i]; a < block->starts[i + 1]; a++) {
        sum += block->values[a] * components[c * n_columns + block->columns[a]];
      }
      outputs[i * k + c] = sum;
    }
  }
}

static qn_status predict(const qn_model *model, const qn_row_block *block, double *outputs, qn_error *err) {
  qn_status status = QN_OK;
  const int n_columns = block->n_columns;
  const qn_array *array = qn_arrays_find(&model->arrays, "components");
  const int64_t shape[2] = {-1, n_columns};
  const int64_t length = n_columns;
  const void *components = NULL;
  const void *mean = NULL;
  const void *scales = NULL;
  double *room = NULL;
  qn_row_block centred = *block;

  QN_TRY(qn_arrays_get(&model->arrays, "components", QN_FLOAT64, 2, shape, &components, err));
  const int64_t k = array->dims[0];
  QN_TRY(qn_arrays_get(&model->arrays, "scales", QN_FLOAT64, 1, &k, &scales, err));
  if (qn_arrays_find(&model->arrays, "mean") != NULL) {
    QN_TRY(qn_arrays_get(&model->arrays, "mean", QN_FLOAT64, 1, &length, &mean, err));
    QN_TRY(qn_doubles_new(block->n_rows, n_columns, &room, err));
    centred.w = NULL;
    centred.x = qn_block_scaled(&centred, mean, true, room);
  }
  multiply(&centred, components, k, outputs);
  for (int64_t i = 0; i < block->n_rows * k; i++) {
    outputs[i] *= ((const double *)scales)[i % k];
  }
done:
  qn_memory_free(room);
  return status;
}

static qn_task task(const void *options) {
  (void)options;
  return QN_TASK_COMPONENTS;
}

const qn_estimator qn_estimator_pca = {.name = "pca",
                                       .summary = "principal components: columns of the most variance",
                                       .settings = settings,
                                       .options_size = sizeof(qn_pca_options),
                                       .takes_no_label = true,
                                       .task = task,
                                       .fit = fit_pca,
                                       .predict = predict};
const qn_estimator qn_estimator_svd = {.name = "svd",
                                       .summary =
                                           "truncated singular value decomposition, also of sparse rows",
                                       .settings = settings,
                                       .options_size = sizeof(qn_pca_options),
                                       .takes_no_label = true,
                                       .takes_sparse = true,
                                       .task = task,
                                       .fit = fit_svd,
                                       .predict = predict};

QN_API qn_pca_options qn_pca_defaults(void) {
  qn_pca_options options;
  qn_settings_defaults(&qn_estimator_pca, &options);
  return options;
}

QN_API qn_model *qn_fit_pca(qn_dataset *data, const qn_training *how, const qn_pca_options *options) {
  return qn_fit_estimator(data, &qn_estimator_pca, how, options);
}

QN_API qn_model *qn_fit_svd(qn_dataset *data, const qn_training *how, const qn_pca_options *options) {
  return qn_fit_estimator(data, &qn_estimator_svd, how, options);
}
