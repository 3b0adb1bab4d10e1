// SPDX-License-Identifier: Apache-2.0
// How a run was called, read from its folder, for programs that start it again.
#pragma once
#include <stdint.h>
#include <quern/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct qn_run_call {
  char *folder;  // absolute
  char *job;     // "movies"
  char *status;  // "running", "killed", "stopped", "failed" or "done"
  char *program; // absolute
  char *directory;
  char *mpi;      // the library: "Open MPI v4.1.4"
  char *launcher; // "mpirun", "srun", or "none": a plain process
  char **arguments;
  int n_arguments;
  int n_ranks;     // of the last attempt
  int64_t n_done;  // actions that are committed
  char *last_done; // the last of them, in words; or NULL
} qn_run_call;

/// Local. Reads the folder of a run. Errors: QN_ERR_IO, QN_ERR_FORMAT if it is none.
QN_API qn_status qn_run_call_read(const char *folder, qn_run_call *out, qn_error *err);
QN_API void qn_run_call_release(qn_run_call *call);

#ifdef __cplusplus
}
#endif
