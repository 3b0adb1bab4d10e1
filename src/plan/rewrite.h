// SPDX-License-Identifier: Apache-2.0
// The two passes of qn_plan_optimise().
#pragma once
#include "plan/plan.h"

/// A copy of a node with other inputs (n_inputs of them) that owns nothing but a reference to its schema.
qn_status qn_plan_copy_node(const qn_dataset *node, const qn_dataset *a, const qn_dataset *b,
                            qn_dataset **out, qn_error *err);
/// Gives a copy another schema (taken).
void qn_plan_set_schema_take(qn_dataset *node, qn_schema *schema);

/// Moves conditions down as far as they can go without changing what may fail, into the sources as bounds.
qn_status qn_plan_push_filters(const qn_dataset *root, const qn_dataset **out, qn_error *err);
/// Leaves out columns that nobody reads. The root keeps its columns.
qn_status qn_plan_prune_columns(const qn_dataset *root, const qn_dataset **out, qn_error *err);
/// How many rows of each partition, the first in the window's order, a filter of these conditions right above
/// a window can let through at most, provided that the window can do without the others; 0: no such limit.
int64_t qn_plan_first_rows(const qn_dataset *window, const qn_expr *const *conditions, int n_conditions);
