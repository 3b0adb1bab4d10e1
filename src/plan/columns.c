// SPDX-License-Identifier: Apache-2.0
// Hidden selects. Their names begin with "__", which keeps them apart from what people write.
#include "plan/columns.h"

#include <string.h>

#include "base/check.h"

qn_status qn_plan_column_expr(qn_plan *plan, const qn_schema *schema, int column, const qn_expr **out,
                              qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};

  QN_TRY(qn_buffer_append(&text, "\"", 1, err));
  for (const char *c = schema->fields[column].name; *c != '\0'; c++) {
    QN_TRY(qn_buffer_append(&text, c, 1, err));
    if (*c == '"') {
      QN_TRY(qn_buffer_append(&text, c, 1, err));
    }
  }
  QN_TRY(qn_buffer_append(&text, "\"", 1, err));
  QN_TRY(qn_buffer_terminate(&text, err));
  QN_TRY(qn_expr_bind((const char *)text.data, "column", schema, &plan->arena, out, err));

done:
  qn_buffer_release(&text);
  return status;
}

qn_status qn_plan_select_node(const qn_dataset *in, const qn_named_expr *exprs, int n_exprs, const char *text,
                              const qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_plan *plan = in->plan;
  qn_field *fields = qn_arena_alloc(&plan->arena, (int64_t)sizeof *fields * (n_exprs + 1));
  qn_dataset *node = qn_plan_node(plan, QN_NODE_SELECT, in, NULL, text);

  QN_REQUIRE(node != NULL && fields != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int i = 0; i < n_exprs; i++) {
    fields[i].name = (char *)(uintptr_t)exprs[i].name;
    fields[i].type = qn_expr_type(exprs[i].expr);
  }
  QN_TRY(qn_schema_new(fields, n_exprs, &node->schema, err));
  node->exprs = exprs;
  node->n_exprs = n_exprs;
  *out = node;

done:
  return status;
}

qn_status qn_plan_add_columns(const qn_dataset *in, const qn_expr *const *exprs, int n_exprs,
                              const qn_dataset **out, int *columns, qn_error *err) {
  qn_status status = QN_OK;
  qn_plan *plan = in->plan;
  const int n_in = in->schema->n_columns;
  qn_named_expr *all = qn_arena_alloc(&plan->arena, (int64_t)sizeof *all * (n_in + n_exprs + 1));
  int n_all = n_in;

  QN_REQUIRE(all != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int i = 0; i < n_exprs; i++) {
    columns[i] = qn_expr_column(exprs[i]);
    if (columns[i] < 0) {
      columns[i] = n_all;
      all[n_all].expr = exprs[i];
      all[n_all].name = qn_arena_printf(&plan->arena, "__%d_%d", plan->n_nodes, i);
      n_all++;
    }
  }
  if (n_all == n_in) {
    *out = in;
    goto done;
  }
  for (int c = 0; c < n_in; c++) {
    all[c].name = in->schema->fields[c].name;
    QN_TRY(qn_plan_column_expr(plan, in->schema, c, &all[c].expr, err));
  }
  QN_TRY(qn_plan_select_node(in, all, n_all, "", out, err));

done:
  return status;
}

qn_status qn_plan_keep_columns(const qn_dataset *in, const int *columns, int n_columns,
                               const qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_plan *plan = in->plan;
  bool is_same = n_columns == in->schema->n_columns;
  qn_named_expr *exprs = qn_arena_alloc(&plan->arena, (int64_t)sizeof *exprs * (n_columns + 1));

  QN_REQUIRE(exprs != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int i = 0; i < n_columns; i++) {
    is_same = is_same && columns[i] == i;
    exprs[i].name = in->schema->fields[columns[i]].name;
    QN_TRY(qn_plan_column_expr(plan, in->schema, columns[i], &exprs[i].expr, err));
  }
  if (is_same) {
    *out = in;
  } else {
    QN_TRY(qn_plan_select_node(in, exprs, n_columns, "", out, err));
  }

done:
  return status;
}
