// SPDX-License-Identifier: Apache-2.0
// Training: one function per estimator, each with one struct of options. Take an estimator's defaults and
// change what you like:
//
//   qn_logistic_options options = qn_logistic_defaults();
//   options.l2 = 0.1;
//   qn_model *model = qn_fit_logistic(trips, &(qn_training){.label = "late"}, &options);
//   qn_model_save(model, "late.h5");
//
// As with datasets no call needs an error check: a fit that fails returns NULL, which every function on
// models takes, and qn_job_close() reports the error. Models belong to their job: nobody frees them.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/dataset.h>
#include <quern/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What every fit takes. Zero means default.
typedef struct qn_training {
  const char *label;      // the column to learn; NULL where the estimator learns none
  const char *features;   // numbers made of columns, with commas between: SQL expressions and steps, as in
                          // "age, one_hot(state), standardise(ln(income)), tfidf(review, 4096)";
                          // docs/training.md has them all. NULL: every other column, text ones as one_hot
  const char *weight;     // a column of weights >= 0 for the rows; NULL: all 1
  uint64_t seed;          // of all that is random
  bool float32;           // hold features as float32: half the memory; sums are float64 all the same
  bool exact;             // the trained bits do not depend on the number of ranks; costs some speed
  const char *checkpoint; // a file to keep the state in while training; if it is there, training goes on from
                          // it. It is removed when the fit has ended. NULL: none
  int64_t checkpoint_steps; // how many steps apart; 0: every 10
  double report_seconds;    // a line about loss and speed so often; 0: every second; < 0: never
} qn_training;

// --- Linear models ---------------------------------------------------------------------------------------

typedef enum { QN_SOLVER_AUTO, QN_SOLVER_NORMAL, QN_SOLVER_LBFGS, QN_SOLVER_MINI_BATCH } qn_solver;

/// Minimises sum_i w_i (y_i - x_i b - b0)^2 + l2 |b|^2 (as scikit-learn's Ridge; l2 0: least squares).
typedef struct qn_linear_options {
  double l2;              // 0
  qn_solver solver;       // auto: normal equations if there are not too many columns, else lbfgs
  bool no_intercept;      // false
  int64_t max_iterations; // 1000, of the iterative solver
  double tolerance;       // 1e-9, on the gradient's norm relative to the first one
} qn_linear_options;
QN_API qn_linear_options qn_linear_defaults(void);
QN_API qn_model *qn_fit_linear(qn_dataset *data, const qn_training *how, const qn_linear_options *options);

/// Minimises 1/(2n) sum (y - xb - b0)^2 + l1_ratio * alpha |b|_1 + (1 - l1_ratio) * alpha/2 |b|^2 (as
/// scikit-learn's ElasticNet; l1_ratio 1: lasso). gram: coordinate descent on the products of all pairs of
/// columns. rows: the same on the products of those that are not 0 or should not be, found again after each
/// pass over the rows; where these are too many as well, accelerated proximal gradients.
typedef enum { QN_NET_AUTO, QN_NET_GRAM, QN_NET_ROWS } qn_net_solver;
typedef struct qn_elastic_net_options {
  double alpha;           // 1
  double l1_ratio;        // 1
  qn_net_solver solver;   // auto: gram up to 2,000 columns, where memory allows; else rows
  bool no_intercept;      // false
  int64_t max_iterations; // 10000 sweeps, or passes of rows
  double tolerance;       // 1e-9, on the duality gap relative to |y|^2/n
} qn_elastic_net_options;
QN_API qn_elastic_net_options qn_elastic_net_defaults(void);
QN_API qn_model *qn_fit_elastic_net(qn_dataset *data, const qn_training *how,
                                    const qn_elastic_net_options *options);

/// Logistic regression; with more than two classes softmax. Minimises (sum_i w_i loss_i)/(sum w) + l2/2
/// |b|^2, the intercept not penalised. scikit-learn's C is 1/(n l2).
typedef struct qn_logistic_options {
  double l2;              // 1e-4
  qn_solver solver;       // lbfgs; or mini_batch
  bool no_intercept;      // false
  int64_t max_iterations; // 0: 1000 iterations, of mini_batch 20 epochs
  double tolerance;       // 1e-6, on the gradient's norm relative to the first one
  int64_t batch_rows;     // 1024, of mini_batch: all ranks together
  double learning_rate;   // 0.1, of mini_batch (Adam on scaled columns); goes down to 0
} qn_logistic_options;
QN_API qn_logistic_options qn_logistic_defaults(void);
QN_API qn_model *qn_fit_logistic(qn_dataset *data, const qn_training *how,
                                 const qn_logistic_options *options);

