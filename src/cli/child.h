// SPDX-License-Identifier: Apache-2.0
// Other programs that the command asks: sbatch, srun, mpirun.
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { QUERN_CHILD_MISSING = -1, QUERN_CHILD_SILENT = -2 };

typedef struct quern_child {
  const char *const *arguments; // the program, looked for in PATH, and what it is given; ended by NULL
  const char *input;            // what it reads; NULL: nothing
  bool is_with_errors;          // its standard error goes to `output` too, else to ours
  int seconds;                  // so long it may take
} quern_child;

/// Local. Runs a program; what it prints is cut at `size` - 1 bytes. Returns its exit code (128 and the
/// signal that killed it), QUERN_CHILD_MISSING if there is no such program, or QUERN_CHILD_SILENT if its time
/// was over (it and its children are killed).
int quern_child_run(const quern_child *child, char *output, size_t size);

/// Local. Where a program is, as an absolute path in a string for free(): `name` itself if it has a slash,
/// else in PATH; NULL if it is not there, with `*is_there` for a file that cannot be executed.
char *quern_find_program(const char *name, bool *is_there);
