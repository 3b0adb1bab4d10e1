// SPDX-License-Identifier: Apache-2.0
// Point-to-point messages. A header without payload is received at once, anything else by a request in a
// table that one MPI_Testsome looks through. Pieces are received straight to their place in the whole.
#include "comm/transport.h"
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"

enum { MAGIC = 0x314d4e51, TAG_MESSAGE = 1, TAG_PIECE = 2, RECEIVES_AT_ONCE = 64 };

qn_status qn_fail_mpi(qn_error *err, const char *call, int result) {
  char text[MPI_MAX_ERROR_STRING] = "";
  int size = 0;
  if (MPI_Error_string(result, text, &size) != MPI_SUCCESS) {
    text[0] = '\0';
  }
  return qn_fail(err, QN_ERR_MPI, "%s failed with code %d: %s", call, result, text);
}

qn_status qn_transport_init(qn_transport *transport, MPI_Comm mpi, qn_error *err) {
  qn_status status = QN_OK;
  *transport = (qn_transport){.mpi = mpi, .piece_bytes = QN_PIECE_BYTES};
  QN_TRY_MPI(MPI_Comm_rank(mpi, &transport->rank), "MPI_Comm_rank");
  QN_TRY_MPI(MPI_Comm_size(mpi, &transport->size), "MPI_Comm_size");
  transport->assembling = calloc((size_t)transport->size, sizeof(qn_incoming *));
  transport->seen = calloc((size_t)transport->size, sizeof(int64_t));
  QN_REQUIRE(transport->assembling != NULL && transport->seen != NULL, err, QN_ERR_MEMORY,
             "no memory for a communicator of %d ranks", transport->size);

done:
  return status;
}

void qn_transport_release(qn_transport *transport) {
  for (int i = 0; i < transport->n_operations; i++) {
    qn_parcel_free(transport->operations[i].parcel);
    qn_memory_free(transport->operations[i].memory);
  }
  qn_incoming_list_release(&transport->incoming);
  free(transport->requests);
  free(transport->operations);
  free(transport->completed);
  free(transport->statuses);
  free(transport->assembling);
  free(transport->seen);
  *transport = (qn_transport){0};
}

// Makes room for `more` operations.
static qn_status reserve_operations(qn_transport *transport, int64_t more, qn_error *err) {
  qn_status status = QN_OK;
  int64_t capacity = transport->capacity > 0 ? transport->capacity : 256;
  while (capacity < transport->n_operations + more) {
    capacity *= 2;
  }
  if (capacity == transport->capacity) {
    return QN_OK;
  }
  QN_REQUIRE(capacity <= INT32_MAX, err, QN_ERR_MEMORY, "%" PRId64 " messages under way are too many",
             capacity);
  MPI_Request *requests = realloc(transport->requests, (size_t)capacity * sizeof *requests);
  transport->requests = requests != NULL ? requests : transport->requests;
  qn_operation *operations = realloc(transport->operations, (size_t)capacity * sizeof *operations);
  transport->operations = operations != NULL ? operations : transport->operations;
  int *completed = realloc(transport->completed, (size_t)capacity * sizeof *completed);
  transport->completed = completed != NULL ? completed : transport->completed;
  MPI_Status *statuses = realloc(transport->statuses, (size_t)capacity * sizeof *statuses);
  transport->statuses = statuses != NULL ? statuses : transport->statuses;
  QN_REQUIRE(requests != NULL && operations != NULL && completed != NULL && statuses != NULL, err,
             QN_ERR_MEMORY, "no memory for %" PRId64 " messages under way", capacity);
  transport->capacity = (int)capacity;

done:
  return status;
}

static void end_operation(qn_transport *transport, const qn_operation *operation) {
  transport->n_events++;
  if (operation->incoming != NULL) {
    operation->incoming->n_open--;
  }
  if (operation->parcel != NULL) {
    transport->n_sends--;
  }
  qn_parcel_free(operation->parcel);
  qn_memory_free(operation->memory);
}

// Notes an operation that has been started, or ends it if it is complete already. There is room.
static qn_status add_operation(qn_transport *transport, MPI_Request request, const qn_operation *operation,
                               qn_error *err) {
  qn_status status = QN_OK;
  int is_complete = 0;
  transport->n_sends += operation->parcel != NULL;
  const int result = MPI_Test(&request, &is_complete, MPI_STATUS_IGNORE);
  if (result == MPI_SUCCESS && is_complete) {
    end_operation(transport, operation);
  } else {
    transport->requests[transport->n_operations] = request;
    transport->operations[transport->n_operations++] = *operation;
  }
  QN_TRY_MPI(result, "MPI_Test");

done:
  return status;
}

static qn_status send_bytes(qn_transport *transport, int destination, const void *data, int64_t size, int tag,
                            qn_parcel *parcel, qn_error *err) {
  qn_status status = QN_OK;
  MPI_Request request = MPI_REQUEST_NULL;
  QN_TRY_MPI(MPI_Isend(data, (int)size, MPI_BYTE, destination, tag, transport->mpi, &request), "MPI_Isend");
  parcel->n_references++;
  QN_TRY(add_operation(transport, request, &(qn_operation){.parcel = parcel}, err));

done:
  return status;
}

