// SPDX-License-Identifier: Apache-2.0
// The losses of boosted trees: derivatives by row as fixed-point numbers, and exact sums of losses.
#pragma once
#include <stdbool.h>
#include "comm/comm.h"
#include "ml/tree_sums.h"

typedef enum { QN_GBDT_SQUARED, QN_GBDT_LOGISTIC, QN_GBDT_SOFTMAX } qn_gbdt_loss_kind;

typedef struct qn_gbdt_loss {
  qn_gbdt_loss_kind kind;
  int n_scores;        // a row: n_classes of softmax, else 1
  int64_t n;           // rows of this rank
  int64_t n_total;     // of all ranks
  const double *y, *w; // [n]; w NULL: all 1
  const bool *is_held; // [n] rows that no tree is grown on; NULL: none
  double most_weight;  // of all ranks
  double weights[2];   // total of rows to train on, and of those held out
  // Of the round
  double g_unit, h_unit;
} qn_gbdt_loss;

/// Collective, inside a run. The other fields from kind, n_scores, n, n_total, y, w and is_held.
qn_status qn_gbdt_loss_begin(qn_comm *comm, qn_gbdt_loss *loss, qn_error *err);
/// Collective, inside a run. base [n_scores]: the scores that fit best if all rows have the same.
qn_status qn_gbdt_loss_base(qn_comm *comm, const qn_gbdt_loss *loss, double *base, qn_error *err);
/// Collective, inside a run. Derivatives pairs [n_scores, n] at scores [n_scores, n], their units, and the
/// mean losses of rows to train on and of those held out.
qn_status qn_gbdt_loss_derive(qn_comm *comm, qn_gbdt_loss *loss, const double *scores, qn_tree_pair *pairs,
                              double *means, qn_error *err);
