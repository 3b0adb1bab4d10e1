// SPDX-License-Identifier: Apache-2.0
// The training of a network: what it holds, a step of it, and rows that are kept out of it.
#pragma once
#include "ml/fit.h"
#include "ml/lane_sum.h"
#include "ml/mlp_net.h"

typedef struct qn_mlp_training {
  qn_fit_state *fit;
  const qn_mlp_options *options;
  qn_mlp_net net; // points into parameters
  int64_t n_parameters;
  float *parameters, *gradient, *moments, *squares; // [n_parameters]; moments of the gradient
  float *best;      // parameters with the best loss on held-out rows; NULL without early stopping
  double best_loss; // of them
  int64_t n_stale;  // epochs since then
  int64_t n_epochs; // at most
  qn_mlp_room room; // for some rows at a time
  qn_lane_sum *sum; // exact mode: of the gradient and the loss; else NULL
  double label_mean, label_scale; // numbers are learned as (y - mean) / scale
  int64_t n_updates;
  double loss;  // of the epoch's rows so far: of this rank, in exact mode of all
  double flops; // since the last report
} qn_mlp_training;

/// Local. Row numbers of this rank, to values[0] of the room from its first row on.
void qn_mlp_gather(const qn_mlp_training *training, const int64_t *positions, int64_t n_rows);
/// Local. The losses of these rows, weighted, from their outputs; with `scale` > 0 also the derivatives of
/// scale times the loss, to the last deltas.
double qn_mlp_losses(const qn_mlp_training *training, const int64_t *positions, int64_t n_rows, double scale);
/// Collective. One step of an epoch: the gradient of its rows, and new parameters.
qn_status qn_mlp_step(qn_mlp_training *training, const qn_mini_batches *batches, int64_t step, double rate,
                      qn_error *err);
/// New parameters from a gradient: `decay` times the parameter is added to it. Adam (Kingma and Ba, 2015)
/// with the rate that its bias correction gives, or descent with momentum.
void qn_mlp_adam(int64_t n, float decay, float rate, const float *gradient, float *moments, float *squares,
                 float *parameters);
void qn_mlp_momentum(int64_t n, float decay, float rate, float momentum, const float *gradient,
                     float *moments, float *parameters);

/// Collective. Takes held-out rows, which a hash of their number says, out of an epoch's steps.
qn_status qn_mlp_keep_out(const qn_mlp_training *training, qn_mini_batches *batches, qn_error *err);
/// Collective. The mean loss of the held-out rows.
qn_status qn_mlp_holdout_loss(qn_mlp_training *training, double *loss, qn_error *err);
