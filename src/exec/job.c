// SPDX-License-Identifier: Apache-2.0
// A job's life: open, options, errors, close.
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/nameless_file.h"
#include "base/stop.h"
#include "comm/node_memory.h"
#include "exec/budget.h"
#include "exec/job_state.h"
#include "exec/op_cache.h"
#include "exec/rejects.h"
#include "exec/restart.h"
#include "exec/scratch.h"
#include "exec/silence.h"
#include "exec/time_limit.h"

qn_status qn_job_keep_error(qn_job *job, qn_status status, const qn_error *err) {
  if (status != QN_OK && job->status == QN_OK) {
    job->status = status;
    job->error = *err;
    job->error.status = status;
  }
  return status;
}

qn_status qn_job_check(const qn_job *job, qn_error *err) {
  const qn_status status = job->status != QN_OK ? job->status : job->plan.status;

  if (status != QN_OK && err != NULL) {
    *err = job->status != QN_OK ? job->error : job->plan.error;
  }
  return status;
}

typedef struct qn_job_owned {
  struct qn_job_owned *next;
  void *object;
  void (*free_object)(void *object);
} qn_job_owned;

qn_status qn_job_own_take(qn_job *job, void *object, void (*free_object)(void *object), qn_error *err) {
  qn_job_owned *owned = malloc(sizeof *owned);

  if (owned == NULL) {
    free_object(object);
    return qn_fail(err, QN_ERR_MEMORY, "no memory for a job");
  }
  *owned = (qn_job_owned){.next = job->owned, .object = object, .free_object = free_object};
  job->owned = owned;
  return QN_OK;
}

static void free_owned(qn_job *job) {
  while (job->owned != NULL) {
    qn_job_owned *owned = job->owned;
    job->owned = owned->next;
    owned->free_object(owned->object);
    free(owned);
  }
}

// A job that does nothing but tell what its options are.
static void show_help(qn_job *job) {
  qn_buffer text = {0};
  qn_error err = {0};

  if (qn_comm_rank(job->comm) == 0 && qn_job_help(job, &text, &err) == QN_OK) {
    fwrite(text.data, 1, (size_t)text.size, stdout);
    fflush(stdout);
  }
  qn_buffer_release(&text);
  qn_job_keep_error(job, qn_fail(&err, QN_ERR_STOPPED, "only help was asked for"), &err);
}

// What the job may use, once, on rank 0.
static void print_resources(const qn_job *job, const qn_scratch *scratch) {
  const int n_here = qn_comm_node_size(job->comm);

  fprintf(stderr, "%s: memory ", job->name);
  qn_print_bytes(stderr, qn_memory_budget());
  fprintf(stderr, " per rank, ");
  qn_print_bytes(stderr, qn_memory_budget() * n_here);
  fprintf(stderr, " per node of %d rank%s (%s); scratch %s, ", n_here, n_here == 1 ? "" : "s",
          job->budget_source, scratch->folder);
  qn_print_bytes(stderr, scratch->free_bytes);
  fprintf(stderr, " free%s\n",
          scratch->is_memory
              ? "; it is in memory: rows put out there still take memory, choose a disk by --scratch"
              : "");
}

// Takes the memory and the scratch folder that this rank may use.
static qn_status take_resources(qn_job *job, int64_t given, qn_scratch *scratch, int64_t *bytes,
                                qn_error *err) {
  qn_status status = QN_OK;
  qn_budget budget = {0};

  QN_TRY(qn_budget_choose(given, qn_comm_node_size(job->comm), "", &budget, err));
  QN_TRY(qn_scratch_choose(job->scratch_given, scratch, err));
  job->scratch = qn_arena_string(&job->arena, scratch->folder);
  QN_REQUIRE(job->scratch != NULL, err, QN_ERR_MEMORY, "no memory for a job");
  qn_nameless_clean(job->scratch);
  job->budget_source = budget.source;
  *bytes = budget.bytes;

done:
  return status;
}

enum { SHARED_TABLE_BYTES = 1 << 20 };
enum { SHARED_BYTES = 4 << 20, SHARED_PART = 16 }; // of a rank: bytes, and this part of the budget at most

// Memory through which the ranks of a node hand rows over: as much as QUERN_SHARED_MEMORY says, if it is set.
static qn_status share_memory(qn_job *job, qn_error *err) {
  const char *given = getenv("QUERN_SHARED_MEMORY");
  int64_t bytes = given == NULL ? -1 : qn_parse_bytes(given);
  if (bytes < 0) {
    const int64_t part = qn_memory_budget() / SHARED_PART;
    bytes = part < SHARED_BYTES ? part : SHARED_BYTES;
  }
  return qn_comm_share_memory(job->comm, bytes, err);
}

