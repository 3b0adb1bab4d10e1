// SPDX-License-Identifier: Apache-2.0
// A plan as text: a line per node, inputs indented below.
#include "base/check.h"
#include "plan/estimate.h"
#include "plan/plan.h"

// An operator leaves room in the budget for its tables and for the buffers around it.
static const double USABLE_PART = 0.5;

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

// "7", "1.5 million"; "3.2 MiB".
static qn_status print_amount(double amount, bool is_bytes, qn_buffer *out, qn_error *err) {
  if (is_bytes) {
    const bool is_large = amount >= 0x1p30;
    const double unit = is_large ? 0x1p30 : amount >= 0x1p20 ? 0x1p20 : 0x1p10;
    return qn_buffer_printf(out, err, "%.3g %s", amount / unit,
                            is_large           ? "GiB"
                            : amount >= 0x1p20 ? "MiB"
                                               : "KiB");
  }
  return amount >= 1e6 ? qn_buffer_printf(out, err, "%.3g million", amount / 1e6)
                       : qn_buffer_printf(out, err, "%.0f", amount);
}

// What a node that keeps rows is expected to keep.
static qn_status print_kept(const qn_dataset *node, const qn_resources *resources, qn_buffer *out,
                            qn_error *err) {
  qn_status status = QN_OK;
  const qn_estimate kept = qn_plan_estimate_kept(node, resources);
  const double rows = kept.rows / resources->n_ranks;
  const double bytes = rows * kept.row_bytes;
  const double usable = USABLE_PART * (double)resources->budget;

  if (kept.rows > 0) {
    QN_TRY(qn_buffer_printf(out, err, "  (keeps%s about ",
                            node->kind == QN_NODE_JOIN ? " of the right side" : ""));
    QN_TRY(print_amount(rows, false, out, err));
    QN_TRY(qn_buffer_printf(out, err, " rows, "));
    QN_TRY(print_amount(bytes, true, out, err));
    QN_TRY(qn_buffer_printf(out, err, " per rank: "));
    if (resources->budget <= 0 || bytes <= usable) {
      QN_TRY(qn_buffer_printf(out, err, "fits)"));
    } else {
      QN_TRY(qn_buffer_printf(out, err, "will spill, %.2g times what fits)", bytes / usable));
    }
  }

done:
  return status;
}

static qn_status print_node(const qn_dataset *node, int depth, const qn_resources *resources,
                            int64_t max_bytes, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;

  if (out->size > max_bytes) {
    return QN_OK;
  }
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
  if (node->schema != NULL && resources != NULL) {
    QN_TRY(print_kept(node, resources, out, err));
  }
  QN_TRY(qn_buffer_printf(out, err, "\n"));
  for (int i = 0; i < node->n_inputs; i++) {
    QN_TRY(print_node(node->inputs[i], depth + 1, resources, max_bytes, out, err));
  }

done:
  return status;
}

qn_status qn_plan_print(const qn_dataset *root, qn_buffer *out, qn_error *err) {
  return print_node(root, 0, NULL, INT64_MAX, out, err);
}

qn_status qn_plan_print_expected(const qn_dataset *root, const qn_resources *resources, qn_buffer *out,
                                 qn_error *err) {
  return print_node(root, 0, resources, INT64_MAX, out, err);
}

qn_status qn_plan_print_up_to(const qn_dataset *root, const qn_resources *resources, int64_t max_bytes,
                              qn_buffer *out, qn_error *err) {
  return print_node(root, 0, resources, max_bytes, out, err);
}
