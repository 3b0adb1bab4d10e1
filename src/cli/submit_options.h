// SPDX-License-Identifier: Apache-2.0
// What `quern submit` is told.
#pragma once
#include <stdbool.h>
#include <stdio.h>

enum { QUERN_SUBMIT_HELP = -1 }; // an exit code: there is nothing more to do, and all is well

typedef struct quern_submission {
  char *header;              // lines "#SBATCH ..." of what sbatch is told as it is; owned
  char **command;            // the job and its arguments, ended by NULL; the rest is borrowed
  const char *name;          // of the job; NULL: not given
  const char *launcher;      // "srun", "mpirun"; NULL: not given
  const char *run;           // the run's folder; NULL: not given
  const char *nodes, *ranks; // as given, or NULL
  int grace;                 // seconds
  int max_restarts;          // 0 without --requeue
  bool is_array, is_dry, is_parsable;
} quern_submission;

/// Local. Reads the command line; complaints go to standard error. Returns 0, QUERN_SUBMIT_HELP, or the exit
/// code. Release `out` in any case.
int quern_read_submission(int argc, char **argv, quern_submission *out);
void quern_submission_release(quern_submission *submission);
