// SPDX-License-Identifier: Apache-2.0
// A list such as "age, one_hot(state, 50), standardise(ln(income)) as income", read by SQL's grammar but not
// bound: for those who give functions of their own a meaning. What is an expression is bound where it stands,
// so that carets point into the whole list.
#pragma once
#include <stdbool.h>
#include "expr/expr.h"

typedef enum {
  QN_ITEM_EXPRESSION, // any SQL expression, calls of SQL's functions among them
  QN_ITEM_CALL,       // function(arguments) and no more: no filter, over, distinct
  QN_ITEM_COLUMN,     // a name alone
  QN_ITEM_STAR,       // *
  QN_ITEM_NUMBER,     // a literal
  QN_ITEM_TEXT        // a literal
} qn_item_kind;

typedef struct qn_call_item {
  qn_item_kind kind;
  const char *text; // as written, without `as name`
  int first;        // where it begins in the list's text, in bytes
  const char *name; // given with `as`, or NULL
  const char *word; // the function or column, or what the text literal says; else NULL
  struct qn_call_item *arguments;
  int n_arguments;
  const void *node; // in the parser's tree
} qn_call_item;

typedef struct qn_call_list qn_call_list;

/// Local. Items and texts live in the arena, the list until qn_call_list_free(). `what` names the list in
/// messages. Errors: QN_ERR_ARG (syntax).
qn_status qn_call_list_parse(const char *text, const char *what, const qn_schema *schema, qn_arena *arena,
                             qn_call_list **out, qn_error *err);
void qn_call_list_free(qn_call_list *list);
int qn_call_list_n_items(const qn_call_list *list);
const qn_call_item *qn_call_list_item(const qn_call_list *list, int index);

/// Local. Binds an item, or an argument of one, as an SQL expression over the schema.
qn_status qn_call_list_bind(qn_call_list *list, const qn_call_item *item, const qn_expr **out, qn_error *err);
/// Fails with the message, the list and a caret under the item.
qn_status qn_call_list_fail(qn_call_list *list, const qn_call_item *item, qn_error *err, qn_status status,
                            const char *format, ...) __attribute__((format(printf, 5, 6)));
/// Is there a function of SQL with that name?
bool qn_expr_has_function(const char *name);
