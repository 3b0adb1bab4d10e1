// SPDX-License-Identifier: Apache-2.0
// One run of a plan: build, run the pipelines, agree, commit, clean up.
#include "exec/run.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "exec/job_state.h"
#include "exec/record.h"
#include "exec/record_spans.h"
#include "exec/rejects.h"
#include "exec/sinks.h"

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
  qn_status status =
      make_room(&run->pipelines, run->n_pipelines, &run->pipelines_capacity, sizeof *run->pipelines, err);
  if (status == QN_OK) {
    status = qn_op_new(run, feed->counts_as, feed->node, NULL, &feed->op, err);
  }
  if (status != QN_OK) {
    feed->close(feed);
    return status;
  }
  run->pipelines[run->n_pipelines++] = (qn_pipeline){.feed = feed, .first = first};
  return QN_OK;
}

qn_op *qn_run_enter(qn_run *run, qn_op *op) {
  qn_op *outer = run->current;
  const int64_t now = qn_clock_ns();
  const int64_t waited = qn_comm_waited_ns(run->comm);
  const qn_io_account io = qn_io_counted();
  if (outer != NULL) {
    outer->self_ns += now - run->entered_ns;
    outer->bytes_spilled += qn_memory_spilled() - run->entered_spilled;
    outer->n_spills += qn_memory_n_spills() - run->entered_spills;
    outer->wait_ns += waited - run->entered_waited;
    outer->io_ns += io.ns - run->entered_io.ns;
    outer->bytes_read += io.bytes_read - run->entered_io.bytes_read;
    outer->bytes_written += io.bytes_written - run->entered_io.bytes_written;
  }
  qn_progress_look(run->job, now);
  run->current = op;
  run->entered_ns = now;
  run->entered_spilled = qn_memory_spilled();
  run->entered_spills = qn_memory_n_spills();
  run->entered_waited = waited;
  run->entered_io = io;
  return outer;
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

static qn_status run_pipeline(qn_run *run, const qn_pipeline *pipeline, qn_error *err) {
  qn_status status = QN_OK;
  qn_span span = qn_span_start(run->job);

  QN_TRY(pipeline->feed->run(pipeline->feed, pipeline->first, err));
  QN_TRY(qn_op_finish(pipeline->first, err));

done:
  qn_span_name_pipeline(&span, pipeline);
  qn_span_end(run->job, &span);
  return status;
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
  qn_note_plan(job, plan);
  QN_TRY(sink->make(sink->ctx, run, plan, &last, err));
  QN_TRY(qn_build(run, plan, sink->in_order, last, err));
  for (int i = 0; i < run->n_pipelines; i++) {
    run->pipeline = i;
    QN_TRY(run_pipeline(run, &run->pipelines[i], err));
  }
  QN_TRY(qn_rejects_write(job->rejects, run->comm, err));

done:
  return status;
}

static qn_status run_once(qn_job *job, const qn_dataset *dataset, const qn_sink *sink) {
  qn_error err = {0};
  qn_run run = {.job = job, .comm = job->comm, .scratch = job->scratch, .start_ns = qn_clock_ns()};
  const int64_t start = run.start_ns;

  job->progress.run = &run;
  qn_status status = qn_comm_agree(run.comm, run_here(&run, dataset, sink, &err), &err);
  if (status == QN_OK && sink->commit != NULL) {
    status = qn_comm_agree(run.comm, sink->commit(sink->ctx, &run, &err), &err);
  }
  if (status != QN_OK && sink->undo != NULL) {
    sink->undo(sink->ctx, &run);
  }
  run.has_succeeded = status == QN_OK;
  if (run.has_succeeded) {
    const qn_status kept = qn_record_keep(&job->record, &job->arena, &run, qn_clock_ns() - start, &err);
    if (kept != QN_OK && job->pending == QN_OK) { // known to this rank only
      job->pending = kept;
      job->pending_error = err;
    }
  }
  job->progress.run = NULL;
  job->progress.n_runs++;
  close_run(&run);
  return qn_job_keep_error(job, status, &err);
}

// ways[id]: on how many ways a run of `root` comes to a node: 0, 1, or 2 for more. What lies below a cache is
// run once for it. Inputs are made before what reads them, so their ids are smaller.
static void count_ways(const qn_dataset *root, uint8_t *ways) {
  ways[root->id] = 1;
  for (int id = root->id; id >= 0; id--) {
    const qn_dataset *node = root->plan->nodes[id];
    const bool is_cache = node->kind == QN_NODE_CACHE;
    const int more = is_cache && ways[id] > 0 ? 1 : ways[id];
    for (int i = 0; i < node->n_inputs && !(is_cache && *node->cached != NULL); i++) {
      const int sum = ways[node->inputs[i]->id] + more;
      ways[node->inputs[i]->id] = sum > 2 ? 2 : (uint8_t)sum;
    }
  }
}

// A run goes through a plan as through a tree. So that a cache which several of its branches read is made
// once, it is filled before; without that a loop over cached datasets would take exponential time.
static qn_status fill_shared_caches(qn_job *job, const qn_dataset *root) {
  qn_status status = QN_OK;
  qn_error err = {0};
  uint8_t *ways = calloc((size_t)root->id + 1, 1);

  if (ways == NULL) {
    status = qn_fail(&err, QN_ERR_MEMORY, "no memory to run a plan");
  }
  status = qn_job_keep_error(job, qn_comm_agree(job->comm, status, &err), &err);
  if (status != QN_OK || ways == NULL) {
    free(ways);
    return status;
  }
  count_ways(root, ways);
  for (int id = 0; id < root->id && status == QN_OK; id++) {
    const qn_dataset *node = root->plan->nodes[id];
    if (ways[id] > 1 && node->kind == QN_NODE_CACHE && *node->cached == NULL) {
      qn_count_sink count = {0};
      const qn_sink sink = qn_count_sink_of(&count);
      status = run_once(job, node, &sink);
    }
  }
  free(ways);
  return status;
}

qn_status qn_run_plan(qn_job *job, const qn_dataset *dataset, const qn_sink *sink) {
  if (dataset == NULL || dataset->status != QN_OK || qn_job_check(job, NULL) != QN_OK) {
    const qn_status known = qn_job_check(job, NULL);
    return known != QN_OK ? known : QN_ERR_ARG;
  }
  const qn_status status = fill_shared_caches(job, dataset);
  return status != QN_OK ? status : run_once(job, dataset, sink);
}
