// SPDX-License-Identifier: Apache-2.0
// Combining the rows of a key by the job's own function: rows sorted by key are combined pair by pair, a
// whole column of pairs per call, in rounds, until each key has one row.
#pragma once
#include "plan/plan.h"

typedef struct qn_pair_combiner qn_pair_combiner;

/// Local. For a combine node.
qn_status qn_pair_combiner_new(const qn_dataset *node, qn_pair_combiner **out, qn_error *err);
void qn_pair_combiner_free(qn_pair_combiner *combiner);
/// A batch sorted by the node's keys, with one row per key of `sorted`, which must be sorted by them.
qn_status qn_pair_combiner_run(qn_pair_combiner *combiner, const qn_batch *sorted, qn_batch **out,
                               qn_error *err);
/// Whether row a of one batch and row b of another have the same key.
bool qn_pair_combiner_is_same(qn_pair_combiner *combiner, const qn_batch *a, int64_t row_a, const qn_batch *b,
                              int64_t row_b);
/// The rows of a batch sorted by the node's keys.
qn_status qn_pair_combiner_sort(qn_pair_combiner *combiner, const qn_batch *rows, qn_batch **out,
                                qn_error *err);