// What is the same on all ranks of a node is kept once if it is at least as large as QUERN_SHARED_TABLES
// says, on any rank; "none": never.
static int64_t least_shared(void) {
  const char *given = getenv("QUERN_SHARED_TABLES");
  const int64_t bytes = given == NULL ? SHARED_TABLE_BYTES : qn_parse_bytes(given);
  return given != NULL && strcmp(given, "none") == 0 ? INT64_MAX : bytes < 0 ? SHARED_TABLE_BYTES : bytes;
}

// All ranks have the same budget, the least of all: decisions that they must make alike depend on it.
static qn_status set_resources(qn_job *job, int64_t given, qn_error *err) {
  qn_status status = QN_OK;
  qn_scratch scratch = {0};
  int64_t bytes = 0, not_shared = -least_shared(); // negative: the least of these is the largest of those

  QN_TRY(qn_placement_make(job->comm, &job->placement, err)); // first: memory lies where it is touched then
  QN_TRY(qn_comm_agree(job->comm, take_resources(job, given, &scratch, &bytes, err), err));
  QN_TRY(qn_comm_agree(job->comm, qn_comm_reduce_int64(job->comm, QN_MIN, &bytes, 1, err), err));
  QN_TRY(qn_comm_agree(job->comm, qn_comm_reduce_int64(job->comm, QN_MIN, &not_shared, 1, err), err));
  qn_comm_set_least_node_memory(job->comm, -not_shared);
  qn_memory_set_budget(bytes);
  qn_memory_tune(bytes);
  QN_TRY(share_memory(job, err));
  QN_TRY(qn_job_watch(job, err));
  if (qn_comm_rank(job->comm) == 0 && !job->is_quiet && !job->about->only_looks) {
    qn_placement_print(&job->placement, job->name, stderr);
    print_resources(job, &scratch);
  }

done:
  return status;
}

// The folder of this run, once all is known that its run.json says at the start.
static qn_status open_run_folder(qn_job *job, int argc, char **argv, qn_error *err) {
  qn_status status = QN_OK;
  qn_error why_not = {0};
  qn_arena arena = {0};
  const char **names = qn_arena_alloc(&arena, (int64_t)sizeof *names * (job->n_options + 1));
  const char **values = qn_arena_alloc(&arena, (int64_t)sizeof *values * (job->n_options + 1));
  const bool has_memory = names != NULL && values != NULL;

  QN_TRY(
      qn_comm_agree(job->comm, has_memory ? QN_OK : qn_fail(err, QN_ERR_MEMORY, "no memory for a job"), err));
  if (names == NULL || values == NULL) {
    goto done; // all have agreed on that
  }
  for (int i = 0; i < job->n_options; i++) {
    names[i] = job->about->options[i].name;
    values[i] = job->values[i] != NULL ? job->values[i] : job->about->options[i].fallback;
  }
  names[job->n_options] = "output";
  values[job->n_options] = job->output;
  const qn_run_about about = {.job = job->name,
                              .given = job->run_given,
                              .n_arguments = argc > 0 ? argc - 1 : 0,
                              .arguments = argv + 1,
                              .n_options = job->n_options + 1,
                              .option_names = names,
                              .option_values = values,
                              .memory_per_rank = qn_memory_budget(),
                              .budget_source = job->budget_source,
                              .scratch = job->scratch};
  QN_TRY(qn_run_folder_open(job->comm, &about, &job->run_folder, &why_not, err));
  if (why_not.message[0] != '\0') {
    qn_job_tell(job, "%s: this run leaves no folder: %s\n", job->name, why_not.message);
  } else if (job->run_folder != NULL) {
    qn_note_machine(job);
    const bool is_resumed = qn_run_folder_attempt(job->run_folder) > 1;
    qn_job_tell(job, "%s: %s %s\n", job->name, is_resumed ? "goes on in" : "run folder",
                qn_run_folder_path(job->run_folder));
  }

done:
  qn_arena_release(&arena);
  return status;
}

