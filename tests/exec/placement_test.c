// SPDX-License-Identifier: Apache-2.0
// Ranks as they are really bound. Each test begins unbound, whatever the launcher has done.
#include <sched.h>
#include "comm/comm_state.h"
#include "exec/placement.h"
#include "kit/kit.h"

static const char MACHINE[] = "package:2 numa:2 core:4 pu:2"; // 4 domains, 16 cores, 32 processors

static qn_comm *comm;
static cpu_set_t all; // that this process can have

static void begin(const char *bind, const char *topology) {
  QN_CHECK_INT(sched_setaffinity(0, sizeof all, &all), 0);
  setenv("QUERN_BIND", bind, 1);
  setenv("QUERN_TOPOLOGY", topology, 1);
}

// What the system says of this process, in words as place has them.
static char *affinity(const qn_topology *topology) {
  cpu_set_t now;
  qn_buffer list = {0};
  qn_place place = {0};

  QN_CHECK_INT(sched_getaffinity(0, sizeof now, &now), 0);
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &now)) {
      QN_CHECK_OK(qn_buffer_printf(&list, &kit_error, "%s%d", list.size == 0 ? "" : ",", cpu));
    }
  }
  QN_CHECK_OK(qn_buffer_terminate(&list, &kit_error));
  QN_CHECK_OK(qn_place_describe(topology, (const char *)list.data, &place, &kit_error));
  char *text = strdup(place.cpus == NULL ? "" : place.cpus);
  qn_place_release(&place);
  qn_buffer_release(&list);
  return text;
}

static void check_affinity(const qn_placement *placement, const char *wanted) {
  char *found = affinity(placement->topology);
  QN_CHECK_TEXT(found, wanted);
  free(found);
}

static void check_unbound(void) {
  cpu_set_t now;
  QN_CHECK_INT(sched_getaffinity(0, sizeof now, &now), 0);
  QN_CHECK(CPU_EQUAL(&now, &all));
}

static char *printed(const qn_placement *placement) {
  char *text = NULL;
  size_t size = 0;
  FILE *file = open_memstream(&text, &size);
  qn_placement_print(placement, "job", file);
  fclose(file);
  return text;
}

static void unbound_ranks_bind_themselves_to_cores_of_their_own(void) {
  qn_placement placement = {0};

  begin("", "");
  QN_CHECK_OK(qn_placement_make(comm, &placement, &kit_error));
  const qn_node_places *node = &placement.nodes[0].places;
  const bool fits = node->n_ranks <= node->machine.n_usable_cores;
  const bool binds = fits && node->n_ranks > 1;
  QN_CHECK_INT(placement.n_nodes, 1);
  QN_CHECK_INT(node->n_ranks, qn_comm_size(comm));
  QN_CHECK_INT(placement.place.binding, binds ? QN_BOUND_BY_QUERN : QN_UNBOUND);
  check_affinity(&placement, placement.place.cpus);
  QN_CHECK_INT(node->faults[QN_FAULT_TOO_MANY].n_ranks, fits ? 0 : node->n_ranks);
  QN_CHECK_INT(node->faults[QN_FAULT_OVERLAP].n_ranks, 0);
  QN_CHECK_INT(qn_placement_n_threads(&placement), fits ? placement.place.n_cores : 1);
  int64_t n_cores = placement.place.n_cores;
  QN_CHECK_OK(qn_comm_reduce_int64(comm, QN_SUM, &n_cores, 1, &kit_error));
  QN_CHECK(!binds || n_cores <= node->machine.n_usable_cores); // nobody has the core of another
  QN_CHECK_OK(qn_comm_agree(comm, QN_OK, &kit_error));
  qn_placement_release(&placement);
  check_unbound();
}

