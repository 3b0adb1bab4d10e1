// SPDX-License-Identifier: Apache-2.0
// By which columns rows are put in order: partition keys, order columns, and all others as tie breakers, each
// once.
#pragma once
#include <stdbool.h>
#include "base/arena.h"
#include "column/batch.h"
#include "kernel/sort_rows.h"
#include "plan/plan.h"

typedef struct qn_order_columns {
  int n;
  int n_main;             // those of them that were asked for; the others only break ties
  int n_schema;           // columns that there are, and room for
  int *columns;           // [n]
  qn_order *orders;       // [n]
  const qn_column **keys; // [n]: room for the columns of a batch
} qn_order_columns;

/// An empty list for rows of `schema`; all memory is the arena's.
qn_status qn_order_columns_init(qn_order_columns *list, const qn_schema *schema, qn_arena *arena,
                                qn_error *err);
/// Adds a column unless it is there: rows equal so far are equal in it.
void qn_order_columns_add(qn_order_columns *list, int column, qn_order order);
void qn_order_columns_add_order(qn_order_columns *list, const qn_order_column *order, int n_order);
/// Adds columns in ascending order of values, nulls last.
void qn_order_columns_add_keys(qn_order_columns *list, const int *columns, int n_columns);
/// Adds all columns that are not there yet.
void qn_order_columns_add_rest(qn_order_columns *list);
/// The listed columns of a batch; valid until the next call.
const qn_column *const *qn_order_columns_of(const qn_order_columns *list, const qn_batch *batch);
