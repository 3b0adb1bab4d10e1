// SPDX-License-Identifier: Apache-2.0
// Small results on every rank: what rank 0 has collected goes to the others.
#include "ml/collect_all.h"
#include "base/check.h"
#include "column/wire.h"
#include "exec/job_state.h"

qn_status qn_collect_all(qn_dataset *data, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  qn_block *block = NULL;
  qn_buffer bytes = {0};

  *out = NULL;
  if (data == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory for a plan");
  }
  qn_job *job = data->plan->job;
  status = qn_collect(data, &batch);
  if (status != QN_OK) { // every rank knows
    const qn_status known = qn_job_status(job, err);
    return known != QN_OK ? known : status;
  }
  if (qn_comm_rank(job->comm) == 0) {
    QN_TRY(qn_wire_encode(batch, &bytes, err));
  }
  QN_TRY(qn_comm_broadcast(job->comm, 0, &bytes, err));
  const int64_t size = bytes.size;
  QN_TRY(qn_block_from_buffer_take(&bytes, &block, err));
  qn_batch_free(batch);
  batch = NULL;
  QN_TRY(qn_wire_decode(data->schema, block, block->memory, size, &batch, err));

done:
  status = qn_comm_agree(job->comm, status, err);
  qn_buffer_release(&bytes);
  qn_block_free(block);
  if (status == QN_OK) {
    *out = batch;
  } else {
    qn_batch_free(batch);
  }
  return status;
}
