// SPDX-License-Identifier: Apache-2.0
// Ranks of a node write side by side into one file that they have mapped. What another node has of a rank
// goes to one rank there, which writes it down: a rank's bytes go once to each node, in messages of bounded
// size.
#include "comm/node_room.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/check.h"
#include "base/mapped_room.h"
#include "base/memory.h"
#include "column/builder.h"
#include "comm/comm_state.h"
#include "comm/exchange.h"
#include "comm/node_file.h"

enum {
  PIECE_BYTES = 64 << 10,  // of a run that travel as one row
  BATCH_BYTES = 256 << 10, // of rows that are sent together
  BATCH_PIECES = 1024,
};

typedef struct qn_node_room_inside {
  qn_mapped_room own; // if it is not shared
  int64_t counted_bytes;
  int *receivers; // ranks that write this rank's bytes down for others
  int n_receivers;
} room_inside;

// --- Where it lies ----------------------------------------------------------------------------------------

// One file for the ranks of a node: in memory, or else in scratch; -1 if neither can be shared.
static qn_status open_shared(qn_comm *comm, qn_node_room *room, const char *scratch, const char *what,
                             int *file, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_here = qn_comm_node_size(comm);
  const int64_t part = (room->n_bytes + n_here - 1) / n_here;
  const bool can = scratch == NULL || !qn_memory_is_tight(part + part / 4);

  QN_TRY(qn_node_file_new(comm, room->n_bytes, can, NULL, what, file, err));
  if (*file >= 0) {
    room->inside->counted_bytes = part;
    qn_memory_count_shared(part);
  } else if (scratch != NULL) {
    QN_TRY(qn_node_file_new(comm, room->n_bytes, true, scratch, what, file, err));
    room->is_mapped = *file >= 0;
  }

done:
  return status;
}

static qn_status take_room(qn_comm *comm, qn_node_room *room, const char *scratch, const char *what,
                           qn_error *err) {
  qn_status status = QN_OK;
  int file = -1;

  if (room->n_bytes >= comm->least_node_memory && qn_comm_n_nodes(comm) < comm->size) {
    QN_TRY(open_shared(comm, room, scratch, what, &file, err));
  }
  if (file < 0) {
    QN_TRY(qn_mapped_room_take(scratch, room->n_bytes, 1, what, &room->inside->own, err));
    room->data = room->inside->own.data;
    room->is_mapped = room->inside->own.is_mapped;
    goto done;
  }
  void *data = NULL;
  QN_TRY(qn_map_file(file, room->n_bytes, what, &data, err));
  room->data = data;
  room->is_shared = true;
  if (!room->is_mapped) {
    qn_ask_for_huge_pages(data, room->n_bytes);
  } else if (qn_comm_node_rank(comm) == 0) {
    qn_memory_count_spilled(room->n_bytes, 1);
  }

done:
  if (file >= 0) {
    close(file); // the mapping keeps it
  }
  return status;
}

// Of another node that which has this one's number there, or as near as there is; of ranks that share
// nothing each.
static qn_status find_receivers(const qn_comm *comm, qn_node_room *room, qn_error *err) {
  qn_status status = QN_OK;
  const qn_comm_place own = comm->nodes.places[comm->rank];
  int *n_on = calloc((size_t)comm->nodes.n_nodes, sizeof *n_on);

  room->inside->receivers = calloc((size_t)comm->size, sizeof(int));
  QN_REQUIRE(n_on != NULL && room->inside->receivers != NULL, err, QN_ERR_MEMORY, "no memory for %d ranks",
             comm->size);
  for (int rank = 0; rank < comm->size; rank++) {
    n_on[comm->nodes.places[rank].node]++;
  }
  for (int rank = 0; rank < comm->size; rank++) {
    const qn_comm_place place = comm->nodes.places[rank];
    const bool is_there = room->is_shared
                              ? place.node != own.node && place.index == own.index % n_on[place.node]
                              : rank != comm->rank;
    if (is_there) {
      room->inside->receivers[room->inside->n_receivers++] = rank;
    }
  }

done:
  free(n_on);
  return status;
}

qn_status qn_node_room_new(qn_comm *comm, int64_t bytes, const char *scratch, const char *what,
                           qn_node_room **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_node_room *room = calloc(1, sizeof *room);

  QN_REQUIRE(room != NULL, err, QN_ERR_MEMORY, "no memory for %s", what);
  room->inside = calloc(1, sizeof *room->inside);
  QN_REQUIRE(room->inside != NULL, err, QN_ERR_MEMORY, "no memory for %s", what);
  room->n_bytes = bytes;
  QN_TRY(take_room(comm, room, scratch, what, err));
  QN_TRY(find_receivers(comm, room, err));
  *out = room;
  room = NULL;

done:
  qn_node_room_free(room);
  return status;
}

