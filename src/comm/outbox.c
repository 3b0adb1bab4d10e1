// SPDX-License-Identifier: Apache-2.0
// The buffers of an exchange. Rows are gathered straight into the memory of the next message to their
// destination: a slab that the node shares, or the message itself. Any wait may deliver rows, and whoever
// gets them may put rows into this exchange again, so nothing is held half-done across a wait: room is looked
// at anew.
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "column/wire.h"
#include "comm/exchange_state.h"

enum { GROWTH = 4 }; // of the buffer of a destination, from one message to the next

static void count_sent(qn_exchange *exchange, int rank, const qn_parcel *parcel) {
  const qn_comm_place *places = exchange->comm->nodes.places;
  const int64_t n_bytes =
      parcel->header.slab != 0 ? parcel->header.slab_bytes : qn_parcel_payload_bytes(parcel);
  const bool is_far = places[rank].node != places[exchange->comm->rank].node;
  exchange->counts.messages_sent++;
  exchange->counts.bytes_sent += n_bytes;
  exchange->comm->bytes_sent += n_bytes;
  exchange->counts.bytes_shared += parcel->header.slab != 0 ? n_bytes : 0;
  exchange->counts.messages_between_nodes += is_far;
  exchange->counts.bytes_between_nodes += is_far ? n_bytes : 0;
}

qn_status qn_exchange_depart(qn_exchange *exchange, int destination, qn_error *err) {
  qn_status status = QN_OK;
  qn_destination *to = &exchange->destinations[destination];
  const int rank = qn_exchange_member(exchange, destination);
  while (status == QN_OK && to->first != NULL && to->n_unacknowledged < exchange->window) {
    qn_departure *departure = to->first;
    to->first = departure->next;
    if (to->first == NULL) {
      to->last = NULL;
    }
    to->n_unacknowledged++;
    count_sent(exchange, rank, departure->parcel);
    status = qn_transport_send(&exchange->comm->transport, rank, departure->parcel, err);
    if (status == QN_OK) {
      departure->parcel->shared = NULL; // the slab is the receiver's to give back
    }
    qn_parcel_free(departure->parcel);
    free(departure);
  }
  return status;
}

// Sends a parcel, or lets it wait for credit.
static qn_status post(qn_exchange *exchange, int destination, qn_parcel *parcel, qn_error *err) {
  qn_destination *to = &exchange->destinations[destination];
  qn_departure *departure = malloc(sizeof *departure);
  if (departure == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory to note a message");
  }
  *departure = (qn_departure){.parcel = parcel};
  parcel->n_references++;
  if (to->last == NULL) {
    to->first = departure;
  } else {
    to->last->next = departure;
  }
  to->last = departure;
  return qn_exchange_depart(exchange, destination, err);
}

// In rank order, the ranks before this one come first, and what they still have to do may need this rank: it
// does not wait until the receiver has begun with it.
static bool must_wait(const qn_exchange *exchange, const qn_destination *to) {
  if (to->first == NULL && to->n_unacknowledged < exchange->window) {
    return false;
  }
  return !exchange->in_rank_order || to->has_credit ||
         (exchange->waits_for_turn && exchange->comm->delivering == INT64_MAX);
}

static qn_status wait_for_room(qn_exchange *exchange, int destination, qn_error *err) {
  qn_status status = QN_OK;
  qn_patience patience = {0};
  while (must_wait(exchange, &exchange->destinations[destination])) {
    QN_TRY(qn_comm_wait(exchange->comm, &patience, &exchange->counts.wait_ns, err));
  }

done:
  return status;
}

static qn_message_header rows_header(const qn_exchange *exchange) {
  return qn_comm_header(exchange->comm, QN_MESSAGE_ROWS, exchange->channel, 0);
}

static qn_status pack(const qn_exchange *exchange, const qn_batch *batch, qn_parcel **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_parcel *parcel = NULL;
  const qn_message_header header = rows_header(exchange);
  QN_TRY(qn_parcel_new(&header, qn_wire_size(batch), &parcel, err));
  QN_TRY(qn_wire_encode(batch, &parcel->buffer, err));
  *out = parcel;
  parcel = NULL;

done:
  qn_parcel_free(parcel);
  return status;
}

