// SPDX-License-Identifier: Apache-2.0
// The sending half of an exchange: rows are sorted by destination and put into the buffers (outbox.c). By
// nodes, the destinations are first the ranks of this node, then the nodes. A wait may scatter into the same
// exchange again, so working space is taken along.
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"
#include "comm/exchange_state.h"
#include "comm/slot_sort.h"

qn_status qn_exchange_flush(qn_exchange *exchange, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(qn_exchange_flush_to_all(exchange, err));
  QN_TRY(qn_exchange_flush_destinations(exchange, err));

done:
  return status;
}

static qn_selection select_all(const qn_batch *batch) {
  return (qn_selection){.batch = batch, .n_rows = batch->n_rows};
}

static qn_status check_batch(const qn_exchange *exchange, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(qn_exchange_check(exchange, err));
  QN_REQUIRE(!exchange->is_finished, err, QN_ERR_ARG, "rows for an exchange that is finished");
  QN_REQUIRE(batch->schema == exchange->schema || qn_schema_is_equal(batch->schema, exchange->schema), err,
             QN_ERR_TYPE,
             "a batch of %d columns has another schema than the exchange of %d columns it goes into",
             batch->n_columns, exchange->schema->n_columns);

done:
  return status;
}

static qn_status check_ranks(const qn_exchange *exchange, const int32_t *ranks, int64_t n_rows,
                             qn_error *err) {
  const int32_t last = exchange->comm->size - 1;
  int32_t any = 0; // negative if any rank is, or last - rank
  for (int64_t i = 0; i < n_rows; i++) {
    any |= ranks[i] | (last - ranks[i]);
  }
  if (any >= 0) {
    return QN_OK;
  }
  int64_t row = 0;
  while (ranks[row] >= 0 && ranks[row] <= last) {
    row++;
  }
  return qn_fail(err, QN_ERR_VALUE,
                 "row %" PRId64 " of a batch is for rank %" PRId32 "; there are ranks 0 to %d", row,
                 ranks[row], exchange->comm->size - 1);
}

static int count_slots(const qn_exchange *exchange) {
  return exchange->size + (exchange->across != NULL ? exchange->across->size : 0);
}

static qn_status reserve_partition(const qn_exchange *exchange, qn_partition *partition, int64_t n_rows,
                                   qn_error *err) {
  qn_status status = QN_OK;
  if (partition->ends == NULL) {
    partition->ends = qn_memory_alloc((int64_t)count_slots(exchange) * 8);
    QN_REQUIRE(partition->ends != NULL, err, QN_ERR_MEMORY, "no memory to sort rows by rank");
  }
  if (partition->capacity < n_rows) {
    partition->capacity = 0;
    qn_memory_free(partition->rows);
    qn_memory_free(partition->slots);
    partition->rows = qn_memory_alloc((n_rows + QN_SLOT_SLACK) * 4);
    partition->slots = exchange->across != NULL ? qn_memory_alloc(n_rows * 4) : NULL;
    QN_REQUIRE(partition->rows != NULL && (partition->slots != NULL || exchange->across == NULL), err,
               QN_ERR_MEMORY, "no memory to sort %" PRId64 " rows by rank", n_rows);
    partition->capacity = n_rows;
  }

done:
  return status;
}

static void release_partition(qn_partition *partition) {
  qn_memory_free(partition->rows);
  qn_memory_free(partition->slots);
  qn_memory_free(partition->ends);
  *partition = (qn_partition){0};
}

void qn_exchange_drop_partition(qn_exchange *exchange) {
  release_partition(&exchange->partition);
}

// By nodes: the ranks of this node, then the nodes.
static void find_slots(const qn_exchange *exchange, const int32_t *ranks, int64_t n_rows, int32_t *slots) {
  const qn_comm_place *places = exchange->comm->nodes.places;
  const int node = places[exchange->comm->rank].node;
  for (int64_t i = 0; i < n_rows; i++) {
    const qn_comm_place place = places[ranks[i]];
    slots[i] = place.node == node ? place.index : exchange->size + place.node;
  }
}

static qn_selection select_slot(const qn_batch *batch, const qn_partition *partition, int slot) {
  const int64_t start = slot > 0 ? partition->ends[slot - 1] : 0;
  const int64_t n_rows = partition->ends[slot] - start;
  if (n_rows == batch->n_rows) {
    return select_all(batch);
  }
  return (qn_selection){.batch = batch, .rows = partition->rows + start, .n_rows = n_rows};
}

// Rows for other nodes, with the ranks they go to.
static qn_status append_across(const qn_exchange *exchange, const qn_batch *batch, const int32_t *ranks,
                               const qn_partition *partition, qn_error *err) {
  qn_status status = QN_OK;
  qn_exchange *across = exchange->across;
  qn_batch *addressed = NULL;

  if (across == NULL || partition->ends[exchange->size - 1] == batch->n_rows) {
    return QN_OK;
  }
  QN_TRY(qn_route_address(exchange, batch, ranks, &addressed, err));
  QN_TRY(qn_exchange_flush_to_all(across, err));
  for (int i = 1; i < across->size; i++) {
    const int node = (across->rank + i) % across->size;
    QN_TRY(qn_exchange_append(across, node, select_slot(addressed, partition, exchange->size + node), err));
  }

done:
  qn_batch_free(addressed);
  return status;
}

