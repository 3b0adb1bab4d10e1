// SPDX-License-Identifier: Apache-2.0
// The receiving half of an exchange, and its life. Messages that come are queued, and delivered whenever
// somebody polls; while a deliver function runs, only those of exchanges further down the chain. A delivered
// message is acknowledged, so what queues up here is bounded by the window.
#include "comm/exchange.h"
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/wire.h"
#include "comm/exchange_state.h"

// docs/exchange.md derives what an exchange takes from these.
enum {
  DEFAULT_WINDOW = 2,
  DEFAULT_BYTES = 16 << 20, // of all open buffers, unless the budget is small: then
  BUDGET_SHARE = 64,        // this part of it, for messages under way are several times as much
  LEAST_BYTES = 4 << 10,    // of one buffer
  MOST_BYTES = 256 << 10,   // as much as a core's cache holds
};

static void choose_buffers(qn_exchange *exchange, const qn_exchange_options *options) {
  int64_t all = options->buffer_bytes;
  if (all <= 0) {
    const int64_t share = qn_memory_budget() / BUDGET_SHARE;
    all = share > 0 && share < DEFAULT_BYTES ? share : DEFAULT_BYTES;
  }
  const int64_t least =
      LEAST_BYTES + 128 * (int64_t)exchange->schema->n_columns; // with the head of each column
  const int64_t one = all / exchange->size;
  exchange->first_bytes = least;
  exchange->buffer_bytes = one < least ? least : one > MOST_BYTES ? MOST_BYTES : one;
  exchange->most_open_bytes = all;
}

static qn_status init_exchange(qn_exchange *exchange, const qn_schema *schema, qn_error *err) {
  qn_status status = QN_OK;
  exchange->schema = qn_schema_share(schema);
  exchange->destinations = calloc((size_t)exchange->size, sizeof *exchange->destinations);
  exchange->queues = calloc((size_t)exchange->n_queues, sizeof *exchange->queues);
  QN_REQUIRE(exchange->destinations != NULL && exchange->queues != NULL, err, QN_ERR_MEMORY,
             "no memory for an exchange between %d ranks", exchange->size);
  QN_TRY(qn_batch_builder_init(&exchange->own, schema, err));
  QN_TRY(qn_batch_builder_init(&exchange->to_all, schema, err));

done:
  return status;
}

qn_status qn_exchange_open_group(qn_comm *comm, const qn_schema *schema, const qn_exchange_options *options,
                                 qn_group group, qn_deliver_fn deliver, void *ctx, qn_exchange **out,
                                 qn_error *err) {
  qn_status status = QN_OK;
  qn_exchange *exchange = calloc(1, sizeof *exchange);
  const qn_nodes *nodes = &comm->nodes;
  const int size = group == QN_GROUP_ALL    ? comm->size
                   : group == QN_GROUP_NODE ? nodes->n_here
                                            : nodes->n_nodes;

  QN_REQUIRE(exchange != NULL, err, QN_ERR_MEMORY, "no memory for an exchange");
  *exchange = (qn_exchange){.comm = comm,
                            .deliver = deliver,
                            .ctx = ctx,
                            .channel = comm->n_exchanges,
                            .group = group,
                            .size = size,
                            .window = options->window > 0 ? options->window : DEFAULT_WINDOW,
                            .in_rank_order = options->in_rank_order,
                            .waits_for_turn = options->waits_for_turn,
                            .n_queues = options->in_rank_order ? size : 1};
  exchange->rank = qn_exchange_index(exchange, comm->rank);
  QN_TRY(init_exchange(exchange, schema, err));
  choose_buffers(exchange, options);
  qn_exchange **link = &comm->exchanges;
  while (*link != NULL) {
    link = &(*link)->next;
  }
  *link = exchange;
  comm->n_exchanges++;
  comm->n_unfinished++;
  *out = exchange;
  exchange = NULL;

done:
  qn_exchange_close(exchange);
  return status;
}

qn_status qn_exchange_open(qn_comm *comm, const qn_schema *schema, const qn_exchange_options *options,
                           qn_deliver_fn deliver, void *ctx, qn_exchange **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_exchange *exchange = NULL;
  const qn_exchange_options defaults = {0};
  options = options != NULL ? options : &defaults;
  const bool is_by_node = qn_route_is_by_node(comm, options);

  QN_TRY(qn_comm_check(comm, err));
  QN_TRY(qn_exchange_open_group(comm, schema, options, is_by_node ? QN_GROUP_NODE : QN_GROUP_ALL, deliver,
                                ctx, &exchange, err));
  if (is_by_node) {
    QN_TRY(qn_route_open_across(exchange, options, err));
  }
  QN_TRY(qn_comm_receive_early(comm, err));
  *out = exchange;
  exchange = NULL;

done:
  qn_exchange_close(exchange);
  return status;
}

