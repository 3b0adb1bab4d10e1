// SPDX-License-Identifier: Apache-2.0
// Messages as objects: made, shared, queued and freed. Sending and receiving them is transport.c.
#include "comm/message.h"
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"

_Static_assert(sizeof(qn_message_header) == QN_HEADER_BYTES, "the payload must be aligned as memory is");

qn_status qn_parcel_new(const qn_message_header *header, int64_t payload_bytes, qn_parcel **out,
                        qn_error *err) {
  qn_status status = QN_OK;
  qn_parcel *parcel = calloc(1, sizeof *parcel);

  QN_REQUIRE(parcel != NULL, err, QN_ERR_MEMORY, "no memory for a message");
  *parcel = (qn_parcel){.n_references = 1, .header = *header};
  if (payload_bytes > 0) {
    QN_REQUIRE(payload_bytes <= INT64_MAX - QN_HEADER_BYTES, err, QN_ERR_MEMORY,
               "a message of %" PRId64 " bytes is too long", payload_bytes);
    QN_TRY(qn_buffer_reserve(&parcel->buffer, QN_HEADER_BYTES + payload_bytes, err));
    memset(parcel->buffer.data, 0, QN_HEADER_BYTES);
    parcel->buffer.size = QN_HEADER_BYTES;
  }
  *out = parcel;
  parcel = NULL;

done:
  qn_parcel_free(parcel);
  return status;
}

void qn_parcel_free(qn_parcel *parcel) {
  if (parcel != NULL && --parcel->n_references == 0) {
    if (parcel->shared != NULL) {
      qn_shared_give_back(parcel->shared, (int)parcel->header.slab - 1);
    }
    qn_buffer_release(&parcel->buffer);
    free(parcel);
  }
}

void qn_incoming_free(qn_incoming *incoming) {
  if (incoming != NULL) {
    qn_memory_free(incoming->memory);
    qn_loan_free(incoming->loan);
    free(incoming);
  }
}

qn_status qn_incoming_forward_take(qn_incoming *incoming, qn_parcel **out, qn_error *err) {
  qn_parcel *parcel = NULL;
  const qn_status status = qn_parcel_new(&incoming->header, 0, &parcel, err);
  if (status == QN_OK) {
    if (incoming->memory != NULL) {
      const int64_t size = QN_HEADER_BYTES + incoming->header.payload_bytes;
      parcel->buffer = (qn_buffer){.data = incoming->memory, .size = size, .capacity = size};
      incoming->memory = NULL;
    }
    *out = parcel;
  }
  qn_incoming_free(incoming);
  return status;
}

void qn_incoming_list_append(qn_incoming_list *list, qn_incoming *incoming) {
  incoming->next = NULL;
  if (list->last == NULL) {
    list->first = incoming;
  } else {
    list->last->next = incoming;
  }
  list->last = incoming;
}

void qn_incoming_list_remove(qn_incoming_list *list, qn_incoming *before, qn_incoming *incoming) {
  if (before == NULL) {
    list->first = incoming->next;
  } else {
    before->next = incoming->next;
  }
  if (list->last == incoming) {
    list->last = before;
  }
  incoming->next = NULL;
}

qn_incoming *qn_incoming_list_pop(qn_incoming_list *list) {
  qn_incoming *incoming = list->first;
  if (incoming != NULL) {
    qn_incoming_list_remove(list, NULL, incoming);
  }
  return incoming;
}

void qn_incoming_list_release(qn_incoming_list *list) {
  for (qn_incoming *incoming = qn_incoming_list_pop(list); incoming != NULL;
       incoming = qn_incoming_list_pop(list)) {
    qn_incoming_free(incoming);
  }
}
