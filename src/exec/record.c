// SPDX-License-Identifier: Apache-2.0
// Keeping the record of a job, and bringing it together. The ranks make the same runs with the same operators
// in the same order, so sums and maxima over the ranks of plain arrays of numbers do: memory does not grow
// with the number of ranks.
#include "exec/record.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "base/check.h"
#include "base/clock.h"
#include "base/io_account.h"
#include "base/memory.h"
#include "base/system_files.h"
#include "exec/job_state.h"
#include "exec/record_totals.h"
#include "record/energy.h"

// Of this program: getrusage() also counts what the process was before it became this program.
int64_t qn_peak_resident(void) {
  int64_t bytes = qn_own_bytes("VmHWM:");
  struct rusage usage = {0};
  if (bytes < 0 && getrusage(RUSAGE_SELF, &usage) == 0) {
    bytes = (int64_t)usage.ru_maxrss * 1024;
  }
  return bytes;
}

void qn_record_start(qn_record *record) {
  record->start_ns = qn_clock_ns();
  record->start_resident = qn_own_bytes("VmRSS:");
  record->joules = qn_energy_now();
}

void qn_record_release(qn_record *record) {
  qn_buffer_release(&record->spans);
}

void qn_op_note_exchange(qn_op *op, const qn_exchange *exchange) {
  op->exchanged = qn_exchange_counted(exchange);
  op->has_exchanged = true;
}

static qn_op_record describe(const qn_op *op, int n_ranks) {
  const bool is_exchange = op->has_exchanged && n_ranks > 1;
  const qn_op *named = op;
  while (named->node == NULL && named->next != NULL) {
    named = named->next;
  }
  return (qn_op_record){
      .node = named->node,
      .name = op->ops->name,
      .is_spread = op->is_spread && is_exchange,
      .counts = {[QN_COUNT_ROWS] = is_exchange ? op->exchanged.rows_received : op->rows_in,
                 [QN_COUNT_ROWS_IN] = op->rows_in,
                 [QN_COUNT_BATCHES_IN] = op->batches_in,
                 [QN_COUNT_SELF_NS] = op->self_ns,
                 [QN_COUNT_BYTES_SPILLED] = op->bytes_spilled,
                 [QN_COUNT_SPILLS] = op->n_spills,
                 [QN_COUNT_ROWS_SENT] = op->exchanged.rows_sent,
                 [QN_COUNT_BYTES_SENT] = op->exchanged.bytes_sent,
                 [QN_COUNT_MESSAGES_SENT] = op->exchanged.messages_sent,
                 [QN_COUNT_WAIT_NS] = op->exchanged.wait_ns,
                 [QN_COUNT_ALL_WAIT_NS] = op->wait_ns,
                 [QN_COUNT_IO_NS] = op->io_ns,
                 [QN_COUNT_COMPUTE_NS] =
                     op->self_ns > op->wait_ns + op->io_ns ? op->self_ns - op->wait_ns - op->io_ns : 0,
                 [QN_COUNT_BYTES_READ] = op->bytes_read,
                 [QN_COUNT_BYTES_WRITTEN] = op->bytes_written},
  };
}

qn_status qn_record_keep(qn_record *record, qn_arena *arena, const qn_run *run, int64_t wall_ns,
                         qn_error *err) {
  qn_status status = QN_OK;
  const qn_action *now = &run->job->action;
  const int64_t action = now->depth > 0 ? now->number : -1;
  qn_run_record *kept = qn_arena_alloc(arena, sizeof *kept);
  qn_op_record *ops = qn_arena_alloc(arena, (int64_t)sizeof *ops * (run->n_ops + 1));

  QN_REQUIRE(kept != NULL && ops != NULL, err, QN_ERR_MEMORY, "no memory for the record of a run");
  for (int i = 0; i < run->n_ops; i++) {
    ops[i] = describe(run->ops[i], qn_comm_size(run->comm));
    if (run->ops[i]->note != NULL) {
      ops[i].note = qn_arena_string(arena, run->ops[i]->note);
    }
  }
  *kept = (qn_run_record){.ops = ops, .n_ops = run->n_ops, .wall_ns = wall_ns, .action = action};
  *(record->last != NULL ? &record->last->next : &record->first) = kept;
  record->last = kept;
  record->n_runs++;

done:
  return status;
}

// --- Bringing it together

void qn_record_totals_release(qn_record_totals *totals) {
  qn_memory_free(totals->n_ops);
  qn_memory_free(totals->sum);
  qn_memory_free(totals->max);
  qn_memory_free(totals->max_rank);
  qn_memory_free(totals->span_sizes);
  qn_buffer_release(&totals->spans);
  qn_buffer_release(&totals->ranks);
  *totals = (qn_record_totals){0};
}

// [n_runs] operators that all ranks have: one that only some made last is left out.
static qn_status count_ops(const qn_record *record, qn_comm *comm, qn_record_totals *totals, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n_runs = record->n_runs;

  QN_TRY(
      qn_comm_reduce_int64(comm, QN_MIN, &n_runs, 1, err)); // one rank may have had no memory for its record
  totals->n_ops = qn_memory_alloc((n_runs + 1) * (int64_t)sizeof *totals->n_ops);
  QN_REQUIRE(totals->n_ops != NULL, err, QN_ERR_MEMORY, "no memory for the record of %lld runs",
             (long long)n_runs);
  int64_t i = 0;
  for (const qn_run_record *run = record->first; i < n_runs && run != NULL; run = run->next) {
    totals->n_ops[i++] = run->n_ops;
  }
  QN_TRY(qn_comm_reduce_int64(comm, QN_MIN, totals->n_ops, n_runs, err));
  totals->n_runs = n_runs;

done:
  return status;
}