qn_status qn_exchange_check(const qn_exchange *exchange, qn_error *err) {
  if (exchange->comm == NULL) {
    return qn_fail(err, QN_ERR_ARG, "an exchange of a run that has ended; open a new one in each run");
  }
  if (!qn_exchange_may_deliver(exchange)) {
    return qn_fail(err, QN_ERR_ARG,
                   "the deliver function of exchange %" PRId64 " feeds exchange %" PRId64
                   " of the run: an exchange must be opened before those that feed it",
                   exchange->comm->delivering, exchange->channel);
  }
  return qn_comm_check(exchange->comm, err);
}

static qn_status queue_arrival(qn_exchange *exchange, int source, qn_incoming *incoming,
                               const qn_batch *batch, qn_error *err) {
  qn_arrival *arrival = malloc(sizeof *arrival);
  if (arrival == NULL) {
    qn_incoming_free(incoming);
    return qn_fail(err, QN_ERR_MEMORY, "no memory to note a message");
  }
  *arrival = (qn_arrival){.source = source, .incoming = incoming, .batch = qn_batch_share(batch)};
  const int number = exchange->in_rank_order ? qn_exchange_index(exchange, source) : 0;
  qn_arrival_queue *queue = &exchange->queues[number];
  if (queue->last == NULL) {
    queue->first = arrival;
  } else {
    queue->last->next = arrival;
  }
  queue->last = arrival;
  return QN_OK;
}

static void free_arrival(qn_arrival *arrival) {
  qn_incoming_free(arrival->incoming);
  qn_batch_free(arrival->batch);
  free(arrival);
}

static qn_status acknowledge(qn_comm *comm, int source, int64_t channel, qn_error *err) {
  return qn_comm_signal(comm, source, QN_MESSAGE_CREDIT, channel, 1, err);
}

static qn_status take_credit(qn_exchange *exchange, const qn_incoming *incoming, qn_error *err) {
  const int index = qn_exchange_index(exchange, incoming->source);
  qn_destination *destination = &exchange->destinations[index];
  if (incoming->header.value < 0 || incoming->header.value > destination->n_unacknowledged) {
    return qn_fail(err, QN_ERR_MPI, "rank %d acknowledges %" PRId64 " messages of %d", incoming->source,
                   incoming->header.value, destination->n_unacknowledged);
  }
  destination->n_unacknowledged -= (int)incoming->header.value;
  destination->has_credit = true;
  return qn_exchange_depart(exchange, index, err);
}

qn_status qn_exchange_accept_take(qn_comm *comm, qn_incoming *incoming, bool *is_early, qn_error *err) {
  qn_status status = QN_OK;
  const qn_message_header *header = &incoming->header;
  qn_exchange *exchange = comm->exchanges;

  if (header->channel >= comm->n_exchanges) {
    *is_early = true;
    return QN_OK;
  }
  while (exchange != NULL && exchange->channel != header->channel) {
    exchange = exchange->next;
  }
  if (exchange == NULL ||
      comm->phase != QN_PHASE_RUNNING) { // closed: drop the rows, but do not stop their sender
    if (header->kind == QN_MESSAGE_ROWS) {
      status = acknowledge(comm, incoming->source, header->channel, err);
    }
  } else if (header->kind == QN_MESSAGE_CREDIT) {
    status = take_credit(exchange, incoming, err);
  } else if (header->kind == QN_MESSAGE_END) {
    status = queue_arrival(exchange, incoming->source, NULL, NULL, err);
  } else {
    return queue_arrival(exchange, incoming->source, incoming, NULL, err);
  }
  qn_incoming_free(incoming);
  return status;
}

static qn_status call_deliver(qn_exchange *exchange, const qn_batch *batch, int source, qn_error *err) {
  qn_comm *comm = exchange->comm;
  exchange->counts.rows_received += batch->n_rows;
  const int64_t outer = comm->delivering;
  comm->delivering = exchange->channel;
  const qn_status status = exchange->deliver(exchange->ctx, batch, source, err);
  comm->delivering = outer;
  comm->transport.n_events++;
  return status;
}

// Operators may keep batches, so a sender with few slabs left gets them back at once.
static bool may_stay(const qn_shared *shared, int owner) {
  return 2 * qn_shared_n_free(shared, owner) >= qn_shared_n_slabs(shared);
}

