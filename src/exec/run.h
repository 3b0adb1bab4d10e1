// SPDX-License-Identifier: Apache-2.0
// Running a plan. A run builds, for a plan node and a sink, chains of operators (push style: each gets a
// batch and pushes what it makes into the next one) and pipelines (a source of batches in front of a chain),
// and runs the pipelines one after the other. Operators that need all their rows first (aggregate, sort, join
// build) keep them on push and go on in finish.
//
// Order of a run: a pipeline pushes all its batches, then calls finish of its first operator, which ends with
// calling finish of the next. After the last pipeline all ranks agree on the status (qn_comm_agree); a rank
// that fails earlier goes there at once, so no operator ever needs to agree by itself.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/io_account.h"
#include "column/builder.h"
#include "comm/comm.h"
#include "comm/exchange.h"
#include "plan/plan.h"

typedef struct qn_run qn_run;
typedef struct qn_op qn_op;

typedef struct qn_op_ops {
  const char *name;
  size_t state_size; // of the operator's struct, which begins with a qn_op; allocated and zeroed by qn_op_new
  bool is_streaming; // rows go on one by one: if the next operator wants no more, nor does this one
  /// A batch of rows; borrowed for the call (share it to keep it).
  qn_status (*push)(qn_op *op, const qn_batch *batch, qn_error *err);
  /// All rows of this rank have come. Pushes what is left into op->next, then finishes that (qn_op_finish).
  qn_status (*finish)(qn_op *op, qn_error *err);
  /// Frees what the state holds; called once for every operator made, whatever happened. May be NULL.
  void (*close)(qn_op *op);
} qn_op_ops;

struct qn_op {
  const qn_op_ops *ops;
  qn_run *run;
  qn_op *next;            // NULL for a sink
  const qn_dataset *node; // the plan node it works for; NULL for inner ones
  bool is_full;           // wants no more rows (limit); its pipeline may stop early, and then calls finish
  bool is_spread;         // has an exchange that is to give all ranks the same work
  bool has_exchanged;     // `exchanged` is filled in
  const char *note;       // what it decided, for the record (rank 0's counts), in the run's arena; or NULL

  // What it did on this rank, for the record of the job. All but the exchange is counted by the calls below.
  int64_t rows_in, batches_in;
  int64_t self_ns; // in it, and not in the operators it calls
  int64_t bytes_spilled, n_spills;
  int64_t wait_ns, io_ns; // of self_ns: waiting for others, reading and writing
  int64_t bytes_read, bytes_written;
  qn_exchange_counts exchanged; // see qn_op_note_exchange() in record.h
};

/// Local. Makes an operator in front of `next`; the run closes it. The caller fills in the rest of its state.
qn_status qn_op_new(qn_run *run, const qn_op_ops *ops, const qn_dataset *node, qn_op *next, qn_op **out,
                    qn_error *err);

/// Local. From here on what is spilled and the time that passes is counted for `op` (NULL: for nobody).
/// Returns for whom it was before.
qn_op *qn_run_enter(qn_run *run, qn_op *op);

static inline qn_status qn_op_push(qn_op *op, const qn_batch *batch, qn_error *err) {
  op->rows_in += batch->n_rows;
  op->batches_in++;
  qn_op *outer = qn_run_enter(op->run, op);
  const qn_status status = op->ops->push(op, batch, err);
  qn_run_enter(op->run, outer);
  return status;
}
static inline bool qn_op_is_full(const qn_op *op) {
  while (op->ops->is_streaming && !op->is_full && op->next != NULL) {
    op = op->next;
  }
  return op->is_full;
}
static inline qn_status qn_op_finish(qn_op *op, qn_error *err) {
  qn_op *outer = qn_run_enter(op->run, op);
  const qn_status status = op->ops->finish(op, err);
  qn_run_enter(op->run, outer);
  return status;
}

/// What a pipeline reads.
typedef struct qn_feed {
  const qn_op_ops *counts_as;      // its name in the record
  const qn_dataset *node;          // that it reads
  qn_op *op;                       // what it reads is counted here; made with the pipeline
  int64_t n_splits, n_splits_done; // of all ranks; of this one. 0: not known
  qn_status (*run)(struct qn_feed *feed, qn_op *first, qn_error *err); // pushes all batches of this rank
  void (*close)(struct qn_feed *feed);
} qn_feed;

