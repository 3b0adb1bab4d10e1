// SPDX-License-Identifier: Apache-2.0
// Metrics of rows that were left out, from a few numbers that are kept of each: all of them lie on one rank.
#include "ml/search_judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "ml/doubles.h"
#include "ml/mixture.h"

// What is kept of each row of the fold: an entry of the confusion, and behind it the score; label, prediction
// and weight; cluster, weighted squared distance (of a mixture the logarithm of the density) and weight;
// weighted squares of the row and of its part along the components, and weight.
enum { CLASS_WIDTH = QN_CONFUSION_WIDTH + 1, OTHER_WIDTH = QN_JUDGED_WIDTH, MAX_WIDTH = CLASS_WIDTH };

static qn_task task_of(const qn_model *model) {
  return model->classes.n > 0 ? QN_TASK_CLASS : model->estimator->task(model->options);
}

// Fills in an entry; returns its width.
static int enter(const qn_model *model, const qn_row_block *block, int64_t row, const double *outputs,
                 const double *densities, double *entry) {
  const double weight = block->w == NULL ? 1 : block->w[row];
  const int n_columns = block->n_columns;

  entry[2] = weight;
  switch (task_of(model)) {
  case QN_TASK_CLASS: {
    const qn_row_score score =
        qn_score_classes(outputs, model->classes.n, model->estimator->has_margins, block->y[row]);
    const double values[CLASS_WIDTH] = {block->y[row], score.prediction,    1,
                                        weight,        weight * score.loss, score.score};
    memcpy(entry, values, sizeof values);
    return CLASS_WIDTH;
  }
  case QN_TASK_CLUSTER:
  case QN_TASK_MIXTURE:
    entry[0] = qn_cluster_of(model, outputs, &entry[1]);
    entry[1] = weight * (densities == NULL ? entry[1] : densities[row]);
    return OTHER_WIDTH;
  case QN_TASK_COMPONENTS:
    qn_component_squares(model, n_columns, block->x + row * n_columns, outputs, &entry[0], &entry[1]);
    entry[0] *= weight;
    entry[1] *= weight;
    return OTHER_WIDTH;
  case QN_TASK_NUMBER:
  case QN_TASK_RATING:
    entry[0] = block->y[row];
    entry[1] = outputs[0];
    return OTHER_WIDTH;
  case QN_TASK_NEIGHBOURS: // are not judged
    break;
  }
  return 0;
}

qn_status qn_judged_keep(const qn_model *model, const qn_row_block *block, const double *outputs,
                         qn_buffer *kept, qn_error *err) {
  qn_status status = QN_OK;
  const int n_outputs = qn_model_n_outputs(model);
  double *densities = NULL;

  if (task_of(model) == QN_TASK_MIXTURE) {
    QN_TRY(qn_doubles_new(block->n_rows, 1, &densities, err));
    QN_TRY(qn_mixture_log_densities(model, block, densities, err));
  }
  for (int64_t row = 0; row < block->n_rows; row++) {
    double entry[MAX_WIDTH];
    const int width = enter(model, block, row, outputs + row * n_outputs, densities, entry);
    QN_TRY(qn_buffer_append(kept, entry, (int64_t)sizeof *entry * width, err));
  }

done:
  qn_memory_free(densities);
  return status;
}

static int compare_scores(const void *a, const void *b) {
  const double x = ((const double *)a)[QN_CONFUSION_WIDTH];
  const double y = ((const double *)b)[QN_CONFUSION_WIDTH];
  return (x > y) - (x < y);
}

