// SPDX-License-Identifier: Apache-2.0
// Opening and closing the communicator.
#include "comm/comm.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <quern/doctor.h>
#include "base/check.h"
#include "comm/comm_state.h"

enum { LEAST_NODE_MEMORY = 1 << 20 };

static qn_status init_mpi(qn_comm *comm, qn_error *err) {
  int is_initialized = 0;
  int is_finalized = 0;
  int level = MPI_THREAD_SINGLE;
  int result = MPI_Initialized(&is_initialized);
  if (result == MPI_SUCCESS) {
    result = MPI_Finalized(&is_finalized);
  }
  if (result != MPI_SUCCESS) {
    return qn_fail_mpi(err, "MPI_Initialized", result);
  }
  if (is_finalized) {
    return qn_fail(err, QN_ERR_MPI, "MPI has been finalised; open the job before MPI_Finalize");
  }
  if (!is_initialized) {
    result = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
    if (result != MPI_SUCCESS) {
      return qn_fail_mpi(err, "MPI_Init_thread", result);
    }
    comm->owns_mpi = true;
  }
  return QN_OK;
}

// Makes the transport on a communicator of MPI that is this one's from now on, also on failure: freeing it
// is left to drop_comm().
static qn_status start_transport(qn_comm *comm, MPI_Comm mpi, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY_MPI(MPI_Comm_set_errhandler(mpi, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  QN_TRY(qn_transport_init(&comm->transport, mpi, err));
  comm->rank = comm->transport.rank;
  comm->size = comm->transport.size;
  const qn_message_header header = {.kind = QN_MESSAGE_ABORT};
  QN_TRY(qn_parcel_new(&header, sizeof(qn_abort_note), &comm->abort_parcel, err));

done:
  if (status != QN_OK) {
    qn_transport_release(&comm->transport);
    comm->transport.mpi = mpi;
  }
  return status;
}

static qn_status duplicate_world(qn_comm *comm, qn_error *err) {
  qn_status status = QN_OK;
  MPI_Comm mpi = MPI_COMM_NULL;
  QN_TRY_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &mpi), "MPI_Comm_dup");
  QN_TRY(start_transport(comm, mpi, err));

done:
  return status;
}

// NULL if there is no memory.
static qn_comm *new_comm(void) {
  qn_comm *comm = calloc(1, sizeof *comm);
  if (comm != NULL) {
    *comm = (qn_comm){.transport.mpi = MPI_COMM_NULL,
                      .nodes.mpi = MPI_COMM_NULL,
                      .size = 1,
                      .epoch = 1,
                      .least_node_memory = LEAST_NODE_MEMORY,
                      .delivering = INT64_MAX,
                      .reason_rank = -1};
  }
  return comm;
}

// A communicator that could not be completed. Collective over its ranks if it has a transport.
static void drop_comm(qn_comm *comm) {
  if (comm == NULL) {
    return;
  }
  MPI_Comm mpi = comm->transport.mpi;
  qn_nodes_release(&comm->nodes, true);
  qn_transport_release(&comm->transport);
  qn_parcel_free(comm->abort_parcel);
  if (mpi != MPI_COMM_NULL) {
    MPI_Comm_free(&mpi);
  }
  free(comm);
}

qn_status qn_comm_open(qn_comm **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_comm *comm = new_comm();

  QN_REQUIRE(comm != NULL, err, QN_ERR_MEMORY, "no memory for a communicator");
  QN_TRY(init_mpi(comm, err));
  QN_TRY(duplicate_world(comm, err));
  QN_TRY(qn_nodes_find(comm, 0, err));
  qn_mpi_name(comm->library, sizeof comm->library);
  *out = comm;
  comm = NULL;

done:
  drop_comm(comm);
  return status;
}

