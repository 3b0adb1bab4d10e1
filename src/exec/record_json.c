// SPDX-License-Identifier: Apache-2.0
// The record of a job as text: JSON for programs, a line or two for people.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/files.h"
#include "exec/budget.h"
#include "exec/job_state.h"
#include "exec/record_detail.h"
#include "exec/record_totals.h"

enum { LONGEST_TEXT = 100 }; // of a node's arguments, in a line for people

static const double UNEVEN = 1.2; // maximum over mean that is worth a word
enum { MANY_ROWS = 100000 };      // of the mean rank, for that
static const double NS_PER_SECOND = 1e9;

static double seconds(int64_t ns) {
  return (double)ns / NS_PER_SECOND;
}

// What is NULL for want of memory makes the whole NULL (json_object_set_new() gives -1, and is noticed by the
// caller at the end through *is_whole).
static void set(json_t *object, const char *name, json_t *value, bool *is_whole) {
  if (json_object_set_new(object, name, value) != 0) {
    *is_whole = false;
  }
}

static json_t *spread_of(const qn_record_totals *totals, int64_t at, int64_t n_ranks, bool *is_whole) {
  json_t *object = json_object();
  set(object, "sum", json_integer(totals->sum[at]), is_whole);
  set(object, "mean", json_real((double)totals->sum[at] / (double)n_ranks), is_whole);
  set(object, "max", json_integer(totals->max[at]), is_whole);
  set(object, "max_rank", json_integer(totals->max_rank[at]), is_whole);
  set(object, "balance", json_real(qn_record_balance(totals->sum[at], totals->max[at], n_ranks)), is_whole);
  return object;
}

static json_t *exchange_of(const qn_record_totals *totals, int64_t at, bool *is_whole) {
  json_t *object = json_object();
  set(object, "rows", json_integer(totals->sum[at + QN_COUNT_ROWS_SENT]), is_whole);
  set(object, "bytes", json_integer(totals->sum[at + QN_COUNT_BYTES_SENT]), is_whole);
  set(object, "messages", json_integer(totals->sum[at + QN_COUNT_MESSAGES_SENT]), is_whole);
  set(object, "wait_seconds", json_real(seconds(totals->sum[at + QN_COUNT_WAIT_NS])), is_whole);
  return object;
}

static json_t *time_of(const qn_record_totals *totals, int64_t at, bool *is_whole) {
  json_t *object = json_object();
  set(object, "sum", json_real(seconds(totals->sum[at])), is_whole);
  set(object, "max", json_real(seconds(totals->max[at])), is_whole);
  return object;
}

static json_t *op_json(const qn_op_record *op, const qn_record_totals *totals, int64_t at, int64_t n_ranks,
                       bool *is_whole) {
  json_t *object = json_object();
  set(object, "name", json_string(op->name), is_whole);
  if (op->node != NULL) {
    set(object, "node", json_sprintf("%s %s", qn_node_name(op->node->kind), op->node->text), is_whole);
    set(object, "node_id", json_integer(op->node->id), is_whole);
  }
  if (op->note != NULL) {
    set(object, "note", json_string(op->note), is_whole);
  }
  set(object, "is_spread", json_boolean(op->is_spread), is_whole);
  set(object, "rows", spread_of(totals, at + QN_COUNT_ROWS, n_ranks, is_whole), is_whole);
  set(object, "rows_in", json_integer(totals->sum[at + QN_COUNT_ROWS_IN]), is_whole);
  set(object, "batches_in", json_integer(totals->sum[at + QN_COUNT_BATCHES_IN]), is_whole);
  set(object, "bytes_spilled", spread_of(totals, at + QN_COUNT_BYTES_SPILLED, n_ranks, is_whole), is_whole);
  set(object, "n_spills", json_integer(totals->sum[at + QN_COUNT_SPILLS]), is_whole);
  set(object, "compute_seconds", time_of(totals, at + QN_COUNT_COMPUTE_NS, is_whole), is_whole);
  set(object, "wait_seconds", time_of(totals, at + QN_COUNT_ALL_WAIT_NS, is_whole), is_whole);
  set(object, "io_seconds", time_of(totals, at + QN_COUNT_IO_NS, is_whole), is_whole);
  set(object, "bytes_read", json_integer(totals->sum[at + QN_COUNT_BYTES_READ]), is_whole);
  set(object, "bytes_written", json_integer(totals->sum[at + QN_COUNT_BYTES_WRITTEN]), is_whole);
  set(object, "self_seconds", json_real(seconds(totals->max[at + QN_COUNT_SELF_NS])), is_whole);
  if (totals->max[at + QN_COUNT_ROWS_SENT] > 0) {
    set(object, "exchange", exchange_of(totals, at, is_whole), is_whole);
  }
  return object;
}

