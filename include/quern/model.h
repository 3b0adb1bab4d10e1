// SPDX-License-Identifier: Apache-2.0
// Trained models: apply, judge, save, load, export. A model belongs to its job; NULL is a model that could
// not be made, which every function takes.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <quern/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct qn_model qn_model;

/// Local. Adds the model's columns to the rows of `data`, which needs the columns that the features were made
/// of (not the label). Regression: "prediction float64". Classes: "prediction" with the label's type, and for
/// up to 64 classes a column "p_<class> float64" each (svm: the margin). Clusters: "cluster int64", "distance
/// float64" (mixtures: "p_<number>"). pca, svd: "c1 float64, ...". neighbours without a label: "neighbour_1
/// ...", "distance_1 ..." (see qn_neighbours_options). als: "prediction float64", null for users and items
/// not seen. A row with a null, NaN or infinite feature gets nulls, where the estimator takes none of these.
QN_API qn_dataset *qn_predict(qn_dataset *data, qn_model *model);

/// Collective, runs. als: the best n items for every user of the training data without those rated there:
/// "user, item, rank int64, score float64" under the names of the training data's columns.
QN_API qn_dataset *qn_recommend(qn_model *model, int64_t n);

/// Collective, runs. Writes one HDF5 file that appears whole or not at all; the same model makes the same
/// bytes.
QN_API qn_status qn_model_save(qn_model *model, const char *path);
/// Collective. Errors: QN_ERR_IO, QN_ERR_FORMAT (no model, another version, damaged), kept by the job.
QN_API qn_model *qn_model_load(qn_job *job, const char *path);
/// Local. Prints what is in a model: estimator, options, features, classes, arrays and metrics. On rank 0.
QN_API qn_status qn_model_show(qn_model *model, FILE *out);
/// Collective. Writes the model, its steps on numeric columns included, as ONNX. QN_ERR_ARG for estimators
/// and steps that have no counterpart there.
QN_API qn_status qn_model_export_onnx(qn_model *model, const char *path);

// --- Metrics
// ------------------------------------------------------------------------------------------------------

enum { QN_MAX_METRICS = 32 };
typedef struct qn_metrics {
  int n;
  struct {
    char name[32];
    double value;
  } values[QN_MAX_METRICS];
} qn_metrics;

/// Collective, runs. Judges the model on rows that have the label. Regression: rmse, mae, r2. Classes:
/// accuracy, log_loss, auc (two classes), precision, recall, f1 (of the second class; macro averages with
/// more). Clusters: inertia (of mixtures log_likelihood instead: the mean of the logarithm of a row's
/// density), silhouette (of a sample). pca, svd: explained_variance. als: rmse, mae (explicit), and ndcg and
/// recall at 10: of what is recommended (never a pair of the training data) among the rows. `confusion` (may
/// be NULL) gets for classes a dataset "label, prediction, n int64". A model that was trained with weights is
/// judged with those that the rows have in the same column (as by scikit-learn's sample_weight; the confusion
/// counts rows, silhouette, ndcg and recall know no weights).
QN_API qn_status qn_evaluate(qn_dataset *data, qn_model *model, qn_metrics *out, qn_dataset **confusion);
/// The same with the weights of another column; NULL: each row counts 1.
QN_API qn_status qn_evaluate_weighted(qn_dataset *data, qn_model *model, const char *weight, qn_metrics *out,
                                      qn_dataset **confusion);
/// Local. The value of a metric; NaN if there is none of that name.
QN_API double qn_metric(const qn_metrics *metrics, const char *name);
/// Local. Keeps metrics in the model, under "<set>_<name>" ("test_auc"), so that they are saved with it.
QN_API qn_status qn_model_note(qn_model *model, const char *set, const qn_metrics *metrics);
/// Local. What was noted: by the fit ("train_loss", "iterations", ...) and by qn_model_note(); after a
/// fit also "load_seconds", "fit_seconds" and "fit_cpu_seconds" (processor time of all ranks), which are not
/// saved.
QN_API qn_status qn_model_metrics(const qn_model *model, qn_metrics *out);

// --- Searching (qn_split() and qn_fold() are with the verbs of datasets)
// ----------------------------------------------------------------------------------------

struct qn_training;
typedef struct qn_search_options {
  const char *grid; // "l2=0.01,0.1,1 max_iterations=100": values to try, all combinations
  int64_t n_random; // 0: the whole grid; else so many candidates, with ranges as "l2=1e-6..1" (log-uniform if
                    // both ends are positive), drawn with the training's seed
  int folds;        // 5; 1: one split of a fifth
  const char
      *metric; // default: rmse for numbers, log_loss for classes where there are probabilities, else
               // accuracy; kmeans: silhouette, mixture: log_likelihood, pca and svd: explained_variance,
               // als: rmse, or ndcg if implicit. Lower is better of rmse, mae, log_loss and inertia
} qn_search_options;
/// Collective, runs. Cross-validates every candidate, several side by side on groups of ranks that each hold
/// all the rows, where memory allows; then fits the best on all rows. `results` (may be NULL) gets a dataset
/// "candidate int64, options utf8, mean float64, stddev float64, seconds float64", best first; without a
/// number, and last, are candidates that have none on some fold (the silhouette of a single cluster). Errors:
/// QN_ERR_ARG, before anything is tried, where the estimator has no such metric.
QN_API qn_model *qn_search(qn_dataset *data, const char *estimator, const struct qn_training *how,
                           const qn_search_options *options, qn_dataset **results);
/// Collective, runs. Mean and standard deviation over the folds of every metric: "<name>" and
/// "<name>_stddev".
QN_API qn_status qn_cross_validate(qn_dataset *data, const char *estimator, const struct qn_training *how,
                                   const char *options, int folds, qn_metrics *out);

#ifdef __cplusplus
}
#endif
