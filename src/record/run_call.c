// SPDX-License-Identifier: Apache-2.0
// A run as its folder describes it, in plain texts.
#include <quern/run.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "record/journal.h"
#include "record/run_choice.h"
#include "record/run_json.h"

void qn_run_call_release(qn_run_call *call) {
  for (int i = 0; i < call->n_arguments; i++) {
    free(call->arguments[i]);
  }
  free((void *)call->arguments);
  free(call->folder);
  free(call->job);
  free(call->status);
  free(call->program);
  free(call->directory);
  free(call->mpi);
  free(call->launcher);
  free(call->last_done);
  *call = (qn_run_call){0};
}

static qn_status copy_text(const json_t *object, const char *key, char **out, qn_error *err) {
  *out = strdup(qn_json_text(object, key));
  return *out != NULL ? QN_OK : qn_fail(err, QN_ERR_MEMORY, "no memory to read a run");
}

static qn_status copy_arguments(const json_t *run, qn_run_call *out, qn_error *err) {
  qn_status status = QN_OK;
  const json_t *arguments = json_object_get(run, "arguments");
  const size_t n = json_array_size(arguments);

  out->arguments = calloc(n + 1, sizeof *out->arguments);
  QN_REQUIRE(out->arguments != NULL, err, QN_ERR_MEMORY, "no memory to read a run");
  for (size_t i = 0; i < n; i++) {
    const char *text = json_string_value(json_array_get(arguments, i));
    out->arguments[i] = strdup(text == NULL ? "" : text);
    QN_REQUIRE(out->arguments[i] != NULL, err, QN_ERR_MEMORY, "no memory to read a run");
    out->n_arguments++;
  }

done:
  return status;
}

static qn_status count_done(qn_run_call *out, qn_error *err) {
  qn_status status = QN_OK;
  char *path = NULL;
  char *last = NULL;

  QN_REQUIRE(asprintf(&path, "%s/journal.jsonl", out->folder) >= 0, err, QN_ERR_MEMORY,
             "no memory to read a run");
  QN_TRY(qn_journal_count(path, &out->n_done, &last, err));
  out->last_done = last;

done:
  free(path);
  return status;
}

qn_status qn_run_call_read(const char *folder, qn_run_call *out, qn_error *err) {
  qn_status status = QN_OK;
  char *path = NULL;
  json_t *run = NULL;
  qn_run_call call = {0};

  QN_REQUIRE(asprintf(&path, "%s/run.json", folder) >= 0, err, QN_ERR_MEMORY, "no memory to read a run");
  QN_TRY(qn_run_json_read(path, &run, err));
  call.folder = realpath(folder, NULL);
  QN_REQUIRE(call.folder != NULL, err, QN_ERR_IO, "%s: cannot be found", folder);
  QN_TRY(copy_text(run, "job", &call.job, err));
  QN_TRY(copy_text(run, "status", &call.status, err));
  QN_TRY(copy_text(run, "program", &call.program, err));
  QN_TRY(copy_text(run, "directory", &call.directory, err));
  QN_TRY(copy_text(json_object_get(run, "libraries"), "mpi", &call.mpi, err));
  const json_t *attempt = qn_run_last_attempt(run);
  QN_TRY(copy_text(attempt, "launcher", &call.launcher, err));
  call.n_ranks = (int)json_integer_value(json_object_get(attempt, "n_ranks"));
  if (strcmp(call.status, "running") == 0 && !qn_run_is_in_use(call.folder, run)) {
    free(call.status);
    call.status = strdup("killed");
    QN_REQUIRE(call.status != NULL, err, QN_ERR_MEMORY, "no memory to read a run");
  }
  QN_TRY(copy_arguments(run, &call, err));
  QN_TRY(count_done(&call, err));
  *out = call;
  call = (qn_run_call){0};

done:
  qn_run_call_release(&call);
  json_decref(run);
  free(path);
  return status;
}
