// SPDX-License-Identifier: Apache-2.0
// The record of a job: what each operator of each run did on each rank. Kept while the job runs, without a
// word between the ranks; brought together once, when the job is closed.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "exec/run.h"

/// What is counted of an operator on a rank.
typedef enum qn_op_count {
  QN_COUNT_ROWS,    // that it worked on: after its exchange, if it has one of its own, else that came in
  QN_COUNT_ROWS_IN, // that were pushed into it
  QN_COUNT_BATCHES_IN,
  QN_COUNT_SELF_NS, // time in it and not in the operators behind it, waiting included
  QN_COUNT_BYTES_SPILLED,
  QN_COUNT_SPILLS, // spill files, or parts of shared ones
  QN_COUNT_ROWS_SENT,
  QN_COUNT_BYTES_SENT,
  QN_COUNT_MESSAGES_SENT,
  QN_COUNT_WAIT_NS,     // of its exchange
  QN_COUNT_ALL_WAIT_NS, // of self_ns: waiting for others in whatever way
  QN_COUNT_IO_NS,       // of self_ns: reading and writing
  QN_COUNT_COMPUTE_NS,  // the rest of it
  QN_COUNT_BYTES_READ,
  QN_COUNT_BYTES_WRITTEN,
  QN_N_COUNTS
} qn_op_count;

typedef struct qn_op_record {
  const qn_dataset *node; // that it works for, or the first behind it that works for one; or NULL
  const char *name;
  const char *note; // or NULL
  bool is_spread;   // it has an exchange that is meant to give all ranks the same work
  int64_t counts[QN_N_COUNTS];
} qn_op_record;

typedef struct qn_run_record {
  struct qn_run_record *next;
  qn_op_record *ops; // sink first
  int64_t n_ops;
  int64_t wall_ns;
  int64_t action; // -1: none
} qn_run_record;

/// The curve of a training; NaN where a number is not known.
typedef struct qn_training_record {
  struct qn_training_record *next;
  int64_t action;
  const char *estimator;
  int64_t n_steps;
  const int64_t *steps; // [n_steps], as the others
  const double *losses, *gradients;
} qn_training_record;

typedef struct qn_record {
  const char *path; // where it is written at the end; NULL: nowhere
  int64_t start_ns;
  int64_t origin_ns;      // when all ranks had begun
  int64_t start_resident; // bytes that the process had when the job was opened
  qn_run_record *first, *last;
  int64_t n_runs;
  qn_buffer spans; // qn_span, of this rank
  int64_t n_spans_left_out;
  qn_training_record *first_training, *last_training;
  double joules; // of this node, at the start, on its first rank; NaN: not readable
} qn_record;

/// Local. Starts the clock.
void qn_record_start(qn_record *record);
/// Local. Keeps what the operators of a run that went well have counted, in `arena`.
qn_status qn_record_keep(qn_record *record, qn_arena *arena, const qn_run *run, int64_t wall_ns,
                         qn_error *err);
/// Local. Keeps the curve of a training: arrays of n_steps, which are copied; steps are thinned out if they
/// are many.
qn_status qn_record_training(qn_job *job, const char *estimator, int64_t n_steps, const int64_t *steps,
                             const double *losses, const double *gradients, qn_error *err);
void qn_record_release(qn_record *record);
/// Local. Adds what an exchange of the operator did; once, when it is finished.
void qn_op_note_exchange(qn_op *op, const qn_exchange *exchange);
/// Collective. Brings the record together and writes it, if that is wanted, by rank 0 as JSON; `error` (of
/// the job, or NULL) goes into it. Rank 0 says on stderr, unless is_quiet, what spilled or was uneven.
/// Errors: QN_ERR_IO.
qn_status qn_record_finish(const qn_record *record, qn_job *job, const qn_error *error, qn_error *err);

/// Peak resident bytes of this process since its program was started.
int64_t qn_peak_resident(void);