struct qn_run {
  qn_job *job;
  qn_comm *comm;
  const char *scratch;
  bool has_succeeded; // set before the operators are closed: caches keep their rows only then
  qn_arena arena;
  qn_op **ops;
  int n_ops, ops_capacity;
  struct qn_pipeline *pipelines;
  int n_pipelines, pipelines_capacity;
  qn_op *current; // see qn_run_enter()
  int64_t entered_ns, entered_spilled, entered_spills, entered_waited;
  qn_io_account entered_io;
  int pipeline; // that runs
  int64_t start_ns;
};
typedef struct qn_pipeline {
  qn_feed *feed;
  qn_op *first;
} qn_pipeline;

/// Local. Makes the operators for `node` in front of `next`, and its pipelines, appended in the order they
/// must run. in_order: rows must come in the node's order (see qn_plan_has_order), so its sources are read in
/// order.
qn_status qn_build(qn_run *run, const qn_dataset *node, bool in_order, qn_op *next, qn_error *err);
/// Local. Appends a pipeline; the run closes the feed, also on failure.
qn_status qn_run_add_pipeline_take(qn_run *run, qn_feed *feed, qn_op *first, qn_error *err);

/// Collective. Optimises the plan of `dataset` and runs it into a sink. `make_sink` makes the last operator.
/// After the pipelines `commit` (may be NULL) is called on every rank when all have agreed that all went
/// well, and its result is agreed again. Fails at once if the job has failed.
typedef struct qn_sink {
  qn_status (*make)(void *ctx, qn_run *run, const qn_dataset *node, qn_op **out, qn_error *err);
  qn_status (*commit)(void *ctx, qn_run *run, qn_error *err);
  void (*undo)(void *ctx, qn_run *run); // the run failed: remove half-written output
  bool in_order;                        // rows are wanted in order where they have one
  void *ctx;
} qn_sink;
qn_status qn_run_plan(qn_job *job, const qn_dataset *dataset, const qn_sink *sink);

// --- The makers of operators, one file each: each makes what `node` needs in front of `next` and gives the
// first operator in *out -----

qn_status qn_make_filter(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err);
qn_status qn_make_select(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err);
qn_status qn_make_map(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err);
qn_status qn_make_extend(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err);
qn_status qn_make_sample(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err);
qn_status qn_make_limit(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err);
qn_status qn_make_zip(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err);
/// n_inputs pipelines end in it; it goes on when the last one has finished.
qn_status qn_make_union(qn_run *run, const qn_dataset *node, int n_inputs, qn_op *next, qn_op **out,
                        qn_error *err);
qn_status qn_make_shuffle(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err);
qn_status qn_make_reduce(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err);
/// True if an aggregate of the node (first) depends on the rows' order; then its input is read in order where
/// it has one.
bool qn_reduce_wants_order(const qn_dataset *node);
qn_status qn_make_combine(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err);
qn_status qn_make_distinct(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err);
qn_status qn_make_group(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err);
qn_status qn_make_sort(qn_run *run, const qn_dataset *node, bool input_has_order, qn_op *next, qn_op **out,
                       qn_error *err);
qn_status qn_make_top(qn_run *run, const qn_dataset *node, bool input_has_order, qn_op *next, qn_op **out,
                      qn_error *err);
/// In front of a window whose node->n is not 0: drops rows that cannot be among the first n of their
/// partition. Where that does not make rows fewer, or takes too much memory, it lets them pass.
qn_status qn_make_first_rows(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err);
qn_status qn_make_window(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err);
/// *right takes the right side's rows, *left the left's; the right's pipelines must be appended first.
qn_status qn_make_join(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **right, qn_op **left,
                       qn_error *err);

// --- Exchanges as operators (op_exchange.c): rows go through to the right rank and on into next
// -----------------------

/// By hash (qn_hash_columns, qn_hash_to_range) of columns of the schema; n_keys 0: all rows to rank 0.
qn_status qn_make_hash_exchange(qn_run *run, const qn_schema *schema, const int *keys, int n_keys,
                                qn_op *next, qn_op **out, qn_error *err);
/// All rows to one rank; in_rank_order: rank 0's first, ...
qn_status qn_make_gather_exchange(qn_run *run, const qn_schema *schema, int destination, bool in_rank_order,
                                  qn_op *next, qn_op **out, qn_error *err);
