// SPDX-License-Identifier: Apache-2.0
// The verbs that work by key: shuffle, reduce, combine, group, distinct.
#include <string.h>

#include "base/check.h"
#include "plan/columns.h"
#include "plan/plan.h"
#include "plan/reduce_distinct.h"

static bool is_blank(const char *text) {
  return text == NULL || text[strspn(text, " \t\n")] == '\0';
}

// Keys that must be bare columns of `in`: a callback or the result names them.
static qn_status bind_bare_keys(const qn_dataset *in, const char *text, const char *what, const int **out,
                                int *n_out, qn_error *err) {
  qn_status status = QN_OK;
  qn_named_expr *exprs = NULL;
  int n = 0;
  int *keys = NULL;

  QN_REQUIRE(!is_blank(text), err, QN_ERR_ARG, "%s: no keys are given", what);
  QN_TRY(qn_expr_bind_list(text, what, in->schema, &in->plan->arena, &exprs, &n, err));
  keys = qn_arena_alloc(&in->plan->arena, (int64_t)sizeof *keys * n);
  QN_REQUIRE(keys != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int i = 0; i < n; i++) {
    keys[i] = qn_expr_column(exprs[i].expr);
    QN_REQUIRE(keys[i] >= 0, err, QN_ERR_ARG,
               "%s: the key '%s' is an expression; make it a column with qn_select first", what,
               qn_expr_text(exprs[i].expr));
  }
  *out = keys;
  *n_out = n;

done:
  return status;
}

// Order keys as columns of *with, which is `in` with hidden columns behind where needed.
static qn_status bind_order(const qn_dataset *in, const char *text, const qn_dataset **with,
                            const qn_order_column **out, int *n_out, qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &in->plan->arena;
  qn_sort_key *keys = NULL;
  int n = 0;

  QN_TRY(qn_sort_keys_bind(text, in->schema, arena, &keys, &n, err));
  qn_order_column *order = qn_arena_alloc(arena, (int64_t)sizeof *order * n);
  const qn_expr **exprs = qn_arena_alloc(arena, (int64_t)sizeof *exprs * n);
  int *columns = qn_arena_alloc(arena, (int64_t)sizeof *columns * n);
  QN_REQUIRE(order != NULL && exprs != NULL && columns != NULL, err, QN_ERR_MEMORY,
             "no memory for a plan node");
  for (int i = 0; i < n; i++) {
    exprs[i] = keys[i].expr;
  }
  QN_TRY(qn_plan_add_columns(in, exprs, n, with, columns, err));
  for (int i = 0; i < n; i++) {
    order[i] = (qn_order_column){.column = columns[i], .order = keys[i].order};
  }
  *out = order;
  *n_out = n;

done:
  return status;
}

// Drops the hidden columns behind the first n_columns of `node`.
static qn_dataset *drop_hidden(qn_dataset *node, const qn_dataset *in, qn_status status, qn_error *err) {
  qn_plan_finish(node, status, err);
  if (node->status != QN_OK || node->schema->n_columns == in->schema->n_columns) {
    return node;
  }
  const qn_dataset *kept = node;
  int *columns = qn_arena_alloc(&node->plan->arena, (int64_t)sizeof *columns * in->schema->n_columns);
  if (columns == NULL) {
    return qn_plan_finish(node, qn_fail(err, QN_ERR_MEMORY, "no memory for a plan node"), err);
  }
  for (int c = 0; c < in->schema->n_columns; c++) {
    columns[c] = c;
  }
  status = qn_plan_keep_columns(node, columns, in->schema->n_columns, &kept, err);
  return status == QN_OK ? (qn_dataset *)(uintptr_t)kept : qn_plan_finish(node, status, err);
}

