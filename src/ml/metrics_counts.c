// SPDX-License-Identifier: Apache-2.0
// Metrics that follow from sums over rows.
#include <math.h>

#include "base/check.h"
#include "base/memory.h"
#include "ml/metrics.h"

qn_row_score qn_score_classes(const double *outputs, int n_classes, bool has_margins, double label) {
  const double least = 0x1p-52; // nothing is taken as surer than that, as scikit-learn has it
  int best = 0;

  for (int k = 1; k < n_classes; k++) {
    best = outputs[k] > outputs[best] ? k : best;
  }
  double loss = NAN;
  if (!has_margins) {
    const double p = label < 0 ? 0 : outputs[(int)label];
    loss = -log(p < least ? least : p > 1 - least ? 1 - least : p);
  }
  return (qn_row_score){.prediction = best, .loss = loss, .score = outputs[n_classes > 1]};
}

double qn_cluster_of(const qn_model *model, const double *outputs, double *squared) {
  const int n_outputs = qn_model_n_outputs(model);
  int best = 0;

  if (model->estimator->task(model->options) == QN_TASK_CLUSTER) {
    *squared = outputs[1] * outputs[1];
    return outputs[0];
  }
  for (int k = 1; k < n_outputs; k++) {
    best = outputs[k] > outputs[best] ? k : best;
  }
  *squared = NAN;
  return best;
}

void qn_component_squares(const qn_model *model, int n_columns, const double *x, const double *outputs,
                          double *whole, double *part) {
  const int n_outputs = qn_model_n_outputs(model);
  const qn_array *mean = qn_arrays_find(&model->arrays, "mean");
  const qn_array *scale = qn_arrays_find(&model->arrays, "scales");

  *whole = 0;
  *part = 0;
  for (int c = 0; c < n_columns; c++) {
    const double value = x[c] - (mean == NULL ? 0 : ((const double *)mean->data)[c]);
    *whole += value * value;
  }
  for (int k = 0; k < n_outputs; k++) {
    const double value = outputs[k] / (scale == NULL ? 1 : ((const double *)scale->data)[k]);
    *part += value * value;
  }
}

int64_t qn_silhouette_rows(int n_columns) { // each is compared with each
  enum { MOST_ROWS = 2000, MOST_VALUES = 1 << 24 };
  return MOST_VALUES / n_columns < MOST_ROWS ? MOST_VALUES / n_columns : MOST_ROWS;
}

// Weights of the rows of a class: by label, by prediction, and by both alike.
typedef struct class_counts {
  double labelled, predicted, right;
} class_counts;

static double share(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

static void add_quality(const class_counts *counts, int first, int end, qn_metrics *out) {
  double precision = 0;
  double recall = 0;
  double f1 = 0;
  int n = 0;

  for (int k = first; k < end; k++) {
    const class_counts *c = &counts[k];
    precision += share(c->right, c->predicted);
    recall += share(c->right, c->labelled);
    f1 += share(2 * c->right, c->predicted + c->labelled);
    n += c->predicted + c->labelled > 0 || end - first == 1;
  }
  qn_metrics_add(out, "precision", share(precision, n));
  qn_metrics_add(out, "recall", share(recall, n));
  qn_metrics_add(out, "f1", share(f1, n));
}

qn_status qn_metrics_of_confusion(const double *entries, int64_t n_entries, int n_classes, bool has_margins,
                                  qn_metrics *out, qn_error *err) {
  qn_status status = QN_OK;
  double weight = 0;
  double right = 0;
  double loss = 0;
  // the last is for labels that are none of the classes
  class_counts *counts = qn_memory_alloc((int64_t)sizeof *counts * (n_classes + 1));

  QN_REQUIRE(counts != NULL, err, QN_ERR_MEMORY, "no memory for metrics of %d classes", n_classes);
  for (int k = 0; k <= n_classes; k++) {
    counts[k] = (class_counts){0};
  }
  for (const double *e = entries; e < entries + n_entries * QN_CONFUSION_WIDTH; e += QN_CONFUSION_WIDTH) {
    const int label = e[0] < 0 ? n_classes : (int)e[0];
    const int prediction = (int)e[1];
    counts[label].labelled += e[3];
    counts[prediction].predicted += e[3];
    counts[label].right += label == prediction ? e[3] : 0;
    right += label == prediction ? e[3] : 0;
    weight += e[3];
    loss += e[4];
  }
  qn_metrics_add(out, "accuracy", right / weight);
  if (!has_margins) {
    qn_metrics_add(out, "log_loss", loss / weight);
  }
  add_quality(counts, n_classes == 2 ? 1 : 0, n_classes == 2 ? 2 : n_classes + 1, out);

done:
  qn_memory_free(counts);
  return status;
}

void qn_metrics_of_numbers(double weight, double squares, double absolute, double spread, qn_metrics *out) {
  qn_metrics_add(out, "rmse", sqrt(squares / weight));
  qn_metrics_add(out, "mae", absolute / weight);
  // labels that are all the same: right or not, as scikit-learn has it
  qn_metrics_add(out, "r2", spread > 0 ? 1 - squares / spread : squares > 0 ? 0 : 1);
}

static double distance(const double *a, const double *b, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) {
    sum += (a[i] - b[i]) * (a[i] - b[i]);
  }
  return sqrt(sum);
}

