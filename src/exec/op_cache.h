// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "exec/run.h"
#include "exec/spool.h"

/// What a cache node holds on this rank once it is filled.
struct qn_cached {
  qn_spool *spool;
};

/// Passes rows on and keeps them; they stay kept if the run succeeds.
qn_status qn_make_cache(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err);
/// Frees the rows of all cache nodes of a plan.
void qn_cached_free_all(qn_plan *plan);
