// SPDX-License-Identifier: Apache-2.0
// Sorted rows batch by batch; between them other ranks are listened to.
#include "exec/sorted_output.h"
#include "base/check.h"

qn_status qn_push_sorted(const qn_op *op, qn_sorter *sorter, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;

  QN_TRY(qn_sorter_finish(sorter, err));
  while (n_rows > 0 && !qn_op_is_full(op->next)) {
    QN_TRY(qn_sorter_next(sorter, &batch, err));
    if (batch == NULL) {
      break;
    }
    if (n_rows < batch->n_rows) {
      qn_batch *first = NULL;
      QN_TRY(qn_batch_slice(batch, 0, n_rows, &first, err));
      qn_batch_free(batch);
      batch = first;
    }
    n_rows -= batch->n_rows;
    QN_TRY(qn_op_push(op->next, batch, err));
    qn_batch_free(batch);
    batch = NULL;
    QN_TRY(qn_comm_poll(op->run->comm, err));
  }

done:
  qn_batch_free(batch);
  return status;
}
