// SPDX-License-Identifier: Apache-2.0
// The folder of a run from its start to its end. Rank 0 does all that is done to files here.
#include "record/run_folder.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
#include "base/check.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/memory.h"
#include "record/journal.h"
#include "record/run_choice.h"
#include "record/run_drafts.h"
#include "record/run_json.h"
#include "record/run_process.h"
#include "record/run_same.h"

struct qn_run_folder {
  int rank;
  char *path;
  int attempt;
  int64_t start_ns;
  json_t *run; // run.json; rank 0 only
  json_t *now; // this attempt in it, borrowed
  int lock_fd; // keeps others out as long as this process lives; rank 0 only, else -1
};

// Where a rank is, for the list of nodes.
typedef struct rank_place {
  char host[QN_HOST_NAME];
  cpu_set_t cpus;
} rank_place;

// As it was before begin().
static void forget(qn_run_folder *folder) {
  if (folder->lock_fd >= 0) {
    close(folder->lock_fd);
  }
  json_decref(folder->run);
  free(folder->path);
  folder->run = folder->now = NULL;
  folder->path = NULL;
  folder->lock_fd = -1;
  folder->attempt = 0;
}

void qn_run_folder_free(qn_run_folder *folder) {
  if (folder != NULL) {
    forget(folder);
    free(folder);
  }
}

const char *qn_run_folder_path(const qn_run_folder *folder) {
  return folder == NULL ? NULL : folder->path;
}

char *qn_run_folder_file(const qn_run_folder *folder, const char *name) {
  char *path = NULL;
  return asprintf(&path, "%s/%s", folder->path, name) < 0 ? NULL : path;
}

int qn_run_folder_attempt(const qn_run_folder *folder) {
  return folder->attempt;
}

int64_t qn_run_folder_start_ns(const qn_run_folder *folder) {
  return folder->start_ns;
}

json_t *qn_run_folder_document(qn_run_folder *folder) {
  return folder->run;
}

json_t *qn_run_folder_this_attempt(qn_run_folder *folder) {
  return folder->now;
}

