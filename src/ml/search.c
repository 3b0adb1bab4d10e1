// SPDX-License-Identifier: Apache-2.0
// Cross-validation and search: trials side by side where that can be, else one after the other on all ranks.
#include "ml/search.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "exec/job_state.h"
#include "ml/metrics.h"

void qn_trials_fold(const qn_trials *trials, int fold, qn_dataset **train, qn_dataset **test) {
  if (trials->folds == 1) {
    qn_split(trials->data, 0.2, trials->how->seed, train, test);
  } else {
    qn_fold(trials->data, trials->folds, fold, trials->how->seed, train, test);
  }
}

// One trial with all ranks, from the dataset.
static qn_status try_from_dataset(qn_trials *trials, int64_t task, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = trials->candidates.n;
  qn_dataset *train = NULL;
  qn_dataset *test = NULL;
  qn_trial trial = {.task = task};
  const int64_t start = qn_clock_ns();
  qn_training how = *trials->how;

  how.checkpoint = NULL;
  how.report_seconds = -1;
  qn_trials_fold(trials, (int)(task / n), &train, &test);
  qn_model *model = qn_fit(train, trials->estimator->name, &how, trials->candidates.texts[task % n]);
  QN_TRY(model == NULL ? qn_job_check(trials->data->plan->job, err) : QN_OK);
  QN_TRY(qn_evaluate(test, model, &trial.metrics, NULL));
  trial.seconds = 1e-9 * (double)(qn_clock_ns() - start);
  QN_TRY(qn_buffer_append(&trials->done, &trial, sizeof trial, err));

done:
  return status;
}

static int by_task(const void *left, const void *right) {
  const int64_t a = ((const qn_trial *)left)->task;
  const int64_t b = ((const qn_trial *)right)->task;
  return (a > b) - (a < b);
}

static qn_status run_trials(qn_trials *trials, qn_error *err) {
  qn_status status = QN_OK;
  bool is_done = false;

  QN_TRY(qn_trials_run_groups(trials, &is_done, err));
  for (int64_t t = 0; t < trials->candidates.n * trials->folds && !is_done; t++) {
    QN_TRY(try_from_dataset(trials, t, err));
  }
  if (trials->done.size > 0) { // groups finish in any order, and sums are of floating point
    qsort(trials->done.data, (size_t)trials->done.size / sizeof(qn_trial), sizeof(qn_trial), by_task);
  }

done:
  return status;
}

static int64_t n_trials(const qn_trials *trials) {
  return trials->done.size / (int64_t)sizeof(qn_trial);
}

static const qn_trial *trial_at(const qn_trials *trials, int64_t i) {
  return (const qn_trial *)trials->done.data + i;
}

// --- Results
// -------------------------------------------------------------------------------------------------------

typedef struct candidate_result {
  int64_t candidate;
  double mean, stddev, seconds;
  bool is_better_lower;
} candidate_result;

// Mean and deviation of a metric over the folds of a candidate.
static void sum_up(const qn_trials *trials, int64_t candidate, const char *metric, candidate_result *out) {
  double squares = 0;

  for (int64_t i = 0; i < n_trials(trials); i++) {
    const qn_trial *trial = trial_at(trials, i);
    if (trial->task % trials->candidates.n == candidate) {
      out->mean += qn_metric(&trial->metrics, metric) / trials->folds;
      out->seconds += trial->seconds;
    }
  }
  for (int64_t i = 0; i < n_trials(trials); i++) {
    const qn_trial *trial = trial_at(trials, i);
    if (trial->task % trials->candidates.n == candidate) {
      const double difference = qn_metric(&trial->metrics, metric) - out->mean;
      squares += difference * difference;
    }
  }
  out->stddev = sqrt(squares / trials->folds);
}

// Best first; candidates without a number on some fold (the silhouette of one cluster) last.
static int compare_results(const void *a, const void *b) {
  const candidate_result *x = a;
  const candidate_result *y = b;
  if (isnan(x->mean) != isnan(y->mean)) {
    return isnan(x->mean) ? 1 : -1;
  }
  const int higher = (x->mean > y->mean) - (x->mean < y->mean);

  if (higher != 0) {
    return x->is_better_lower ? higher : -higher;
  }
  return (x->candidate > y->candidate) - (x->candidate < y->candidate);
}

