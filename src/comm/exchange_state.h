// SPDX-License-Identifier: Apache-2.0
// An exchange from inside: exchange.c takes and delivers what comes, scatter.c fills and sends the buffers.
#pragma once
#include "column/builder.h"
#include "comm/comm_state.h"
#include "comm/exchange.h"

/// Rows, or the end of a rank's rows, that wait to be delivered.
typedef struct qn_arrival {
  struct qn_arrival *next;
  int source;
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
  qn_batch_builder builder; // rows that are not sent yet
  int n_unacknowledged;
  bool has_credit; // it has acknowledged something
  qn_departure *first, *last;
} qn_destination;

/// Working space of scatter: rows by destination.
typedef struct qn_partition {
  int64_t capacity; // of rows
  int32_t *rows;
  int64_t *ends; // [n_ranks]
} qn_partition;

struct qn_exchange {
  qn_exchange *next;
  qn_comm *comm; // NULL when its run is over
  qn_schema *schema;
  qn_deliver_fn deliver;
  void *ctx;
  int64_t channel;
  int rank, size;
  int window;
  bool in_rank_order, waits_for_turn;
  bool is_finished;

  // Sending.
  int64_t buffer_bytes; // of one destination
  int64_t row_bytes;    // without the bytes of text
  bool has_text;
  qn_destination *destinations; // [size]; that of this rank gathers its own rows
  qn_batch_builder to_all;      // rows for every other rank that are not sent yet
  qn_partition partition;

  // Receiving. In rank order: a queue per rank, `turn` is the rank being delivered. Else one queue.
  qn_arrival_queue *queues;
  int n_queues, turn;
  int n_ended;

  qn_exchange_counts counts;
};

/// True if its rows may be delivered now: only those of exchanges opened before the one whose deliver
/// function runs.
static inline bool qn_exchange_may_deliver(const qn_exchange *exchange) {
  return exchange->channel < exchange->comm->delivering;
}
/// QN_OK if the exchange can be used: its run goes on and nobody has failed.
qn_status qn_exchange_check(const qn_exchange *exchange, qn_error *err);
/// Hands rows of this rank to itself: delivers them, or queues them if others come first.
qn_status qn_exchange_keep(qn_exchange *exchange, const qn_batch *batch, qn_error *err);
/// Sends what the credit of the destination allows.
qn_status qn_exchange_depart(qn_exchange *exchange, int destination, qn_error *err);
/// Sends all rows that are still in buffers.
qn_status qn_exchange_flush(qn_exchange *exchange, qn_error *err);
