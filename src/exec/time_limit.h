// SPDX-License-Identifier: Apache-2.0
// How much time a job has.
#pragma once
#include <stdint.h>
#include <quern/status.h>
#include "base/arena.h"

/// Local, when a job is opened: has qn_stop_is_wanted() say so when the time is nearly over. The time is what
/// `given` says (--time-limit, may be NULL), else QUERN_TIME_LIMIT, both counted from now; else it ends at
/// SLURM_JOB_END_TIME. So long before its end (QUERN_STOP_MARGIN, else 30 s or a 50th of it, and never more
/// than half) the job is asked to stop. Errors: QN_ERR_ARG.
qn_status qn_time_limit_set(const char *given, qn_arena *arena, qn_error *err);
