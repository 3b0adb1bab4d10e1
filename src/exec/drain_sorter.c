// SPDX-License-Identifier: Apache-2.0
#include "exec/drain_sorter.h"
#include "base/check.h"

qn_status qn_drain_sorter(qn_sorter *sorter, qn_comm *comm,
                          qn_status (*visit)(void *ctx, const qn_batch *batch, qn_error *err), void *ctx,
                          qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;

  QN_TRY(qn_sorter_finish(sorter, err));
  for (;;) {
    QN_TRY(qn_sorter_next(sorter, &batch, err));
    if (batch == NULL) {
      break;
    }
    QN_TRY(visit(ctx, batch, err));
    qn_batch_free(batch);
    batch = NULL;
    QN_TRY(qn_comm_poll(comm, err));
  }

done:
  qn_batch_free(batch);
  return status;
}
