// SPDX-License-Identifier: Apache-2.0
// Binding: from the parser's JSON tree to typed nodes. For the files bind_*.c only.
#pragma once
#include <jansson.h>
#include "expr/expr_node.h"

/// One input whose columns may be named, with an optional qualifier ("l").
typedef struct qn_scope {
  const char *qualifier; // NULL: columns are written without
  const qn_schema *schema;
  int first_column; // what its columns are counted from in the bound expression
} qn_scope;

struct qn_binder {
  const char *what; // "filter"
  const char *text; // what the user wrote, in the arena
  int prefix;       // bytes that stand before it in what the parser got
  json_t *tree;     // the whole answer of the parser
  qn_arena *arena;
  qn_error *err;
  qn_scope scopes[2];
  int n_scopes;
  int depth; // of nodes, limited
  int lazy;  // > 0: inside a branch that may never be evaluated, so constants that fail are no error yet
  const char *item_text; // of the list item that is being bound
  int item_first;        // where it begins in text
};

/// Parses `text` behind "SELECT " (or "SELECT 1 ORDER BY ") and makes sure that it is a list of expressions
/// and nothing else. qn_binder_release() after use, also on failure.
qn_status qn_binder_init(qn_binder *binder, const char *text, const char *what, bool is_order,
                         qn_arena *arena, qn_error *err);
void qn_binder_release(qn_binder *binder);
void qn_binder_add_scope(qn_binder *binder, const char *qualifier, const qn_schema *schema);
/// The target list or the sort clause: n items.
json_t *qn_binder_items(const qn_binder *binder, bool is_order);
/// From here on nodes belong to item `index` of n.
qn_status qn_binder_begin_item(qn_binder *binder, int index, int n);

/// The text of item `index` of a list of n at top-level commas, without a name given with `as`, in the arena;
/// the whole text if commas and items do not agree. NULL if there is no memory.
char *qn_item_text(const char *text, int index, int n, qn_arena *arena, int *first);
/// What stands between the first parenthesis of a call's text and the one that closes it, in the arena; NULL
/// if there is no memory.
char *qn_item_arguments(const char *text, qn_arena *arena, int *first);
/// Words and signs that may nest, so that the parser's recursion can be bounded.
int64_t qn_count_nesting(const char *text);

