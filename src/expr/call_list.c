// SPDX-License-Identifier: Apache-2.0
// Lists of calls: the parser says what an item is, a look at its tokens where its arguments stand.
#include "expr/call_list.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "expr/bind_items.h"
#include "expr/binder.h"
#include "expr/function_table.h"

enum { DEEPEST_CALLS = 50 };

struct qn_call_list {
  qn_binder binder;
  qn_call_item *items;
  int n;
};

static qn_status read_item(qn_call_list *list, const json_t *node, int depth, qn_call_item *item);

// A call without distinct, filter, over and the like, of a function named by one word.
static bool is_plain_call(const json_t *call) {
  static const char *const known[] = {"funcname", "args", "agg_star", "funcformat", "location"};
  const char *key;
  json_t *value;

  json_object_foreach((json_t *)(uintptr_t)call, key, value) {
    bool is_known = false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
      is_known = is_known || strcmp(key, known[i]) == 0;
    }
    if (!is_known) {
      return false;
    }
  }
  const char *format = json_string_value(json_object_get(call, "funcformat"));
  return json_array_size(json_object_get(call, "funcname")) == 1 &&
         (format == NULL || strcmp(format, "COERCE_EXPLICIT_CALL") == 0);
}

static qn_status read_star(qn_call_list *list, const char *inside, int first, qn_call_item *item) {
  qn_arena *arena = list->binder.arena;
  item->arguments = qn_arena_alloc(arena, (int64_t)sizeof *item->arguments);
  const char *text = qn_arena_string(arena, "*");
  if (item->arguments == NULL || text == NULL) {
    return qn_bind_no_memory(&list->binder);
  }
  item->n_arguments = 1;
  item->arguments[0] =
      (qn_call_item){.kind = QN_ITEM_STAR, .text = text, .first = first + (int)strcspn(inside, "*")};
  return QN_OK;
}

static qn_status read_call(qn_call_list *list, const json_t *call, int depth, qn_call_item *item) {
  qn_status status = QN_OK;
  qn_arena *arena = list->binder.arena;
  const json_t *args = json_object_get(call, "args");
  const int n = (int)json_array_size(args);
  int n_words = 0;
  int first = 0;

  const char *inside = qn_item_arguments(item->text, arena, &first);
  item->kind = QN_ITEM_CALL;
  item->word = qn_arena_string(arena, qn_tree_name(json_object_get(call, "funcname"), &n_words));
  if (inside == NULL || item->word == NULL) {
    return qn_bind_no_memory(&list->binder);
  }
  if (json_is_true(json_object_get(call, "agg_star"))) {
    return read_star(list, inside, item->first + first, item);
  }
  item->arguments = qn_arena_alloc(arena, (int64_t)sizeof *item->arguments * (n + 1));
  if (item->arguments == NULL) {
    return qn_bind_no_memory(&list->binder);
  }
  item->n_arguments = n;
  for (int i = 0; i < n; i++) {
    qn_call_item *argument = &item->arguments[i];
    argument->text = qn_item_text(inside, i, n, arena, &argument->first);
    if (argument->text == NULL) {
      return qn_bind_no_memory(&list->binder);
    }
    argument->first += item->first + first;
    QN_TRY(read_item(list, json_array_get(args, (size_t)i), depth + 1, argument));
  }

done:
  return status;
}

static qn_status read_column(qn_call_list *list, const json_t *ref, qn_call_item *item) {
  int n = 0;
  const char *name = qn_tree_name(json_object_get(ref, "fields"), &n);
  if (n != 1 || name[0] == '\0') {
    return QN_OK; // qualified: left to the binder
  }
  item->kind = QN_ITEM_COLUMN;
  item->word = qn_arena_string(list->binder.arena, name);
  return item->word == NULL ? qn_bind_no_memory(&list->binder) : QN_OK;
}