qn_status qn_run_folder_write(qn_run_folder *folder, qn_error *err) {
  qn_status status = QN_OK;
  char *path = NULL;
  char *text = NULL;

  if (folder->run == NULL) {
    goto done;
  }
  path = qn_run_folder_file(folder, "run.json");
  text = json_dumps(folder->run, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
  QN_REQUIRE(path != NULL && text != NULL, err, QN_ERR_MEMORY, "no memory to write run.json");
  QN_TRY(qn_file_write_atomic(path, text, (int64_t)strlen(text), err));

done:
  free(text);
  free(path);
  return status;
}

// --- The start --------------------------------------------------------------------------------------------

// [{"host": "n1", "ranks": 2, "cpus": 2}] from where each rank is; ranks of a host need not lie side by side.
static json_t *nodes_json(const qn_buffer *places) {
  const int64_t n_ranks = places->size / (int64_t)sizeof(rank_place);
  json_t *nodes = json_array();

  for (int64_t r = 0; r < n_ranks; r++) {
    rank_place first;
    int64_t n_here = 0;
    bool is_known = false;
    memcpy(&first, places->data + r * (int64_t)sizeof first, sizeof first);
    for (int64_t other = 0; other < n_ranks && !is_known; other++) {
      rank_place place;
      memcpy(&place, places->data + other * (int64_t)sizeof place, sizeof place);
      if (strncmp(place.host, first.host, sizeof place.host) == 0) {
        is_known = other < r;
        CPU_OR(&first.cpus, &first.cpus, &place.cpus);
        n_here++;
      }
    }
    if (!is_known) {
      json_array_append_new(nodes, json_pack("{s:s, s:I, s:i}", "host", first.host, "ranks",
                                             (json_int_t)n_here, "cpus", CPU_COUNT(&first.cpus)));
    }
  }
  return nodes;
}

static json_t *slurm_json(void) {
  const char *id = getenv("SLURM_JOB_ID");
  return id == NULL || id[0] == '\0'
             ? json_null()
             : json_pack("{s:s, s:I}", "job_id", id, "restart", (json_int_t)qn_slurm_restart());
}

// What has started this process, by the traces it leaves.
static const char *launcher_name(int n_ranks) {
  if (getenv("OMPI_COMMAND") != NULL || getenv("HYDI_CONTROL_FD") != NULL) {
    return "mpirun";
  }
  if (getenv("SLURM_STEP_ID") != NULL && getenv("SLURM_PROCID") != NULL) {
    return "srun";
  }
  return n_ranks > 1 ? "mpirun" : "none";
}

static json_t *new_attempt(const qn_run_about *about, int n_ranks, const qn_buffer *places) {
  const qn_process self = qn_process_self();

  return json_pack("{s:o, s:n, s:n, s:s, s:n, s:n, s:s, s:i, s:I, s:s*, s:s*, s:{s:s, s:I, s:I}, s:o, s:o}",
                   "started", qn_run_time_json(time(NULL)), "ended", "seconds", "status", "running",
                   "exit_code", "message", "launcher", launcher_name(n_ranks), "n_ranks", n_ranks,
                   "memory_per_rank", (json_int_t)about->memory_per_rank, "budget_source",
                   about->budget_source, "scratch", about->scratch, "process", "host", self.host, "pid",
                   (json_int_t)self.pid, "started_ticks", (json_int_t)self.started, "slurm", slurm_json(),
                   "nodes", nodes_json(places));
}

// Two jobs started at once must not take the same folder.
static qn_status lock_folder(qn_run_folder *folder, qn_error *err) {
  qn_status status = QN_OK;
  char *path = qn_run_folder_file(folder, "progress");

  QN_REQUIRE(path != NULL, err, QN_ERR_MEMORY, "no memory for a path");
  folder->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  QN_REQUIRE(folder->lock_fd >= 0, err, QN_ERR_IO, "%s: %s", path, strerror(errno));
  // A file system without locks does without.
  QN_REQUIRE(flock(folder->lock_fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK, err, QN_ERR_ARG,
             "%s: is the folder of a run that is going on; take another folder, or none: --run none",
             folder->path);
  QN_REQUIRE(ftruncate(folder->lock_fd, 0) == 0, err, QN_ERR_IO, "%s: %s", path, strerror(errno));

done:
  free(path);
  return status;
}

// An attempt that never said how it ended was killed.
static void close_earlier(json_t *run) {
  json_t *attempt = qn_run_last_attempt(run);
  const char *status = json_string_value(json_object_get(attempt, "status"));

  if (status != NULL && strcmp(status, "running") == 0) {
    json_object_set_new(attempt, "status", json_string("killed"));
  }
}

// The record of the attempt before stays, under another name; there is none if it was killed.
static void keep_record(const qn_run_folder *folder, size_t attempt) {
  char name[48];
  snprintf(name, sizeof name, "record-%zu.json", attempt);
  char *from = qn_run_folder_file(folder, "record.json");
  char *to = qn_run_folder_file(folder, name);

  if (from != NULL && to != NULL) {
    rename(from, to);
  }
  free(from);
  free(to);
}

// A run that has kept nothing yet may be begun anew in its folder, called as one likes; else it is gone on
// with.
static qn_status check_earlier(qn_run_folder *folder, const qn_run_about *about, qn_run_choice *choice,
                               qn_error *err) {
  qn_status status = QN_OK;
  char *journal = qn_run_folder_file(folder, "journal.jsonl");
  char *checkpoints = qn_run_folder_file(folder, "checkpoints");

  QN_REQUIRE(journal != NULL && checkpoints != NULL, err, QN_ERR_MEMORY, "no memory for a path");
  if (choice->earlier != NULL) {
    status = qn_run_check_same(about, folder->path, choice->earlier, err);
    if (status != QN_OK && !qn_journal_has_actions(journal) && (rmdir(checkpoints) == 0 || errno == ENOENT)) {
      status = QN_OK;
      json_decref(choice->earlier);
      choice->earlier = NULL;
    }
  }
  if (status == QN_OK && choice->earlier == NULL) {
    unlink(journal);
  }

done:
  free(checkpoints);
  free(journal);
  return status;
}

static qn_status begin(qn_run_folder *folder, qn_comm *comm, const qn_run_about *about, qn_run_choice *choice,
                       const qn_buffer *places, qn_error *err) {
  qn_status status = QN_OK;
  json_t *attempts = NULL;

  QN_TRY(qn_folder_make(choice->path, err));
  folder->path = realpath(choice->path, NULL);
  QN_REQUIRE(folder->path != NULL, err, QN_ERR_IO, "%s: %s", choice->path, strerror(errno));
  QN_TRY(lock_folder(folder, err));
  qn_run_remove_drafts(folder->path, choice->earlier);
  QN_TRY(check_earlier(folder, about, choice, err));
  if (choice->earlier != NULL) {
    folder->run = choice->earlier;
    choice->earlier = NULL;
    close_earlier(folder->run);
    keep_record(folder, json_array_size(json_object_get(folder->run, "attempts")));
    json_object_set_new(folder->run, "status", json_string("running"));
  } else {
    folder->run = qn_run_json_new(about, qn_comm_library(comm));
  }
  attempts = json_object_get(folder->run, "attempts");
  QN_REQUIRE(json_array_append_new(attempts, new_attempt(about, qn_comm_size(comm), places)) == 0, err,
             QN_ERR_MEMORY, "no memory for run.json");
  folder->attempt = (int)json_array_size(attempts);
  folder->now = qn_run_last_attempt(folder->run);
  QN_TRY(qn_run_folder_write(folder, err));

done:
  return status;
}

enum { MOST_TRIES = 50, BETWEEN_TRIES_NS = 100000000 };

// Rank 0's part. Without a folder its path stays NULL.
static qn_status open_here(qn_run_folder *folder, qn_comm *comm, const qn_run_about *about,
                           const qn_buffer *places, qn_error *why_not, qn_error *err) {
  qn_status status = QN_OK;
  qn_run_choice choice = {0};

  for (int attempt = 0; attempt < MOST_TRIES; attempt++) {
    status = qn_run_choose(about, &choice, err);
    if (status == QN_OK && choice.path != NULL) {
      status = begin(folder, comm, about, &choice, places, err);
    }
    if (status != QN_ERR_ARG || choice.is_asked) {
      break;
    }
    // Another step of the Slurm job took it at the same moment; soon its run.json says so.
    forget(folder);
    qn_run_choice_release(&choice);
    nanosleep(&(struct timespec){.tv_nsec = BETWEEN_TRIES_NS}, NULL);
  }
  if (status == QN_ERR_IO && !choice.is_asked) {
    *why_not = *err;
    forget(folder);
    status = QN_OK;
  }
  qn_run_choice_release(&choice);
  return status;
}

static qn_status gather_places(qn_comm *comm, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  rank_place own = {0};
  int64_t *sizes = qn_memory_alloc(qn_comm_size(comm) * (int64_t)sizeof *sizes);

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory for the run folder");
  const qn_process self = qn_process_self();
  memcpy(own.host, self.host, sizeof own.host);
  if (sched_getaffinity(0, sizeof own.cpus, &own.cpus) != 0) {
    CPU_ZERO(&own.cpus);
  }
  QN_TRY(qn_comm_gather(comm, &own, sizeof own, out, sizes, err));

done:
  qn_memory_free(sizes);
  return status;
}

// Rank 0 tells the others: the number of the attempt and the path; nothing if there is no folder.
static qn_status share(qn_run_folder *folder, qn_comm *comm, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};
  int32_t attempt = folder->attempt;

  if (folder->path != NULL) {
    QN_TRY(qn_buffer_append(&text, &attempt, sizeof attempt, err));
    QN_TRY(qn_buffer_append(&text, folder->path, (int64_t)strlen(folder->path), err));
  }
  QN_TRY(qn_comm_broadcast(comm, 0, &text, err));
  if (folder->rank != 0 && text.size > (int64_t)sizeof attempt) {
    memcpy(&attempt, text.data, sizeof attempt);
    folder->attempt = attempt;
    folder->path = strndup((const char *)text.data + sizeof attempt, (size_t)text.size - sizeof attempt);
    QN_REQUIRE(folder->path != NULL, err, QN_ERR_MEMORY, "no memory for a path");
  }

done:
  qn_buffer_release(&text);
  return status;
}

static qn_status open_all(qn_run_folder *folder, qn_comm *comm, const qn_run_about *about, qn_error *why_not,
                          qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer places = {0};

  QN_TRY(gather_places(comm, &places, err));
  if (folder->rank == 0) {
    QN_TRY(open_here(folder, comm, about, &places, why_not, err));
  }
  QN_TRY(share(folder, comm, err));

done:
  qn_buffer_release(&places);
  return status;
}

qn_status qn_run_folder_open(qn_comm *comm, const qn_run_about *about, qn_run_folder **out, qn_error *why_not,
                             qn_error *err) {
  qn_status status = QN_OK;
  qn_run_folder *folder = calloc(1, sizeof *folder);

  *out = NULL;
  if (folder == NULL) {
    status = qn_fail(err, QN_ERR_MEMORY, "no memory for the run folder");
  } else {
    *folder = (qn_run_folder){.rank = qn_comm_rank(comm), .lock_fd = -1, .start_ns = qn_clock_ns()};
    status = open_all(folder, comm, about, why_not, err);
  }
  status = qn_comm_agree(comm, status, err);
  if (status == QN_OK && folder != NULL && folder->path != NULL) {
    *out = folder;
  } else {
    qn_run_folder_free(folder);
  }
  return status;
}

// --- The end ----------------------------------------------------------------------------------------------

qn_status qn_run_folder_end(qn_run_folder *folder, const char *status_text, int exit_code,
                            const char *message, qn_error *err) {
  qn_status status = QN_OK;

  if (folder == NULL || folder->run == NULL) {
    goto done;
  }
  const double seconds = (double)(qn_clock_ns() - folder->start_ns) / 1e9;
  json_t *ends = json_pack("{s:o, s:f, s:s, s:i, s:s?}", "ended", qn_run_time_json(time(NULL)), "seconds",
                           seconds, "status", status_text, "exit_code", exit_code, "message", message);
  const bool is_set = ends != NULL && json_object_update(folder->now, ends) == 0 &&
                      json_object_set_new(folder->run, "status", json_string(status_text)) == 0;
  json_decref(ends);
  QN_REQUIRE(is_set, err, QN_ERR_MEMORY, "no memory for run.json");
  QN_TRY(qn_run_folder_write(folder, err));

done:
  return status;
}
