// SPDX-License-Identifier: Apache-2.0
// Bins of some rows brought together, so that growing the subtree that these rows make finds them in the
// processor's cache (or in memory, where all rows lie in scratch) and not all over a column of all rows. A
// column is brought when it is first asked for. There may be one inside of another.
#pragma once
#include <stdbool.h>
#include "ml/forest_rows.h"
#include "ml/forest_split.h"

typedef struct qn_forest_near {
  int64_t capacity; // bytes
  uint8_t *room;
  // Of the subtree, while there is one
  struct qn_forest_near *outer; // where columns come from; NULL: all rows
  int64_t n;
  int32_t *from;     // [n] in room: the numbers of the rows there
  uint8_t *columns;  // [n_columns, n] in room
  bool *is_here;     // [n_columns]
  int64_t n_touched; // bytes of columns of all rows that were gone through, at worst; the caller sets it to 0
} qn_forest_near;

qn_status qn_forest_near_init(qn_forest_near *near, int64_t capacity, int n_columns, qn_error *err);
void qn_forest_near_release(qn_forest_near *near);
/// Bytes that going through the bins of n rows in a column of all touches: at worst each is on a page of its
/// own.
int64_t qn_forest_touched_bytes(const qn_forest_rows *all, int64_t n);
/// Would the bins of n rows fit?
bool qn_forest_near_fits(const qn_forest_near *near, int64_t n, int n_columns);
/// Begins a subtree of these items, which have row numbers 0 to n - 1 from here on.
void qn_forest_near_enter(qn_forest_near *near, qn_forest_near *outer, qn_forest_item *items, int64_t n,
                          int n_columns);
/// Bins of a column by row numbers of `near` (NULL: of all rows).
const uint8_t *qn_forest_near_column(qn_forest_near *near, const qn_forest_rows *all, int column);