// --- Rows for one destination

// A slab for the next message to a rank of this node, if there is one and the rows are worth it.
static int take_slab(const qn_exchange *exchange, int destination) {
  const qn_comm *comm = exchange->comm;
  const qn_comm_place *places = comm->nodes.places;
  const bool is_near = places[qn_exchange_member(exchange, destination)].node == places[comm->rank].node;
  if (comm->shared == NULL || !is_near ||
      exchange->destinations[destination].next_bytes <= exchange->first_bytes) {
    return -1;
  }
  return qn_shared_take(comm->shared);
}

// Gives a destination without a buffer the next one.
static qn_status open_buffer(qn_exchange *exchange, int destination, const qn_batch *like, qn_error *err) {
  qn_status status = QN_OK;
  qn_destination *to = &exchange->destinations[destination];
  qn_parcel *parcel = NULL;
  qn_message_header header = rows_header(exchange);
  int slab = -1;

  if (to->builder.rows.schema == NULL) {
    QN_TRY(qn_wire_builder_init(&to->builder, exchange->schema, err));
    to->next_bytes = exchange->first_bytes;
  }
  slab = take_slab(exchange, destination);
  header.slab = slab + 1;
  QN_TRY(qn_parcel_new(&header, slab < 0 ? to->next_bytes : 0, &parcel, err));
  if (slab >= 0) {
    parcel->shared = exchange->comm->shared;
    qn_wire_builder_place(&to->builder, qn_shared_slab(parcel->shared, slab),
                          qn_shared_slab_bytes(parcel->shared), like);
    slab = -1;
  } else {
    qn_wire_builder_place(&to->builder, parcel->buffer.data + QN_HEADER_BYTES, to->next_bytes, like);
    to->open_bytes = to->next_bytes;
    exchange->open_bytes += to->open_bytes;
  }
  to->parcel = parcel;
  parcel = NULL;

done:
  if (slab >= 0) {
    qn_shared_give_back(exchange->comm->shared, slab);
  }
  qn_parcel_free(parcel);
  return status;
}

static void close_buffer(qn_exchange *exchange, qn_destination *to) {
  qn_parcel_free(to->parcel);
  to->parcel = NULL;
  exchange->open_bytes -= to->open_bytes;
  to->open_bytes = 0;
}

// The next buffer of the destination is larger. False if it cannot be.
static bool grow_next(const qn_exchange *exchange, qn_destination *to) {
  const int64_t before = to->next_bytes;
  const int64_t next = before * GROWTH;
  to->next_bytes = next < exchange->buffer_bytes ? next : exchange->buffer_bytes;
  return to->next_bytes > before;
}

static qn_status flush_own(qn_exchange *exchange, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  if (exchange->own.n_rows > 0) {
    QN_TRY(qn_batch_builder_finish(&exchange->own, &batch, err));
    QN_TRY(qn_exchange_keep(exchange, batch, err));
  }

done:
  qn_batch_free(batch);
  return status;
}

static qn_status flush_destination(qn_exchange *exchange, int destination, qn_error *err) {
  qn_status status = QN_OK;
  qn_destination *to = &exchange->destinations[destination];

  if (destination == exchange->rank) {
    return flush_own(exchange, err);
  }
  if (to->builder.rows.n_rows == 0) {
    return QN_OK;
  }
  QN_TRY(wait_for_room(exchange, destination, err));
  if (to->builder.rows.n_rows > 0) { // else somebody has flushed it meanwhile
    qn_parcel *parcel = to->parcel;
    const int64_t size = qn_wire_builder_seal(&to->builder);
    if (parcel->header.slab != 0) {
      parcel->header.slab_bytes = size;
    } else {
      parcel->buffer.size = QN_HEADER_BYTES + size;
    }
    grow_next(exchange, to);
    status = post(exchange, destination, parcel, err);
    close_buffer(exchange, to);
  }

done:
  return status;
}

qn_status qn_exchange_flush_destinations(qn_exchange *exchange, qn_error *err) {
  qn_status status = QN_OK;
  for (int i = 1; i <= exchange->size; i++) { // this rank's own come last: delivering may take its time
    QN_TRY(flush_destination(exchange, (exchange->rank + i) % exchange->size, err));
  }

done:
  return status;
}

