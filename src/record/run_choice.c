// SPDX-License-Identifier: Apache-2.0
// Which folder a run takes, and whether it may: a run that is going on keeps others out, one that is done is
// not touched, all others are gone on with.
#include "record/run_choice.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "base/check.h"
#include "base/files.h"
#include "record/run_alive.h"
#include "record/run_json.h"
#include "record/run_process.h"

enum { MOST_SLURM_FOLDERS = 10000 };

void qn_run_choice_release(qn_run_choice *choice) {
  free(choice->path);
  json_decref(choice->earlier);
  *choice = (qn_run_choice){0};
}

static const char *variable(const char *name) {
  const char *text = getenv(name);
  return text != NULL && text[0] != '\0' ? text : NULL;
}

int64_t qn_slurm_restart(void) {
  const char *text = variable("SLURM_RESTART_COUNT");
  return variable("SLURM_JOB_ID") == NULL ? -1 : text == NULL ? 0 : strtoll(text, NULL, 10);
}

// --- What may differ --------------------------------------------------------------------------------------

// 1 if an argument is one of those that may differ, 2 if its value is the next argument; else 0.
static int n_that_may_differ(const char *argument) {
  static const char *const with_value[] = {"--run", "--memory", "--scratch", "--record", "--time-limit"};

  if (strcmp(argument, "--quiet") == 0) {
    return 1;
  }
  for (size_t i = 0; i < sizeof with_value / sizeof *with_value; i++) {
    const size_t n = strlen(with_value[i]);
    if (strncmp(argument, with_value[i], n) == 0 && (argument[n] == '=' || argument[n] == '\0')) {
      return argument[n] == '=' ? 1 : 2;
    }
  }
  return 0;
}

json_t *qn_run_settled_arguments(const json_t *arguments) {
  json_t *settled = json_array();
  const size_t n = json_array_size(arguments);

  for (size_t i = 0; i < n && settled != NULL; i++) {
    json_t *argument = json_array_get(arguments, i);
    const char *text = json_string_value(argument);
    const int n_left_out = text == NULL ? 1 : n_that_may_differ(text);
    if (n_left_out > 0) {
      i += (size_t)n_left_out - 1;
    } else if (json_array_append(settled, argument) != 0) {
      json_decref(settled);
      settled = NULL;
    }
  }
  return settled;
}

static bool is_same_call(const qn_run_about *about, const json_t *earlier) {
  json_t *given = qn_run_arguments_json(about);
  json_t *now = qn_run_settled_arguments(given);
  json_t *before = qn_run_settled_arguments(json_object_get(earlier, "arguments"));
  char *here = getcwd(NULL, 0);
  const char *there = json_string_value(json_object_get(earlier, "directory"));
  const bool is_same = now != NULL && before != NULL && json_equal(now, before) && here != NULL &&
                       there != NULL && strcmp(here, there) == 0;

  free(here);
  json_decref(before);
  json_decref(now);
  json_decref(given);
  return is_same;
}

// --- What the folder says ---------------------------------------------------------------------------------

// A job that Slurm has started again runs no more as it was.
static bool was_requeued(const json_t *attempt) {
  const json_t *slurm = json_object_get(attempt, "slurm");
  const char *id = json_string_value(json_object_get(slurm, "job_id"));
  const char *own = variable("SLURM_JOB_ID");

  return id != NULL && own != NULL && strcmp(id, own) == 0 &&
         json_integer_value(json_object_get(slurm, "restart")) < qn_slurm_restart();
}

bool qn_run_is_in_use(const char *folder, const json_t *run) {
  return !was_requeued(qn_run_last_attempt(run)) && qn_run_is_alive(folder, run);
}

enum { MOST_LOOKS = 100, BETWEEN_LOOKS_NS = 100000000 };

// Where rank 0 is gone the launcher ends the others, within moments.
static void await_end(const char *folder, const qn_process *first) {
  for (int i = 0;
       i < MOST_LOOKS && qn_process_look(first) == QN_PROCESS_GONE && qn_run_has_rank_alive(folder); i++) {
    nanosleep(&(struct timespec){.tv_nsec = BETWEEN_LOOKS_NS}, NULL);
  }
}

static qn_status check_free(const char *folder, const json_t *run, qn_error *err) {
  qn_status status = QN_OK;
  qn_process process = {0};

  qn_run_get_process(qn_run_last_attempt(run), &process);
  await_end(folder, &process);
  QN_REQUIRE(!qn_run_is_in_use(folder, run), err, QN_ERR_ARG,
             "%s: is the folder of a run that is going on (process %" PRId64
             " on %s); take another folder, or none: --run none",
             folder, process.pid, process.host);
  QN_REQUIRE(strcmp(qn_run_status(run), "done") != 0, err, QN_ERR_ARG,
             "%s: the run of this folder is done; take another folder by --run, or remove this one", folder);

done:
  return status;
}

// --- The choice -------------------------------------------------------------------------------------------

