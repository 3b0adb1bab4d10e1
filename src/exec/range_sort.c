// SPDX-License-Identifier: Apache-2.0
// Sample sort. A rank keeps and samples its rows; the samples of all give the bounds of the ranks' ranges;
// rows go to the rank of their range and are sorted there.
//
// Rows with equal keys must come in input order, whatever the number of ranks. From one rank they arrive in
// order; so the rank that they come from is one more key.
#include "exec/range_sort.h"
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"
#include "exec/range_splits.h"
#include "exec/record.h"
#include "exec/sorter.h"
#include "exec/spool.h"

enum { FEW_ROWS = 20000 }; // rows in all that one rank sorts sooner than many agree on who does

struct qn_range_sort {
  qn_op *op;
  qn_range_ties ties;
  qn_order_columns ranges; // by which ranges are made
  qn_schema *schema;
  qn_sorter *sorter;
  qn_spool *rows; // of this rank, until the bounds are known; NULL with one rank
  qn_range_sampler *sampler;
  qn_range_splits *splits;
  qn_exchange *exchange;
  int32_t *destinations; // [capacity]
  int64_t capacity;
};

qn_status qn_range_sort_new(qn_op *op, const qn_schema *schema, const qn_order_columns *order,
                            qn_range_ties ties, qn_range_sort **out, qn_error *err) {
  qn_status status = QN_OK;
  const int n_ranks = qn_comm_size(op->run->comm);
  const char *scratch = op->run->scratch;
  qn_range_sort *sort = calloc(1, sizeof *sort);

  QN_REQUIRE(sort != NULL, err, QN_ERR_MEMORY, "no memory for a sort");
  *sort = (qn_range_sort){.op = op, .ties = ties, .ranges = *order, .schema = qn_schema_share(schema)};
  sort->ranges.n = ties == QN_TIES_TOGETHER ? order->n_main : order->n;
  QN_TRY(qn_sorter_new(schema, order->columns, order->orders, order->n, scratch, &sort->sorter, err));
  qn_sorter_set_main_keys(sort->sorter, order->n_main);
  if (n_ranks > 1) {
    QN_TRY(qn_sorter_set_sources(sort->sorter, n_ranks, err));
    QN_TRY(qn_range_sampler_new(&sort->ranges, n_ranks, &sort->sampler, err));
    QN_TRY(qn_spool_new(schema, scratch, &sort->rows, err));
  }
  *out = sort;
  sort = NULL;

done:
  qn_range_sort_free(sort);
  return status;
}

qn_status qn_range_sort_append(qn_range_sort *sort, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;

  if (sort->rows == NULL) {
    QN_TRY(qn_sorter_append(sort->sorter, batch, err));
    goto done;
  }
  QN_TRY(qn_range_sampler_add(sort->sampler, batch, err));
  QN_TRY(qn_spool_append(sort->rows, batch, err));

done:
  return status;
}

static qn_status deliver(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  const qn_range_sort *sort = ctx;
  return qn_sorter_append_from(sort->sorter, batch, from_rank, err);
}

static qn_status make_room(qn_range_sort *sort, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;

  if (n_rows > sort->capacity) {
    qn_memory_free(sort->destinations);
    sort->capacity = 0;
    sort->destinations = qn_memory_alloc(n_rows * (int64_t)sizeof *sort->destinations);
    QN_REQUIRE(sort->destinations != NULL, err, QN_ERR_MEMORY, "no memory to spread %" PRId64 " rows",
               n_rows);
    sort->capacity = n_rows;
  }

done:
  return status;
}

// Sends the kept rows to the ranks of their ranges.
static qn_status send_rows(qn_range_sort *sort, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  int64_t first_row = 0;

  QN_TRY(qn_spool_rewind(sort->rows, err));
  for (;;) {
    QN_TRY(qn_spool_take(sort->rows, &batch, err));
    if (batch == NULL) {
      break;
    }
    QN_TRY(make_room(sort, batch->n_rows, err));
    QN_TRY(qn_range_splits_find(sort->splits, batch, first_row, sort->destinations, err));
    QN_TRY(qn_exchange_scatter(sort->exchange, batch, sort->destinations, err));
    first_row += batch->n_rows;
    qn_batch_free(batch);
    batch = NULL;
  }
  QN_TRY(qn_exchange_finish(sort->exchange, err));
  qn_op_note_exchange(sort->op, sort->exchange);

done:
  qn_batch_free(batch);
  return status;
}

// Frees what is needed until the rows have been exchanged.
static void end_exchange(qn_range_sort *sort) {
  qn_exchange_close(sort->exchange);
  qn_range_splits_free(sort->splits);
  qn_range_sampler_free(sort->sampler);
  qn_spool_free(sort->rows);
  qn_memory_free(sort->destinations);
  sort->exchange = NULL;
  sort->splits = NULL;
  sort->sampler = NULL;
  sort->rows = NULL;
  sort->destinations = NULL;
  sort->capacity = 0;
}

qn_status qn_range_sort_finish(qn_range_sort *sort, qn_error *err) {
  qn_status status = QN_OK;
  qn_comm *comm = sort->op->run->comm;
  const qn_range_options options = {.splits_ties = sort->ties != QN_TIES_TOGETHER, .few_rows = FEW_ROWS};

  if (sort->rows != NULL) {
    QN_TRY(qn_range_splits_new(comm, sort->sampler, &options, &sort->splits, err));
    const qn_exchange_options way = {.needs_sender = true}; // ties are broken by where rows come from
    QN_TRY(qn_exchange_open(comm, sort->schema, &way, deliver, sort, &sort->exchange, err));
    QN_TRY(send_rows(sort, err));
    end_exchange(sort);
  }
  QN_TRY(qn_sorter_finish(sort->sorter, err));

done:
  return status;
}

int64_t qn_range_sort_n_rows(const qn_range_sort *sort) {
  return qn_sorter_n_rows(sort->sorter);
}

qn_status qn_range_sort_next(qn_range_sort *sort, qn_batch **out, qn_error *err) {
  return qn_sorter_next(sort->sorter, out, err);
}

qn_status qn_range_sort_push(qn_range_sort *sort, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;
  const qn_op *op = sort->op;
  qn_batch *batch = NULL;

  while (n_rows > 0 && !qn_op_is_full(op->next)) {
    QN_TRY(qn_sorter_next(sort->sorter, &batch, err));
    if (batch == NULL) {
      break;
    }
    if (n_rows < batch->n_rows) {
      qn_batch *first = NULL;
      QN_TRY(qn_batch_slice(batch, 0, n_rows, &first, err));
      qn_batch_free(batch);
      batch = first;
    }
    n_rows -= batch->n_rows;
    QN_TRY(qn_op_push(op->next, batch, err));
    qn_batch_free(batch);
    batch = NULL;
    QN_TRY(qn_comm_poll(op->run->comm, err));
  }

done:
  qn_batch_free(batch);
  return status;
}

void qn_range_sort_free(qn_range_sort *sort) {
  if (sort == NULL) {
    return;
  }
  end_exchange(sort);
  qn_sorter_free(sort->sorter);
  qn_schema_free(sort->schema);
  free(sort);
}
