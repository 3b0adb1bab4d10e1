// SPDX-License-Identifier: Apache-2.0
// Whether an exchange is needed is what the plan says, the same on every rank.
#include "exec/key_exchange.h"

qn_status qn_make_key_exchange(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  const qn_dataset *input = node->inputs[0];

  if (qn_comm_size(run->comm) == 1 ||
      (node->n_keys > 0 && qn_plan_is_partitioned(input, node->keys, node->n_keys))) {
    *out = next;
    return QN_OK;
  }
  return qn_make_hash_exchange(run, input->schema, node->keys, node->n_keys, next, out, err);
}
