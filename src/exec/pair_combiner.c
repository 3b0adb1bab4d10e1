// SPDX-License-Identifier: Apache-2.0
// One round combines rows 2i and 2i + 1 of each key's run; a run of n rows takes log2(n) rounds, so that the
// callback is called a few times with many pairs and not once a pair.
#include "exec/pair_combiner.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"
#include "kernel/sort_rows.h"

struct qn_pair_combiner {
  const qn_dataset *node;
  qn_schema *values_schema; // the columns that are no keys
  int *values;              // which they are
  int n_values;
  qn_order *orders;             // [n_keys]
  const qn_column **columns[2]; // [n_keys]
  qn_appender *appender;
};

qn_status qn_pair_combiner_new(const qn_dataset *node, qn_pair_combiner **out, qn_error *err) {
  qn_status status = QN_OK;
  const int n = node->schema->n_columns;
  qn_pair_combiner *combiner = calloc(1, sizeof *combiner);

  QN_REQUIRE(combiner != NULL, err, QN_ERR_MEMORY, "no memory to combine rows");
  combiner->node = node;
  combiner->values = calloc((size_t)n + 1, sizeof *combiner->values);
  combiner->orders = calloc((size_t)node->n_keys + 1, sizeof *combiner->orders);
  combiner->columns[0] = calloc((size_t)node->n_keys + 1, sizeof(qn_column *));
  combiner->columns[1] = calloc((size_t)node->n_keys + 1, sizeof(qn_column *));
  QN_REQUIRE(combiner->values != NULL && combiner->orders != NULL && combiner->columns[0] != NULL &&
                 combiner->columns[1] != NULL,
             err, QN_ERR_MEMORY, "no memory to combine rows");
  for (int c = 0; c < n; c++) {
    bool is_key = false;
    for (int k = 0; k < node->n_keys; k++) {
      is_key = is_key || node->keys[k] == c;
    }
    if (!is_key) {
      combiner->values[combiner->n_values++] = c;
    }
  }
  QN_TRY(
      qn_schema_project(node->schema, combiner->values, combiner->n_values, &combiner->values_schema, err));
  QN_TRY(qn_appender_new(combiner->values_schema, &combiner->appender, err));
  *out = combiner;
  combiner = NULL;

done:
  qn_pair_combiner_free(combiner);
  return status;
}

void qn_pair_combiner_free(qn_pair_combiner *combiner) {
  if (combiner == NULL) {
    return;
  }
  qn_appender_free(combiner->appender);
  qn_schema_free(combiner->values_schema);
  free(combiner->values);
  free(combiner->orders);
  free(combiner->columns[0]);
  free(combiner->columns[1]);
  free(combiner);
}

bool qn_pair_combiner_is_same(qn_pair_combiner *combiner, const qn_batch *a, int64_t row_a, const qn_batch *b,
                              int64_t row_b) {
  const qn_dataset *node = combiner->node;

  for (int k = 0; k < node->n_keys; k++) {
    combiner->columns[0][k] = &a->columns[node->keys[k]];
    combiner->columns[1][k] = &b->columns[node->keys[k]];
  }
  return qn_compare_rows(combiner->columns[0], row_a, combiner->columns[1], row_b, combiner->orders,
                         node->n_keys) == 0;
}

qn_status qn_pair_combiner_sort(qn_pair_combiner *combiner, const qn_batch *rows, qn_batch **out,
                                qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = combiner->node;
  int32_t *order = qn_memory_alloc(rows->n_rows * (int64_t)sizeof *order);

  QN_REQUIRE(order != NULL, err, QN_ERR_MEMORY, "no memory to sort rows");
  for (int k = 0; k < node->n_keys; k++) {
    combiner->columns[0][k] = &rows->columns[node->keys[k]];
  }
  QN_TRY(qn_sort_rows(combiner->columns[0], combiner->orders, node->n_keys, rows->n_rows, order, err));
  QN_TRY(qn_batch_gather(rows, order, rows->n_rows, out, err));

done:
  qn_memory_free(order);
  return status;
}

// The values of left[i] and right[i] as the callback combines them.
static qn_status call_back(qn_pair_combiner *combiner, const qn_batch *values, const int32_t *left,
                           const int32_t *right, int64_t n_pairs, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *sides[2] = {NULL, NULL};

  QN_TRY(qn_batch_gather(values, left, n_pairs, &sides[0], err));
  QN_TRY(qn_batch_gather(values, right, n_pairs, &sides[1], err));
  const qn_status combined =
      combiner->node->combine(sides[0], sides[1], combiner->appender, combiner->node->ctx);
  QN_TRY(qn_appender_finish(combiner->appender, out, err));
  QN_REQUIRE(combined == QN_OK, err, QN_ERR_CALLBACK, "combine: the callback returned '%s'",
             qn_status_text(combined));
  QN_REQUIRE((*out)->n_rows == n_pairs, err, QN_ERR_CALLBACK,
             "combine: the callback appended %lld rows for %lld pairs; it must append one for each",
             (long long)(*out)->n_rows, (long long)n_pairs);

done:
  qn_batch_free(sides[0]);
  qn_batch_free(sides[1]);
  return status;
}

