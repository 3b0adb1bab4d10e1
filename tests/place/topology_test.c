// SPDX-License-Identifier: Apache-2.0
#include <sched.h>
#include "kit/kit.h"
#include "place/place.h"

static qn_machine shape_of(const char *description) {
  qn_topology *topology = NULL;
  qn_machine machine = {0};

  QN_CHECK_OK(qn_topology_new(description, &topology, &kit_error));
  if (topology != NULL) {
    machine = qn_topology_machine(topology);
    QN_CHECK(!qn_topology_is_real(topology));
  }
  qn_topology_free(topology);
  return machine;
}

static void check_shape(const char *description, int n_packages, int n_domains, int n_cores, int n_cpus) {
  const qn_machine machine = shape_of(description);

  QN_CHECK_INT(machine.n_packages, n_packages);
  QN_CHECK_INT(machine.n_domains, n_domains);
  QN_CHECK_INT(machine.n_cores, n_cores);
  QN_CHECK_INT(machine.n_cpus, n_cpus);
}

static void the_shape_of_a_machine_is_found(void) {
  check_shape("package:1 core:4 pu:1", 1, 1, 4, 4);
  check_shape("package:2 [numa] core:8 pu:2", 2, 2, 16, 32);
  check_shape("package:2 numa:2 core:8 pu:2", 2, 4, 32, 64);
  check_shape("package:2 numa:4 l3:2 core:4 pu:1", 2, 8, 64, 64);
  check_shape("package:1 numa:8 core:1 pu:4", 1, 8, 8, 32);
  check_shape("pu:3", 1, 1, 3, 3); // a machine that does not tell its cores
}

static void a_second_kind_of_memory_is_no_domain(void) {
  check_shape("package:1 [numa] [numa] core:4 pu:1", 1, 1, 4, 4);
  check_shape("package:2 [numa] l3:2 [numa] core:4 pu:1", 2, 4, 16, 16);
}

static void what_a_control_group_forbids_is_there_but_not_usable(void) {
  const qn_machine machine = shape_of(QN_MACHINES "/cgroup.xml");

  QN_CHECK_INT(machine.n_cores, 16);
  QN_CHECK_INT(machine.n_cpus, 32);
  QN_CHECK_INT(machine.n_domains, 4);
  QN_CHECK_INT(machine.n_usable_cores, 6);
  QN_CHECK_INT(machine.n_usable_cpus, 12);
}

static void a_place_has_cores_domains_and_caches(void) {
  qn_topology *topology = NULL;
  qn_place place = {0};

  QN_CHECK_OK(qn_topology_new(QN_MACHINES "/cgroup.xml", &topology, &kit_error));
  QN_CHECK_TEXT(qn_topology_cpus(topology), "2-7,18-23");
  QN_CHECK_TEXT(qn_topology_usable_cpus(topology), "2-7,18-23");
  QN_CHECK_OK(qn_place_describe(topology, "4-5,20", &place, &kit_error));
  QN_CHECK_TEXT(place.cpus, "4-5,20");
  QN_CHECK_INT(place.n_cpus, 3);
  QN_CHECK_INT(place.n_cores, 2);
  QN_CHECK_INT(place.n_domains, 1);
  QN_CHECK_INT(place.domain, 1);
  QN_CHECK_INT(place.n_threads, 2);
  QN_CHECK_INT(place.l2_bytes, 1 << 20);
  QN_CHECK_INT(place.l3_bytes, 16 << 20); // half of the cores of 32 MiB
  QN_CHECK_INT(place.binding, QN_UNBOUND);
  qn_place_bind_memory(topology, &place);
  QN_CHECK_INT(place.memory, QN_MEMORY_IN_DOMAIN);
  qn_place_release(&place);
  QN_CHECK_OK(qn_place_describe(topology, "3-4", &place, &kit_error));
  QN_CHECK_INT(place.n_domains, 2);
  QN_CHECK_INT(place.domain, -1);
  qn_place_bind_memory(topology, &place);
  QN_CHECK_INT(place.memory, QN_MEMORY_BY_SYSTEM);
  qn_place_release(&place);
  QN_CHECK_FAILS(qn_place_describe(topology, "3-x", &place, &kit_error), QN_ERR_FORMAT);
  qn_topology_free(topology);
}

static void memory_of_a_machine_with_one_domain_is_left_alone(void) {
  qn_topology *topology = NULL;
  qn_place place = {0};

  QN_CHECK_OK(qn_topology_new("package:2 core:4 pu:1", &topology, &kit_error));
  QN_CHECK_OK(qn_place_describe(topology, "2", &place, &kit_error));
  qn_place_bind_memory(topology, &place);
  QN_CHECK_INT(place.memory, QN_MEMORY_BY_SYSTEM);
  qn_place_release(&place);
  qn_topology_free(topology);
}

static void what_is_no_machine_is_told(void) {
  qn_topology *topology = NULL;

  QN_CHECK_FAILS(qn_topology_new("round", &topology, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE("'round' is no machine");
  QN_CHECK_FAILS(qn_topology_new(QN_MACHINES "/absent.xml", &topology, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE("absent.xml");
  QN_CHECK(topology == NULL);
}

static void count_own(cpu_set_t *set, int *first) {
  QN_CHECK_INT(sched_getaffinity(0, sizeof *set, set), 0);
  *first = 0;
  while (!CPU_ISSET(*first, set)) {
    (*first)++;
  }
}

static void this_process_is_bound_and_let_go(void) {
  qn_topology *topology = NULL;
  qn_place place = {0};
  cpu_set_t before, bound, after;
  int first = 0, own = 0;
  char text[16];

  count_own(&before, &first);
  QN_CHECK_OK(qn_topology_new(NULL, &topology, &kit_error));
  QN_CHECK(qn_topology_is_real(topology));
  snprintf(text, sizeof text, "%d", first);
  QN_CHECK_OK(qn_place_describe(topology, text, &place, &kit_error));
  QN_CHECK(qn_place_bind_cores(topology, &place));
  QN_CHECK_INT(place.binding, QN_BOUND_BY_QUERN);
  count_own(&bound, &own);
  QN_CHECK_INT(CPU_COUNT(&bound), 1);
  QN_CHECK_INT(own, first);
  qn_place_bind_memory(topology, &place);
  qn_place_unbind(topology, &place);
  count_own(&after, &own);
  QN_CHECK(CPU_EQUAL(&before, &after));
  qn_place_release(&place);
  qn_topology_free(topology);
}

int main(void) {
  KIT_RUN(the_shape_of_a_machine_is_found);
  KIT_RUN(a_second_kind_of_memory_is_no_domain);
  KIT_RUN(what_a_control_group_forbids_is_there_but_not_usable);
  KIT_RUN(a_place_has_cores_domains_and_caches);
  KIT_RUN(memory_of_a_machine_with_one_domain_is_left_alone);
  KIT_RUN(what_is_no_machine_is_told);
  KIT_RUN(this_process_is_bound_and_let_go);
  return kit_result();
}