// The block of rows in shared memory: the slab, or a copy. *data is where they are.
static qn_status borrow_block(const qn_comm *comm, qn_incoming *incoming, qn_block **out,
                              const uint8_t **data, qn_error *err) {
  qn_status status = QN_OK;
  qn_loan *loan = incoming->loan;

  if (comm->shared != NULL && may_stay(comm->shared, loan->owner)) {
    incoming->loan = NULL;
    *data = loan->data;
    return qn_block_new(loan, qn_loan_free, out, err);
  }
  uint8_t *copy = qn_memory_alloc(loan->size);
  QN_REQUIRE(copy != NULL, err, QN_ERR_MEMORY, "no memory for rows of %" PRId64 " bytes from rank %d",
             loan->size, incoming->source);
  memcpy(copy, loan->data, (size_t)loan->size);
  *data = copy;
  QN_TRY(qn_block_new(copy, qn_memory_free, out, err));

done:
  return status;
}

static qn_status decode_take(const qn_exchange *exchange, qn_incoming *incoming, qn_batch **out,
                             qn_error *err) {
  qn_status status = QN_OK;
  qn_block *block = NULL;
  uint8_t *memory = incoming->memory;
  const uint8_t *data = NULL;
  int64_t size = incoming->header.payload_bytes;

  QN_REQUIRE(memory != NULL || incoming->loan != NULL, err, QN_ERR_MPI, "rank %d sent rows without rows",
             incoming->source);
  if (incoming->loan != NULL) {
    size = incoming->loan->size;
    QN_TRY(borrow_block(exchange->comm, incoming, &block, &data, err));
  } else {
    incoming->memory = NULL;
    data = memory + QN_HEADER_BYTES;
    QN_TRY(qn_block_new(memory, qn_memory_free, &block, err));
  }
  QN_TRY(qn_wire_decode(exchange->schema, block, data, size, out, err));

done:
  qn_block_free(block);
  return status;
}

// Few large messages travel better than many small ones, but operators like batches that fit the cache.
static qn_status deliver_in_parts(qn_exchange *exchange, const qn_batch *batch, int source, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *part = NULL;
  if (batch->n_rows <= 2 * QN_BATCH_ROWS) {
    return call_deliver(exchange, batch, source, err);
  }
  for (int64_t first = 0; first < batch->n_rows; first += QN_BATCH_ROWS) {
    const int64_t left = batch->n_rows - first;
    QN_TRY(qn_batch_slice(batch, first, left < QN_BATCH_ROWS ? left : QN_BATCH_ROWS, &part, err));
    QN_TRY(call_deliver(exchange, part, source, err));
    qn_batch_free(part);
    part = NULL;
  }

done:
  qn_batch_free(part);
  return status;
}

static qn_status deliver_arrival(qn_exchange *exchange, qn_arrival *arrival, qn_error *err) {
  qn_status status = QN_OK;
  if (arrival->incoming == NULL && arrival->batch == NULL) {
    exchange->n_ended++;
    exchange->turn += exchange->in_rank_order;
    exchange->comm->transport.n_events++;
    return QN_OK;
  }
  if (arrival->incoming == NULL) {
    return call_deliver(exchange, arrival->batch, arrival->source, err);
  }
  const qn_message_header *header = &arrival->incoming->header;
  exchange->counts.bytes_received += header->slab != 0 ? header->slab_bytes : header->payload_bytes;
  QN_TRY(decode_take(exchange, arrival->incoming, &arrival->batch, err));
  QN_TRY(deliver_in_parts(exchange, arrival->batch, arrival->source, err));
  QN_TRY(acknowledge(exchange->comm, arrival->source, exchange->channel, err));

done:
  return status;
}

// The queue to deliver from, or NULL if nothing can be delivered now.
static qn_arrival_queue *find_queue(const qn_exchange *exchange) {
  if (!qn_exchange_may_deliver(exchange) || exchange->turn >= exchange->n_queues) {
    return NULL;
  }
  qn_arrival_queue *queue = &exchange->queues[exchange->turn];
  return queue->first != NULL ? queue : NULL;
}

static qn_status deliver_next(qn_exchange *exchange, qn_arrival_queue *queue, qn_error *err) {
  qn_arrival *arrival = queue->first;
  queue->first = arrival->next;
  if (queue->first == NULL) {
    queue->last = NULL;
  }
  const qn_status status = deliver_arrival(exchange, arrival, err);
  free_arrival(arrival);
  return status;
}

