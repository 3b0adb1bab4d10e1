// SPDX-License-Identifier: Apache-2.0
// Ranks that are lost: how long one may be silent, and what is said.
#pragma once
#include "exec/job_state.h"

/// Collective, in no run. Has the job's ranks watch each other. The limit in seconds is --silence, else
/// QUERN_SILENCE, else 600; 0: none. Errors: QN_ERR_ARG if it is no number.
qn_status qn_job_watch(qn_job *job, qn_error *err);
