// SPDX-License-Identifier: Apache-2.0
// The journal of a run, used. A job makes the same actions in the same order each time, so an action is found
// by its number, and its fingerprint says whether it still is the same.
#include "exec/restart.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/hash.h"
#include "exec/product.h"
#include "exec/rejects.h"
#include "plan/plan_fingerprint.h"
#include "record/journal.h"
#include "record/run_json.h"

// An output of this run and the fingerprint of the action that has made it.
typedef struct made_product {
  struct made_product *next;
  char *path; // realpath()
  uint64_t fingerprint;
} made_product;

struct qn_restart {
  qn_journal *journal; // rank 0 only
  int64_t end;         // actions from this number on have no line
  int64_t n_reads;
  made_product *products; // newest first
  uint64_t fingerprint;   // of the action that runs
};

void qn_restart_free(qn_restart *restart) {
  if (restart == NULL) {
    return;
  }
  while (restart->products != NULL) {
    made_product *product = restart->products;
    restart->products = product->next;
    free(product->path);
    free(product);
  }
  qn_journal_free(restart->journal);
  free(restart);
}

static qn_status open_journal(qn_job *job, qn_restart *restart, qn_error *err) {
  qn_status status = QN_OK;
  char *path = NULL;

  if (qn_comm_rank(job->comm) == 0) {
    path = qn_run_folder_file(job->run_folder, "journal.jsonl");
    QN_REQUIRE(path != NULL, err, QN_ERR_MEMORY, "no memory for a path");
    QN_TRY(qn_journal_open(path, &restart->journal, err));
    restart->end = qn_journal_end(restart->journal);
  }
  QN_TRY(qn_comm_reduce_int64(job->comm, QN_MAX, &restart->end, 1, err));

done:
  free(path);
  return status;
}

qn_status qn_restart_open(qn_job *job, qn_error *err) {
  qn_status status = QN_OK;
  qn_restart *restart = NULL;

  if (job->run_folder == NULL) {
    return QN_OK;
  }
  restart = calloc(1, sizeof *restart);
  status = restart == NULL ? qn_fail(err, QN_ERR_MEMORY, "no memory for the journal")
                           : open_journal(job, restart, err);
  status = qn_comm_agree(job->comm, status, err);
  if (status == QN_OK) {
    job->restart = restart;
  } else {
    qn_restart_free(restart);
  }
  return status;
}

static void print_hash(uint64_t hash, char out[17]) {
  snprintf(out, 17, "%016" PRIx64, hash);
}

// A journal that cannot be written any more is told of once; the job is not worse for it.
static void append_take(qn_job *job, json_t *line) {
  qn_error err = {0};
  qn_restart *restart = job->restart;

  if (restart->journal == NULL) {
    json_decref(line);
  } else if (qn_journal_append_take(restart->journal, line, &err) != QN_OK) {
    qn_job_tell(job, "%s: %s; what is done from here on cannot be resumed\n", job->name, err.message);
    qn_journal_free(restart->journal);
    restart->journal = NULL;
  }
}

// --- Inputs -----------------------------------------------------------------------------------------------

static const made_product *find_product(const qn_job *job, const char *path) {
  char *real = job->restart == NULL || job->restart->products == NULL ? NULL : realpath(path, NULL);
  const made_product *found = NULL;

  for (const made_product *p = real == NULL ? NULL : job->restart->products; p != NULL && found == NULL;
       p = p->next) {
    found = strcmp(p->path, real) == 0 ? p : NULL;
  }
  free(real);
  return found;
}

static void remember_product(qn_restart *restart, const char *path, uint64_t fingerprint) {
  made_product *product = calloc(1, sizeof *product);
  char *real = product == NULL ? NULL : realpath(path, NULL);

  if (product == NULL || real == NULL) { // it then counts as a file like any other
    free(product);
    return;
  }
  *product = (made_product){.next = restart->products, .path = real, .fingerprint = fingerprint};
  restart->products = product;
}

void qn_restart_identify_files(const qn_job *job, const qn_file_list *files, uint64_t *identity,
                               int64_t *newest) {
  for (int64_t i = 0; i < files->n_files && job->restart != NULL; i++) {
    const char *path = files->files[i].path;
    const made_product *product = find_product(job, path);
    struct stat info;
    *identity = qn_hash_combine(*identity, qn_hash_bytes(path, (int64_t)strlen(path), 0));
    if (product != NULL) {
      *identity = qn_hash_combine(*identity, product->fingerprint);
    } else if (stat(path, &info) == 0) {
      const int64_t changed = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
      *identity = qn_hash_combine(*identity, (uint64_t)info.st_size);
      *identity = qn_hash_combine(*identity, (uint64_t)changed);
      *newest = changed > *newest ? changed : *newest;
    }
  }
}