// At most INT32_MAX rows with valid ranks.
static qn_status scatter_rows(qn_exchange *exchange, const qn_batch *batch, const int32_t *ranks,
                              qn_error *err) {
  qn_status status = QN_OK;
  qn_partition partition = exchange->partition;
  const int n_slots = count_slots(exchange);
  const int32_t *slots = ranks;
  exchange->partition = (qn_partition){0};

  QN_TRY(reserve_partition(exchange, &partition, batch->n_rows, err));
  if (exchange->across != NULL) {
    find_slots(exchange, ranks, batch->n_rows, partition.slots);
    slots = partition.slots;
  }
  qn_slot_sort_best(n_slots)(slots, batch->n_rows, n_slots, partition.rows, partition.ends);
  QN_TRY(append_across(exchange, batch, ranks, &partition, err));
  for (int i = 1; i <= exchange->size; i++) { // this rank's own come last: delivering may take its time
    const int to = (exchange->rank + i) % exchange->size;
    QN_TRY(qn_exchange_append(exchange, to, select_slot(batch, &partition, to), err));
  }

done:
  if (exchange->partition.ends == NULL) {
    exchange->partition = partition;
    partition = (qn_partition){0};
  }
  release_partition(&partition);
  return status;
}

enum { ROWS_AT_ONCE = 1 << 30 }; // row numbers have 32 bits

static qn_status scatter_parts(qn_exchange *exchange, const qn_batch *batch, const int32_t *ranks,
                               qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *part = NULL;
  for (int64_t first = 0; first < batch->n_rows; first += ROWS_AT_ONCE) {
    const int64_t left = batch->n_rows - first;
    QN_TRY(qn_batch_slice(batch, first, left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE, &part, err));
    QN_TRY(scatter_rows(exchange, part, ranks + first, err));
    qn_batch_free(part);
    part = NULL;
  }

done:
  qn_batch_free(part);
  return status;
}

qn_status qn_exchange_scatter_group(qn_exchange *exchange, const qn_batch *batch, const int32_t *ranks,
                                    qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(check_batch(exchange, batch, err));
  QN_TRY(check_ranks(exchange, ranks, batch->n_rows, err));
  QN_TRY(qn_comm_poll(exchange->comm, err));
  QN_TRY(qn_exchange_flush_to_all(exchange, err));
  if (exchange->comm->size == 1 && batch->n_rows > 0) {
    QN_TRY(qn_exchange_append(exchange, 0, select_all(batch), err));
  } else if (batch->n_rows > 0 && batch->n_rows <= ROWS_AT_ONCE) {
    QN_TRY(scatter_rows(exchange, batch, ranks, err));
  } else {
    QN_TRY(scatter_parts(exchange, batch, ranks, err));
  }

done:
  return status;
}

qn_status qn_exchange_scatter(qn_exchange *exchange, const qn_batch *batch, const int32_t *destinations,
                              qn_error *err) {
  const qn_status status = qn_exchange_scatter_group(exchange, batch, destinations, err);
  exchange->counts.rows_sent += status == QN_OK ? batch->n_rows : 0;
  return status;
}

// The same rank for every row; the caller frees it.
static qn_status fill_ranks(int64_t n_rows, int32_t rank, int32_t **out, qn_error *err) {
  int32_t *ranks = qn_memory_alloc(n_rows * 4);
  if (ranks == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory to send %" PRId64 " rows", n_rows);
  }
  for (int64_t i = 0; i < n_rows; i++) {
    ranks[i] = rank;
  }
  *out = ranks;
  return QN_OK;
}

qn_status qn_exchange_send(qn_exchange *exchange, const qn_batch *batch, int destination, qn_error *err) {
  qn_status status = QN_OK;
  int32_t *ranks = NULL;
  QN_TRY(check_batch(exchange, batch, err));
  QN_REQUIRE(destination >= 0 && destination < exchange->comm->size, err, QN_ERR_ARG,
             "rows for rank %d of %d ranks", destination, exchange->comm->size);
  exchange->counts.rows_sent += batch->n_rows;
  if (exchange->across != NULL) {
    QN_TRY(fill_ranks(batch->n_rows, destination, &ranks, err));
    QN_TRY(qn_exchange_scatter_group(exchange, batch, ranks, err));
    goto done;
  }
  QN_TRY(qn_comm_poll(exchange->comm, err));
  QN_TRY(qn_exchange_flush_to_all(exchange, err));
  QN_TRY(qn_exchange_append(exchange, destination, select_all(batch), err));

done:
  qn_memory_free(ranks);
  return status;
}

qn_status qn_exchange_broadcast_group(qn_exchange *exchange, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(check_batch(exchange, batch, err));
  QN_TRY(qn_comm_poll(exchange->comm, err));
  QN_TRY(qn_exchange_flush_destinations(exchange, err));
  QN_TRY(qn_exchange_append_to_all(exchange, select_all(batch), err));
  if (batch->n_rows > 0) {
    QN_TRY(qn_exchange_keep(exchange, batch, err));
  }

done:
  return status;
}

qn_status qn_exchange_broadcast(qn_exchange *exchange, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *addressed = NULL;
  int32_t *ranks = NULL;

  QN_TRY(check_batch(exchange, batch, err));
  exchange->counts.rows_sent += batch->n_rows * exchange->comm->size;
  if (exchange->across == NULL) {
    QN_TRY(qn_exchange_broadcast_group(exchange, batch, err));
  } else { // each node hands them to its ranks, this one too
    QN_TRY(fill_ranks(batch->n_rows, -1, &ranks, err));
    QN_TRY(qn_route_address(exchange, batch, ranks, &addressed, err));
    QN_TRY(qn_exchange_broadcast_group(exchange->across, addressed, err));
  }

done:
  qn_batch_free(addressed);
  qn_memory_free(ranks);
  return status;
}
