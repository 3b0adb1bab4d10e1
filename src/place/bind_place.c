// SPDX-License-Identifier: Apache-2.0
// Binding this process. Memory is preferred in a domain and not forced into it: a rank whose domain is full
// goes on more slowly and is not killed.
#include "place/topology_state.h"

bool qn_place_bind_cores(const qn_topology *topology, qn_place *place) {
  hwloc_bitmap_t set = NULL;

  if (place->cpus == NULL || qn_cpus_parse(place->cpus, &set, NULL) != QN_OK) {
    return false;
  }
  const bool is_bound =
      !topology->is_real || hwloc_set_cpubind(topology->hwloc, set, HWLOC_CPUBIND_PROCESS) == 0;
  hwloc_bitmap_free(set);
  if (is_bound) {
    place->binding = QN_BOUND_BY_QUERN;
  }
  return is_bound;
}

// False if somebody has chosen a policy for this process.
static bool is_policy_of_system(const qn_topology *topology) {
  hwloc_membind_policy_t policy = HWLOC_MEMBIND_DEFAULT;
  hwloc_bitmap_t nodes = hwloc_bitmap_alloc();
  const int flags = HWLOC_MEMBIND_BYNODESET | HWLOC_MEMBIND_THREAD;
  const bool is_known = nodes != NULL && hwloc_get_membind(topology->hwloc, nodes, &policy, flags) == 0;

  hwloc_bitmap_free(nodes);
  return !is_known || policy == HWLOC_MEMBIND_DEFAULT || policy == HWLOC_MEMBIND_FIRSTTOUCH;
}

static hwloc_const_nodeset_t memory_of(const qn_topology *topology, int number) {
  for (int d = 0; d < topology->n_domains; d++) {
    if (topology->domains[d].number == number) {
      return topology->domains[d].memory;
    }
  }
  return NULL;
}

void qn_place_bind_memory(const qn_topology *topology, qn_place *place) {
  const hwloc_const_nodeset_t memory = memory_of(topology, place->domain);

  if (topology->is_real && !is_policy_of_system(topology)) {
    place->memory = QN_MEMORY_BY_LAUNCHER;
    return;
  }
  if (topology->n_domains < 2 || place->n_domains != 1 || memory == NULL) {
    return;
  }
  // Without HWLOC_MEMBIND_STRICT this is Linux's "preferred".
  const int flags = HWLOC_MEMBIND_BYNODESET | HWLOC_MEMBIND_THREAD;
  if (!topology->is_real || hwloc_set_membind(topology->hwloc, memory, HWLOC_MEMBIND_BIND, flags) == 0) {
    place->memory = QN_MEMORY_IN_DOMAIN;
  }
}

void qn_place_unbind(const qn_topology *topology, const qn_place *place) {
  hwloc_bitmap_t set = NULL;

  if (!topology->is_real) {
    return;
  }
  if (place->binding == QN_BOUND_BY_QUERN && qn_cpus_parse(topology->cpus, &set, NULL) == QN_OK) {
    (void)hwloc_set_cpubind(topology->hwloc, set, HWLOC_CPUBIND_PROCESS);
    hwloc_bitmap_free(set);
  }
  if (place->memory == QN_MEMORY_IN_DOMAIN) {
    (void)hwloc_set_membind(topology->hwloc, hwloc_topology_get_topology_nodeset(topology->hwloc),
                            HWLOC_MEMBIND_DEFAULT, HWLOC_MEMBIND_BYNODESET | HWLOC_MEMBIND_THREAD);
  }
}
