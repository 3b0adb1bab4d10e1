// SPDX-License-Identifier: Apache-2.0
// The communicator from inside, for the files of this folder: what each of them keeps, and how they wait.
#pragma once
#include "comm/comm.h"
#include "comm/transport.h"

typedef enum {
  QN_PHASE_RUNNING,
  QN_PHASE_AGREEING, // this rank has succeeded; nothing is delivered any more, but claims are answered
  QN_PHASE_DRAINING, // the run has failed; everything but abort markers is dropped
} qn_phase;

/// What an abort marker says.
typedef struct qn_abort_note {
  int32_t status;
  int32_t line;
  char message[1000];
} qn_abort_note;

struct qn_exchange;

/// Where a rank is: its node, and its number on that node.
typedef struct qn_comm_place {
  int node, index;
} qn_comm_place;

typedef struct qn_nodes {
  MPI_Comm mpi;          // the ranks of this node, in their order
  int n_nodes;           // of the job
  int n_here;            // ranks on this node
  qn_comm_place *places; // [size]
  bool is_even;          // every node has n_here ranks:
  int *ranks;            // [n_nodes, n_here]
} qn_nodes;

/// The rank that this one watches.
typedef struct qn_watch {
  int64_t limit_ns;  // how long it may be silent; 0: nobody is watched
  int64_t looked_ns; // the clock when this rank last had nothing to do
  int64_t waited_ns; // how long this rank has had nothing to do, in all
  int64_t heard_ns;  // of that, when the other was heard last
  bool has_asked;    // since then
  int next;          // the rank
  char next_host[64], own_host[64];
  qn_loss_function tell;
  void *ctx;
} qn_watch;

struct qn_comm {
  qn_transport transport;
  int rank, size;
  qn_nodes nodes;
  qn_shared *shared;         // memory of this node; NULL: none
  int64_t least_node_memory; // see node_memory.h
  bool owns_mpi;
  qn_comm *parent; // of a group of ranks: what it was split from, which goes on while this one waits
  char library[128];
  bool heeds_stop; // of one without a parent
  int64_t waited_ns, bytes_sent;
  void (*tick)(void *ctx, int64_t now_ns); // or NULL
  void *tick_ctx;
  qn_watch watch;

  int64_t epoch; // the run, counted from 1
  qn_phase phase;
  int64_t delivering;      // the exchange whose deliver function runs innermost; INT64_MAX: none
  qn_incoming_list future; // messages of runs that this rank has not begun
  qn_incoming_list early;  // of exchanges and claims that it has not opened

  // Failure. The first failure of this rank stays until the run has ended, whoever asks.
  bool has_failed;
  qn_error failure;
  bool is_stopped; // an abort marker has come; `stop` says whose was the first
  qn_error stop;
  int n_aborts;            // markers that have come, this rank's own included
  qn_abort_note reason;    // of the lowest rank with a failure of its own among them
  int reason_rank;         // -1: none yet
  qn_parcel *abort_parcel; // made when there was memory

  // Agreement: what has come of it.
  int n_agreed; // subtrees
  bool all_agreed;
  int n_byes;

  // Collectives.
  int64_t n_collectives;
  qn_incoming_list pieces; // that have come
  qn_comm_sum *sums;       // under way, oldest first

  // Exchanges.
  struct qn_exchange *exchanges; // open ones of this run, oldest first
  int64_t n_exchanges;           // opened in this run
  int64_t n_unfinished;

  // Claims: rank 0 keeps the counters until the run ends, the others their open claims.
  struct qn_counter {
    int64_t next, n_items;
  } * counters;
  int64_t n_counters, counter_capacity;
  qn_claims *claims;
};

/// Collective, in no run. Finds out which ranks share a node; most_ranks > 0 makes nodes of at most that many
/// ranks, as if there were more machines.
qn_status qn_nodes_find(qn_comm *comm, int most_ranks, qn_error *err);
void qn_nodes_release(qn_nodes *nodes, bool is_in_order); // else without a call to MPI

