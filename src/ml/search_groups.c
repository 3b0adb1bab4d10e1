// SPDX-License-Identifier: Apache-2.0
// Candidates side by side. The rows are turned into numbers, every rank gets all of them, and groups of ranks
// fit and judge candidates on their own. If features ask nothing of the data this is done once, and folds are
// drawn from the numbers of rows. Else it is done for each fold, with features that were fitted on what the
// fold trains on: what is left out must not be seen. Only classes are always those of all rows.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "exec/job_state.h"
#include "ml/metrics.h"
#include "ml/search.h"
#include "ml/search_judge.h"

enum { JUDGED_ROWS = 1024 };

// All rows, on this rank.
typedef struct all_rows {
  int64_t n;
  int n_columns;
  qn_buffer x, y, w; // float64; y empty: no label, w empty: all 1
} all_rows;

typedef struct group_search {
  qn_trials *trials;
  qn_model *pattern; // features, classes and label of all candidates; its job owns it
  all_rows rows;     // all, or those that the fold trains on
  all_rows left_out; // those that it leaves out; none if `rows` are all
  bool is_exact;
  int n_parts;
  int fold;       // that `train` leaves out; -1: none yet
  qn_rows *train; // of the group
  int64_t *test;  // numbers of rows, if `rows` are all
  int64_t n_test;
} group_search;

int qn_fold_of_row(int64_t row, int n_parts, uint64_t seed) {
  return qn_hash_to_range(qn_hash_mix(qn_hash_combine(seed + 0x5f0d, (uint64_t)row)), n_parts);
}

// --- The rows of all ranks on each of them
// -------------------------------------------------------------------------

static qn_status gather_part(qn_comm *comm, const double *values, int64_t n, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  int64_t *sizes = qn_memory_alloc((int64_t)sizeof *sizes * qn_comm_size(comm));

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory for %d sizes", qn_comm_size(comm));
  QN_TRY(qn_comm_gather(comm, values, n * (int64_t)sizeof *values, out, sizes, err));

done:
  qn_memory_free(sizes);
  return status;
}

static qn_status gather_rows(qn_comm *comm, const qn_rows *rows, bool has_label, all_rows *out,
                             qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer wide = {0};
  const double *x = rows->x;

  if (rows->is_float32) {
    QN_TRY(qn_buffer_reserve(&wide, rows->n_local * rows->n_columns * (int64_t)sizeof(double), err));
    double *to = (double *)wide.data;
    for (int64_t i = 0; i < rows->n_local * rows->n_columns; i++) {
      to[i] = (double)rows->x32[i];
    }
    x = to;
  }
  QN_TRY(gather_part(comm, x, rows->n_local * rows->n_columns, &out->x, err));
  if (has_label) {
    QN_TRY(gather_part(comm, rows->y, rows->n_local, &out->y, err));
  }
  if (rows->w != NULL || rows->total_weight != (double)rows->n_total) {
    QN_TRY(gather_part(comm, rows->w, rows->w == NULL ? 0 : rows->n_local, &out->w, err));
  }
  out->n = rows->n_total;
  out->n_columns = rows->n_columns;

done:
  qn_buffer_release(&wide);
  return status;
}

static void release_rows(all_rows *rows) {
  qn_buffer_release(&rows->x);
  qn_buffer_release(&rows->y);
  qn_buffer_release(&rows->w);
  rows->n = 0;
}

// --- One fold
// ------------------------------------------------------------------------------------------------------

static void copy_row(const all_rows *from, int64_t row, double *x, double *y, double *w, int64_t at) {
  const int64_t n_columns = from->n_columns;

  memcpy(x + at * n_columns, (const double *)from->x.data + row * n_columns,
         (size_t)n_columns * sizeof(double));
  if (y != NULL) {
    y[at] = ((const double *)from->y.data)[row];
  }
  if (w != NULL) {
    w[at] = ((const double *)from->w.data)[row];
  }
}

static qn_status make_train(group_search *search, qn_comm *comm, int fold, int64_t n_rows, const double *x,
                            const double *y, const double *w, qn_error *err) {
  qn_status status = QN_OK;

  QN_REQUIRE(n_rows > 0 && search->n_test > 0, err, QN_ERR_VALUE, "%lld rows are too few for %d folds",
             (long long)(n_rows + search->n_test), search->n_parts);
  const qn_rows_source source = {.n_total = n_rows,
                                 .n_columns = search->rows.n_columns,
                                 .x = x,
                                 .y = y,
                                 .w = w,
                                 .n_lanes = search->is_exact ? search->trials->estimator->exact_lanes : 0,
                                 .is_exact = search->is_exact,
                                 .is_float32 = search->trials->how->float32};
  QN_TRY(qn_rows_from_memory(comm, &source, &search->train, err));
  search->fold = fold;

done:
  return status;
}