/// Linear support vector machine, one against the rest with more than two classes. Minimises
/// (sum_i w_i max(0, 1 - t_i f(x_i))^2)/(sum w) + l2/2 |b|^2, the intercept not penalised.
typedef struct qn_svm_options {
  double l2;              // 1e-4
  bool no_intercept;      // false
  int64_t max_iterations; // 1000
  double tolerance;       // 1e-6
} qn_svm_options;
QN_API qn_svm_options qn_svm_defaults(void);
QN_API qn_model *qn_fit_svm(qn_dataset *data, const qn_training *how, const qn_svm_options *options);

typedef enum { QN_BAYES_GAUSSIAN, QN_BAYES_MULTINOMIAL, QN_BAYES_BERNOULLI } qn_bayes_kind;
typedef struct qn_bayes_options {
  qn_bayes_kind kind;   // gaussian; multinomial and bernoulli for counts and truths
  double smoothing;     // 1, Laplace's, of multinomial and bernoulli
  double var_smoothing; // 1e-9, share of the largest variance added to all, of gaussian
} qn_bayes_options;
QN_API qn_bayes_options qn_bayes_defaults(void);
QN_API qn_model *qn_fit_bayes(qn_dataset *data, const qn_training *how, const qn_bayes_options *options);

// --- Clusters, decompositions, neighbours ------------------------------------------------------------------

/// Lloyd's iterations from k-means|| seeds (Bahmani et al., 2012).
typedef struct qn_kmeans_options {
  int64_t k;              // 8
  int64_t max_iterations; // 300
  double tolerance;       // 1e-4, on the squared shift of the centres relative to the mean variance
  int64_t n_starts;       // 1: seeds tried; the best result by inertia is kept
} qn_kmeans_options;
QN_API qn_kmeans_options qn_kmeans_defaults(void);
QN_API qn_model *qn_fit_kmeans(qn_dataset *data, const qn_training *how, const qn_kmeans_options *options);

typedef enum { QN_COVARIANCE_FULL, QN_COVARIANCE_DIAGONAL } qn_covariance;
/// Gaussian mixture by expectation maximisation, from k-means.
typedef struct qn_mixture_options {
  int64_t k;                // 8
  qn_covariance covariance; // full
  int64_t max_iterations;   // 100
  double tolerance;         // 1e-3, on the mean log-likelihood
  double regularisation;    // 1e-6, added to the diagonals
} qn_mixture_options;
QN_API qn_mixture_options qn_mixture_defaults(void);
QN_API qn_model *qn_fit_mixture(qn_dataset *data, const qn_training *how, const qn_mixture_options *options);

typedef enum { QN_DECOMPOSITION_AUTO, QN_DECOMPOSITION_EXACT, QN_DECOMPOSITION_RANDOMISED } qn_decomposition;
/// Principal components (`pca`: columns centred) and truncated singular value decomposition (`svd`: not).
/// exact: eigenvectors of the Gram matrix; randomised: block Krylov iteration (Musco and Musco, 2015), which
/// needs some passes more than the one of exact, and no matrix of all pairs of columns.
typedef struct qn_pca_options {
  int64_t k;                // 2
  qn_decomposition method;  // auto: exact up to 2,000 columns
  int64_t oversampling;     // 10
  int64_t power_iterations; // 7, of randomised: passes over the rows but the last
  bool whiten;              // false
} qn_pca_options;
QN_API qn_pca_options qn_pca_defaults(void);
QN_API qn_model *qn_fit_pca(qn_dataset *data, const qn_training *how, const qn_pca_options *options);
QN_API qn_model *qn_fit_svd(qn_dataset *data, const qn_training *how, const qn_pca_options *options);

/// The k nearest rows by Euclidean distance, by blocks of GEMM. Classes by vote if the label is text (or
/// `classes` is set), else numbers by mean. Without a label the neighbours themselves are predicted:
/// "neighbour_1", ... and "distance_1", ... float64, nearest first, of equally near ones the earlier row; a
/// neighbour is its value in column `id`, or without one its number among the rows trained on, from 0, int64.
/// The model holds the rows, and every rank all of them.
typedef struct qn_neighbours_options {
  int64_t k;                // 5
  bool weights_by_distance; // false
  bool classes;             // false: whole numbers as label are numbers to average
  bool list;                // true where there is no label: predict the neighbours; k is 1,000 at most then
  const char *id; // "" : without a label, the column that says which row a neighbour is; not a feature
} qn_neighbours_options;
QN_API qn_neighbours_options qn_neighbours_defaults(void);
QN_API qn_model *qn_fit_neighbours(qn_dataset *data, const qn_training *how,
                                   const qn_neighbours_options *options);

// --- Trees
// ---------------------------------------------------------------------------------------------------

