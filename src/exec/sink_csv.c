// SPDX-License-Identifier: Apache-2.0
// One CSV file from all ranks, a temporary one that rank 0 renames at the end, so that it appears whole or
// not at all. Rank 0's rows are the first: it writes its text at once. The others do not know their place
// before all sizes are known; they keep their text, in memory as long as that is a small part of the budget,
// then in a file of their own beside the target, and write it to its place at the end.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/files.h"
#include "base/memory.h"
#include "exec/sinks.h"
#include "io/csv_format.h"

enum {
  PIECE_BYTES = 256 << 10, // of text before it goes on; it is still in the cache then
  COPY_BYTES = 4 << 20
};

typedef struct csv_op {
  qn_op op;
  qn_csv_sink *sink;
  qn_schema *raw_schema; // the rows' schema with text for bytes, if they are to be written as they are
  qn_buffer text;        // the last piece
  qn_buffer *pieces;     // before it, in memory
  int64_t n_pieces, pieces_capacity, piece_bytes;
  int own_fd; // before these, what did not stay in memory; unlinked from the start
  int64_t own_bytes;
  int fd; // the temporary file
  int64_t n_written;
} csv_op;

char *qn_temporary_path(const char *path) {
  const char *slash = strrchr(path, '/');
  const int folder = slash == NULL ? 0 : (int)(slash - path) + 1;
  char *temporary = NULL;

  return asprintf(&temporary, "%.*s.%s.tmp", folder, path, path + folder) < 0 ? NULL : temporary;
}

static qn_status fail_errno(qn_error *err, const char *path, const char *what) {
  const int code = errno;
  return qn_fail(err, QN_ERR_IO, "%s: cannot %s: %s%s", path, what, strerror(code),
                 qn_advice_on_writing(code));
}

static qn_status open_own(csv_op *state, qn_error *err) {
  qn_status status = QN_OK;
  char *own = NULL;

  QN_REQUIRE(asprintf(&own, "%s-%d", state->sink->temporary, qn_comm_rank(state->op.run->comm)) >= 0, err,
             QN_ERR_MEMORY, "no memory for a file name");
  state->own_fd = open(own, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (state->own_fd < 0) {
    status = fail_errno(err, own, "create");
    goto done;
  }
  unlink(own);

done:
  free(own);
  return status;
}

static void release_pieces(csv_op *state) {
  for (int64_t i = 0; i < state->n_pieces; i++) {
    qn_buffer_release(&state->pieces[i]);
  }
  state->n_pieces = 0;
  state->piece_bytes = 0;
}

// Writes the pieces in memory at an offset of a file and lets them go.
static qn_status write_pieces(csv_op *state, int fd, int64_t offset, qn_error *err) {
  qn_status status = QN_OK;

  for (int64_t i = 0; i < state->n_pieces; i++) {
    QN_TRY(
        qn_file_write_at(fd, state->sink->path, state->pieces[i].data, state->pieces[i].size, offset, err));
    offset += state->pieces[i].size;
  }
  release_pieces(state);

done:
  return status;
}

static qn_status put_out_pieces(csv_op *state, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_bytes = state->piece_bytes;

  if (state->own_fd < 0) {
    QN_TRY(open_own(state, err));
  }
  QN_TRY(write_pieces(state, state->own_fd, state->own_bytes, err));
  state->own_bytes += n_bytes;

done:
  return status;
}

static bool are_pieces_many(const csv_op *state) {
  const int64_t budget = qn_memory_budget();
  const int64_t most = budget > 0 ? budget / 8 : INT64_MAX;
  return state->piece_bytes > most || qn_memory_is_tight(2 * PIECE_BYTES);
}

static qn_status keep_text(csv_op *state, qn_error *err) {
  qn_status status = QN_OK;

  if (state->n_pieces == state->pieces_capacity) {
    const int64_t capacity = 2 * state->pieces_capacity + 16;
    qn_buffer *pieces = realloc(state->pieces, (size_t)capacity * sizeof *pieces);
    QN_REQUIRE(pieces != NULL, err, QN_ERR_MEMORY, "no memory to write %s", state->sink->path);
    state->pieces = pieces;
    state->pieces_capacity = capacity;
  }
  // growing by doubling may have taken twice as much
  uint8_t *fitting = qn_memory_resize(state->text.data, state->text.size);
  if (fitting != NULL) {
    state->text.data = fitting;
    state->text.capacity = state->text.size;
  }
  state->piece_bytes += state->text.size;
  qn_buffer_move(&state->text, &state->pieces[state->n_pieces++]);
  if (are_pieces_many(state)) {
    QN_TRY(put_out_pieces(state, err));
  }

done:
  return status;
}

static qn_status write_text(csv_op *state, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_file_write_at(state->fd, state->sink->path, state->text.data, state->text.size, state->n_written,
                          err));
  state->n_written += state->text.size;
  state->text.size = 0;

done:
  return status;
}

