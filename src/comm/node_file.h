// SPDX-License-Identifier: Apache-2.0
// A file without a name that all ranks of a node have open: its first rank makes it, the others open it
// through /proc. In memory, or in a folder of the node.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "comm/comm.h"

/// Collective, inside a run. A file of `bytes` on each node, which are reserved: the descriptor of a file in
/// memory, or in `folder` if it is not NULL (what they are for, `what`, is for messages). -1 on all ranks if
/// `can` is false on any, if a rank may not open the file of another, or if a node has not as much memory.
/// Errors  QN_ERR_IO  the folder has no room
qn_status qn_node_file_new(qn_comm *comm, int64_t bytes, bool can, const char *folder, const char *what,
                           int *file, qn_error *err);
/// Collective, inside a run. What the first ranks of all nodes say, of `size` bytes that begin with the
/// number of the node (int64); `out` gets what that of this node has said.
qn_status qn_node_hear_first(qn_comm *comm, const void *note, int64_t size, void *out, qn_error *err);