qn_status qn_transport_send(qn_transport *transport, int destination, qn_parcel *parcel, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t payload_bytes = qn_parcel_payload_bytes(parcel);
  const int64_t piece_bytes = transport->piece_bytes;

  parcel->header.magic = MAGIC;
  parcel->header.payload_bytes = payload_bytes;
  QN_TRY(reserve_operations(transport, 1 + payload_bytes / piece_bytes + 1, err));
  transport->n_events++;
  if (payload_bytes > 0 && payload_bytes <= piece_bytes) {
    memcpy(parcel->buffer.data, &parcel->header, QN_HEADER_BYTES);
    QN_TRY(send_bytes(transport, destination, parcel->buffer.data, parcel->buffer.size, TAG_MESSAGE, parcel,
                      err));
    return QN_OK;
  }
  QN_TRY(send_bytes(transport, destination, &parcel->header, QN_HEADER_BYTES, TAG_MESSAGE, parcel, err));
  for (int64_t sent = 0; sent < payload_bytes; sent += piece_bytes) {
    const int64_t left = payload_bytes - sent;
    QN_TRY(send_bytes(transport, destination, qn_parcel_payload(parcel) + sent,
                      left < piece_bytes ? left : piece_bytes, TAG_PIECE, parcel, err));
  }

done:
  return status;
}

static qn_status complete_operations(qn_transport *transport, qn_error *err) {
  qn_status status = QN_OK;
  int n_completed = 0;
  if (transport->n_operations == 0) {
    return QN_OK;
  }
  QN_TRY_MPI(MPI_Testsome(transport->n_operations, transport->requests, &n_completed, transport->completed,
                          transport->statuses),
             "MPI_Testsome");
  if (n_completed <= 0) {
    return QN_OK;
  }
  for (int i = 0; i < n_completed; i++) {
    end_operation(transport, &transport->operations[transport->completed[i]]);
  }
  int n_left = 0;
  for (int i = 0; i < transport->n_operations; i++) {
    if (transport->requests[i] != MPI_REQUEST_NULL) {
      transport->requests[n_left] = transport->requests[i];
      transport->operations[n_left++] = transport->operations[i];
    }
  }
  transport->n_operations = n_left;

done:
  return status;
}

static qn_status check_header(const qn_message_header *header, int source, int64_t size, qn_error *err) {
  const int64_t payload_bytes = size - QN_HEADER_BYTES;
  if (size < QN_HEADER_BYTES || header->magic != MAGIC || header->kind < QN_MESSAGE_PIECE ||
      header->kind > QN_MESSAGE_LOST || header->payload_bytes < 0 ||
      header->payload_bytes > INT64_MAX - QN_HEADER_BYTES ||
      (payload_bytes > 0 && header->payload_bytes != payload_bytes)) {
    return qn_fail(err, QN_ERR_MPI,
                   "a message of %" PRId64
                   " bytes from rank %d is not one of Quern's: do all ranks run the same program?",
                   size, source);
  }
  return QN_OK;
}

// A header alone: the whole message, or the announcement of pieces. Short messages are sent with their
// envelope, so receiving them does not wait.
static qn_status receive_header(qn_transport *transport, qn_incoming *incoming, MPI_Message *message,
                                int64_t size, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY_MPI(MPI_Mrecv(&incoming->header, (int)size, MPI_BYTE, message, MPI_STATUS_IGNORE), "MPI_Mrecv");
  QN_TRY(check_header(&incoming->header, incoming->source, size, err));
  incoming->n_missing_bytes = incoming->header.payload_bytes;
  qn_incoming_list_append(&transport->incoming, incoming);
  if (incoming->n_missing_bytes > 0) {
    transport->assembling[incoming->source] = incoming;
    incoming->memory = qn_memory_alloc(QN_HEADER_BYTES + incoming->n_missing_bytes);
    QN_REQUIRE(incoming->memory != NULL, err, QN_ERR_MEMORY,
               "no memory for a message of %" PRId64 " bytes from rank %d", incoming->n_missing_bytes,
               incoming->source);
  }
  return QN_OK;

done:
  if (incoming != transport->incoming.last) {
    qn_incoming_free(incoming);
  }
  return status;
}

// A message in one part, or its header alone. `message` stays as it is if there is no memory.
static qn_status receive_message(qn_transport *transport, MPI_Message *message, int source, int64_t size,
                                 qn_error *err) {
  qn_status status = QN_OK;
  MPI_Request request = MPI_REQUEST_NULL;
  qn_incoming *incoming = calloc(1, sizeof *incoming);

  QN_REQUIRE(incoming != NULL, err, QN_ERR_MEMORY, "no memory for a message from rank %d", source);
  incoming->source = source;
  if (size <= QN_HEADER_BYTES) {
    return receive_header(transport, incoming, message, size, err);
  }
  incoming->memory = qn_memory_alloc(size);
  QN_REQUIRE(incoming->memory != NULL, err, QN_ERR_MEMORY,
             "no memory for a message of %" PRId64 " bytes from rank %d", size, source);
  incoming->header.payload_bytes = size - QN_HEADER_BYTES;
  QN_TRY_MPI(MPI_Imrecv(incoming->memory, (int)size, MPI_BYTE, message, &request), "MPI_Imrecv");
  incoming->n_open = 1;
  qn_incoming_list_append(&transport->incoming, incoming);
  const qn_operation operation = {.incoming = incoming};
  incoming = NULL;
  QN_TRY(add_operation(transport, request, &operation, err));

done:
  qn_incoming_free(incoming);
  return status;
}