// Before a buffer is opened: sends others, one after the other, while all together are too much.
static qn_status make_room(qn_exchange *exchange, int64_t more_bytes, qn_error *err) {
  qn_status status = QN_OK;
  for (int n = 0; n < exchange->size && exchange->open_bytes + more_bytes > exchange->most_open_bytes; n++) {
    exchange->hand = (exchange->hand + 1) % exchange->size;
    if (exchange->destinations[exchange->hand].open_bytes > 0) {
      QN_TRY(flush_destination(exchange, exchange->hand, err));
    }
  }

done:
  return status;
}

static void advance(qn_selection *rows, int64_t n) {
  rows->first += n;
  rows->rows = rows->rows != NULL ? rows->rows + n : NULL;
  rows->n_rows -= n;
}

// The first row does not fit into any buffer: it goes alone, unless others have come before it while it
// waited.
static qn_status send_alone(qn_exchange *exchange, int destination, qn_selection *rows, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *row = NULL;
  qn_parcel *parcel = NULL;

  QN_TRY(wait_for_room(exchange, destination, err));
  if (exchange->destinations[destination].builder.rows.n_rows == 0) {
    QN_TRY(qn_batch_slice(rows->batch, rows->rows != NULL ? rows->rows[0] : rows->first, 1, &row, err));
    QN_TRY(pack(exchange, row, &parcel, err));
    QN_TRY(post(exchange, destination, parcel, err));
    advance(rows, 1);
  }

done:
  qn_batch_free(row);
  qn_parcel_free(parcel);
  return status;
}

// Puts in as many of the rows as have room, or does what makes room for more.
static qn_status append_some(qn_exchange *exchange, int destination, qn_selection *rows, qn_error *err) {
  qn_status status = QN_OK;
  qn_destination *to = &exchange->destinations[destination];

  if (to->parcel == NULL) {
    QN_TRY(make_room(exchange, to->next_bytes, err));
  }
  if (to->parcel == NULL) {
    QN_TRY(open_buffer(exchange, destination, rows->batch, err));
  }
  const int64_t n = qn_wire_builder_count_fitting(&to->builder, rows);
  if (n > 0) {
    QN_TRY(qn_wire_builder_append(&to->builder, rows, n, err));
    advance(rows, n);
  } else if (to->builder.rows.n_rows > 0) {
    QN_TRY(flush_destination(exchange, destination, err));
  } else {
    const bool is_slab = to->open_bytes == 0;
    close_buffer(exchange, to);
    if (!grow_next(exchange, to) || is_slab) {
      QN_TRY(send_alone(exchange, destination, rows, err));
    }
  }

done:
  return status;
}

// What stays here is handed over in batches of the usual size.
static qn_status append_own(qn_exchange *exchange, qn_selection *rows, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch_builder *own = &exchange->own;
  const int64_t room = QN_BATCH_ROWS - own->n_rows;
  const int64_t n = rows->n_rows < room ? rows->n_rows : room;

  if (own->n_rows == 0) {
    for (int i = 0; i < own->n_columns; i++) {
      QN_TRY(qn_column_builder_reserve(&own->columns[i], QN_BATCH_ROWS, 0, err));
    }
  }
  if (n == 0 || qn_batch_builder_n_bytes(own) > exchange->buffer_bytes) {
    QN_TRY(flush_own(exchange, err));
    return QN_OK;
  }
  if (rows->rows != NULL) {
    QN_TRY(qn_batch_builder_append_gather(own, rows->batch, rows->rows, n, err));
  } else {
    QN_TRY(qn_batch_builder_append_range(own, rows->batch, rows->first, n, err));
  }
  advance(rows, n);

done:
  return status;
}

qn_status qn_exchange_append(qn_exchange *exchange, int destination, qn_selection rows, qn_error *err) {
  qn_status status = QN_OK;
  const bool is_whole = rows.rows == NULL && rows.n_rows == rows.batch->n_rows && rows.n_rows > 0;
  if (destination == exchange->rank && is_whole &&
      (rows.n_rows >= QN_BATCH_ROWS / 2 || exchange->size == 1)) { // stays as it is
    QN_TRY(flush_own(exchange, err));
    QN_TRY(qn_exchange_keep(exchange, rows.batch, err));
    return QN_OK;
  }
  while (rows.n_rows > 0) {
    if (destination == exchange->rank) {
      QN_TRY(append_own(exchange, &rows, err));
    } else {
      QN_TRY(append_some(exchange, destination, &rows, err));
    }
  }

done:
  return status;
}