static json_t *runs_json(const qn_record *record, const qn_record_totals *totals, int64_t n_ranks,
                         bool *is_whole) {
  json_t *runs = json_array();
  const qn_run_record *run = record->first;
  int64_t at = 0;

  for (int64_t r = 0; r < totals->n_runs; r++, run = run->next) {
    json_t *object = json_object();
    json_t *ops = json_array();
    for (int64_t i = 0; i < totals->n_ops[r]; i++, at += QN_N_COUNTS) {
      json_t *op = op_json(&run->ops[i], totals, at, n_ranks, is_whole);
      *is_whole = json_array_append_new(ops, op) == 0 && *is_whole;
    }
    set(object, "action", run->action < 0 ? json_null() : json_integer(run->action), is_whole);
    set(object, "seconds", json_real(seconds(totals->max[at++])), is_whole);
    set(object, "operators", ops, is_whole);
    *is_whole = json_array_append_new(runs, object) == 0 && *is_whole;
  }
  return runs;
}

static json_t *ranks_json(const qn_record_totals *totals, int64_t n_ranks, bool *is_whole) {
  json_t *ranks = json_array();

  for (int64_t r = 0; r < n_ranks; r++) {
    qn_rank_memory memory;
    memcpy(&memory, totals->ranks.data + r * (int64_t)sizeof memory, sizeof memory);
    json_t *object = json_object();
    set(object, "rank", json_integer(r), is_whole);
    set(object, "budget_bytes", json_integer(memory.budget), is_whole);
    set(object, "peak_accounted_bytes", json_integer(memory.peak_accounted), is_whole);
    set(object, "peak_resident_bytes", json_integer(memory.peak_resident), is_whole);
    set(object, "start_resident_bytes", json_integer(memory.start_resident), is_whole);
    set(object, "bytes_spilled", json_integer(memory.spilled), is_whole);
    set(object, "bytes_read", json_integer(memory.bytes_read), is_whole);
    set(object, "bytes_written", json_integer(memory.bytes_written), is_whole);
    set(object, "bytes_sent", json_integer(memory.bytes_sent), is_whole);
    set(object, "io_seconds", json_real(seconds(memory.io_ns)), is_whole);
    set(object, "wait_seconds", json_real(seconds(memory.wait_ns)), is_whole);
    set(object, "cpu_seconds", json_real(seconds(memory.cpu_ns)), is_whole);
    *is_whole = json_array_append_new(ranks, object) == 0 && *is_whole;
  }
  return ranks;
}

// A folder that cannot be written any more does not make a job fail.
static void write_into_folder(qn_job *job, const char *text) {
  qn_error why_not = {0};
  char *path = qn_run_folder_file(job->run_folder, "record.json");

  if (path == NULL || qn_file_write_atomic(path, text, (int64_t)strlen(text), &why_not) != QN_OK) {
    qn_job_tell(job, "%s: there is no record in the folder of the run: %s\n", job->name, why_not.message);
  }
  free(path);
}

