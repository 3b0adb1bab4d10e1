// SPDX-License-Identifier: Apache-2.0
// Memory that the first rank of each node fills and all ranks of the node read: for what would else be the
// same on each of them. It has no name in any file system: whatever happens to the ranks, nothing is left.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "comm/comm.h"

typedef struct qn_node_memory qn_node_memory;

/// Collective, inside a run. *out has `bytes` (the same on all ranks) reserved on each node; NULL on all
/// ranks if they are less than what qn_comm_set_least_node_memory() says, if no node has two ranks, if `can`
/// is false on any rank, if they would leave the budget of any rank, or if a node has not as much. The memory
/// account of each rank of a node gets its part.
qn_status qn_node_memory_new(qn_comm *comm, int64_t bytes, bool can, qn_node_memory **out, qn_error *err);
/// Local. The memory goes with the last reference. Takes a qn_node_memory *, so that a block can release it;
/// NULL is allowed.
void qn_node_memory_free(void *memory);
qn_node_memory *qn_node_memory_ref(qn_node_memory *memory);
/// True on the rank that fills it.
bool qn_node_memory_is_first(const qn_node_memory *memory);
/// Local, on that rank, before it is shared. 64-byte aligned room for `bytes`, more than reserved if need be.
/// Errors: QN_ERR_MEMORY.
qn_status qn_node_memory_room(qn_node_memory *memory, int64_t bytes, uint8_t **out, qn_error *err);
/// Collective, inside a run. From here on nobody writes. `size` on the first rank of each node: what it has
/// filled; *data and *size are those of this rank's node.
qn_status qn_node_memory_share(qn_comm *comm, qn_node_memory *memory, const uint8_t **data, int64_t *size,
                               qn_error *err);

/// Local, the same on all ranks. From how many bytes on memory is shared (1 MiB); INT64_MAX: never.
void qn_comm_set_least_node_memory(qn_comm *comm, int64_t bytes);
