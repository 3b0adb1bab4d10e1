// SPDX-License-Identifier: Apache-2.0
// Filling moves the bytes that are left to the front of the buffer and reads behind them, so that a line or
// row always lies in one piece.
#include "io/input_window.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include "base/check.h"
#include "base/clock.h"
#include "base/io_account.h"
#include "base/memory.h"

enum { PACKED_BYTES = 256 * 1024, TAIL_BYTES = 32 * 1024 };

static void close_file(qn_input_window *window) {
  if (window->file != NULL) {
    close(window->fd);
  }
  window->file = NULL;
  qn_decompressor_free(window->decompressor);
  window->decompressor = NULL;
}

static qn_status open_file(qn_input_window *window, const qn_file *file, qn_error *err) {
  qn_status status = QN_OK;

  const int fd = open(file->path, O_RDONLY | O_CLOEXEC);
  QN_REQUIRE(fd >= 0, err, QN_ERR_IO, "%s: cannot be opened any more: %s", file->path, strerror(errno));
  window->file = file;
  window->fd = fd;
  window->modified_ns = 0;
  QN_TRY(qn_file_check_same(file, fd, &window->modified_ns, err));
  // advice only: a file system that does not take it reads as well
  (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);

done:
  return status;
}

qn_status qn_input_window_start(qn_input_window *window, const qn_file *file, int64_t offset,
                                int64_t soft_end, qn_error *err) {
  qn_status status = QN_OK;

  if (window->file != file) {
    close_file(window);
    QN_TRY(open_file(window, file, err));
  }
  qn_decompressor_free(window->decompressor);
  window->decompressor = NULL;
  if (file->compression != QN_COMPRESSION_NONE) {
    QN_TRY(qn_decompressor_new(file->compression, file->path, &window->decompressor, err));
    if (window->packed == NULL) {
      window->packed = qn_memory_alloc(PACKED_BYTES);
      QN_REQUIRE(window->packed != NULL, err, QN_ERR_MEMORY, "%s: no memory to read it", file->path);
    }
    window->packed_first = 0;
    window->packed_size = 0;
  }
  window->read_offset = offset;
  window->soft_end = soft_end;
  window->data = window->memory == NULL ? NULL : window->memory + QN_WINDOW_FRONT;
  window->size = 0;
  window->offset = offset;
  window->front_offset = offset;
  window->is_last = offset >= file->n_bytes;

done:
  return status;
}

bool qn_input_window_rewind(qn_input_window *window) {
  if (window->file == NULL || window->memory == NULL || window->front_offset != 0) {
    return false;
  }
  window->data = window->memory + QN_WINDOW_FRONT;
  window->size += window->offset;
  window->offset = 0;
  return true;
}

/// Reads up to `size` bytes of the file, at least one unless it has ended.
static qn_status read_some(qn_input_window *window, void *to, int64_t size, int64_t *n_read, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t left = window->file->n_bytes - window->read_offset;
  const int64_t asked = size < left ? size : left;
  ssize_t got = 0;

  *n_read = 0;
  if (asked > 0) {
    const int64_t start = qn_clock_ns();
    do {
      got = pread(window->fd, to, (size_t)asked, window->read_offset);
    } while (got < 0 && errno == EINTR);
    qn_io_count_read(got > 0 ? got : 0, start);
    QN_REQUIRE(got >= 0, err, QN_ERR_IO, "%s: reading at byte %" PRId64 " failed: %s", window->file->path,
               window->read_offset, strerror(errno));
    QN_REQUIRE(got > 0, err, QN_ERR_IO,
               "%s: the file became shorter while it was read: it had %" PRId64
               " bytes and now ends before byte %" PRId64 "; run again when nothing writes to it",
               window->file->path, window->file->n_bytes, window->read_offset + 1);
    QN_TRY(qn_file_check_same(window->file, window->fd, &window->modified_ns, err));
  }
  *n_read = got;
  window->read_offset += got;
  window->n_bytes_read += got;

done:
  return status;
}

