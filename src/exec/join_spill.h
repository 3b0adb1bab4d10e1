// SPDX-License-Identifier: Apache-2.0
// A join of sides that do not fit into memory: both are cut into partitions by hash bits and put out to
// scratch; the partitions are joined one after the other, with the smaller side of each as build side, and
// cut again where that is still too large. What cannot be cut, one key with more rows than memory holds, is
// built in pieces, and the other side is read again for each.
#pragma once
#include "exec/join_output.h"
#include "exec/run.h"
#include "exec/spool.h"

typedef struct qn_join_spill qn_join_spill;

/// True if a build side of so many rows and bytes can be a table while other operators work too.
bool qn_join_fits(int64_t n_rows, int64_t n_bytes);
/// All rows that are left in a spool as one batch; they are given up one after the other, so that they are
/// there twice only in part.
qn_status qn_join_take_rows(qn_spool *rows, const qn_schema *schema, qn_batch **out, qn_error *err);
/// Local. The number of partitions comes from `n_bytes` and n_rows, what the build side is expected to hold.
qn_status qn_join_spill_new(qn_run *run, const qn_join_output *output, int64_t n_rows, int64_t n_bytes,
                            qn_join_spill **out, qn_error *err);
void qn_join_spill_free(qn_join_spill *spill);
/// Rows of input `side` (0: left).
qn_status qn_join_spill_add(qn_join_spill *spill, int side, const qn_batch *batch, qn_error *err);
/// No more rows of a side: its writers give back their memory.
qn_status qn_join_spill_end(qn_join_spill *spill, int side, qn_error *err);
/// All rows are there: joins them.
qn_status qn_join_spill_finish(qn_join_spill *spill, qn_error *err);
