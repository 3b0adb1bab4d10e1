// SPDX-License-Identifier: Apache-2.0
// The build side of a hash join in memory, and probing it a batch at a time.
#pragma once
#include "plan/plan.h"

typedef struct qn_join_table qn_join_table;

/// Takes joined rows; the batch has the node's schema and is borrowed for the call.
typedef qn_status (*qn_joined_fn)(void *ctx, const qn_batch *joined, qn_error *err);

/// Local. A table over all rows of `build` (right side; shared) for a join node. At most 2^31 - 1 rows.
qn_status qn_join_table_new(const qn_dataset *node, const qn_batch *build, qn_joined_fn joined, void *ctx,
                            qn_join_table **out, qn_error *err);
void qn_join_table_free(qn_join_table *table);
/// Rows of the left side.
qn_status qn_join_table_probe(qn_join_table *table, const qn_batch *probe, qn_error *err);
/// After the last probe: the build rows of a right or full join that found no partner.
qn_status qn_join_table_finish(qn_join_table *table, qn_error *err);
