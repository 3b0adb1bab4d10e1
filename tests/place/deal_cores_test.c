// SPDX-License-Identifier: Apache-2.0
#include "kit/kit.h"
#include "place/place.h"

// All ranks' processors, as "0-3 4-7"; "" for ranks that get none.
static void deal(const qn_topology *topology, int n_ranks, qn_buffer *out) {
  for (int rank = 0; rank < n_ranks; rank++) {
    char *cpus = NULL;
    QN_CHECK_OK(qn_cpus_deal(topology, qn_topology_cpus(topology), n_ranks, rank, &cpus, &kit_error));
    if (cpus != NULL) {
      QN_CHECK_OK(qn_buffer_printf(out, &kit_error, "%s%s", rank == 0 ? "" : " ", cpus));
    }
    free(cpus);
  }
  QN_CHECK_OK(qn_buffer_terminate(out, &kit_error));
}

static void check_deal(const char *machine, int n_ranks, const char *wanted) {
  qn_topology *topology = NULL;
  qn_buffer found = {0};

  QN_CHECK_OK(qn_topology_new(machine, &topology, &kit_error));
  deal(topology, n_ranks, &found);
  QN_CHECK_TEXT((const char *)found.data, wanted);
  qn_buffer_release(&found);
  qn_topology_free(topology);
}

static void ranks_of_one_domain_get_blocks(void) {
  check_deal("core:4 pu:1", 1, "0-3");
  check_deal("core:4 pu:1", 2, "0-1 2-3");
  check_deal("core:4 pu:1", 3, "0 1 2-3");
  check_deal("core:4 pu:1", 4, "0 1 2 3");
  check_deal("pu:3", 3, "0 1 2");
}

static void a_core_is_not_cut(void) {
  check_deal("core:4 pu:2", 2, "0-3 4-7");
  check_deal("core:4 pu:2", 4, "0-1 2-3 4-5 6-7");
  check_deal("package:2 core:2 pu:2(indexes=2*4:4*1)", 4, "0,4 1,5 2,6 3,7");
}

static void more_ranks_than_cores_get_nothing(void) {
  check_deal("core:4 pu:2", 5, "");
  check_deal("core:1 pu:1", 2, "");
  check_deal(QN_MACHINES "/cgroup.xml", 7, "");
}

static void blocks_lie_within_domains(void) {
  check_deal("package:2 [numa] core:4 pu:1", 2, "0-3 4-7");
  check_deal("package:2 [numa] core:4 pu:1", 3, "0-1 2-3 4-7");
  check_deal("package:2 [numa] core:4 pu:1", 4, "0-1 2-3 4-5 6-7");
  check_deal("package:2 numa:2 core:2 pu:1", 5, "0 1 2-3 4-5 6-7");
  check_deal("package:2 numa:4 core:2 pu:1", 8, "0-1 2-3 4-5 6-7 8-9 10-11 12-13 14-15");
}

static void few_ranks_get_whole_domains(void) {
  check_deal("package:2 numa:4 core:2 pu:1", 2, "0-7 8-15");
  check_deal("package:2 numa:4 core:2 pu:1", 3, "0-3 4-9 10-15");
  check_deal("package:2 numa:2 core:1 pu:2", 1, "0-7");
}

static void uneven_domains_are_shared_fairly(void) {
  check_deal(QN_MACHINES "/uneven.xml", 4,
             "0-1,16-17 2-3,18-19 8-11,24-27 12,28-31"); // not the domain of one core
  check_deal(QN_MACHINES "/uneven.xml", 13, "0,16 1,17 2,18 3,19 4,20 8,24 9,25 10,26 11,27 12,28 29 30 31");
}

static void cores_without_memory_of_their_own_are_dealt_too(void) {
  check_deal(QN_MACHINES "/half_memory.xml", 2, "0-1 2-3");
  check_deal(QN_MACHINES "/half_memory.xml", 3, "0 1 2-3");
  check_deal(QN_MACHINES "/half_memory.xml", 4, "0 1 2 3");
}

static void only_what_the_control_group_leaves_is_dealt(void) {
  check_deal(QN_MACHINES "/cgroup.xml", 2, "2-3,18-19 4-7,20-23");
  check_deal(QN_MACHINES "/cgroup.xml", 3, "2-3,18-19 4-5,20-21 6-7,22-23");
  check_deal(QN_MACHINES "/cgroup.xml", 6, "2,18 3,19 4,20 5,21 6,22 7,23");
}

