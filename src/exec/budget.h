// SPDX-License-Identifier: Apache-2.0
// How much memory a rank may use.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <quern/status.h>

typedef struct qn_budget {
  int64_t bytes;      // of this rank
  const char *source; // where it comes from, for people
} qn_budget;

/// Local. The budget of each of the n_ranks_here ranks of this node: `given` bytes if > 0; else QUERN_MEMORY
/// (per rank); else a safe part of what Slurm gives the job on this node (SLURM_MEM_PER_NODE, or
/// SLURM_MEM_PER_CPU times its cores), of what the control group has left (version 2 or 1, every level of
/// it), or of what the machine has left. `root` is put before the names of system files ("" but in tests).
/// Errors: QN_ERR_ARG if a variable is no size.
qn_status qn_budget_choose(int64_t given, int n_ranks_here, const char *root, qn_budget *out, qn_error *err);

/// Local. Bytes that the process's control group may still use: the least of its levels, pages that the
/// system can drop counted as free. -1: no limit.
int64_t qn_group_room(const char *root);

/// Bytes from "512MiB", "2g", "1e9"; -1 if it is no size.
int64_t qn_parse_bytes(const char *text);
/// "12 MiB", "1.5 GiB".
void qn_print_bytes(FILE *out, int64_t bytes);
