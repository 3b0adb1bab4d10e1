// SPDX-License-Identifier: Apache-2.0
// Reading the folder of a run: only run.json must be there and whole.
#include "record/run_view.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "base/check.h"
#include "base/files.h"
#include "record/run_alive.h"
#include "record/run_json.h"

static char *file_of(const char *folder, const char *name) {
  char *path = NULL;
  return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

qn_status qn_run_view_open(const char *folder, qn_run_view *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_run_view view = {.folder = strdup(folder)};
  char *path = file_of(folder, "run.json");
  char *progress = file_of(folder, "progress");

  QN_REQUIRE(view.folder != NULL && path != NULL && progress != NULL, err, QN_ERR_MEMORY, "no memory");
  QN_REQUIRE(qn_file_exists(path), err, QN_ERR_ARG, "%s: is not the folder of a run: it has no run.json",
             folder);
  QN_TRY(qn_run_json_read(path, &view.run, err));
  const bool says_running = strcmp(qn_run_status(view.run), "running") == 0;
  view.status = says_running && !qn_run_is_alive(folder, view.run) ? "killed" : qn_run_status(view.run);
  if (qn_progress_read(progress, &view.lines, &view.n_lines, NULL) != QN_OK) {
    view.n_lines = 0;
  }
  *out = view;
  view = (qn_run_view){0};

done:
  qn_run_view_release(&view);
  free(progress);
  free(path);
  return status;
}

void qn_run_view_release(qn_run_view *view) {
  free(view->folder);
  free(view->lines);
  json_decref(view->run);
  json_decref(view->record);
  json_decref(view->plan);
  *view = (qn_run_view){0};
}

static json_t *read_object(const char *folder, const char *name) {
  char *path = file_of(folder, name);
  json_t *root = path == NULL ? NULL : json_load_file(path, 0, NULL);

  free(path);
  if (!json_is_object(root)) {
    json_decref(root);
    root = NULL;
  }
  return root;
}

void qn_run_view_read_record(qn_run_view *view) {
  if (view->record == NULL) {
    view->record = read_object(view->folder, "record.json");
    view->plan = read_object(view->folder, "plan.json");
  }
}

int64_t qn_run_view_time(const json_t *text) {
  const char *from = json_string_value(text);
  struct tm parts = {0};
  const char *end = from == NULL ? NULL : strptime(from, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return end == NULL || *end != '\0' ? 0 : (int64_t)timegm(&parts);
}

double qn_run_view_seconds(const qn_run_view *view) {
  const json_t *attempts = json_object_get(view->run, "attempts");
  const size_t n = json_array_size(attempts);
  double told = 0;
  double sum = 0;

  for (int64_t i = 0; i < view->n_lines; i++) {
    told = view->lines[i].is_there && view->lines[i].time > told ? view->lines[i].time : told;
  }
  for (size_t i = 0; i < n; i++) {
    const json_t *attempt = json_array_get(attempts, i);
    const json_t *seconds = json_object_get(attempt, "seconds");
    const double started = (double)qn_run_view_time(json_object_get(attempt, "started"));
    const double shown = strcmp(view->status, "running") == 0 ? (double)time(NULL) : told;
    if (json_is_number(seconds)) {
      sum += json_number_value(seconds);
    } else if (i + 1 == n && shown > started) {
      sum += shown - started;
    }
  }
  return sum;
}

// --- Finding ----------------------------------------------------------------------------------------------

static const char *runs_folder(void) {
  const char *given = getenv("QUERN_RUNS");
  return given != NULL && given[0] != '\0' && strcmp(given, "none") != 0 ? given : "quern-runs";
}

// The folder in `runs` whose run began last: its run.json says when, and is renamed into place when it
// changes.
static qn_status find_latest(const char *runs, char *out, size_t size, qn_error *err) {
  qn_status status = QN_OK;
  DIR *folder = opendir(runs);
  int64_t newest = -1;

  QN_REQUIRE(folder != NULL, err, QN_ERR_ARG, "there is no run yet in %s; name the folder of a run", runs);
  for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    struct stat info;
    char *path = NULL;
    if (entry->d_name[0] != '.' && asprintf(&path, "%s/%s/run.json", runs, entry->d_name) >= 0 &&
        stat(path, &info) == 0 && (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec > newest) {
      newest = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
      snprintf(out, size, "%s/%s", runs, entry->d_name);
    }
    free(path);
  }
  QN_REQUIRE(newest >= 0, err, QN_ERR_ARG, "there is no run yet in %s; name the folder of a run", runs);

done:
  if (folder != NULL) {
    closedir(folder);
  }
  return status;
}

QN_API qn_status qn_run_find(const char *run, char *path, size_t size, qn_error *err) {
  qn_status status = QN_OK;
  char *inside = NULL;

  if (run == NULL) {
    return find_latest(runs_folder(), path, size, err);
  }
  if (strchr(run, '/') == NULL && !qn_file_exists(run)) {
    inside = file_of(runs_folder(), run);
    QN_REQUIRE(inside != NULL, err, QN_ERR_MEMORY, "no memory for a path");
    QN_REQUIRE(qn_file_exists(inside), err, QN_ERR_ARG, "there is no run '%s', neither here nor in %s", run,
               runs_folder());
  }
  snprintf(path, size, "%s", inside != NULL ? inside : run);

done:
  free(inside);
  return status;
}

// --- Numbers ----------------------------------------------------------------------------------------------

char *qn_show_bytes(int64_t bytes, char *out, size_t size) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = (double)bytes;
  int unit = 0;

  while (value >= 1024 && unit < 5) {
    value /= 1024;
    unit++;
  }
  snprintf(out, size, unit > 0 && value < 10 ? "%.1f %s" : "%.0f %s", value, units[unit]);
  return out;
}

char *qn_show_count(double n, char *out, size_t size) {
  if (n >= 1e9) {
    snprintf(out, size, "%.1f billion", n / 1e9);
  } else if (n >= 1e6) {
    snprintf(out, size, "%.1f million", n / 1e6);
  } else {
    snprintf(out, size, "%.0f", n);
  }
  return out;
}