// --- Rows for all

// The rows of a builder as a batch that owns nothing, so that the builder keeps its memory.
static qn_status view_builder(const qn_batch_builder *builder, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_column *columns = calloc((size_t)builder->n_columns + 1, sizeof *columns);

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for a batch of %d columns", builder->n_columns);
  for (int i = 0; i < builder->n_columns; i++) {
    const qn_column_builder *from = &builder->columns[i];
    const bool is_text = qn_type_is_text(from->type);
    columns[i] = (qn_column){.type = from->type,
                             .n_rows = from->n_rows,
                             .n_nulls = from->n_nulls,
                             .validity = from->n_nulls > 0 ? from->validity.data : NULL,
                             .values = is_text ? NULL : from->values.data,
                             .offsets = is_text ? (const int32_t *)(const void *)from->values.data : NULL,
                             .bytes = is_text ? from->bytes.data : NULL};
  }
  QN_TRY(qn_batch_new_take(builder->schema, builder->n_rows, columns, out, err));

done:
  free(columns);
  return status;
}

qn_status qn_exchange_flush_to_all(qn_exchange *exchange, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *view = NULL;
  qn_parcel *parcel = NULL;
  if (exchange->to_all.n_rows == 0) {
    return QN_OK;
  }
  QN_TRY(view_builder(&exchange->to_all, &view, err));
  QN_TRY(pack(exchange, view, &parcel, err));
  qn_batch_builder_clear(&exchange->to_all);
  for (int i = 1; i < exchange->size; i++) {
    const int destination = (exchange->rank + i) % exchange->size;
    QN_TRY(wait_for_room(exchange, destination, err));
    QN_TRY(post(exchange, destination, parcel, err));
  }

done:
  qn_batch_free(view);
  qn_parcel_free(parcel);
  return status;
}

static int64_t count_row_bytes(const qn_batch *batch, int64_t row) {
  int64_t n_bytes = 1;
  for (int i = 0; i < batch->n_columns; i++) {
    const qn_column *column = &batch->columns[i];
    n_bytes += column->offsets != NULL ? column->offsets[row + 1] - column->offsets[row] + 4
                                       : qn_type_width(column->type);
  }
  return n_bytes;
}

// How many rows, from `first` on, have room in the buffer for all; a row that is larger goes alone.
static int64_t count_taken(const qn_exchange *exchange, const qn_selection *rows) {
  int64_t room = exchange->buffer_bytes - qn_batch_builder_n_bytes(&exchange->to_all);
  int64_t n = 0;
  while (n < rows->n_rows && room > 0) {
    room -= count_row_bytes(rows->batch, rows->first + n);
    n += room >= 0;
  }
  return n == 0 && exchange->to_all.n_rows == 0 ? 1 : n;
}

qn_status qn_exchange_append_to_all(qn_exchange *exchange, qn_selection rows, qn_error *err) {
  qn_status status = QN_OK;
  while (exchange->size > 1 && rows.n_rows > 0) {
    const int64_t n = count_taken(exchange, &rows);
    if (n > 0) {
      QN_TRY(qn_batch_builder_append_range(&exchange->to_all, rows.batch, rows.first, n, err));
      advance(&rows, n);
    } else {
      QN_TRY(qn_exchange_flush_to_all(exchange, err));
    }
  }

done:
  return status;
}

void qn_exchange_drop_outbox(qn_exchange *exchange) {
  for (int i = 0; exchange->destinations != NULL && i < exchange->size; i++) {
    qn_destination *to = &exchange->destinations[i];
    qn_departure *departure = to->first;
    to->first = to->last = NULL;
    while (departure != NULL) {
      qn_departure *next = departure->next;
      qn_parcel_free(departure->parcel);
      free(departure);
      departure = next;
    }
    qn_wire_builder_release(&to->builder);
    close_buffer(exchange, to);
  }
}
