// SPDX-License-Identifier: Apache-2.0
// The sending half of an exchange. Rows are sorted by destination and gathered into one builder per
// destination; a full one is encoded and sent. Any wait may deliver rows, and whoever gets them may scatter
// into this exchange again, so nothing is held half-done across a wait: rooms are looked at anew, and working
// space is taken along.
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/wire.h"
#include "comm/exchange_state.h"

// Rows of a batch: rows[0 .. n_rows - 1], or n_rows rows from `first` on if rows is NULL.
typedef struct {
  const qn_batch *batch;
  int64_t batch_bytes;
  const int32_t *rows;
  int64_t first;
  int64_t n_rows;
} selection;

static selection select_all(const qn_batch *batch) {
  return (selection){.batch = batch, .batch_bytes = qn_batch_n_bytes(batch), .n_rows = batch->n_rows};
}

qn_status qn_exchange_depart(qn_exchange *exchange, int destination, qn_error *err) {
  qn_status status = QN_OK;
  qn_destination *to = &exchange->destinations[destination];
  while (status == QN_OK && to->first != NULL && to->n_unacknowledged < exchange->window) {
    qn_departure *departure = to->first;
    to->first = departure->next;
    if (to->first == NULL) {
      to->last = NULL;
    }
    to->n_unacknowledged++;
    exchange->counts.messages_sent++;
    exchange->counts.bytes_sent += qn_parcel_payload_bytes(departure->parcel);
    status = qn_transport_send(&exchange->comm->transport, destination, departure->parcel, err);
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

static qn_status pack(const qn_exchange *exchange, const qn_batch *batch, qn_parcel **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_parcel *parcel = NULL;
  const qn_message_header header = qn_comm_header(exchange->comm, QN_MESSAGE_ROWS, exchange->channel, 0);
  QN_TRY(qn_parcel_new(&header, qn_wire_size(batch), &parcel, err));
  QN_TRY(qn_wire_encode(batch, &parcel->buffer, err));
  *out = parcel;
  parcel = NULL;

done:
  qn_parcel_free(parcel);
  return status;
}

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

// Encodes all rows of a builder and empties it.
static qn_status pack_builder(const qn_exchange *exchange, qn_batch_builder *builder, qn_parcel **out,
                              qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *view = NULL;
  QN_TRY(view_builder(builder, &view, err));
  QN_TRY(pack(exchange, view, out, err));
  qn_batch_builder_clear(builder);

done:
  qn_batch_free(view);
  return status;
}

static qn_status flush_own(qn_exchange *exchange, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  qn_batch_builder *builder = &exchange->destinations[exchange->rank].builder;
  if (builder->n_rows > 0) {
    QN_TRY(qn_batch_builder_finish(builder, &batch, err));
    QN_TRY(qn_exchange_keep(exchange, batch, err));
  }

done:
  qn_batch_free(batch);
  return status;
}

static qn_status flush_destination(qn_exchange *exchange, int destination, qn_error *err) {
  qn_status status = QN_OK;
  qn_parcel *parcel = NULL;
  qn_batch_builder *builder = &exchange->destinations[destination].builder;

  if (destination == exchange->rank) {
    return flush_own(exchange, err);
  }
  if (builder->n_rows == 0) {
    return QN_OK;
  }
  QN_TRY(wait_for_room(exchange, destination, err));
  if (builder->n_rows > 0) { // else somebody has flushed it meanwhile
    QN_TRY(pack_builder(exchange, builder, &parcel, err));
    QN_TRY(post(exchange, destination, parcel, err));
  }

done:
  qn_parcel_free(parcel);
  return status;
}

static qn_status flush_to_all(qn_exchange *exchange, qn_error *err) {
  qn_status status = QN_OK;
  qn_parcel *parcel = NULL;
  if (exchange->to_all.n_rows == 0) {
    return QN_OK;
  }
  QN_TRY(pack_builder(exchange, &exchange->to_all, &parcel, err));
  for (int i = 1; i < exchange->size; i++) {
    const int destination = (exchange->rank + i) % exchange->size;
    QN_TRY(wait_for_room(exchange, destination, err));
    QN_TRY(post(exchange, destination, parcel, err));
  }

done:
  qn_parcel_free(parcel);
  return status;
}

static qn_status flush_destinations(qn_exchange *exchange, qn_error *err) {
  qn_status status = QN_OK;
  for (int i = 1; i <= exchange->size; i++) {
    QN_TRY(flush_destination(exchange, (exchange->rank + i) % exchange->size, err));
  }

done:
  return status;
}

qn_status qn_exchange_flush(qn_exchange *exchange, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(flush_to_all(exchange, err));
  QN_TRY(flush_destinations(exchange, err));

done:
  return status;
}

static int64_t count_row_bytes(const qn_exchange *exchange, const qn_batch *batch, int64_t row) {
  int64_t n_bytes = exchange->row_bytes;
  for (int i = 0; i < batch->n_columns; i++) {
    const qn_column *column = &batch->columns[i];
    if (column->offsets != NULL) {
      n_bytes += column->offsets[row + 1] - column->offsets[row];
    }
  }
  return n_bytes;
}

// How many of the rows fit into `room` bytes.
static int64_t count_fitting(const qn_exchange *exchange, const selection *rows, int64_t room) {
  if (!exchange->has_text) {
    const int64_t n_fitting = room > 0 ? room / exchange->row_bytes : 0;
    return n_fitting < rows->n_rows ? n_fitting : rows->n_rows;
  }
  if (rows->batch_bytes <= room) {
    return rows->n_rows;
  }
  int64_t n_bytes = 0;
  for (int64_t i = 0; i < rows->n_rows; i++) {
    n_bytes += count_row_bytes(exchange, rows->batch, rows->rows != NULL ? rows->rows[i] : rows->first + i);
    if (n_bytes > room) {
      return i;
    }
  }
  return rows->n_rows;
}

static void advance(selection *rows, int64_t n) {
  rows->first += n;
  rows->rows = rows->rows != NULL ? rows->rows + n : NULL;
  rows->n_rows -= n;
}

static qn_status append_rows(qn_batch_builder *builder, const selection *rows, int64_t n, qn_error *err) {
  return rows->rows != NULL ? qn_batch_builder_append_gather(builder, rows->batch, rows->rows, n, err)
                            : qn_batch_builder_append_range(builder, rows->batch, rows->first, n, err);
}

// How many of the rows go into a builder now; 0 if it must be emptied first. A row that is larger than a
// whole buffer goes alone. What stays here is handed over in batches of the usual size.
static int64_t count_taken(const qn_exchange *exchange, const qn_batch_builder *builder,
                           const selection *rows) {
  int64_t n = count_fitting(exchange, rows, exchange->buffer_bytes - qn_batch_builder_n_bytes(builder));
  if (builder == &exchange->destinations[exchange->rank].builder && n > QN_BATCH_ROWS - builder->n_rows) {
    n = QN_BATCH_ROWS - builder->n_rows;
  }
  return n == 0 && builder->n_rows == 0 ? 1 : n;
}

static qn_status append(qn_exchange *exchange, int destination, selection rows, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch_builder *builder = &exchange->destinations[destination].builder;
  while (rows.n_rows > 0) {
    const int64_t n = count_taken(exchange, builder, &rows);
    if (n > 0) {
      QN_TRY(append_rows(builder, &rows, n, err));
      advance(&rows, n);
    } else {
      QN_TRY(flush_destination(exchange, destination, err));
    }
  }

done:
  return status;
}

// Sends large rows without the detour through the builder.
static qn_status send_pieces(qn_exchange *exchange, int destination, selection rows, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *piece = NULL;
  qn_parcel *parcel = NULL;

  QN_TRY(flush_destination(exchange, destination, err));
  while (rows.n_rows > 0) {
    const int64_t n_fitting = count_fitting(exchange, &rows, exchange->buffer_bytes);
    const int64_t n = n_fitting > 0 ? n_fitting : 1;
    QN_TRY(wait_for_room(exchange, destination, err));
    QN_TRY(qn_batch_slice(rows.batch, rows.first, n, &piece, err));
    QN_TRY(pack(exchange, piece, &parcel, err));
    QN_TRY(post(exchange, destination, parcel, err));
    advance(&rows, n);
    qn_batch_free(piece);
    qn_parcel_free(parcel);
    piece = NULL;
    parcel = NULL;
  }

done:
  qn_batch_free(piece);
  qn_parcel_free(parcel);
  return status;
}

static qn_status send_all(qn_exchange *exchange, int destination, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const selection rows = select_all(batch);
  if (destination == exchange->rank) {
    QN_TRY(flush_own(exchange, err));
    QN_TRY(qn_exchange_keep(exchange, batch, err));
  } else if (rows.batch_bytes >= exchange->buffer_bytes / 2) {
    QN_TRY(send_pieces(exchange, destination, rows, err));
  } else {
    QN_TRY(append(exchange, destination, rows, err));
  }

done:
  return status;
}

static qn_status check_batch(const qn_exchange *exchange, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(qn_exchange_check(exchange, err));
  QN_REQUIRE(!exchange->is_finished, err, QN_ERR_ARG, "rows for an exchange that is finished");
  QN_REQUIRE(batch->schema == exchange->schema || qn_schema_is_equal(batch->schema, exchange->schema), err,
             QN_ERR_TYPE,
             "a batch of %d columns has another schema than the exchange of %d columns it goes into",
             batch->n_columns, exchange->schema->n_columns);

done:
  return status;
}

qn_status qn_exchange_send(qn_exchange *exchange, const qn_batch *batch, int destination, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(check_batch(exchange, batch, err));
  QN_REQUIRE(destination >= 0 && destination < exchange->size, err, QN_ERR_ARG,
             "rows for rank %d of %d ranks", destination, exchange->size);
  QN_TRY(qn_comm_poll(exchange->comm, err));
  QN_TRY(flush_to_all(exchange, err));
  if (batch->n_rows > 0) {
    exchange->counts.rows_sent += batch->n_rows;
    QN_TRY(send_all(exchange, destination, batch, err));
  }

done:
  return status;
}

qn_status qn_exchange_broadcast(qn_exchange *exchange, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(check_batch(exchange, batch, err));
  QN_TRY(qn_comm_poll(exchange->comm, err));
  QN_TRY(flush_destinations(exchange, err));
  exchange->counts.rows_sent += batch->n_rows * exchange->size;
  selection rows = select_all(batch);
  while (exchange->size > 1 && rows.n_rows > 0) {
    const int64_t n = count_taken(exchange, &exchange->to_all, &rows);
    if (n > 0) {
      QN_TRY(append_rows(&exchange->to_all, &rows, n, err));
      advance(&rows, n);
    } else {
      QN_TRY(flush_to_all(exchange, err));
    }
  }
  if (batch->n_rows > 0) {
    QN_TRY(qn_exchange_keep(exchange, batch, err));
  }

done:
  return status;
}

static qn_status check_destinations(const qn_exchange *exchange, const int32_t *destinations, int64_t n_rows,
                                    qn_error *err) {
  uint32_t highest = 0;
  for (int64_t i = 0; i < n_rows; i++) {
    highest = (uint32_t)destinations[i] > highest ? (uint32_t)destinations[i] : highest;
  }
  if (highest < (uint32_t)exchange->size) {
    return QN_OK;
  }
  int64_t row = 0;
  while ((uint32_t)destinations[row] < (uint32_t)exchange->size) {
    row++;
  }
  return qn_fail(err, QN_ERR_VALUE,
                 "row %" PRId64 " of a batch is for rank %" PRId32 "; there are ranks 0 to %d", row,
                 destinations[row], exchange->size - 1);
}

// Sorts the rows by destination: those of rank r end before ends[r], in their order.
static qn_status partition_rows(const qn_exchange *exchange, const int32_t *destinations, int64_t n_rows,
                                qn_partition *partition, qn_error *err) {
  qn_status status = QN_OK;
  if (partition->ends == NULL) {
    partition->ends = qn_memory_alloc((int64_t)exchange->size * 8);
    QN_REQUIRE(partition->ends != NULL, err, QN_ERR_MEMORY, "no memory to sort rows by rank");
  }
  if (partition->capacity < n_rows) {
    int32_t *rows = qn_memory_resize(partition->rows, n_rows * 4);
    QN_REQUIRE(rows != NULL, err, QN_ERR_MEMORY, "no memory to sort %" PRId64 " rows by rank", n_rows);
    partition->rows = rows;
    partition->capacity = n_rows;
  }
  int64_t *ends = partition->ends;
  memset(ends, 0, (size_t)exchange->size * 8);
  for (int64_t i = 0; i < n_rows; i++) {
    ends[destinations[i]]++;
  }
  int64_t start = 0;
  for (int i = 0; i < exchange->size; i++) {
    const int64_t n = ends[i];
    ends[i] = start;
    start += n;
  }
  for (int64_t i = 0; i < n_rows; i++) {
    partition->rows[ends[destinations[i]]++] = (int32_t)i;
  }

done:
  return status;
}

static void release_partition(qn_partition *partition) {
  qn_memory_free(partition->rows);
  qn_memory_free(partition->ends);
  *partition = (qn_partition){0};
}

// At most INT32_MAX rows with valid destinations.
static qn_status scatter_rows(qn_exchange *exchange, const qn_batch *batch, const int32_t *destinations,
                              qn_error *err) {
  qn_status status = QN_OK;
  qn_partition partition = exchange->partition;
  exchange->partition = (qn_partition){0};

  QN_TRY(partition_rows(exchange, destinations, batch->n_rows, &partition, err));
  const int first = destinations[0];
  if (partition.ends[first] - (first > 0 ? partition.ends[first - 1] : 0) == batch->n_rows) {
    QN_TRY(send_all(exchange, first, batch, err));
    goto done;
  }
  const int64_t batch_bytes = qn_batch_n_bytes(batch);
  for (int i = 1; i <= exchange->size; i++) { // this rank's own come last: delivering may take its time
    const int to = (exchange->rank + i) % exchange->size;
    const int64_t start = to > 0 ? partition.ends[to - 1] : 0;
    const selection rows = {.batch = batch,
                            .batch_bytes = batch_bytes,
                            .rows = partition.rows + start,
                            .n_rows = partition.ends[to] - start};
    QN_TRY(append(exchange, to, rows, err));
  }

done:
  if (exchange->partition.ends == NULL) {
    exchange->partition = partition;
    partition = (qn_partition){0};
  }
  release_partition(&partition);
  return status;
}

enum { ROWS_AT_ONCE = 1 << 30 }; // row numbers have 32 bits

static qn_status scatter_parts(qn_exchange *exchange, const qn_batch *batch, const int32_t *destinations,
                               qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *part = NULL;
  for (int64_t first = 0; first < batch->n_rows; first += ROWS_AT_ONCE) {
    const int64_t left = batch->n_rows - first;
    QN_TRY(qn_batch_slice(batch, first, left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE, &part, err));
    QN_TRY(scatter_rows(exchange, part, destinations + first, err));
    qn_batch_free(part);
    part = NULL;
  }

done:
  qn_batch_free(part);
  return status;
}

qn_status qn_exchange_scatter(qn_exchange *exchange, const qn_batch *batch, const int32_t *destinations,
                              qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(check_batch(exchange, batch, err));
  QN_TRY(check_destinations(exchange, destinations, batch->n_rows, err));
  QN_TRY(qn_comm_poll(exchange->comm, err));
  QN_TRY(flush_to_all(exchange, err));
  exchange->counts.rows_sent += batch->n_rows;
  if (exchange->size == 1 && batch->n_rows > 0) {
    QN_TRY(qn_exchange_keep(exchange, batch, err));
  } else if (batch->n_rows > 0 && batch->n_rows <= ROWS_AT_ONCE) {
    QN_TRY(scatter_rows(exchange, batch, destinations, err));
  } else {
    QN_TRY(scatter_parts(exchange, batch, destinations, err));
  }

done:
  return status;
}