static qn_status make_raw_schema(csv_op *state, const qn_schema *schema, qn_error *err) {
  qn_status status = QN_OK;
  qn_field *fields = calloc((size_t)schema->n_columns + 1, sizeof *fields);

  QN_REQUIRE(fields != NULL, err, QN_ERR_MEMORY, "no memory to write csv");
  for (int c = 0; c < schema->n_columns; c++) {
    fields[c] = schema->fields[c];
    fields[c].type = fields[c].type == QN_BINARY ? QN_UTF8 : fields[c].type;
  }
  QN_TRY(qn_schema_new(fields, schema->n_columns, &state->raw_schema, err));

done:
  free(fields);
  return status;
}

// The same rows with bytes called text, which is how they get into the file unchanged.
static qn_status call_bytes_text(const csv_op *state, const qn_batch *batch, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_column *columns = calloc((size_t)batch->n_columns + 1, sizeof *columns);

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory to write csv");
  for (int c = 0; c < batch->n_columns; c++) {
    columns[c] = qn_column_share(&batch->columns[c]);
    columns[c].type = state->raw_schema->fields[c].type;
  }
  QN_TRY(qn_batch_new_take(state->raw_schema, batch->n_rows, columns, out, err));

done:
  free(columns);
  return status;
}

static qn_status push_csv(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  csv_op *state = (csv_op *)op;
  qn_batch *raw = NULL;

  if (state->raw_schema != NULL) {
    QN_TRY(call_bytes_text(state, batch, &raw, err));
  }
  if (state->text.data == NULL) {
    QN_TRY(qn_buffer_reserve(&state->text, 2 * PIECE_BYTES, err));
  }
  QN_TRY(qn_csv_print_batch(raw != NULL ? raw : batch, state->sink->separator, &state->text, err));
  if (state->text.size >= PIECE_BYTES) {
    QN_TRY(state->fd >= 0 ? write_text(state, err) : keep_text(state, err));
  }

done:
  qn_batch_free(raw);
  return status;
}

// What is in the rank's own file, in memory, and the last piece, to their place.
static qn_status write_all(csv_op *state, int64_t offset, qn_error *err) {
  qn_status status = QN_OK;
  const char *path = state->sink->path;
  uint8_t *copy = NULL;

  if (state->own_bytes > 0) {
    copy = qn_memory_alloc(COPY_BYTES);
    QN_REQUIRE(copy != NULL, err, QN_ERR_MEMORY, "no memory to write %s", path);
  }
  for (int64_t at = 0; at < state->own_bytes; at += COPY_BYTES) {
    const int64_t left = state->own_bytes - at;
    const int64_t size = left < COPY_BYTES ? left : COPY_BYTES;
    QN_TRY(qn_file_read_at(state->own_fd, path, copy, size, at, err));
    QN_TRY(qn_file_write_at(state->fd, path, copy, size, offset + at, err));
  }
  state->n_written = offset + state->own_bytes + state->piece_bytes;
  QN_TRY(write_pieces(state, state->fd, offset + state->own_bytes, err));
  QN_TRY(write_text(state, err));

done:
  qn_memory_free(copy);
  return status;
}

