// SPDX-License-Identifier: Apache-2.0
// The folder for spill files.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>

typedef struct qn_scratch {
  const char *folder; // `given`, or a string of the environment
  int64_t free_bytes; // for this user
  bool is_memory;     // a file system in memory: what is put out there is still in memory
} qn_scratch;

/// Local. The folder `given` (may be NULL), else QUERN_SCRATCH, else the first of SLURM_TMPDIR, TMPDIR and
/// /tmp that can be used. Errors: QN_ERR_IO if the one that was asked for is no folder to write to, or none
/// is.
qn_status qn_scratch_choose(const char *given, qn_scratch *out, qn_error *err);
