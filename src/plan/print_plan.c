// SPDX-License-Identifier: Apache-2.0
// A plan as text: a line per node, inputs indented below.
#include "base/check.h"
#include "plan/plan.h"

static qn_status print_columns(const qn_dataset *node, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_buffer_printf(out, err, "  ["));
  for (int c = 0; c < node->schema->n_columns; c++) {
    QN_TRY(qn_buffer_printf(out, err, "%s%s", c == 0 ? "" : ", ", node->schema->fields[c].name));
  }
  QN_TRY(qn_buffer_printf(out, err, "]"));

done:
  return status;
}

static qn_status print_node(const qn_dataset *node, int depth, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_buffer_printf(out, err, "%*s%s", depth * 2, "", qn_node_name(node->kind)));
  if (node->text[0] != '\0') {
    QN_TRY(qn_buffer_printf(out, err, " %s", node->text));
  }
  if (node->n_bounds > 0) {
    QN_TRY(qn_buffer_printf(out, err, " (%d bounds)", node->n_bounds));
  }
  if (node->schema != NULL) {
    QN_TRY(print_columns(node, out, err));
  }
  QN_TRY(qn_buffer_printf(out, err, "\n"));
  for (int i = 0; i < node->n_inputs; i++) {
    QN_TRY(print_node(node->inputs[i], depth + 1, out, err));
  }

done:
  return status;
}

qn_status qn_plan_print(const qn_dataset *root, qn_buffer *out, qn_error *err) {
  return print_node(root, 0, out, err);
}
