// SPDX-License-Identifier: Apache-2.0
// The actions: each runs a plan into a sink.
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "column/print.h"
#include "exec/action.h"
#include "exec/job_state.h"
#include "exec/restart.h"
#include "exec/sinks.h"
#include "plan/estimate.h"

static bool ends_with(const char *text, const char *end) {
  const size_t n_text = strlen(text);
  const size_t n_end = strlen(end);
  return n_text > n_end && strcmp(text + n_text - n_end, end) == 0;
}

// Runs a dataset into a sink; `restart` says what that leaves, if it is to be skipped when the job goes on
// after it was ended, else it is NULL. `value` (may be NULL) is what the sink finds, which comes from the
// journal then.
static qn_status run_into(qn_dataset *dataset, const qn_sink *sink, qn_action_kind kind, const char *what,
                          qn_restart_action *restart, int64_t *value) {
  qn_status status = QN_OK;
  qn_error err = {0};
  bool is_done = false;

  if (dataset == NULL) {
    return QN_ERR_MEMORY;
  }
  qn_job *job = dataset->plan->job;
  qn_action_begin(job, kind, dataset, what);
  if (restart != NULL) {
    restart->dataset = dataset;
    status = qn_job_keep_error(job, qn_restart_look(job, restart, &is_done, &err), &err);
  }
  if (status == QN_OK && is_done && value != NULL) {
    *value = restart->value;
  } else if (status == QN_OK && !is_done) {
    status = qn_run_plan(job, dataset, sink);
    if (status == QN_OK && restart != NULL) {
      restart->value = value != NULL ? *value : 0;
      qn_restart_note(job, restart);
    }
  }
  return qn_action_end(job, status);
}

// A job that was called wrongly has no output path; then it has failed already, and keeps its own message.
static qn_status fail_without_path(qn_dataset *dataset) {
  return dataset == NULL ? QN_ERR_MEMORY : qn_job_fail(dataset->plan->job, "there is no path to write to");
}

static qn_status write_stage(qn_dataset *dataset, const char *path) {
  if (path == NULL) {
    return fail_without_path(dataset);
  }
  qn_stage_sink stage = {.path = path, .is_single_file = ends_with(path, ".h5")};
  const bool is_sorted = dataset != NULL && dataset->status == QN_OK && dataset->kind == QN_NODE_SORT;

  stage.sorted_by = is_sorted ? dataset->text : NULL;
  const qn_sink sink = qn_stage_sink_of(&stage);
  qn_restart_action restart = {.product = path};
  return run_into(dataset, &sink, QN_ACTION_STAGE, path, &restart, NULL);
}

QN_API qn_status qn_write_csv(qn_dataset *dataset, const char *path, const qn_csv_write_options *options) {
  if (path == NULL) {
    return fail_without_path(dataset);
  }
  const qn_csv_write_options given = options == NULL ? (qn_csv_write_options){0} : *options;
  const char fallback = ends_with(path, ".tsv") ? '\t' : ',';
  qn_csv_sink csv = {.path = path,
                     .separator = given.separator != '\0' ? given.separator : fallback,
                     .raw_binary = given.raw_binary};
  const qn_sink sink = qn_csv_sink_of(&csv);
  const uint8_t form[] = {(uint8_t)csv.separator, csv.raw_binary};
  qn_restart_action restart = {.product = path, .options = qn_hash_bytes(form, sizeof form, 0)};
  return run_into(dataset, &sink, QN_ACTION_WRITE, path, &restart, NULL);
}

QN_API qn_status qn_write(qn_dataset *dataset, const char *path) {
  const bool is_csv = path != NULL && (ends_with(path, ".csv") || ends_with(path, ".tsv"));
  return is_csv ? qn_write_csv(dataset, path, NULL) : write_stage(dataset, path);
}

QN_API qn_dataset *qn_stage(qn_dataset *in, const char *path) {
  if (in == NULL || in->status != QN_OK || write_stage(in, path) != QN_OK) {
    qn_error err = {0};
    if (in == NULL || in->status != QN_OK) {
      return in;
    }
    const qn_status status = qn_job_check(in->plan->job, &err);
    return qn_plan_finish(qn_plan_node(in->plan, QN_NODE_SOURCE, NULL, NULL, path), status, &err);
  }
  return qn_read_own_stage(in->plan->job, path);
}

QN_API qn_status qn_count(qn_dataset *dataset, int64_t *n_rows) {
  qn_count_sink count = {0};
  const qn_sink sink = qn_count_sink_of(&count);
  qn_restart_action restart = {0};
  const qn_status status = run_into(dataset, &sink, QN_ACTION_COUNT, "", &restart, &count.n_rows);

  *n_rows = status == QN_OK ? count.n_rows : 0;
  return status;
}

QN_API qn_status qn_collect(qn_dataset *dataset, qn_batch **out) {
  qn_collect_sink collect = {0};
  const qn_sink sink = qn_collect_sink_of(&collect);
  const qn_status status = run_into(dataset, &sink, QN_ACTION_COLLECT, "", NULL, NULL);

  *out = status == QN_OK ? collect.batch : NULL;
  return status;
}

static qn_status show(qn_dataset *dataset, int64_t n_rows) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_batch *batch = NULL;
  qn_buffer text = {0};

  QN_TRY(qn_collect(qn_limit(dataset, n_rows), &batch));
  if (qn_comm_rank(dataset->plan->job->comm) == 0) {
    QN_TRY(qn_batch_print(batch, n_rows, &text, &err));
    qn_progress_clear(dataset->plan->job);
    fwrite(text.data, 1, (size_t)text.size, stdout);
    fflush(stdout);
  }

done:
  qn_batch_free(batch);
  qn_buffer_release(&text);
  return status;
}

QN_API qn_status qn_show(qn_dataset *dataset, int64_t n_rows) {
  if (dataset == NULL) {
    return QN_ERR_MEMORY;
  }
  char what[32];
  snprintf(what, sizeof what, "%lld rows", (long long)n_rows);
  qn_action_begin(dataset->plan->job, QN_ACTION_SHOW, dataset, what);
  return qn_action_end(dataset->plan->job, show(dataset, n_rows));
}

QN_API qn_status qn_explain(qn_dataset *dataset, FILE *out) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_buffer text = {0};
  const qn_dataset *runs = NULL;
  qn_resources resources = {.budget = qn_memory_budget()};

  if (dataset == NULL || dataset->status != QN_OK) {
    return dataset == NULL ? QN_ERR_MEMORY : dataset->status;
  }
  resources.n_ranks = qn_comm_size(dataset->plan->job->comm);
  QN_TRY(qn_buffer_printf(&text, &err, "As written:\n"));
  QN_TRY(qn_plan_print(dataset, &text, &err));
  QN_TRY(qn_plan_optimise(dataset, &runs, &err));
  QN_TRY(qn_buffer_printf(&text, &err, "As it runs (numbers of rows are estimates):\n"));
  QN_TRY(qn_plan_print_expected(runs, &resources, &text, &err));
  if (qn_comm_rank(dataset->plan->job->comm) == 0) {
    fwrite(text.data, 1, (size_t)text.size, out);
    fflush(out);
  }

done:
  qn_buffer_release(&text);
  return status;
}
