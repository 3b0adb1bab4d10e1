// SPDX-License-Identifier: Apache-2.0
// Feature steps: how columns become the numbers of a row. Fitted on the training rows, kept with the model,
// applied to batches of any dataset that has the columns.
//
// The text is a list with commas. An item is an SQL expression over the columns that gives a number or a
// truth, or a step; arguments of steps are SQL expressions, or, where it makes sense, other steps:
//   standardise(x)  min_max(x)  impute(x, 'mean' | 'median' | a number)  bucketise(x, 10)  polynomial(x, y,
//   2) one_hot(text)  string_index(text)  hashing(text, 1024)  tfidf(text, 4096) pixels(binary): a number per
//   byte;  sparse(text): "3:0.5 7:1", as libsvm writes them
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/dataset.h>
#include "base/buffer.h"
#include "column/batch.h"

typedef struct qn_features qn_features;

/// Collective, runs. text NULL: all columns but those in `excluded` (n_excluded names; NULLs allowed).
/// Errors: QN_ERR_ARG (syntax, unknown column or step, with a caret), QN_ERR_VALUE (nothing to fit on: a
/// column of nulls only).
qn_status qn_features_fit(qn_dataset *data, const char *text, const char *const *excluded, int n_excluded,
                          bool takes_missing, qn_features **out, qn_error *err);
void qn_features_free(qn_features *features);
/// Local. Whether fitting such a list looks at the rows at all.
qn_status qn_features_ask_rows(const qn_dataset *data, const char *text, const char *const *excluded,
                               int n_excluded, bool *out, qn_error *err);

int qn_features_n_columns(const qn_features *features);
bool qn_features_is_sparse(const qn_features *features); // most values are 0
/// "age", "state=NY", "review:great": what a column of the numbers is. Valid as long as features.
const char *qn_features_name(const qn_features *features, int column);

/// Local. A dataset of what the steps read ("f0", "f1", ...: their SQL expressions evaluated), and behind
/// them the columns that `also` computes (a select list, may be NULL).
qn_dataset *qn_features_inputs(const qn_features *features, qn_dataset *data, const char *also);

/// Local. The numbers of rows of such a batch: dense, out [n_rows, n_columns]. With `is_bad` [n_rows] rows
/// that hold a null, NaN or infinite number are marked there; without, the first is an error that names file,
/// row and column and says what to do. With takes_missing nulls and NaN are NaN and no mistake.
qn_status qn_features_dense(const qn_features *features, const qn_batch *inputs, double *out, bool *is_bad,
                            qn_error *err);
/// The same as sparse rows; what is there in the buffers is replaced. starts: int64 [n_rows + 1]; columns:
/// int32, ascending in a row; values: double.
qn_status qn_features_sparse(const qn_features *features, const qn_batch *inputs, qn_buffer *starts,
                             qn_buffer *columns, qn_buffer *values, bool *is_bad, qn_error *err);

/// As JSON text, whole; decode checks what it reads.
qn_status qn_features_encode(const qn_features *features, qn_buffer *out, qn_error *err);
qn_status qn_features_decode(const char *json, qn_features **out, qn_error *err);

/// What ONNX export needs: column j of the numbers, if it is scale * (input column - shift) of a plain
/// numeric column of the dataset.
typedef struct qn_affine {
  const char *column;
  double shift, scale;
} qn_affine;
bool qn_features_affine(const qn_features *features, int column, qn_affine *out);