QN_API qn_dataset *qn_shuffle(qn_dataset *in, const char *keys) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_named_expr *exprs = NULL;
  const qn_dataset *with = in;
  int n = 0;
  int *columns = NULL;
  qn_dataset *node = NULL;

  if (in == NULL || in->status != QN_OK) {
    return in;
  }
  QN_REQUIRE(!is_blank(keys), &err, QN_ERR_ARG, "shuffle: no keys are given");
  QN_TRY(qn_expr_bind_list(keys, "shuffle", in->schema, &in->plan->arena, &exprs, &n, &err));
  columns = qn_arena_alloc(&in->plan->arena, (int64_t)sizeof *columns * n);
  const qn_expr **list = qn_arena_alloc(&in->plan->arena, (int64_t)sizeof *list * n);
  QN_REQUIRE(columns != NULL && list != NULL, &err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int i = 0; i < n; i++) {
    list[i] = exprs[i].expr;
  }
  QN_TRY(qn_plan_add_columns(in, list, n, &with, columns, &err));

done:
  node = qn_plan_node(in->plan, QN_NODE_SHUFFLE, with, NULL, keys);
  if (node == NULL) {
    return NULL;
  }
  node->keys = columns;
  node->n_keys = n;
  node->schema = qn_schema_share(with->schema);
  return drop_hidden(node, in, status, &err);
}

// The nodes of which order is all there is: sort, top, shuffle by range.
static qn_dataset *ordered_node(qn_dataset *in, qn_node_kind kind, const char *what, const char *keys,
                                int64_t n) {
  qn_status status = QN_OK;
  qn_error err = {0};
  const qn_dataset *with = in;
  const qn_order_column *order = NULL;
  int n_order = 0;
  qn_dataset *node = NULL;

  if (in == NULL || in->status != QN_OK) {
    return in;
  }
  QN_REQUIRE(!is_blank(keys), &err, QN_ERR_ARG, "%s: no keys are given", what);
  QN_REQUIRE(n >= 0, &err, QN_ERR_ARG, "%s: %lld rows", what, (long long)n);
  QN_TRY(bind_order(in, keys, &with, &order, &n_order, &err));

done:
  node = qn_plan_node(in->plan, kind, with, NULL, keys);
  if (node == NULL) {
    return NULL;
  }
  node->order = order;
  node->n_order = n_order;
  node->n = n;
  node->shuffle_kind = QN_SHUFFLE_RANGE;
  node->schema = qn_schema_share(with->schema);
  return drop_hidden(node, in, status, &err);
}

QN_API qn_dataset *qn_shuffle_range(qn_dataset *in, const char *keys) {
  return ordered_node(in, QN_NODE_SHUFFLE, "shuffle by range", keys, 0);
}

QN_API qn_dataset *qn_sort(qn_dataset *in, const char *keys) {
  return ordered_node(in, QN_NODE_SORT, "sort", keys, 0);
}

QN_API qn_dataset *qn_top(qn_dataset *in, const char *keys, int64_t n) {
  return ordered_node(in, QN_NODE_TOP, "top", keys, n);
}

QN_API qn_dataset *qn_shuffle_by(qn_dataset *in, qn_partition_fn partition, void *ctx) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_dataset *node = in == NULL ? NULL : qn_plan_node(in->plan, QN_NODE_SHUFFLE, in, NULL, "own function");

  if (node == NULL || node->status != QN_OK) {
    return node;
  }
  QN_REQUIRE(partition != NULL, &err, QN_ERR_ARG, "shuffle: the callback is NULL");
  node->shuffle_kind = QN_SHUFFLE_OWN;
  node->partition = partition;
  node->ctx = ctx;
  node->schema = qn_schema_share(in->schema);

done:
  return qn_plan_finish(node, status, &err);
}

