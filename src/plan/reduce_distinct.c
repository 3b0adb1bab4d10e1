// SPDX-License-Identifier: Apache-2.0
// Aggregates over distinct values are ordinary ones over rows that were made distinct first, by key and
// value: a reduce by all columns, which every rank does for its own rows before anything is sent, and which
// spills like any other. If a reduce has aggregates over several kinds of values, its input is kept (a cache,
// which spills too), each kind is a branch over it, and a last reduce puts the branches' rows of a key
// together: of each column all but one branch have nulls, which any_value leaves out.
#include "plan/reduce_distinct.h"
#include <assert.h>
#include <string.h>
#include "base/check.h"
#include "column/schema.h"
#include "plan/columns.h"

qn_status qn_plan_reduce_node(const qn_dataset *in, int n_keys, const qn_plan_aggregate *aggregates, int n,
                              const char *text, qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_arena *arena = &in->plan->arena;
  int *keys = qn_arena_alloc(arena, (int64_t)sizeof *keys * (n_keys + 1));
  qn_field *fields = qn_arena_alloc(arena, (int64_t)sizeof *fields * (n_keys + n + 1));
  qn_dataset *node = qn_plan_node(in->plan, QN_NODE_REDUCE, in, NULL, text);

  QN_REQUIRE(keys != NULL && fields != NULL && node != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int k = 0; k < n_keys; k++) {
    keys[k] = k;
    fields[k] = in->schema->fields[k];
  }
  for (int i = 0; i < n; i++) {
    fields[n_keys + i] =
        (qn_field){.name = (char *)(uintptr_t)aggregates[i].name, .type = aggregates[i].type};
  }
  node->keys = keys;
  node->n_keys = n_keys;
  node->aggregates = aggregates;
  node->n_aggregates = n;
  QN_TRY(qn_schema_new(fields, n_keys + n, &node->schema, err));
  *out = node;

done:
  return status;
}

// The keys, the argument and the filter (if there is one) of an aggregate, each combination once.
static qn_status distinct_input(const qn_dataset *in, int n_keys, const qn_plan_aggregate *aggregate,
                                const qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *kept = NULL;
  int *columns = qn_arena_alloc(&in->plan->arena, (int64_t)sizeof *columns * (n_keys + 2));

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int k = 0; k < n_keys; k++) {
    columns[k] = k;
  }
  columns[n_keys] = aggregate->argument;
  columns[n_keys + 1] = aggregate->filter;
  QN_TRY(qn_plan_keep_columns(in, columns, n_keys + (aggregate->filter < 0 ? 1 : 2), &kept, err));
  qn_dataset *distinct = qn_distinct((qn_dataset *)(uintptr_t)kept, NULL);
  QN_REQUIRE(distinct != NULL && distinct->status == QN_OK, err, QN_ERR_MEMORY, "no memory for a plan node");
  *out = distinct;

done:
  return status;
}

// The aggregates of one class: places[i] is the column of the branch that aggregate i is, -1 for those of
// other classes.
static qn_status make_branch(const qn_dataset *in, int n_keys, const qn_plan_aggregate *aggregates,
                             const int *classes, int n, int class, const char *text, int *places,
                             qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *input = in;
  qn_plan_aggregate *own = qn_arena_alloc(&in->plan->arena, (int64_t)sizeof *own * (n + 1));
  int n_own = 0;

  QN_REQUIRE(own != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int i = 0; i < n; i++) {
    places[i] = classes[i] == class ? n_keys + n_own : -1;
    if (classes[i] == class) {
      own[n_own++] = aggregates[i];
    }
  }
  if (class > 0) {
    QN_TRY(distinct_input(in, n_keys, &own[0], &input, err));
  }
  for (int i = 0; class > 0 && i < n_own; i++) {
    own[i].argument = n_keys;
    own[i].filter = own[i].filter < 0 ? -1 : n_keys + 1;
    own[i].is_distinct = false;
  }
  QN_TRY(qn_plan_reduce_node(input, n_keys, own, n_own, text, out, err));

done:
  return status;
}

// The branch with the columns of all: its own, and nulls for the others.
static qn_status widen_branch(const qn_dataset *branch, int n_keys, const qn_plan_aggregate *aggregates,
                              const int *places, int n, qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_plan *plan = branch->plan;
  const qn_dataset *node = NULL;
  qn_named_expr *exprs = qn_arena_alloc(&plan->arena, (int64_t)sizeof *exprs * (n_keys + n + 1));

  QN_REQUIRE(exprs != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int c = 0; c < n_keys + n; c++) {
    const int place = c < n_keys ? c : places[c - n_keys];
    exprs[c].name = c < n_keys ? branch->schema->fields[c].name : aggregates[c - n_keys].name;
    if (place >= 0) {
      QN_TRY(qn_plan_column_expr(plan, branch->schema, place, &exprs[c].expr, err));
    } else {
      const char *null =
          qn_arena_printf(&plan->arena, "cast(null as %s)", qn_type_name(aggregates[c - n_keys].type));
      QN_REQUIRE(null != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
      QN_TRY(qn_expr_bind(null, "reduce", branch->schema, &plan->arena, &exprs[c].expr, err));
    }
  }
  QN_TRY(qn_plan_select_node(branch, exprs, n_keys + n, "", &node, err));
  *out = (qn_dataset *)(uintptr_t)node;

done:
  return status;
}

// One row per key from the rows of all branches.
static qn_status join_branches(const qn_dataset *rows, int n_keys, const qn_plan_aggregate *aggregates, int n,
                               const char *text, qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_plan_aggregate *chosen = qn_arena_alloc(&rows->plan->arena, (int64_t)sizeof *chosen * (n + 1));

  QN_REQUIRE(chosen != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int i = 0; i < n; i++) {
    chosen[i] = (qn_plan_aggregate){.name = aggregates[i].name,
                                    .kind = QN_AGG_ANY,
                                    .argument = n_keys + i,
                                    .second = -1,
                                    .filter = -1,
                                    .type = aggregates[i].type};
  }
  QN_TRY(qn_plan_reduce_node(rows, n_keys, chosen, n, text, out, err));

done:
  return status;
}

qn_status qn_plan_reduce_distinct(const qn_dataset *in, int n_keys, const qn_plan_aggregate *aggregates,
                                  const int *classes, int n, int n_classes, const char *text,
                                  qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_dataset *branch = NULL;
  qn_dataset *all = NULL;
  int first = 1;
  int *places = qn_arena_alloc(&in->plan->arena, (int64_t)sizeof *places * (n + 1));

  QN_REQUIRE(places != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int i = 0; i < n; i++) {
    first = classes[i] == 0 ? 0 : first;
  }
  if (first == n_classes) { // the only class
    QN_TRY(make_branch(in, n_keys, aggregates, classes, n, first, text, places, out, err));
    goto done;
  }
  const qn_dataset *kept = qn_cache((qn_dataset *)(uintptr_t)in);
  QN_REQUIRE(kept != NULL && kept->status == QN_OK, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int class = first; class <= n_classes; class ++) {
    QN_TRY(make_branch(kept, n_keys, aggregates, classes, n, class, text, places, &branch, err));
    QN_TRY(widen_branch(branch, n_keys, aggregates, places, n, &branch, err));
    all = all == NULL ? branch : qn_union(all, branch);
    QN_REQUIRE(all != NULL && all->status == QN_OK, err, QN_ERR_MEMORY, "no memory for a plan node");
  }
  assert(all != NULL); // there are two branches at least
  QN_TRY(join_branches(all, n_keys, aggregates, n, text, out, err));

done:
  return status;
}