// What the item is. Its text and where it begins are set.
static qn_status read_item(qn_call_list *list, const json_t *node, int depth, qn_call_item *item) {
  const json_t *inside = NULL;
  const char *kind = qn_tree_kind(node, &inside);

  item->node = node;
  item->kind = QN_ITEM_EXPRESSION;
  if (depth > DEEPEST_CALLS) {
    return qn_bind_fail(&list->binder, QN_ERR_ARG, list->binder.prefix + item->first,
                        "calls are nested more than %d deep", DEEPEST_CALLS);
  }
  if (kind == NULL) {
    return QN_OK;
  }
  if (qn_bind_is_star(node)) {
    item->kind = QN_ITEM_STAR;
    return QN_OK;
  }
  if (strcmp(kind, "FuncCall") == 0 && is_plain_call(inside)) {
    return read_call(list, inside, depth, item);
  }
  if (strcmp(kind, "ColumnRef") == 0) {
    return read_column(list, inside, item);
  }
  const json_t *text = json_object_get(inside, "sval");
  if (strcmp(kind, "A_Const") == 0 && text != NULL) {
    const char *value = json_string_value(json_object_get(text, "sval"));
    item->kind = QN_ITEM_TEXT;
    item->word = qn_arena_string(list->binder.arena, value == NULL ? "" : value);
    return item->word == NULL ? qn_bind_no_memory(&list->binder) : QN_OK;
  }
  if (strcmp(kind, "A_Const") == 0 &&
      (json_object_get(inside, "ival") != NULL || json_object_get(inside, "fval") != NULL)) {
    item->kind = QN_ITEM_NUMBER;
  }
  return QN_OK;
}

static qn_status read_list_item(qn_binder *binder, const json_t *node, const char *name, int location,
                                void *ctx) {
  qn_call_list *list = ctx;
  qn_call_item *item = &list->items[list->n++];

  (void)location;
  item->text = binder->item_text;
  item->first = binder->item_first;
  if (name != NULL) {
    item->name = qn_arena_string(binder->arena, name);
    if (item->name == NULL) {
      return qn_bind_no_memory(binder);
    }
  }
  return read_item(list, node, 0, item);
}

qn_status qn_call_list_parse(const char *text, const char *what, const qn_schema *schema, qn_arena *arena,
                             qn_call_list **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_call_list *list = calloc(1, sizeof *list);

  QN_REQUIRE(list != NULL, err, QN_ERR_MEMORY, "%s: no memory to parse", what);
  QN_TRY(qn_binder_init(&list->binder, text, what, false, arena, err));
  qn_binder_add_scope(&list->binder, NULL, schema);
  const int64_t n = (int64_t)json_array_size(qn_binder_items(&list->binder, false));
  list->items = qn_arena_alloc(arena, (int64_t)sizeof *list->items * n);
  QN_REQUIRE(list->items != NULL, err, QN_ERR_MEMORY, "%s: no memory to parse", what);
  QN_TRY(qn_bind_each_item(&list->binder, read_list_item, list));
  list->binder.err = NULL;
  *out = list;
  list = NULL;

done:
  qn_call_list_free(list);
  return status;
}

void qn_call_list_free(qn_call_list *list) {
  if (list != NULL) {
    qn_binder_release(&list->binder);
    free(list);
  }
}

int qn_call_list_n_items(const qn_call_list *list) {
  return list->n;
}

const qn_call_item *qn_call_list_item(const qn_call_list *list, int index) {
  return &list->items[index];
}

qn_status qn_call_list_bind(qn_call_list *list, const qn_call_item *item, const qn_expr **out,
                            qn_error *err) {
  list->binder.err = err;
  list->binder.item_text = item->text;
  list->binder.item_first = item->first;
  const qn_status status = qn_bind_scalar(&list->binder, item->node, out);
  list->binder.err = NULL;
  return status;
}

qn_status qn_call_list_fail(qn_call_list *list, const qn_call_item *item, qn_error *err, qn_status status,
                            const char *format, ...) {
  char message[600];
  va_list args;

  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  list->binder.err = err;
  qn_bind_fail(&list->binder, status, list->binder.prefix + item->first, "%s", message);
  list->binder.err = NULL;
  return status;
}

static bool stop_at_first(void *ctx, const qn_function *function) {
  (void)function;
  *(bool *)ctx = true;
  return false;
}

bool qn_expr_has_function(const char *name) {
  bool is_found = false;
  qn_functions_visit(name, stop_at_first, &is_found);
  return is_found;
}
