// SPDX-License-Identifier: Apache-2.0
// Cross-validation and search by the public functions, on any number of ranks: of rows that every rank gets,
// and of an estimator whose trials run from the dataset one after the other.
#include <math.h>
#include <quern/quern.h>
#include <quern/train.h>
#include "base/hash.h"
#include "base/memory.h"
#include "kit/kit.h"

enum { N_ROWS = 400 };

static qn_job *job;

static double uniform(int64_t row, uint64_t which) {
  return (double)(qn_hash_combine((uint64_t)row + 1, which) >> 11) * 0x1p-53 - 0.5;
}

static qn_status make_rows(int64_t first, int64_t n, qn_appender *out, void *ctx) {
  (void)ctx;
  for (int64_t row = first; row < first + n; row++) {
    qn_append_float64(out, uniform(row, 1));
    qn_append_float64(out, uniform(row, 2));
    qn_append_float64(out, 3 * uniform(row, 1) - uniform(row, 2) + 0.1 * uniform(row, 3));
  }
  return QN_OK;
}

static qn_dataset *rows(void) {
  return qn_generate(job, "a float64, b float64, y float64", N_ROWS, make_rows, NULL);
}

static void cross_validation_gives_means_and_deviations(void) {
  const qn_training how = {.label = "y", .seed = 5};
  qn_metrics metrics = {0};
  QN_CHECK_INT(qn_cross_validate(rows(), "linear", &how, "l2=0.01", 4, &metrics), QN_OK);
  // the noise, 0.1 / sqrt(12), is what is left: the same to ten digits on any number of ranks
  QN_CHECK_FLOAT(qn_metric(&metrics, "rmse"), 0.02865168518894949, 1e-10);
  QN_CHECK(qn_metric(&metrics, "rmse_stddev") > 0 && qn_metric(&metrics, "rmse_stddev") < 0.01);
  QN_CHECK(qn_metric(&metrics, "r2") > 0.99);
}

static qn_status make_far_rows(int64_t first, int64_t n, qn_appender *out, void *ctx) {
  (void)ctx;
  for (int64_t row = first; row < first + n; row++) {
    const double a = row == 17 ? 1000 : uniform(row, 1);
    qn_append_float64(out, a);
    qn_append_float64(out, row == 17 ? 0 : 3 * a + 0.1 * uniform(row, 3));
    qn_append_float64(out, 0.5 + (double)(row % 3));
  }
  return QN_OK;
}

// One row is far away: what scales the column by all rows makes all others alike, for a fold that leaves the
// row out, too. So a fold's metrics tell whether its features have seen what it leaves out.
static void features_do_not_see_what_a_fold_leaves_out(void) {
  const qn_training how = {.label = "y", .weight = "w", .features = "min_max(a)", .seed = 5};
  qn_dataset *data = qn_generate(job, "a float64, y float64, w float64", N_ROWS, make_far_rows, NULL);
  qn_metrics metrics = {0};
  double rmse = 0;
  double mae = 0;

  QN_CHECK_INT(qn_cross_validate(data, "linear", &how, "l2=1", 4, &metrics), QN_OK);
  for (int fold = 0; fold < 4; fold++) {
    qn_dataset *train = NULL;
    qn_dataset *test = NULL;
    qn_metrics found = {0};
    qn_fold(data, 4, fold, how.seed, &train, &test);
    QN_CHECK_INT(qn_evaluate(test, qn_fit(train, "linear", &how, "l2=1"), &found, NULL), QN_OK);
    rmse += qn_metric(&found, "rmse") / 4;
    mae += qn_metric(&found, "mae") / 4;
  }
  QN_CHECK_FLOAT(qn_metric(&metrics, "rmse"), rmse, 1e-9 * rmse);
  QN_CHECK_FLOAT(qn_metric(&metrics, "mae"), mae, 1e-9 * mae);
}

// What the first rows of the results are, as an action sees them.
static void check_best_first(qn_dataset *results, bool is_lower_better) {
  qn_batch *batch = NULL;
  QN_CHECK_INT(qn_collect(qn_limit(results, 10), &batch), QN_OK);
  for (int64_t i = 1; batch != NULL && i < qn_batch_n_rows(batch); i++) {
    const qn_column *means = qn_batch_column(batch, 2);
    if (qn_column_is_null(means, i)) { // no number on some fold
      continue;
    }
    const double step = qn_column_float64(means, i) - qn_column_float64(means, i - 1);
    QN_CHECK(is_lower_better ? step >= 0 : step <= 0);
  }
  qn_batch_free(batch);
}

static void a_search_gives_the_best_first(void) {
  const qn_training how = {.label = "y", .seed = 5};
  qn_dataset *results = NULL;
  qn_metrics metrics = {0};
  qn_model *model =
      qn_search(rows(), "linear", &how, &(qn_search_options){.grid = "l2=1000,10,0", .folds = 3}, &results);
  QN_CHECK(model != NULL);
  check_best_first(results, true);
  QN_CHECK_INT(qn_model_metrics(model, &metrics), QN_OK);
  QN_CHECK(qn_metric(&metrics, "search_rmse") < 0.035);
  model = qn_search(rows(), "linear", &how,
                    &(qn_search_options){.grid = "l2=1000,10,0", .folds = 1, .metric = "r2"}, &results);
  QN_CHECK(model != NULL);
  check_best_first(results, false);
}

