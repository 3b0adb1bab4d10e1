// SPDX-License-Identifier: Apache-2.0
// Progress: messages that have come are given to whom they concern, and waiting is done here, for all of the
// folder. A message of a run that is over is dropped; one of a run to come, or of an exchange to be opened,
// is kept.
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include "base/check.h"
#include "base/clock.h"
#include "base/stop.h"
#include "comm/comm_state.h"

qn_status qn_comm_signal(qn_comm *comm, int destination, qn_message_kind kind, int64_t channel, int64_t value,
                         qn_error *err) {
  qn_status status = QN_OK;
  qn_parcel *parcel = NULL;
  const qn_message_header header = qn_comm_header(comm, kind, channel, value);
  QN_TRY(qn_parcel_new(&header, 0, &parcel, err));
  QN_TRY(qn_transport_send(&comm->transport, destination, parcel, err));

done:
  qn_parcel_free(parcel);
  return status;
}

qn_status qn_comm_check(const qn_comm *comm, qn_error *err) {
  if (__builtin_expect(!comm->has_failed && !comm->is_stopped, 1)) {
    return QN_OK;
  }
  const qn_error *first = comm->has_failed ? &comm->failure : &comm->stop;
  if (err != NULL) {
    *err = *first;
  }
  return first->status;
}

void qn_comm_note_failure(qn_comm *comm, qn_status status, const qn_error *err) {
  if (status != QN_OK && status != QN_ERR_STOPPED && !comm->has_failed) {
    comm->has_failed = true;
    comm->failure = *err;
    comm->failure.status = status;
  }
}

static qn_status accept_abort(qn_comm *comm, const qn_incoming *incoming, qn_error *err) {
  qn_abort_note note;
  if (incoming->header.payload_bytes != (int64_t)sizeof note) {
    return qn_fail(err, QN_ERR_MPI, "an abort marker of %" PRId64 " bytes from rank %d; %zu were expected",
                   incoming->header.payload_bytes, incoming->source, sizeof note);
  }
  memcpy(&note, qn_incoming_payload(incoming), sizeof note);
  note.message[sizeof note.message - 1] = '\0';
  comm->n_aborts++;
  const bool is_own = note.status != QN_ERR_STOPPED && note.status != QN_OK;
  if (is_own && (comm->reason_rank < 0 || incoming->source < comm->reason_rank)) {
    comm->reason = note;
    comm->reason_rank = incoming->source;
  }
  if (!comm->is_stopped) {
    comm->is_stopped = true;
    qn_fail(&comm->stop, QN_ERR_STOPPED, "stopped because rank %d %s: %s", incoming->source,
            is_own ? "failed" : "was stopped", note.message);
    comm->stop.rank = incoming->source;
  }
  return QN_OK;
}

// Gives a message of this run to whom it concerns.
static qn_status dispatch_take(qn_comm *comm, qn_incoming *incoming, qn_error *err) {
  qn_status status = QN_OK;
  bool is_early = false;

  if (incoming->header.payload_bytes > 0 && incoming->memory == NULL) {
    status = qn_fail(err, QN_ERR_MEMORY, "no memory for a message of %" PRId64 " bytes from rank %d",
                     incoming->header.payload_bytes, incoming->source);
    goto done;
  }
  switch ((qn_message_kind)incoming->header.kind) {
  case QN_MESSAGE_ABORT:
    status = accept_abort(comm, incoming, err);
    break;
  case QN_MESSAGE_BYE:
    comm->n_byes++;
    break;
  case QN_MESSAGE_ASK: // heard before
  case QN_MESSAGE_HERE:
  case QN_MESSAGE_LOST:
    break;
  case QN_MESSAGE_AGREE:
    comm->n_agreed += incoming->header.value == 0;
    comm->all_agreed |= incoming->header.value != 0;
    break;
  case QN_MESSAGE_PIECE:
    qn_incoming_list_append(&comm->pieces, incoming);
    return QN_OK;
  case QN_MESSAGE_CLAIM:
    status = qn_claims_answer(comm, incoming, &is_early, err);
    break;
  case QN_MESSAGE_ITEM:
    qn_claims_accept(comm, incoming);
    break;
  case QN_MESSAGE_ROWS:
  case QN_MESSAGE_END:
  case QN_MESSAGE_CREDIT:
    status = qn_exchange_accept_take(comm, incoming, &is_early, err);
    if (!is_early) {
      return status;
    }
    break;
  }
  if (is_early) {
    qn_incoming_list_append(&comm->early, incoming);
    return status;
  }

done:
  qn_incoming_free(incoming);
  return status;
}