static bool some_trial_has(const qn_trials *trials, const char *metric) {
  bool is_there = false;

  for (int64_t i = 0; i < n_trials(trials) && !is_there; i++) {
    is_there = !isnan(qn_metric(&trial_at(trials, i)->metrics, metric));
  }
  return is_there;
}

// The metric asked for, which some trial must have, or the usual one.
static qn_status choose_metric(const qn_trials *trials, const char *wanted, const char **out, qn_error *err) {
  const qn_metrics *metrics = &trial_at(trials, 0)->metrics;
  const char *metric = wanted == NULL ? qn_search_metric_usual(trials) : wanted;
  char names[512] = "";

  if (metric != NULL && some_trial_has(trials, metric)) {
    *out = metric;
    return QN_OK;
  }
  for (int i = 0; i < metrics->n; i++) {
    const size_t used = strlen(names);
    snprintf(names + used, sizeof names - used, "%s%s", i == 0 ? "" : ", ", metrics->values[i].name);
  }
  return wanted == NULL
             ? qn_fail(err, QN_ERR_VALUE,
                       "search: no fold of any candidate of %s gives a number to go by; there is: %s",
                       trials->estimator->name, names)
             : qn_fail(err, QN_ERR_VALUE,
                       "search: no fold of any candidate of %s has the metric '%s'; there is: %s",
                       trials->estimator->name, wanted, names);
}

static qn_status rank_candidates(const qn_trials *trials, const char *metric, candidate_result *results,
                                 qn_error *err) {
  qn_status status = QN_OK;

  for (int64_t c = 0; c < trials->candidates.n; c++) {
    results[c] = (candidate_result){.candidate = c, .is_better_lower = qn_search_metric_is_lower(metric)};
    sum_up(trials, c, metric, &results[c]);
  }
  qsort(results, (size_t)trials->candidates.n, sizeof *results, compare_results);
  QN_REQUIRE(!isnan(results[0].mean), err, QN_ERR_VALUE,
             "search: the %s of candidate '%s', as of all others, is no number on one of the folds: too few "
             "rows of a class, or a single cluster?",
             metric, trials->candidates.texts[results[0].candidate]);

done:
  return status;
}

static void append_number(qn_appender *appender, double value) {
  if (isnan(value)) {
    qn_append_null(appender);
  } else {
    qn_append_float64(appender, value);
  }
}

// The table of candidates, its rows on rank 0.
static qn_status make_results(const qn_trials *trials, const candidate_result *results, qn_dataset **out,
                              qn_error *err) {
  qn_status status = QN_OK;
  static const char text[] = "candidate int64, options utf8, mean float64, stddev float64, seconds float64";
  qn_job *job = trials->data->plan->job;
  qn_schema *schema = NULL;
  qn_appender *appender = NULL;
  qn_batch *batch = NULL;

  QN_TRY(qn_schema_parse(text, &schema, err));
  QN_TRY(qn_appender_new(schema, &appender, err));
  for (int64_t i = 0; i < trials->candidates.n && qn_comm_rank(job->comm) == 0; i++) {
    const char *options = trials->candidates.texts[results[i].candidate];
    qn_append_int64(appender, results[i].candidate);
    qn_append_text(appender, options, (int64_t)strlen(options));
    append_number(appender, results[i].mean);
    append_number(appender, results[i].stddev);
    qn_append_float64(appender, results[i].seconds);
  }
  QN_TRY(qn_appender_finish(appender, &batch, err));
  // rows from memory have no order of their own: whoever shows the first of them would not see the best
  qn_dataset *rows = qn_from_batches(job, text, &batch, 1);
  if (rows != NULL) { // the same search takes other seconds each time: the rows must not tell
    rows->ctx_hash = qn_hash_bytes(text, (int64_t)strlen(text), (uint64_t)trials->candidates.n);
  }
  *out = qn_sort(rows, results[0].is_better_lower ? "mean nulls last, candidate"
                                                  : "mean desc nulls last, candidate");

done:
  qn_batch_free(batch);
  qn_appender_free(appender);
  qn_schema_free(schema);
  return status;
}

// --- Public
// --------------------------------------------------------------------------------------------------------

static qn_status check_folds(int folds, qn_error *err) {
  return folds >= 1 && folds <= 1000
             ? QN_OK
             : qn_fail(err, QN_ERR_ARG, "%d folds; from 2 to 1000 are possible, or 1 for one split", folds);
}

