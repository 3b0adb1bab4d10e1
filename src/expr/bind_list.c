// SPDX-License-Identifier: Apache-2.0
// Single expressions, lists of named expressions, sort keys.
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "base/check.h"
#include "expr/bind_items.h"
#include "expr/binder.h"

static qn_status bind_one(const char *text, const char *what, const qn_schema *schema, bool is_condition,
                          qn_arena *arena, const qn_expr **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_binder binder;
  const qn_expr *expr = NULL;

  QN_TRY(qn_binder_init(&binder, text, what, false, arena, err));
  qn_binder_add_scope(&binder, NULL, schema);
  QN_TRY(qn_bind_single(&binder, is_condition, &expr));
  *out = expr;

done:
  qn_binder_release(&binder);
  return status;
}

qn_status qn_bind_single(qn_binder *binder, bool is_condition, const qn_expr **out) {
  qn_status status = QN_OK;
  const json_t *items = qn_binder_items(binder, false);
  const json_t *target = json_object_get(json_array_get(items, 0), "ResTarget");
  if (json_array_size(items) != 1) {
    const json_t *second = json_object_get(json_array_get(items, 1), "ResTarget");
    return qn_bind_fail(binder, QN_ERR_ARG, qn_tree_location(second), "one expression is wanted, not a list");
  }
  if (json_object_get(target, "name") != NULL) {
    return qn_bind_fail(binder, QN_ERR_ARG, -1, "an expression without a name is wanted; leave out 'as'");
  }
  QN_TRY(qn_binder_begin_item(binder, 0, 1));
  if (is_condition) {
    QN_TRY(qn_bind_bool(binder, json_object_get(target, "val"), "a condition", out));
  } else {
    QN_TRY(qn_bind_scalar(binder, json_object_get(target, "val"), out));
  }

done:
  return status;
}

qn_status qn_expr_bind(const char *text, const char *what, const qn_schema *schema, qn_arena *arena,
                       const qn_expr **out, qn_error *err) {
  return bind_one(text, what, schema, false, arena, out, err);
}

qn_status qn_expr_bind_condition(const char *text, const char *what, const qn_schema *schema, qn_arena *arena,
                                 const qn_expr **out, qn_error *err) {
  return bind_one(text, what, schema, true, arena, out, err);
}

qn_status qn_bind_each_item(qn_binder *binder, qn_bind_item *bind, void *ctx) {
  qn_status status = QN_OK;
  const json_t *items = qn_binder_items(binder, false);
  const int n = (int)json_array_size(items);
  for (int i = 0; i < n; i++) {
    const json_t *target = json_object_get(json_array_get(items, (size_t)i), "ResTarget");
    const char *name = json_string_value(json_object_get(target, "name"));
    QN_TRY(qn_binder_begin_item(binder, i, n));
    if (json_object_get(target, "indirection") != NULL) {
      return qn_bind_fail(binder, QN_ERR_ARG, qn_tree_location(target), "a name is a single word");
    }
    QN_TRY(bind(binder, json_object_get(target, "val"), name, qn_tree_location(target), ctx));
  }

done:
  return status;
}

qn_status qn_bind_check_name(const qn_binder *binder, const char *name, const char *const *before,
                             int n_before, int location) {
  for (int i = 0; i < n_before; i++) {
    if (strcmp(before[i], name) == 0) {
      return qn_bind_fail(binder, QN_ERR_ARG, location,
                          "the name '%s' occurs twice; give another one with 'as'", name);
    }
  }
  return QN_OK;
}

bool qn_bind_is_star(const json_t *node) {
  const json_t *fields = json_object_get(json_object_get(node, "ColumnRef"), "fields");
  return json_array_size(fields) == 1 && json_object_get(json_array_get(fields, 0), "A_Star") != NULL;
}

typedef struct named_list {
  const qn_schema *schema;
  qn_named_expr *items;
  const char **names;
  int n;
} named_list;

static qn_status add_named(qn_binder *binder, named_list *list, const char *name, const qn_expr *expr,
                           int location) {
  const qn_status status = qn_bind_check_name(binder, name, list->names, list->n, location);
  list->names[list->n] = name;
  list->items[list->n++] = (qn_named_expr){.name = name, .expr = expr};
  return status;
}

static qn_status add_all_columns(qn_binder *binder, named_list *list, int location) {
  qn_status status = QN_OK;
  for (int c = 0; c < list->schema->n_columns; c++) {
    const char *name = qn_arena_string(binder->arena, list->schema->fields[c].name);
    qn_expr *column = qn_arena_alloc(binder->arena, sizeof *column);
    if (name == NULL || column == NULL) {
      return qn_bind_no_memory(binder);
    }
    const qn_expr value = {.kind = QN_EXPR_COLUMN,
                           .type = list->schema->fields[c].type,
                           .location = -1,
                           .text = name,
                           .column = c,
                           .name = name};
    memcpy(column, &value, sizeof value);
    QN_TRY(add_named(binder, list, name, column, location));
  }

done:
  return status;
}

