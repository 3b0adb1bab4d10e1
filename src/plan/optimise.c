// SPDX-License-Identifier: Apache-2.0
// From the plan as written to the plan that runs.
#include "base/check.h"
#include "plan/rewrite.h"

qn_status qn_plan_copy_node(const qn_dataset *node, const qn_dataset *a, const qn_dataset *b,
                            qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_dataset *copy = qn_plan_node(node->plan, node->kind, a, b, node->text);

  QN_REQUIRE(copy != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  const qn_dataset made = *copy;
  *copy = *node;
  copy->id = made.id;
  copy->inputs[0] = a;
  copy->inputs[1] = b;
  copy->schema = qn_schema_share(node->schema);
  copy->owned_source = NULL;
  copy->owned_bounds = NULL;
  copy->n_owned_bounds = 0;
  copy->owned_batches = NULL;
  copy->n_owned_batches = 0;
  *out = copy;

done:
  return status;
}

void qn_plan_set_schema_take(qn_dataset *node, qn_schema *schema) {
  qn_schema_free(node->schema);
  node->schema = schema;
}

qn_status qn_plan_optimise(const qn_dataset *root, const qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *pushed = NULL;

  QN_TRY(qn_plan_push_filters(root, &pushed, err));
  QN_TRY(qn_plan_prune_columns(pushed, out, err));

done:
  return status;
}
