// SPDX-License-Identifier: Apache-2.0
// The feeds: what stands in front of a pipeline and pushes batches into it.
#pragma once
#include "exec/run.h"
#include "exec/spool.h"

/// Splits of a source, claimed while running, or, in order, a run of them fixed for each rank.
qn_status qn_source_feed_new(qn_run *run, const qn_dataset *node, bool in_order, qn_feed **out,
                             qn_error *err);
/// The batches of a node on this rank.
qn_status qn_local_feed_new(qn_run *run, const qn_dataset *node, qn_feed **out, qn_error *err);
/// Rows from a callback, claimed a piece at a time.
qn_status qn_generate_feed_new(qn_run *run, const qn_dataset *node, bool in_order, qn_feed **out,
                               qn_error *err);
/// The rows of a spool, which stays the caller's.
qn_status qn_spool_feed_new(qn_run *run, const qn_dataset *node, qn_spool *spool, qn_feed **out,
                            qn_error *err);
