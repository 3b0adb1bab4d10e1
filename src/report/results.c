// SPDX-License-Identifier: Apache-2.0
// A job's own results: each call is an action that leaves a file in the folder of the run. The file is named
// for the number of its action, so that a run that is gone on with writes the same ones.
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quern/report.h>

#include "base/check.h"
#include "base/files.h"
#include "base/hash.h"
#include "exec/action.h"
#include "exec/job_state.h"
#include "exec/restart.h"
#include "report/chart_rows.h"
#include "report/result_json.h"

enum { MOST_TABLE_ROWS = 10000, MOST_BARS = 200, MOST_POINTS = 5000 };

// "results/07.json" in the folder of the run, for free().
static char *result_path(const qn_job *job) {
  char name[64];

  snprintf(name, sizeof name, "results/%02lld.json", (long long)job->action.number);
  return qn_run_folder_file(job->run_folder, name);
}

// Writes the file of the action. Rank 0.
static qn_status write_result(const qn_job *job, json_t *result, qn_error *err) {
  qn_status status = QN_OK;
  char *text = NULL;
  char *path = result_path(job);

  json_object_set_new(result, "action", json_integer(job->action.number));
  text = json_dumps(result, JSON_COMPACT | JSON_REAL_PRECISION(17));
  QN_REQUIRE(path != NULL && text != NULL, err, QN_ERR_MEMORY, "no memory for a result of the job");
  QN_TRY(qn_folder_make_for(path, err));
  QN_TRY(qn_file_write_atomic(path, text, (int64_t)strlen(text), err));

done:
  free(path);
  free(text);
  return status;
}

// Collective. Takes the result; a failure becomes the job's.
static qn_status finish_take(qn_job *job, json_t *result, qn_status status, qn_error *err) {
  if (status == QN_OK && qn_comm_rank(job->comm) == 0) {
    status = write_result(job, result, err);
  }
  json_decref(result);
  status = qn_comm_agree(job->comm, status, err);
  return qn_job_keep_error(job, status, err);
}

// Rows of a dataset, at most `most` of them; `n_own` columns of its own. Sets "columns", "rows", "n_rows",
// "has_more".
static qn_status collect_rows(qn_dataset *rows, int n_own, int64_t most, json_t *result) {
  qn_batch *batch = NULL;
  const qn_status status = qn_collect(qn_limit(rows, most + 1), &batch);

  if (status == QN_OK && qn_comm_rank(rows->plan->job->comm) == 0) {
    const int64_t n_all = qn_batch_n_rows(batch);
    const int64_t n = n_all < most ? n_all : most;
    json_object_set_new(result, "columns", qn_result_columns(rows->schema, n_own));
    json_object_set_new(result, "rows", qn_result_rows(batch, n_own, n));
    json_object_set_new(result, "n_rows", json_integer(n));
    json_object_set_new(result, "has_more", json_boolean(n_all > most));
  }
  qn_batch_free(batch);
  return status;
}

// Sums what each rank saw. Collective.
static qn_status count_all(const qn_job *job, qn_chart_sample *sample, int64_t *n_rows, qn_error *err) {
  *n_rows = sample->n_rows;
  return qn_comm_agree(job->comm, qn_comm_reduce_int64(job->comm, QN_SUM, n_rows, 1, err), err);
}

static qn_status collect_scatter(qn_dataset *columns, json_t *result, qn_error *err) {
  qn_status status = QN_OK;
  qn_job *job = columns->plan->job;
  qn_chart_sample *sample = qn_arena_alloc(&columns->plan->arena, sizeof *sample);
  int64_t n_rows = 0;

  QN_REQUIRE(sample != NULL, err, QN_ERR_MEMORY, "no memory for a chart");
  *sample = (qn_chart_sample){0};
  qn_dataset *some = qn_chart_sample_of(columns, MOST_POINTS, sample);
  QN_TRY(collect_rows(some, qn_schema_n_columns(columns->schema), MOST_POINTS, result));
  QN_TRY(count_all(job, sample, &n_rows, err));
  json_object_set_new(result, "n_rows", json_integer(n_rows));

done:
  return status;
}

static qn_status collect_histogram(qn_dataset *columns, json_t *result, qn_error *err) {
  json_t *bins = NULL;
  json_t *names = NULL;
  int64_t n_rows = 0;
  const qn_status status = qn_chart_histogram(columns, &names, &bins, &n_rows, err);

  if (bins != NULL) {
    json_object_set_new(result, "columns", names);
    json_object_set_new(result, "rows", bins);
    json_object_set_new(result, "n_values", json_integer(n_rows));
  }
  return status;
}

