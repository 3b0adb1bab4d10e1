// SPDX-License-Identifier: Apache-2.0
// The streaming exchange: rows are scattered into one buffer per destination; a full buffer goes out as one
// non-blocking message. Whoever waits, for room in its window or for the end, delivers what has arrived.
//
// Rows for a rank of the same node are gathered into memory that both share, as long as there is some, and
// only a notice is sent. Between nodes rows go rank to rank, or by nodes: all rows for another node go to the
// rank there that has this one's number, which hands them on within the node. Then a rank has to do with
// (ranks of a node + nodes) others instead of with all.
//
// Memory is bounded whatever the number of ranks: docs/exchange.md has the formula.
//
// Several exchanges may be open at once, the deliver function of one scattering into the next. What a deliver
// function feeds must be opened before its own exchange: then, while it waits, exactly the exchanges opened
// before its own are delivered. So whoever waits goes on with everything that those it waits for may wait
// for, the first one opened can always be delivered, and the chain makes progress.
#pragma once
#include <stdint.h>
#include "column/batch.h"
#include "comm/comm.h"

typedef struct qn_exchange qn_exchange;

/// Takes rows that arrived (also those a rank sends to itself). The batch is borrowed for the call.
typedef qn_status (*qn_deliver_fn)(void *ctx, const qn_batch *batch, int from_rank, qn_error *err);

typedef enum {
  QN_ROUTE_AUTO,
  QN_ROUTE_DIRECT,
  QN_ROUTE_BY_NODE, // where it can be done; needs_sender and in_rank_order go direct all the same
} qn_route;

typedef struct qn_exchange_options {
  int64_t buffer_bytes; // all open send buffers together; 0: 16 MiB, or a share of the budget
  int window;           // messages in flight per pair; 0: 2
  bool in_rank_order;  // deliver rank 0's rows first, then rank 1's, ...: each rank's in the order sent. What
                       // comes early is kept by the sender (its credit is held back) without waiting for its
                       // turn
  bool waits_for_turn; // in rank order: a sender waits for its turn instead of keeping more than the window;
                       // only if the ranks before it need nothing of it until they finish this exchange
  bool needs_sender;   // the deliver function must know which rank has sent the rows; else from_rank may be
                       // one that only handed them on, and rows of a sender keep their order only if they
                       // go direct
  qn_route route;      // the same on every rank
} qn_exchange_options;

/// Local in effect, but every rank opens its exchanges in the same order within a run, those further down a
/// chain first. In a run that succeeds every exchange is finished on every rank.
qn_status qn_exchange_open(qn_comm *comm, const qn_schema *schema, const qn_exchange_options *options,
                           qn_deliver_fn deliver, void *ctx, qn_exchange **out, qn_error *err);
/// Sends row i of the batch to rank destinations[i]. May deliver and wait.
qn_status qn_exchange_scatter(qn_exchange *exchange, const qn_batch *batch, const int32_t *destinations,
                              qn_error *err);
/// Sends all rows to one rank.
qn_status qn_exchange_send(qn_exchange *exchange, const qn_batch *batch, int destination, qn_error *err);
/// Sends all rows to every rank, this one included.
qn_status qn_exchange_broadcast(qn_exchange *exchange, const qn_batch *batch, qn_error *err);
/// Sends what is left and the end marks, and delivers until every rank's end has come.
qn_status qn_exchange_finish(qn_exchange *exchange, qn_error *err);
void qn_exchange_close(qn_exchange *exchange);

/// Rows count once, whoever they are for, this rank itself included; bytes and messages count each time they
/// are handed over. wait_ns: time in which there was nothing to do but wait for others.
typedef struct qn_exchange_counts {
  int64_t rows_sent, bytes_sent, messages_sent, rows_received, bytes_received, wait_ns;
  int64_t bytes_shared;                                // of bytes_sent: through the memory of a node
  int64_t bytes_between_nodes, messages_between_nodes; // of bytes_sent and messages_sent
} qn_exchange_counts;
qn_exchange_counts qn_exchange_counted(const qn_exchange *exchange);
