// SPDX-License-Identifier: Apache-2.0
// All ranks of a node together: what they have, and what is wrong with it. Plain numbers, so that nodes can
// be sent and compared as bytes.
#pragma once
#include "place/place.h"

typedef struct qn_rank_place {
  const char *cpus;
  qn_binding binding;
  qn_memory_policy memory;
} qn_rank_place;

typedef enum qn_fault {
  QN_FAULT_QUOTA,    // a control group gives less processor time than the ranks can use
  QN_FAULT_TOO_MANY, // more ranks than cores
  QN_FAULT_OVERLAP,  // ranks on the same core while others are free
  QN_FAULT_SIBLINGS, // ranks on different hardware threads of a core
  QN_FAULT_UNBOUND,  // ranks wander over all cores
  QN_FAULT_SPANS,    // a rank's cores lie in several domains
  QN_N_FAULTS
} qn_fault;

typedef struct qn_fault_seen {
  int32_t n_ranks; // that it concerns; 0: not there
  int32_t rank;    // one of them, numbered on the node
  int32_t other;   // another of them that it shares with
  int32_t cpu;     // that they share; -1: none
} qn_fault_seen;

typedef struct qn_node_places {
  qn_machine machine;
  int32_t n_ranks;
  int32_t n_free_cores;            // usable ones on which no rank may run
  int32_t n_usable_domains;        // with usable cores
  int32_t least_cores, most_cores; // of a rank
  int32_t least_threads, most_threads;
  int32_t n_bound[QN_N_BINDINGS]; // ranks
  int32_t n_memory_in_domain;     // ranks
  qn_fault_seen faults[QN_N_FAULTS];
} qn_node_places;

/// Local. ranks [n_ranks] in the order of the node. Errors: QN_ERR_FORMAT for a text that is no set.
qn_status qn_node_judge(const qn_topology *topology, const qn_rank_place *ranks, int n_ranks,
                        qn_node_places *out, qn_error *err);
/// Local. "32 ranks on 64 cores (2 sockets, 8 NUMA domains), 2 cores a rank, ...", no line end.
qn_status qn_node_print(const qn_node_places *node, qn_buffer *out, qn_error *err);
/// Local. One fault that is there, with what helps, in a sentence; no line end. `where` is "" or names the
/// node: " of node n1".
qn_status qn_node_print_fault(const qn_node_places *node, qn_fault fault, const char *where, qn_buffer *out,
                              qn_error *err);
