// SPDX-License-Identifier: Apache-2.0
// The files of a run's folder as one JSON text. Nothing in them is trusted: they may come from a run that was
// killed while it wrote, or from another version.
#include "report/run_data.h"

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/files.h"
#include "record/run_json.h"
#include "report/shorten.h"

enum { LARGEST_FILE = 256 << 20, LARGEST_TEXT = 1700000, MOST_THINGS = 4000, FEWEST_THINGS = 4 };

static json_t *parse(const char *data, size_t size, json_error_t *fault) {
  return json_loadb(data, size, JSON_ALLOW_NUL | JSON_DECODE_ANY, fault);
}

static void note_damage(json_t *data, const char *file, const char *why) {
  json_array_append_new(json_object_get(data, "damaged"), json_sprintf("%s: %s", file, why));
}

// A file of JSON; NULL if there is none, or a damaged one, which is noted. The caller's.
static json_t *read_json(json_t *data, const char *folder, const char *name) {
  char *path = NULL;
  qn_buffer text = {0};
  qn_error err = {0};
  json_error_t fault;
  json_t *value = NULL;

  if (asprintf(&path, "%s/%s", folder, name) < 0) {
    return NULL;
  }
  if (qn_file_exists(path)) {
    if (qn_file_read_all(path, LARGEST_FILE, &text, &err) != QN_OK) {
      note_damage(data, name, err.message);
    } else {
      value = parse((const char *)text.data, (size_t)text.size, &fault);
      if (value == NULL) {
        note_damage(data, name, fault.text);
      }
    }
  }
  qn_buffer_release(&text);
  free(path);
  return value;
}

// A file with a JSON object in each line; the last may be torn. Those that are none are left out and counted.
static json_t *read_lines(json_t *data, const char *folder, const char *name) {
  char *path = NULL;
  qn_buffer text = {0};
  qn_error err = {0};
  json_error_t fault;
  json_t *lines = json_array();
  int64_t n_bad = 0;

  if (asprintf(&path, "%s/%s", folder, name) < 0) {
    return lines;
  }
  if (qn_file_exists(path) && qn_file_read_all(path, LARGEST_FILE, &text, &err) == QN_OK) {
    const char *at = (const char *)text.data;
    const char *end = at + text.size;
    while (at < end) {
      const char *stop = memchr(at, '\n', (size_t)(end - at));
      const size_t size = (size_t)((stop != NULL ? stop : end) - at);
      json_t *line = parse(at, size, &fault);
      if (json_is_object(line)) {
        json_array_append(lines, line);
      } else if (strspn(at, " \n") < size) {
        n_bad++;
      }
      json_decref(line);
      at += size + 1;
    }
  }
  if (n_bad > 0) {
    char why[64];
    snprintf(why, sizeof why, "%lld lines cannot be read", (long long)n_bad);
    note_damage(data, name, why);
  }
  qn_buffer_release(&text);
  free(path);
  return lines;
}

static int is_result(const struct dirent *entry) {
  const char *dot = strchr(entry->d_name, '.');
  return entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && dot != NULL && strcmp(dot, ".json") == 0;
}

static int by_number(const struct dirent **a, const struct dirent **b) {
  const long left = strtol((*a)->d_name, NULL, 10);
  const long right = strtol((*b)->d_name, NULL, 10);
  return (left > right) - (left < right);
}

static json_t *read_results(json_t *data, const char *folder) {
  char *path = NULL;
  struct dirent **entries = NULL;
  json_t *results = json_array();

  if (asprintf(&path, "%s/results", folder) < 0) {
    return results;
  }
  const int n = scandir(path, &entries, is_result, by_number);
  for (int i = 0; i < n; i++) {
    char name[300];
    snprintf(name, sizeof name, "results/%s", entries[i]->d_name);
    json_t *result = read_json(data, folder, name);
    if (json_is_object(result)) {
      json_array_append(results, result);
    }
    json_decref(result);
    free(entries[i]);
  }
  free(entries);
  free(path);
  return results;
}