// The select below a reduce: the keys, then each aggregate's arguments and filter.
static qn_status reduce_input(const qn_dataset *in, const qn_named_expr *keys, int n_keys,
                              const qn_aggregate *aggregates, int n, qn_plan_aggregate *planned,
                              const qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &in->plan->arena;
  qn_named_expr *exprs = qn_arena_alloc(arena, (int64_t)sizeof *exprs * (n_keys + 3 * n + 1));
  int n_exprs = n_keys;

  QN_REQUIRE(exprs != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  if (n_keys > 0) {
    memcpy(exprs, keys, sizeof *exprs * (size_t)n_keys);
  }
  for (int i = 0; i < n; i++) {
    static const char *const names[3] = {"argument", "second", "filter"};
    const qn_expr *const parts[3] = {aggregates[i].argument, aggregates[i].second, aggregates[i].filter};
    int *const places[3] = {&planned[i].argument, &planned[i].second, &planned[i].filter};
    for (int p = 0; p < 3; p++) {
      *places[p] = -1;
      if (parts[p] != NULL) {
        *places[p] = n_exprs;
        exprs[n_exprs].name = qn_arena_printf(arena, "__%s_%d", names[p], i);
        exprs[n_exprs++].expr = parts[p];
      }
    }
  }
  QN_TRY(qn_plan_select_node(in, exprs, n_exprs, "", out, err));

done:
  return status;
}

static bool is_same_text(const qn_expr *a, const qn_expr *b) {
  return a == NULL || b == NULL ? a == b : strcmp(qn_expr_text(a), qn_expr_text(b)) == 0;
}

// The classes of qn_plan_reduce_distinct(); how many there are.
static int find_classes(const qn_aggregate *bound, int n, int *classes) {
  int n_classes = 0;

  for (int i = 0; i < n; i++) {
    classes[i] = 0;
    for (int j = 0; j < i && bound[i].is_distinct && classes[i] == 0; j++) {
      const bool is_same = bound[j].is_distinct && is_same_text(bound[i].argument, bound[j].argument) &&
                           is_same_text(bound[i].filter, bound[j].filter);
      classes[i] = is_same ? classes[j] : 0;
    }
    if (bound[i].is_distinct && classes[i] == 0) {
      classes[i] = ++n_classes;
    }
  }
  return n_classes;
}

static bool has_first(const qn_aggregate *bound, int n) {
  for (int i = 0; i < n; i++) {
    if (bound[i].kind == QN_AGG_FIRST) {
      return true;
    }
  }
  return false;
}

static qn_status plan_reduce(const qn_dataset *in, const char *keys, const char *aggregates, const char *text,
                             qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &in->plan->arena;
  qn_named_expr *key_exprs = NULL;
  qn_aggregate *bound = NULL;
  int n_keys = 0;
  int n = 0;
  const qn_dataset *input = NULL;

  if (!is_blank(keys)) {
    QN_TRY(qn_expr_bind_list(keys, "reduce", in->schema, arena, &key_exprs, &n_keys, err));
  }
  if (!is_blank(aggregates)) {
    QN_TRY(qn_aggregates_bind(aggregates, in->schema, arena, &bound, &n, err));
  }
  QN_REQUIRE(n_keys + n > 0, err, QN_ERR_ARG, "reduce: neither keys nor aggregates are given");
  qn_plan_aggregate *planned = qn_arena_alloc(arena, (int64_t)sizeof *planned * (n + 1));
  int *classes = qn_arena_alloc(arena, (int64_t)sizeof *classes * (n + 1));
  QN_REQUIRE(planned != NULL && classes != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int i = 0; i < n; i++) {
    planned[i].name = bound[i].name;
    planned[i].kind = bound[i].kind;
    planned[i].is_distinct = bound[i].is_distinct;
    planned[i].parameter = bound[i].parameter;
    planned[i].type = bound[i].type;
  }
  QN_TRY(reduce_input(in, key_exprs, n_keys, bound, n, planned, &input, err));
  const int n_classes = find_classes(bound, n, classes);
  QN_REQUIRE(
      n_classes == 0 || !has_first(bound, n), err, QN_ERR_ARG,
      "reduce: first() together with an aggregate of distinct values; make it two reduces and join them");
  if (n_classes == 0) {
    QN_TRY(qn_plan_reduce_node(input, n_keys, planned, n, text, out, err));
  } else {
    QN_TRY(qn_plan_reduce_distinct(input, n_keys, planned, classes, n, n_classes, text, out, err));
  }

done:
  return status;
}

QN_API qn_dataset *qn_reduce(qn_dataset *in, const char *keys, const char *aggregates) {
  qn_error err = {0};
  qn_dataset *node = NULL;

  if (in == NULL || in->status != QN_OK) {
    return in;
  }
  const char *text = qn_arena_printf(&in->plan->arena, "by %s: %s", is_blank(keys) ? "nothing" : keys,
                                     aggregates == NULL ? "" : aggregates);
  const qn_status status = plan_reduce(in, keys, aggregates, text, &node, &err);
  if (status != QN_OK) {
    return qn_plan_finish(qn_plan_node(in->plan, QN_NODE_REDUCE, in, NULL, text), status, &err);
  }
  return node;
}

QN_API qn_dataset *qn_combine(qn_dataset *in, const char *keys, qn_combine_fn combine, void *ctx) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_dataset *node = in == NULL ? NULL : qn_plan_node(in->plan, QN_NODE_COMBINE, in, NULL, keys);

  if (node == NULL || node->status != QN_OK) {
    return node;
  }
  QN_REQUIRE(combine != NULL, &err, QN_ERR_ARG, "combine: the callback is NULL");
  QN_TRY(bind_bare_keys(in, keys, "combine", &node->keys, &node->n_keys, &err));
  QN_REQUIRE(node->n_keys < in->schema->n_columns, &err, QN_ERR_ARG,
             "combine: all columns are keys, nothing is left to combine");
  node->combine = combine;
  node->ctx = ctx;
  node->schema = qn_schema_share(in->schema);

done:
  return qn_plan_finish(node, status, &err);
}

