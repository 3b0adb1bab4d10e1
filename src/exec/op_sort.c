// SPDX-License-Identifier: Apache-2.0
// Sort: sample sort over the ranks. A rank keeps and samples its rows; the samples of all give the bounds of
// the ranks' ranges; rows go to the rank of their range and are sorted there. Rank 0 has the first rows.
//
// Rows with equal keys must come in input order, whatever the number of ranks. From one rank they arrive in
// order; so the rank that they come from is one more key.
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"
#include "exec/order_columns.h"
#include "exec/range_splits.h"
#include "exec/record.h"
#include "exec/sorted_output.h"
#include "exec/sorter.h"
#include "exec/spool.h"

enum { FEW_ROWS = 20000 }; // rows in all that one rank sorts sooner than many agree on who does

typedef struct sort_op {
  qn_op op;
  bool input_has_order;
  qn_order_columns order;
  qn_schema
      *schema; // of the sorter: the columns and, if the input has an order, the rank that a row came from
  qn_sorter *sorter;
  qn_spool *rows; // of this rank, until the bounds are known; NULL with one rank
  qn_range_sampler *sampler;
  qn_range_splits *splits;
  qn_exchange *exchange;
  int32_t *destinations; // [capacity]
  int64_t capacity;
} sort_op;

static qn_status push_sort(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const sort_op *state = (const sort_op *)op;

  if (state->rows == NULL) {
    QN_TRY(qn_sorter_append(state->sorter, batch, err));
    goto done;
  }
  QN_TRY(qn_range_sampler_add(state->sampler, batch, err));
  QN_TRY(qn_spool_append(state->rows, batch, err));

done:
  return status;
}

// The batch with one column more: the rank it came from.
static qn_status add_rank(const sort_op *state, const qn_batch *batch, int from_rank, qn_batch **out,
                          qn_error *err) {
  qn_status status = QN_OK;
  const int n = batch->n_columns;
  void *values = NULL;
  qn_column *columns = calloc((size_t)n + 1, sizeof *columns);

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for %d columns", n + 1);
  QN_TRY(qn_column_fixed(QN_INT32, batch->n_rows, &columns[n], &values, err));
  for (int64_t i = 0; i < batch->n_rows; i++) {
    ((int32_t *)values)[i] = from_rank;
  }
  for (int c = 0; c < n; c++) {
    columns[c] = qn_column_share(&batch->columns[c]);
  }
  QN_TRY(qn_batch_new_take(state->schema, batch->n_rows, columns, out, err));

done:
  free(columns);
  return status;
}

static qn_status deliver(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  qn_status status = QN_OK;
  const sort_op *state = ctx;
  qn_batch *ranked = NULL;

  if (state->input_has_order) {
    QN_TRY(add_rank(state, batch, from_rank, &ranked, err));
  }
  QN_TRY(qn_sorter_append(state->sorter, ranked != NULL ? ranked : batch, err));

done:
  qn_batch_free(ranked);
  return status;
}

static qn_status make_room(sort_op *state, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;

  if (n_rows > state->capacity) {
    qn_memory_free(state->destinations);
    state->capacity = 0;
    state->destinations = qn_memory_alloc(n_rows * (int64_t)sizeof *state->destinations);
    QN_REQUIRE(state->destinations != NULL, err, QN_ERR_MEMORY, "no memory to spread %lld rows",
               (long long)n_rows);
    state->capacity = n_rows;
  }

done:
  return status;
}

// Sends the kept rows to the ranks of their ranges.
static qn_status send_rows(sort_op *state, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  int64_t first_row = 0;

  QN_TRY(qn_spool_rewind(state->rows, err));
  for (;;) {
    QN_TRY(qn_spool_take(state->rows, &batch, err));
    if (batch == NULL) {
      break;
    }
    QN_TRY(make_room(state, batch->n_rows, err));
    QN_TRY(qn_range_splits_find(state->splits, batch, first_row, state->destinations, err));
    QN_TRY(qn_exchange_scatter(state->exchange, batch, state->destinations, err));
    first_row += batch->n_rows;
    qn_batch_free(batch);
    batch = NULL;
  }
  QN_TRY(qn_exchange_finish(state->exchange, err));
  qn_op_note_exchange(&state->op, state->exchange);

done:
  qn_batch_free(batch);
  return status;
}