// The rows to train on for a fold, and which are left out, where `rows` are all.
static qn_status choose_fold(group_search *search, qn_comm *comm, int fold, qn_error *err) {
  qn_status status = QN_OK;
  const all_rows *all = &search->rows;
  const uint64_t seed = search->trials->how->seed;
  const bool has_weights = all->w.size > 0;
  const bool has_label = all->y.size > 0;
  int64_t n_train = 0;

  search->n_test = 0;
  double *x = qn_memory_alloc(all->x.size);
  double *y = has_label ? qn_memory_alloc(all->y.size) : NULL;
  double *w = has_weights ? qn_memory_alloc(all->w.size) : NULL;
  QN_REQUIRE(x != NULL && (y != NULL || !has_label) && (w != NULL || !has_weights) && search->test != NULL,
             err, QN_ERR_MEMORY, "no memory for a fold of %lld rows", (long long)all->n);
  for (int64_t row = 0; row < all->n; row++) {
    if (qn_fold_of_row(row, search->n_parts, seed) == fold) {
      search->test[search->n_test++] = row;
    } else {
      copy_row(all, row, x, y, w, n_train++);
    }
  }
  QN_TRY(make_train(search, comm, fold, n_train, x, y, w, err));

done:
  qn_memory_free(x);
  qn_memory_free(y);
  qn_memory_free(w);
  return status;
}

static qn_status take_fold(group_search *search, qn_comm *comm, int fold, qn_error *err) {
  const all_rows *rows = &search->rows;

  qn_rows_free(search->train);
  search->train = NULL;
  search->fold = -1;
  if (search->left_out.x.data == NULL) {
    return choose_fold(search, comm, fold, err);
  }
  search->n_test = search->left_out.n;
  return make_train(search, comm, fold, rows->n, (const double *)rows->x.data, (const double *)rows->y.data,
                    (const double *)rows->w.data, err);
}

// --- Judging
// -------------------------------------------------------------------------------------------------------

// This rank's share of the rows that were left out.
static qn_status judge_share(const group_search *search, qn_comm *comm, const qn_model *model,
                             qn_buffer *kept, qn_error *err) {
  qn_status status = QN_OK;
  const int n_columns = search->rows.n_columns;
  const int n_outputs = qn_model_n_outputs(model);
  const bool is_apart = search->left_out.x.data != NULL;
  const all_rows *rows = is_apart ? &search->left_out : &search->rows;
  const bool has_label = rows->y.size > 0;
  const int64_t first = search->n_test * qn_comm_rank(comm) / qn_comm_size(comm);
  const int64_t end = search->n_test * (qn_comm_rank(comm) + 1) / qn_comm_size(comm);
  double *x = qn_memory_alloc((int64_t)sizeof *x * JUDGED_ROWS * n_columns);
  double *y = qn_memory_alloc((int64_t)sizeof *y * JUDGED_ROWS);
  double *w = qn_memory_alloc((int64_t)sizeof *w * JUDGED_ROWS);
  double *outputs = qn_memory_alloc((int64_t)sizeof *outputs * JUDGED_ROWS * n_outputs);

  QN_REQUIRE(x != NULL && y != NULL && w != NULL && outputs != NULL, err, QN_ERR_MEMORY,
             "no memory to judge a candidate");
  for (int64_t at = first; at < end;) {
    qn_row_block block = {
        .n_columns = n_columns, .x = x, .y = has_label ? y : NULL, .w = rows->w.size > 0 ? w : NULL};
    for (; block.n_rows < JUDGED_ROWS && at < end; at++) {
      copy_row(rows, is_apart ? at : search->test[at], x, has_label ? y : NULL, rows->w.size > 0 ? w : NULL,
               block.n_rows++);
    }
    QN_TRY(model->estimator->predict(model, &block, outputs, err));
    QN_TRY(qn_judged_keep(model, &block, outputs, kept, err));
  }

done:
  qn_memory_free(x);
  qn_memory_free(y);
  qn_memory_free(w);
  qn_memory_free(outputs);
  return status;
}

