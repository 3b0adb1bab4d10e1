// SPDX-License-Identifier: Apache-2.0
// Where the ranks of a job run: found, bound if nobody has, judged, and told.
#pragma once
#include <stdio.h>
#include "comm/comm.h"
#include "place/node_places.h"

enum { QN_HOST_BYTES = 64 };

typedef struct qn_node_told {
  char host[QN_HOST_BYTES];
  qn_node_places places; // n_ranks 0: nothing is known of the node's shape
} qn_node_told;

/// Zeroed: nothing is known.
typedef struct qn_placement {
  qn_topology *topology; // of this node; NULL: hwloc knows nothing
  qn_place place;        // of this rank
  qn_node_told *nodes;   // [n_nodes], the same on all ranks
  int n_nodes;
} qn_placement;

/// Collective. Where a launcher has bound nothing, ranks are bound to cores, unless QUERN_BIND is "none". For
/// tests QUERN_TOPOLOGY describes another machine (see qn_topology_new()), on which nothing is bound in
/// truth. Errors: QN_ERR_ARG for values of these that are wrong; what hwloc or the system refuse is none.
qn_status qn_placement_make(qn_comm *comm, qn_placement *out, qn_error *err);
/// Local. Gives the process back the binding that it came with.
void qn_placement_release(qn_placement *placement);

/// Local. A line for each kind of node, and a warning for each fault. `job` goes in front.
void qn_placement_print(const qn_placement *placement, const char *job, FILE *out);
/// Local. Threads that BLAS may have on this rank, at least 1.
int qn_placement_n_threads(const qn_placement *placement);
