// SPDX-License-Identifier: Apache-2.0
// What a model is inside: which estimator with which options, how columns become numbers, what the classes
// are, and named arrays that were learned. So one reader and one writer do for all estimators.
#pragma once
#include <stdint.h>
#include <quern/model.h>
#include "base/arena.h"
#include "ml/classes.h"
#include "ml/features.h"
#include "store/arrays.h"

struct qn_model {
  qn_job *job;
  const struct qn_estimator *estimator;
  qn_arena arena;        // texts and options
  void *options;         // [estimator->options_size]
  const char *label;     // or NULL
  const char *weight;    // or NULL
  qn_features *features; // NULL for estimators that read columns themselves
  qn_classes classes;    // n is 0 for numbers
  qn_arrays arrays;      // learned
  qn_arrays curve;       // of the training: "step" int64, "loss" float64, "gradient_norm" float64
  qn_metrics metrics;
  int64_t n_rows; // trained on
  uint64_t seed;
  bool is_float32;
};

/// Local. An empty model of the job, which frees it.
qn_status qn_model_new(qn_job *job, const struct qn_estimator *estimator, qn_model **out, qn_error *err);
/// Outputs a row that its estimator's predict gives.
int qn_model_n_outputs(const qn_model *model);
