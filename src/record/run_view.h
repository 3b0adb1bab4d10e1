// SPDX-License-Identifier: Apache-2.0
// The folder of a run as its readers see it: what is there, whole or not.
#pragma once
#include <jansson.h>
#include <quern/runs.h>
#include "record/progress_line.h"

typedef struct qn_run_view {
  char *folder;
  json_t *run;             // run.json
  const char *status;      // as it says, or "killed"
  qn_progress_line *lines; // of its ranks; NULL if there are none
  int64_t n_lines;
  json_t *record, *plan; // NULL: not there, or not whole; read on demand
} qn_run_view;

/// Local. Errors: as qn_run_top().
qn_status qn_run_view_open(const char *folder, qn_run_view *out, qn_error *err);
/// Local. Reads record.json and plan.json as far as they can be read.
void qn_run_view_read_record(qn_run_view *view);
void qn_run_view_release(qn_run_view *view);

/// Of all attempts; one that was killed counts as long as its ranks told of it.
double qn_run_view_seconds(const qn_run_view *view);
/// Seconds since 1970 of "2026-11-28T06:10:00Z"; 0 if it is no such time.
int64_t qn_run_view_time(const json_t *text);

/// "12.3 MiB" into `size` bytes; returns out.
char *qn_show_bytes(int64_t bytes, char *out, size_t size);
/// "1.2 million"
char *qn_show_count(double n, char *out, size_t size);