/// Fills what the sender of a message says about it.
static inline qn_message_header qn_comm_header(const qn_comm *comm, qn_message_kind kind, int64_t channel,
                                               int64_t value) {
  return (qn_message_header){.kind = kind, .epoch = comm->epoch, .channel = channel, .value = value};
}
/// Sends a header alone.
qn_status qn_comm_signal(qn_comm *comm, int destination, qn_message_kind kind, int64_t channel, int64_t value,
                         qn_error *err);

/// QN_ERR_STOPPED, or the failure of this rank, if there is one.
qn_status qn_comm_check(const qn_comm *comm, qn_error *err);
/// Receives what has come and does what it asks for, but delivers no rows.
qn_status qn_comm_receive(qn_comm *comm, qn_error *err);
/// Looks again at messages that were early.
qn_status qn_comm_receive_early(qn_comm *comm, qn_error *err);
/// A failure of this rank that must not get lost, should a callback drop its status.
void qn_comm_note_failure(qn_comm *comm, qn_status status, const qn_error *err);

/// How long nothing has happened.
typedef struct qn_patience {
  int n_idle;
} qn_patience;
/// One step of a wait: polls; if nothing happened, rests a little. Adds the time without work to *wait_ns (or
/// NULL).
qn_status qn_comm_wait(qn_comm *comm, qn_patience *patience, int64_t *wait_ns, qn_error *err);
/// The same inside agreement: no deliveries, and no failure ends it but that of MPI or of memory.
qn_status qn_comm_wait_quietly(qn_comm *comm, qn_patience *patience, qn_error *err);

/// Next run: forgets everything of this one and takes what has come for the next.
void qn_comm_begin_epoch(qn_comm *comm);

/// Takes note of a message, and answers it if it asks for a sign of life.
void qn_comm_hear(qn_comm *comm, const qn_incoming *incoming);
/// Asks the watched rank for a sign of life, or ends the job if none came. To be called while this rank waits
/// and somebody is watched.
void qn_comm_look_out(qn_comm *comm);

// --- Collectives: what a piece says it belongs to, in the low byte of its value
// ------------------------------

typedef enum {
  QN_COLLECTIVE_REDUCE = 1,
  QN_COLLECTIVE_GATHER,
  QN_COLLECTIVE_BROADCAST,
  QN_COLLECTIVE_SUM, // and the rest of the value says which part of it
  QN_COLLECTIVE_SLICES,
} qn_collective;
/// "a reduction", for messages.
const char *qn_collective_name(int64_t value);

/// Brings the sums that are under way as far as what has come allows.
qn_status qn_comm_advance_sums(qn_comm *comm, qn_error *err);
/// Cuts all sums off from the communicator; finishing them later is safe.
void qn_comm_detach_sums(qn_comm *comm);

// --- The tree of ranks: rank r's parent is r without its lowest set bit; its subtree is r, r + 1, ...
// ---------

static inline int qn_tree_parent(int rank) {
  return rank & (rank - 1);
}
/// Ranks in the subtree of `rank`, itself included.
static inline int qn_tree_size(int rank, int n_ranks) {
  const int full = rank == 0 ? n_ranks : rank & -rank;
  return full < n_ranks - rank ? full : n_ranks - rank;
}
/// Children of `rank` are rank + step for step 1, 2, 4, ... below this.
static inline int qn_tree_reach(int rank, int n_ranks) {
  return qn_tree_size(rank, n_ranks);
}

// --- Messages for exchanges (exchange.c) and claims (claims.c)
// -----------------------------------------------

/// Takes a message with rows, an end or a credit. *is_early: the exchange has not been opened; the message is
/// still the caller's.
qn_status qn_exchange_accept_take(qn_comm *comm, qn_incoming *incoming, bool *is_early, qn_error *err);
/// Delivers what has come for exchanges whose deliver function is not running.
qn_status qn_exchange_deliver_all(qn_comm *comm, qn_error *err);
/// Cuts all exchanges off from the communicator; closing them later is safe.
void qn_exchange_detach_all(qn_comm *comm);
/// Answers a claim. *is_early as above.
qn_status qn_claims_answer(qn_comm *comm, const qn_incoming *incoming, bool *is_early, qn_error *err);
/// Takes an answer.
void qn_claims_accept(qn_comm *comm, const qn_incoming *incoming);
void qn_claims_detach_all(qn_comm *comm);