QN_API qn_job *qn_job_open(int argc, char **argv, const qn_job_about *about) {
  qn_error err = {0};
  int64_t memory = 0;
  qn_job *job = calloc(1, sizeof *job);

  qn_stop_install();
  signal(SIGXFSZ, SIG_IGN); // a write beyond the limit of a file's size shall fail, with a message
  if (job == NULL || qn_comm_open(&job->comm, &err) != QN_OK) {
    fprintf(stderr, "%s: cannot start: %s\n", about->name, job == NULL ? "no memory" : err.message);
    exit(1); // there is nothing yet that could carry the error
  }
  qn_record_start(&job->record);
  job->about = about;
  job->name = about->name;
  job->action.number = -1;
  qn_plan_init(&job->plan, job);
  qn_status status = qn_job_parse(job, argc, argv, &memory, &err);
  if (status == QN_OK && job->is_help) {
    show_help(job);
    return job;
  }
  if (status == QN_OK) {
    status = qn_comm_agree(job->comm, qn_time_limit_set(job->time_limit, &job->arena, &err), &err);
  }
  if (status == QN_OK) {
    status = set_resources(job, memory, &err);
  }
  if (status == QN_OK && !about->only_looks) {
    status = open_run_folder(job, argc, argv, &err);
    status = status == QN_OK ? qn_restart_open(job, &err) : status;
  }
  qn_comm_heed_stop(job->comm, true);
  if (status == QN_OK) {
    job->record.origin_ns = qn_clock_ns();
    qn_progress_start(job);
  }
  if (status != QN_OK) {
    job->exit_code = status == QN_ERR_ARG ? 2 : 1;
    qn_job_keep_error(job, status, &err);
  }
  return job;
}

// What failed, once, on rank 0.
static void report(const qn_job *job, qn_status status, const qn_error *err) {
  if (qn_comm_rank(job->comm) != 0) {
    return;
  }
  fflush(stdout);
  if (status == QN_ERR_INTERRUPTED && job->run_folder != NULL) {
    fprintf(stderr, "%s: %s; go on by: quern resume %s\n", job->name, err->message,
            qn_run_folder_path(job->run_folder));
  } else if (err->rank > 0) {
    fprintf(stderr, "%s: %s (rank %d)\n", job->name, err->message[0] ? err->message : qn_status_text(status),
            err->rank);
  } else {
    fprintf(stderr, "%s: %s\n", job->name, err->message[0] ? err->message : qn_status_text(status));
  }
}

// A job that left rows out says so, on rank 0.
static void report_rejects(const qn_job *job) {
  for (const qn_rejects *rejects = job->rejects; rejects != NULL && !job->is_quiet; rejects = rejects->next) {
    if (qn_comm_rank(job->comm) == 0 && rejects->n_written > 0) {
      fprintf(stderr, "%s: %lld malformed row%s set aside in %s\n", job->name, (long long)rejects->n_written,
              rejects->n_written == 1 ? " was" : "s were", rejects->path);
    }
  }
}

static const char *state_text(qn_status status) {
  return status == QN_OK ? "done" : status == QN_ERR_INTERRUPTED ? "stopped" : "failed";
}

// How it ended; a folder that cannot be written any more does not make a job fail.
static void end_run_folder(qn_job *job, qn_status status, int exit_code, const qn_error *err) {
  qn_error why_not = {0};
  const char *message = status == QN_OK ? NULL : err->message;

  qn_notes_write(job, true);
  if (qn_run_folder_end(job->run_folder, state_text(status), exit_code, message, &why_not) != QN_OK) {
    qn_job_tell(job, "%s: the end of this run is not in its folder: %s\n", job->name, why_not.message);
  }
  qn_run_folder_free(job->run_folder);
}

QN_API int qn_job_close(qn_job *job) {
  qn_error err = {0};
  qn_status status = qn_job_check(job, &err);
  int exit_code = 0;

  qn_progress_clear(job);
  qn_comm_heed_stop(job->comm, false); // what is done is done
  if (status == QN_OK) {               // what only this rank knows of
    status = job->pending;
    err = job->pending_error;
  }
  if (job->is_help && job->exit_code == 0) {
    status = QN_OK;
  } else {
    const qn_status known = qn_job_check(job, NULL);
    status = qn_comm_agree(job->comm, known == QN_OK ? status : QN_OK, &err);
    if (known != QN_OK) {
      status = qn_job_check(job, &err);
    }
  }
  if (!job->is_help && job->exit_code == 0) {
    qn_error record_error = {0};
    const qn_status kept = qn_record_finish(&job->record, job, status == QN_OK ? NULL : &err, &record_error);
    if (status == QN_OK && kept != QN_OK) {
      status = kept;
      err = record_error;
    }
  }
  if (status != QN_OK) {
    report(job, status, &err);
    exit_code = job->exit_code != 0 ? job->exit_code : status == QN_ERR_INTERRUPTED ? QN_EXIT_STOPPED : 1;
  } else {
    report_rejects(job);
  }
  fflush(stdout);
  qn_progress_end(job, state_text(status));
  qn_restart_free(job->restart);
  end_run_folder(job, status, exit_code, &err);
  free_owned(job);
  qn_record_release(&job->record);
  qn_notes_release(&job->notes);
  qn_cached_free_all(&job->plan);
  qn_rejects_free(job->rejects);
  qn_plan_release(&job->plan);
  qn_placement_release(&job->placement);
  qn_comm_close(job->comm);
  qn_stop_restore();
  qn_arena_release(&job->arena);
  free(job);
  return exit_code;
}

