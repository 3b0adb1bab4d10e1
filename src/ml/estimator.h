// SPDX-License-Identifier: Apache-2.0
// An estimator is a constant table: its options, what it needs of the rows, and two functions. Everything
// else (features, labels, loading rows, checkpoints, files, prediction columns, metrics) is done for all
// alike.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "ml/fit.h"
#include "ml/model_state.h"

typedef enum {
  QN_TASK_NUMBER,     // predicts a number: 1 output a row
  QN_TASK_CLASS,      // n_classes outputs a row: probabilities, or margins (has_margins)
  QN_TASK_CLUSTER,    // 2 outputs a row: number of the cluster, distance
  QN_TASK_MIXTURE,    // arrays "weights" [k]: k probabilities a row
  QN_TASK_COMPONENTS, // array "components" [k, n_columns]: k outputs a row
  QN_TASK_NEIGHBOURS, // 2 k outputs a row: k numbers of rows (or in model->ids), then k distances
  QN_TASK_RATING      // reads user and item columns itself
} qn_task;

typedef enum {
  QN_SETTING_INT64,
  QN_SETTING_FLOAT64,
  QN_SETTING_BOOL,
  QN_SETTING_CHOICE,
  QN_SETTING_TEXT
} qn_setting_kind;

/// A field of an options struct. int64_t, double, bool, an enum (as int), const char *.
typedef struct qn_setting {
  qn_setting_info info; // name as in the struct, default as text, one line of help
  qn_setting_kind kind;
  size_t offset;
  double min, max;     // of numbers, both allowed
  const char *choices; // "relu tanh", in the enum's order
} qn_setting;

typedef struct qn_estimator {
  const char *name, *summary;
  const qn_setting *settings; // ended by a row whose info.name is NULL
  size_t options_size;
  bool needs_label, takes_no_label;
  bool takes_sparse;  // else sparse rows are an error if they have too many columns to be made dense
  bool takes_missing; // NaN stands for null; else such rows are an error
  bool has_margins;
  bool loads_itself; // fit->rows is NULL, fit->data is to be read
  int exact_lanes;   // lanes in exact mode; 0: as always
  /// Local. The task, which may depend on the options.
  qn_task (*task)(const void *options);
  /// Collective, inside a run (but not for loads_itself, which runs plans itself).
  qn_status (*fit)(qn_fit_state *fit, qn_error *err);
  /// Local. Outputs [n_rows, n_outputs] of rows, which are dense float64 unless takes_sparse. Rows hold no
  /// NaN unless takes_missing. Must not depend on which rows are asked for together beyond rounding.
  qn_status (*predict)(const qn_model *model, const qn_row_block *block, double *outputs, qn_error *err);
} qn_estimator;

/// All of them, by name; NULL if there is none.
const qn_estimator *qn_estimator_find(const char *name);
/// The same; QN_ERR_ARG with the nearest name if there is none.
qn_status qn_estimator_require(const char *name, const qn_estimator **out, qn_error *err);
/// Options from the table's defaults, then from "name=value name=value". `room` [options_size]. Texts point
/// into `arena`. Errors: QN_ERR_ARG with the nearest name, or with the range allowed.
void qn_settings_defaults(const qn_estimator *estimator, void *room);
/// NULL if the estimator has no option of that name.
const qn_setting *qn_setting_find(const qn_estimator *estimator, const char *name);
qn_status qn_settings_parse(const qn_estimator *estimator, const char *text, qn_arena *arena, void *room,
                            qn_error *err);
/// Are numbers in their ranges? For structs filled by hand.
qn_status qn_settings_check(const qn_estimator *estimator, const void *options, qn_error *err);
/// "l2=0.1 solver=lbfgs": all of them, in order; what qn_settings_parse() reads.
qn_status qn_settings_print(const qn_estimator *estimator, const void *options, qn_buffer *out,
                            qn_error *err);

/// Local. The column must be there: QN_ERR_ARG with the nearest name if it is not; `role` is what it is for.
qn_status qn_column_require(const qn_schema *schema, const char *name, const char *role, qn_error *err);
/// Local. The column must be there and a number; `role` is what it is for.
qn_status qn_check_number_column(const qn_dataset *data, const char *name, const char *role, qn_error *err);

/// Collective. How public functions fit: options as a struct. NULL if that failed; the job has the error.
qn_model *qn_fit_estimator(qn_dataset *data, const qn_estimator *estimator, const qn_training *how,
                           const void *options);
/// What it does, in order. Collective, runs: an empty model with its options and classes, which the job owns.
qn_status qn_fit_prepare(qn_dataset *data, const qn_estimator *estimator, const qn_training *how,
                         const void *options, qn_model **model, qn_error *err);
/// Collective, runs: the model's features, in place of those it has. Not for loads_itself.
qn_status qn_fit_features(qn_model *model, qn_dataset *data, const qn_training *how, qn_error *err);
/// Collective, runs: rows as these numbers, which the caller frees.
qn_status qn_fit_load(const qn_model *model, qn_dataset *data, const qn_training *how, qn_rows **rows,
                      qn_error *err);
/// Collective over `comm`, a run of its own: fits on rows that lie on its ranks. `data` is for loads_itself,
/// else NULL.
qn_status qn_fit_rows(qn_model *model, qn_comm *comm, const qn_training *how, qn_dataset *data,
                      const qn_rows *rows, bool is_silent, qn_error *err);

// The list: a line in estimators.inc, and in the estimator's file `const qn_estimator qn_estimator_<name>`.
#define QN_ESTIMATOR(name) extern const qn_estimator qn_estimator_##name;
#include "ml/estimators.inc"
#undef QN_ESTIMATOR
