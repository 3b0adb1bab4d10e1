// SPDX-License-Identifier: Apache-2.0
// Rows grouped by key with an accumulator per aggregate: the state behind reduce. Works on raw rows (keys and
// arguments are columns of the input) and on states (keys first, then each aggregate's state columns), which
// is how groups pass between ranks and through spill files.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "column/batch.h"
#include "plan/plan.h"

typedef struct qn_grouping qn_grouping;

/// Local. For a reduce node. The schemas live as long as the grouping.
qn_status qn_grouping_new(const qn_dataset *node, qn_grouping **out, qn_error *err);
void qn_grouping_free(qn_grouping *grouping);
/// The columns that states have: the node's keys, then hidden ones.
const qn_schema *qn_grouping_state_schema(const qn_grouping *grouping);
/// Adds raw rows. `first_order`: place in the input's order of the first row, for first().
qn_status qn_grouping_update(qn_grouping *grouping, const qn_batch *rows, int64_t first_order, qn_error *err);
/// Adds states.
qn_status qn_grouping_merge(qn_grouping *grouping, const qn_batch *states, qn_error *err);
/// Raw rows as states of one row each, without grouping them.
qn_status qn_grouping_wrap(qn_grouping *grouping, const qn_batch *rows, int64_t first_order, qn_batch **out,
                           qn_error *err);
/// hashes[i]: of the key of row i, as exchanges take it.
void qn_grouping_hash_rows(qn_grouping *grouping, const qn_batch *rows, uint64_t *hashes);
/// One group more if there is none yet, for aggregates over no rows at all.
qn_status qn_grouping_make_one(qn_grouping *grouping, qn_error *err);
int64_t qn_grouping_n_groups(const qn_grouping *grouping);
int64_t qn_grouping_n_bytes(const qn_grouping *grouping);
/// The states, or the results, of groups [first, first + n) as a batch.
qn_status qn_grouping_states(const qn_grouping *grouping, int64_t first, int64_t n, qn_batch **out,
                             qn_error *err);
qn_status qn_grouping_results(const qn_grouping *grouping, int64_t first, int64_t n, qn_batch **out,
                              qn_error *err);
/// The hash of each group's key, [n_groups].
const uint64_t *qn_grouping_hashes(const qn_grouping *grouping);
/// How many groups from `first` on may go into one batch of states: at most QN_BATCH_ROWS, fewer where states
/// are large (some MiB together).
int64_t qn_grouping_n_fitting(const qn_grouping *grouping, int64_t first);
/// Forgets all groups, keeps the memory for the next ones.
void qn_grouping_clear(qn_grouping *grouping);
/// Forgets all groups and gives their memory back.
qn_status qn_grouping_renew(qn_grouping *grouping, qn_error *err);