static qn_status sort_by_epoch_take(qn_comm *comm, qn_incoming *incoming, qn_error *err) {
  const qn_message_header *header = &incoming->header;
  qn_comm_hear(comm, incoming);
  if (header->kind >= QN_MESSAGE_ASK) {
    qn_incoming_free(incoming);
    return QN_OK;
  }
  if (header->slab != 0 && incoming->loan == NULL) { // from here on it is given back, whatever happens to it
    const qn_comm_place place = comm->nodes.places[incoming->source];
    qn_shared *shared = place.node == comm->nodes.places[comm->rank].node ? comm->shared : NULL;
    const qn_status status =
        qn_loan_new(shared, place.index, header->slab - 1, header->slab_bytes, &incoming->loan, err);
    if (status != QN_OK) {
      qn_incoming_free(incoming);
      return status;
    }
  }
  if (header->epoch > comm->epoch) {
    qn_incoming_list_append(&comm->future, incoming);
    return QN_OK;
  }
  const bool is_last_word = header->kind == QN_MESSAGE_ABORT || header->kind == QN_MESSAGE_BYE;
  if (header->epoch < comm->epoch || (comm->phase == QN_PHASE_DRAINING && !is_last_word)) {
    qn_incoming_free(incoming);
    return QN_OK;
  }
  return dispatch_take(comm, incoming, err);
}

qn_status qn_comm_receive(qn_comm *comm, qn_error *err) {
  qn_status status = QN_OK;
  qn_incoming *incoming = NULL;

  QN_TRY(qn_transport_advance(&comm->transport, err));
  while (comm->transport.incoming.first != NULL) {
    QN_TRY(qn_transport_take(&comm->transport, &incoming, err));
    if (incoming == NULL) {
      break;
    }
    QN_TRY(sort_by_epoch_take(comm, incoming, err));
  }

done:
  return status;
}

// Dispatches the messages of a list, which may append to the same list again.
static qn_status receive_again(qn_comm *comm, qn_incoming_list *list, qn_error *err) {
  qn_status status = QN_OK;
  qn_incoming_list again = *list;
  *list = (qn_incoming_list){0};
  for (qn_incoming *incoming = qn_incoming_list_pop(&again); incoming != NULL;
       incoming = qn_incoming_list_pop(&again)) {
    QN_TRY(sort_by_epoch_take(comm, incoming, err));
  }

done:
  qn_incoming_list_release(&again);
  return status;
}

qn_status qn_comm_receive_early(qn_comm *comm, qn_error *err) {
  return receive_again(comm, &comm->early, err);
}

void qn_comm_begin_epoch(qn_comm *comm) {
  qn_error error = {0};
  qn_exchange_detach_all(comm);
  qn_claims_detach_all(comm);
  qn_comm_detach_sums(comm);
  qn_incoming_list_release(&comm->early);
  qn_incoming_list_release(&comm->pieces);
  comm->epoch++;
  comm->phase = QN_PHASE_RUNNING;
  comm->has_failed = comm->is_stopped = comm->all_agreed = false;
  comm->n_aborts = comm->n_agreed = 0;
  comm->reason_rank = -1;
  comm->n_collectives = comm->n_exchanges = comm->n_unfinished = comm->n_counters = 0;
  const qn_status status = receive_again(comm, &comm->future, &error);
  qn_comm_note_failure(comm, status, &error);
}

// Others may be in a run of the communicator that this one is a part of, and want answers. What goes wrong
// there is said there.
static void receive_for_parents(qn_comm *comm) {
  for (qn_comm *parent = comm->parent; parent != NULL; parent = parent->parent) {
    qn_error error = {0};
    const qn_status status = qn_comm_receive(parent, &error);
    qn_comm_note_failure(parent, status, &error);
  }
}

void qn_comm_heed_stop(qn_comm *comm, bool is_heeded) {
  comm->heeds_stop = is_heeded;
}

static qn_status check_stop(const qn_comm *comm, qn_error *err) {
  while (comm->parent != NULL) {
    comm = comm->parent;
  }
  return comm->heeds_stop && qn_stop_is_wanted()
             ? qn_fail(err, QN_ERR_INTERRUPTED, "asked to stop by %s", qn_stop_reason())
             : QN_OK;
}

