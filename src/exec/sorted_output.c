// SPDX-License-Identifier: Apache-2.0
// Sorted rows batch by batch; between them other ranks are listened to.
#include "exec/sorted_output.h"
#include <stdlib.h>
#include "base/check.h"

// The first n_rows rows of the batch and the leading columns.
static qn_status trim(const qn_batch *batch, const qn_schema *schema, const int *columns, int64_t n_rows,
                      qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *first = NULL;

  if (n_rows < batch->n_rows) {
    QN_TRY(qn_batch_slice(batch, 0, n_rows, &first, err));
  } else {
    first = qn_batch_share(batch);
  }
  QN_TRY(qn_batch_project(first, schema, columns, out, err));

done:
  qn_batch_free(first);
  return status;
}

qn_status qn_push_sorted(const qn_op *op, qn_sorter *sorter, const qn_schema *schema, int64_t n_rows,
                         qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL, *given = NULL;
  int *columns = calloc((size_t)schema->n_columns + 1, sizeof *columns);

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for %d columns", schema->n_columns);
  for (int c = 0; c < schema->n_columns; c++) {
    columns[c] = c;
  }
  QN_TRY(qn_sorter_finish(sorter, err));
  while (n_rows > 0 && !qn_op_is_full(op->next)) {
    QN_TRY(qn_sorter_next(sorter, &batch, err));
    if (batch == NULL) {
      break;
    }
    QN_TRY(trim(batch, schema, columns, n_rows, &given, err));
    qn_batch_free(batch);
    batch = NULL;
    n_rows -= given->n_rows;
    QN_TRY(qn_op_push(op->next, given, err));
    qn_batch_free(given);
    given = NULL;
    QN_TRY(qn_comm_poll(op->run->comm, err));
  }

done:
  free(columns);
  qn_batch_free(batch);
  qn_batch_free(given);
  return status;
}