// Of all rows that were left out, or of as many as qn_evaluate() takes. kept: entries of qn_judged_keep().
static qn_status add_silhouette(const group_search *search, const double *kept, qn_metrics *out,
                                qn_error *err) {
  qn_status status = QN_OK;
  const bool is_apart = search->left_out.x.data != NULL;
  const all_rows *rows = is_apart ? &search->left_out : &search->rows;
  const int64_t most = qn_silhouette_rows(rows->n_columns);
  const double share = search->n_test <= most ? 1 : 0.95 * (double)most / (double)search->n_test;
  double *x = qn_memory_alloc((int64_t)sizeof *x * most * rows->n_columns);
  double *clusters = qn_memory_alloc((int64_t)sizeof *clusters * most);
  int64_t n = 0;
  double silhouette = NAN;

  QN_REQUIRE(x != NULL && clusters != NULL, err, QN_ERR_MEMORY, "no memory for the silhouette of %lld rows",
             (long long)most);
  for (int64_t i = 0; i < search->n_test && n < most; i++) {
    if (share >= 1 || qn_hash_to_unit(qn_hash_mix(qn_hash_combine(0x511, (uint64_t)i))) < share) {
      clusters[n] = kept[i * QN_JUDGED_WIDTH];
      copy_row(rows, is_apart ? i : search->test[i], x, NULL, NULL, n++);
    }
  }
  QN_TRY(qn_silhouette(x, clusters, n, rows->n_columns, &silhouette, err));
  if (!isnan(silhouette)) {
    qn_metrics_add(out, "silhouette", silhouette);
  }

done:
  qn_memory_free(x);
  qn_memory_free(clusters);
  return status;
}

static qn_status judge(const group_search *search, qn_comm *comm, const qn_model *model, qn_metrics *out,
                       qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer kept = {0};
  qn_buffer all = {0};

  QN_TRY(judge_share(search, comm, model, &kept, err));
  QN_TRY(gather_part(comm, (const double *)kept.data, kept.size / (int64_t)sizeof(double), &all, err));
  QN_TRY(qn_judged_metrics(model, (double *)all.data, search->n_test, out, err));
  const qn_task task = model->estimator->task(model->options);
  if (task == QN_TASK_CLUSTER || task == QN_TASK_MIXTURE) {
    QN_TRY(add_silhouette(search, (const double *)all.data, out, err));
  }

done:
  qn_buffer_release(&kept);
  qn_buffer_release(&all);
  return status;
}

// --- A task
// --------------------------------------------------------------------------------------------------------

// An empty model with the candidate's options; features and classes are the pattern's.
static qn_status make_model(const group_search *search, const char *text, qn_model **out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_trials *trials = search->trials;
  qn_model *model = NULL;

  *out = NULL;
  QN_REQUIRE(search->train != NULL, err, QN_ERR_ARG, "there are no rows to train a candidate on");
  QN_TRY(qn_model_alloc(trials->data->plan->job, trials->estimator, &model, err));
  QN_TRY(qn_settings_parse(trials->estimator, text, &model->arena, model->options, err));
  model->label = search->pattern->label;
  model->features = search->pattern->features;
  model->classes = search->pattern->classes;
  model->n_rows = search->train->n_total;
  model->seed = trials->how->seed;
  model->is_float32 = trials->how->float32;
  *out = model;
  model = NULL;

done:
  qn_model_free(model);
  return status;
}

static void free_model(qn_model *model) {
  if (model != NULL) { // what is the pattern's stays
    model->features = NULL;
    model->classes = (qn_classes){0};
    qn_model_free(model);
  }
}

// Each step is a run of the group.
static qn_status try_candidate(group_search *search, qn_comm *comm, const char *text, qn_metrics *out,
                               qn_error *err) {
  qn_status status = QN_OK;
  qn_model *model = NULL;
  qn_training how = *search->trials->how;

  how.checkpoint = NULL;
  QN_TRY(qn_comm_agree(comm, make_model(search, text, &model, err), err));
  QN_REQUIRE(model != NULL, err, QN_ERR_MEMORY, "no memory for a model"); // known, but not to clang-tidy
  QN_TRY(qn_fit_rows(model, comm, &how, NULL, search->train, true, err));
  QN_TRY(qn_comm_agree(comm, judge(search, comm, model, out, err), err));

done:
  free_model(model);
  return status;
}

static qn_status do_task(group_search *search, qn_comm *comm, int64_t task, qn_error *err) {
  qn_status status = QN_OK;
  qn_trials *trials = search->trials;
  const int64_t n = trials->candidates.n;
  const char *text = trials->candidates.texts[task % n];
  qn_trial trial = {.task = task};
  const int64_t start = qn_clock_ns();

  if (search->fold != (int)(task / n)) {
    QN_TRY(qn_comm_agree(comm, take_fold(search, comm, (int)(task / n), err), err));
  }
  status = try_candidate(search, comm, text, &trial.metrics, err);
  if (status != QN_OK && err != NULL) {
    const qn_error inner = *err;
    status = qn_fail(err, status, "candidate '%s': %.900s", text, inner.message);
  }
  QN_TRY(status);
  trial.seconds = 1e-9 * (double)(qn_clock_ns() - start);
  if (qn_comm_rank(comm) == 0) {
    QN_TRY(qn_buffer_append(&trials->done, &trial, sizeof trial, err));
  }

done:
  return status;
}