// Clusters as 0, 1, ... in the order of their first rows; returns how many.
static int64_t number_clusters(const double *clusters, int64_t n_rows, int64_t *numbers, int64_t *sizes) {
  int64_t n = 0;

  for (int64_t i = 0; i < n_rows; i++) {
    int64_t same = 0;
    while (same < i && clusters[same] != clusters[i]) {
      same++;
    }
    numbers[i] = same < i ? numbers[same] : n;
    if (same == i) {
      sizes[n++] = 0;
    }
    sizes[numbers[i]]++;
  }
  return n;
}

// Of row i, from the sum of its distances to the rows of each cluster.
static double silhouette_of(const double *sums, const int64_t *sizes, int64_t n_clusters, int64_t own) {
  double nearest = INFINITY;

  if (sizes[own] == 1) {
    return 0;
  }
  for (int64_t k = 0; k < n_clusters; k++) {
    const double mean = sums[k] / (double)sizes[k];
    nearest = k != own && mean < nearest ? mean : nearest;
  }
  const double inner = sums[own] / (double)(sizes[own] - 1);
  const double larger = inner > nearest ? inner : nearest;
  return larger > 0 ? (nearest - inner) / larger : 0;
}

qn_status qn_silhouette(const double *x, const double *clusters, int64_t n_rows, int n_columns, double *out,
                        qn_error *err) {
  qn_status status = QN_OK;
  double total = 0;
  int64_t *numbers = qn_memory_alloc((int64_t)sizeof *numbers * n_rows);
  int64_t *sizes = qn_memory_alloc((int64_t)sizeof *sizes * n_rows);
  double *sums = qn_memory_alloc((int64_t)sizeof *sums * n_rows);

  QN_REQUIRE(numbers != NULL && sizes != NULL && sums != NULL, err, QN_ERR_MEMORY,
             "no memory for the silhouette of %lld rows", (long long)n_rows);
  const int64_t n_clusters = number_clusters(clusters, n_rows, numbers, sizes);
  for (int64_t i = 0; i < n_rows && n_clusters > 1; i++) {
    for (int64_t k = 0; k < n_clusters; k++) {
      sums[k] = 0;
    }
    for (int64_t j = 0; j < n_rows; j++) {
      sums[numbers[j]] += distance(x + i * n_columns, x + j * n_columns, n_columns);
    }
    total += silhouette_of(sums, sizes, n_clusters, numbers[i]);
  }
  *out = n_clusters > 1 && n_clusters < n_rows ? total / (double)n_rows : NAN;

done:
  qn_memory_free(numbers);
  qn_memory_free(sizes);
  qn_memory_free(sums);
  return status;
}