static qn_status poll_once(qn_comm *comm, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(qn_comm_check(comm, err));
  QN_TRY(check_stop(comm, err));
  if (comm->size > 1) {
    QN_TRY(qn_comm_receive(comm, err));
    QN_TRY(qn_comm_check(comm, err));
    QN_TRY(qn_comm_advance_sums(comm, err));
  }
  QN_TRY(qn_exchange_deliver_all(comm, err));

done:
  return status;
}

qn_status qn_comm_poll(qn_comm *comm, qn_error *err) {
  qn_error own = {0};
  qn_error *error = err != NULL ? err : &own;
  const qn_status status = poll_once(comm, error);
  receive_for_parents(comm);
  qn_comm_note_failure(comm, status, error);
  return status;
}

// Ranks may outnumber the cores by far, so a wait soon gives the core to others: first by yielding, then by
// sleeping longer and longer. Ranks on cores of their own seldom get past the first polls.
enum { POLLS_BEFORE_YIELD = 50, POLLS_BEFORE_SLEEP = 100, FIRST_SLEEP_NS = 20000, LAST_SLEEP_NS = 500000 };

// Has nothing to do.
static void rest(qn_comm *comm, qn_patience *patience) {
  const int n = patience->n_idle++;
  if (n < POLLS_BEFORE_YIELD) {
    return;
  }
  if (n < POLLS_BEFORE_SLEEP) {
    sched_yield();
    return;
  }
  while (comm->parent != NULL) { // signs of life are given by all, whatever groups they are in
    comm = comm->parent;
  }
  if (comm->watch.limit_ns > 0) {
    qn_comm_look_out(comm);
  }
  const int doublings = (n - POLLS_BEFORE_SLEEP) / 8;
  long nanoseconds = doublings < 5 ? (long)FIRST_SLEEP_NS << doublings : LAST_SLEEP_NS;
  nanoseconds = nanoseconds < LAST_SLEEP_NS ? nanoseconds : LAST_SLEEP_NS;
  patience->n_idle = doublings < 5 ? n + 1 : n;
  nanosleep(&(struct timespec){.tv_nsec = nanoseconds}, NULL);
}

static void count_wait(qn_comm *comm, int64_t ns) {
  for (; comm != NULL; comm = comm->parent) {
    comm->waited_ns += ns;
  }
}

static void tick(const qn_comm *comm, int64_t now_ns) {
  for (; comm != NULL; comm = comm->parent) {
    if (comm->tick != NULL) {
      comm->tick(comm->tick_ctx, now_ns);
    }
  }
}

int64_t qn_comm_waited_ns(const qn_comm *comm) {
  return comm->waited_ns;
}

int64_t qn_comm_bytes_sent(const qn_comm *comm) {
  return comm->bytes_sent;
}

void qn_comm_set_tick(qn_comm *comm, void (*tick_fn)(void *ctx, int64_t now_ns), void *ctx) {
  comm->tick = tick_fn;
  comm->tick_ctx = ctx;
}

qn_status qn_comm_wait(qn_comm *comm, qn_patience *patience, int64_t *wait_ns, qn_error *err) {
  const int64_t events = comm->transport.n_events;
  const int64_t start = qn_clock_ns();
  const qn_status status = qn_comm_poll(comm, err);
  if (comm->transport.n_events != events) {
    patience->n_idle = 0;
  } else if (status == QN_OK) {
    rest(comm, patience);
    const int64_t waited = qn_clock_ns() - start;
    count_wait(comm, waited);
    if (wait_ns != NULL) {
      *wait_ns += waited;
    }
  }
  tick(comm, start);
  return status;
}

qn_status qn_comm_wait_quietly(qn_comm *comm, qn_patience *patience, qn_error *err) {
  const int64_t events = comm->transport.n_events;
  const int64_t start = qn_clock_ns();
  const qn_status status = qn_comm_receive(comm, err);
  receive_for_parents(comm);
  if (comm->transport.n_events != events) {
    patience->n_idle = 0;
  } else if (status == QN_OK) {
    rest(comm, patience);
    count_wait(comm, qn_clock_ns() - start);
  }
  tick(comm, start);
  return status;
}
