// SPDX-License-Identifier: Apache-2.0
// What an estimator's fit is given, and how it tells of its progress, keeps checkpoints, and goes on from
// one. A fit is one run of the communicator: a rank that fails returns, the others stop in their next wait.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/train.h>
#include "comm/comm.h"
#include "ml/model_state.h"
#include "ml/rows.h"
#include "store/arrays.h"

typedef struct qn_fit_state {
  qn_comm *comm;          // use this one: in a search it is that of a group of ranks
  const qn_training *how; // never NULL
  const void *options;    // of the estimator, checked against its table
  qn_model *model;     // what was learned goes into model->arrays; the features, classes and label are there
  const qn_rows *rows; // NULL for estimators that read the dataset themselves (loads_itself)
  qn_dataset *data;    // NULL in a search
  int n_classes;       // 0 for numbers
  struct qn_fit_progress *progress;
} qn_fit_state;

/// What a step has done. NaN where it is not known.
typedef struct qn_fit_report {
  int64_t step; // from 1
  double loss;  // of all rows (or of the step's)
  double gradient_norm;
  int64_t n_rows;  // rows gone through since the last report, on all ranks
  double flops;    // floating-point operations since the last report, on this rank
  bool in_float32; // what type they are on, whatever the rows are kept as
} qn_fit_report;

/// Collective, after each step (an iteration, an epoch, a tree, some mini-batches): keeps the curve in the
/// model, prints a line now and then ("step 12  loss 0.3127  gradient 1.2e-3  8.1e6 rows/s  21.3 GFLOP/s, 61
/// % of GEMM"), fails with a hint if the loss is NaN or infinite.
qn_status qn_fit_step(qn_fit_state *fit, const qn_fit_report *report, qn_error *err);

/// True, on every rank alike, if the state after this step is to be kept.
bool qn_fit_wants_checkpoint(const qn_fit_state *fit, int64_t step);
/// Collective. Rank 0 writes the state (the same on all ranks; nothing in it may depend on their number).
qn_status qn_fit_checkpoint(qn_fit_state *fit, int64_t step, const qn_arrays *state, qn_error *err);
/// Collective, at the start of a fit. If there is a checkpoint of the same training (estimator, options,
/// features, number of rows; another one is an error), `state` gets what was kept and *step after which; else
/// *step is 0.
qn_status qn_fit_resume(qn_fit_state *fit, int64_t *step, qn_arrays *state, qn_error *err);
/// Local. Notes a number about the training in the model ("iterations", "train_loss").
qn_status qn_fit_note(qn_fit_state *fit, const char *name, double value, qn_error *err);
