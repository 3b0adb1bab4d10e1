// SPDX-License-Identifier: Apache-2.0
// The folder of a run: where it is, what is in its run.json, how it begins and ends. docs/run-folder.md is
// the contract. Rank 0 writes run.json; all ranks know the path.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "comm/comm.h"

typedef struct qn_run_folder qn_run_folder;

/// What a job says of itself. All is borrowed for the call.
typedef struct qn_run_about {
  const char *job;   // "movies"
  const char *given; // --run, or NULL
  int n_arguments;   // those of the command line, without the program
  char *const *arguments;
  int n_options;                                          // the job's own, with their fallbacks
  const char *const *option_names, *const *option_values; // a value may be NULL: not given
  int64_t memory_per_rank;                                // bytes
  const char *budget_source, *scratch;
} qn_run_about;

/// Collective. Chooses the folder as docs/run-folder.md says, makes it on rank 0, writes its run.json with a
/// new attempt. *out is NULL where no folder is wanted, or where one that nobody asked for could not be made:
/// then `why_not` has the reason on rank 0.
///
/// Errors  QN_ERR_ARG  the folder is in use, or finished, or of another version
///         QN_ERR_IO   the folder that was asked for cannot be made or written
qn_status qn_run_folder_open(qn_comm *comm, const qn_run_about *about, qn_run_folder **out, qn_error *why_not,
                             qn_error *err);
/// Local. The attempt has ended: writes status ("done", "failed", "stopped"), exit code and message (or NULL)
/// on rank 0. NULL as folder is allowed. Errors: QN_ERR_IO.
qn_status qn_run_folder_end(qn_run_folder *folder, const char *status, int exit_code, const char *message,
                            qn_error *err);
/// Local. NULL is allowed.
void qn_run_folder_free(qn_run_folder *folder);

/// The absolute path, the same on every rank. NULL for NULL.
const char *qn_run_folder_path(const qn_run_folder *folder);
/// "<folder>/<name>" for free(); NULL if there is no memory.
char *qn_run_folder_file(const qn_run_folder *folder, const char *name);
/// From 1; more than 1: the run is resumed.
int qn_run_folder_attempt(const qn_run_folder *folder);
/// Nanoseconds of qn_clock_ns() at which the attempt began.
int64_t qn_run_folder_start_ns(const qn_run_folder *folder);

/// run.json as it stands, on rank 0; NULL on the others. What is set in it is written by
/// qn_run_folder_write().
json_t *qn_run_folder_document(qn_run_folder *folder);
/// The object of this attempt within it.
json_t *qn_run_folder_this_attempt(qn_run_folder *folder);
/// Local. Writes run.json again (rank 0; the others do nothing). Errors: QN_ERR_IO.
qn_status qn_run_folder_write(qn_run_folder *folder, qn_error *err);
