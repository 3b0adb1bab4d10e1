// SPDX-License-Identifier: Apache-2.0
// What is wrong with the places of a node's ranks. Sets of processors are compared in pairs: ranks of a node
// are some hundreds at most.
#include <stdlib.h>
#include "base/check.h"
#include "place/node_places.h"
#include "place/topology_state.h"

typedef struct judgement {
  const qn_topology *topology;
  const qn_rank_place *ranks;
  int n_ranks;
  hwloc_bitmap_t *sets;  // of processors, of each rank
  hwloc_bitmap_t *cores; // the same with all processors of their cores
  int *n_cores;          // of each
  hwloc_bitmap_t usable; // by the group, and what any rank has
  hwloc_bitmap_t taken;  // what any rank has
  qn_node_places *out;
} judgement;

static qn_status parse_sets(judgement *j, qn_error *err) {
  qn_status status = QN_OK;
  const size_t n = (size_t)j->n_ranks;

  j->sets = calloc(n + 1, sizeof *j->sets);
  j->cores = calloc(n + 1, sizeof *j->cores);
  j->n_cores = calloc(n + 1, sizeof *j->n_cores);
  j->usable = hwloc_bitmap_dup(j->topology->usable);
  j->taken = hwloc_bitmap_alloc();
  QN_REQUIRE(j->sets != NULL && j->cores != NULL && j->n_cores != NULL && j->usable != NULL &&
                 j->taken != NULL,
             err, QN_ERR_MEMORY, "no memory for the places of %d ranks", j->n_ranks);
  for (int r = 0; r < j->n_ranks; r++) {
    QN_TRY(qn_cpus_parse(j->ranks[r].cpus, &j->sets[r], err));
    j->cores[r] = hwloc_bitmap_alloc();
    QN_REQUIRE(j->cores[r] != NULL, err, QN_ERR_MEMORY, "no memory for the places of %d ranks", j->n_ranks);
    hwloc_bitmap_or(j->taken, j->taken, j->sets[r]);
    for (int c = 0; c < qn_topology_n_cores(j->topology); c++) {
      const hwloc_const_cpuset_t core = qn_topology_core(j->topology, c);
      if (hwloc_bitmap_intersects(core, j->sets[r])) {
        hwloc_bitmap_or(j->cores[r], j->cores[r], core);
        j->n_cores[r]++;
      }
    }
  }
  hwloc_bitmap_or(j->usable, j->usable, j->taken);

done:
  return status;
}

static void release(judgement *j) {
  for (int r = 0; r < j->n_ranks; r++) {
    hwloc_bitmap_free(j->sets == NULL ? NULL : j->sets[r]);
    hwloc_bitmap_free(j->cores == NULL ? NULL : j->cores[r]);
  }
  free(j->sets);
  free(j->cores);
  free(j->n_cores);
  hwloc_bitmap_free(j->usable);
  hwloc_bitmap_free(j->taken);
}

// --- What the ranks have

static void count_ranks(const judgement *j) {
  qn_node_places *out = j->out;

  for (int r = 0; r < j->n_ranks; r++) {
    int n_sharing = 0;
    for (int s = 0; s < j->n_ranks; s++) {
      n_sharing += hwloc_bitmap_intersects(j->sets[r], j->sets[s]);
    }
    const int n = j->n_cores[r];
    const int n_threads = qn_topology_n_threads(j->topology, n, n_sharing, j->n_ranks);
    out->least_cores = r == 0 || n < out->least_cores ? n : out->least_cores;
    out->most_cores = n > out->most_cores ? n : out->most_cores;
    out->least_threads = r == 0 || n_threads < out->least_threads ? n_threads : out->least_threads;
    out->most_threads = n_threads > out->most_threads ? n_threads : out->most_threads;
    out->n_bound[j->ranks[r].binding]++;
    out->n_memory_in_domain += j->ranks[r].memory == QN_MEMORY_IN_DOMAIN;
  }
}

static void count_cores(const judgement *j) {
  qn_node_places *out = j->out;

  out->machine = qn_topology_machine(j->topology);
  out->n_ranks = j->n_ranks;
  out->machine.n_usable_cores = qn_topology_count_cores(j->topology, j->usable);
  out->machine.n_usable_cpus = hwloc_bitmap_weight(j->usable);
  out->n_usable_domains = qn_topology_count_domains(j->topology, j->usable);
  out->n_free_cores = out->machine.n_usable_cores - qn_topology_count_cores(j->topology, j->taken);
}

