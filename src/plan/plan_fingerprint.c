// SPDX-License-Identifier: Apache-2.0
// The hash of a node takes in those of its inputs, each node once however many ways lead to it. Numbers of
// nodes do not count: the rewriting makes nodes too.
#include "plan/plan_fingerprint.h"

#include <stdlib.h>
#include <string.h>

#include "base/build_id.h"
#include "base/check.h"
#include "base/hash.h"
#include "kernel/hash_columns.h"

static void add(uint64_t *hash, uint64_t value) {
  *hash = qn_hash_combine(*hash, value);
}

static void add_text(uint64_t *hash, const char *text) {
  add(hash, text == NULL ? 0 : qn_hash_bytes(text, (int64_t)strlen(text), 1));
}

static void add_double(uint64_t *hash, double value) {
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof bits);
  add(hash, bits);
}

static void add_ints(uint64_t *hash, const int *values, int n) {
  add(hash, values == NULL ? 0 : qn_hash_bytes(values, (int64_t)sizeof *values * n, (uint64_t)n));
}

static void add_schema(uint64_t *hash, const qn_schema *schema) {
  for (int c = 0; schema != NULL && c < schema->n_columns; c++) {
    add_text(hash, schema->fields[c].name);
    add(hash, (uint64_t)schema->fields[c].type);
  }
}

static void add_expr(uint64_t *hash, const qn_expr *expr) {
  add_text(hash, expr == NULL ? NULL : qn_expr_text(expr));
  add(hash, expr == NULL ? 0 : (uint64_t)qn_expr_type(expr));
  add(hash, expr == NULL ? 0 : (uint64_t)(int64_t)qn_expr_column(expr));
}

static void add_expressions(uint64_t *hash, const qn_dataset *node) {
  for (int i = 0; i < node->n_conditions; i++) {
    add_expr(hash, node->conditions[i]);
  }
  for (int i = 0; i < node->n_exprs; i++) {
    add_text(hash, node->exprs[i].name);
    add_expr(hash, node->exprs[i].expr);
  }
  add_expr(hash, node->condition);
}

static void add_keys(uint64_t *hash, const qn_dataset *node) {
  add_ints(hash, node->keys, node->n_keys);
  add_ints(hash, node->left_keys, node->left_keys == NULL ? 0 : node->n_keys);
  add_ints(hash, node->right_keys, node->right_keys == NULL ? 0 : node->n_keys);
  add_ints(hash, node->right_columns, node->n_right_columns);
  for (int i = 0; i < node->n_keys && node->key_is_using != NULL; i++) {
    add(hash, node->key_is_using[i]);
  }
  for (int i = 0; i < node->n_order; i++) {
    add(hash, (uint64_t)node->order[i].column);
    add(hash, (uint64_t)node->order[i].order.is_descending << 1 | (uint64_t)node->order[i].order.nulls_first);
  }
}

static void add_aggregates(uint64_t *hash, const qn_dataset *node) {
  for (int i = 0; i < node->n_aggregates; i++) {
    const qn_plan_aggregate *a = &node->aggregates[i];
    const int numbers[] = {(int)a->kind, a->argument, a->second, a->filter, a->is_distinct, (int)a->type};
    add_text(hash, a->name);
    add_ints(hash, numbers, sizeof numbers / sizeof *numbers);
    add_double(hash, a->parameter);
  }
  for (int i = 0; i < node->n_functions; i++) {
    const qn_plan_function *f = &node->functions[i];
    const int numbers[] = {(int)f->kind, (int)f->aggregate, f->argument, f->fallback, (int)f->type};
    add_text(hash, f->name);
    add_ints(hash, numbers, sizeof numbers / sizeof *numbers);
    add(hash, (uint64_t)f->offset);
  }
}

static void add_callbacks(uint64_t *hash, const qn_dataset *node) {
  const qn_any_function functions[] = {(qn_any_function)node->map, (qn_any_function)node->partition,
                                       (qn_any_function)node->combine, (qn_any_function)node->group,
                                       (qn_any_function)node->generate};
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    add(hash, qn_function_hash(functions[i]));
  }
  add(hash, node->ctx_hash);
}

