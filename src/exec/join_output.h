// SPDX-License-Identifier: Apache-2.0
// Rows that a join makes: columns of both sides at pairs of row numbers, as batches of the node's schema.
#pragma once
#include "plan/plan.h"

/// Takes joined rows; the batch has the node's schema and is borrowed for the call.
typedef qn_status (*qn_joined_fn)(void *ctx, const qn_batch *joined, qn_error *err);

typedef struct qn_join_output {
  const qn_dataset *node;
  qn_join_kind kind; // the node's, or one under which fewer rows come out by themselves
  qn_joined_fn joined;
  void *ctx;
} qn_join_output;

/// Rows of one side: rows[i] of `batch` (negative: none, its columns are null); rows NULL: all of the batch
/// in order; batch NULL: none at all.
typedef struct qn_join_rows {
  const qn_batch *batch;
  const int32_t *rows;
} qn_join_rows;

/// Local. Hands on n joined rows. Without a left batch the keys named by `using` take the right's values.
/// Columns of rows in order are shared, not copied.
qn_status qn_join_emit(const qn_join_output *output, qn_join_rows left, qn_join_rows right, int64_t n,
                       qn_error *err);
/// Local. The first n of the columns of some rows, for `out` [n_columns].
qn_status qn_join_columns(qn_join_rows from, const int *columns, int n_columns, int64_t n, qn_column *out,
                          qn_error *err);

// Which rows come out, whichever side is the build side.
static inline bool qn_join_keeps_left(qn_join_kind kind) {
  return kind == QN_JOIN_LEFT || kind == QN_JOIN_FULL;
}
static inline bool qn_join_keeps_right(qn_join_kind kind) {
  return kind == QN_JOIN_RIGHT || kind == QN_JOIN_FULL;
}
static inline bool qn_join_is_half(qn_join_kind kind) { // the result has rows of the left only
  return kind == QN_JOIN_SEMI || kind == QN_JOIN_ANTI;
}
/// True if rows of a side (0: left) come out by themselves: unmatched, or once in a half join.
static inline bool qn_join_settles(qn_join_kind kind, int side) {
  return side == 0 ? qn_join_keeps_left(kind) || qn_join_is_half(kind) : qn_join_keeps_right(kind);
}
