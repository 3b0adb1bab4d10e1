// SPDX-License-Identifier: Apache-2.0
// Memory that the ranks of a node share. Each rank owns slabs in it: it fills one with an encoded batch and
// sends a notice of it, the receiver reads the rows where they are, and the slab is free again when the last
// reference to them goes. A flag per slab, in shared memory too, says whether it is free; only the owner
// takes slabs, only the receiver gives them back.
//
// Nobody waits for a slab: who finds none sends a message, and a receiver copies the rows out when the sender
// has few left, since operators may keep batches for the rest of the job. The mapping lives as long as a
// batch in it, even if the communicator is closed before; its file has no name, so nothing is left behind.
#pragma once
#include <mpi.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>

typedef struct qn_shared qn_shared;

/// Collective over `mpi`, the ranks of a node. About `bytes` for each rank; *out is NULL on all of them if
/// the node cannot give that much.
qn_status qn_shared_new(MPI_Comm mpi, int64_t bytes, qn_shared **out, qn_error *err);
/// Local. Batches in it stay valid. NULL is allowed.
void qn_shared_free(qn_shared *shared);

int64_t qn_shared_slab_bytes(const qn_shared *shared); // usable bytes of a slab
int qn_shared_n_free(const qn_shared *shared, int owner);
int qn_shared_n_slabs(const qn_shared *shared);

/// A slab of this rank, or -1 if none is free; 64-byte aligned, with QN_MEMORY_SLACK bytes behind it.
int qn_shared_take(qn_shared *shared);
uint8_t *qn_shared_slab(const qn_shared *shared, int slab);
/// For a slab that nobody has been told of.
void qn_shared_give_back(qn_shared *shared, int slab);

/// A slab of another rank of the node, lent to this one until qn_loan_free(), in whichever order loans and
/// `shared` are freed.
typedef struct qn_loan {
  qn_shared *shared;
  atomic_uint *flag;
  const uint8_t *data;
  int64_t size; // of the encoded batch
  int owner;    // number on the node
} qn_loan;
qn_status qn_loan_new(qn_shared *shared, int owner, int64_t slab, int64_t size, qn_loan **out, qn_error *err);
/// Takes a qn_loan *, so that a block can release it; NULL is allowed.
void qn_loan_free(void *loan);
