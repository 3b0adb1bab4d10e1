// SPDX-License-Identifier: Apache-2.0
// What ranks send each other: a header of 64 bytes, so that the payload behind it is aligned as memory is,
// and the payload. A payload of more than one piece (MPI counts bytes in an int) is announced by its header
// alone and follows in pieces under a tag of their own.
#pragma once
#include <stdint.h>
#include "base/buffer.h"
#include "comm/shared.h"

typedef enum {
  QN_MESSAGE_PIECE = 1, // of a collective: channel is its number in the run, value the operation
  QN_MESSAGE_ROWS,      // of an exchange: channel says which; an encoded batch
  QN_MESSAGE_END,       // of an exchange: no more rows from this rank
  QN_MESSAGE_CREDIT,    // of an exchange: `value` messages have been delivered
  QN_MESSAGE_CLAIM,     // asks rank 0 for an item of the counter `channel`
  QN_MESSAGE_ITEM,      // the answer: value is the item, or -1
  QN_MESSAGE_ABORT,     // the sender has stopped; the last message of its run
  QN_MESSAGE_AGREE,     // value 0: the sender's subtree has succeeded; 1: all have
  QN_MESSAGE_BYE,       // the last message ever
  QN_MESSAGE_ASK,       // of no run: the sender wants a sign of life
  QN_MESSAGE_HERE,      // of no run: the answer
  QN_MESSAGE_LOST,      // of no run: a rank is lost, and the sender is ending the job
} qn_message_kind;

enum { QN_HEADER_BYTES = 64 };

typedef struct qn_message_header {
  uint32_t magic;
  uint32_t kind;
  int64_t epoch; // number of the run
  int64_t channel;
  int64_t value;
  int64_t payload_bytes;
  int64_t slab;       // rows in shared memory: which slab of the sender, from 1; 0: they are the payload
  int64_t slab_bytes; // of the encoded batch in it
  int64_t reserved;
} qn_message_header;

/// A message to be sent, to one rank or several: shared by reference, freed when the last send is complete.
typedef struct qn_parcel {
  int64_t n_references;
  qn_message_header header; // kind, epoch, channel and value are the caller's to set
  qn_buffer buffer;         // room for the header, then the payload; empty when there is no payload
  qn_shared *shared;        // rows in a slab of this rank that is still its own; NULL: none, or sent
} qn_parcel;

/// A parcel whose buffer holds the header's room and has place for payload_bytes more, to be appended.
/// payload_bytes 0: without a buffer.
qn_status qn_parcel_new(const qn_message_header *header, int64_t payload_bytes, qn_parcel **out,
                        qn_error *err);
void qn_parcel_free(qn_parcel *parcel); // gives up one reference; NULL is allowed
static inline const uint8_t *qn_parcel_payload(const qn_parcel *parcel) {
  return parcel->buffer.size > 0 ? parcel->buffer.data + QN_HEADER_BYTES : NULL;
}
static inline int64_t qn_parcel_payload_bytes(const qn_parcel *parcel) {
  return parcel->buffer.size > 0 ? parcel->buffer.size - QN_HEADER_BYTES : 0;
}

/// A message that came.
typedef struct qn_incoming {
  struct qn_incoming *next;
  int source;
  qn_message_header header;
  uint8_t *memory;         // of qn_memory_alloc: the header's room, then the payload; NULL without payload
  qn_loan *loan;           // rows in shared memory
  int n_open;              // receives that are not complete
  int64_t n_missing_bytes; // of the payload, for which no receive has been started
} qn_incoming;

static inline const uint8_t *qn_incoming_payload(const qn_incoming *incoming) {
  return incoming->memory != NULL ? incoming->memory + QN_HEADER_BYTES : NULL;
}
void qn_incoming_free(qn_incoming *incoming); // NULL is allowed
/// Makes a parcel of it, so that it can be sent on as it is.
qn_status qn_incoming_forward_take(qn_incoming *incoming, qn_parcel **out, qn_error *err);

/// Messages in the order they came.
typedef struct qn_incoming_list {
  qn_incoming *first, *last;
} qn_incoming_list;

void qn_incoming_list_append(qn_incoming_list *list, qn_incoming *incoming);
/// Takes out `incoming`, which stands behind `before` (NULL: it is the first).
void qn_incoming_list_remove(qn_incoming_list *list, qn_incoming *before, qn_incoming *incoming);
qn_incoming *qn_incoming_list_pop(qn_incoming_list *list); // NULL if empty
void qn_incoming_list_release(qn_incoming_list *list);
