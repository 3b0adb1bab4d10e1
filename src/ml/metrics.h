// SPDX-License-Identifier: Apache-2.0
// How good outputs are. What is said of one row, and the metrics that follow from sums over rows, are here
// once: evaluation adds up with the verbs of datasets, a search within groups of ranks.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/model.h>
#include "base/buffer.h"
#include "ml/estimator.h"

/// What the outputs of a row [n_classes] say: the class of the largest (the first of equal ones); the log
/// loss, NaN for margins; and by which number rows are ordered for the second class.
typedef struct qn_row_score {
  double prediction, loss, score;
} qn_row_score;
/// `label` is a class number; -1 (a value that was not there in training) costs as much as can be.
qn_row_score qn_score_classes(const double *outputs, int n_classes, bool has_margins, double label);

/// Rows by label and prediction. The entries: label, prediction, number of rows, sum of their weights, sum of
/// weights times losses; one behind the other.
enum { QN_CONFUSION_WIDTH = 5 };
/// Adds accuracy, log_loss (unless has_margins), precision, recall and f1 to the metrics: of the second of
/// two classes; of more, the mean over the classes that are a label or a prediction of some row.
qn_status qn_metrics_of_confusion(const double *entries, int64_t n_entries, int n_classes, bool has_margins,
                                  qn_metrics *out, qn_error *err);

/// Adds rmse, mae and r2, from sums over rows, each times its weight: of the weights, of squares and of
/// absolute values of errors; `spread` is that of squares of labels less their mean.
void qn_metrics_of_numbers(double weight, double squares, double absolute, double spread, qn_metrics *out);

/// What the outputs of a row say of its cluster: which, and the squared distance from its centre; a mixture's
/// row is of its likeliest part, and has no distance (NaN).
double qn_cluster_of(const qn_model *model, const double *outputs, double *squared);
/// Squares of a row x [n_columns] less the model's mean, and of its part along the components.
void qn_component_squares(const qn_model *model, int n_columns, const double *x, const double *outputs,
                          double *whole, double *part);
/// Of how many rows at most the silhouette is taken.
int64_t qn_silhouette_rows(int n_columns);

/// In place of one of that name, or behind the others; ignored when there is no room.
bool qn_metrics_add(qn_metrics *metrics, const char *name, double value);

/// Mean silhouette (Rousseeuw, 1987) of rows x [n_rows, n_columns] in clusters; NaN if there is but one
/// cluster or each row has its own.
qn_status qn_silhouette(const double *x, const double *clusters, int64_t n_rows, int n_columns, double *out,
                        qn_error *err);

/// Collective. The rows of a dataset of int64 and float64 columns as numbers, one row behind the other, on
/// every rank; null is NaN. For few rows.
qn_status qn_collect_numbers(qn_dataset *dataset, qn_buffer *out);

/// The label's column as SQL; lives as long as the job. NULL if there is no memory.
char *qn_quoted_label(const qn_model *model);

/// Collective: what qn_evaluate() does for a kind of task. `data` carries no error; `weight` is a column, or
/// NULL.
qn_status qn_evaluate_classes(qn_dataset *data, qn_model *model, const char *weight, qn_metrics *out,
                              qn_dataset **confusion);
qn_status qn_evaluate_numbers(qn_dataset *data, qn_model *model, const char *weight, qn_metrics *out);
qn_status qn_evaluate_clusters(qn_dataset *data, qn_model *model, const char *weight, qn_metrics *out);
qn_status qn_evaluate_components(qn_dataset *data, qn_model *model, const char *weight, qn_metrics *out);
qn_status qn_evaluate_ratings(qn_dataset *data, qn_model *model, qn_metrics *out);
