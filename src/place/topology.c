// SPDX-License-Identifier: Apache-2.0
// A node from hwloc. Only cores, caches, packages and memory are looked for, which takes some milliseconds;
// processors that a control group forbids are kept, so that we can say that there are more.
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "place/topology_state.h"

// --- Sets as text

qn_status qn_cpus_parse(const char *text, hwloc_bitmap_t *out, qn_error *err) {
  qn_status status = QN_OK;
  hwloc_bitmap_t cpus = hwloc_bitmap_alloc();

  QN_REQUIRE(cpus != NULL, err, QN_ERR_MEMORY, "no memory for a set of processors");
  QN_REQUIRE(hwloc_bitmap_list_sscanf(cpus, text) == 0 && hwloc_bitmap_weight(cpus) >= 0, err, QN_ERR_FORMAT,
             "'%s' is no set of processors such as 0-3,8", text);
  *out = cpus;
  cpus = NULL;

done:
  hwloc_bitmap_free(cpus);
  return status;
}

char *qn_cpus_text(hwloc_const_bitmap_t cpus) {
  char *text = NULL;
  return hwloc_bitmap_list_asprintf(&text, cpus) < 0 ? NULL : text;
}

// --- Cores and domains

static hwloc_obj_type_t core_type(const qn_topology *topology) {
  return hwloc_get_nbobjs_by_type(topology->hwloc, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
}

int qn_topology_n_cores(const qn_topology *topology) {
  return hwloc_get_nbobjs_by_type(topology->hwloc, core_type(topology));
}

hwloc_const_cpuset_t qn_topology_core(const qn_topology *topology, int i) {
  return hwloc_get_obj_by_type(topology->hwloc, core_type(topology), (unsigned)i)->cpuset;
}

int qn_topology_count_cores(const qn_topology *topology, hwloc_const_cpuset_t cpus) {
  int n = 0;
  for (int i = 0; i < qn_topology_n_cores(topology); i++) {
    n += hwloc_bitmap_intersects(qn_topology_core(topology, i), cpus);
  }
  return n;
}

int qn_topology_count_domains(const qn_topology *topology, hwloc_const_cpuset_t cpus) {
  int n = 0;
  for (int i = 0; i < topology->n_domains; i++) {
    n += hwloc_bitmap_intersects(topology->domains[i].cpus, cpus);
  }
  return n;
}

// Memory without cores, and a second memory of the same cores (of high bandwidth, or persistent), are not
// domains.
static qn_status find_domains(qn_topology *topology, qn_error *err) {
  qn_status status = QN_OK;
  const int n_nodes = hwloc_get_nbobjs_by_type(topology->hwloc, HWLOC_OBJ_NUMANODE);

  topology->domains = calloc((size_t)(n_nodes > 0 ? n_nodes : 1), sizeof *topology->domains);
  QN_REQUIRE(topology->domains != NULL, err, QN_ERR_MEMORY, "no memory for %d memory domains", n_nodes);
  for (int i = 0; i < n_nodes; i++) {
    hwloc_obj_t node = hwloc_get_obj_by_type(topology->hwloc, HWLOC_OBJ_NUMANODE, (unsigned)i);
    if (!hwloc_bitmap_iszero(node->cpuset) && qn_topology_count_domains(topology, node->cpuset) == 0) {
      topology->domains[topology->n_domains++] =
          (qn_domain){.cpus = node->cpuset, .memory = node->nodeset, .number = (int)node->os_index};
    }
  }

done:
  return status;
}

// --- Life

// Takes a file or a text instead of this machine.
static qn_status describe_machine(const qn_topology *topology, const char *description, qn_error *err) {
  qn_status status = QN_OK;
  const size_t n = strlen(description);
  const bool is_file = n > 4 && strcmp(description + n - 4, ".xml") == 0;
  const int failed = is_file ? hwloc_topology_set_xml(topology->hwloc, description)
                             : hwloc_topology_set_synthetic(topology->hwloc, description);

  QN_REQUIRE(failed == 0, err, QN_ERR_ARG, "'%s' is no %s", description,
             is_file
                 ? "XML file of hwloc that can be read (lstopo FILE.xml writes one)"
                 : "machine in hwloc's synthetic form, such as 'package:2 numa:4 core:8 pu:2', nor the name "
                   "of an .xml file");

done:
  return status;
}

static int load(hwloc_topology_t hwloc) {
  static const hwloc_obj_type_t wanted[] = {HWLOC_OBJ_PACKAGE, HWLOC_OBJ_CORE, HWLOC_OBJ_L2CACHE,
                                            HWLOC_OBJ_L3CACHE};

  hwloc_topology_set_all_types_filter(hwloc, HWLOC_TYPE_FILTER_KEEP_NONE);
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    hwloc_topology_set_type_filter(hwloc, wanted[i], HWLOC_TYPE_FILTER_KEEP_ALL);
  }
  // Memory that belongs to a part of a package hangs on a group, without which it would be lost.
  hwloc_topology_set_type_filter(hwloc, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
  hwloc_topology_set_flags(hwloc, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  return hwloc_topology_load(hwloc);
}

// The processors that all threads of this process may use now; of another machine all usable ones.
static qn_status find_own_cpus(qn_topology *topology, qn_error *err) {
  qn_status status = QN_OK;
  hwloc_bitmap_t own = hwloc_bitmap_dup(topology->usable);

  QN_REQUIRE(own != NULL, err, QN_ERR_MEMORY, "no memory for a set of processors");
  if (topology->is_real && hwloc_get_cpubind(topology->hwloc, own, HWLOC_CPUBIND_THREAD) != 0) {
    hwloc_bitmap_copy(own, topology->usable);
  }
  hwloc_bitmap_and(own, own, hwloc_topology_get_complete_cpuset(topology->hwloc));
  topology->cpus = qn_cpus_text(own);
  topology->usable_text = qn_cpus_text(topology->usable);
  QN_REQUIRE(topology->cpus != NULL && topology->usable_text != NULL, err, QN_ERR_MEMORY,
             "no memory for a set of processors");

done:
  hwloc_bitmap_free(own);
  return status;
}

qn_status qn_topology_new(const char *description, qn_topology **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_topology *topology = calloc(1, sizeof *topology);

  QN_REQUIRE(topology != NULL, err, QN_ERR_MEMORY, "no memory for the shape of a machine");
  QN_REQUIRE(hwloc_topology_init(&topology->hwloc) == 0, err, QN_ERR_MEMORY, "hwloc cannot start");
  if (description != NULL) {
    QN_TRY(describe_machine(topology, description, err));
  }
  QN_REQUIRE(load(topology->hwloc) == 0, err, QN_ERR_ARG, "hwloc cannot make a machine of %s",
             description == NULL ? "what this one says of itself" : description);
  topology->is_real = description == NULL && hwloc_topology_is_thissystem(topology->hwloc);
  topology->usable = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology->hwloc));
  QN_REQUIRE(topology->usable != NULL, err, QN_ERR_MEMORY, "no memory for a set of processors");
  QN_TRY(find_domains(topology, err));
  QN_TRY(find_own_cpus(topology, err));
  *out = topology;
  topology = NULL;

done:
  qn_topology_free(topology);
  return status;
}

