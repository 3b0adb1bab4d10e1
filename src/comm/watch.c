// SPDX-License-Identifier: Apache-2.0
// Ranks that are lost. MPI over a network does not notice for a long time that the other end is gone, so
// ranks watch each other, in a ring that goes node by node: one that has waited for a while without a word
// from the next rank asks it for one, which any rank gives as soon as it polls. Where no answer comes, or the
// system says that the network brings nothing to that node any more, the job is ended everywhere. A ring is
// enough: the rank before those that are lost notices as soon as it has nothing to do but wait. Only time
// spent waiting counts, in small steps, so a job that was suspended as a whole has not been silent.
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/check.h"
#include "base/clock.h"
#include "comm/comm_state.h"

#define SECOND_NS INT64_C(1000000000)
static const int64_t LONGEST_STEP_NS = SECOND_NS / 4, LONGEST_BEFORE_ASKING_NS = 15 * SECOND_NS,
                     LONGEST_WITHOUT_NETWORK_NS = 60 * SECOND_NS;

enum { HOST_BYTES = sizeof(qn_watch){0}.next_host, FEWEST_RESENDINGS = 3 };

static bool is_before(qn_comm_place a, qn_comm_place b) {
  return a.node != b.node ? a.node < b.node : a.index < b.index;
}

// The next rank of the ring: that of the first place behind this rank's, else that of the first of all.
static int next_rank(const qn_comm *comm) {
  const qn_comm_place *places = comm->nodes.places;
  int first = 0;
  int next = -1;
  for (int r = 0; r < comm->size; r++) {
    first = is_before(places[r], places[first]) ? r : first;
    if (is_before(places[comm->rank], places[r]) && (next < 0 || is_before(places[r], places[next]))) {
      next = r;
    }
  }
  return next >= 0 ? next : first;
}

static void name_this_host(char *name) {
  char full[MPI_MAX_PROCESSOR_NAME + 1] = "";
  int size = 0;
  const bool is_known = MPI_Get_processor_name(full, &size) == MPI_SUCCESS;
  snprintf(name, HOST_BYTES, "%.*s", HOST_BYTES - 1, is_known ? full : "an unknown node");
}

qn_status qn_comm_watch(qn_comm *comm, double seconds, qn_loss_function tell, void *ctx, qn_error *err) {
  qn_status status = QN_OK;
  qn_watch watch = {.tell = tell, .ctx = ctx, .next = next_rank(comm)};
  char *hosts = calloc((size_t)comm->size, HOST_BYTES);

  name_this_host(watch.own_host);
  QN_TRY(qn_comm_agree(
      comm, hosts == NULL ? qn_fail(err, QN_ERR_MEMORY, "no memory for the names of nodes") : QN_OK, err));
  QN_TRY_MPI(
      MPI_Allgather(watch.own_host, HOST_BYTES, MPI_CHAR, hosts, HOST_BYTES, MPI_CHAR, comm->transport.mpi),
      "MPI_Allgather");
  memcpy(watch.next_host, hosts + (size_t)watch.next * HOST_BYTES, HOST_BYTES);
  watch.limit_ns = seconds <= 0 || comm->size == 1 ? 0 : (int64_t)(seconds < 1e9 ? seconds * 1e9 : 1e18);
  comm->watch = watch;

done:
  free(hosts);
  return status;
}

void qn_comm_hear(qn_comm *comm, const qn_incoming *incoming) {
  qn_watch *watch = &comm->watch;
  qn_error error = {0};

  if (incoming->source == watch->next) {
    watch->heard_ns = watch->waited_ns;
    watch->has_asked = false;
  }
  if (incoming->header.kind == QN_MESSAGE_ASK) { // a failure is that of the transport, which others meet too
    qn_comm_signal(comm, incoming->source, QN_MESSAGE_HERE, 0, 0, &error);
  }
  if (incoming->header.kind ==
      QN_MESSAGE_LOST) { // its sender has said why, and is ending all that it can reach
    sleep(1);
    qn_comm_abort(comm, 1);
  }
}

// Whether the system says of a connection that what was sent has not arrived for that long, whatever it
// tried. That the other process is busy does not matter: its system would take what comes.
static bool is_cut(int descriptor, int64_t limit_ns) {
  struct tcp_info info = {0};
  socklen_t size = sizeof info;
  return getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_unacked > 0 &&
         info.tcpi_retransmits >= FEWEST_RESENDINGS &&
         info.tcpi_last_ack_recv >= (uint64_t)(limit_ns / 1000000);
}

// MPI does not say which of its connections lead to which rank, but one that is cut will not come back, and
// the rank that is asked has not answered.
static bool has_cut_connection(int64_t limit_ns) {
  bool is_found = false;
  DIR *folder = opendir("/proc/self/fd");
  for (const struct dirent *entry = NULL; folder != NULL && (entry = readdir(folder)) != NULL;) {
    is_found = is_found || is_cut((int)strtol(entry->d_name, NULL, 10), limit_ns);
  }
  if (folder != NULL) {
    closedir(folder);
  }
  return is_found;
}

_Noreturn static void end_job(qn_comm *comm, const char *what, const char *advice, int64_t silent_ns) {
  const qn_watch *watch = &comm->watch;
  qn_error error = {0};
  qn_error ignored = {0};

  qn_fail(&error, QN_ERR_MPI,
          "rank %d on %s is lost: %s for %.0f seconds while rank %d on %s waited; the job is ended%s",
          watch->next, watch->next_host, what, (double)silent_ns / 1e9, comm->rank, watch->own_host, advice);
  error.rank = watch->next;
  if (watch->tell != NULL) {
    watch->tell(watch->ctx, &error);
  }
  for (int i = 1; i < comm->size; i++) {
    qn_comm_signal(comm, (comm->rank + i) % comm->size, QN_MESSAGE_LOST, 0, 0, &ignored);
  }
  qn_transport_advance(&comm->transport, &ignored);
  qn_comm_abort(comm, 1);
}

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

void qn_comm_look_out(qn_comm *comm) {
  qn_watch *watch = &comm->watch;
  const int64_t now = qn_clock_ns();
  const int64_t before = watch->waited_ns;
  qn_error ignored = {0};

  watch->waited_ns += least(now - watch->looked_ns, LONGEST_STEP_NS);
  watch->looked_ns = now;
  const int64_t silent_ns = watch->waited_ns - watch->heard_ns;
  if (!watch->has_asked) {
    if (silent_ns > least(watch->limit_ns / 4, LONGEST_BEFORE_ASKING_NS)) {
      watch->has_asked = true;
      qn_comm_signal(comm, watch->next, QN_MESSAGE_ASK, 0, 0, &ignored);
    }
    return;
  }
  if (silent_ns > watch->limit_ns) {
    end_job(comm, "it has given no sign of life",
            " (where ranks may be busy for longer, allow it by --silence or QUERN_SILENCE)", silent_ns);
  }
  const bool is_next_second = watch->waited_ns / SECOND_NS != before / SECOND_NS;
  if (is_next_second && has_cut_connection(LONGEST_WITHOUT_NETWORK_NS)) {
    end_job(comm, "the network has brought nothing to its node", "", silent_ns);
  }
}