// What must hold of any machine: every rank has cores, no two the same, and with as many ranks as domains
// nobody crosses one.
static void check_rules(const char *machine, int n_ranks) {
  qn_topology *topology = NULL;
  int32_t n_cores = 0;

  QN_CHECK_OK(qn_topology_new(machine, &topology, &kit_error));
  const qn_machine shape = qn_topology_machine(topology);
  const char **cpus = calloc((size_t)n_ranks, sizeof *cpus);
  for (int rank = 0; rank < n_ranks && cpus != NULL; rank++) {
    char *own = NULL;
    qn_place place = {0};
    QN_CHECK_OK(qn_cpus_deal(topology, qn_topology_cpus(topology), n_ranks, rank, &own, &kit_error));
    QN_CHECK_OK(qn_place_describe(topology, own == NULL ? "" : own, &place, &kit_error));
    QN_CHECK(place.n_cores > 0);
    QN_CHECK(n_ranks < shape.n_domains || place.n_domains == 1);
    n_cores += place.n_cores;
    cpus[rank] = own;
    qn_place_release(&place);
  }
  QN_CHECK(n_cores <= shape.n_cores);
  for (int rank = 0; rank < n_ranks && cpus != NULL; rank++) {
    int32_t n_threads = 0;
    qn_place place = {0};
    QN_CHECK_OK(qn_threads_of_rank(topology, cpus, n_ranks, rank, &n_threads, &kit_error));
    QN_CHECK_OK(qn_place_describe(topology, cpus[rank], &place, &kit_error));
    QN_CHECK_INT(n_threads, place.n_cores); // so nobody else has one of them
    qn_place_release(&place);
  }
  for (int rank = 0; rank < n_ranks && cpus != NULL; rank++) {
    free((void *)(intptr_t)cpus[rank]);
  }
  free(cpus);
  qn_topology_free(topology);
}

static void no_core_is_dealt_twice_on_any_machine(void) {
  static const char *const machines[] = {"core:7 pu:1",
                                         "package:2 [numa] core:5 pu:2",
                                         "package:2 numa:2 l3:2 core:3 pu:2",
                                         "package:3 numa:2 core:3 pu:1",
                                         "package:2 numa:4 core:2 pu:1",
                                         QN_MACHINES "/uneven.xml"};
  for (size_t m = 0; m < sizeof machines / sizeof *machines; m++) {
    for (int n_ranks = 1; n_ranks <= 7; n_ranks++) {
      check_rules(machines[m], n_ranks);
    }
  }
}

static void threads_are_a_share_of_cores(void) {
  static const char *const all[] = {"0-7", "0-7", "0-7"};
  static const char *const own[] = {"0-3", "4-7"};
  qn_topology *topology = NULL;
  int32_t n = 0;

  QN_CHECK_OK(qn_topology_new("core:8 pu:1", &topology, &kit_error));
  QN_CHECK_OK(qn_threads_of_rank(topology, all, 3, 1, &n, &kit_error));
  QN_CHECK_INT(n, 2);
  QN_CHECK_OK(qn_threads_of_rank(topology, all, 1, 0, &n, &kit_error));
  QN_CHECK_INT(n, 8);
  QN_CHECK_OK(qn_threads_of_rank(topology, own, 2, 0, &n, &kit_error));
  QN_CHECK_INT(n, 4); // bound to as many cores as there are, and not shared
  qn_topology_free(topology);
  QN_CHECK_OK(qn_topology_new("core:2 pu:4", &topology, &kit_error));
  QN_CHECK_OK(qn_threads_of_rank(topology, all, 3, 2, &n, &kit_error));
  QN_CHECK_INT(n, 1);
  QN_CHECK_OK(qn_threads_of_rank(topology, all, 1, 0, &n, &kit_error));
  QN_CHECK_INT(n, 2); // hardware threads are no cores
  qn_topology_free(topology);
}

int main(void) {
  KIT_RUN(ranks_of_one_domain_get_blocks);
  KIT_RUN(a_core_is_not_cut);
  KIT_RUN(more_ranks_than_cores_get_nothing);
  KIT_RUN(blocks_lie_within_domains);
  KIT_RUN(few_ranks_get_whole_domains);
  KIT_RUN(uneven_domains_are_shared_fairly);
  KIT_RUN(cores_without_memory_of_their_own_are_dealt_too);
  KIT_RUN(only_what_the_control_group_leaves_is_dealt);
  KIT_RUN(no_core_is_dealt_twice_on_any_machine);
  KIT_RUN(threads_are_a_share_of_cores);
  return kit_result();
}
