// SPDX-License-Identifier: Apache-2.0
// Expressions: SQL's grammar parsed by libpg_query, bound to a schema and type-checked when the plan is
// built, and evaluated a batch at a time. What PostgreSQL does is right, within Quern's types: integer
// literals are int32 if they fit, else int64; decimals are float64; `/` of integers is integer division;
// arithmetic overflow, division by zero and bad casts are errors that name the row.
//
// An error in the text shows the text with a caret under the mistake and, for a misspelt column, the nearest
// name.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "column/batch.h"
#include "kernel/accumulate.h"
#include "kernel/sort_rows.h"

/// A bound expression: immutable, in the arena it was made in. Evaluating needs a qn_evaluator if anything
/// has state; nothing has.
typedef struct qn_expr qn_expr;

/// Binds one expression. `what` names its role in messages: "filter", "key".
/// Errors: QN_ERR_ARG (syntax, unknown column or function), QN_ERR_TYPE.
qn_status qn_expr_bind(const char *text, const char *what, const qn_schema *schema, qn_arena *arena,
                       const qn_expr **out, qn_error *err);
/// The same, and the expression must be bool.
qn_status qn_expr_bind_condition(const char *text, const char *what, const qn_schema *schema, qn_arena *arena,
                                 const qn_expr **out, qn_error *err);

/// "a, b + 1 as c, *": named expressions. Names come from `as`, else the column's name, else the text. `*`
/// stands for all columns; a name twice is an error.
typedef struct qn_named_expr {
  const char *name;
  const qn_expr *expr;
} qn_named_expr;
qn_status qn_expr_bind_list(const char *text, const char *what, const qn_schema *schema, qn_arena *arena,
                            qn_named_expr **out, int *n, qn_error *err);

/// "a desc nulls last, b": sort keys. Default as in PostgreSQL: nulls last ascending, nulls first descending.
typedef struct qn_sort_key {
  const char *name;
  const qn_expr *expr;
  qn_order order;
} qn_sort_key;
qn_status qn_sort_keys_bind(const char *text, const qn_schema *schema, qn_arena *arena, qn_sort_key **out,
                            int *n, qn_error *err);

/// "count(*) as n, sum(x * y), count(distinct z), avg(x) filter (where x > 0), approx_quantile(x, 0.9)".
typedef struct qn_aggregate {
  const char *name;
  qn_aggregate_kind kind;
  const qn_expr *argument; // NULL for count(*)
  const qn_expr *second;   // the other argument of corr, else NULL
  const qn_expr *filter;   // or NULL
  bool is_distinct;        // count, sum, avg, ... over the distinct values
  double parameter;
  qn_type type; // of the result
} qn_aggregate;
qn_status qn_aggregates_bind(const char *text, const qn_schema *schema, qn_arena *arena, qn_aggregate **out,
                             int *n, qn_error *err);

/// "row_number() as n, lag(x, 1) as before, sum(x) as running": functions over a window (partition and order
/// are given apart). With an order, aggregates run from the partition's start to the current row and its
/// peers (SQL's default frame); without one over the whole partition.
typedef enum {
  QN_WINDOW_ROW_NUMBER,
  QN_WINDOW_RANK,
  QN_WINDOW_DENSE_RANK,
  QN_WINDOW_LAG,
  QN_WINDOW_LEAD,
  QN_WINDOW_FIRST_VALUE,
  QN_WINDOW_LAST_VALUE,
  QN_WINDOW_AGGREGATE
} qn_window_kind;
typedef struct qn_window_function {
  const char *name;
  qn_window_kind kind;
  qn_aggregate_kind aggregate; // for QN_WINDOW_AGGREGATE: count(*), count, sum, min, max, avg
  const qn_expr *argument;     // NULL where there is none
  int64_t offset;              // lag, lead
  const qn_expr *fallback;     // third argument of lag and lead, or NULL
  qn_type type;
} qn_window_function;
qn_status qn_window_functions_bind(const char *text, const qn_schema *schema, qn_arena *arena,
                                   qn_window_function **out, int *n, qn_error *err);

/// "a, l.b = r.c": what a join's `on` says: per key an expression of each side, of the same type (widened
/// where needed). A bare column stands for the column of that name on both sides (is_using: one output
/// column).
typedef struct qn_join_key {
  const qn_expr *left, *right;
  const char *using_name; // or NULL
} qn_join_key;
qn_status qn_join_keys_bind(const char *text, const qn_schema *left, const qn_schema *right, qn_arena *arena,
                            qn_join_key **out, int *n, qn_error *err);
/// A join's extra condition over both sides, columns written l.x, r.x, or x where only one side has it; bound
/// to the schema [left columns, right columns] by position.
qn_status qn_join_condition_bind(const char *text, const qn_schema *left, const qn_schema *right,
                                 qn_arena *arena, const qn_expr **out, qn_error *err);

qn_type qn_expr_type(const qn_expr *expr);
/// The text it was bound from, for explain.
const char *qn_expr_text(const qn_expr *expr);
/// The column it simply is, or -1.
int qn_expr_column(const qn_expr *expr);
/// Sets used[c] for each column it reads.
void qn_expr_mark_columns(const qn_expr *expr, bool *used);
/// The same expression over a schema in which old column c is new_index[c] (-1: not there, must not be used).
const qn_expr *qn_expr_remap(const qn_expr *expr, const int *new_index, qn_arena *arena);
/// The expression with each column c replaced by replacements[c] (to push a filter below a select). NULL if
/// there is no memory.
const qn_expr *qn_expr_substitute(const qn_expr *expr, const qn_expr *const *replacements, qn_arena *arena);
/// True if evaluating it can fail (division, overflow, cast): such filters are not moved.
bool qn_expr_can_fail(const qn_expr *expr);
/// Splits a condition at its top-level ANDs.
qn_status qn_expr_conjuncts(const qn_expr *condition, qn_arena *arena, const qn_expr ***out, int *n,
                            qn_error *err);
/// If the condition is `column compare constant` (either way round): true and *bound is set (value owned by
/// the caller, cast to the column's type where exact).
struct qn_bound;
bool qn_expr_as_bound(const qn_expr *condition, struct qn_bound *bound);

/// Local. One value per row of the batch. A bare column shares its blocks.
/// Errors: QN_ERR_VALUE with the expression, the values and the row's origin; QN_ERR_MEMORY.
qn_status qn_expr_eval(const qn_expr *expr, const qn_batch *batch, qn_column *out, qn_error *err);
/// Local. The rows where a condition is true; rows has n_rows places.
qn_status qn_expr_select(const qn_expr *condition, const qn_batch *batch, int32_t *rows, int64_t *n,
                         qn_error *err);