static void release(sort_op *state) {
  qn_exchange_close(state->exchange);
  qn_range_splits_free(state->splits);
  qn_range_sampler_free(state->sampler);
  qn_spool_free(state->rows);
  qn_memory_free(state->destinations);
  state->exchange = NULL;
  state->splits = NULL;
  state->sampler = NULL;
  state->rows = NULL;
  state->destinations = NULL;
}

static qn_status finish_sort(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  sort_op *state = (sort_op *)op;
  const qn_range_options options = {.splits_ties = true, .few_rows = FEW_ROWS};

  if (state->rows != NULL) {
    QN_TRY(qn_range_splits_new(op->run->comm, state->sampler, &options, &state->splits, err));
    QN_TRY(qn_exchange_open(op->run->comm, op->node->schema, NULL, deliver, state, &state->exchange, err));
    QN_TRY(send_rows(state, err));
    release(state);
  }
  QN_TRY(qn_push_sorted(op, state->sorter, op->node->schema, INT64_MAX, err));
  qn_sorter_free(state->sorter);
  state->sorter = NULL;
  QN_TRY(qn_op_finish(op->next, err));

done:
  return status;
}

static void close_sort(qn_op *op) {
  sort_op *state = (sort_op *)op;

  release(state);
  qn_sorter_free(state->sorter);
  state->sorter = NULL;
  qn_schema_free(state->schema);
  state->schema = NULL;
}

static const qn_op_ops sort_ops = {.name = "sort",
                                   .state_size = sizeof(sort_op),
                                   .push = push_sort,
                                   .finish = finish_sort,
                                   .close = close_sort};

// The schema with an int32 column behind, of a name that no other column has.
static qn_status schema_with_rank(const qn_schema *schema, qn_arena *arena, qn_schema **out, qn_error *err) {
  qn_status status = QN_OK;
  const int n = schema->n_columns;
  qn_field *fields = qn_arena_alloc(arena, (int64_t)sizeof *fields * (n + 1));
  char *name = qn_arena_string(arena, "__rank");

  QN_REQUIRE(fields != NULL, err, QN_ERR_MEMORY, "no memory for an operator");
  while (name != NULL && qn_schema_find(schema, name) >= 0) {
    name = qn_arena_printf(arena, "_%s", name);
  }
  QN_REQUIRE(name != NULL, err, QN_ERR_MEMORY, "no memory for an operator");
  for (int c = 0; c < n; c++) {
    fields[c] = schema->fields[c];
  }
  fields[n] = (qn_field){.name = name, .type = QN_INT32};
  QN_TRY(qn_schema_new(fields, n + 1, out, err));

done:
  return status;
}

static qn_status new_sorter(sort_op *state, qn_error *err) {
  qn_status status = QN_OK;
  qn_run *run = state->op.run;
  const qn_schema *input = state->op.node->schema;
  qn_order_columns order = state->order;

  if (state->input_has_order && qn_comm_size(run->comm) > 1) {
    QN_TRY(schema_with_rank(input, &run->arena, &state->schema, err));
    QN_TRY(qn_order_columns_init(&order, state->schema, &run->arena, err));
    qn_order_columns_add_order(&order, state->op.node->order, state->op.node->n_order);
    qn_order_columns_add(&order, input->n_columns, (qn_order){0});
    order.n_main--;
  } else {
    state->schema = qn_schema_share(input);
  }
  QN_TRY(
      qn_sorter_new(state->schema, order.columns, order.orders, order.n, run->scratch, &state->sorter, err));
  qn_sorter_set_main_keys(state->sorter, order.n_main);

done:
  return status;
}

qn_status qn_make_sort(qn_run *run, const qn_dataset *node, bool input_has_order, qn_op *next, qn_op **out,
                       qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_op_new(run, &sort_ops, node, next, out, err));
  sort_op *state = (sort_op *)*out;
  state->op.is_spread = true;
  state->input_has_order = input_has_order;
  QN_TRY(qn_order_columns_init(&state->order, node->schema, &run->arena, err));
  qn_order_columns_add_order(&state->order, node->order, node->n_order);
  if (!input_has_order) {
    qn_order_columns_add_rest(&state->order);
  }
  QN_TRY(new_sorter(state, err));
  if (qn_comm_size(run->comm) > 1) {
    QN_TRY(qn_range_sampler_new(&state->order, qn_comm_size(run->comm), &state->sampler, err));
    QN_TRY(qn_spool_new(node->schema, run->scratch, &state->rows, err));
  }

done:
  return status;
}
