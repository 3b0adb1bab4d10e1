// SPDX-License-Identifier: Apache-2.0
// Sums of which each rank needs a part: everybody sends everybody else's part to its owner, who adds.
#include <inttypes.h>
#include "base/check.h"
#include "comm/comm_state.h"

static qn_incoming *take_piece(qn_comm *comm, int64_t step) {
  qn_incoming *before = NULL;
  for (qn_incoming *piece = comm->pieces.first; piece != NULL; before = piece, piece = piece->next) {
    if (piece->header.channel == step) {
      qn_incoming_list_remove(&comm->pieces, before, piece);
      return piece;
    }
  }
  return NULL;
}

static qn_status send_slice(qn_comm *comm, const qn_message_header *header, int to, const int64_t *values,
                            int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  qn_parcel *parcel = NULL;
  QN_TRY(qn_parcel_new(header, n * 8, &parcel, err));
  QN_TRY(qn_buffer_append(&parcel->buffer, values, n * 8, err));
  QN_TRY(qn_transport_send(&comm->transport, to, parcel, err));

done:
  qn_parcel_free(parcel);
  return status;
}

// Adds the next part that comes from another rank.
static qn_status add_piece(qn_comm *comm, int64_t step, int64_t *values, int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  qn_patience patience = {0};
  qn_incoming *piece = take_piece(comm, step);

  while (piece == NULL) {
    QN_TRY(qn_comm_wait(comm, &patience, NULL, err));
    piece = take_piece(comm, step);
  }
  QN_REQUIRE(
      piece->header.value == QN_COLLECTIVE_SLICES && piece->header.payload_bytes == n * 8, err, QN_ERR_MPI,
      "rank %d is in a sum of slices with %" PRId64 " values, rank %d in %s with %" PRId64
      " bytes: all ranks must make the same calls in the same order",
      comm->rank, n, piece->source, qn_collective_name(piece->header.value), piece->header.payload_bytes);
  const int64_t *theirs = (const int64_t *)(const void *)qn_incoming_payload(piece);
  for (int64_t i = 0; i < n; i++) {
    values[i] = (int64_t)((uint64_t)values[i] + (uint64_t)theirs[i]);
  }

done:
  qn_incoming_free(piece);
  return status;
}

qn_status qn_comm_sum_slices_int64(qn_comm *comm, int64_t *values, const int64_t *starts, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_comm_check(comm, err));
  if (comm->size == 1) {
    goto done;
  }
  const int64_t step = comm->n_collectives++;
  const qn_message_header header = qn_comm_header(comm, QN_MESSAGE_PIECE, step, QN_COLLECTIVE_SLICES);
  for (int i = 1; i < comm->size; i++) {
    const int to = (comm->rank + i) % comm->size;
    if (starts[to + 1] > starts[to]) {
      QN_TRY(send_slice(comm, &header, to, values + starts[to], starts[to + 1] - starts[to], err));
    }
  }
  const int64_t n = starts[comm->rank + 1] - starts[comm->rank];
  for (int i = 1; i < comm->size && n > 0; i++) {
    QN_TRY(add_piece(comm, step, values + starts[comm->rank], n, err));
  }

done:
  return status;
}