void qn_topology_free(qn_topology *topology) {
  if (topology != NULL) {
    if (topology->hwloc != NULL) {
      hwloc_topology_destroy(topology->hwloc);
    }
    hwloc_bitmap_free(topology->usable);
    free(topology->domains);
    free(topology->usable_text);
    free(topology->cpus);
    free(topology);
  }
}

bool qn_topology_is_real(const qn_topology *topology) {
  return topology->is_real;
}

const char *qn_topology_cpus(const qn_topology *topology) {
  return topology->cpus;
}

const char *qn_topology_usable_cpus(const qn_topology *topology) {
  return topology->usable_text;
}

// --- Shape

static int64_t cache_bytes(const qn_topology *topology, hwloc_obj_type_t type) {
  hwloc_obj_t cache = hwloc_get_obj_by_type(topology->hwloc, type, 0);
  return cache == NULL ? 0 : (int64_t)cache->attr->cache.size;
}

qn_machine qn_topology_machine(const qn_topology *topology) {
  const int n_packages = hwloc_get_nbobjs_by_type(topology->hwloc, HWLOC_OBJ_PACKAGE);

  return (qn_machine){.n_packages = n_packages > 0 ? n_packages : 1,
                      .n_domains = topology->n_domains,
                      .n_cores = qn_topology_n_cores(topology),
                      .n_cpus = hwloc_get_nbobjs_by_type(topology->hwloc, HWLOC_OBJ_PU),
                      .n_usable_cores = qn_topology_count_cores(topology, topology->usable),
                      .n_usable_cpus = hwloc_bitmap_weight(topology->usable),
                      .l2_bytes = cache_bytes(topology, HWLOC_OBJ_L2CACHE),
                      .l3_bytes = cache_bytes(topology, HWLOC_OBJ_L3CACHE),
                      .quota_percent = topology->quota_percent};
}

