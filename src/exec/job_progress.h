// SPDX-License-Identifier: Apache-2.0
// Telling of a job while it runs: a line of this rank in the progress file each second, and on rank 0 a line
// for people. There is no thread for it: the places where the job looks at the clock anyway call
// qn_progress_look().
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "plan/plan.h"

struct qn_run;

typedef struct qn_job_progress {
  int64_t due_ns;     // when it is to be told next
  int fd;             // the progress file; -1: none
  struct qn_run *run; // that is going on, or NULL
  int64_t n_runs;     // that are over
  int64_t step, n_steps;
  double loss;
  bool is_for_terminal, is_drawn; // for people: one line redrawn; it stands there
  int64_t start_ns, told_ns;      // of the job; when the last line for people was
} qn_job_progress;

/// Local. Begins to tell; the run folder is known (or there is none).
void qn_progress_start(qn_job *job);
/// Local. The job is over: the last line of the progress file, with its state ("done").
void qn_progress_end(qn_job *job, const char *state);
/// Local. Tells if it is time. For others: qn_progress_look().
void qn_progress_tick(qn_job *job, int64_t now_ns);
/// Local. Removes the redrawn line: something else is to be printed.
void qn_progress_clear(qn_job *job);
/// Local. A training has made a step of n_steps (0: not known).
void qn_progress_step(qn_job *job, int64_t step, int64_t n_steps, double loss);
