// SPDX-License-Identifier: Apache-2.0
// Room for what is the same on all ranks, once on each node: every rank fills its part, and all ranks of the
// node read the whole. In memory that they share, or, where the budget has no room for it, in a file in
// scratch, mapped. A rank that cannot share has its own.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "comm/comm.h"

typedef struct qn_node_room {
  uint8_t *data; // 64-byte aligned; of this node
  int64_t n_bytes;
  bool is_mapped; // lies in scratch
  bool is_shared; // with other ranks
  struct qn_node_room_inside *inside;
} qn_node_room;

/// Bytes of one rank: n_runs runs of n bytes, the first at `first` and each `stride` behind the one before.
typedef struct qn_node_room_part {
  int64_t first, n, stride, n_runs;
} qn_node_room_part;

/// Collective, inside a run. `bytes` are the same on all ranks. They are shared if they are at least what
/// qn_comm_set_least_node_memory() says, and lie in `scratch` (NULL: never) if a rank's part of them, and a
/// quarter more, would leave its budget. `what` they are is for messages.
/// Errors  QN_ERR_IO      no room in scratch
///         QN_ERR_MEMORY  the system has no memory
qn_status qn_node_room_new(qn_comm *comm, int64_t bytes, const char *scratch, const char *what,
                           qn_node_room **out, qn_error *err);
/// Collective, inside a run, when this rank has filled its parts. Brings them to the other nodes, piece by
/// piece, and waits until all is here. From here on nobody writes.
qn_status qn_node_room_share(qn_comm *comm, qn_node_room *room, const qn_node_room_part *parts, int n_parts,
                             qn_error *err);
/// Local. Room in scratch: its pages need not stay in this process's memory. What is in them is kept.
void qn_node_room_let_go(const qn_node_room *room);
void qn_node_room_free(qn_node_room *room); // NULL is allowed
