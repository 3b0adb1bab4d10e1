// SPDX-License-Identifier: Apache-2.0
// From a dataset to rows of numbers on their ranks.
#pragma once
#include <stdbool.h>
#include <quern/dataset.h>
#include "ml/classes.h"
#include "ml/features.h"
#include "ml/rows.h"

typedef struct qn_rows_wanted {
  const qn_features *features;
  const qn_classes *classes; // n 0: the label is a number
  const char *label;         // or NULL
  const char *weight;        // or NULL
  bool is_float32, is_exact, is_sparse;
  int n_lanes; // 0: as always
} qn_rows_wanted;

/// Collective, runs. Rows are numbered in the dataset's order (rows without an order are sorted by all that
/// is read of them). Errors: a value that cannot be used (names file, row, column), no rows at all.
qn_status qn_rows_load(qn_dataset *data, const qn_rows_wanted *wanted, qn_rows **out, qn_error *err);
