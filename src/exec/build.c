// SPDX-License-Identifier: Apache-2.0
// From plan nodes to operators and pipelines, the sink first.
#include "base/check.h"
#include "exec/feeds.h"
#include "exec/op_cache.h"
#include "exec/run.h"

typedef qn_status (*simple_maker)(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out,
                                  qn_error *err);
typedef qn_status (*order_maker)(qn_run *run, const qn_dataset *node, bool input_has_order, qn_op *next,
                                 qn_op **out, qn_error *err);

static qn_status build_feed(qn_run *run, const qn_dataset *node, bool in_order, qn_op *next, qn_error *err) {
  qn_status status = QN_OK;
  qn_feed *feed = NULL;

  if (node->kind == QN_NODE_SOURCE) {
    QN_TRY(qn_source_feed_new(run, node, in_order, &feed, err));
  } else if (node->kind == QN_NODE_GENERATE) {
    QN_TRY(qn_generate_feed_new(run, node, in_order, &feed, err));
  } else {
    QN_TRY(qn_local_feed_new(run, node, &feed, err));
  }
  QN_TRY(qn_run_add_pipeline_take(run, feed, next, err));

done:
  return status;
}

static qn_status build_simple(qn_run *run, const qn_dataset *node, simple_maker make, bool in_order,
                              qn_op *next, qn_error *err) {
  qn_status status = QN_OK;
  qn_op *op = NULL;

  QN_TRY(make(run, node, next, &op, err));
  QN_TRY(qn_build(run, node->inputs[0], in_order, op, err));

done:
  return status;
}

static qn_status build_ordered(qn_run *run, const qn_dataset *node, order_maker make, qn_op *next,
                               qn_error *err) {
  qn_status status = QN_OK;
  qn_op *op = NULL;
  const bool has_order = qn_plan_has_order(node->inputs[0]);

  QN_TRY(make(run, node, has_order, next, &op, err));
  QN_TRY(qn_build(run, node->inputs[0], has_order, op, err));

done:
  return status;
}

// Limit and zip speak of an order. Where the rows have none they get one: that of all their columns.
static qn_status give_order(const qn_dataset *node, const qn_dataset **out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *input = node->inputs[0];
  qn_plan *plan = node->plan;
  qn_dataset *sorted = NULL;

  if (qn_plan_has_order(input)) {
    *out = input;
    goto done;
  }
  const int n = input->schema->n_columns;
  qn_order_column *order = qn_arena_alloc(&plan->arena, (int64_t)sizeof *order * (n + 1));
  sorted = qn_plan_node(plan, node->kind == QN_NODE_LIMIT ? QN_NODE_TOP : QN_NODE_SORT, input, NULL,
                        "by all columns");
  QN_REQUIRE(order != NULL && sorted != NULL, err, QN_ERR_MEMORY, "no memory for a plan node");
  for (int c = 0; c < n; c++) {
    order[c] = (qn_order_column){.column = c};
  }
  sorted->order = order;
  sorted->n_order = n;
  sorted->n = node->n;
  sorted->schema = qn_schema_share(input->schema);
  *out = sorted;

done:
  return status;
}

static qn_status build_numbered(qn_run *run, const qn_dataset *node, simple_maker make, qn_op *next,
                                qn_error *err) {
  qn_status status = QN_OK;
  qn_op *op = NULL;
  const qn_dataset *input = NULL;

  QN_TRY(give_order(node, &input, err));
  QN_TRY(make(run, node, next, &op, err));
  QN_TRY(qn_build(run, input, true, op, err));

done:
  return status;
}

static qn_status build_union(qn_run *run, const qn_dataset *node, qn_op *next, qn_error *err) {
  qn_status status = QN_OK;
  qn_op *op = NULL;

  QN_TRY(qn_make_union(run, node, node->n_inputs, next, &op, err));
  for (int i = 0; i < node->n_inputs; i++) {
    QN_TRY(qn_build(run, node->inputs[i], false, op, err));
  }

done:
  return status;
}

static qn_status build_join(qn_run *run, const qn_dataset *node, qn_op *next, qn_error *err) {
  qn_status status = QN_OK;
  qn_op *build = NULL;
  qn_op *probe = NULL;

  QN_TRY(qn_make_join(run, node, next, &build, &probe, err));
  QN_TRY(qn_build(run, node->inputs[1], false, build, err));
  QN_TRY(qn_build(run, node->inputs[0], false, probe, err));

done:
  return status;
}

// A filled cache is read; an empty one is filled on the way, in order, so that it has one whenever it is
// read.
static qn_status build_cache(qn_run *run, const qn_dataset *node, qn_op *next, qn_error *err) {
  qn_status status = QN_OK;
  qn_feed *feed = NULL;

  if (*node->cached == NULL) {
    return build_simple(run, node, qn_make_cache, qn_plan_has_order(node->inputs[0]), next, err);
  }
  QN_TRY(qn_spool_feed_new(run, node, (*node->cached)->spool, &feed, err));
  QN_TRY(qn_run_add_pipeline_take(run, feed, next, err));

done:
  return status;
}

qn_status qn_build(qn_run *run, const qn_dataset *node, bool in_order, qn_op *next, qn_error *err) {
  switch (node->kind) {
  case QN_NODE_SOURCE:
  case QN_NODE_GENERATE:
  case QN_NODE_LOCAL:
    return build_feed(run, node, in_order, next, err);
  case QN_NODE_MAP:
    return build_simple(run, node, qn_make_map, in_order, next, err);
  case QN_NODE_EXTEND:
    return build_simple(run, node, qn_make_extend, in_order, next, err);
  case QN_NODE_FILTER:
    return build_simple(run, node, qn_make_filter, in_order, next, err);
  case QN_NODE_SELECT:
    return build_simple(run, node, qn_make_select, in_order, next, err);
  case QN_NODE_SAMPLE:
    return build_simple(run, node, qn_make_sample, in_order, next, err);
  case QN_NODE_SHUFFLE:
    return build_simple(run, node, qn_make_shuffle, false, next, err);
  case QN_NODE_REDUCE:
    return build_simple(run, node, qn_make_reduce,
                        qn_plan_has_order(node->inputs[0]) && qn_reduce_wants_order(node), next, err);
  case QN_NODE_COMBINE:
    return build_simple(run, node, qn_make_combine, false, next, err);
  case QN_NODE_GROUP:
    return build_simple(run, node, qn_make_group, false, next, err);
  case QN_NODE_DISTINCT:
    return build_simple(run, node, qn_make_distinct, false, next, err);
  case QN_NODE_WINDOW:
    return build_simple(run, node, qn_make_window, false, next, err);
  case QN_NODE_SORT:
    return build_ordered(run, node, qn_make_sort, next, err);
  case QN_NODE_TOP:
    return build_ordered(run, node, qn_make_top, next, err);
  case QN_NODE_LIMIT:
    return build_numbered(run, node, qn_make_limit, next, err);
  case QN_NODE_ZIP:
    return build_numbered(run, node, qn_make_zip, next, err);
  case QN_NODE_UNION:
    return build_union(run, node, next, err);
  case QN_NODE_JOIN:
    return build_join(run, node, next, err);
  case QN_NODE_CACHE:
    return build_cache(run, node, next, err);
  }
  return qn_fail(err, QN_ERR_ARG, "unknown plan node %d", (int)node->kind);
}