static qn_status bind_named(qn_binder *binder, const json_t *node, const char *name, int location,
                            void *ctx) {
  qn_status status = QN_OK;
  named_list *list = ctx;
  const qn_expr *expr = NULL;
  if (qn_bind_is_star(node)) {
    if (name != NULL) {
      return qn_bind_fail(binder, QN_ERR_ARG, location, "'*' stands for many columns and cannot be named");
    }
    return add_all_columns(binder, list, location);
  }
  QN_TRY(qn_bind_scalar(binder, node, &expr));
  if (name == NULL && expr->kind == QN_EXPR_COLUMN) {
    name = list->schema->fields[expr->column].name;
  }
  const char *kept = qn_arena_string(binder->arena, name != NULL ? name : binder->item_text);
  if (kept == NULL) {
    return qn_bind_no_memory(binder);
  }
  QN_TRY(add_named(binder, list, kept, expr, location));

done:
  return status;
}

qn_status qn_expr_bind_list(const char *text, const char *what, const qn_schema *schema, qn_arena *arena,
                            qn_named_expr **out, int *n, qn_error *err) {
  qn_status status = QN_OK;
  qn_binder binder;
  named_list list = {.schema = schema};

  QN_TRY(qn_binder_init(&binder, text, what, false, arena, err));
  qn_binder_add_scope(&binder, NULL, schema);
  const json_t *items = qn_binder_items(&binder, false);
  int64_t capacity = 0;
  for (size_t i = 0; i < json_array_size(items); i++) {
    const json_t *target = json_object_get(json_array_get(items, i), "ResTarget");
    capacity += qn_bind_is_star(json_object_get(target, "val")) ? schema->n_columns : 1;
  }
  list.items = qn_arena_alloc(arena, (int64_t)sizeof *list.items * (capacity + 1));
  list.names = qn_arena_alloc(arena, (int64_t)sizeof *list.names * (capacity + 1));
  QN_REQUIRE(list.items != NULL && list.names != NULL, err, QN_ERR_MEMORY, "%s: no memory to bind", what);
  QN_TRY(qn_bind_each_item(&binder, bind_named, &list));
  *out = list.items;
  *n = list.n;

done:
  qn_binder_release(&binder);
  return status;
}

static bool ends_in_word(const char *text, size_t size, const char *word, size_t *rest) {
  const size_t word_size = strlen(word);
  if (size <= word_size || strncasecmp(text + size - word_size, word, word_size) != 0 ||
      !isspace((unsigned char)text[size - word_size - 1])) {
    return false;
  }
  *rest = size - word_size;
  while (*rest > 0 && isspace((unsigned char)text[*rest - 1])) {
    (*rest)--;
  }
  return true;
}

// The text of a sort key without `desc nulls last`.
static char *key_text(const char *text, qn_arena *arena) {
  static const char *const words[] = {"last", "first", "nulls", "asc", "desc"};
  size_t size = strlen(text);
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    ends_in_word(text, size, words[i], &size);
  }
  return qn_arena_copy(arena, text, (int64_t)size);
}

static qn_status bind_sort_key(qn_binder *binder, const json_t *sort_by, const qn_schema *schema,
                               qn_sort_key *out) {
  qn_status status = QN_OK;
  const char *direction = json_string_value(json_object_get(sort_by, "sortby_dir"));
  const char *nulls = json_string_value(json_object_get(sort_by, "sortby_nulls"));
  const json_t *node = json_object_get(sort_by, "node");
  const qn_expr *expr = NULL;
  direction = direction == NULL ? "" : direction;
  nulls = nulls == NULL ? "" : nulls;

  if (strcmp(direction, "SORTBY_USING") == 0) {
    return qn_bind_fail(binder, QN_ERR_ARG, qn_tree_location(sort_by),
                        "write asc or desc instead of 'using'");
  }
  if (json_object_get(node, "A_Const") !=
      NULL) { // in SQL a bare number is a position; nobody wants a constant here
    return qn_bind_fail(binder, QN_ERR_ARG, qn_tree_location(json_object_get(node, "A_Const")),
                        "rows cannot be ordered by a constant; name a column");
  }
  QN_TRY(qn_bind_scalar(binder, node, &expr));
  out->expr = expr;
  out->order.is_descending = strcmp(direction, "SORTBY_DESC") == 0;
  out->order.nulls_first = strcmp(nulls, "SORTBY_NULLS_FIRST") == 0 ||
                           (out->order.is_descending && strcmp(nulls, "SORTBY_NULLS_LAST") != 0);
  out->name = expr->kind == QN_EXPR_COLUMN ? qn_arena_string(binder->arena, schema->fields[expr->column].name)
                                           : key_text(binder->item_text, binder->arena);
  if (out->name == NULL) {
    return qn_bind_no_memory(binder);
  }

done:
  return status;
}

qn_status qn_sort_keys_bind(const char *text, const qn_schema *schema, qn_arena *arena, qn_sort_key **out,
                            int *n, qn_error *err) {
  qn_status status = QN_OK;
  qn_binder binder;

  QN_TRY(qn_binder_init(&binder, text, "sort", true, arena, err));
  qn_binder_add_scope(&binder, NULL, schema);
  const json_t *items = qn_binder_items(&binder, true);
  const int n_keys = (int)json_array_size(items);
  qn_sort_key *keys = qn_arena_alloc(arena, (int64_t)sizeof *keys * n_keys);
  QN_REQUIRE(keys != NULL, err, QN_ERR_MEMORY, "sort: no memory to bind");
  for (int i = 0; i < n_keys; i++) {
    QN_TRY(qn_binder_begin_item(&binder, i, n_keys));
    QN_TRY(bind_sort_key(&binder, json_object_get(json_array_get(items, (size_t)i), "SortBy"), schema,
                         &keys[i]));
  }
  *out = keys;
  *n = n_keys;

done:
  qn_binder_release(&binder);
  return status;
}
