// SPDX-License-Identifier: Apache-2.0
// Brings the rows of one side of a join to where they are joined: by the route of their key, through one
// exchange a route. Rows that cannot have a partner are not sent.
#pragma once
#include "exec/join_choice.h"
#include "exec/join_local.h"
#include "kernel/bloom_filter.h"

typedef struct qn_join_move qn_join_move;

/// Collective in that all ranks make their moves in the same order. Rows of input `side` go to locals[route]
/// (those that are NULL are not needed): as build rows, if it is the choice's build side, else as probe rows.
/// All but run is borrowed.
qn_status qn_join_move_new(qn_run *run, const qn_dataset *node, const qn_join_choice *choice, int side,
                           qn_join_local *const *locals, qn_join_move **out, qn_error *err);
void qn_join_move_free(qn_join_move *move);
/// May deliver and wait.
qn_status qn_join_move_rows(qn_join_move *move, const qn_batch *batch, qn_error *err);
/// Collective. All rows of this rank have been moved; returns when those of all ranks are in place.
qn_status qn_join_move_finish(qn_join_move *move, qn_error *err);
/// Collective, after the finish of a build side: the filters of all ranks, rank 0's first, choice's
/// n_bloom_blocks each.
qn_status qn_join_move_gather_bloom(qn_join_move *move, qn_buffer *out, qn_error *err);
/// Probe rows whose key is not in these filters (borrowed) are not sent.
void qn_join_move_use_bloom(qn_join_move *move, const qn_buffer *filters);

typedef struct qn_join_move_counts {
  qn_exchange_counts exchanges; // all together
  int64_t n_handled;            // rows that came to this rank's locals
  int64_t n_filtered;           // rows that the Bloom filter kept from being sent
} qn_join_move_counts;
qn_join_move_counts qn_join_move_counted(const qn_join_move *move);