void qn_topology_set_quota(qn_topology *topology, int64_t percent) {
  topology->quota_percent = percent;
}

int qn_topology_n_threads(const qn_topology *topology, int n_cores, int n_sharing, int n_ranks) {
  const int64_t n_own = n_sharing > 0 ? n_cores / n_sharing : 1;
  const int64_t n_allowed = topology->quota_percent / 100 / (n_ranks > 0 ? n_ranks : 1);
  const int64_t n = topology->quota_percent > 0 && n_allowed < n_own ? n_allowed : n_own;

  return n > 1 ? (int)n : 1;
}

// The part of the last caches that belongs to the cores of a set.
static int64_t share_of_l3(const qn_topology *topology, hwloc_const_cpuset_t cpus) {
  int64_t bytes = 0;
  hwloc_obj_t cache = NULL;

  while ((cache = hwloc_get_next_obj_by_type(topology->hwloc, HWLOC_OBJ_L3CACHE, cache)) != NULL) {
    int n_own = 0, n_all = 0;
    for (int i = 0; i < qn_topology_n_cores(topology); i++) {
      const hwloc_const_cpuset_t core = qn_topology_core(topology, i);
      const bool is_there = hwloc_bitmap_isincluded(core, cache->cpuset);
      n_all += is_there;
      n_own += is_there && hwloc_bitmap_intersects(core, cpus);
    }
    bytes += n_all > 0 ? (int64_t)cache->attr->cache.size / n_all * n_own : 0;
  }
  return bytes;
}

qn_status qn_place_describe(const qn_topology *topology, const char *cpus, qn_place *out, qn_error *err) {
  qn_status status = QN_OK;
  hwloc_bitmap_t set = NULL;

  QN_TRY(qn_cpus_parse(cpus, &set, err));
  qn_place place = {.cpus = qn_cpus_text(set),
                    .n_cpus = hwloc_bitmap_weight(set),
                    .n_cores = qn_topology_count_cores(topology, set),
                    .n_domains = qn_topology_count_domains(topology, set),
                    .domain = -1,
                    .l2_bytes = cache_bytes(topology, HWLOC_OBJ_L2CACHE),
                    .l3_bytes = share_of_l3(topology, set)};
  QN_REQUIRE(place.cpus != NULL, err, QN_ERR_MEMORY, "no memory for a set of processors");
  place.n_threads = place.n_cores > 1 ? place.n_cores : 1;
  for (int i = 0; i < topology->n_domains && place.n_domains == 1; i++) {
    if (hwloc_bitmap_intersects(topology->domains[i].cpus, set)) {
      place.domain = topology->domains[i].number;
    }
  }
  *out = place;

done:
  hwloc_bitmap_free(set);
  return status;
}

void qn_place_release(qn_place *place) {
  free(place->cpus);
  *place = (qn_place){0};
}
