// SPDX-License-Identifier: Apache-2.0
// run.json: its parts as they are made, and read again. What is made is a new reference; NULL if there is no
// memory.
#pragma once
#include <jansson.h>
#include "record/run_folder.h"
#include "record/run_process.h"

enum { QN_RUN_FORMAT = 1 };

/// Local. Reads a run.json and checks that it has what the readers here rely on: format, job, status and a
/// last attempt. Errors: QN_ERR_IO; QN_ERR_FORMAT if it is torn, no run.json, or of another format.
qn_status qn_run_json_read(const char *path, json_t **out, qn_error *err);
/// The same of `size` bytes; `path` is named in messages.
qn_status qn_run_json_parse(const char *path, const char *text, int64_t size, json_t **out, qn_error *err);
/// Borrowed, "" if there is no such text.
const char *qn_json_text(const json_t *object, const char *name);
/// "running", "done", "failed", "stopped", as it was written.
const char *qn_run_status(const json_t *run);
/// Borrowed; NULL if there is none.
json_t *qn_run_last_attempt(const json_t *run);
/// Rank 0's process of an attempt; pid 0 if that is not said.
void qn_run_get_process(const json_t *attempt, qn_process *out);

/// Everything but the attempts.
json_t *qn_run_json_new(const qn_run_about *about, const char *mpi_library);
json_t *qn_run_arguments_json(const qn_run_about *about);
/// The environment as far as it says how the run goes, without what looks like a secret.
json_t *qn_run_environment_json(char *const *environment);
/// "2026-11-28T06:10:00Z"
json_t *qn_run_time_json(int64_t seconds_since_1970);
