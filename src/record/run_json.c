// SPDX-License-Identifier: Apache-2.0
// run.json as it is made and read.
#include "record/run_json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#include "base/build_id.h"
#include "base/check.h"
#include "base/files.h"

enum { MOST_RUN_BYTES = 64 << 20 };

// --- Reading ----------------------------------------------------------------------------------------------

qn_status qn_run_json_read(const char *path, json_t **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};

  QN_TRY(qn_file_read_all(path, MOST_RUN_BYTES, &text, err));
  QN_TRY(qn_run_json_parse(path, (const char *)text.data, text.size, out, err));

done:
  qn_buffer_release(&text);
  return status;
}

qn_status qn_run_json_parse(const char *path, const char *text, int64_t size, json_t **out, qn_error *err) {
  qn_status status = QN_OK;
  json_error_t mistake;
  json_t *root = json_loadb(text, (size_t)size, 0, &mistake);

  QN_REQUIRE(root != NULL, err, QN_ERR_FORMAT, "%s: is no JSON (line %d: %s)", path, mistake.line,
             mistake.text);
  const json_t *format = json_object_get(root, "format");
  QN_REQUIRE(json_is_integer(format), err, QN_ERR_FORMAT,
             "%s: is not the run.json of a run: it has no format", path);
  QN_REQUIRE(json_integer_value(format) == QN_RUN_FORMAT, err, QN_ERR_FORMAT,
             "%s: is of format %lld, this version of Quern reads %d", path,
             (long long)json_integer_value(format), QN_RUN_FORMAT);
  QN_REQUIRE(json_is_string(json_object_get(root, "job")) &&
                 json_is_string(json_object_get(root, "status")) && json_is_object(qn_run_last_attempt(root)),
             err, QN_ERR_FORMAT, "%s: a run.json without job, status or attempts", path);
  *out = root;
  root = NULL;

done:
  json_decref(root);
  return status;
}

const char *qn_json_text(const json_t *object, const char *name) {
  const char *text = json_string_value(json_object_get(object, name));
  return text == NULL ? "" : text;
}

const char *qn_run_status(const json_t *run) {
  return qn_json_text(run, "status");
}

json_t *qn_run_last_attempt(const json_t *run) {
  const json_t *attempts = json_object_get(run, "attempts");
  const size_t n = json_array_size(attempts);
  return n == 0 ? NULL : json_array_get(attempts, n - 1);
}

void qn_run_get_process(const json_t *attempt, qn_process *out) {
  const json_t *process = json_object_get(attempt, "process");
  const json_t *started = json_object_get(process, "started_ticks");

  *out = (qn_process){.pid = json_integer_value(json_object_get(process, "pid")),
                      .started = json_is_integer(started) ? json_integer_value(started) : -1};
  snprintf(out->host, sizeof out->host, "%s", qn_json_text(process, "host"));
}

// --- Making -----------------------------------------------------------------------------------------------

json_t *qn_run_time_json(int64_t seconds_since_1970) {
  char text[32] = "";
  const time_t seconds = (time_t)seconds_since_1970;
  struct tm parts;

  if (gmtime_r(&seconds, &parts) == NULL || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
    return json_null();
  }
  return json_string(text);
}

// Text that may not be UTF-8, as arguments are whatever bytes they are.
static json_t *any_text(const char *text) {
  json_t *value = json_string(text);
  if (value != NULL) {
    return value;
  }
  char *copy = strdup(text);
  for (char *c = copy; c != NULL && *c != '\0'; c++) {
    *c = (unsigned char)*c < 0x80 ? *c : '?';
  }
  value = copy == NULL ? NULL : json_string(copy);
  free(copy);
  return value;
}

json_t *qn_run_arguments_json(const qn_run_about *about) {
  json_t *array = json_array();
  for (int i = 0; i < about->n_arguments && array != NULL; i++) {
    if (json_array_append_new(array, any_text(about->arguments[i])) != 0) {
      json_decref(array);
      array = NULL;
    }
  }
  return array;
}

static json_t *options_json(const qn_run_about *about) {
  json_t *object = json_object();
  for (int i = 0; i < about->n_options && object != NULL; i++) {
    const char *value = about->option_values[i];
    if (value != NULL && json_object_set_new(object, about->option_names[i], any_text(value)) != 0) {
      json_decref(object);
      object = NULL;
    }
  }
  return object;
}

// What looks like a secret, and what the launcher tells its processes only.
static bool is_kept_back(const char *name, size_t n) {
  static const char *const parts[] = {"TOKEN",   "SECRET",   "PASSW",       "KEY",          "CREDENTIAL",
                                      "AUTH",    "COOKIE",   "JWT",         "PRECONDITION", "MCA_orte_",
                                      "MCA_ess", "MCA_pmix", "MCA_initial_"};
  char copy[256];

  snprintf(copy, sizeof copy, "%.*s", (int)(n < sizeof copy ? n : sizeof copy - 1), name);
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    if (strcasestr(copy, parts[i]) != NULL) {
      return true;
    }
  }
  return false;
}

static bool is_told(const char *name) {
  static const char *const prefixes[] = {"QUERN_", "OMP_", "OPENBLAS_", "SLURM_", "OMPI_MCA_", "HDF5_"};
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
    if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) {
      return true;
    }
  }
  return false;
}

json_t *qn_run_environment_json(char *const *environment) {
  json_t *object = json_object();
  for (; *environment != NULL && object != NULL; environment++) {
    const char *equals = strchr(*environment, '=');
    if (equals == NULL || !is_told(*environment) ||
        is_kept_back(*environment, (size_t)(equals - *environment))) {
      continue;
    }
    char *name = strndup(*environment, (size_t)(equals - *environment));
    if (name == NULL || json_object_set_new(object, name, any_text(equals + 1)) != 0) {
      json_decref(object);
      object = NULL;
    }
    free(name);
  }
  return object;
}

static json_t *own_path(void) {
  char path[4096];
  const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
  path[n > 0 ? n : 0] = '\0';
  return any_text(path);
}

static json_t *own_directory(void) {
  char *path = getcwd(NULL, 0);
  json_t *text = path == NULL ? json_null() : any_text(path);
  free(path);
  return text;
}

json_t *qn_run_json_new(const qn_run_about *about, const char *mpi_library) {
  char build[QN_BUILD_ID];

  qn_build_id(build);
  return json_pack("{s:i, s:o, s:s, s:o, s:o, s:o, s:o, s:{s:s, s:s}, s:{s:s}, s:o, s:[], s:[]}", "format",
                   QN_RUN_FORMAT, "job", any_text(about->job), "status", "running", "program", own_path(),
                   "arguments", qn_run_arguments_json(about), "directory", own_directory(), "options",
                   options_json(about), "code", "quern", QN_VERSION, "build", build, "libraries", "mpi",
                   mpi_library, "environment", qn_run_environment_json(environ), "inputs", "attempts");
}