qn_status qn_exchange_deliver_all(qn_comm *comm, qn_error *err) {
  qn_status status = QN_OK;
  // The end of a chain first, to make room for the rest. A deliver function may close exchanges, so each
  // search starts anew.
  for (qn_exchange *exchange = comm->exchanges; exchange != NULL && status == QN_OK;) {
    qn_arrival_queue *queue = find_queue(exchange);
    if (queue == NULL) {
      exchange = exchange->next;
    } else {
      status = deliver_next(exchange, queue, err);
      exchange = comm->exchanges;
    }
  }
  return status;
}

qn_status qn_exchange_keep(qn_exchange *exchange, const qn_batch *batch, qn_error *err) {
  const int rank = exchange->comm->rank;
  const bool is_next = !exchange->in_rank_order ||
                       (exchange->turn == exchange->rank && exchange->queues[exchange->rank].first == NULL);
  if (!is_next) {
    return queue_arrival(exchange, rank, NULL, batch, err);
  }
  qn_error own = {0};
  qn_error *error = err != NULL ? err : &own;
  const qn_status status = call_deliver(exchange, batch, rank, error);
  qn_comm_note_failure(exchange->comm, status, error);
  return status;
}

static bool has_departures(const qn_exchange *exchange) {
  for (int i = 0; i < exchange->size; i++) {
    if (exchange->destinations[i].first != NULL) {
      return true;
    }
  }
  return false;
}

qn_status qn_exchange_finish(qn_exchange *exchange, qn_error *err) {
  qn_status status = QN_OK;
  qn_patience patience = {0};

  QN_TRY(qn_exchange_check(exchange, err));
  if (exchange->is_finished) {
    return QN_OK;
  }
  if (exchange->across != NULL) { // behind it, no other node's rows come in here
    QN_TRY(qn_exchange_finish(exchange->across, err));
  }
  QN_TRY(qn_exchange_flush(exchange, err));
  QN_TRY(queue_arrival(exchange, exchange->comm->rank, NULL, NULL, err));
  while (has_departures(exchange)) {
    QN_TRY(qn_comm_wait(exchange->comm, &patience, &exchange->counts.wait_ns, err));
  }
  for (int i = 1; i < exchange->size; i++) {
    const int rank = qn_exchange_member(exchange, (exchange->rank + i) % exchange->size);
    QN_TRY(qn_comm_signal(exchange->comm, rank, QN_MESSAGE_END, exchange->channel, 0, err));
  }
  while (exchange->n_ended < exchange->size) {
    QN_TRY(qn_comm_wait(exchange->comm, &patience, &exchange->counts.wait_ns, err));
  }
  exchange->is_finished = true;
  exchange->comm->n_unfinished--;

done:
  return status;
}

static void drop_queues(qn_exchange *exchange) {
  for (int i = 0; exchange->queues != NULL && i < exchange->n_queues; i++) {
    qn_arrival *arrival = exchange->queues[i].first;
    exchange->queues[i] = (qn_arrival_queue){0};
    while (arrival != NULL) {
      qn_arrival *next = arrival->next;
      free_arrival(arrival);
      arrival = next;
    }
  }
  qn_exchange_drop_outbox(exchange);
}

static void detach(qn_exchange *exchange) {
  if (exchange->comm == NULL) {
    return;
  }
  qn_exchange **link = &exchange->comm->exchanges;
  while (*link != NULL && *link != exchange) {
    link = &(*link)->next;
  }
  if (*link != NULL) {
    *link = exchange->next;
  }
  exchange->comm = NULL;
  drop_queues(exchange);
}

void qn_exchange_detach_all(qn_comm *comm) {
  while (comm->exchanges != NULL) {
    detach(comm->exchanges);
  }
}

void qn_exchange_close(qn_exchange *exchange) {
  if (exchange == NULL) {
    return;
  }
  if (exchange->comm != NULL) {
    detach(exchange);
  }
  qn_exchange_close(exchange->across);
  qn_batch_builder_release(&exchange->own);
  qn_batch_builder_release(&exchange->to_all);
  drop_queues(exchange);
  qn_exchange_drop_partition(exchange);
  free(exchange->project);
  free(exchange->destinations);
  free(exchange->queues);
  qn_schema_free(exchange->schema);
  free(exchange);
}

qn_exchange_counts qn_exchange_counted(const qn_exchange *exchange) {
  qn_exchange_counts counts = exchange->counts;
  if (exchange->across != NULL) {
    const qn_exchange_counts *across = &exchange->across->counts;
    counts.bytes_sent += across->bytes_sent;
    counts.messages_sent += across->messages_sent;
    counts.bytes_received += across->bytes_received;
    counts.wait_ns += across->wait_ns;
    counts.bytes_shared += across->bytes_shared;
    counts.bytes_between_nodes += across->bytes_between_nodes;
    counts.messages_between_nodes += across->messages_between_nodes;
  }
  return counts;
}