enum { N_HEAPS = 3 };

// Three heaps along a, b and c; d is noise; w are weights.
static qn_status make_heaps(int64_t first, int64_t n, qn_appender *out, void *ctx) {
  (void)ctx;
  for (int64_t row = first; row < first + n; row++) {
    for (int column = 0; column < N_HEAPS; column++) {
      qn_append_float64(out, (row % N_HEAPS == column ? 8 : 0) + 2 * uniform(row, (uint64_t)column + 1));
    }
    qn_append_float64(out, uniform(row, 9));
    qn_append_float64(out, 0.5 + (double)(row % 5));
  }
  return QN_OK;
}

static qn_dataset *heaps(void) {
  return qn_generate(job, "a float64, b float64, c float64, d float64, w float64", N_ROWS, make_heaps, NULL);
}

typedef struct plain_case {
  const char *estimator, *options, *metrics[2], *weight;
} plain_case;
static const plain_case plain_cases[] = {{"kmeans", "k=3", {"inertia", "silhouette"}, NULL},
                                         {"kmeans", "k=2", {"inertia", "silhouette"}, "w"},
                                         {"mixture", "k=3", {"log_likelihood", "silhouette"}, "w"},
                                         {"pca", "k=2", {"explained_variance", NULL}, "w"},
                                         {"svd", "k=2 whiten=true", {"explained_variance", NULL}, NULL}};
enum { N_PLAIN = sizeof plain_cases / sizeof *plain_cases };

// With steps that are fitted, folds are those of qn_fold(), so that each can be done once more by itself.
static void check_folds(const plain_case *c) {
  const qn_training how = {
      .features = "standardise(a, b), c, d", .weight = c->weight, .seed = 5, .report_seconds = -1};
  qn_metrics metrics = {0};
  double sums[2] = {0, 0};

  QN_CHECK_INT(qn_cross_validate(heaps(), c->estimator, &how, c->options, 3, &metrics), QN_OK);
  for (int fold = 0; fold < 3; fold++) {
    qn_dataset *train = NULL;
    qn_dataset *test = NULL;
    qn_metrics found = {0};
    qn_fold(heaps(), 3, fold, how.seed, &train, &test);
    QN_CHECK_INT(qn_evaluate(test, qn_fit(train, c->estimator, &how, c->options), &found, NULL), QN_OK);
    for (int m = 0; m < 2 && c->metrics[m] != NULL; m++) {
      sums[m] += qn_metric(&found, c->metrics[m]) / 3;
    }
  }
  for (int m = 0; m < 2 && c->metrics[m] != NULL; m++) {
    QN_CHECK_FLOAT(qn_metric(&metrics, c->metrics[m]), sums[m], 1e-7 * fabs(sums[m]));
  }
}

static void what_learns_no_label_is_judged_on_what_a_fold_leaves_out(void) {
  for (int i = 0; i < N_PLAIN; i++) {
    check_folds(&plain_cases[i]);
    qn_memory_set_budget(qn_memory_used() + 16384); // no room for all rows on each rank: one after the other
    check_folds(&plain_cases[i]);
    qn_memory_set_budget(0);
  }
}

static void check_choice(const char *estimator, const char *grid, const char *metric, const char *noted,
                         int64_t wanted) {
  const qn_training how = {.features = "a, b, c, d", .seed = 5, .report_seconds = -1};
  qn_dataset *results = NULL;
  qn_batch *batch = NULL;
  qn_metrics metrics = {0};
  qn_model *model = qn_search(heaps(), estimator, &how,
                              &(qn_search_options){.grid = grid, .folds = 3, .metric = metric}, &results);

  QN_CHECK(model != NULL);
  check_best_first(results, strcmp(noted, "search_inertia") == 0);
  QN_CHECK_INT(qn_model_metrics(model, &metrics), QN_OK);
  QN_CHECK(!isnan(qn_metric(&metrics, noted)));
  QN_CHECK_INT(qn_collect(qn_limit(qn_select(results, "candidate"), 1), &batch), QN_OK);
  if (batch != NULL && qn_batch_n_rows(batch) > 0) {
    QN_CHECK_INT(qn_column_int64(qn_batch_column(batch, 0), 0), wanted);
  }
  qn_batch_free(batch);
}

static void the_planted_number_of_clusters_is_found(void) {
  check_choice("kmeans", "k=1,2,3,4,5", NULL, "search_silhouette", 2); // one cluster has none, and comes last
  check_choice("kmeans", "k=1,2,3", "inertia", "search_inertia", 2);
  check_choice("mixture", "k=1,2,3", NULL, "search_log_likelihood", 2);
  check_choice("pca", "k=1,2,3", NULL, "search_explained_variance", 2);
}

int main(int argc, char **argv) {
  const char *arguments[] = {argv[0], "--quiet", NULL};
  (void)argc;
  job = qn_job_open(2, (char **)arguments, &(qn_job_about){.name = "search_test"});
  KIT_RUN(cross_validation_gives_means_and_deviations);
  KIT_RUN(a_search_gives_the_best_first);
  KIT_RUN(features_do_not_see_what_a_fold_leaves_out);
  KIT_RUN(what_learns_no_label_is_judged_on_what_a_fold_leaves_out);
  KIT_RUN(the_planted_number_of_clusters_is_found);
  QN_CHECK_INT(qn_job_close(job), 0);
  return kit_result();
}
