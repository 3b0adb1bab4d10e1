// SPDX-License-Identifier: Apache-2.0
// Which ranks are on which node, as MPI sees it: ranks of a node can share memory.
#include <stdlib.h>
#include "base/check.h"
#include "comm/comm_state.h"

// The communicator of the ranks of this node; with most_ranks > 0 only those that MPI numbers in one row of
// that many.
static qn_status split_by_node(const qn_comm *comm, int most_ranks, MPI_Comm *out, qn_error *err) {
  qn_status status = QN_OK;
  MPI_Comm shared = MPI_COMM_NULL;
  MPI_Comm mpi = comm->transport.mpi;

  QN_TRY_MPI(MPI_Comm_split_type(mpi, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &shared),
             "MPI_Comm_split_type");
  if (most_ranks > 0) {
    MPI_Comm part = MPI_COMM_NULL;
    QN_TRY_MPI(MPI_Comm_split(shared, comm->rank / most_ranks, comm->rank, &part), "MPI_Comm_split");
    MPI_Comm_free(&shared);
    shared = part;
  }
  QN_TRY_MPI(MPI_Comm_set_errhandler(shared, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  *out = shared;
  shared = MPI_COMM_NULL;

done:
  if (shared != MPI_COMM_NULL) {
    MPI_Comm_free(&shared);
  }
  return status;
}

// places[r].node holds the lowest rank of r's node; nodes are numbered in the order of these.
static void number_nodes(qn_nodes *nodes, int n_ranks) {
  nodes->n_nodes = 0;
  for (int r = 0; r < n_ranks; r++) {
    const int lowest = nodes->places[r].node;
    nodes->places[r].node = lowest == r ? nodes->n_nodes++ : nodes->places[lowest].node;
  }
}

// All nodes have as many ranks as this one: lists the ranks node by node.
static void list_ranks(qn_nodes *nodes, int n_ranks) {
  bool is_even = (int64_t)nodes->n_nodes * nodes->n_here == n_ranks;
  for (int r = 0; r < n_ranks; r++) {
    is_even &= nodes->places[r].index < nodes->n_here;
  }
  nodes->is_even = is_even;
  for (int r = 0; is_even && r < n_ranks; r++) {
    nodes->ranks[nodes->places[r].node * nodes->n_here + nodes->places[r].index] = r;
  }
}

qn_status qn_nodes_find(qn_comm *comm, int most_ranks, qn_error *err) {
  qn_status status = QN_OK;
  qn_nodes nodes = {.mpi = MPI_COMM_NULL};
  qn_comm_place own = {.node = comm->rank};

  nodes.places = calloc((size_t)comm->size, sizeof *nodes.places);
  nodes.ranks = calloc((size_t)comm->size, sizeof *nodes.ranks);
  QN_REQUIRE(nodes.places != NULL && nodes.ranks != NULL, err, QN_ERR_MEMORY,
             "no memory for the places of %d ranks", comm->size);
  QN_TRY(split_by_node(comm, most_ranks, &nodes.mpi, err));
  QN_TRY_MPI(MPI_Comm_rank(nodes.mpi, &own.index), "MPI_Comm_rank");
  QN_TRY_MPI(MPI_Comm_size(nodes.mpi, &nodes.n_here), "MPI_Comm_size");
  QN_TRY_MPI(MPI_Bcast(&own.node, 1, MPI_INT, 0, nodes.mpi), "MPI_Bcast");
  QN_TRY_MPI(MPI_Allgather(&own, 2, MPI_INT, nodes.places, 2, MPI_INT, comm->transport.mpi), "MPI_Allgather");
  number_nodes(&nodes, comm->size);
  list_ranks(&nodes, comm->size);
  qn_nodes_release(&comm->nodes, true);
  comm->nodes = nodes;
  nodes = (qn_nodes){.mpi = MPI_COMM_NULL};

done:
  qn_nodes_release(&nodes, true);
  return status;
}

void qn_nodes_release(qn_nodes *nodes, bool is_in_order) {
  if (is_in_order && nodes->mpi != MPI_COMM_NULL) {
    MPI_Comm_free(&nodes->mpi);
  }
  free(nodes->places);
  free(nodes->ranks);
  *nodes = (qn_nodes){.mpi = MPI_COMM_NULL};
}

int qn_comm_node_rank(const qn_comm *comm) {
  return comm->nodes.places[comm->rank].index;
}

int qn_comm_node_size(const qn_comm *comm) {
  return comm->nodes.n_here;
}

int qn_comm_n_nodes(const qn_comm *comm) {
  return comm->nodes.n_nodes;
}

int qn_comm_node(const qn_comm *comm) {
  return comm->nodes.places[comm->rank].node;
}