/// Fails with the message, the text and a caret under `location` (as the parser counts; < 0: no caret).
qn_status qn_bind_fail(const qn_binder *binder, qn_status status, int location, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static inline qn_status qn_bind_no_memory(const qn_binder *binder) {
  return qn_fail(binder->err, QN_ERR_MEMORY, "%s: no memory to bind the expression", binder->what);
}

/// A scalar expression; it may still be of kind UNKNOWN or INTERVAL.
qn_status qn_bind_node(qn_binder *binder, const json_t *node, const qn_expr **out);
/// The same, brought to a type (UNKNOWN becomes utf8, an interval is an error).
qn_status qn_bind_scalar(qn_binder *binder, const json_t *node, const qn_expr **out);
/// The same, and it must be bool; `role`: "the condition of case".
qn_status qn_bind_bool(qn_binder *binder, const json_t *node, const char *role, const qn_expr **out);

// --- The kinds of nodes
// --------------------------------------------------------------------------------------------
qn_status qn_bind_column(qn_binder *binder, const json_t *ref, const qn_expr **out);
qn_status qn_bind_constant(qn_binder *binder, const json_t *constant, const qn_expr **out);
qn_status qn_bind_type_cast(qn_binder *binder, const json_t *cast, const qn_expr **out);
qn_status qn_bind_operator(qn_binder *binder, const json_t *expr, const qn_expr **out);
qn_status qn_bind_function(qn_binder *binder, const json_t *call, const qn_expr **out);
/// A function of the tables, by name, over bound arguments.
qn_status qn_bind_call(qn_binder *binder, const char *name, bool is_operator, int location,
                       const qn_expr **args, int n_args, const qn_expr **out);
/// extract, date_trunc, concat, concat_ws and others that the tables cannot hold; *out stays NULL if it is
/// none.
qn_status qn_bind_special(qn_binder *binder, const char *name, int location, const qn_expr **args, int n_args,
                          const qn_expr **out);
qn_status qn_bind_in(qn_binder *binder, int location, const qn_expr *left, const json_t *items,
                     bool is_negated, const qn_expr **out);
qn_status qn_bind_case(qn_binder *binder, const json_t *node, const qn_expr **out);
qn_status qn_bind_coalesce(qn_binder *binder, const json_t *node, const qn_expr **out);
qn_status qn_bind_min_max(qn_binder *binder, const json_t *node, const qn_expr **out);
qn_status qn_bind_null_test(qn_binder *binder, const json_t *node, const qn_expr **out);
qn_status qn_bind_bool_test(qn_binder *binder, const json_t *node, const qn_expr **out);
qn_status qn_bind_bool_expr(qn_binder *binder, const json_t *node, const qn_expr **out);
qn_status qn_bind_distinct_from(qn_binder *binder, int location, const qn_expr **args, bool is_negated,
                                const qn_expr **out);
/// left and right as a comparison `name` wants them: of one type.
qn_status qn_bind_comparison(qn_binder *binder, const char *name, int location, const qn_expr *left,
                             const qn_expr *right, const qn_expr **out);

// --- Types
// ---------------------------------------------------------------------------------------------------------
/// Brings expr to a type: parses unknown literals, inserts an implicit cast. QN_ERR_TYPE if there is none.
qn_status qn_bind_coerce(qn_binder *binder, const qn_expr *expr, qn_type type, const qn_expr **out);
/// An explicit cast.
qn_status qn_bind_cast(qn_binder *binder, const qn_expr *expr, qn_type type, int location,
                       const qn_expr **out);
/// The type that all of them can be brought to. is_operator: int with float32 gives float64, else float32.
qn_status qn_bind_common_type(qn_binder *binder, const qn_expr *const *exprs, int n, bool is_operator,
                              int location, const char *role, qn_type *out);
bool qn_common_type(qn_type a, qn_type b, bool is_operator, qn_type *out);

// --- Making nodes; each folds constants
// ----------------------------------------------------------------------------
qn_status qn_new_call(qn_binder *binder, const qn_function *function, qn_type type, int location,
                      const qn_expr *const *args, int n_args, const void *data, const qn_expr **out);
qn_status qn_new_node(qn_binder *binder, qn_expr_kind kind, qn_type type, int location,
                      const qn_expr *const *args, int n_args, const qn_expr **out);
/// `value` points as qn_column_builder_append_value() takes it; NULL: null.
qn_status qn_new_constant(qn_binder *binder, qn_type type, const void *value, int location,
                          const qn_expr **out);
qn_status qn_new_unknown(qn_binder *binder, const char *text, int location, const qn_expr **out);
qn_status qn_new_interval(qn_binder *binder, qn_interval value, int location, const qn_expr **out);
/// The text of an UNKNOWN or of a utf8 constant, terminated, in the arena; NULL if it is neither.
const char *qn_constant_text(const qn_binder *binder, const qn_expr *expr);
/// Replaces a constant by an integer if it is one that fits.
bool qn_constant_int64(const qn_expr *expr, int64_t *out);

// --- JSON
// ----------------------------------------------------------------------------------------------------------
/// {"A_Const": {...}}: the one key and what is in it. NULL, NULL if it is not such an object.
const char *qn_tree_kind(const json_t *node, const json_t **inside);
int qn_tree_location(const json_t *inside); // -1 if there is none
/// The strings of a name list, the last one: {"String": {"sval": "+"}}; *n how many there are.
const char *qn_tree_name(const json_t *names, int *n);

/// "did you mean" by edit distance: keeps the nearest of the candidates that is near enough.
typedef struct qn_name_hint {
  const char *wanted;
  const char *nearest;
  int distance;
} qn_name_hint;
void qn_name_hint_offer(qn_name_hint *hint, const char *candidate);
