// SPDX-License-Identifier: Apache-2.0
// Messages over MPI, point to point and never blocking: sends that complete by themselves, receives into
// fresh memory by matched probe, pieces put together, the order per sender kept. Knows nothing of runs and of
// what messages mean.
#pragma once
#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>
#include "comm/message.h"

/// A send or a receive that MPI works on.
typedef struct qn_operation {
  qn_parcel *parcel;     // a send: one reference
  qn_incoming *incoming; // a receive: the message it belongs to
  void *memory;          // a receive of a piece that nobody wants: its place
} qn_operation;

typedef struct qn_transport {
  MPI_Comm mpi;
  int rank, size;
  int64_t piece_bytes; // most payload in one MPI message

  int n_operations, capacity;
  MPI_Request *requests; // [capacity], and beside it:
  qn_operation *operations;
  int *completed;
  MPI_Status *statuses;

  qn_incoming_list incoming; // in the order they came
  qn_incoming **assembling;  // [size] the message from that rank whose pieces are coming
  int64_t *seen;             // [size] the last walk that met an incomplete message from that rank
  int64_t n_walks;
  bool is_holding; // a matched message for which there was no memory
  MPI_Message held;
  MPI_Status held_status;

  int64_t n_sends;  // operations that are sends
  int64_t n_events; // ever growing: what has been sent, completed or received
} qn_transport;

enum { QN_PIECE_BYTES = 256 << 20 };

qn_status qn_transport_init(qn_transport *transport, MPI_Comm mpi, qn_error *err);
/// Nothing may be under way but what others will never receive.
void qn_transport_release(qn_transport *transport);

/// Starts sending; takes a reference of its own. Returns at once.
qn_status qn_transport_send(qn_transport *transport, int destination, qn_parcel *parcel, qn_error *err);
/// Completes what is complete and starts receiving what has come.
qn_status qn_transport_advance(qn_transport *transport, qn_error *err);
/// The next whole message, or NULL. Rows, ends and the like come in the order their sender sent them;
/// credits, claims, pieces of collectives and signs of life pass by rows that are still coming.
qn_status qn_transport_take(qn_transport *transport, qn_incoming **out, qn_error *err);

/// Fills err from the result of a call to MPI.
qn_status qn_fail_mpi(qn_error *err, const char *call, int result);
/// Inside a function with `status`, `err` and `done:`: calls MPI and fails by its result.
#define QN_TRY_MPI(call, name)                                                                               \
  do {                                                                                                       \
    const int result_ = (call);                                                                              \
    if (__builtin_expect(result_ != MPI_SUCCESS, 0)) {                                                       \
      status = qn_fail_mpi(err, (name), result_);                                                            \
      goto done;                                                                                             \
    }                                                                                                        \
  } while (0)
