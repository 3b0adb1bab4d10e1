// SPDX-License-Identifier: Apache-2.0
// Cores for ranks that came unbound. With at least as many ranks as domains each domain gets ranks so that
// the rank with the fewest cores has as many as can be (one rank after the other, each to the domain that has
// most cores for one more), and the ranks of a domain get blocks of its cores. With fewer ranks each gets
// whole domains.
#include <assert.h>
#include <stdlib.h>
#include "base/check.h"
#include "place/topology_state.h"

// The cores of a set in a domain (all for NULL), in hwloc's order: cores [n].
static int list_cores(const qn_topology *topology, hwloc_const_cpuset_t cpus, const qn_domain *domain,
                      int *cores) {
  int n = 0;
  for (int i = 0; i < qn_topology_n_cores(topology); i++) {
    const hwloc_const_cpuset_t core = qn_topology_core(topology, i);
    if (hwloc_bitmap_intersects(core, cpus) &&
        (domain == NULL || hwloc_bitmap_intersects(core, domain->cpus))) {
      cores[n++] = i;
    }
  }
  return n;
}

// The domain in which one more rank would have the most cores.
static int roomiest(const int *n_cores, const int *n_ranks, int n_domains) {
  int best = 0;
  for (int d = 1; d < n_domains; d++) {
    if ((int64_t)n_cores[d] * (n_ranks[best] + 1) > (int64_t)n_cores[best] * (n_ranks[d] + 1)) {
      best = d;
    }
  }
  return best;
}

static void add_block(const qn_topology *topology, const int *cores, int64_t n_cores, int64_t n_parts,
                      int64_t part, hwloc_bitmap_t out) {
  assert(n_parts > 0);
  for (int64_t i = n_cores * part / n_parts; i < n_cores * (part + 1) / n_parts; i++) {
    hwloc_bitmap_or(out, out, qn_topology_core(topology, cores[i]));
  }
}

// Ranks to domains: n_ranks_of [n_domains].
static void spread_ranks(const int *n_cores, int n_domains, int n_ranks, int *n_ranks_of) {
  for (int r = 0; r < n_ranks; r++) {
    n_ranks_of[roomiest(n_cores, n_ranks_of, n_domains)]++;
  }
}

typedef struct core_deal {
  const qn_domain **domains; // with cores of the set
  int n_domains;
  int *n_cores, *n_ranks; // of each
  int *cores;             // room for all
} core_deal;

static qn_status deal_init(core_deal *deal, const qn_topology *topology, hwloc_const_cpuset_t cpus,
                           qn_error *err) {
  qn_status status = QN_OK;
  const size_t n = (size_t)topology->n_domains + 1;

  deal->domains = calloc(n, sizeof *deal->domains);
  deal->n_cores = calloc(n, sizeof *deal->n_cores);
  deal->n_ranks = calloc(n, sizeof *deal->n_ranks);
  deal->cores = calloc((size_t)qn_topology_n_cores(topology) + 1, sizeof *deal->cores);
  QN_REQUIRE(deal->domains != NULL && deal->n_cores != NULL && deal->n_ranks != NULL && deal->cores != NULL,
             err, QN_ERR_MEMORY, "no memory to deal cores to ranks");
  const int n_all = list_cores(topology, cpus, NULL, deal->cores);
  int n_found = 0;
  for (int d = 0; d < topology->n_domains; d++) {
    const int n_cores = list_cores(topology, cpus, &topology->domains[d], deal->cores);
    if (n_cores > 0) {
      deal->domains[deal->n_domains] = &topology->domains[d];
      deal->n_cores[deal->n_domains++] = n_cores;
      n_found += n_cores;
    }
  }
  if (n_found != n_all) { // cores without memory: as if there were no domains
    deal->n_domains = 1;
    deal->domains[0] = NULL;
    deal->n_cores[0] = n_all;
  }

done:
  return status;
}

static void deal_release(core_deal *deal) {
  free(deal->domains);
  free(deal->n_cores);
  free(deal->n_ranks);
  free(deal->cores);
}

static void give_whole_domains(const core_deal *deal, int n_ranks, int rank, hwloc_bitmap_t out) {
  const int first = (int)((int64_t)deal->n_domains * rank / n_ranks);
  const int end = (int)((int64_t)deal->n_domains * (rank + 1) / n_ranks);
  for (int d = first; d < end; d++) {
    hwloc_bitmap_or(out, out, deal->domains[d]->cpus);
  }
}

static void give_block(const core_deal *deal, const qn_topology *topology, hwloc_const_cpuset_t cpus,
                       int n_ranks, int rank, hwloc_bitmap_t out) {
  int d = 0;

  spread_ranks(deal->n_cores, deal->n_domains, n_ranks, deal->n_ranks);
  while (rank >= deal->n_ranks[d]) { // ranks in their order fill one domain after the other
    rank -= deal->n_ranks[d++];
  }
  const int n = list_cores(topology, cpus, deal->domains[d], deal->cores);
  add_block(topology, deal->cores, n, deal->n_ranks[d], rank, out);
}

qn_status qn_cpus_deal(const qn_topology *topology, const char *cpus, int n_ranks, int rank, char **out,
                       qn_error *err) {
  qn_status status = QN_OK;
  hwloc_bitmap_t set = NULL;
  hwloc_bitmap_t own = hwloc_bitmap_alloc();
  core_deal deal = {0};

  *out = NULL;
  QN_REQUIRE(own != NULL, err, QN_ERR_MEMORY, "no memory for a set of processors");
  QN_TRY(qn_cpus_parse(cpus, &set, err));
  QN_TRY(deal_init(&deal, topology, set, err));
  if (n_ranks > qn_topology_count_cores(topology, set)) {
    goto done;
  }
  if (n_ranks < deal.n_domains) {
    give_whole_domains(&deal, n_ranks, rank, own);
  } else {
    give_block(&deal, topology, set, n_ranks, rank, own);
  }
  hwloc_bitmap_and(own, own, set);
  *out = qn_cpus_text(own);
  QN_REQUIRE(*out != NULL, err, QN_ERR_MEMORY, "no memory for a set of processors");

done:
  deal_release(&deal);
  hwloc_bitmap_free(set);
  hwloc_bitmap_free(own);
  return status;
}

qn_status qn_threads_of_rank(const qn_topology *topology, const char *const *cpus, int n_ranks, int rank,
                             int32_t *out, qn_error *err) {
  qn_status status = QN_OK;
  hwloc_bitmap_t own = NULL, other = NULL;
  int n_sharing = 0;

  QN_TRY(qn_cpus_parse(cpus[rank], &own, err));
  for (int r = 0; r < n_ranks; r++) {
    QN_TRY(qn_cpus_parse(cpus[r], &other, err));
    n_sharing += hwloc_bitmap_intersects(own, other);
    hwloc_bitmap_free(other);
    other = NULL;
  }
  const int n_cores = qn_topology_count_cores(topology, own);
  *out = qn_topology_n_threads(topology, n_cores, n_sharing, n_ranks);

done:
  hwloc_bitmap_free(own);
  hwloc_bitmap_free(other);
  return status;
}
