// SPDX-License-Identifier: Apache-2.0
// Timeline, trainings and totals of a record.
#include "exec/record_detail.h"
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "exec/job_state.h"
#include "exec/record_spans.h"

static const double NS = 1e9;
enum { MOST_STEPS = 2000 };

static json_t *number_or_null(double value) {
  return isfinite(value) ? json_real(value) : json_null();
}

json_t *qn_timeline_json(const qn_record *record, const qn_record_totals *totals, const qn_job *job) {
  json_t *timeline = json_array();
  const uint8_t *at = totals->spans.data;

  for (int rank = 0; rank < qn_comm_size(job->comm); rank++) {
    const uint8_t *end = at + totals->span_sizes[rank];
    for (; at < end; at += sizeof(qn_span)) {
      qn_span span;
      memcpy(&span, at, sizeof span);
      span.name[QN_SPAN_NAME - 1] = '\0';
      size_t n = strlen(span.name); // it may have been cut within a character
      json_t *name = json_stringn(span.name, n);
      while (name == NULL && n > 0) {
        name = json_stringn(span.name, --n);
      }
      json_array_append_new(timeline,
                            json_pack("{s:i, s:I, s:o, s:f, s:f, s:f, s:f}", "rank", rank, "action",
                                      (json_int_t)span.action, "name", name, "start",
                                      (double)span.start_ns / NS, "end", (double)span.end_ns / NS, "wait",
                                      (double)span.wait_ns / NS, "io", (double)span.io_ns / NS));
    }
  }
  (void)record;
  return timeline;
}

qn_status qn_record_training(qn_job *job, const char *estimator, int64_t n_steps, const int64_t *steps,
                             const double *losses, const double *gradients, qn_error *err) {
  qn_status status = QN_OK;
  qn_record *record = &job->record;
  const int64_t every = n_steps / MOST_STEPS + 1; // the last step is kept in any case
  const int64_t n_kept = (n_steps + every - 1) / every;
  qn_training_record *kept = qn_arena_alloc(&job->arena, sizeof *kept);
  int64_t *kept_steps = qn_arena_alloc(&job->arena, (n_kept + 1) * (int64_t)sizeof *kept_steps);
  double *numbers = qn_arena_alloc(&job->arena, 2 * (n_kept + 1) * (int64_t)sizeof *numbers);

  QN_REQUIRE(kept != NULL && kept_steps != NULL && numbers != NULL, err, QN_ERR_MEMORY,
             "no memory for the record of a training");
  for (int64_t i = 0; i < n_kept; i++) {
    const int64_t from = n_steps - 1 - (n_kept - 1 - i) * every;
    kept_steps[i] = steps[from];
    numbers[i] = losses[from];
    numbers[n_kept + i] = gradients[from];
  }
  *kept = (qn_training_record){.action = job->action.depth > 0 ? job->action.number : -1,
                               .estimator = estimator,
                               .n_steps = n_kept,
                               .steps = kept_steps,
                               .losses = numbers,
                               .gradients = numbers + n_kept};
  *(record->last_training != NULL ? &record->last_training->next : &record->first_training) = kept;
  record->last_training = kept;

done:
  return status;
}

// [0.9, null]; empty if none is known.
static json_t *numbers_json(const double *values, int64_t n) {
  json_t *array = json_array();
  bool is_known = false;

  for (int64_t i = 0; i < n; i++) {
    is_known = is_known || isfinite(values[i]);
    json_array_append_new(array, number_or_null(values[i]));
  }
  if (!is_known) {
    json_array_clear(array);
  }
  return array;
}

json_t *qn_training_json(const qn_record *record) {
  json_t *trainings = json_array();

  for (const qn_training_record *training = record->first_training; training != NULL;
       training = training->next) {
    json_t *steps = json_array();
    for (int64_t i = 0; i < training->n_steps; i++) {
      json_array_append_new(steps, json_integer(training->steps[i]));
    }
    json_array_append_new(trainings,
                          json_pack("{s:I, s:s, s:o, s:o, s:o}", "action", (json_int_t)training->action,
                                    "estimator", training->estimator, "steps", steps, "loss",
                                    numbers_json(training->losses, training->n_steps), "gradient_norm",
                                    numbers_json(training->gradients, training->n_steps)));
  }
  return trainings;
}

// Cores of all nodes that the job may use; as many as ranks if that is not known.
static int64_t n_cores(const qn_job *job) {
  const json_t *attempt = job->run_folder == NULL ? NULL : qn_run_folder_this_attempt(job->run_folder);
  const json_t *nodes = json_object_get(attempt, "nodes");
  int64_t n = 0;

  for (size_t i = 0; i < json_array_size(nodes); i++) {
    n += json_integer_value(json_object_get(json_array_get(nodes, i), "cpus"));
  }
  return n > 0 ? n : qn_comm_size(job->comm);
}

json_t *qn_totals_json(const qn_record_totals *totals, const qn_job *job) {
  const int64_t n_ranks = totals->ranks.size / (int64_t)sizeof(qn_rank_memory);
  const int64_t cores = n_cores(job);
  qn_rank_memory sum = {0};

  for (int64_t r = 0; r < n_ranks; r++) {
    qn_rank_memory rank;
    memcpy(&rank, totals->ranks.data + r * (int64_t)sizeof rank, sizeof rank);
    sum.bytes_read += rank.bytes_read;
    sum.bytes_written += rank.bytes_written;
    sum.bytes_sent += rank.bytes_sent;
    sum.spilled += rank.spilled;
    sum.io_ns += rank.io_ns;
    sum.wait_ns += rank.wait_ns;
    sum.cpu_ns += rank.cpu_ns;
    sum.joules += rank.joules;
  }
  return json_pack("{s:I, s:f, s:f, s:f, s:f, s:o, s:I, s:I, s:I, s:I}", "cores", (json_int_t)cores,
                   "core_hours", (double)totals->wall_ns / NS * (double)cores / 3600, "cpu_seconds",
                   (double)sum.cpu_ns / NS, "wait_seconds", (double)sum.wait_ns / NS, "io_seconds",
                   (double)sum.io_ns / NS, "joules", number_or_null(sum.joules), "bytes_read",
                   (json_int_t)sum.bytes_read, "bytes_written", (json_int_t)sum.bytes_written, "bytes_sent",
                   (json_int_t)sum.bytes_sent, "bytes_spilled", (json_int_t)sum.spilled);
}
