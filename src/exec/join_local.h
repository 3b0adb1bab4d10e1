// SPDX-License-Identifier: Apache-2.0
// What one rank joins by itself, within its budget: build rows are added, then built into a table or put into
// partitions; probe rows may come at any time.
#pragma once
#include "comm/node_memory.h"
#include "exec/join_output.h"
#include "exec/join_table.h"
#include "exec/run.h"

typedef struct qn_join_local qn_join_local;

/// What is known of the build rows before they come.
typedef struct qn_join_expected {
  int64_t n_rows, n_bytes; // about; 0: nothing is known
  bool in_table;           // they must be one table whatever they take
  qn_node_memory *memory;  // for a table that is the same on all ranks of the node, taken over; or NULL
} qn_join_expected;

/// Local. build_side 0: left. `output` is borrowed.
qn_status qn_join_local_new(qn_run *run, const qn_join_output *output, int build_side,
                            const qn_join_expected *expected, qn_join_local **out, qn_error *err);
void qn_join_local_free(qn_join_local *local);
/// Build rows, before qn_join_local_build().
qn_status qn_join_local_add(qn_join_local *local, const qn_batch *batch, qn_error *err);
/// No more build rows. Collective with expected.memory.
qn_status qn_join_local_build(qn_join_local *local, qn_error *err);
/// Probe rows; before the build they are kept.
qn_status qn_join_local_probe(qn_join_local *local, const qn_batch *batch, qn_error *err);
/// Collective, when no more probe rows come on any rank: the build rows are the same in the same order on all
/// ranks and are a table. Afterwards each has had a partner if it has had one on any rank, and comes out by
/// itself on one.
qn_status qn_join_local_combine(qn_join_local *local, qn_error *err);
/// No more probe rows: joins those that came too early, partitions, and hands on build rows that come out by
/// themselves.
qn_status qn_join_local_finish(qn_join_local *local, qn_error *err);
/// True if the ranks of the node have its table together.
bool qn_join_local_is_shared(const qn_join_local *local);
/// What it was built into, for the notes of a run.
const char *qn_join_local_kind(const qn_join_local *local);