// The run.json of a folder; NULL if it has none.
static qn_status read_earlier(const char *folder, json_t **out, qn_error *err) {
  qn_status status = QN_OK;
  char *path = NULL;

  *out = NULL;
  QN_REQUIRE(asprintf(&path, "%s/run.json", folder) >= 0, err, QN_ERR_MEMORY, "no memory for a path");
  if (qn_file_exists(path)) {
    QN_TRY(qn_run_json_read(path, out, err));
  }

done:
  free(path);
  return status;
}

static qn_status take_asked(const char *folder, qn_run_choice *out, qn_error *err) {
  qn_status status = QN_OK;

  out->is_asked = true;
  out->path = strdup(folder);
  QN_REQUIRE(out->path != NULL, err, QN_ERR_MEMORY, "no memory for a path");
  QN_TRY(read_earlier(folder, &out->earlier, err));
  if (out->earlier != NULL) {
    QN_TRY(check_free(folder, out->earlier, err));
  }

done:
  return status;
}

// What of a name may stand in a file name.
static void plain_name(const char *name, char *out, size_t size) {
  size_t n = 0;
  for (; name[n] != '\0' && n + 1 < size; n++) {
    const char c = name[n];
    const bool is_plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                          c == '.' || c == '_' || c == '-';
    out[n] = is_plain ? c : '-';
  }
  out[n] = '\0';
}

// True if a run of this job that Slurm has started again goes on in this folder.
static bool goes_on(const qn_run_about *about, const char *folder, const json_t *earlier) {
  if (!is_same_call(about, earlier) || qn_run_is_in_use(folder, earlier)) {
    return false;
  }
  return strcmp(qn_run_status(earlier), "done") != 0 || was_requeued(qn_run_last_attempt(earlier));
}

// A script may run several programs, or one several times: each has its own folder, and finds it again when
// the job has been put back into the queue and the script starts from its beginning. One that is done then is
// gone through again: all its actions are there.
static qn_status take_slurm(const qn_run_about *about, const char *runs, const char *name, qn_run_choice *out,
                            qn_error *err) {
  qn_status status = QN_OK;
  const char *array = variable("SLURM_ARRAY_JOB_ID");
  const char *task = variable("SLURM_ARRAY_TASK_ID");
  const bool is_array = array != NULL && task != NULL;

  for (int i = 1; i < MOST_SLURM_FOLDERS; i++) {
    char number[16] = "";
    if (i > 1) {
      snprintf(number, sizeof number, "-%d", i);
    }
    QN_REQUIRE(asprintf(&out->path, "%s/%s-%s%s%s%s", runs, name, is_array ? array : variable("SLURM_JOB_ID"),
                        is_array ? "_" : "", is_array ? task : "", number) >= 0,
               err, QN_ERR_MEMORY, "no memory for a path");
    QN_TRY(read_earlier(out->path, &out->earlier, err));
    if (out->earlier == NULL || goes_on(about, out->path, out->earlier)) {
      goto done;
    }
    json_decref(out->earlier);
    out->earlier = NULL;
    free(out->path);
    out->path = NULL;
  }
  status = qn_fail(err, QN_ERR_IO, "%s: too many folders of this job", runs);

done:
  return status;
}

static qn_status take_new(const char *runs, const char *name, qn_run_choice *out, qn_error *err) {
  qn_status status = QN_OK;
  char text[32] = "";
  uint16_t number = 0;
  const time_t now = time(NULL);
  struct tm parts;

  QN_REQUIRE(gmtime_r(&now, &parts) != NULL && strftime(text, sizeof text, "%Y%m%d-%H%M%S", &parts) > 0, err,
             QN_ERR_IO, "the clock says nothing");
  QN_REQUIRE(getrandom(&number, sizeof number, 0) == (ssize_t)sizeof number, err, QN_ERR_IO,
             "no random number for the name of the run: %s", strerror(errno));
  QN_REQUIRE(asprintf(&out->path, "%s/%s-%s-%04x", runs, name, text, number) >= 0, err, QN_ERR_MEMORY,
             "no memory for a path");

done:
  return status;
}

qn_status qn_run_choose(const qn_run_about *about, qn_run_choice *out, qn_error *err) {
  qn_status status = QN_OK;
  const char *asked = about->given != NULL ? about->given : variable("QUERN_RUN");
  const char *runs = variable("QUERN_RUNS");
  char name[64];

  *out = (qn_run_choice){0};
  QN_REQUIRE(asked == NULL || asked[0] != '\0', err, QN_ERR_ARG, "--run: the name of a folder is empty");
  if (asked != NULL) {
    status = strcmp(asked, "none") == 0 ? QN_OK : take_asked(asked, out, err);
    goto done;
  }
  if (runs != NULL && strcmp(runs, "none") == 0) {
    goto done;
  }
  runs = runs != NULL ? runs : "quern-runs";
  plain_name(about->job, name, sizeof name);
  status = variable("SLURM_JOB_ID") != NULL ? take_slurm(about, runs, name, out, err)
                                            : take_new(runs, name, out, err);

done:
  if (status != QN_OK) {
    const bool is_asked = out->is_asked;
    qn_run_choice_release(out);
    out->is_asked = is_asked;
  }
  return status;
}