// A trial run from the arguments of the public functions. NULL data or a job that has failed: that status.
static qn_status start(qn_dataset *data, const char *estimator, const qn_training *how,
                       const qn_search_options *options, qn_trials *out, qn_error *err) {
  qn_status status = QN_OK;

  out->data = data;
  out->folds = options->folds;
  out->how = how;
  QN_TRY(check_folds(out->folds, err));
  QN_TRY(qn_estimator_require(estimator, &out->estimator, err));
  QN_TRY(qn_candidates_make(out->estimator, options->grid, options->n_random, how->seed,
                            &data->plan->job->arena, &out->candidates, err));
  if (options->metric != NULL) {
    QN_TRY(qn_search_metric_check(out, options->metric, err));
  }
  QN_TRY(run_trials(out, err));

done:
  return status;
}

static qn_status search(qn_trials *trials, const char *wanted, int64_t *best, const char **metric,
                        qn_dataset **table, qn_error *err) {
  qn_status status = QN_OK;
  candidate_result *results = qn_memory_alloc((int64_t)sizeof *results * trials->candidates.n);

  QN_REQUIRE(results != NULL, err, QN_ERR_MEMORY, "no memory for the results of a search");
  QN_TRY(choose_metric(trials, wanted, metric, err));
  QN_TRY(rank_candidates(trials, *metric, results, err));
  if (table != NULL) {
    QN_TRY(make_results(trials, results, table, err));
  }
  *best = results[0].candidate;

done:
  qn_memory_free(results);
  return status;
}

QN_API qn_model *qn_search(qn_dataset *data, const char *estimator, const qn_training *how,
                           const qn_search_options *options, qn_dataset **results) {
  qn_error err = {0};
  qn_trials trials = {0};
  const qn_training none = {0};
  const char *metric = NULL;
  int64_t best = 0;
  qn_model *model = NULL;

  if (results != NULL) {
    *results = NULL;
  }
  if (data == NULL || data->status != QN_OK || qn_job_check(data->plan->job, NULL) != QN_OK) {
    return NULL;
  }
  how = how == NULL ? &none : how;
  qn_action_begin(data->plan->job, QN_ACTION_SEARCH, data, estimator);
  qn_search_options wanted = *options;
  wanted.folds = wanted.folds == 0 ? 5 : wanted.folds;
  qn_status status = start(data, estimator, how, &wanted, &trials, &err);
  if (status == QN_OK) {
    status = search(&trials, options->metric, &best, &metric, results, &err);
  }
  qn_job_keep_error(data->plan->job, status, &err);
  if (status == QN_OK) {
    model = qn_fit(data, estimator, how, trials.candidates.texts[best]);
  }
  if (model != NULL) {
    qn_metrics found = {0};
    candidate_result result = {0};
    sum_up(&trials, best, metric, &result);
    qn_metrics_add(&found, metric, result.mean);
    qn_model_note(model, "search", &found);
  }
  qn_buffer_release(&trials.done);
  qn_action_end(data->plan->job, status);
  return model;
}

QN_API qn_status qn_cross_validate(qn_dataset *data, const char *estimator, const qn_training *how,
                                   const char *options, int folds, qn_metrics *out) {
  qn_error err = {0};
  qn_trials trials = {0};
  const qn_training none = {0};
  qn_metrics found = {0};

  *out = (qn_metrics){0};
  if (data == NULL || data->status != QN_OK || qn_job_check(data->plan->job, NULL) != QN_OK) {
    return data == NULL ? QN_ERR_MEMORY : data->status != QN_OK ? data->status : QN_ERR_STOPPED;
  }
  how = how == NULL ? &none : how;
  qn_action_begin(data->plan->job, QN_ACTION_EVALUATE, data, estimator);
  const qn_search_options wanted = {.grid = options, .folds = folds};
  qn_status status = start(data, estimator, how, &wanted, &trials, &err);
  for (int i = 0; status == QN_OK && i < trial_at(&trials, 0)->metrics.n; i++) {
    char name[64];
    candidate_result result = {0};
    const char *metric = trial_at(&trials, 0)->metrics.values[i].name;
    sum_up(&trials, 0, metric, &result);
    qn_metrics_add(&found, metric, result.mean);
    snprintf(name, sizeof name, "%s_stddev", metric);
    qn_metrics_add(&found, name, result.stddev);
  }
  *out = found;
  qn_buffer_release(&trials.done);
  return qn_action_end(data->plan->job, qn_job_keep_error(data->plan->job, status, &err));
}
