// SPDX-License-Identifier: Apache-2.0
// The state behind qn_fit_step() and the checkpoints of a fit.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/buffer.h"
#include "ml/fit.h"

typedef struct qn_fit_progress {
  bool is_silent;         // no lines: a candidate of a search
  bool is_part;           // of a search: not in the record
  int64_t n_steps;        // at most; 0: not known
  const char *checkpoint; // file, or NULL
  bool is_ours;           // nobody asked for it: it is in the run's folder, and may fail to be written
  int64_t checkpoint_steps;
  double report_seconds;
  int64_t reported_ns, stepped_ns;        // when the last line was printed; when the last step had ended
  qn_fit_report last;                     // step
  bool has_reported;                      // a line was printed
  int64_t n_rows;                         // since then
  double flops;                           // since then, on this rank
  double gemm_rate;                       // of this rank; 0: not yet measured
  qn_buffer steps, losses, gradients;     // the curve
  int64_t n_done, looked_step, next_look; // see fit_restart.c: steps so far, when all ranks last looked,
  int64_t looked_ns, kept_ns;             // and when they will again; when that was, and the last checkpoint
  bool is_due, is_stopping;               // a checkpoint is to be written; and the fit ends with it
  qn_buffer fingerprint;                  // text: what a checkpoint must have been made of
} qn_fit_progress;

/// Local. For a fit whose model, options and rows are set.
qn_status qn_fit_progress_new(qn_fit_state *fit, bool is_silent, qn_fit_progress **out, qn_error *err);
/// Local. The curve goes into the model.
qn_status qn_fit_progress_finish(qn_fit_state *fit, qn_error *err);
/// Local, when the fit has ended and its time is taken: the line of a fit that was over before the first one.
void qn_fit_progress_tell(qn_fit_state *fit);
void qn_fit_progress_free(qn_fit_progress *progress);
