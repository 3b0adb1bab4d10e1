// SPDX-License-Identifier: Apache-2.0
// Collectives over the tree of ranks: up to the root, and down again. A piece is known by its sender and by
// the number of its step in the run, so that early ones wait their turn; the operation comes along, to notice
// ranks that have gone different ways.
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "comm/comm_state.h"

const char *qn_collective_name(int64_t value) {
  static const char *const names[] = {"an unknown operation", "a reduction", "a gather",
                                      "a broadcast",          "a sum",       "a sum of slices"};
  const int64_t operation = value & 0xff;
  return names[operation <= QN_COLLECTIVE_SLICES ? operation : 0];
}

// The piece of this step from a rank, or NULL if it has not come.
static qn_incoming *find_piece(qn_comm *comm, int source, int64_t step) {
  qn_incoming *before = NULL;
  for (qn_incoming *piece = comm->pieces.first; piece != NULL; before = piece, piece = piece->next) {
    if (piece->source == source && piece->header.channel == step) {
      qn_incoming_list_remove(&comm->pieces, before, piece);
      return piece;
    }
  }
  return NULL;
}

static qn_status await_piece(qn_comm *comm, int source, int64_t step, qn_collective wanted, qn_incoming **out,
                             qn_error *err) {
  qn_status status = QN_OK;
  qn_patience patience = {0};
  qn_incoming *piece = find_piece(comm, source, step);

  while (piece == NULL) {
    QN_TRY(qn_comm_wait(comm, &patience, NULL, err));
    piece = find_piece(comm, source, step);
  }
  QN_REQUIRE(piece->header.value == (int64_t)wanted, err, QN_ERR_MPI,
             "rank %d is in %s, rank %d in %s (step %" PRId64
             " of the run): all ranks must make the same calls in the same order",
             comm->rank, qn_collective_name(wanted), source, qn_collective_name(piece->header.value), step);
  *out = piece;
  piece = NULL;

done:
  qn_incoming_free(piece);
  return status;
}

static qn_status fail_size(const qn_comm *comm, const qn_incoming *piece, int64_t wanted, qn_error *err) {
  return qn_fail(err, QN_ERR_MPI,
                 "rank %d got %" PRId64 " bytes from rank %d in %s, %" PRId64
                 " were expected: all ranks must make the same calls in the same order",
                 comm->rank, piece->header.payload_bytes, piece->source,
                 qn_collective_name(piece->header.value), wanted);
}

// Down the tree: a parcel of the root goes to all. On the others *parcel is NULL before.
static qn_status spread(qn_comm *comm, int root, qn_parcel **parcel, qn_error *err) {
  qn_status status = QN_OK;
  qn_incoming *incoming = NULL;
  const int64_t step = comm->n_collectives++;
  const int place = (comm->rank - root + comm->size) % comm->size; // in a tree whose root is `root`
  const int reach = qn_tree_reach(place, comm->size);

  if (place != 0) {
    const int parent = (qn_tree_parent(place) + root) % comm->size;
    QN_TRY(await_piece(comm, parent, step, QN_COLLECTIVE_BROADCAST, &incoming, err));
    QN_TRY(qn_incoming_forward_take(incoming, parcel, err));
  }
  QN_REQUIRE(*parcel != NULL, err, QN_ERR_MPI, "a broadcast came without its message");
  (*parcel)->header = qn_comm_header(comm, QN_MESSAGE_PIECE, step, QN_COLLECTIVE_BROADCAST);
  int last = 1;
  while (last * 2 < reach) {
    last *= 2;
  }
  for (int distance = last; distance >= 1 && distance < reach; distance /= 2) {
    QN_TRY(qn_transport_send(&comm->transport, (place + distance + root) % comm->size, *parcel, err));
  }

done:
  return status;
}

