// SPDX-License-Identifier: Apache-2.0
// All functions and operators. Each file of kernels has a table of its own; here they are together.
#pragma once
#include "expr/expr_node.h"

typedef struct qn_function_table {
  const qn_function *functions;
  int n;
} qn_function_table;

/// X(what the tables qn_<what>_functions hold)
#define QN_FUNCTION_TABLES(X)                                                                                \
  X(arithmetic)                                                                                              \
  X(compare)                                                                                                 \
  X(logic)                                                                                                   \
  X(math)                                                                                                    \
  X(text)                                                                                                    \
  X(text_part)                                                                                               \
  X(text_case)                                                                                               \
  X(like)                                                                                                    \
  X(regex)                                                                                                   \
  X(time)

#define X(what) extern const qn_function_table qn_##what##_functions;
QN_FUNCTION_TABLES(X)
#undef X

/// Calls visit(ctx, function) for each function of a name; stops if it returns false.
void qn_functions_visit(const char *name, bool (*visit)(void *ctx, const qn_function *function), void *ctx);
/// The function of exactly these argument types, or NULL.
const qn_function *qn_function_find(const char *name, const qn_type *types, int n_args);
/// The best of the names of functions for a misspelt one, or NULL.
const char *qn_function_suggest(const char *name);

/// The cast between two types, or NULL if there is none. *is_implicit: happens by itself, as in PostgreSQL.
const qn_function *qn_cast_find(qn_type from, qn_type to);
bool qn_cast_is_implicit(qn_type from, qn_type to);

// Functions whose arguments may be of any one type; the binder knows them by these.
extern const qn_function qn_function_is_null;
extern const qn_function qn_function_is_not_null;
extern const qn_function qn_function_is_distinct;     // args: a, b, a = b
extern const qn_function qn_function_is_not_distinct; // the same
extern const qn_function qn_function_nullif;          // args: a, a = b
extern const qn_function qn_function_greatest;
extern const qn_function qn_function_least;
extern const qn_function qn_function_in; // data from qn_in_list_new()
extern const qn_function qn_function_concat;
extern const qn_function qn_function_concat_ws;
extern const qn_function qn_function_print_bool;   // t or f
extern const qn_function qn_function_extract;      // args: timestamp; data: the field
extern const qn_function qn_function_date_trunc;   // the same
extern const qn_function qn_function_add_interval; // args: timestamp; data: a qn_interval

/// A set of constants of one type for `in`. has_null: a row that is in the list with none of them is null.
typedef struct qn_in_list qn_in_list;
qn_status qn_in_list_new(const qn_expr *const *items, int n_items, qn_type type, qn_arena *arena,
                         const qn_in_list **out, qn_error *err);
/// What it was made of, for printing.
const qn_expr *const *qn_in_list_items(const qn_in_list *list, int *n_items);

/// A field of extract() and date_trunc() by name; false if there is none, or it is not one to truncate to.
bool qn_time_field_find(const char *name, bool to_truncate, const void **out);
const char *qn_time_field_name(const void *field);
/// "1 day 02:00:00", "3 months"; `unit` NULL or the unit of a bare number. False if it is no interval.
bool qn_interval_parse(const char *text, const char *unit, qn_interval *out);
