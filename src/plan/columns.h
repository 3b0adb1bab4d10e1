// SPDX-License-Identifier: Apache-2.0
// Turning expressions into columns: a hidden select below a node, and one above that drops them again.
#pragma once
#include "plan/plan.h"

/// An expression that is just column `column` of the schema.
qn_status qn_plan_column_expr(qn_plan *plan, const qn_schema *schema, int column, const qn_expr **out,
                              qn_error *err);
/// A select node with given expressions over `in`.
qn_status qn_plan_select_node(const qn_dataset *in, const qn_named_expr *exprs, int n_exprs, const char *text,
                              const qn_dataset **out, qn_error *err);
/// *out has the columns of `in`, and behind them one for each expression that is no bare column; columns[i]
/// says where expression i stands. If all are bare columns *out is `in`.
qn_status qn_plan_add_columns(const qn_dataset *in, const qn_expr *const *exprs, int n_exprs,
                              const qn_dataset **out, int *columns, qn_error *err);
/// The columns of `in` at `columns` only; `in` itself if that is all of them in order.
qn_status qn_plan_keep_columns(const qn_dataset *in, const int *columns, int n_columns,
                               const qn_dataset **out, qn_error *err);
