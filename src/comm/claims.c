// SPDX-License-Identifier: Apache-2.0
// Shared counters. Rank 0 counts and answers whenever it polls, up to the end of the run even if it has
// closed its claims; the others ask for the next item as soon as they have one, so the answer is there when
// they need it.
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "comm/comm_state.h"

struct qn_claims {
  qn_claims *next; // open claims of the communicator
  qn_comm *comm;   // NULL when the run is over
  int64_t channel;
  bool is_lazy; // asks for an item when one is wanted
  bool is_over; // no item is left
  bool has_answer;
  int64_t answer;
};

static qn_status add_counter(qn_comm *comm, int64_t n_items, qn_error *err) {
  qn_status status = QN_OK;
  if (comm->n_counters == comm->counter_capacity) {
    const int64_t capacity = comm->counter_capacity > 0 ? 2 * comm->counter_capacity : 16;
    struct qn_counter *counters = realloc(comm->counters, (size_t)capacity * sizeof *counters);
    QN_REQUIRE(counters != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " counters", capacity);
    comm->counters = counters;
    comm->counter_capacity = capacity;
  }
  comm->counters[comm->n_counters] = (struct qn_counter){.n_items = n_items};

done:
  return status;
}

static qn_status ask(qn_claims *claims, qn_error *err) {
  return qn_comm_signal(claims->comm, 0, QN_MESSAGE_CLAIM, claims->channel, 0, err);
}

static qn_status open_claims(qn_comm *comm, int64_t n_items, bool is_lazy, qn_claims **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_claims *claims = NULL;

  QN_TRY(qn_comm_check(comm, err));
  QN_REQUIRE(n_items >= 0, err, QN_ERR_ARG, "claims over %" PRId64 " items", n_items);
  claims = calloc(1, sizeof *claims);
  QN_REQUIRE(claims != NULL, err, QN_ERR_MEMORY, "no memory for claims");
  *claims = (qn_claims){.comm = comm, .channel = comm->n_counters, .is_lazy = is_lazy};
  if (comm->rank == 0) {
    QN_TRY(add_counter(comm, n_items, err));
    comm->n_counters++;
    QN_TRY(qn_comm_receive_early(comm, err));
  } else {
    comm->n_counters++;
    QN_TRY(is_lazy ? QN_OK : ask(claims, err));
  }
  claims->next = comm->claims;
  comm->claims = claims;
  *out = claims;
  claims = NULL;

done:
  free(claims);
  return status;
}

qn_status qn_claims_open(qn_comm *comm, int64_t n_items, qn_claims **out, qn_error *err) {
  return open_claims(comm, n_items, false, out, err);
}

qn_status qn_claims_open_lazy(qn_comm *comm, int64_t n_items, qn_claims **out, qn_error *err) {
  return open_claims(comm, n_items, true, out, err);
}

static int64_t take_item(struct qn_counter *counter) {
  return counter->next < counter->n_items ? counter->next++ : -1;
}

qn_status qn_claims_answer(qn_comm *comm, const qn_incoming *incoming, bool *is_early, qn_error *err) {
  const int64_t channel = incoming->header.channel;
  if (comm->rank != 0 || channel < 0) {
    return qn_fail(err, QN_ERR_MPI, "rank %d asks rank %d for an item; only rank 0 has them",
                   incoming->source, comm->rank);
  }
  if (channel >= comm->n_counters) {
    *is_early = true;
    return QN_OK;
  }
  return qn_comm_signal(comm, incoming->source, QN_MESSAGE_ITEM, channel, take_item(&comm->counters[channel]),
                        err);
}

void qn_claims_accept(qn_comm *comm, const qn_incoming *incoming) {
  for (qn_claims *claims = comm->claims; claims != NULL; claims = claims->next) {
    if (claims->channel == incoming->header.channel) {
      claims->has_answer = true;
      claims->answer = incoming->header.value;
    }
  }
}

static qn_status await_answer(qn_claims *claims, int64_t *item, qn_error *err) {
  qn_status status = QN_OK;
  qn_patience patience = {0};
  QN_TRY(claims->is_lazy ? ask(claims, err) : QN_OK);
  while (!claims->has_answer) {
    QN_TRY(qn_comm_wait(claims->comm, &patience, NULL, err));
  }
  claims->has_answer = false;
  *item = claims->answer;
  if (claims->answer >= 0 && !claims->is_lazy) {
    QN_TRY(ask(claims, err));
  }

done:
  return status;
}

qn_status qn_claims_next(qn_claims *claims, int64_t *item, qn_error *err) {
  qn_status status = QN_OK;
  QN_REQUIRE(claims->comm != NULL, err, QN_ERR_ARG,
             "claims of a run that has ended; open new ones in each run");
  QN_TRY(qn_comm_poll(claims->comm, err));
  int64_t next = -1;
  if (claims->comm->rank == 0) {
    next = take_item(&claims->comm->counters[claims->channel]);
  } else if (!claims->is_over) {
    QN_TRY(await_answer(claims, &next, err));
  }
  claims->is_over = next < 0;
  *item = next;

done:
  return status;
}

static void detach(qn_claims *claims) {
  qn_claims **link = &claims->comm->claims;
  while (*link != NULL && *link != claims) {
    link = &(*link)->next;
  }
  if (*link != NULL) {
    *link = claims->next;
  }
  claims->comm = NULL;
}

void qn_claims_detach_all(qn_comm *comm) {
  while (comm->claims != NULL) {
    detach(comm->claims);
  }
}

void qn_claims_close(qn_claims *claims) {
  if (claims != NULL && claims->comm != NULL) {
    detach(claims);
  }
  free(claims);
}
