// SPDX-License-Identifier: Apache-2.0
// What a job holds; seen by exec only.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/job.h>
#include "base/arena.h"
#include "comm/comm.h"
#include "exec/action.h"
#include "exec/job_progress.h"
#include "exec/placement.h"
#include "exec/record.h"
#include "exec/run_notes.h"
#include "plan/plan.h"
#include "record/run_folder.h"

typedef struct qn_rejects qn_rejects; // rejects.h

struct qn_job {
  qn_comm *comm;
  qn_plan plan;
  qn_arena arena;
  const qn_job_about *about;
  const char *name;
  const char *inputs;  // one a line, or NULL
  const char **values; // of about->options, in their order; NULL: not given
  int n_options;
  const char *output;
  const char *scratch_given; // --scratch, or NULL
  const char *scratch;       // this rank's folder for spill files
  const char *time_limit;    // --time-limit, or NULL
  const char *silence_given; // --silence, or NULL
  const char *budget_source; // where the budget comes from
  qn_rejects *rejects;       // list of the CSV readers' reject files, or NULL
  qn_placement placement;    // where its ranks run
  qn_record record;
  const char *run_given;      // --run, or NULL
  qn_run_folder *run_folder;  // NULL: none
  struct qn_restart *restart; // NULL: no run folder
  qn_job_progress progress;
  qn_run_notes notes;
  qn_action action; // action.number is how many there were, less one
  bool is_quiet;
  bool is_help;     // --help was asked for: do nothing
  int exit_code;    // for failures before any run: 2 for wrong use
  qn_status status; // the first failure, agreed by all ranks if a run found it
  qn_error error;
  struct qn_job_owned *owned; // what is freed with the job, newest first
  qn_status pending;          // a failure of this rank (qn_job_fail) that the next run brings to all
  qn_error pending_error;
};

/// Keeps the first failure; returns status.
qn_status qn_job_keep_error(qn_job *job, qn_status status, const qn_error *err);
/// The first failure of job or plan that all ranks know of; QN_OK if all is well.
qn_status qn_job_check(const qn_job *job, qn_error *err);
/// Local. The job frees `object` when it closes, newest first; on failure at once.
qn_status qn_job_own_take(qn_job *job, void *object, void (*free_object)(void *object), qn_error *err);
/// Local. A line about progress on rank 0's standard error, unless --quiet was given.
void qn_job_tell(qn_job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
/// Collective. As qn_read_stage(), of what this job has written: it is no input.
qn_dataset *qn_read_own_stage(qn_job *job, const char *path);
/// Local. Tells of the job's progress if it is time.
static inline void qn_progress_look(qn_job *job, int64_t now_ns) {
  if (__builtin_expect(now_ns >= job->progress.due_ns, 0) && job->progress.start_ns != 0) {
    qn_progress_tick(job, now_ns);
  }
}
/// Reads argv into the job (job_options.c). Errors: QN_ERR_ARG with a hint at --help.
qn_status qn_job_parse(qn_job *job, int argc, char **argv, int64_t *memory, qn_error *err);
/// The text of --help.
qn_status qn_job_help(const qn_job *job, qn_buffer *out, qn_error *err);
