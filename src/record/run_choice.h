// SPDX-License-Identifier: Apache-2.0
// Which folder a run takes. Rank 0 only.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include "record/run_folder.h"

typedef struct qn_run_choice {
  char *path;      // for free(); NULL: no folder
  bool is_asked;   // somebody named it: that it cannot be made is an error
  json_t *earlier; // its run.json, if a run is to go on there; or NULL
} qn_run_choice;

/// Local. By --run, QUERN_RUN, Slurm, QUERN_RUNS. Errors: QN_ERR_ARG if the folder is in use or finished.
qn_status qn_run_choose(const qn_run_about *about, qn_run_choice *out, qn_error *err);
void qn_run_choice_release(qn_run_choice *choice);

/// Arguments without those that may differ between attempts (--run, --memory, --scratch, --quiet, --record),
/// as a new array; NULL if there is no memory.
json_t *qn_run_settled_arguments(const json_t *arguments);
/// Local. Whether a run whose run.json this is goes on: its process lives, or, on another host, may.
bool qn_run_is_in_use(const char *folder, const json_t *run);
/// How often Slurm has put the job back into the queue; -1 outside of Slurm.
int64_t qn_slurm_restart(void);