typedef struct round_plan {
  int32_t *leaders;      // rows whose keys the next round has
  int32_t *left, *right; // pairs
  int32_t *values;       // where each next row's values stand: in the old rows, or behind them a pair
  uint8_t *is_first;     // of its key
  int64_t n_rows, n_pairs;
} round_plan;

static void plan_round(round_plan *plan, int64_t n_rows) {
  int64_t n = 0;
  int64_t n_pairs = 0;

  for (int64_t row = 0; row < n_rows; n++) {
    const bool has_partner = row + 1 < n_rows && !plan->is_first[row + 1];
    plan->leaders[n] = (int32_t)row;
    plan->values[n] = has_partner ? (int32_t)(n_rows + n_pairs) : (int32_t)row;
    if (has_partner) {
      plan->left[n_pairs] = (int32_t)row;
      plan->right[n_pairs++] = (int32_t)row + 1;
    }
    plan->is_first[n] = plan->is_first[row]; // n <= row: what is overwritten has been read
    row += has_partner ? 2 : 1;
  }
  plan->n_rows = n;
  plan->n_pairs = n_pairs;
}

// Puts keys from the leaders and values together.
static qn_status next_rows(const qn_pair_combiner *combiner, const round_plan *plan, const qn_batch *rows,
                           const qn_batch *all_values, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *keys = NULL;
  qn_batch *values = NULL;
  qn_column *columns = calloc((size_t)rows->n_columns + 1, sizeof *columns);

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory to combine rows");
  QN_TRY(qn_batch_gather(rows, plan->leaders, plan->n_rows, &keys, err));
  QN_TRY(qn_batch_gather(all_values, plan->values, plan->n_rows, &values, err));
  for (int c = 0; c < rows->n_columns; c++) {
    columns[c] = qn_column_share(&keys->columns[c]);
  }
  for (int v = 0; v < combiner->n_values; v++) {
    qn_column_release(&columns[combiner->values[v]]);
    columns[combiner->values[v]] = qn_column_share(&values->columns[v]);
  }
  QN_TRY(qn_batch_new_take(rows->schema, plan->n_rows, columns, out, err));

done:
  free(columns);
  qn_batch_free(keys);
  qn_batch_free(values);
  return status;
}

static qn_status run_round(qn_pair_combiner *combiner, round_plan *plan, qn_batch **rows, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *values = NULL;
  qn_batch *made = NULL;
  qn_batch *all = NULL;
  qn_batch *next = NULL;

  QN_TRY(qn_batch_project(*rows, combiner->values_schema, combiner->values, &values, err));
  QN_TRY(call_back(combiner, values, plan->left, plan->right, plan->n_pairs, &made, err));
  qn_batch *const both[2] = {values, made};
  QN_TRY(qn_batch_concat(combiner->values_schema, both, 2, &all, err));
  QN_TRY(next_rows(combiner, plan, *rows, all, &next, err));
  qn_batch_free(*rows);
  *rows = next;

done:
  qn_batch_free(values);
  qn_batch_free(made);
  qn_batch_free(all);
  return status;
}

qn_status qn_pair_combiner_run(qn_pair_combiner *combiner, const qn_batch *sorted, qn_batch **out,
                               qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_rows = sorted->n_rows;
  qn_batch *rows = qn_batch_share(sorted);
  int32_t *room = qn_memory_alloc(n_rows * 5 * (int64_t)sizeof *room);
  round_plan plan = {0};

  QN_REQUIRE(room != NULL, err, QN_ERR_MEMORY, "no memory to combine rows");
  plan = (round_plan){.leaders = room,
                      .left = room + n_rows,
                      .right = room + 2 * n_rows,
                      .values = room + 3 * n_rows,
                      .is_first = (uint8_t *)(room + 4 * n_rows)};
  for (int64_t row = 0; row < n_rows; row++) {
    plan.is_first[row] = row == 0 || !qn_pair_combiner_is_same(combiner, sorted, row, sorted, row - 1);
  }
  for (plan_round(&plan, n_rows); plan.n_pairs > 0; plan_round(&plan, rows->n_rows)) {
    QN_TRY(run_round(combiner, &plan, &rows, err));
  }
  *out = rows;
  rows = NULL;

done:
  qn_memory_free(room);
  qn_batch_free(rows);
  return status;
}
