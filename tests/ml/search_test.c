// SPDX-License-Identifier: Apache-2.0
// Cross-validation and search by the public functions, on any number of ranks: of rows that every rank gets,
// and of an estimator whose trials run from the dataset one after the other.
#include <math.h>
#include <quern/quern.h>
#include <quern/train.h>
#include "base/hash.h"
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

static void clusters_are_tried_from_the_dataset(void) {
  const qn_training how = {.features = "a, b", .seed = 5, .report_seconds = -1};
  qn_dataset *results = NULL;
  QN_CHECK(qn_search(rows(), "kmeans", &how, &(qn_search_options){.grid = "k=2,3,4", .folds = 2}, &results) !=
           NULL);
  check_best_first(results, false);
}

int main(int argc, char **argv) {
  const char *arguments[] = {argv[0], "--quiet", NULL};
  (void)argc;
  job = qn_job_open(2, (char **)arguments, &(qn_job_about){.name = "search_test"});
  KIT_RUN(cross_validation_gives_means_and_deviations);
  KIT_RUN(a_search_gives_the_best_first);
  KIT_RUN(features_do_not_see_what_a_fold_leaves_out);
  KIT_RUN(clusters_are_tried_from_the_dataset);
  QN_CHECK_INT(qn_job_close(job), 0);
  return kit_result();
}
