// SPDX-License-Identifier: Apache-2.0
// Trying options: candidates, and what each came to on each fold.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/train.h>
#include "base/arena.h"
#include "base/buffer.h"
#include "ml/estimator.h"

/// Options as qn_settings_parse() reads them, one text a candidate, in `arena`.
typedef struct qn_candidates {
  const char **texts;
  int64_t n;
} qn_candidates;

enum { QN_MAX_CANDIDATES = 100000 };

/// All combinations of "name=value,value name=value", the last name changing fastest. With n_random > 0 so
/// many draws instead, in which "low..high" stands for a number between them (log-uniform if both are
/// positive, whole for whole numbers); they depend on the seed alone. Every candidate's options are valid.
/// Errors: QN_ERR_ARG, which names what is wrong.
qn_status qn_candidates_make(const qn_estimator *estimator, const char *grid, int64_t n_random, uint64_t seed,
                             qn_arena *arena, qn_candidates *out, qn_error *err);

/// Candidate c on fold f is task f * n_candidates + c.
typedef struct qn_trial {
  int64_t task;
  double seconds;
  qn_metrics metrics;
} qn_trial;

typedef struct qn_trials {
  qn_dataset *data;
  const qn_estimator *estimator;
  const qn_training *how;
  qn_candidates candidates;
  int folds;      // 1: one split of a fifth
  qn_buffer done; // qn_trial, in any order; the same on every rank
} qn_trials;

/// What a fold trains on and what it leaves out, by the rows' values (qn_fold(); one fold: qn_split()).
void qn_trials_fold(const qn_trials *trials, int fold, qn_dataset **train, qn_dataset **test);
/// In which of n_parts a row is; depends on its number alone.
int qn_fold_of_row(int64_t row, int n_parts, uint64_t seed);

/// Local. Is there a metric of that name for what the candidates make, and which is better: lower, or higher?
/// Errors: QN_ERR_ARG with those there are. Whether a fold gives a number is another question.
qn_status qn_search_metric_check(const qn_trials *trials, const char *name, qn_error *err);
bool qn_search_metric_is_lower(const char *name);
/// Local. The one that is taken when none is asked for: the first usual one that some trial has; NULL: none.
const char *qn_search_metric_usual(const qn_trials *trials);

/// Collective, runs. Tasks side by side, on groups of ranks that each hold all the rows. Where feature steps
/// are fitted on the data, fold by fold, as each has its own numbers. *is_done is false, and nothing was
/// tried, where that cannot be: too little memory, or an estimator that reads its rows itself.
qn_status qn_trials_run_groups(qn_trials *trials, bool *is_done, qn_error *err);