static void bound_ranks_are_left_as_they_are_and_warned(void) {
  qn_placement placement = {0};
  cpu_set_t first;
  int cpu = 0;

  begin("", "");
  while (!CPU_ISSET(cpu, &all)) {
    cpu++;
  }
  CPU_ZERO(&first);
  CPU_SET(cpu, &first);
  QN_CHECK_INT(sched_setaffinity(0, sizeof first, &first), 0);
  QN_CHECK_OK(qn_placement_make(comm, &placement, &kit_error));
  const qn_node_places *node = &placement.nodes[0].places;
  const bool has_more = node->machine.n_usable_cores > 1;
  check_affinity(&placement, placement.place.cpus);
  QN_CHECK_INT(placement.place.n_cpus, 1);
  if (has_more) {
    QN_CHECK_INT(placement.place.binding, QN_BOUND_BY_LAUNCHER);
    QN_CHECK_INT(node->faults[QN_FAULT_OVERLAP].n_ranks, node->n_ranks > 1 ? node->n_ranks : 0);
  }
  char *text = printed(&placement);
  QN_CHECK((strstr(text, "run on the same processor") != NULL) == (has_more && node->n_ranks > 1));
  free(text);
  qn_placement_release(&placement);
  QN_CHECK_INT(sched_getaffinity(0, sizeof first, &first), 0);
  QN_CHECK_INT(CPU_COUNT(&first), 1);
}

static void nothing_is_bound_for_who_does_not_want_it(void) {
  qn_placement placement = {0};

  begin("none", "");
  QN_CHECK_OK(qn_placement_make(comm, &placement, &kit_error));
  QN_CHECK_INT(placement.place.binding, QN_UNBOUND_WANTED);
  check_unbound();
  QN_CHECK_INT(placement.nodes[0].places.faults[QN_FAULT_UNBOUND].n_ranks, 0);
  qn_placement_release(&placement);
}

static void another_machine_is_shown_and_not_applied(void) {
  static const char *const wanted[] = {
      [1] =
          "job: 1 node: 1 rank on 16 cores (2 sockets, 4 NUMA domains), BLAS 16 threads\n"
          "job: warning: the only rank runs on cores of more than one NUMA domain, so part of the memory is "
          "far away. Start a multiple of 4 ranks on each node, bound to cores\n",
      [2] =
          "job: 1 node: 2 ranks on 16 cores (2 sockets, 4 NUMA domains), 8 cores a rank bound by Quern, BLAS "
          "8 "
          "threads\n"
          "job: warning: all 2 ranks run on cores of more than one NUMA domain, so part of the memory is far "
          "away. Start a multiple of 4 ranks on each node, bound to cores\n",
      [5] =
          "job: 1 node: 5 ranks on 16 cores (2 sockets, 4 NUMA domains), 2 to 4 cores a rank bound by Quern, "
          "memory bound to its domain, BLAS 2 to 4 threads\n"};
  qn_placement placement = {0};
  const int n_ranks = qn_comm_size(comm);

  begin("", MACHINE);
  QN_CHECK_OK(qn_placement_make(comm, &placement, &kit_error));
  check_unbound();
  char *text = printed(&placement);
  if (n_ranks == 5 || n_ranks < 3) {
    QN_CHECK_TEXT(text, wanted[n_ranks]);
  }
  free(text);
  if (n_ranks == 5) {
    static const char *const cpus[] = {"0-3", "4-7", "8-15", "16-23", "24-31"};
    QN_CHECK_TEXT(placement.place.cpus, cpus[qn_comm_rank(comm)]);
    QN_CHECK_INT(placement.place.memory, QN_MEMORY_IN_DOMAIN);
    QN_CHECK_INT(placement.place.domain, qn_comm_rank(comm) < 2 ? 0 : qn_comm_rank(comm) - 1);
    QN_CHECK_INT(qn_placement_n_threads(&placement), placement.place.n_cores);
  }
  qn_placement_release(&placement);
  check_unbound();
}