static qn_status receive_piece(qn_transport *transport, MPI_Message *message, int source, int64_t size,
                               qn_error *err) {
  qn_status status = QN_OK;
  MPI_Request request = MPI_REQUEST_NULL;
  void *unwanted = NULL;
  qn_incoming *incoming = transport->assembling[source];

  QN_REQUIRE(incoming != NULL && size <= incoming->n_missing_bytes, err, QN_ERR_MPI,
             "a piece of %" PRId64
             " bytes from rank %d belongs to no message: do all ranks run the same program?",
             size, source);
  uint8_t *to = NULL;
  if (incoming->memory != NULL) {
    to = incoming->memory + QN_HEADER_BYTES + incoming->header.payload_bytes - incoming->n_missing_bytes;
  } else { // there was no memory for the whole; the run has failed, but what has been sent must be received
    to = unwanted = qn_memory_alloc(size);
    QN_REQUIRE(to != NULL, err, QN_ERR_MEMORY, "no memory for a message of %" PRId64 " bytes from rank %d",
               size, source);
  }
  QN_TRY_MPI(MPI_Imrecv(to, (int)size, MPI_BYTE, message, &request), "MPI_Imrecv");
  incoming->n_open++;
  incoming->n_missing_bytes -= size;
  if (incoming->n_missing_bytes == 0) {
    transport->assembling[source] = NULL;
  }
  const qn_operation operation = {.incoming = incoming, .memory = unwanted};
  unwanted = NULL;
  QN_TRY(add_operation(transport, request, &operation, err));

done:
  qn_memory_free(unwanted);
  return status;
}

// Receives the message that is held. If there is no memory for it, it stays held.
static qn_status receive_held(qn_transport *transport, qn_error *err) {
  qn_status status = QN_OK;
  int size = 0;
  const int source = transport->held_status.MPI_SOURCE;

  QN_TRY_MPI(MPI_Get_count(&transport->held_status, MPI_BYTE, &size), "MPI_Get_count");
  QN_TRY(reserve_operations(transport, 1, err));
  transport->n_events++;
  if (transport->held_status.MPI_TAG == TAG_PIECE) {
    status = receive_piece(transport, &transport->held, source, size, err);
  } else {
    status = receive_message(transport, &transport->held, source, size, err);
  }
  transport->is_holding = transport->held != MPI_MESSAGE_NULL;

done:
  return status;
}

qn_status qn_transport_advance(qn_transport *transport, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(complete_operations(transport, err));
  for (int i = 0; i < RECEIVES_AT_ONCE; i++) {
    if (!transport->is_holding) {
      int is_there = 0;
      QN_TRY_MPI(MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, transport->mpi, &is_there, &transport->held,
                             &transport->held_status),
                 "MPI_Improbe");
      if (!is_there) {
        break;
      }
      transport->is_holding = true;
    }
    QN_TRY(receive_held(transport, err));
  }

done:
  return status;
}

static bool is_whole(const qn_incoming *incoming) {
  return incoming->n_open == 0 && incoming->n_missing_bytes == 0;
}

static bool may_pass(uint32_t kind) {
  return kind == QN_MESSAGE_PIECE || kind == QN_MESSAGE_CREDIT || kind == QN_MESSAGE_CLAIM ||
         kind == QN_MESSAGE_ITEM || kind == QN_MESSAGE_AGREE || kind >= QN_MESSAGE_ASK;
}

// Messages received in one part bring their header in their memory.
static qn_status unpack_header(qn_incoming *incoming, qn_error *err) {
  if (incoming->header.magic == MAGIC || incoming->memory == NULL) {
    return QN_OK;
  }
  const int64_t size = QN_HEADER_BYTES + incoming->header.payload_bytes;
  memcpy(&incoming->header, incoming->memory, QN_HEADER_BYTES);
  return check_header(&incoming->header, incoming->source, size, err);
}

qn_status qn_transport_take(qn_transport *transport, qn_incoming **out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t walk = ++transport->n_walks;
  qn_incoming *before = NULL;

  *out = NULL;
  for (qn_incoming *incoming = transport->incoming.first; incoming != NULL; incoming = incoming->next) {
    const bool is_behind = transport->seen[incoming->source] == walk;
    if (is_whole(incoming)) {
      QN_TRY(unpack_header(incoming, err));
      if (!is_behind || may_pass(incoming->header.kind)) {
        qn_incoming_list_remove(&transport->incoming, before, incoming);
        *out = incoming;
        return QN_OK;
      }
    }
    transport->seen[incoming->source] = walk;
    before = incoming;
  }

done:
  return status;
}
