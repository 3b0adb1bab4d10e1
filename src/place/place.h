// SPDX-License-Identifier: Apache-2.0
// Where ranks run: the cores, caches and memory domains of a node, and which of them a rank has. The only
// door to hwloc. Nothing here talks to other ranks: sets of processors go between them as text ("0-3,8",
// the system's numbers, as taskset takes them), and what is judged over a node is a plain function of the
// sets of its ranks, so that it can be asked about any machine.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>
#include "base/buffer.h"

/// The shape of a node. A core is a physical one; a processor is what the system counts, a hardware thread. A
/// domain is a part of the cores with memory of its own (NUMA).
typedef struct qn_machine {
  int32_t n_packages, n_domains, n_cores, n_cpus; // of the whole node
  int32_t n_usable_cores, n_usable_cpus;          // of them, those a control group leaves to this process
  int64_t l2_bytes, l3_bytes;                     // of one cache; 0: none, or unknown
  int64_t quota_percent; // processor time that the job has here, 250 for two and a half cores; 0: no quota
} qn_machine;

typedef enum qn_binding {
  QN_UNBOUND,           // may run on everything the node gives the job
  QN_UNBOUND_WANTED,    // the same, by QUERN_BIND=none
  QN_BOUND_BY_LAUNCHER, // or by taskset: the process came with less
  QN_BOUND_BY_QUERN,
  QN_N_BINDINGS
} qn_binding;

typedef enum qn_memory_policy {
  QN_MEMORY_BY_SYSTEM,   // where it is touched first
  QN_MEMORY_IN_DOMAIN,   // preferred in the rank's domain; elsewhere when that is full
  QN_MEMORY_BY_LAUNCHER, // the process came with another policy (numactl, Slurm), which is left alone
} qn_memory_policy;

/// What a rank has. Zeroed: nothing is known.
typedef struct qn_place {
  char *cpus;              // processors it may run on; NULL: unknown. Owned
  int32_t n_cpus, n_cores; // 0: unknown
  int32_t n_domains;       // that its cores lie in
  int32_t domain;          // the system's number of the domain if it is one, else -1
  int32_t n_threads;       // cores for its own threads: those not wanted by other ranks, at least 1
  int64_t l2_bytes;        // of a core
  int64_t l3_bytes;        // its cores' part of the last caches
  qn_binding binding;
  qn_memory_policy memory;
} qn_place;

void qn_place_release(qn_place *place);

/// A node as hwloc sees it.
typedef struct qn_topology qn_topology;

/// Local. This machine for NULL. Else another one, for tests and for plans: an hwloc XML file (a name ending
/// in .xml) or hwloc's synthetic text ("package:2 numa:4 core:8 pu:2"). Errors: QN_ERR_ARG for what hwloc
/// does not take.
qn_status qn_topology_new(const char *description, qn_topology **out, qn_error *err);
/// NULL is allowed.
void qn_topology_free(qn_topology *topology);
/// False for one by description: nothing is bound on it.
bool qn_topology_is_real(const qn_topology *topology);
qn_machine qn_topology_machine(const qn_topology *topology);
/// Local. Processor time that control groups (version 2 or 1, every level) leave to this process, in
/// hundredths of a core; 0: no quota. `root` is put before the names of system files ("" but in tests).
int64_t qn_cpu_quota(const char *root);
/// The ranks of this node have so much processor time together; 0: no quota, as in a new topology.
void qn_topology_set_quota(qn_topology *topology, int64_t percent);
/// The processors that this process could use when the topology was made; all usable ones of one by
/// description. Lives as long as the topology.
const char *qn_topology_cpus(const qn_topology *topology);
/// All that a control group leaves to the process, bound or not.
const char *qn_topology_usable_cpus(const qn_topology *topology);

/// Local. The part of `cpus` for number `rank` of `n_ranks` ranks that may all use it: cores in contiguous
/// blocks, which cross no domain unless there are fewer ranks than domains; neighbours share domains. *out is
/// the caller's, to free(); NULL if there are more ranks than cores.
qn_status qn_cpus_deal(const qn_topology *topology, const char *cpus, int n_ranks, int rank, char **out,
                       qn_error *err);

/// Local. What a rank with these processors has; unbound, memory by the system, one thread a core.
qn_status qn_place_describe(const qn_topology *topology, const char *cpus, qn_place *out, qn_error *err);
/// Local. Binds all threads of this process to the place's processors and says so in it. False if the system
/// refuses.
bool qn_place_bind_cores(const qn_topology *topology, qn_place *place);
/// Local. Lets this thread, and those it starts, take memory from the place's domain while that has some, if
/// the place has one domain of several, and says what holds now in the place.
void qn_place_bind_memory(const qn_topology *topology, qn_place *place);
/// Local. Gives the process back the processors and the policy that it came with.
void qn_place_unbind(const qn_topology *topology, const qn_place *place);
/// Local. Cores of number `rank` of a node for its own threads: its cores, divided among the ranks that may
/// run on any of them, within its share of the quota; at least 1.
qn_status qn_threads_of_rank(const qn_topology *topology, const char *const *cpus, int n_ranks, int rank,
                             int32_t *out, qn_error *err);
