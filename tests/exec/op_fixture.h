// SPDX-License-Identifier: Apache-2.0
// Operator tests through the public interface: every rank knows all rows, gives its share of them to a job,
// and compares what the job collects with what it computed itself.
#pragma once
#include <stdio.h>
#include <quern/quern.h>
#include "base/memory.h"
#include "column/builder.h"
#include "comm/comm.h"
#include "kernel/sort_rows.h"
#include "kit/kit.h"

/// A job with a memory budget ("" for the default one).
static inline qn_job *fixture_open(const char *memory) {
  static const qn_job_about about = {.name = "test"};
  char option[64];
  char name[] = "test";
  char quiet[] = "--quiet";
  snprintf(option, sizeof option, "--memory=%s", memory);
  char *argv[] = {name, quiet, option, NULL};
  return qn_job_open(memory[0] == '\0' ? 2 : 3, argv, &about);
}

/// Closes a job that must have gone well.
static inline void fixture_close(qn_job *job) {
  QN_CHECK_INT(qn_job_close(job), 0);
}

/// This rank's share of `whole` as a dataset, in batches of some hundred rows. It has no order.
static inline qn_dataset *fixture_dataset(qn_job *job, const char *schema, const qn_batch *whole) {
  enum { PIECE = 700, MOST = 1000 };
  qn_batch *pieces[MOST] = {NULL};
  const int64_t first = whole->n_rows * qn_job_rank(job) / qn_job_n_ranks(job);
  const int64_t end = whole->n_rows * (qn_job_rank(job) + 1) / qn_job_n_ranks(job);
  int n = 0;
  for (int64_t row = first; row < end && n < MOST; row += PIECE) {
    QN_CHECK_OK(qn_batch_slice(whole, row, end - row < PIECE ? end - row : PIECE, &pieces[n++], &kit_error));
  }
  qn_dataset *dataset = qn_from_batches(job, schema, pieces, n);
  for (int i = 0; i < n; i++) {
    qn_batch_free(pieces[i]);
  }
  return dataset;
}

/// `batch` sorted by columns columns[0 .. n - 1], then by all others.
static inline qn_batch *fixture_sorted(const qn_batch *batch, const int *columns, const qn_order *orders,
                                       int n) {
  const qn_column *keys[64];
  qn_order all[64] = {{false, false}};
  int32_t *rows = calloc((size_t)batch->n_rows + 1, sizeof *rows);
  qn_batch *out = NULL;
  for (int k = 0; k < n; k++) {
    keys[k] = &batch->columns[columns[k]];
    all[k] = orders[k];
  }
  for (int c = 0; c < batch->n_columns; c++) {
    all[n + c] = (qn_order){false, false};
    keys[n + c] = &batch->columns[c];
  }
  QN_CHECK_OK(qn_sort_rows(keys, all, n + batch->n_columns, batch->n_rows, rows, &kit_error));
  QN_CHECK_OK(qn_batch_gather(batch, rows, batch->n_rows, &out, &kit_error));
  free(rows);
  return out;
}

/// The rows that rank 0 collects are those of `wanted`, in that order.
static inline void fixture_check(qn_job *job, qn_dataset *dataset, const qn_batch *wanted) {
  qn_batch *found = NULL;
  QN_CHECK_INT(qn_collect(dataset, &found), QN_OK);
  if (found != NULL && qn_job_rank(job) == 0) {
    char *text = kit_batch_text(wanted);
    QN_CHECK_BATCH(found, text);
    free(text);
  }
  qn_batch_free(found);
}

/// The job has failed with a message that contains `part`; it is closed.
static inline void fixture_check_failed(qn_job *job, qn_status status, const char *part) {
  kit_check_status(qn_job_status(job, &kit_error), status, &kit_error, __FILE__, __LINE__, part);
  QN_CHECK_MESSAGE(part);
  QN_CHECK_INT(qn_job_close(job), 1);
}

/// Runs tests with MPI started, and gives main its exit code.
static inline int fixture_main(void (*tests)(void)) {
  qn_comm *comm = NULL;
  QN_CHECK_OK(qn_comm_open(&comm, &kit_error));
  tests();
  const int result = kit_result();
  qn_comm_close(comm);
  return result;
}