void qn_node_room_free(qn_node_room *room) {
  if (room == NULL) {
    return;
  }
  if (room->is_shared) {
    munmap(room->data, (size_t)room->n_bytes);
  }
  if (room->inside != NULL) {
    qn_mapped_room_release(&room->inside->own);
    qn_memory_count_shared(-room->inside->counted_bytes);
    free(room->inside->receivers);
  }
  free(room->inside);
  free(room);
}

void qn_node_room_let_go(const qn_node_room *room) {
  if (room->is_mapped) {
    madvise(room->data, (size_t)room->n_bytes, MADV_DONTNEED);
  }
}

// --- To other nodes ---------------------------------------------------------------------------------------

typedef struct sender {
  qn_node_room *room;
  qn_schema *schema;
  qn_exchange *exchange;
  qn_batch_builder builder;
  int64_t n_waiting; // bytes in the builder
} sender;

static qn_status write_down(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  qn_status status = QN_OK;
  const qn_node_room *room = ctx;

  for (int64_t i = 0; i < batch->n_rows; i++) {
    const int64_t at = qn_column_int64(&batch->columns[0], i);
    const qn_text bytes = qn_column_text(&batch->columns[1], i);
    QN_REQUIRE(at >= 0 && at <= room->n_bytes - bytes.size, err, QN_ERR_MPI,
               "bytes from rank %d are for no place in the memory of a node", from_rank);
    memcpy(room->data + at, bytes.data, (size_t)bytes.size);
  }

done:
  return status;
}

static qn_status send_waiting(sender *from, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;
  const room_inside *inside = from->room->inside;

  if (from->builder.n_rows == 0) {
    return QN_OK;
  }
  QN_TRY(qn_batch_builder_finish(&from->builder, &batch, err));
  from->n_waiting = 0;
  for (int i = 0; i < inside->n_receivers; i++) {
    QN_TRY(qn_exchange_send(from->exchange, batch, inside->receivers[i], err));
  }

done:
  qn_batch_free(batch);
  return status;
}

static qn_status send_run(sender *from, int64_t at, int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  qn_column_builder *columns = from->builder.columns;

  for (int64_t end = at + n; at < end;) {
    const int64_t size = end - at < PIECE_BYTES ? end - at : PIECE_BYTES;
    QN_TRY(qn_column_builder_append_value(&columns[0], &at, err));
    QN_TRY(qn_column_builder_append_text(&columns[1], from->room->data + at, size, err));
    from->builder.n_rows++;
    from->n_waiting += size;
    at += size;
    if (from->n_waiting >= BATCH_BYTES || from->builder.n_rows >= BATCH_PIECES) {
      QN_TRY(send_waiting(from, err));
      qn_node_room_let_go(from->room);
    }
  }

done:
  return status;
}

static qn_status send_parts(qn_comm *comm, qn_node_room *room, const qn_node_room_part *parts, int n_parts,
                            qn_error *err) {
  qn_status status = QN_OK;
  sender from = {.room = room};
  const qn_exchange_options options = {.route = QN_ROUTE_DIRECT};

  QN_TRY(qn_schema_parse("place int64, bytes binary", &from.schema, err));
  QN_TRY(qn_batch_builder_init(&from.builder, from.schema, err));
  QN_TRY(qn_exchange_open(comm, from.schema, &options, write_down, room, &from.exchange, err));
  for (int i = 0; i < n_parts; i++) {
    for (int64_t run = 0; run < parts[i].n_runs; run++) {
      QN_TRY(send_run(&from, parts[i].first + run * parts[i].stride, parts[i].n, err));
    }
  }
  QN_TRY(send_waiting(&from, err));
  QN_TRY(qn_exchange_finish(from.exchange, err));

done:
  qn_exchange_close(from.exchange);
  qn_batch_builder_release(&from.builder);
  qn_schema_free(from.schema);
  return status;
}

qn_status qn_node_room_share(qn_comm *comm, qn_node_room *room, const qn_node_room_part *parts, int n_parts,
                             qn_error *err) {
  qn_status status = QN_OK;

  if (room->is_shared ? qn_comm_n_nodes(comm) > 1 : comm->size > 1) {
    QN_TRY(send_parts(comm, room, parts, n_parts, err));
  }
  QN_TRY(qn_comm_barrier(comm, err)); // what others of this node write down is here, too
  if (room->is_shared) {
    (void)mprotect(room->data, (size_t)room->n_bytes, PROT_READ);
  }
  qn_node_room_let_go(room);

done:
  return status;
}