// The records of earlier attempts: record-1.json, record-2.json, ...
static json_t *read_earlier(json_t *data, const char *folder) {
  json_t *earlier = json_array();
  const json_t *attempts = json_object_get(json_object_get(data, "run"), "attempts");

  for (size_t i = 0; i <= json_array_size(attempts); i++) {
    char name[64];
    snprintf(name, sizeof name, "record-%zu.json", i);
    json_t *record = read_json(data, folder, name);
    if (json_is_object(record)) {
      json_object_set_new(record, "attempt", json_integer((json_int_t)i));
      json_array_append(earlier, record);
    }
    json_decref(record);
  }
  return earlier;
}

// Within a <script> a "</script" or "<!--" would be seen by the browser; JSON can say "<" otherwise, and
// other characters are not ASCII's only inside of strings.
static qn_status append_safe(const char *text, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;

  while (*text != '\0') {
    const size_t plain = strcspn(text, "<>&");
    QN_TRY(qn_buffer_append(out, text, (int64_t)plain, err));
    text += plain;
    if (*text != '\0') {
      QN_TRY(qn_buffer_printf(out, err, "\\u%04x", (unsigned)(unsigned char)*text));
      text++;
    }
  }

done:
  return status;
}

// Is the process of the last attempt alive? Said only where this host can know.
static void look_at_process(json_t *data) {
  qn_process process = {0};
  const json_t *attempt = qn_run_last_attempt(json_object_get(data, "run"));

  if (attempt != NULL) {
    qn_run_get_process(attempt, &process);
    const qn_process_state state = qn_process_look(&process);
    if (process.pid > 0 && state != QN_PROCESS_ELSEWHERE) {
      json_object_set_new(data, "is_alive", json_boolean(state == QN_PROCESS_ALIVE));
    }
  }
}

static qn_status read_all(json_t *data, const char *folder, qn_error *err) {
  qn_status status = QN_OK;

  json_object_set_new(data, "made", qn_run_time_json(time(NULL)));
  json_object_set_new(data, "quern", json_string(QN_VERSION));
  json_object_set_new(data, "folder", json_string(folder));
  json_object_set_new(data, "damaged", json_array());
  json_object_set_new(data, "left_out", json_array());
  json_t *run = read_json(data, folder, "run.json");
  const char *why = json_string_value(json_array_get(json_object_get(data, "damaged"), 0));
  QN_REQUIRE(json_is_object(run), err, QN_ERR_ARG,
             why != NULL ? "%s is the folder of a run, but cannot be read: %s"
                         : "%s is not the folder of a run: it has no run.json%s",
             folder, why != NULL ? why : "");
  json_object_set_new(data, "run", run);
  look_at_process(data);
  json_object_set_new(data, "plan", read_json(data, folder, "plan.json"));
  json_object_set_new(data, "record", read_json(data, folder, "record.json"));
  json_object_set_new(data, "earlier", read_earlier(data, folder));
  json_object_set_new(data, "journal", read_lines(data, folder, "journal.jsonl"));
  json_object_set_new(data, "progress", read_lines(data, folder, "progress"));
  json_object_set_new(data, "results", read_results(data, folder));

done:
  return status;
}

qn_status qn_run_data_read(const char *folder, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  json_t *data = json_object();
  char *text = NULL;

  QN_TRY(read_all(data, folder, err));
  for (int64_t most = MOST_THINGS; most >= FEWEST_THINGS; most /= 2) {
    qn_shorten(data, most);
    free(text);
    text = json_dumps(data, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
    if (text == NULL || strlen(text) <= LARGEST_TEXT) {
      break;
    }
  }
  QN_REQUIRE(text != NULL, err, QN_ERR_MEMORY, "%s: no memory for its report", folder);
  QN_TRY(append_safe(text, out, err));

done:
  free(text);
  json_decref(data);
  return status;
}
