// SPDX-License-Identifier: Apache-2.0
#include "comm/comm_state.h"
#include "kit/kit.h"

static qn_comm *comm;

// Every rank finds itself where the others think it is.
static void check_places(void) {
  const qn_nodes *nodes = &comm->nodes;
  const qn_comm_place own = nodes->places[comm->rank];
  int64_t n_first = own.index == 0;

  QN_CHECK(own.index >= 0 && own.index < nodes->n_here);
  QN_CHECK_INT(qn_comm_node_rank(comm), own.index);
  QN_CHECK_INT(qn_comm_node_size(comm), nodes->n_here);
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, &n_first, 1, &kit_error));
  QN_CHECK_INT(n_first, qn_comm_n_nodes(comm));
  int n_here = 0;
  for (int r = 0; r < comm->size; r++) {
    n_here += nodes->places[r].node == own.node;
    QN_CHECK(!nodes->is_even ||
             nodes->ranks[nodes->places[r].node * nodes->n_here + nodes->places[r].index] == r);
  }
  QN_CHECK_INT(n_here, nodes->n_here);
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
}

static void ranks_of_a_machine_are_one_node(void) {
  check_places();
  QN_CHECK_INT(qn_comm_n_nodes(comm), 1);
  QN_CHECK_INT(qn_comm_node_size(comm), qn_comm_size(comm));
  QN_CHECK(comm->nodes.is_even);
}

static void nodes_can_be_made_smaller(void) {
  for (int most_ranks = 1; most_ranks <= 3; most_ranks++) {
    QN_CHECK_OK(qn_nodes_find(comm, most_ranks, &kit_error));
    check_places();
    QN_CHECK_INT(qn_comm_n_nodes(comm), (comm->size + most_ranks - 1) / most_ranks);
    int64_t is_even[2] = {comm->nodes.is_even, -(int64_t)comm->nodes.is_even};
    QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_MIN, is_even, 2, &kit_error));
    QN_CHECK_INT(is_even[0], -is_even[1]); // all ranks think the same
    QN_CHECK_INT(is_even[0], comm->size % most_ranks == 0 || comm->size < most_ranks);
    QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
  }
  QN_CHECK_OK(qn_nodes_find(comm, 0, &kit_error));
}

int main(void) {
  if (qn_comm_open(&comm, &kit_error) != QN_OK) {
    printf("%s\n", kit_error.message);
    return 1;
  }
  KIT_RUN(ranks_of_a_machine_are_one_node);
  KIT_RUN(nodes_can_be_made_smaller);
  qn_comm_close(comm);
  return kit_result();
}
