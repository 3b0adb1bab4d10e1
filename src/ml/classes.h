// SPDX-License-Identifier: Apache-2.0
// The classes of a label: its different values, sorted, and back from number to value.
#pragma once
#include <stdint.h>
#include <quern/dataset.h>
#include "column/batch.h"
#include "store/arrays.h"

typedef struct qn_classes {
  int n;            // 0: the label is a number to predict
  qn_type type;     // of the label's column
  qn_batch *values; // one column, n rows, ascending
} qn_classes;

/// Collective, runs. At most 10,000 different values; nulls are an error, and so is a single value.
qn_status qn_classes_fit(qn_dataset *data, const char *label, qn_classes *out, qn_error *err);
/// Collective, runs. The different values of a column that names rows, as many as there are; nulls are an
/// error.
qn_status qn_classes_fit_ids(qn_dataset *data, const char *column, qn_classes *out, qn_error *err);
/// Local. numbers [n_rows]: the class of each value; -1 for a value that is none of them or null.
qn_status qn_classes_number(const qn_classes *classes, const qn_column *column, double *numbers,
                            qn_error *err);
/// The class as text, for names of columns; NULL if there is no memory. Free it with free().
char *qn_classes_name(const qn_classes *classes, int number);
/// Local. As "<role>_type", "<role>_names" and "<role>_batch"; nothing if there are none.
qn_status qn_classes_put(const qn_classes *classes, const char *role, qn_arrays *arrays, qn_error *err);
qn_status qn_classes_get(const qn_arrays *arrays, const char *role, qn_classes *out, qn_error *err);
void qn_classes_release(qn_classes *classes);
