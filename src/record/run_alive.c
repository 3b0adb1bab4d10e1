// SPDX-License-Identifier: Apache-2.0
// A run is alive where its processes are; what runs on other hosts is known by what it has told last.
#include "record/run_alive.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "record/progress_line.h"
#include "record/run_json.h"

static bool is_fresh(const char *folder) {
  struct stat info;
  char *path = NULL;
  const bool is = asprintf(&path, "%s/progress", folder) >= 0 && stat(path, &info) == 0 &&
                  time(NULL) - info.st_mtime < QN_FRESH_SECONDS;
  free(path);
  return is;
}

// Any of its ranks that is seen here: that of rank 0 may be gone while others are not yet.
bool qn_run_has_rank_alive(const char *folder) {
  qn_progress_line *lines = NULL;
  int64_t n_lines = 0;
  char *path = NULL;
  bool is_alive = false;

  if (asprintf(&path, "%s/progress", folder) >= 0 &&
      qn_progress_read(path, &lines, &n_lines, NULL) == QN_OK) {
    for (int64_t i = 0; i < n_lines && !is_alive; i++) {
      is_alive = lines[i].is_there && strcmp(lines[i].state, "running") == 0 &&
                 qn_process_look(&lines[i].process) == QN_PROCESS_ALIVE;
    }
  }
  free(lines);
  free(path);
  return is_alive;
}

bool qn_run_is_alive(const char *folder, const json_t *run) {
  qn_process process = {0};

  if (strcmp(qn_run_status(run), "running") != 0) {
    return false;
  }
  qn_run_get_process(qn_run_last_attempt(run), &process);
  const qn_process_state state = qn_process_look(&process);
  return state == QN_PROCESS_ALIVE || qn_run_has_rank_alive(folder) ||
         (state == QN_PROCESS_ELSEWHERE && is_fresh(folder));
}
