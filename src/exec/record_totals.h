// SPDX-License-Identifier: Apache-2.0
// The record of a job over all ranks, and its two forms: a file for programs, a line for people.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include "base/buffer.h"
#include "exec/record.h"

/// Of one rank, in bytes; -1 where the system does not say.
typedef struct qn_rank_memory {
  int64_t budget, peak_accounted, peak_resident, start_resident, spilled;
  int64_t bytes_read, bytes_written, bytes_sent; // of files; to other ranks
  int64_t io_ns, wait_ns, cpu_ns;
  double joules; // of its node if it is the first there, else 0; NaN: not readable
} qn_rank_memory;

/// The values of a run are the counts of its n_ops[run] operators, [QN_N_COUNTS] each, and its wall time; the
/// runs lie one behind the other.
typedef struct qn_record_totals {
  int64_t n_runs;
  int64_t *n_ops; // [n_runs]
  int64_t *sum, *max;
  int64_t *max_rank;   // the lowest one that has the maximum
  qn_buffer ranks;     // qn_rank_memory of every rank
  int64_t wall_ns;     // of the job
  qn_buffer spans;     // qn_span of the ranks that are shown, one behind the other
  int64_t *span_sizes; // bytes of each rank's
} qn_record_totals;

void qn_record_totals_release(qn_record_totals *totals);

/// Maximum over mean of a count over the ranks; 1 if all are 0.
static inline double qn_record_balance(int64_t sum, int64_t max, int64_t n_ranks) {
  return sum <= 0 ? 1.0 : (double)max * (double)n_ranks / (double)sum;
}

/// Local. Writes record->path and the record.json of the run folder, as far as there are such. Errors:
/// QN_ERR_IO for record->path.
qn_status qn_record_write_json(const qn_record *record, const qn_record_totals *totals, qn_job *job,
                               const qn_error *error, qn_error *err);
/// Local. One line if anything spilled, one if a large operator was uneven; else nothing.
void qn_record_print_notes(const qn_record *record, const qn_record_totals *totals, const char *name,
                           FILE *out);
