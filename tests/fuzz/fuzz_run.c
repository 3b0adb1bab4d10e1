// SPDX-License-Identifier: Apache-2.0
// The readers of a run folder: a progress line and a run.json of any bytes give an answer or an error, never
// more.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "record/progress_line.h"
#include "record/run_choice.h"
#include "record/run_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_line(const char *text, int64_t size) {
  qn_progress_line line;
  qn_progress_line again;
  char printed[QN_PROGRESS_BYTES];

  qn_progress_line_parse(text, size, &line);
  if (line.is_there && qn_progress_line_print(&line, printed)) { // what we write we read
    qn_progress_line_parse(printed, sizeof printed, &again);
    if (!again.is_there || again.rank != line.rank || again.rows != line.rows ||
        again.action != line.action) {
      abort();
    }
  }
}

static void read_run(const char *text, int64_t size) {
  qn_error err = {0};
  json_t *run = NULL;
  qn_process process;

  if (qn_run_json_parse("run.json", text, size, &run, &err) != QN_OK) {
    if (err.message[0] == '\0') {
      abort();
    }
    return;
  }
  qn_run_get_process(qn_run_last_attempt(run), &process);
  if (strlen(qn_run_status(run)) > (size_t)size) {
    abort();
  }
  json_decref(qn_run_settled_arguments(json_object_get(run, "arguments")));
  json_decref(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  read_line((const char *)data, (int64_t)size);
  read_run((const char *)data, (int64_t)size);
  return 0;
}