qn_status qn_comm_broadcast(qn_comm *comm, int root, qn_buffer *buffer, qn_error *err) {
  qn_status status = QN_OK;
  qn_parcel *parcel = NULL;
  const qn_message_header header = {0};

  QN_TRY(qn_comm_check(comm, err));
  QN_REQUIRE(root >= 0 && root < comm->size, err, QN_ERR_ARG, "a broadcast from rank %d of %d ranks", root,
             comm->size);
  if (comm->size == 1) {
    goto done;
  }
  if (comm->rank == root) {
    QN_TRY(qn_parcel_new(&header, buffer->size, &parcel, err));
    if (buffer->size > 0) {
      QN_TRY(qn_buffer_append(&parcel->buffer, buffer->data, buffer->size, err));
    }
  }
  QN_TRY(spread(comm, root, &parcel, err));
  if (comm->rank != root) {
    buffer->size = 0;
    QN_TRY(qn_buffer_append(buffer, qn_parcel_payload(parcel), qn_parcel_payload_bytes(parcel), err));
  }

done:
  qn_parcel_free(parcel);
  return status;
}

static int64_t reduce_two(qn_reduction reduction, int64_t a, int64_t b) {
  switch (reduction) {
  case QN_SUM:
    return (int64_t)((uint64_t)a + (uint64_t)b);
  case QN_MIN:
    return a < b ? a : b;
  case QN_MAX:
    return a > b ? a : b;
  }
  return a;
}

// Reduces the values of the children into those of this rank.
static qn_status reduce_children(qn_comm *comm, qn_reduction reduction, int64_t step, int64_t *values,
                                 int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  qn_incoming *piece = NULL;
  const int reach = qn_tree_reach(comm->rank, comm->size);

  for (int distance = 1; distance < reach; distance *= 2) {
    QN_TRY(await_piece(comm, comm->rank + distance, step, QN_COLLECTIVE_REDUCE, &piece, err));
    if (piece->header.payload_bytes != n * 8) {
      status = fail_size(comm, piece, n * 8, err);
      goto done;
    }
    const int64_t *theirs = (const int64_t *)(const void *)qn_incoming_payload(piece);
    for (int64_t i = 0; i < n; i++) {
      values[i] = reduce_two(reduction, values[i], theirs[i]);
    }
    qn_incoming_free(piece);
    piece = NULL;
  }

done:
  qn_incoming_free(piece);
  return status;
}

static qn_status parcel_of_values(const qn_message_header *header, const int64_t *values, int64_t n,
                                  qn_parcel **out, qn_error *err) {
  const qn_status status = qn_parcel_new(header, n * 8, out, err);
  return status == QN_OK && n > 0 ? qn_buffer_append(&(*out)->buffer, values, n * 8, err) : status;
}

qn_status qn_comm_reduce_int64(qn_comm *comm, qn_reduction reduction, int64_t *values, int64_t n,
                               qn_error *err) {
  qn_status status = QN_OK;
  qn_parcel *up = NULL;
  qn_parcel *down = NULL;

  QN_TRY(qn_comm_check(comm, err));
  QN_REQUIRE(n >= 0 && n <= INT32_MAX, err, QN_ERR_ARG, "a reduction of %" PRId64 " values", n);
  if (comm->size == 1) {
    goto done;
  }
  const int64_t step = comm->n_collectives++;
  const qn_message_header header = qn_comm_header(comm, QN_MESSAGE_PIECE, step, QN_COLLECTIVE_REDUCE);
  QN_TRY(reduce_children(comm, reduction, step, values, n, err));
  if (comm->rank == 0) {
    QN_TRY(parcel_of_values(&header, values, n, &down, err));
  } else {
    QN_TRY(parcel_of_values(&header, values, n, &up, err));
    QN_TRY(qn_transport_send(&comm->transport, qn_tree_parent(comm->rank), up, err));
  }
  QN_TRY(spread(comm, 0, &down, err));
  QN_REQUIRE(qn_parcel_payload_bytes(down) == n * 8, err, QN_ERR_MPI,
             "rank %d got %" PRId64 " bytes as the result of a reduction of %" PRId64 " values", comm->rank,
             qn_parcel_payload_bytes(down), n);
  if (n > 0) {
    memcpy(values, qn_parcel_payload(down), (size_t)n * 8);
  }

done:
  qn_parcel_free(up);
  qn_parcel_free(down);
  return status;
}

qn_status qn_comm_barrier(qn_comm *comm, qn_error *err) {
  return qn_comm_reduce_int64(comm, QN_SUM, NULL, 0, err);
}

