// SPDX-License-Identifier: Apache-2.0
// Guesses from the sizes of sources, upwards through a plan.
#include "plan/estimate.h"

static const double TEXT_BYTES = 16;      // of a value, when nothing is known
static const double LINE_BYTES = 64;      // of a line of text
static const double PRINTED_BYTES = 9;    // of a value in a CSV file, with its separator
static const double FILTER_PART = 0.5;    // of the rows pass each condition
static const double GROUP_PART = 1.0 / 3; // as many groups as rows

static double row_bytes(const qn_schema *schema) {
  double bytes = 0;
  for (int c = 0; c < schema->n_columns; c++) {
    const qn_type type = schema->fields[c].type;
    bytes += qn_type_is_text(type) ? 4 + TEXT_BYTES : (double)qn_type_width(type);
  }
  return bytes;
}

static double smaller(double a, double b) {
  return a < b ? a : b;
}

static double source_rows(const qn_source *source) {
  if (source->n_rows >= 0) {
    return (double)source->n_rows;
  }
  if (source->n_bytes < 0) {
    return 0;
  }
  const int n = source->schema->n_columns;
  const bool is_lines = n == 1 && qn_type_is_text(source->schema->fields[0].type);
  return (double)source->n_bytes / (is_lines ? LINE_BYTES : PRINTED_BYTES * (n > 0 ? n : 1));
}

static double local_rows(const qn_dataset *node, const qn_resources *resources) {
  double rows = 0;
  for (int64_t b = 0; b < node->n_batches; b++) {
    rows += (double)node->batches[b]->n_rows;
  }
  return rows * resources->n_ranks; // the others are taken to have as many
}

static double n_groups(const qn_dataset *node, double rows) {
  double most = 1;
  const qn_schema *schema = node->inputs[0]->schema;
  const int n_keys = node->kind == QN_NODE_DISTINCT && node->n_keys == 0 ? schema->n_columns : node->n_keys;
  for (int k = 0; k < n_keys; k++) {
    const int column = node->n_keys == 0 ? k : node->keys[k];
    most *= schema->fields[column].type == QN_BOOL ? 3 : rows;
  }
  return smaller(most, rows * GROUP_PART < 1 ? 1 : rows * GROUP_PART);
}

static double join_rows(const qn_dataset *node, double left, double right) {
  if (node->join_kind == QN_JOIN_SEMI || node->join_kind == QN_JOIN_ANTI) {
    return left * FILTER_PART;
  }
  return left > right ? left : right;
}

static double rows_of(const qn_dataset *node, const qn_resources *resources) {
  double in[2] = {0, 0};
  for (int i = 0; i < node->n_inputs; i++) {
    in[i] = rows_of(node->inputs[i], resources);
  }
  switch (node->kind) {
  case QN_NODE_SOURCE:
    return source_rows(node->source);
  case QN_NODE_LOCAL:
    return local_rows(node, resources);
  case QN_NODE_GENERATE:
    return (double)node->n;
  case QN_NODE_FILTER:
    for (int i = 0; i < node->n_conditions; i++) {
      in[0] *= FILTER_PART;
    }
    return in[0];
  case QN_NODE_SAMPLE:
    return in[0] * (node->is_outside ? 1 - (node->to - node->from) : node->to - node->from);
  case QN_NODE_UNION:
    return in[0] + in[1];
  case QN_NODE_LIMIT:
  case QN_NODE_TOP:
    return smaller(in[0], (double)node->n);
  case QN_NODE_REDUCE:
  case QN_NODE_COMBINE:
  case QN_NODE_GROUP:
  case QN_NODE_DISTINCT:
    return n_groups(node, in[0]);
  case QN_NODE_JOIN:
    return join_rows(node, in[0], in[1]);
  default:
    return in[0];
  }
}

qn_estimate qn_plan_estimate(const qn_dataset *node, const qn_resources *resources) {
  return (qn_estimate){.rows = rows_of(node, resources), .row_bytes = row_bytes(node->schema)};
}

qn_estimate qn_plan_estimate_kept(const qn_dataset *node, const qn_resources *resources) {
  switch (node->kind) {
  case QN_NODE_SORT:
  case QN_NODE_WINDOW:
  case QN_NODE_GROUP:
  case QN_NODE_ZIP:
  case QN_NODE_CACHE:
    return qn_plan_estimate(node->inputs[0], resources);
  case QN_NODE_TOP:
  case QN_NODE_REDUCE:
  case QN_NODE_COMBINE:
  case QN_NODE_DISTINCT:
    return qn_plan_estimate(node, resources);
  case QN_NODE_JOIN:
    return qn_plan_estimate(node->inputs[1], resources);
  default:
    return (qn_estimate){0};
  }
}