static qn_status finish_csv(qn_op *op, qn_error *err) {
  qn_status status = QN_OK;
  csv_op *state = (csv_op *)op;
  qn_comm *comm = op->run->comm;
  qn_buffer all = {0};
  int64_t offset = 0;
  const int64_t own = state->n_written + state->own_bytes + state->piece_bytes + state->text.size;
  int64_t *sizes = calloc((size_t)qn_comm_size(comm), sizeof *sizes);

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory");
  QN_TRY(qn_comm_gather(comm, &own, sizeof own, &all, sizes,
                        err)); // rank 0 has made the file before it got here
  for (int r = 0; r < qn_comm_rank(comm); r++) {
    int64_t bytes = 0;
    memcpy(&bytes, all.data + (size_t)r * sizeof bytes, sizeof bytes);
    offset += bytes;
  }
  if (own > 0) {
    if (state->fd < 0) {
      state->fd = open(state->sink->temporary, O_WRONLY | O_CLOEXEC);
    }
    if (state->fd < 0) {
      status = fail_errno(err, state->sink->temporary, "open");
      goto done;
    }
    QN_TRY(write_all(state, offset + state->n_written, err));
    if (fsync(state->fd) != 0) {
      status = fail_errno(err, state->sink->path, "write");
      goto done;
    }
  }

done:
  free(sizes);
  qn_buffer_release(&all);
  return status;
}

static void close_csv(qn_op *op) {
  csv_op *state = (csv_op *)op;

  if (state->own_fd >= 0) {
    close(state->own_fd);
  }
  if (state->fd >= 0) {
    close(state->fd);
  }
  state->own_fd = state->fd = -1;
  qn_buffer_release(&state->text);
  release_pieces(state);
  free(state->pieces);
  state->pieces = NULL;
  qn_schema_free(state->raw_schema);
  state->raw_schema = NULL;
  free(state->sink->temporary);
  state->sink->temporary = NULL;
}

static const qn_op_ops csv_ops = {.name = "write csv",
                                  .state_size = sizeof(csv_op),
                                  .push = push_csv,
                                  .finish = finish_csv,
                                  .close = close_csv};

static qn_status make_csv(void *ctx, qn_run *run, const qn_dataset *node, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_csv_sink *sink = ctx;

  sink->temporary = qn_temporary_path(sink->path);
  QN_REQUIRE(sink->temporary != NULL, err, QN_ERR_MEMORY, "no memory for a file name");
  QN_TRY(qn_op_new(run, &csv_ops, node, NULL, out, err));
  csv_op *state = (csv_op *)*out;
  state->sink = sink;
  state->own_fd = state->fd = -1;
  if (sink->raw_binary) {
    QN_TRY(make_raw_schema(state, node->schema, err));
  }
  if (qn_comm_rank(run->comm) == 0) {
    QN_TRY(qn_csv_print_header(node->schema, sink->separator, &state->text, err));
    QN_TRY(qn_folder_make_for(sink->path, err));
    state->fd = open(sink->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (state->fd < 0) {
      status = fail_errno(err, sink->path, "create");
    }
  }

done:
  return status;
}

static qn_status commit_csv(void *ctx, qn_run *run, qn_error *err) {
  const qn_csv_sink *sink = ctx;
  return qn_comm_rank(run->comm) == 0 ? qn_file_publish(sink->temporary, sink->path, err) : QN_OK;
}

static void undo_csv(void *ctx, qn_run *run) {
  const qn_csv_sink *sink = ctx;

  if (qn_comm_rank(run->comm) == 0 && sink->temporary != NULL) {
    unlink(sink->temporary);
  }
}

qn_sink qn_csv_sink_of(qn_csv_sink *csv) {
  return (qn_sink){.make = make_csv, .commit = commit_csv, .undo = undo_csv, .in_order = true, .ctx = csv};
}