void qn_restart_identify_stage(const qn_job *job, const char *path, const qn_buffer *manifest,
                               uint64_t *identity) {
  const made_product *product = find_product(job, path);

  *identity = qn_hash_combine(*identity, qn_hash_bytes(path, (int64_t)strlen(path), 0));
  *identity = qn_hash_combine(*identity, product != NULL ? product->fingerprint
                                                         : qn_hash_bytes(manifest->data, manifest->size, 0));
}

static void print_moment(int64_t ns, char out[64]) {
  const time_t seconds = (time_t)(ns / 1000000000);
  struct tm parts;

  out[0] = '\0';
  if (ns > 0 && gmtime_r(&seconds, &parts) != NULL) {
    char text[32];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out, 64, ", changed %s.%03dZ", text, (int)(ns / 1000000 % 1000));
  }
}

qn_status qn_restart_check_input(qn_job *job, const qn_source *source, int64_t newest, qn_error *err) {
  qn_status status = QN_OK;
  qn_restart *restart = job->restart;
  char identity[17];
  char changed[64];
  char *state = NULL;

  if (restart == NULL) {
    return QN_OK;
  }
  const int64_t number = restart->n_reads++;
  if (restart->journal == NULL) {
    return QN_OK;
  }
  print_hash(source->identity, identity);
  print_moment(newest, changed);
  QN_REQUIRE(asprintf(&state, "%s%s", source->description, changed) >= 0, err, QN_ERR_MEMORY,
             "no memory for the journal");
  const json_t *line = qn_journal_find(restart->journal, "read", number);
  if (line == NULL) {
    append_take(job, json_pack("{s:I, s:s*, s:s, s:I}", "read", (json_int_t)number, "what", state, "identity",
                               identity, "bytes", (json_int_t)source->n_bytes));
    goto done;
  }
  QN_REQUIRE(
      strcmp(qn_json_text(line, "identity"), identity) == 0, err, QN_ERR_ARG,
      "cannot resume %s: an input has changed: it was %s (%lld bytes) and is now %s (%lld bytes); start a "
      "new run (another --run), or bring the old input back",
      qn_run_folder_path(job->run_folder), qn_json_text(line, "what"),
      (long long)json_integer_value(json_object_get(line, "bytes")), state, (long long)source->n_bytes);

done:
  free(state);
  return status;
}

void qn_restart_begin(qn_job *job) {
  if (job->restart != NULL) {
    job->restart->fingerprint = 0;
  }
}

// --- Actions ----------------------------------------------------------------------------------------------

static qn_status make_fingerprint(qn_job *job, qn_restart_action *action, qn_error *err) {
  qn_status status = QN_OK;
  bool has_rows = false;
  uint64_t rows = 0;
  uint64_t plan = 0;

  QN_TRY(qn_plan_rows_hash(action->dataset, &has_rows, &rows, err));
  if (has_rows) { // halves, so that sums cannot be too large
    int64_t halves[2] = {(int64_t)(rows & UINT32_MAX), (int64_t)(rows >> 32)};
    QN_TRY(qn_comm_reduce_int64(job->comm, QN_SUM, halves, 2, err));
    rows = (uint64_t)halves[0] + ((uint64_t)halves[1] << 32);
  }
  QN_TRY(qn_plan_fingerprint(action->dataset, &plan, err));
  const char *what = job->action.what;
  const uint64_t name = qn_hash_bytes(what, (int64_t)strlen(what), (uint64_t)job->action.kind);
  action->fingerprint = qn_hash_combine(qn_hash_combine(plan, rows), qn_hash_combine(name, action->options));
  job->restart->fingerprint = action->fingerprint;

done:
  return status;
}

// Files of malformed rows belong to what was written.
static bool are_rejects_there(const qn_job *job, const json_t *line) {
  const json_t *rows = json_object_get(line, "rejects");
  size_t i = 0;

  for (const qn_rejects *r = job->rejects; r != NULL; r = r->next) {
    const json_int_t n = json_integer_value(json_array_get(rows, i++));
    if (n >= 0 && !qn_file_exists(r->path)) {
      return false;
    }
  }
  return json_array_size(rows) == i;
}

static bool is_product_there(const qn_job *job, const json_t *line, const char **why) {
  const char *path = json_string_value(json_object_get(line, "product"));
  char found[QN_PRODUCT_TEXT];

  if (path != NULL && qn_product_fingerprint(path, found, NULL) != QN_OK) {
    *why = "gone";
    return false;
  }
  if (path != NULL && strcmp(found, qn_json_text(line, "product_fingerprint")) != 0) {
    *why = "another than was written";
    return false;
  }
  *why = "without its file of malformed rows";
  return are_rejects_there(job, line);
}

