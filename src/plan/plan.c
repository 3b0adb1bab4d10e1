// SPDX-License-Identifier: Apache-2.0
// Making nodes. Everything a node points at lives in the plan's arena, except schemas, sources and batches,
// which are counted by reference or owned and are given up when the plan is released.
#include "plan/plan.h"

#include <string.h>

#include "base/check.h"

const char *qn_node_name(qn_node_kind kind) {
  static const char *const names[] = {
#define X(value, name) name,
      QN_NODE_LIST(X)
#undef X
  };
  return names[kind];
}

void qn_plan_init(qn_plan *plan, qn_job *job) {
  *plan = (qn_plan){.job = job};
}

void qn_plan_release(qn_plan *plan) {
  for (int i = 0; i < plan->n_nodes; i++) {
    qn_dataset *node = plan->nodes[i];
    qn_schema_free(node->schema);
    if (node->owned_source != NULL) {
      qn_source_free(node->owned_source);
    }
    for (int b = 0; b < node->n_owned_bounds; b++) {
      qn_column_release(&node->owned_bounds[b].value);
    }
    for (int64_t b = 0; b < node->n_owned_batches; b++) {
      qn_batch_free(node->owned_batches[b]);
    }
  }
  qn_arena_release(&plan->arena);
  *plan = (qn_plan){.job = plan->job};
}

qn_status qn_plan_fail(qn_plan *plan, qn_status status, const qn_error *err) {
  if (status != QN_OK && plan->status == QN_OK) {
    plan->status = status;
    plan->error = *err;
    plan->error.status = status;
  }
  return status;
}

static bool make_room(qn_plan *plan) {
  if (plan->n_nodes < plan->capacity) {
    return true;
  }
  const int capacity = plan->capacity == 0 ? 32 : plan->capacity * 2;
  qn_dataset **nodes = qn_arena_alloc(&plan->arena, (int64_t)sizeof *nodes * capacity);
  if (nodes == NULL) {
    return false;
  }
  if (plan->n_nodes > 0) {
    memcpy(nodes, plan->nodes, sizeof *nodes * (size_t)plan->n_nodes);
  }
  plan->nodes = nodes;
  plan->capacity = capacity;
  return true;
}

qn_dataset *qn_plan_node(qn_plan *plan, qn_node_kind kind, const qn_dataset *a, const qn_dataset *b,
                         const char *text) {
  qn_dataset *node = make_room(plan) ? qn_arena_alloc(&plan->arena, sizeof *node) : NULL;
  if (node == NULL) {
    qn_error error = {0};
    qn_plan_fail(plan, qn_fail(&error, QN_ERR_MEMORY, "no memory for a plan node"), &error);
    return NULL;
  }
  node->plan = plan;
  node->kind = kind;
  node->id = plan->n_nodes;
  node->text = qn_arena_string(&plan->arena, text == NULL ? "" : text);
  node->inputs[0] = a;
  node->inputs[1] = b;
  node->n_inputs = (a != NULL) + (b != NULL);
  for (int i = 0; i < node->n_inputs && node->status == QN_OK; i++) {
    node->status = node->inputs[i]->status;
  }
  plan->nodes[plan->n_nodes++] = node;
  return node;
}

qn_dataset *qn_plan_finish(qn_dataset *node, qn_status status, const qn_error *err) {
  if (status != QN_OK) {
    node->status = status;
    qn_plan_fail(node->plan, status, err);
  }
  return node;
}

qn_dataset *qn_plan_source_take(qn_plan *plan, qn_source *source) {
  qn_dataset *node = qn_plan_node(plan, QN_NODE_SOURCE, NULL, NULL, source->description);
  if (node == NULL) {
    qn_source_free(source);
    return NULL;
  }
  node->source = node->owned_source = source;
  node->schema = qn_schema_share(source->schema);
  int *columns = qn_arena_alloc(&plan->arena, (int64_t)sizeof(int) * (source->schema->n_columns + 1));
  if (columns == NULL) {
    qn_error error = {0};
    return qn_plan_finish(node, qn_fail(&error, QN_ERR_MEMORY, "no memory for a plan node"), &error);
  }
  for (int c = 0; c < source->schema->n_columns; c++) {
    columns[c] = c;
  }
  node->columns = columns;
  return node;
}

QN_API const qn_schema *qn_dataset_schema(const qn_dataset *dataset) {
  return dataset == NULL || dataset->status != QN_OK ? NULL : dataset->schema;
}
