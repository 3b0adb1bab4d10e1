// SPDX-License-Identifier: Apache-2.0
// What a model is inside: which estimator with which options, how columns become numbers, what the classes
// are, and named arrays that were learned. So one reader and one writer do for all estimators.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/model.h>
#include "base/arena.h"
#include "base/buffer.h"
#include "ml/classes.h"
#include "ml/features.h"
#include "store/arrays.h"

struct qn_als_lookup; // ml/als.h

struct qn_model {
  qn_job *job;
  const struct qn_estimator *estimator;
  qn_arena arena;        // texts and options
  void *options;         // [estimator->options_size]
  const char *label;     // or NULL
  const char *weight;    // or NULL
  qn_features *features; // NULL for estimators that read columns themselves
  const char *columns;   // the text of what they read, how->features; else NULL
  qn_classes classes;    // n is 0 for numbers
  qn_classes ids;        // neighbours without a label: what they are called; n is 0: by their numbers
  qn_arrays arrays;      // learned
  qn_arrays curve;       // of the training: "step" int64, "loss" float64, "gradient_norm" float64
  qn_metrics metrics;
  int64_t n_rows; // trained on
  uint64_t seed;
  bool is_float32, is_exact;
  const char *checkpoint;           // to be removed when the model is saved, or NULL
  uint64_t identity;                // hash of what it was made from; on rank 0; 0: not known
  double load_seconds, fit_seconds; // not saved: the same model makes the same bytes
  double fit_cpu_seconds;           // of all ranks; not saved either
  struct qn_als_lookup *als_lookup; // als: numbers of users and items by value; NULL until needed
};

/// Local. An empty model of the job, which frees it.
qn_status qn_model_new(qn_job *job, const struct qn_estimator *estimator, qn_model **out, qn_error *err);
/// Local. The same without an owner, for candidates of a search; free it with qn_model_free().
qn_status qn_model_alloc(qn_job *job, const struct qn_estimator *estimator, qn_model **out, qn_error *err);
void qn_model_free(qn_model *model);
/// Outputs a row that its estimator's predict gives.
int qn_model_n_outputs(const qn_model *model);
/// Local. What the estimator says of rows that qn_features_inputs() made (further columns are not looked at):
/// `outputs` gets [n_rows, n_outputs] float64. is_bad [n_rows]: rows with a null, NaN or infinite feature,
/// whose outputs are NaN.
qn_status qn_model_outputs(const qn_model *model, const qn_batch *inputs, qn_buffer *outputs, bool *is_bad,
                           qn_error *err);

/// Local, called by one rank. Writes the model's file, whole or not at all.
qn_status qn_model_write(const qn_model *model, const char *path, qn_error *err);
/// Local. All of a model but the job, as arrays and texts, and back.
qn_status qn_model_put(const qn_model *model, qn_arrays *out, qn_error *err);
qn_status qn_model_get(qn_model *model, const qn_arrays *kept, qn_error *err);