// This rank's numbers: those of the operators of each run, behind them the run's time.
static void fill_values(const qn_record *record, const qn_record_totals *totals, int64_t *values) {
  const qn_run_record *run = record->first;
  for (int64_t r = 0; r < totals->n_runs && run != NULL; r++, run = run->next) {
    for (int64_t i = 0; i < totals->n_ops[r]; i++) {
      memcpy(values, run->ops[i].counts, sizeof run->ops[i].counts);
      values += QN_N_COUNTS;
    }
    *values++ = run->wall_ns;
  }
}

static qn_status reduce_values(const qn_record *record, qn_comm *comm, qn_record_totals *totals,
                               qn_error *err) {
  qn_status status = QN_OK;
  int64_t *own = NULL;
  int64_t n = totals->n_runs;

  for (int64_t r = 0; r < totals->n_runs; r++) {
    n += totals->n_ops[r] * QN_N_COUNTS;
  }
  const int64_t bytes = (n + 1) * (int64_t)sizeof *own;
  own = qn_memory_alloc(bytes);
  totals->sum = qn_memory_alloc(bytes);
  totals->max = qn_memory_alloc(bytes);
  totals->max_rank = qn_memory_alloc(bytes);
  QN_REQUIRE(own != NULL && totals->sum != NULL && totals->max != NULL && totals->max_rank != NULL, err,
             QN_ERR_MEMORY, "no memory for the record of the job");
  fill_values(record, totals, own);
  memcpy(totals->sum, own, (size_t)(n * (int64_t)sizeof *own));
  memcpy(totals->max, own, (size_t)(n * (int64_t)sizeof *own));
  QN_TRY(qn_comm_reduce_int64(comm, QN_SUM, totals->sum, n, err));
  QN_TRY(qn_comm_reduce_int64(comm, QN_MAX, totals->max, n, err));
  for (int64_t i = 0; i < n; i++) {
    totals->max_rank[i] = own[i] == totals->max[i] ? qn_comm_rank(comm) : qn_comm_size(comm);
  }
  QN_TRY(qn_comm_reduce_int64(comm, QN_MIN, totals->max_rank, n, err));

done:
  qn_memory_free(own);
  return status;
}

static int64_t cpu_ns(void) {
  struct rusage usage = {0};
  getrusage(RUSAGE_SELF, &usage);
  const int64_t us = (int64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 + us * 1000;
}

// What this node has used meanwhile, said by its first rank.
static double joules_since(double before, const qn_comm *comm) {
  return qn_comm_node_rank(comm) == 0 ? qn_energy_since(before) : 0;
}

static qn_status gather_ranks(const qn_record *record, qn_comm *comm, qn_record_totals *totals,
                              qn_error *err) {
  qn_status status = QN_OK;
  const qn_io_account io = qn_io_counted();
  const qn_rank_memory own = {.budget = qn_memory_budget(),
                              .peak_accounted = qn_memory_peak(),
                              .peak_resident = qn_peak_resident(),
                              .start_resident = record->start_resident,
                              .spilled = qn_memory_spilled(),
                              .bytes_read = io.bytes_read,
                              .bytes_written = io.bytes_written,
                              .bytes_sent = qn_comm_bytes_sent(comm),
                              .io_ns = io.ns,
                              .wait_ns = qn_comm_waited_ns(comm),
                              .cpu_ns = cpu_ns(),
                              .joules = joules_since(record->joules, comm)};
  int64_t *sizes = qn_memory_alloc(qn_comm_size(comm) * (int64_t)sizeof *sizes);

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory for the record of the job");
  QN_TRY(qn_comm_gather(comm, &own, sizeof own, &totals->ranks, sizes, err));

done:
  qn_memory_free(sizes);
  return status;
}

enum { MOST_RANKS_SHOWN = 64 };

// At most that many ranks, evenly chosen, rank 0 among them.
static bool is_shown(int64_t rank, int64_t n_ranks) {
  return n_ranks <= MOST_RANKS_SHOWN || rank == 0 ||
         rank * MOST_RANKS_SHOWN / n_ranks != (rank - 1) * MOST_RANKS_SHOWN / n_ranks;
}

static qn_status gather_spans(const qn_record *record, qn_comm *comm, qn_record_totals *totals,
                              qn_error *err) {
  const int64_t size = is_shown(qn_comm_rank(comm), qn_comm_size(comm)) ? record->spans.size : 0;

  totals->span_sizes = qn_memory_alloc(qn_comm_size(comm) * (int64_t)sizeof *totals->span_sizes);
  if (totals->span_sizes == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory for the record of the job");
  }
  return qn_comm_gather(comm, record->spans.data, size, &totals->spans, totals->span_sizes, err);
}

static qn_status bring_together(const qn_record *record, qn_comm *comm, qn_record_totals *totals,
                                qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(count_ops(record, comm, totals, err));
  QN_TRY(reduce_values(record, comm, totals, err));
  QN_TRY(gather_ranks(record, comm, totals, err));
  QN_TRY(gather_spans(record, comm, totals, err));

done:
  return status;
}

qn_status qn_record_finish(const qn_record *record, qn_job *job, const qn_error *error, qn_error *err) {
  qn_status status = QN_OK;
  qn_record_totals totals = {.wall_ns = qn_clock_ns() - record->start_ns};

  QN_TRY(qn_comm_agree(job->comm, bring_together(record, job->comm, &totals, err), err));
  if (qn_comm_rank(job->comm) == 0) {
    if (!job->is_quiet) {
      qn_record_print_notes(record, &totals, job->name, stderr);
    }
    status = qn_record_write_json(record, &totals, job, error, err);
  }
  status = qn_comm_agree(job->comm, status, err);

done:
  qn_record_totals_release(&totals);
  return status;
}