// --- Faults

static void see(const judgement *j, qn_fault fault, int rank, int other, int cpu) {
  qn_fault_seen *seen = &j->out->faults[fault];
  if (seen->n_ranks++ == 0) {
    *seen = (qn_fault_seen){.n_ranks = 1, .rank = rank, .other = other, .cpu = cpu};
  }
}

static int shared_cpu(const judgement *j, int a, int b) {
  for (int cpu = hwloc_bitmap_first(j->sets[a]); cpu >= 0; cpu = hwloc_bitmap_next(j->sets[a], cpu)) {
    if (hwloc_bitmap_isset(j->sets[b], (unsigned)cpu)) {
      return cpu;
    }
  }
  return -1;
}

// More ranks must stay within the cores of this one than these are, or a rank has part of them while cores
// are free.
static void judge_overlap(const judgement *j, int rank) {
  int n_within = 0, other = -1;
  bool is_partial = false;

  for (int s = 0; s < j->n_ranks; s++) {
    const bool is_within = hwloc_bitmap_isincluded(j->sets[s], j->sets[rank]);
    const bool meets = s != rank && hwloc_bitmap_intersects(j->sets[s], j->sets[rank]);
    n_within += is_within;
    is_partial |= meets && !hwloc_bitmap_isequal(j->sets[s], j->sets[rank]);
    other = meets && other < 0 ? s : other;
  }
  const bool is_crowded = n_within > j->n_cores[rank];
  const bool is_avoidable = j->n_ranks <= j->out->machine.n_usable_cores || j->out->n_free_cores > 0;
  if (other >= 0 && ((is_crowded && is_avoidable) || (is_partial && j->out->n_free_cores > 0))) {
    see(j, QN_FAULT_OVERLAP, rank, other, shared_cpu(j, rank, other));
  }
}

static void judge_siblings(const judgement *j, int rank) {
  for (int s = 0; s < j->n_ranks; s++) {
    if (s != rank && hwloc_bitmap_intersects(j->cores[s], j->cores[rank]) &&
        !hwloc_bitmap_intersects(j->sets[s], j->sets[rank])) {
      see(j, QN_FAULT_SIBLINGS, rank, s, hwloc_bitmap_first(j->sets[rank]));
      return;
    }
  }
}

static void judge_rank(const judgement *j, int rank) {
  const qn_binding binding = j->ranks[rank].binding;
  const bool has_cores = j->n_ranks <= j->out->machine.n_usable_cores;
  const bool is_unbound = binding == QN_UNBOUND && j->n_ranks > 1;

  if (has_cores && is_unbound) {
    see(j, QN_FAULT_UNBOUND, rank, -1, -1);
  }
  if (has_cores && !is_unbound && binding != QN_UNBOUND_WANTED &&
      qn_topology_count_domains(j->topology, j->sets[rank]) > 1) {
    see(j, QN_FAULT_SPANS, rank, -1, -1);
  }
  judge_overlap(j, rank);
  if (has_cores) {
    judge_siblings(j, rank);
  } else {
    see(j, QN_FAULT_TOO_MANY, rank, -1, -1);
  }
}

// Ranks run for a part of each tenth of a second, then all are stopped for the rest of it. Where that holds
// more ranks back than there are cores, it is what is told.
static void judge_quota(const judgement *j) {
  const int64_t quota = j->out->machine.quota_percent;
  const bool is_tighter = quota > 0 && quota < 100 * (int64_t)j->out->machine.n_usable_cores;

  if (is_tighter && j->n_ranks > 1 && 100 * (int64_t)j->n_ranks > quota) {
    j->out->faults[QN_FAULT_QUOTA] =
        (qn_fault_seen){.n_ranks = j->n_ranks, .rank = 0, .other = -1, .cpu = -1};
    j->out->faults[QN_FAULT_TOO_MANY].n_ranks = 0;
  }
}

qn_status qn_node_judge(const qn_topology *topology, const qn_rank_place *ranks, int n_ranks,
                        qn_node_places *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_node_places node = {.n_ranks = 0};
  judgement j = {.topology = topology, .ranks = ranks, .n_ranks = n_ranks, .out = &node};

  QN_TRY(parse_sets(&j, err));
  count_cores(&j);
  count_ranks(&j);
  for (int r = 0; r < n_ranks; r++) {
    judge_rank(&j, r);
  }
  judge_quota(&j);
  *out = node;

done:
  release(&j);
  return status;
}
