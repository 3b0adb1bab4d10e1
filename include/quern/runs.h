// SPDX-License-Identifier: Apache-2.0
// Looking at runs by the folders that they leave (docs/run-folder.md), while they run and later. Needs no
// MPI.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <quern/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Local. The folder of a run, into `path` of `size` bytes: `run` is the folder, or the name of one in
/// QUERN_RUNS (or quern-runs); NULL: the latest there. Errors: QN_ERR_ARG if there is none.
QN_API qn_status qn_run_find(const char *run, char *path, size_t size, qn_error *err);

/// Local. Prints what each rank of a run does, or did last. *is_running (may be NULL): it goes on.
///
/// Errors  QN_ERR_ARG     no folder of a run
///         QN_ERR_FORMAT  its run.json is damaged, or of another version
QN_API qn_status qn_run_top(const char *folder, FILE *out, bool *is_running, qn_error *err);

/// Which runs.
typedef struct qn_runs_wanted {
  const char *job;    // of this job only; or NULL
  const char *status; // "done", "failed", "stopped", "running", "killed"; or NULL
  int64_t last;       // only that many, the latest; 0: all
  int64_t older_days; // that began at least so many days ago; 0: all
} qn_runs_wanted;

/// Local. Prints a line for each run in a folder of runs, the oldest first. What cannot be read is said in a
/// line.
QN_API qn_status qn_runs_history(const char *folder, const qn_runs_wanted *wanted, FILE *out, qn_error *err);
/// Local. Removes the folders of these runs, but never of one that goes on. is_dry: only counts them.
///
/// n_runs  how many
QN_API qn_status qn_runs_prune(const char *folder, const qn_runs_wanted *wanted, bool is_dry, int64_t *n_runs,
                               qn_error *err);

/// Local. Prints in what two runs differ: code, options, inputs; and side by side the seconds, rows, spilled
/// bytes and balance of each action and operator, with the ratio of the second to the first.
QN_API qn_status qn_run_compare(const char *first, const char *second, FILE *out, qn_error *err);

#ifdef __cplusplus
}
#endif