static qn_status collect_chart(qn_dataset *columns, qn_chart_kind kind, json_t *result, qn_error *err) {
  switch (kind) {
  case QN_CHART_SCATTER:
    return collect_scatter(columns, result, err);
  case QN_CHART_HISTOGRAM:
    return collect_histogram(columns, result, err);
  case QN_CHART_BAR:
  case QN_CHART_LINE:
  case QN_CHART_HEATMAP:
    break;
  }
  return collect_rows(columns, qn_schema_n_columns(columns->schema),
                      kind == QN_CHART_BAR ? MOST_BARS : MOST_POINTS, result);
}

// Collects rows into a result that is described, and writes it, unless an earlier attempt has done so. Takes
// the result.
static qn_status make_result_take(qn_dataset *rows, const char *title, int64_t most, qn_chart_kind kind,
                                  bool is_chart, json_t *result) {
  qn_status status = QN_OK;
  qn_error err = {0};
  bool is_done = false;
  qn_job *job = rows->plan->job;

  qn_action_begin(job, QN_ACTION_REPORT, rows, title);
  char *about = json_dumps(result, JSON_COMPACT | JSON_SORT_KEYS);
  char *path = result_path(job);
  qn_restart_action restart = {.dataset = rows, .product = path};
  restart.options = about == NULL ? 0 : qn_hash_bytes(about, (int64_t)strlen(about), (uint64_t)most);
  status = qn_job_keep_error(job, qn_restart_look(job, &restart, &is_done, &err), &err);
  if (status == QN_OK && !is_done) {
    status = is_chart ? collect_chart(rows, kind, result, &err)
                      : collect_rows(rows, qn_schema_n_columns(rows->schema), most, result);
    status = finish_take(job, result, status, &err);
    result = NULL;
    if (status == QN_OK) {
      qn_restart_note(job, &restart);
    }
  }
  json_decref(result);
  free(about);
  free(path);
  return qn_action_end(job, status);
}

// The first rows as a result of a kind that has no more to say.
static qn_status report_rows(qn_dataset *dataset, const char *kind, const char *title, int64_t n_rows) {
  qn_job *job = dataset->plan->job;

  if (job->run_folder == NULL || qn_job_check(job, NULL) != QN_OK) {
    return qn_job_check(job, NULL);
  }
  return make_result_take(dataset, title, n_rows, QN_CHART_BAR, false,
                          json_pack("{s:s, s:s, s:n}", "kind", kind, "title", title, "note"));
}

QN_API qn_status qn_report_table(qn_dataset *dataset, const char *title, int64_t n_rows) {

  if (dataset == NULL || dataset->status != QN_OK) {
    return dataset == NULL ? QN_ERR_MEMORY : dataset->status;
  }
  qn_job *job = dataset->plan->job;
  if (title == NULL || n_rows < 1 || n_rows > MOST_TABLE_ROWS) {
    return qn_job_fail(job, "a table of the report needs a title, and from 1 to %d rows", MOST_TABLE_ROWS);
  }
  return report_rows(dataset, "table", title, n_rows);
}

QN_API qn_status qn_report_numbers(qn_dataset *dataset) {
  if (dataset == NULL || dataset->status != QN_OK) {
    return dataset == NULL ? QN_ERR_MEMORY : dataset->status;
  }
  return report_rows(dataset, "numbers", "numbers", 1);
}

QN_API qn_status qn_report_chart(qn_dataset *dataset, const qn_chart *chart) {
  const char *fault = NULL;

  if (dataset == NULL || dataset->status != QN_OK) {
    return dataset == NULL ? QN_ERR_MEMORY : dataset->status;
  }
  qn_job *job = dataset->plan->job;
  const char *title = chart->title != NULL ? chart->title : "";
  json_t *result = json_pack("{s:s, s:s, s:s, s:s?}", "kind", "chart", "chart",
                             qn_chart_kind_name(chart->kind), "title", title, "note", chart->note);
  // Mistakes are found with and without a folder.
  qn_dataset *columns = qn_chart_columns(dataset, chart, result, &fault);
  if (fault != NULL) {
    json_decref(result);
    return qn_job_fail(job, "chart '%s': %s", title, fault);
  }
  const qn_status status = columns == NULL ? qn_job_check(job, NULL) : columns->status;
  if (status != QN_OK || columns == NULL || job->run_folder == NULL || qn_job_check(job, NULL) != QN_OK) {
    json_decref(result);
    return status;
  }
  return make_result_take(columns, title, 0, chart->kind, true, result);
}

QN_API qn_status qn_report_number(qn_job *job, const char *title, double value, const char *unit) {
  qn_error err = {0};

  if (job->run_folder == NULL || qn_job_check(job, NULL) != QN_OK) {
    return qn_job_check(job, NULL);
  }
  qn_action_begin(job, QN_ACTION_REPORT, NULL, title);
  json_t *result = json_pack("{s:s, s:s, s:o, s:s?}", "kind", "number", "title", title, "value",
                             isfinite(value) ? json_real(value) : json_null(), "unit", unit);
  return qn_action_end(job, finish_take(job, result, QN_OK, &err));
}
