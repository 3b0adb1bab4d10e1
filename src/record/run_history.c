// SPDX-License-Identifier: Apache-2.0
// The runs of a folder: as a table, and away with old ones.
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/check.h"
#include "base/files.h"
#include "record/run_json.h"
#include "record/run_view.h"

typedef struct run_entry {
  char *folder;
  int64_t started; // of the first attempt
  bool is_damaged;
} run_entry;

typedef struct run_entries {
  run_entry *items;
  int64_t n;
} run_entries;

static void release_entries(run_entries *entries) {
  for (int64_t i = 0; i < entries->n; i++) {
    free(entries->items[i].folder);
  }
  free(entries->items);
}

static int by_start(const void *a, const void *b) {
  const run_entry *one = a;
  const run_entry *other = b;
  if (one->started != other->started) {
    return one->started < other->started ? -1 : 1;
  }
  return strcmp(one->folder, other->folder);
}

static int64_t start_of(const qn_run_view *view) {
  const json_t *attempts = json_object_get(view->run, "attempts");
  return qn_run_view_time(json_object_get(json_array_get(attempts, 0), "started"));
}

static bool is_wanted(const qn_run_view *view, const qn_runs_wanted *wanted) {
  const char *job = json_string_value(json_object_get(view->run, "job"));
  const int64_t age = (int64_t)time(NULL) - start_of(view);

  return (wanted->job == NULL || strcmp(job, wanted->job) == 0) &&
         (wanted->status == NULL || strcmp(view->status, wanted->status) == 0) &&
         age >= wanted->older_days * 86400;
}

static qn_status add_entry(run_entries *entries, const char *folder, int64_t started, bool is_damaged,
                           qn_error *err) {
  qn_status status = QN_OK;
  run_entry *more = realloc(entries->items, (size_t)(entries->n + 1) * sizeof *more);

  QN_REQUIRE(more != NULL, err, QN_ERR_MEMORY, "no memory for a list of runs");
  entries->items = more;
  more[entries->n] = (run_entry){.folder = strdup(folder), .started = started, .is_damaged = is_damaged};
  QN_REQUIRE(more[entries->n].folder != NULL, err, QN_ERR_MEMORY, "no memory for a list of runs");
  entries->n++;

done:
  return status;
}

// A folder of which the run.json cannot be read is listed, where all runs are wanted.
static qn_status look_at(const char *folder, const qn_runs_wanted *wanted, run_entries *entries,
                         qn_error *err) {
  qn_status status = QN_OK;
  qn_run_view view = {0};
  const qn_status opened = qn_run_view_open(folder, &view, NULL);
  const bool wants_all = wanted->job == NULL && wanted->status == NULL && wanted->older_days == 0;

  if (opened == QN_OK && is_wanted(&view, wanted)) {
    QN_TRY(add_entry(entries, folder, start_of(&view), false, err));
  } else if (opened != QN_OK && opened != QN_ERR_ARG && wants_all) {
    QN_TRY(add_entry(entries, folder, 0, true, err));
  }

done:
  qn_run_view_release(&view);
  return status;
}

static qn_status list_runs(const char *runs, const qn_runs_wanted *wanted, run_entries *entries,
                           qn_error *err) {
  qn_status status = QN_OK;
  char *path = NULL;
  DIR *folder = opendir(runs);

  QN_REQUIRE(folder != NULL, err, QN_ERR_ARG, "%s: there are no runs: %s", runs, strerror(errno));
  for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    if (entry->d_name[0] != '.') {
      QN_REQUIRE(asprintf(&path, "%s/%s", runs, entry->d_name) >= 0, err, QN_ERR_MEMORY,
                 "no memory for a path");
      QN_TRY(look_at(path, wanted, entries, err));
      free(path);
      path = NULL;
    }
  }
  if (entries->n > 0) {
    qsort(entries->items, (size_t)entries->n, sizeof *entries->items, by_start);
  }

done:
  free(path);
  if (folder != NULL) {
    closedir(folder);
  }
  return status;
}

// Rows that came out of readers; -1 if there is no record.
static double rows_read(const json_t *record) {
  const json_t *runs = json_object_get(record, "runs");
  double sum = record == NULL ? -1 : 0;

  for (size_t r = 0; r < json_array_size(runs); r++) {
    const json_t *operators = json_object_get(json_array_get(runs, r), "operators");
    for (size_t i = 0; i < json_array_size(operators); i++) {
      const json_t *op = json_array_get(operators, i);
      const char *name = json_string_value(json_object_get(op, "name"));
      if (name != NULL && strcmp(name, "read") == 0) {
        sum += json_number_value(json_object_get(json_object_get(op, "rows"), "sum"));
      }
    }
  }
  return sum;
}

static void print_entry(const run_entry *entry, FILE *out) {
  qn_run_view view = {0};
  qn_error why_not = {0};
  const char *name = strrchr(entry->folder, '/') + 1;

  if (qn_run_view_open(entry->folder, &view, &why_not) != QN_OK) {
    fprintf(out, "%-36s %s\n", name, why_not.message);
    return;
  }
  qn_run_view_read_record(&view);
  const json_t *attempt = qn_run_last_attempt(view.run);
  const json_t *started =
      json_object_get(json_array_get(json_object_get(view.run, "attempts"), 0), "started");
  const json_t *hours = json_object_get(json_object_get(view.record, "totals"), "core_hours");
  char rows[32] = "-";
  char core_hours[32] = "-";
  if (rows_read(view.record) >= 0) {
    qn_show_count(rows_read(view.record), rows, sizeof rows);
  }
  if (json_is_number(hours)) {
    snprintf(core_hours, sizeof core_hours, "%.4g", json_number_value(hours));
  }
  fprintf(out, "%-36s %-16s %-8s %-20s %9.1f %6lld %10s %14s\n", name,
          json_string_value(json_object_get(view.run, "job")), view.status,
          json_is_string(started) ? json_string_value(started) : "-", qn_run_view_seconds(&view),
          (long long)json_integer_value(json_object_get(attempt, "n_ranks")), core_hours, rows);
  qn_run_view_release(&view);
}

QN_API qn_status qn_runs_history(const char *folder, const qn_runs_wanted *wanted, FILE *out, qn_error *err) {
  qn_status status = QN_OK;
  run_entries entries = {0};

  QN_TRY(list_runs(folder, wanted, &entries, err));
  fprintf(out, "%-36s %-16s %-8s %-20s %9s %6s %10s %14s\n", "run", "job", "status", "started", "seconds",
          "ranks", "core-hours", "rows read");
  for (int64_t i = 0; i < entries.n; i++) {
    if (wanted->last <= 0 || i >= entries.n - wanted->last) {
      print_entry(&entries.items[i], out);
    }
  }

done:
  release_entries(&entries);
  return status;
}

QN_API qn_status qn_runs_prune(const char *folder, const qn_runs_wanted *wanted, bool is_dry, int64_t *n_runs,
                               qn_error *err) {
  qn_status status = QN_OK;
  run_entries entries = {0};
  int64_t n = 0;

  QN_TRY(list_runs(folder, wanted, &entries, err));
  for (int64_t i = 0; i < entries.n; i++) {
    qn_run_view view = {0};
    const bool is_readable = qn_run_view_open(entries.items[i].folder, &view, NULL) == QN_OK;
    const bool may_go = is_readable && strcmp(view.status, "running") != 0;
    qn_run_view_release(&view);
    if (may_go) {
      n++;
      QN_TRY(is_dry ? QN_OK : qn_folder_remove(entries.items[i].folder, err));
    }
  }
  *n_runs = n;

done:
  release_entries(&entries);
  return status;
}
