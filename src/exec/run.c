// SPDX-License-Identifier: Apache-2.0
// One run of a plan: build, run the pipelines, agree, commit, clean up.
#include "exec/run.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "exec/job_state.h"
#include "exec/rejects.h"

// Room for one more in an array that doubles; entries are pointers or small structs in malloc memory.
static qn_status make_room(void *array, int n, int *capacity, size_t entry_size, qn_error *err) {
  if (n < *capacity) {
    return QN_OK;
  }
  void *old = NULL;
  memcpy(&old, array, sizeof old);
  const int more = *capacity == 0 ? 16 : *capacity * 2;
  void *grown = realloc(old, entry_size * (size_t)more);
  if (grown == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory for the operators of a run");
  }
  memcpy(array, &grown, sizeof grown);
  *capacity = more;
  return QN_OK;
}

qn_status qn_op_new(qn_run *run, const qn_op_ops *ops, const qn_dataset *node, qn_op *next, qn_op **out,
                    qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(make_room(&run->ops, run->n_ops, &run->ops_capacity, sizeof *run->ops, err));
  qn_op *op = qn_arena_alloc(&run->arena, (int64_t)ops->state_size);
  QN_REQUIRE(op != NULL, err, QN_ERR_MEMORY, "no memory for operator '%s'", ops->name);
  op->ops = ops;
  op->run = run;
  op->next = next;
  op->node = node;
  run->ops[run->n_ops++] = op;
  *out = op;

done:
  return status;
}

qn_status qn_run_add_pipeline_take(qn_run *run, qn_feed *feed, qn_op *first, qn_error *err) {
  const qn_status status =
      make_room(&run->pipelines, run->n_pipelines, &run->pipelines_capacity, sizeof *run->pipelines, err);
  if (status != QN_OK) {
    feed->close(feed);
    return status;
  }
  run->pipelines[run->n_pipelines++] = (qn_pipeline){.feed = feed, .first = first};
  return QN_OK;
}

static void close_run(qn_run *run) {
  for (int i = run->n_ops - 1; i >= 0; i--) {
    if (run->ops[i]->ops->close != NULL) {
      run->ops[i]->ops->close(run->ops[i]);
    }
  }
  for (int i = 0; i < run->n_pipelines; i++) {
    run->pipelines[i].feed->close(run->pipelines[i].feed);
  }
  free(run->ops);
  free(run->pipelines);
  qn_arena_release(&run->arena);
}

// The part of a run that may fail on one rank only.
static qn_status run_here(qn_run *run, const qn_dataset *dataset, const qn_sink *sink, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *plan = NULL;
  qn_op *last = NULL;
  qn_job *job = run->job;

  if (job->pending != QN_OK) {
    *err = job->pending_error;
    status = job->pending;
    goto done;
  }
  qn_rejects_clear(job->rejects);
  QN_TRY(qn_plan_optimise(dataset, &plan, err));
  QN_TRY(sink->make(sink->ctx, run, plan, &last, err));
  QN_TRY(qn_build(run, plan, sink->in_order, last, err));
  for (int i = 0; i < run->n_pipelines; i++) {
    qn_pipeline *pipeline = &run->pipelines[i];
    QN_TRY(pipeline->feed->run(pipeline->feed, pipeline->first, err));
    QN_TRY(qn_op_finish(pipeline->first, err));
  }
  QN_TRY(qn_rejects_write(job->rejects, run->comm, err));

done:
  return status;
}

qn_status qn_run_plan(qn_job *job, const qn_dataset *dataset, const qn_sink *sink) {
  qn_error err = {0};
  qn_run run = {.job = job, .comm = job->comm, .scratch = job->scratch};

  if (dataset == NULL || dataset->status != QN_OK || qn_job_check(job, NULL) != QN_OK) {
    const qn_status known = qn_job_check(job, NULL);
    return known != QN_OK ? known : QN_ERR_ARG;
  }
  qn_status status = qn_comm_agree(run.comm, run_here(&run, dataset, sink, &err), &err);
  if (status == QN_OK && sink->commit != NULL) {
    status = qn_comm_agree(run.comm, sink->commit(sink->ctx, &run, &err), &err);
  }
  if (status != QN_OK && sink->undo != NULL) {
    sink->undo(sink->ctx, &run);
  }
  run.has_succeeded = status == QN_OK;
  close_run(&run);
  return qn_job_keep_error(job, status, &err);
}
