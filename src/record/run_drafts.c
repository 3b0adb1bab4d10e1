// SPDX-License-Identifier: Apache-2.0
// Drafts are named by qn_file_write_atomic(): NAME.draft-PID-TIME. What is JSON only the run itself writes.
// All else (its page) a reader may be writing just now, maybe on another host: that is left alone until it is
// old.
#include "record/run_drafts.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "record/run_json.h"
#include "record/run_process.h"

enum { OLD_SECONDS = 300 };

// The process that a draft's name tells of; 0: it is no draft.
static int64_t writer_of(const char *name) {
  static const char mark[] = ".draft-";
  const char *found = NULL;
  for (const char *at = strstr(name, mark); at != NULL; at = strstr(at + 1, mark)) {
    found = at;
  }
  int64_t pid = 0;
  int end = 0;
  const bool is_draft = found != NULL &&
                        sscanf(found + strlen(mark), "%" SCNd64 "-%*[0-9a-f]%n", &pid, &end) == 1 &&
                        end > 0 && found[strlen(mark) + (size_t)end] == '\0';
  return is_draft && pid > 0 ? pid : 0;
}

// A process of that number was rank 0 of an attempt, and is no more.
static bool is_of_earlier_attempt(const json_t *run, int64_t pid) {
  size_t i = 0;
  json_t *attempt = NULL;
  json_array_foreach(json_object_get(run, "attempts"), i, attempt) {
    qn_process process = {0};
    qn_run_get_process(attempt, &process);
    if (process.pid == pid && qn_process_look(&process) != QN_PROCESS_ALIVE) {
      return true;
    }
  }
  return false;
}

static bool is_left_behind(const char *path, int64_t pid, const json_t *run) {
  struct stat info;
  const bool is_of_run = strstr(path, ".json.draft-") != NULL || strstr(path, ".jsonl.draft-") != NULL;
  qn_process process = qn_process_self();
  if (process.pid == pid || is_of_earlier_attempt(run, pid)) {
    return true; // this one has not written any yet: an earlier process had its number
  }
  process.pid = pid;
  process.started = -1; // not known
  return qn_process_look(&process) != QN_PROCESS_ALIVE &&
         (is_of_run || (stat(path, &info) == 0 && time(NULL) - info.st_mtime > OLD_SECONDS));
}

static void remove_drafts_in(const char *folder, const json_t *run) {
  DIR *names = opendir(folder);
  for (const struct dirent *entry = names == NULL ? NULL : readdir(names); entry != NULL;
       entry = readdir(names)) {
    const int64_t pid = writer_of(entry->d_name);
    char *path = NULL;
    if (pid > 0 && asprintf(&path, "%s/%s", folder, entry->d_name) >= 0) {
      if (is_left_behind(path, pid, run)) {
        unlink(path);
      }
      free(path);
    }
  }
  if (names != NULL) {
    closedir(names);
  }
}

void qn_run_remove_drafts(const char *folder, const json_t *run) {
  static const char *const below[] = {"results", "checkpoints"};
  remove_drafts_in(folder, run);
  for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, below[i]) >= 0) {
      remove_drafts_in(path, run);
      free(path);
    }
  }
}
