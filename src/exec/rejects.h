// SPDX-License-Identifier: Apache-2.0
// Reject files: the malformed rows that CSV readers found during a run, gathered and written by rank 0 when
// the run has succeeded.
#pragma once
#include "base/buffer.h"
#include "column/batch.h"
#include "comm/comm.h"

/// One per reader with a reject file; a list in its job.
struct qn_rejects {
  struct qn_rejects *next;
  const char *path;
  qn_buffer rows;    // of this rank in this run: CSV text, each row led by file and byte offset for sorting
  int64_t n_rows;    // of this rank in this run
  int64_t n_written; // rows that the file has, all ranks together; -1: no file yet
};
typedef struct qn_rejects qn_rejects;

qn_status qn_rejects_new(const char *path, qn_rejects **out, qn_error *err);
/// A qn_csv_reject_fn; ctx is the qn_rejects.
qn_status qn_rejects_add(void *ctx, const char *file, int64_t byte_offset, const char *column,
                         const char *reason, qn_text text, qn_error *err);
/// Local. Forgets what the run so far has found.
void qn_rejects_clear(qn_rejects *list);
/// Collective, inside a run. Gathers; rank 0 writes each file whole if the run found more than any before (a
/// run may have stopped reading early).
qn_status qn_rejects_write(qn_rejects *list, qn_comm *comm, qn_error *err);
/// Frees the whole list. NULL is allowed.
void qn_rejects_free(qn_rejects *list);