// Nodes of two ranks: a line for the nodes that are alike, one for the last.
static void nodes_that_are_alike_are_told_once(void) {
  qn_placement placement = {0};
  char host[QN_HOST_BYTES] = "";
  char wanted[600];
  const int n_ranks = qn_comm_size(comm);

  begin("", "package:2 [numa] core:2 pu:1");
  QN_CHECK_OK(qn_nodes_find(comm, 2, &kit_error));
  QN_CHECK_OK(qn_placement_make(comm, &placement, &kit_error));
  QN_CHECK_INT(placement.n_nodes, (n_ranks + 1) / 2);
  snprintf(host, sizeof host, "%s", placement.nodes[0].host);
  char *text = printed(&placement);
  if (n_ranks == 5) {
    snprintf(
        wanted, sizeof wanted,
        "job: 2 nodes as %s, each: 2 ranks on 4 cores (2 sockets, 2 NUMA domains), 2 cores a rank bound by "
        "Quern, memory bound to its domain, BLAS 2 threads\n"
        "job: node %s: 1 rank on 4 cores (2 sockets, 2 NUMA domains), BLAS 4 threads\n"
        "job: warning: the only rank of node %s runs on cores of more than one NUMA domain, so part of the "
        "memory is far away. Start a multiple of 2 ranks on each node, bound to cores\n",
        host, host, host);
    QN_CHECK_TEXT(text, wanted);
  }
  free(text);
  qn_placement_release(&placement);
  QN_CHECK_OK(qn_nodes_find(comm, 0, &kit_error));
}

static void a_wrong_wish_of_one_rank_is_told_by_all(void) {
  qn_placement placement = {0};
  const bool is_last = qn_comm_rank(comm) == qn_comm_size(comm) - 1;

  begin(is_last ? "sockets" : "", "");
  QN_CHECK_FAILS(qn_placement_make(comm, &placement, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE("QUERN_BIND: 'sockets'");
  begin("", is_last ? "/nowhere.xml" : "");
  QN_CHECK_FAILS(qn_placement_make(comm, &placement, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE("/nowhere.xml");
  QN_CHECK(placement.nodes == NULL && placement.place.cpus == NULL);
  check_unbound();
}

static void a_part_of_a_node_by_slurm_is_not_dealt(void) {
  qn_placement placement = {0};

  begin("", MACHINE);
  setenv("SLURM_CPUS_ON_NODE", "8", 1);
  QN_CHECK_OK(qn_placement_make(comm, &placement, &kit_error));
  QN_CHECK_INT(placement.place.binding, QN_UNBOUND);
  const int n_ranks = qn_comm_size(comm);
  QN_CHECK_INT(placement.nodes[0].places.faults[QN_FAULT_UNBOUND].n_ranks, n_ranks > 1 ? n_ranks : 0);
  qn_placement_release(&placement);
  unsetenv("SLURM_CPUS_ON_NODE");
}

int main(void) {
  if (qn_comm_open(&comm, &kit_error) != QN_OK) {
    printf("%s\n", kit_error.message);
    return 1;
  }
  unsetenv("SLURM_CPUS_ON_NODE");
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    CPU_SET(cpu, &all);
  }
  QN_CHECK_INT(sched_setaffinity(0, sizeof all, &all), 0); // the system leaves what there is
  QN_CHECK_INT(sched_getaffinity(0, sizeof all, &all), 0);
  KIT_RUN(unbound_ranks_bind_themselves_to_cores_of_their_own);
  KIT_RUN(bound_ranks_are_left_as_they_are_and_warned);
  KIT_RUN(nothing_is_bound_for_who_does_not_want_it);
  KIT_RUN(another_machine_is_shown_and_not_applied);
  KIT_RUN(nodes_that_are_alike_are_told_once);
  KIT_RUN(a_wrong_wish_of_one_rank_is_told_by_all);
  KIT_RUN(a_part_of_a_node_by_slurm_is_not_dealt);
  qn_comm_close(comm);
  return kit_result();
}
