// SPDX-License-Identifier: Apache-2.0
// Sinks that end in memory: collect and count.
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "exec/sinks.h"

typedef struct collect_op {
  qn_op op;
  qn_collect_sink *sink;
  qn_batch_builder builder;
} collect_op;

static qn_status push_collect(qn_op *op, const qn_batch *batch, qn_error *err) {
  return qn_batch_builder_append_range(&((collect_op *)op)->builder, batch, 0, batch->n_rows, err);
}

static qn_status finish_collect(qn_op *op, qn_error *err) {
  collect_op *state = (collect_op *)op;
  return qn_batch_builder_finish(&state->builder, &state->sink->batch, err);
}

static void close_collect(qn_op *op) {
  qn_batch_builder_release(&((collect_op *)op)->builder);
}

static const qn_op_ops collect_ops = {.name = "collect",
                                      .state_size = sizeof(collect_op),
                                      .push = push_collect,
                                      .finish = finish_collect,
                                      .close = close_collect};

static qn_status make_collect(void *ctx, qn_run *run, const qn_dataset *node, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_op *op = NULL;

  QN_TRY(qn_op_new(run, &collect_ops, node, NULL, &op, err));
  collect_op *state = (collect_op *)op;
  state->sink = ctx;
  QN_TRY(qn_batch_builder_init(&state->builder, node->schema, err));
  QN_TRY(qn_make_gather_exchange(run, node->schema, 0, true, op, out, err));

done:
  return status;
}

static void undo_collect(void *ctx, qn_run *run) {
  qn_collect_sink *sink = ctx;

  (void)run;
  qn_batch_free(sink->batch);
  sink->batch = NULL;
}

qn_sink qn_collect_sink_of(qn_collect_sink *collect) {
  return (qn_sink){.make = make_collect, .undo = undo_collect, .in_order = true, .ctx = collect};
}

typedef struct count_op {
  qn_op op;
  qn_count_sink *sink;
} count_op;

static qn_status push_count(qn_op *op, const qn_batch *batch, qn_error *err) {
  (void)err;
  ((count_op *)op)->sink->n_rows += batch->n_rows;
  return QN_OK;
}

static qn_status finish_count(qn_op *op, qn_error *err) {
  return qn_comm_reduce_int64(op->run->comm, QN_SUM, &((count_op *)op)->sink->n_rows, 1, err);
}

static const qn_op_ops count_ops = {
    .name = "count", .state_size = sizeof(count_op), .push = push_count, .finish = finish_count};

static qn_status make_count(void *ctx, qn_run *run, const qn_dataset *node, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_op_new(run, &count_ops, node, NULL, out, err));
  ((count_op *)*out)->sink = ctx;

done:
  return status;
}

qn_sink qn_count_sink_of(qn_count_sink *count) {
  return (qn_sink){.make = make_count, .ctx = count};
}