qn_status qn_record_write_json(const qn_record *record, const qn_record_totals *totals, qn_job *job,
                               const qn_error *error, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_ranks = qn_comm_size(job->comm);
  bool is_whole = true;
  json_t *root = NULL;
  char *text = NULL;

  if (record->path == NULL && job->run_folder == NULL) {
    return QN_OK;
  }
  root = json_object();

  set(root, "job", json_string(job->name), &is_whole);
  set(root, "n_ranks", json_integer(n_ranks), &is_whole);
  set(root, "mpi", json_string(qn_comm_library(job->comm)), &is_whole);
  set(root, "seconds", json_real(seconds(totals->wall_ns)), &is_whole);
  set(root, "budget_source", json_string(job->budget_source), &is_whole);
  set(root, "scratch", json_string(job->scratch), &is_whole);
  set(root, "error", error == NULL ? json_null() : json_string(error->message), &is_whole);
  set(root, "runs", runs_json(record, totals, n_ranks, &is_whole), &is_whole);
  set(root, "ranks", ranks_json(totals, n_ranks, &is_whole), &is_whole);
  set(root, "timeline", qn_timeline_json(record, totals, job), &is_whole);
  set(root, "timeline_left_out", json_integer(record->n_spans_left_out), &is_whole);
  set(root, "training", qn_training_json(record), &is_whole);
  set(root, "totals", qn_totals_json(totals, job), &is_whole);
  text = is_whole ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
  QN_REQUIRE(text != NULL, err, QN_ERR_MEMORY, "no memory to write the record of the job");
  if (job->run_folder != NULL) {
    write_into_folder(job, text);
  }
  if (record->path != NULL) {
    QN_TRY(qn_file_write_atomic(record->path, text, (int64_t)strlen(text), err));
  }

done:
  free(text);
  json_decref(root);
  return status;
}

void qn_record_print_notes(const qn_record *record, const qn_record_totals *totals, const char *name,
                           FILE *out) {
  const int64_t n_ranks = totals->ranks.size / (int64_t)sizeof(qn_rank_memory);
  const qn_run_record *run = record->first;
  const qn_op_record *uneven = NULL, *spilling = NULL;
  int64_t at = 0, uneven_at = 0, spilled = 0, most_spilled = 0;
  double worst = UNEVEN;

  for (int64_t r = 0; r < totals->n_runs; r++, run = run->next, at++) {
    for (int64_t i = 0; i < totals->n_ops[r]; i++, at += QN_N_COUNTS) {
      const int64_t rows = totals->sum[at + QN_COUNT_ROWS];
      const double balance = qn_record_balance(rows, totals->max[at + QN_COUNT_ROWS], n_ranks);
      if (run->ops[i].is_spread && rows >= MANY_ROWS * n_ranks && balance > worst) {
        worst = balance;
        uneven = &run->ops[i];
        uneven_at = at;
      }
      const int64_t bytes = totals->sum[at + QN_COUNT_BYTES_SPILLED];
      spilled += bytes;
      if (bytes > most_spilled) {
        most_spilled = bytes;
        spilling = &run->ops[i];
      }
    }
  }
  if (spilling != NULL) {
    fprintf(out, "%s: ", name);
    qn_print_bytes(out, spilled);
    fprintf(out, " spilled to scratch, most by '%s%s%.*s'\n", spilling->name,
            spilling->node != NULL ? " " : "", LONGEST_TEXT,
            spilling->node != NULL ? spilling->node->text : "");
  }
  if (uneven != NULL) {
    fprintf(out, "%s: rank %lld had %.2f times the mean rows of '%s%s%.*s'\n", name,
            (long long)totals->max_rank[uneven_at + QN_COUNT_ROWS], worst, uneven->name,
            uneven->node != NULL ? " " : "", LONGEST_TEXT, uneven->node != NULL ? uneven->node->text : "");
  }
}