// The share of pairs of a row of each class in right order; equal scores count half. Sorts the rows.
static double area_under_curve(double *rows, int64_t n) {
  double n_positive = 0;
  double n_negative = 0;
  double pairs = 0;

  qsort(rows, (size_t)n, CLASS_WIDTH * sizeof *rows, compare_scores);
  for (int64_t i = 0; i < n;) {
    double positive = 0;
    double negative = 0;
    const double score = rows[i * CLASS_WIDTH + QN_CONFUSION_WIDTH];
    for (; i < n && rows[i * CLASS_WIDTH + QN_CONFUSION_WIDTH] == score; i++) {
      const double weight = rows[i * CLASS_WIDTH + 3];
      positive += rows[i * CLASS_WIDTH] > 0 ? weight : 0;
      negative += rows[i * CLASS_WIDTH] > 0 ? 0 : weight;
    }
    pairs += positive * (n_negative + negative / 2);
    n_positive += positive;
    n_negative += negative;
  }
  return pairs / (n_positive * n_negative);
}

static qn_status metrics_of_classes(const qn_model *model, double *rows, int64_t n, qn_metrics *out,
                                    qn_error *err) {
  qn_status status = QN_OK;
  const double auc = model->classes.n == 2 ? area_under_curve(rows, n) : NAN;

  for (int64_t i = 0; rows != NULL && i < n; i++) { // closes the gaps of the scores
    memmove(rows + i * QN_CONFUSION_WIDTH, rows + i * CLASS_WIDTH, QN_CONFUSION_WIDTH * sizeof *rows);
  }
  QN_TRY(qn_metrics_of_confusion(rows, n, model->classes.n, model->estimator->has_margins, out, err));
  if (isfinite(auc)) {
    qn_metrics_add(out, "auc", auc);
  }

done:
  return status;
}

static void metrics_of_numbers(const double *rows, int64_t n, qn_metrics *out) {
  double weight = 0;
  double sum = 0;
  double squares = 0;
  double absolute = 0;
  double spread = 0;

  for (int64_t i = 0; rows != NULL && i < n; i++) {
    weight += rows[i * OTHER_WIDTH + 2];
    sum += rows[i * OTHER_WIDTH + 2] * rows[i * OTHER_WIDTH];
  }
  for (int64_t i = 0; rows != NULL && i < n; i++) {
    const double w = rows[i * OTHER_WIDTH + 2];
    const double error = rows[i * OTHER_WIDTH + 1] - rows[i * OTHER_WIDTH];
    const double above = rows[i * OTHER_WIDTH] - sum / weight;
    squares += w * error * error;
    absolute += w * fabs(error);
    spread += w * above * above;
  }
  qn_metrics_of_numbers(weight, squares, absolute, spread, out);
}

static void metrics_of_clusters(const double *rows, int64_t n, bool is_mixture, qn_metrics *out) {
  double sum = 0;
  double weight = 0;

  for (int64_t i = 0; rows != NULL && i < n; i++) {
    sum += rows[i * OTHER_WIDTH + 1];
    weight += rows[i * OTHER_WIDTH + 2];
  }
  qn_metrics_add(out, is_mixture ? "log_likelihood" : "inertia", is_mixture ? sum / weight : sum);
}

static void metrics_of_components(const double *rows, int64_t n, qn_metrics *out) {
  double whole = 0;
  double part = 0;

  for (int64_t i = 0; rows != NULL && i < n; i++) {
    whole += rows[i * OTHER_WIDTH];
    part += rows[i * OTHER_WIDTH + 1];
  }
  qn_metrics_add(out, "explained_variance", whole > 0 ? part / whole : 1);
}

qn_status qn_judged_metrics(const qn_model *model, double *rows, int64_t n, qn_metrics *out, qn_error *err) {
  const qn_task task = task_of(model);

  switch (task) {
  case QN_TASK_CLASS:
    return metrics_of_classes(model, rows, n, out, err);
  case QN_TASK_CLUSTER:
  case QN_TASK_MIXTURE:
    metrics_of_clusters(rows, n, task == QN_TASK_MIXTURE, out);
    break;
  case QN_TASK_COMPONENTS:
    metrics_of_components(rows, n, out);
    break;
  case QN_TASK_NUMBER:
  case QN_TASK_RATING:
    metrics_of_numbers(rows, n, out);
    break;
  case QN_TASK_NEIGHBOURS:
    break;
  }
  return QN_OK;
}