// Collective over the group, a run of its own: the next task, of which its first rank claims one; -1: none.
static qn_status claim_task(qn_claims *claims, qn_comm *group, int64_t *task, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer bytes = {0};

  *task = -1;
  if (qn_comm_rank(group) == 0 && qn_claims_next(claims, task, NULL) != QN_OK) {
    *task = -1; // others have failed: that ends the run of all ranks
  }
  status = qn_buffer_append(&bytes, task, sizeof *task, err);
  status = status == QN_OK ? qn_comm_broadcast(group, 0, &bytes, err) : status;
  QN_TRY(qn_comm_agree(group, status, err));
  memcpy(task, bytes.data, sizeof *task);

done:
  qn_buffer_release(&bytes);
  return status;
}

// Each group takes the next task when it is through with one.
static qn_status do_tasks(group_search *search, int64_t first, int64_t n_tasks, qn_error *err) {
  qn_status status = QN_OK;
  qn_comm *world = search->trials->data->plan->job->comm;
  qn_comm *group = NULL;
  qn_claims *claims = NULL;
  int64_t task = 0;
  const int n_ranks = qn_comm_size(world);
  const int64_t n_groups = n_tasks < n_ranks ? n_tasks : n_ranks;

  QN_TRY(qn_comm_split(world, (int)(qn_comm_rank(world) * n_groups / n_ranks), &group, err));
  QN_TRY(qn_claims_open_lazy(world, n_tasks, &claims, err));
  QN_TRY(claim_task(claims, group, &task, err));
  while (task >= 0) {
    QN_TRY(do_task(search, group, first + task, err));
    QN_TRY(claim_task(claims, group, &task, err));
  }

done:
  qn_claims_close(claims);
  qn_comm_close(group);
  return status;
}

static qn_status share_results(qn_trials *trials, qn_comm *comm, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer all = {0};
  int64_t *sizes = qn_memory_alloc((int64_t)sizeof *sizes * qn_comm_size(comm));

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory for %d sizes", qn_comm_size(comm));
  QN_TRY(qn_comm_gather(comm, trials->done.data, trials->done.size, &all, sizes, err));
  qn_buffer_release(&trials->done);
  qn_buffer_move(&all, &trials->done);

done:
  qn_memory_free(sizes);
  qn_buffer_release(&all);
  return status;
}

// --- All together
// ---------------------------------------------------------------------------------------------------

// The task is the same for all candidates, and one that is judged row by row.
static bool is_suitable(const qn_trials *trials, void *room) {
  const qn_estimator *estimator = trials->estimator;
  qn_arena arena = {0};
  bool is_good = !estimator->loads_itself;
  qn_task first = QN_TASK_RATING;

  for (int64_t c = 0; c < trials->candidates.n && is_good; c++) {
    is_good = qn_settings_parse(estimator, trials->candidates.texts[c], &arena, room, NULL) == QN_OK;
    const qn_task task = is_good ? estimator->task(room) : QN_TASK_RATING;
    first = c == 0 ? task : first;
    const bool has_label = task == QN_TASK_NUMBER || task == QN_TASK_CLASS;
    is_good = task == first && task != QN_TASK_RATING && task != QN_TASK_NEIGHBOURS &&
              has_label == (trials->how->label != NULL);
  }
  qn_arena_release(&arena);
  return is_good;
}

// Rows beside a fold of them, and what is made of that.
static bool has_room(const qn_rows *rows) {
  const double bytes = 8.0 * (double)rows->n_total * (rows->n_columns + 2);
  const int64_t budget = qn_memory_budget();
  return budget <= 0 || 3.5 * bytes < (double)(budget - qn_memory_used());
}

