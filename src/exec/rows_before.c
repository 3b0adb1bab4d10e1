// SPDX-License-Identifier: Apache-2.0
// Every rank tells all others how many rows it has.
#include "exec/rows_before.h"
#include <stdlib.h>
#include <string.h>
#include "base/check.h"

qn_status qn_rows_before(qn_run *run, int64_t n_rows, int64_t *before, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer all = {0};
  int64_t *sizes = calloc((size_t)qn_comm_size(run->comm), sizeof *sizes);

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory");
  QN_TRY(qn_comm_gather(run->comm, &n_rows, sizeof n_rows, &all, sizes, err));
  *before = 0;
  for (int r = 0; r < qn_comm_rank(run->comm); r++) {
    int64_t rows = 0;
    memcpy(&rows, all.data + (size_t)r * sizeof rows, sizeof rows);
    *before += rows;
  }

done:
  free(sizes);
  qn_buffer_release(&all);
  return status;
}