QN_API qn_dataset *qn_group_by(qn_dataset *in, const char *keys, const char *order, qn_group_fn fn, void *ctx,
                               const char *schema) {
  qn_status status = QN_OK;
  qn_error err = {0};
  const qn_dataset *with = NULL;
  qn_dataset *node = in == NULL ? NULL : qn_plan_node(in->plan, QN_NODE_GROUP, in, NULL, keys);

  if (node == NULL || node->status != QN_OK) {
    return node;
  }
  QN_REQUIRE(fn != NULL && schema != NULL, &err, QN_ERR_ARG, "group: the callback or the schema is NULL");
  QN_TRY(bind_bare_keys(in, keys, "group", &node->keys, &node->n_keys, &err));
  if (!is_blank(order)) {
    QN_TRY(bind_order(in, order, &with, &node->order, &node->n_order, &err));
    QN_REQUIRE(with == in, &err, QN_ERR_ARG,
               "group: the order '%s' has an expression; make it a column with qn_select first", order);
  }
  QN_TRY(qn_schema_parse(schema, &node->schema, &err));
  node->group = fn;
  node->ctx = ctx;

done:
  return qn_plan_finish(node, status, &err);
}

// Distinct over all columns is a reduce by all of them without aggregates.
static qn_dataset *distinct_rows(const qn_dataset *in) {
  qn_status status = QN_OK;
  qn_error err = {0};
  const int n = in->schema->n_columns;
  qn_dataset *node = qn_plan_node(in->plan, QN_NODE_REDUCE, in, NULL, "to distinct rows");
  int *all = qn_arena_alloc(&in->plan->arena, (int64_t)sizeof *all * (n + 1));

  if (node == NULL) {
    return NULL;
  }
  QN_REQUIRE(all != NULL, &err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int c = 0; c < n; c++) {
    all[c] = c;
  }
  node->keys = all;
  node->n_keys = n;
  node->schema = qn_schema_share(in->schema);

done:
  return qn_plan_finish(node, status, &err);
}

QN_API qn_dataset *qn_distinct(qn_dataset *in, const char *keys) {
  qn_status status = QN_OK;
  qn_error err = {0};

  if (in == NULL || in->status != QN_OK) {
    return in;
  }
  if (is_blank(keys)) {
    return distinct_rows(in);
  }
  qn_dataset *node = qn_plan_node(in->plan, QN_NODE_DISTINCT, in, NULL, keys);
  if (node == NULL) {
    return NULL;
  }
  QN_TRY(bind_bare_keys(in, keys, "distinct", &node->keys, &node->n_keys, &err));
  node->schema = qn_schema_share(in->schema);

done:
  return qn_plan_finish(node, status, &err);
}
