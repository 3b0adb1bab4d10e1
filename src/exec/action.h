// SPDX-License-Identifier: Apache-2.0
// The actions of a job, counted: the one place that knows which one runs. A job makes the same actions in the
// same order on every rank and each time it runs.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "plan/plan.h"

typedef enum qn_action_kind {
  QN_ACTION_WRITE,
  QN_ACTION_STAGE,
  QN_ACTION_SHOW,
  QN_ACTION_COUNT,
  QN_ACTION_COLLECT,
  QN_ACTION_FIT,
  QN_ACTION_SEARCH,
  QN_ACTION_EVALUATE,
  QN_ACTION_RECOMMEND,
  QN_ACTION_REPORT,
} qn_action_kind;
/// "write"
const char *qn_action_name(qn_action_kind kind);

enum { QN_ACTION_WHAT = 200 };

/// What runs now, or ran last.
typedef struct qn_action {
  int64_t number; // from 0; -1: none has begun
  qn_action_kind kind;
  char what[QN_ACTION_WHAT]; // in words: "write results/popular.csv"
  int64_t start_ns;
  int depth; // actions that have begun and not ended: one may be made of others, which are not counted
} qn_action;

/// Local, the same on every rank, around all that a public action does; the dataset (may be NULL) is what it
/// runs. `what` is the object of the action: "results/popular.csv", or "". Each begin has an end.
void qn_action_begin(qn_job *job, qn_action_kind kind, const qn_dataset *dataset, const char *what);
/// Local. Returns status.
qn_status qn_action_end(qn_job *job, qn_status status);
