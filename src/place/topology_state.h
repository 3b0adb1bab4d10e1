// SPDX-License-Identifier: Apache-2.0
// What a topology holds; seen by place only.
#pragma once
#include <hwloc.h>
#include "place/place.h"

typedef struct qn_domain {
  hwloc_const_cpuset_t cpus;
  hwloc_const_nodeset_t memory; // of the first memory of these cores; others are of a special kind
  int number;                   // of the system
} qn_domain;

struct qn_topology {
  hwloc_topology_t hwloc;
  qn_domain *domains; // in the order of cores
  int n_domains;
  hwloc_bitmap_t usable;
  char *usable_text;
  char *cpus; // at the start
  bool is_real;
  int64_t quota_percent;
};

int qn_topology_n_cores(const qn_topology *topology);
/// Core number i in hwloc's order, in which neighbours share caches and domains.
hwloc_const_cpuset_t qn_topology_core(const qn_topology *topology, int i);
/// Cores of which at least one processor is in the set.
int qn_topology_count_cores(const qn_topology *topology, hwloc_const_cpuset_t cpus);
int qn_topology_count_domains(const qn_topology *topology, hwloc_const_cpuset_t cpus);
/// Threads of a rank with so many cores that n_sharing ranks, itself among them, may run on, of n_ranks on
/// the node; at least 1.
int qn_topology_n_threads(const qn_topology *topology, int n_cores, int n_sharing, int n_ranks);

/// A set from text; the caller's, to hwloc_bitmap_free(). Errors: QN_ERR_FORMAT, QN_ERR_MEMORY.
qn_status qn_cpus_parse(const char *text, hwloc_bitmap_t *out, qn_error *err);
/// The caller's, to free(); NULL if there is no memory.
char *qn_cpus_text(hwloc_const_bitmap_t cpus);