// Checks that a piece of a gather holds n sizes and that many bytes.
static bool sizes_are_valid(const uint8_t *payload, int64_t payload_bytes, int n) {
  int64_t left = payload_bytes - (int64_t)n * 8;
  const int64_t *sizes = (const int64_t *)(const void *)payload;
  for (int i = 0; i < n && left >= 0; i++) {
    if (sizes[i] < 0 || sizes[i] > left) {
      return false;
    }
    left -= sizes[i];
  }
  return left == 0;
}

// Appends what a child has gathered: its sizes go to their place at the start, its bytes to the end.
static qn_status append_child(qn_comm *comm, int64_t step, int child, qn_parcel *gathered, qn_error *err) {
  qn_status status = QN_OK;
  qn_incoming *piece = NULL;
  const int n = qn_tree_size(child, comm->size);

  QN_TRY(await_piece(comm, child, step, QN_COLLECTIVE_GATHER, &piece, err));
  const uint8_t *payload = qn_incoming_payload(piece);
  const int64_t payload_bytes = piece->header.payload_bytes;
  if (payload == NULL || !sizes_are_valid(payload, payload_bytes, n)) {
    status = fail_size(comm, piece, (int64_t)n * 8, err);
    goto done;
  }
  memcpy(gathered->buffer.data + QN_HEADER_BYTES + (int64_t)(child - comm->rank) * 8, payload, (size_t)n * 8);
  QN_TRY(qn_buffer_append(&gathered->buffer, payload + (int64_t)n * 8, payload_bytes - (int64_t)n * 8, err));

done:
  qn_incoming_free(piece);
  return status;
}

// What the subtree of this rank has: sizes, then bytes, by rank.
static qn_status gather_subtree(qn_comm *comm, const void *data, int64_t size, int64_t step, qn_parcel **out,
                                qn_error *err) {
  qn_status status = QN_OK;
  qn_parcel *gathered = NULL;
  const int n = qn_tree_size(comm->rank, comm->size);
  const qn_message_header header = qn_comm_header(comm, QN_MESSAGE_PIECE, step, QN_COLLECTIVE_GATHER);

  QN_TRY(qn_parcel_new(&header, (int64_t)n * 8 + size, &gathered, err));
  memset(gathered->buffer.data + QN_HEADER_BYTES, 0, (size_t)n * 8);
  memcpy(gathered->buffer.data + QN_HEADER_BYTES, &size, 8);
  gathered->buffer.size += (int64_t)n * 8;
  QN_TRY(qn_buffer_append(&gathered->buffer, data, size, err));
  for (int distance = 1; distance < qn_tree_reach(comm->rank, comm->size); distance *= 2) {
    QN_TRY(append_child(comm, step, comm->rank + distance, gathered, err));
  }
  *out = gathered;
  gathered = NULL;

done:
  qn_parcel_free(gathered);
  return status;
}

qn_status qn_comm_gather(qn_comm *comm, const void *data, int64_t size, qn_buffer *out, int64_t *sizes,
                         qn_error *err) {
  qn_status status = QN_OK;
  qn_parcel *up = NULL;
  qn_parcel *all = NULL;
  const int n = comm->size;

  QN_TRY(qn_comm_check(comm, err));
  QN_REQUIRE(size >= 0 && size <= INT64_MAX / 2, err, QN_ERR_ARG, "a gather of %" PRId64 " bytes", size);
  const int64_t step = comm->n_collectives++;
  QN_TRY(gather_subtree(comm, data, size, step, &up, err));
  if (comm->rank == 0) {
    all = up;
    up = NULL;
  } else {
    QN_TRY(qn_transport_send(&comm->transport, qn_tree_parent(comm->rank), up, err));
  }
  QN_TRY(spread(comm, 0, &all, err));
  const uint8_t *payload = qn_parcel_payload(all);
  const int64_t payload_bytes = qn_parcel_payload_bytes(all);
  QN_REQUIRE(payload != NULL && sizes_are_valid(payload, payload_bytes, n), err, QN_ERR_MPI,
             "rank %d got %" PRId64 " bytes as the result of a gather that do not fit its sizes", comm->rank,
             payload_bytes);
  out->size = 0;
  QN_TRY(qn_buffer_append(out, payload + (int64_t)n * 8, payload_bytes - (int64_t)n * 8, err));
  memcpy(sizes, payload, (size_t)n * 8);

done:
  qn_parcel_free(up);
  qn_parcel_free(all);
  return status;
}