typedef enum { QN_TREES_REGRESSION, QN_TREES_CLASSIFICATION } qn_trees_task;
/// Gradient-boosted trees over histograms of binned features, grown leaf by leaf (LightGBM's way).
typedef struct qn_gbdt_options {
  qn_trees_task task;      // classification (binary or multiclass by the label); or regression
  int64_t n_trees;         // 100 rounds; one tree per class in each if there are more than two
  double learning_rate;    // 0.1
  int64_t max_leaves;      // 31
  int64_t max_depth;       // 0: no limit
  int64_t min_leaf_rows;   // 20
  double min_leaf_hessian; // 1e-3
  double l2;               // 0, on leaf values
  double min_gain;         // 0
  int64_t max_bins;        // 255
  double row_fraction;     // 1: rows per tree
  double column_fraction;  // 1: columns per tree
  int64_t early_stopping;  // 0: never; else rounds without a better loss on held-out rows
  double holdout;          // 0.1: share of rows held out if early_stopping > 0
} qn_gbdt_options;
QN_API qn_gbdt_options qn_gbdt_defaults(void);
QN_API qn_model *qn_fit_gbdt(qn_dataset *data, const qn_training *how, const qn_gbdt_options *options);

typedef struct qn_forest_options {
  qn_trees_task task;     // classification; or regression
  int64_t n_trees;        // 100
  int64_t max_depth;      // 0: no limit
  int64_t max_leaves;     // 0: no limit
  int64_t min_leaf_rows;  // 1
  double column_fraction; // 0: the square root of their number for classes, all for numbers; per split
  bool no_bootstrap;      // false: each tree sees rows drawn with replacement
  int64_t max_bins;       // 255
} qn_forest_options;
QN_API qn_forest_options qn_forest_defaults(void);
QN_API qn_model *qn_fit_forest(qn_dataset *data, const qn_training *how, const qn_forest_options *options);

// --- Networks and recommenders
// ---------------------------------------------------------------------------------

typedef enum { QN_RELU, QN_TANH } qn_activation;
typedef enum { QN_ADAM, QN_SGD } qn_descent;
typedef enum { QN_RATE_CONSTANT, QN_RATE_COSINE, QN_RATE_STEP } qn_rate;
typedef enum { QN_MLP_CLASSIFICATION, QN_MLP_REGRESSION } qn_mlp_task;
/// Multilayer perceptron: softmax and cross entropy for classes, squared error for numbers.
typedef struct qn_mlp_options {
  qn_mlp_task task;         // classification
  const char *layers;       // "100": widths of the hidden layers, "512 512"
  qn_activation activation; // relu; or tanh
  qn_descent descent;       // adam; or sgd with momentum
  double learning_rate;     // 0.001
  qn_rate schedule;         // constant; or cosine; or step: divided by 10 at 1/2 and 3/4 of the epochs
  double momentum;          // 0.9
  double l2;                // 1e-4
  int64_t batch_rows;       // 256, all ranks together
  int64_t max_epochs;       // 0: 50, and of few rows up to 200, to come to 10,000 steps
  int64_t early_stopping;   // 0: never; else epochs without a better loss on held-out rows
  double holdout;           // 0.1
} qn_mlp_options;
QN_API qn_mlp_options qn_mlp_defaults(void);
QN_API qn_model *qn_fit_mlp(qn_dataset *data, const qn_training *how, const qn_mlp_options *options);

/// Alternating least squares. `features` names two columns, user and item; `label` the rating (explicit), or
/// how often or how much (implicit: Hu, Koren and Volinsky, 2008; NULL: 1 for each row).
typedef struct qn_als_options {
  int64_t k;              // 32 factors
  double l2;              // 0.1, times the number of ratings of the user or item if weighted_l2
  bool unweighted_l2;     // false: l2 is weighted (Zhou et al., 2008)
  bool no_biases;         // false: explicit ratings are taken less the mean, user and item offsets
  bool implicit;          // false
  double alpha;           // 40, of implicit: confidence is 1 + alpha r
  int64_t cg_steps;       // 3, of implicit: conjugate gradients for each row; 0: its exact solution
  int64_t max_iterations; // 15
} qn_als_options;
QN_API qn_als_options qn_als_defaults(void);
QN_API qn_model *qn_fit_als(qn_dataset *data, const qn_training *how, const qn_als_options *options);

// --- By name
// -----------------------------------------------------------------------------------------------------

/// Collective. The estimator of that name with options as text, "l2=0.1 max_iterations=50" (NULL: defaults).
QN_API qn_model *qn_fit(qn_dataset *data, const char *estimator, const qn_training *how, const char *options);

/// An option of an estimator, for programs that offer them.
typedef struct qn_setting_info {
  const char *name, *fallback, *help;
} qn_setting_info;
/// Local. The estimators by number, NULL past the last; and the options of one, NULL past the last or if
/// there is no such estimator.
QN_API const char *qn_estimator_name(int number);
QN_API const char *qn_estimator_summary(int number);
QN_API const qn_setting_info *qn_estimator_setting(const char *estimator, int number);

#ifdef __cplusplus
}
#endif