// Rows of all ranks, as numbers, to each of them. *is_done is false where they have no room.
static qn_status load_rows(group_search *search, qn_dataset *data, all_rows *out, bool *is_done,
                           qn_error *err) {
  qn_status status = QN_OK;
  qn_comm *world = search->trials->data->plan->job->comm;
  qn_rows *rows = NULL;

  release_rows(out);
  *is_done = false;
  if (qn_features_is_sparse(search->pattern->features)) {
    goto done;
  }
  QN_TRY(qn_fit_load(search->pattern, data, search->trials->how, &rows, err));
  int64_t can = has_room(rows);
  QN_TRY(qn_comm_agree(world, qn_comm_reduce_int64(world, QN_MIN, &can, 1, err), err));
  if (can != 0) {
    QN_TRY(qn_comm_agree(world, gather_rows(world, rows, search->trials->how->label != NULL, out, err), err));
    *is_done = true;
  }

done:
  qn_rows_free(rows);
  return status;
}

// Tasks [first, first + n) with the rows that are there.
static qn_status run_tasks(group_search *search, int64_t first, int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  qn_comm *world = search->trials->data->plan->job->comm;

  qn_memory_free(search->test);
  search->test = qn_memory_alloc((int64_t)sizeof *search->test * search->rows.n);
  status = search->test == NULL ? qn_fail(err, QN_ERR_MEMORY, "no memory for a search") : QN_OK;
  QN_TRY(qn_comm_agree(world, status, err));
  QN_TRY(qn_comm_agree(world, do_tasks(search, first, n, err), err));

done:
  return status;
}

// All folds with the same numbers.
static qn_status search_at_once(group_search *search, bool *is_done, qn_error *err) {
  qn_status status = QN_OK;
  qn_trials *trials = search->trials;

  QN_TRY(qn_fit_features(search->pattern, trials->data, trials->how, err));
  QN_TRY(load_rows(search, trials->data, &search->rows, is_done, err));
  if (*is_done) {
    QN_TRY(run_tasks(search, 0, trials->candidates.n * trials->folds, err));
  }

done:
  return status;
}

// Each fold with numbers of its own.
static qn_status search_by_folds(group_search *search, bool *is_done, qn_error *err) {
  qn_status status = QN_OK;
  qn_trials *trials = search->trials;

  for (int fold = 0; fold < trials->folds; fold++) {
    qn_dataset *train = NULL;
    qn_dataset *test = NULL;
    qn_trials_fold(trials, fold, &train, &test);
    QN_TRY(qn_fit_features(search->pattern, train, trials->how, err));
    QN_TRY(load_rows(search, train, &search->rows, is_done, err));
    if (*is_done) {
      QN_TRY(load_rows(search, test, &search->left_out, is_done, err));
    }
    if (!*is_done) {
      break;
    }
    search->fold = -1;
    QN_TRY(run_tasks(search, fold * trials->candidates.n, trials->candidates.n, err));
  }
  if (!*is_done) {
    qn_buffer_release(&trials->done);
  }

done:
  return status;
}

static qn_status search_groups(group_search *search, bool *is_done, qn_error *err) {
  qn_status status = QN_OK;
  qn_comm *world = search->trials->data->plan->job->comm;
  const qn_training *how = search->trials->how;
  const char *excluded[] = {how->label, how->weight};
  bool asks_rows = false;

  QN_TRY(qn_features_ask_rows(search->trials->data, how->features, excluded, 2, &asks_rows, err));
  QN_TRY(asks_rows ? search_by_folds(search, is_done, err) : search_at_once(search, is_done, err));
  if (*is_done) {
    *is_done = false;
    QN_TRY(qn_comm_agree(world, share_results(search->trials, world, err), err));
    *is_done = true;
  }

done:
  return status;
}

qn_status qn_trials_run_groups(qn_trials *trials, bool *is_done, qn_error *err) {
  qn_status status = QN_OK;
  const qn_estimator *estimator = trials->estimator;
  qn_arena arena = {0};
  qn_training how = *trials->how;
  group_search search = {.trials = trials,
                         .is_exact = trials->how->exact,
                         .n_parts = trials->folds == 1 ? 5 : trials->folds,
                         .fold = -1};

  *is_done = false;
  how.checkpoint = NULL;
  void *options = qn_arena_alloc(&arena, (int64_t)estimator->options_size);
  QN_REQUIRE(options != NULL, err, QN_ERR_MEMORY, "no memory for options");
  if (!is_suitable(trials, options)) {
    goto done;
  }
  QN_TRY(qn_settings_parse(estimator, trials->candidates.texts[0], &arena, options, err));
  QN_TRY(qn_fit_prepare(trials->data, estimator, &how, options, &search.pattern, err));
  QN_TRY(search_groups(&search, is_done, err));

done:
  qn_rows_free(search.train);
  qn_memory_free(search.test);
  release_rows(&search.rows);
  release_rows(&search.left_out);
  qn_arena_release(&arena);
  return status;
}