// Every rank of `comm` goes through both agreements, so none is left alone in a call to MPI.
qn_status qn_comm_split(qn_comm *comm, int color, qn_comm **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_comm *part = NULL;
  MPI_Comm mpi = MPI_COMM_NULL;
  const int own_color = color >= 0 ? color : 0;

  QN_TRY_MPI(MPI_Comm_split(comm->transport.mpi, own_color, comm->rank, &mpi), "MPI_Comm_split");
  part = new_comm();
  if (color < 0) {
    status = qn_fail(err, QN_ERR_ARG, "a group of ranks of color %d; it must not be negative", color);
  } else if (part == NULL) {
    status = qn_fail(err, QN_ERR_MEMORY, "no memory for a communicator");
  } else {
    part->parent = comm;
    part->least_node_memory = comm->least_node_memory;
    memcpy(part->library, comm->library, sizeof part->library);
    status = start_transport(part, mpi, err);
    mpi = MPI_COMM_NULL;
  }
  QN_TRY(qn_comm_agree(comm, status, err));
  QN_TRY(qn_comm_agree(comm, qn_nodes_find(part, 0, err), err));
  *out = part;
  part = NULL;

done:
  drop_comm(part);
  if (mpi != MPI_COMM_NULL) {
    MPI_Comm_free(&mpi);
  }
  return status;
}

// After everybody's last word nothing is under way any more, and MPI may be left in order.
static qn_status say_bye(qn_comm *comm, qn_error *err) {
  qn_status status = QN_OK;
  qn_patience patience = {0};
  for (int i = 1; i < comm->size; i++) {
    QN_TRY(qn_comm_signal(comm, (comm->rank + i) % comm->size, QN_MESSAGE_BYE, 0, 0, err));
  }
  while (comm->n_byes < comm->size - 1 || comm->transport.n_operations > 0) {
    QN_TRY(qn_comm_wait_quietly(comm, &patience, err));
  }

done:
  return status;
}

void qn_comm_close(qn_comm *comm) {
  if (comm == NULL) {
    return;
  }
  comm->phase = QN_PHASE_DRAINING;
  const bool is_in_order = say_bye(comm, NULL) == QN_OK;
  qn_exchange_detach_all(comm);
  qn_claims_detach_all(comm);
  qn_incoming_list_release(&comm->future);
  qn_incoming_list_release(&comm->early);
  qn_incoming_list_release(&comm->pieces);
  qn_parcel_free(comm->abort_parcel);
  free(comm->counters);
  MPI_Comm mpi = comm->transport.mpi;
  qn_shared_free(comm->shared);
  qn_nodes_release(&comm->nodes, is_in_order);
  qn_transport_release(&comm->transport);
  if (is_in_order) {
    MPI_Comm_free(&mpi);
    if (comm->owns_mpi) {
      MPI_Finalize();
    }
  }
  free(comm);
}

// MPI may wait for an answer over a network that is gone.
enum { MOST_SECONDS_FOR_ABORT = 5 };

static void leave(int signal) {
  (void)signal;
  _exit(1);
}

_Noreturn void qn_comm_abort(qn_comm *comm, int exit_code) {
  (void)comm;
  signal(SIGALRM, leave);
  alarm(MOST_SECONDS_FOR_ABORT);
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  _Exit(exit_code);
}

qn_status qn_comm_share_memory(qn_comm *comm, int64_t bytes, qn_error *err) {
  qn_shared_free(comm->shared);
  comm->shared = NULL;
  return qn_shared_new(comm->nodes.mpi, bytes, &comm->shared, err);
}

int64_t qn_comm_shared_bytes(const qn_comm *comm) {
  return comm->shared != NULL ? qn_shared_n_slabs(comm->shared) * qn_shared_slab_bytes(comm->shared) : 0;
}

int qn_comm_rank(const qn_comm *comm) {
  return comm->rank;
}

int qn_comm_size(const qn_comm *comm) {
  return comm->size;
}

const char *qn_comm_library(const qn_comm *comm) {
  return comm->library;
}