// What rank 0 tells the others: whether it is done, the value, and how many rows each file of rejects has.
static qn_status judge(qn_job *job, const qn_restart_action *action, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const json_t *line = qn_journal_find(job->restart->journal, "action", job->action.number);
  const char *run = qn_run_folder_path(job->run_folder);
  const char *why = "";
  char fingerprint[17];
  int64_t head[2] = {0, 0};

  if (line != NULL) {
    print_hash(action->fingerprint, fingerprint);
    QN_REQUIRE(strcmp(qn_json_text(line, "what"), job->action.what) == 0, err, QN_ERR_ARG,
               "cannot resume %s: action %lld was '%s' and is now '%s'; start a new run (another --run)", run,
               (long long)job->action.number, qn_json_text(line, "what"), job->action.what);
    QN_REQUIRE(strcmp(qn_json_text(line, "fingerprint"), fingerprint) == 0, err, QN_ERR_ARG,
               "cannot resume %s: action %lld, '%s', is made by another plan, or of other rows, than it was; "
               "start a new run (another --run)",
               run, (long long)job->action.number, job->action.what);
    head[0] = is_product_there(job, line, &why);
    head[1] = json_integer_value(json_object_get(line, "value"));
    if (head[0] == 0) {
      qn_job_tell(job, "%s: %s is %s: it is made again\n", job->name, qn_json_text(line, "product"), why);
    }
  }
  QN_TRY(qn_buffer_append(out, head, sizeof head, err));
  const json_t *rows = json_object_get(line, "rejects");
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const int64_t n = json_integer_value(json_array_get(rows, i));
    QN_TRY(qn_buffer_append(out, &n, sizeof n, err));
  }

done:
  return status;
}

static qn_status look(qn_job *job, qn_restart_action *action, bool *is_done, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer told = {0};
  int64_t head[2] = {0, 0};

  QN_TRY(make_fingerprint(job, action, err));
  if (job->action.number >= job->restart->end) {
    goto done;
  }
  if (qn_comm_rank(job->comm) == 0) {
    QN_TRY(judge(job, action, &told, err));
  }
  QN_TRY(qn_comm_broadcast(job->comm, 0, &told, err));
  memcpy(head, told.data, sizeof head);
  *is_done = head[0] != 0;
  action->value = head[1];
  int64_t at = (int64_t)sizeof head;
  for (qn_rejects *r = job->rejects; r != NULL && *is_done; r = r->next, at += (int64_t)sizeof r->n_written) {
    memcpy(&r->n_written, told.data + at, sizeof r->n_written);
  }

done:
  qn_buffer_release(&told);
  return status;
}

qn_status qn_restart_look(qn_job *job, qn_restart_action *action, bool *is_done, qn_error *err) {
  qn_status status = QN_OK;

  *is_done = false;
  if (job->restart == NULL || job->action.depth != 1 || action->dataset == NULL ||
      action->dataset->status != QN_OK || qn_job_check(job, NULL) != QN_OK) {
    return QN_OK;
  }
  status = qn_comm_agree(job->comm, look(job, action, is_done, err), err);
  if (status == QN_OK && *is_done) {
    qn_job_tell(job, "%s: done already: %s\n", job->name, job->action.what);
    if (action->product != NULL) {
      remember_product(job->restart, action->product, action->fingerprint);
    }
  }
  return status;
}

void qn_restart_note(qn_job *job, const qn_restart_action *action) {
  qn_restart *restart = job->restart;
  char fingerprint[17];
  char product[QN_PRODUCT_TEXT];

  if (restart == NULL || restart->journal == NULL || job->action.depth != 1) {
    return;
  }
  print_hash(action->fingerprint, fingerprint);
  json_t *line = json_pack("{s:I, s:s, s:s, s:s, s:f, s:o}", "action", (json_int_t)job->action.number, "kind",
                           qn_action_name(job->action.kind), "what", job->action.what, "fingerprint",
                           fingerprint, "seconds", (double)(qn_clock_ns() - job->action.start_ns) / 1e9,
                           "time", qn_run_time_json(time(NULL)));
  json_t *rejects = json_array();
  for (const qn_rejects *r = job->rejects; r != NULL; r = r->next) {
    json_array_append_new(rejects, json_integer(r->n_written));
  }
  json_object_set_new(line, "rejects", rejects);
  if (action->product == NULL) {
    json_object_set_new(line, "value", json_integer(action->value));
  } else if (qn_product_fingerprint(action->product, product, NULL) == QN_OK) {
    json_object_set_new(line, "product", json_string(action->product));
    json_object_set_new(line, "product_fingerprint", json_string(product));
    remember_product(restart, action->product, action->fingerprint);
  } else { // it was renamed to its place just now; somebody is at work on it
    json_decref(line);
    return;
  }
  append_take(job, line);
}

uint64_t qn_restart_fingerprint(const qn_job *job) {
  return job->restart == NULL ? 0 : job->restart->fingerprint;
}

const char *qn_restart_checkpoint_path(qn_job *job, const char *end) {
  return job->restart == NULL || job->action.depth != 1
             ? NULL
             : qn_arena_printf(&job->arena, "%s/checkpoints/fit-%lld%s", qn_run_folder_path(job->run_folder),
                               (long long)job->action.number, end);
}
