// SPDX-License-Identifier: Apache-2.0
// The verbs that work row by row, and those that keep or number rows.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "plan/columns.h"
#include "plan/plan.h"

QN_API qn_dataset *qn_map(qn_dataset *in, qn_map_fn map, void *ctx, const char *schema) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_dataset *node = in == NULL ? NULL : qn_plan_node(in->plan, QN_NODE_MAP, in, NULL, schema);

  if (node == NULL || node->status != QN_OK) {
    return node;
  }
  QN_REQUIRE(map != NULL, &err, QN_ERR_ARG, "map: the callback is NULL");
  QN_REQUIRE(schema != NULL, &err, QN_ERR_ARG, "map: the schema is NULL");
  QN_TRY(qn_schema_parse(schema, &node->schema, &err));
  node->map = map;
  node->ctx = ctx;

done:
  return qn_plan_finish(node, status, &err);
}

// The columns of `in`, then those of `made`.
static qn_status append_schema(const qn_schema *in, const qn_schema *made, qn_schema **out, qn_error *err) {
  qn_status status = QN_OK;
  const int n = in->n_columns + made->n_columns;
  qn_field *fields = malloc(sizeof *fields * (size_t)n);

  QN_REQUIRE(fields != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  memcpy(fields, in->fields, sizeof *fields * (size_t)in->n_columns);
  memcpy(fields + in->n_columns, made->fields, sizeof *fields * (size_t)made->n_columns);
  QN_TRY(qn_schema_new(fields, n, out, err));

done:
  free(fields);
  return status;
}

QN_API qn_dataset *qn_extend(qn_dataset *in, qn_map_fn extend, void *ctx, const char *schema) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_dataset *node = in == NULL ? NULL : qn_plan_node(in->plan, QN_NODE_EXTEND, in, NULL, schema);
  qn_schema *made = NULL;

  if (node == NULL || node->status != QN_OK) {
    return node;
  }
  QN_REQUIRE(extend != NULL, &err, QN_ERR_ARG, "extend: the callback is NULL");
  QN_REQUIRE(schema != NULL, &err, QN_ERR_ARG, "extend: the schema is NULL");
  QN_TRY(qn_schema_parse(schema, &made, &err));
  QN_TRY(append_schema(in->schema, made, &node->schema, &err));
  node->map = extend;
  node->ctx = ctx;

done:
  qn_schema_free(made);
  return qn_plan_finish(node, status, &err);
}

QN_API qn_dataset *qn_filter(qn_dataset *in, const char *condition) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_dataset *node = in == NULL ? NULL : qn_plan_node(in->plan, QN_NODE_FILTER, in, NULL, condition);

  if (node == NULL || node->status != QN_OK) {
    return node;
  }
  QN_REQUIRE(condition != NULL, &err, QN_ERR_ARG, "filter: the condition is NULL");
  const qn_expr **conditions = qn_arena_alloc(&in->plan->arena, sizeof *conditions);
  QN_REQUIRE(conditions != NULL, &err, QN_ERR_MEMORY, "no memory for a plan node");
  QN_TRY(qn_expr_bind_condition(condition, "filter", in->schema, &in->plan->arena, &conditions[0], &err));
  node->conditions = conditions;
  node->n_conditions = 1;
  node->schema = qn_schema_share(in->schema);

done:
  return qn_plan_finish(node, status, &err);
}

QN_API qn_dataset *qn_select(qn_dataset *in, const char *expressions) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_named_expr *exprs = NULL;
  int n_exprs = 0;
  const qn_dataset *out = NULL;

  if (in == NULL || in->status != QN_OK) {
    return in;
  }
  QN_REQUIRE(expressions != NULL, &err, QN_ERR_ARG, "select: the expressions are NULL");
  QN_TRY(qn_expr_bind_list(expressions, "select", in->schema, &in->plan->arena, &exprs, &n_exprs, &err));
  QN_TRY(qn_plan_select_node(in, exprs, n_exprs, expressions, &out, &err));
  return (qn_dataset *)(uintptr_t)out;

done:
  return qn_plan_finish(qn_plan_node(in->plan, QN_NODE_SELECT, in, NULL, expressions), status, &err);
}

QN_API qn_dataset *qn_union(qn_dataset *a, qn_dataset *b) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_buffer left = {0};
  qn_buffer right = {0};
  qn_dataset *node = a == NULL || b == NULL ? NULL : qn_plan_node(a->plan, QN_NODE_UNION, a, b, NULL);

  if (node == NULL || node->status != QN_OK) {
    return node;
  }
  if (!qn_schema_is_equal(a->schema, b->schema)) {
    QN_TRY(qn_schema_print(a->schema, &left, &err));
    QN_TRY(qn_buffer_terminate(&left, &err));
    QN_TRY(qn_schema_print(b->schema, &right, &err));
    QN_TRY(qn_buffer_terminate(&right, &err));
    QN_REQUIRE(false, &err, QN_ERR_TYPE,
               "union: the two have different columns\n  first:  %s\n  second: %s\nbring them in line with "
               "qn_select",
               (const char *)left.data, (const char *)right.data);
  }
  node->schema = qn_schema_share(a->schema);

done:
  qn_buffer_release(&left);
  qn_buffer_release(&right);
  return qn_plan_finish(node, status, &err);
}

QN_API qn_dataset *qn_limit(qn_dataset *in, int64_t n) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_dataset *node = in == NULL ? NULL : qn_plan_node(in->plan, QN_NODE_LIMIT, in, NULL, NULL);

  if (node == NULL || node->status != QN_OK) {
    return node;
  }
  QN_REQUIRE(n >= 0, &err, QN_ERR_ARG, "limit: %lld rows", (long long)n);
  node->text = qn_arena_printf(&in->plan->arena, "%lld", (long long)n);
  node->n = n;
  node->schema = qn_schema_share(in->schema);

done:
  return qn_plan_finish(node, status, &err);
}

QN_API qn_dataset *qn_zip_with_index(qn_dataset *in, const char *name) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_dataset *node = in == NULL ? NULL : qn_plan_node(in->plan, QN_NODE_ZIP, in, NULL, name);

  if (node == NULL || node->status != QN_OK) {
    return node;
  }
  const int n_columns = in->schema->n_columns;
  qn_field *fields = qn_arena_alloc(&in->plan->arena, (int64_t)sizeof *fields * (n_columns + 1));
  QN_REQUIRE(fields != NULL, &err, QN_ERR_MEMORY, "no memory for a plan node");
  QN_REQUIRE(name != NULL, &err, QN_ERR_ARG, "zip with index: the name is NULL");
  for (int c = 0; c < n_columns; c++) {
    fields[c] = in->schema->fields[c];
  }
  fields[n_columns] = (qn_field){.name = (char *)(uintptr_t)name, .type = QN_INT64};
  QN_TRY(qn_schema_new(fields, n_columns + 1, &node->schema, &err));

done:
  return qn_plan_finish(node, status, &err);
}

QN_API qn_dataset *qn_cache(qn_dataset *in) {
  qn_status status = QN_OK;
  qn_error err = {0};
  qn_dataset *node = in == NULL ? NULL : qn_plan_node(in->plan, QN_NODE_CACHE, in, NULL, NULL);

  if (node == NULL || node->status != QN_OK) {
    return node;
  }
  node->cached = qn_arena_alloc(&in->plan->arena, sizeof *node->cached);
  QN_REQUIRE(node->cached != NULL, &err, QN_ERR_MEMORY, "no memory for a plan node");
  node->schema = qn_schema_share(in->schema);

done:
  return qn_plan_finish(node, status, &err);
}
