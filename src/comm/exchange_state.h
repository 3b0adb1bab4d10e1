// SPDX-License-Identifier: Apache-2.0
// An exchange from inside: exchange.c takes and delivers what comes, scatter.c sorts rows by destination,
// outbox.c fills and sends the buffers, route.c goes from node to node.
//
// An exchange is between the ranks of a group: all, those of a node, or those with the same number on their
// nodes. Destinations are counted within the group. One by nodes is two of them: rows for other nodes go
// through `across`, whose deliver function scatters them into the exchange of the node. It is opened last, so
// the exchange of the node, and all that follows it, is delivered while it waits.
#pragma once
#include "column/wire_builder.h"
#include "comm/comm_state.h"
#include "comm/exchange.h"

/// Rows, or the end of a rank's rows, that wait to be delivered.
typedef struct qn_arrival {
  struct qn_arrival *next;
  int source;            // rank
  qn_incoming *incoming; // encoded rows of another rank
  qn_batch *batch;       // rows of this rank; both NULL: the end
} qn_arrival;

typedef struct qn_arrival_queue {
  qn_arrival *first, *last;
} qn_arrival_queue;

/// An encoded batch or end that waits for credit.
typedef struct qn_departure {
  struct qn_departure *next;
  qn_parcel *parcel;
} qn_departure;

typedef struct qn_destination {
  qn_wire_builder builder; // rows that are not sent yet, in the memory of:
  qn_parcel *parcel;       // the next message; NULL while there are none
  int64_t open_bytes;      // of its buffer, if that is not a slab
  int64_t next_bytes;      // of the next buffer: small at first, as many ranks get few rows
  int n_unacknowledged;
  bool has_credit; // it has acknowledged something
  qn_departure *first, *last;
} qn_destination;

/// Working space of scatter: rows by destination.
typedef struct qn_partition {
  int64_t capacity; // of rows
  int32_t *rows;    // [capacity + QN_SLOT_SLACK]
  int32_t *slots;   // by nodes: [capacity]
  int64_t *ends;    // [n_slots]
} qn_partition;

typedef enum { QN_GROUP_ALL, QN_GROUP_NODE, QN_GROUP_ACROSS } qn_group;

struct qn_exchange {
  qn_exchange *next;
  qn_comm *comm; // NULL when its run is over
  qn_schema *schema;
  qn_deliver_fn deliver;
  void *ctx;
  int64_t channel;
  qn_group group;
  int rank, size; // within the group
  int window;
  bool in_rank_order, waits_for_turn;
  bool is_finished;

  // Sending.
  int64_t first_bytes, buffer_bytes; // least and most of one buffer
  int64_t most_open_bytes;           // of all buffers
  int64_t open_bytes;
  int hand;                     // whose buffer is sent next when all are too much
  qn_destination *destinations; // [size]
  qn_batch_builder own;         // rows of this rank for itself
  qn_batch_builder to_all;      // rows for every other rank that are not sent yet
  qn_partition partition;

  // By nodes.
  qn_exchange *across; // of the exchange of a node: the way to other nodes
  int *project; // of the exchange across: [n_columns - 1], all columns but the last, which says where to

  // Receiving. In rank order: a queue per rank, `turn` is the rank being delivered. Else one queue.
  qn_arrival_queue *queues;
  int n_queues, turn;
  int n_ended;

  qn_exchange_counts counts;
};

/// The rank that has number `index` in the group, and the other way round.
static inline int qn_exchange_member(const qn_exchange *exchange, int index) {
  const qn_nodes *nodes = &exchange->comm->nodes;
  const qn_comm_place own = nodes->places[exchange->comm->rank];
  return exchange->group == QN_GROUP_ALL    ? index
         : exchange->group == QN_GROUP_NODE ? nodes->ranks[own.node * nodes->n_here + index]
                                            : nodes->ranks[index * nodes->n_here + own.index];
}
static inline int qn_exchange_index(const qn_exchange *exchange, int rank) {
  const qn_comm_place *place = &exchange->comm->nodes.places[rank];
  return exchange->group == QN_GROUP_ALL    ? rank
         : exchange->group == QN_GROUP_NODE ? place->index
                                            : place->node;
}

/// True if its rows may be delivered now: only those of exchanges opened before the one whose deliver
/// function runs.
static inline bool qn_exchange_may_deliver(const qn_exchange *exchange) {
  return exchange->channel < exchange->comm->delivering;
}
/// QN_OK if the exchange can be used: its run goes on and nobody has failed.
qn_status qn_exchange_check(const qn_exchange *exchange, qn_error *err);
/// Opens one exchange of a group.
qn_status qn_exchange_open_group(qn_comm *comm, const qn_schema *schema, const qn_exchange_options *options,
                                 qn_group group, qn_deliver_fn deliver, void *ctx, qn_exchange **out,
                                 qn_error *err);
/// Hands rows of this rank to itself: delivers them, or queues them if others come first.
qn_status qn_exchange_keep(qn_exchange *exchange, const qn_batch *batch, qn_error *err);

// --- outbox.c: destinations are numbers within the group

/// Sends what the credit of the destination allows.
qn_status qn_exchange_depart(qn_exchange *exchange, int destination, qn_error *err);
/// Puts rows into the buffer of a destination; full buffers are sent. May wait.
qn_status qn_exchange_append(qn_exchange *exchange, int destination, qn_selection rows, qn_error *err);
/// Sends the rows in the buffers of all destinations.
qn_status qn_exchange_flush_destinations(qn_exchange *exchange, qn_error *err);
/// Puts rows into the buffer for all ranks, and sends it.
qn_status qn_exchange_append_to_all(qn_exchange *exchange, qn_selection rows, qn_error *err);
qn_status qn_exchange_flush_to_all(qn_exchange *exchange, qn_error *err);
/// Frees buffers and what waits for credit.
void qn_exchange_drop_outbox(qn_exchange *exchange);

// --- scatter.c

/// Sends all rows that are still in buffers.
qn_status qn_exchange_flush(qn_exchange *exchange, qn_error *err);
void qn_exchange_drop_partition(qn_exchange *exchange);
/// Sends rows to ranks, of the group or by nodes. May wait.
qn_status qn_exchange_scatter_group(qn_exchange *exchange, const qn_batch *batch, const int32_t *ranks,
                                    qn_error *err);
qn_status qn_exchange_broadcast_group(qn_exchange *exchange, const qn_batch *batch, qn_error *err);

// --- route.c

/// True if the exchange goes by nodes; the same on every rank.
bool qn_route_is_by_node(const qn_comm *comm, const qn_exchange_options *options);
/// Opens the way to other nodes of an exchange of a node.
qn_status qn_route_open_across(qn_exchange *exchange, const qn_exchange_options *options, qn_error *err);
/// The rows with a column more: the ranks they go to (borrowed); rank -1 means all of the node.
qn_status qn_route_address(const qn_exchange *exchange, const qn_batch *batch, const int32_t *ranks,
                           qn_batch **out, qn_error *err);