/// The same for a compressed file; *n_read 0: the data has ended.
static qn_status decompress_some(qn_input_window *window, void *to, int64_t size, int64_t *n_read,
                                 qn_error *err) {
  qn_status status = QN_OK;

  for (*n_read = 0; *n_read == 0;) {
    int64_t n_taken = 0;
    if (window->packed_size == 0) {
      window->packed_first = 0;
      QN_TRY(read_some(window, window->packed, PACKED_BYTES, &window->packed_size, err));
    }
    const bool has_ended = window->packed_size == 0;
    QN_TRY(qn_decompressor_step(window->decompressor, window->packed + window->packed_first,
                                window->packed_size, &n_taken, to, size, n_read, err));
    window->packed_first += n_taken;
    window->packed_size -= n_taken;
    if (has_ended && *n_read == 0) {
      QN_TRY(qn_decompressor_finish(window->decompressor, err));
      break;
    }
  }

done:
  return status;
}

/// Room for `wanted` bytes from the front of the buffer on, with the bytes there are at its front.
static qn_status make_room(qn_input_window *window, int64_t wanted, qn_error *err) {
  qn_status status = QN_OK;

  if (window->size > 0 && window->data != window->memory + QN_WINDOW_FRONT) {
    memmove(window->memory + QN_WINDOW_FRONT, window->data, (size_t)window->size);
  }
  if (window->capacity < wanted || window->memory == NULL) {
    int64_t capacity = window->capacity > 0 ? window->capacity : QN_WINDOW_BYTES;
    while (capacity < wanted) {
      capacity *= 2;
    }
    capacity = capacity < QN_WINDOW_MAX ? capacity : QN_WINDOW_MAX;
    char *memory = qn_memory_resize(window->memory, capacity + QN_WINDOW_FRONT);
    QN_REQUIRE(memory != NULL, err, QN_ERR_MEMORY, "%s: no memory for %" PRId64 " bytes of it in one piece",
               window->file->path, capacity);
    memset(memory, 0, QN_WINDOW_FRONT);
    window->memory = memory;
    window->capacity = capacity;
  }
  window->data = window->memory + QN_WINDOW_FRONT;
  window->front_offset = window->offset;

done:
  return status;
}

qn_status qn_input_window_fill(qn_input_window *window, int64_t wanted, const char *thing, qn_error *err) {
  qn_status status = QN_OK;

  if (window->size >= wanted || window->is_last) {
    goto done;
  }
  QN_REQUIRE(wanted <= QN_WINDOW_MAX, err, QN_ERR_FORMAT,
             "%s: the %s that begins at byte %" PRId64 " is longer than 2 GiB, the most that one can have",
             window->file->path, thing, window->offset);
  QN_TRY(make_room(window, wanted, err));
  while (window->size < wanted && !window->is_last) {
    int64_t room = window->capacity - window->size, n_read = 0;
    if (window->decompressor != NULL) {
      QN_TRY(decompress_some(window, window->data + window->size, room, &n_read, err));
      window->is_last = n_read == 0;
    } else {
      const int64_t before = window->soft_end - window->read_offset;
      const int64_t least = wanted - window->size > TAIL_BYTES ? wanted - window->size : TAIL_BYTES;
      const int64_t piece = before > least ? before : least;
      QN_TRY(read_some(window, window->data + window->size, piece < room ? piece : room, &n_read, err));
      window->is_last = window->read_offset >= window->file->n_bytes;
    }
    window->size += n_read;
  }
  memset(window->data + window->size, 0,
         QN_MEMORY_SLACK); // vector loads behind the end see the same bytes always

done:
  return status;
}

qn_status qn_input_window_grow(qn_input_window *window, const char *thing, qn_error *err) {
  const int64_t twice = 2 * window->size + 1;
  const int64_t wanted = twice < QN_WINDOW_MAX || window->size >= QN_WINDOW_MAX ? twice : QN_WINDOW_MAX;

  return qn_input_window_fill(window, wanted, thing, err);
}

void qn_input_window_release(qn_input_window *window) {
  close_file(window);
  qn_memory_free(window->packed);
  qn_memory_free(window->memory);
  *window = (qn_input_window){0};
}