QN_API const char *qn_job_option(const qn_job *job, const char *name) {
  for (int i = 0; i < job->n_options; i++) {
    if (strcmp(job->about->options[i].name, name) == 0) {
      const char *given = job->values == NULL ? NULL : job->values[i];
      return given != NULL ? given : job->about->options[i].fallback;
    }
  }
  return NULL;
}

// False if the text is no number from min to max.
static bool parse_number(const char *text, double min, double max, double *value) {
  char *end = NULL;

  *value = strtod(text, &end);
  return end != text && *end == '\0' && *value >= min && *value <= max;
}

// Wrong use: the first mistake of the job decides its exit code.
static void fail_option(qn_job *job, const qn_error *err) {
  if (job->status == QN_OK) {
    job->exit_code = 2;
  }
  qn_job_keep_error(job, QN_ERR_ARG, err);
}

QN_API int64_t qn_job_option_int64(qn_job *job, const char *name, int64_t min, int64_t max) {
  const char *text = qn_job_option(job, name);
  qn_error err = {0};
  double value = 0; // so that 1e6 is read too

  if (text == NULL) {
    return min;
  }
  if (!parse_number(text, (double)min, (double)max, &value) || value != floor(value)) {
    qn_fail(&err, QN_ERR_ARG, "--%s: '%s' is not a whole number from %lld to %lld", name, text,
            (long long)min, (long long)max);
    fail_option(job, &err);
    return min;
  }
  return value >= 0x1p63 ? INT64_MAX : (int64_t)value;
}

QN_API double qn_job_option_float64(qn_job *job, const char *name, double min, double max) {
  const char *text = qn_job_option(job, name);
  qn_error err = {0};
  double value = min;

  if (text != NULL && !parse_number(text, min, max, &value)) {
    qn_fail(&err, QN_ERR_ARG, "--%s: '%s' is not a number from %g to %g", name, text, min, max);
    fail_option(job, &err);
    return min;
  }
  return value;
}

QN_API const char *qn_job_inputs(const qn_job *job) {
  return job->inputs;
}

QN_API const char *qn_job_output(const qn_job *job) {
  return job->output;
}

QN_API const char *qn_job_output_path(qn_job *job, const char *name) {
  return qn_arena_printf(&job->arena, "%s/%s", job->output, name);
}

QN_API const char *qn_job_run_folder(const qn_job *job) {
  return qn_run_folder_path(job->run_folder);
}

QN_API int qn_job_rank(const qn_job *job) {
  return qn_comm_rank(job->comm);
}

QN_API int qn_job_n_ranks(const qn_job *job) {
  return qn_comm_size(job->comm);
}

QN_API qn_status qn_job_status(const qn_job *job, qn_error *err) {
  return qn_job_check(job, err);
}

QN_API qn_status qn_job_fail(qn_job *job, const char *format, ...) {
  va_list arguments;

  if (job->pending == QN_OK) {
    va_start(arguments, format);
    vsnprintf(job->pending_error.message, sizeof job->pending_error.message, format, arguments);
    va_end(arguments);
    job->pending = job->pending_error.status = QN_ERR_CALLBACK;
  }
  return QN_ERR_CALLBACK;
}

void qn_job_tell(qn_job *job, const char *format, ...) {
  va_list arguments;

  if (qn_comm_rank(job->comm) == 0 && !job->is_quiet) {
    qn_progress_clear(job);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
  }
}

QN_API void qn_job_print(qn_job *job, const char *format, ...) {
  va_list arguments;

  const bool is_wanted = qn_comm_rank(job->comm) == 0 && !job->is_quiet;

  if (is_wanted && qn_job_check(job, NULL) == QN_OK && job->pending == QN_OK) {
    qn_progress_clear(job);
    va_start(arguments, format);
    vfprintf(stdout, format, arguments);
    va_end(arguments);
    fflush(stdout);
  }
}