static uint64_t hash_node(const qn_dataset *node, const uint64_t *below) {
  uint64_t hash = (uint64_t)node->kind + 1;

  if (node->source != NULL) { // its text says how large the files are, which may not matter
    add(&hash, node->source->identity);
  } else {
    add_text(&hash, node->text);
  }
  add_schema(&hash, node->schema);
  add_expressions(&hash, node);
  add_keys(&hash, node);
  add_aggregates(&hash, node);
  add_callbacks(&hash, node);
  const int numbers[] = {(int)node->join_kind, (int)node->shuffle_kind, node->is_outside};
  add_ints(&hash, numbers, sizeof numbers / sizeof *numbers);
  add(&hash, (uint64_t)node->n);
  add_double(&hash, node->from);
  add_double(&hash, node->to);
  add(&hash, node->seed);
  for (int i = 0; i < node->n_inputs; i++) {
    add(&hash, below[node->inputs[i]->id]);
  }
  return hash != 0 ? hash : 1;
}

// is_below[id]: the node is root or below it. Inputs are made before what reads them, so their ids are
// smaller. For free().
static bool *find_below(const qn_dataset *root) {
  bool *is_below = calloc((size_t)root->id + 1, sizeof *is_below);

  if (is_below != NULL) {
    is_below[root->id] = true;
    for (int id = root->id; id >= 0; id--) {
      const qn_dataset *node = root->plan->nodes[id];
      for (int i = 0; is_below[id] && i < node->n_inputs; i++) {
        is_below[node->inputs[i]->id] = true;
      }
    }
  }
  return is_below;
}

qn_status qn_plan_fingerprint(const qn_dataset *root, uint64_t *out, qn_error *err) {
  qn_status status = QN_OK;
  uint64_t *hashes = calloc((size_t)root->id + 1, sizeof *hashes);
  bool *is_below = find_below(root);

  QN_REQUIRE(hashes != NULL && is_below != NULL, err, QN_ERR_MEMORY, "no memory for a plan's fingerprint");
  for (int id = 0; id <= root->id; id++) {
    if (is_below[id]) {
      hashes[id] = hash_node(root->plan->nodes[id], hashes);
    }
  }
  *out = hashes[root->id];

done:
  free(is_below);
  free(hashes);
  return status;
}

// Adds the hashes of a batch's rows; `place` tells the nodes apart.
static qn_status add_rows(const qn_batch *batch, uint64_t place, uint64_t *sum, qn_error *err) {
  qn_status status = QN_OK;
  const qn_column **columns = calloc((size_t)batch->n_columns + 1, sizeof *columns);
  uint64_t *hashes = malloc(((size_t)batch->n_rows + 1) * sizeof *hashes);

  QN_REQUIRE(columns != NULL && hashes != NULL, err, QN_ERR_MEMORY, "no memory for a plan's fingerprint");
  for (int c = 0; c < batch->n_columns; c++) {
    columns[c] = &batch->columns[c];
  }
  qn_hash_columns(columns, batch->n_columns, batch->n_rows, hashes);
  for (int64_t row = 0; row < batch->n_rows; row++) {
    *sum += qn_hash_combine(place, hashes[row]);
  }

done:
  free(hashes);
  free(columns);
  return status;
}

qn_status qn_plan_rows_hash(const qn_dataset *root, bool *has_rows, uint64_t *out, qn_error *err) {
  qn_status status = QN_OK;
  uint64_t sum = 0;
  uint64_t place = 0;
  bool *is_below = find_below(root);

  *has_rows = false;
  QN_REQUIRE(is_below != NULL, err, QN_ERR_MEMORY, "no memory for a plan's fingerprint");
  for (int id = 0; id <= root->id; id++) {
    const qn_dataset *node = root->plan->nodes[id];
    if (!is_below[id] || node->kind != QN_NODE_LOCAL || node->ctx_hash != 0) {
      continue;
    }
    *has_rows = true;
    place++;
    for (int64_t b = 0; b < node->n_batches; b++) {
      QN_TRY(add_rows(node->batches[b], place, &sum, err));
    }
  }
  *out = sum;

done:
  free(is_below);
  return status;
}
