// SPDX-License-Identifier: Apache-2.0
// Spill files. Batches are gathered in a buffer and written as one extent when it is full; an extent is read
// back as a whole, and its batches point into it. So both ways the disk sees few large requests, and reading
// copies nothing. Each batch has a head of 16 bytes: its size and its checksum.
#include "store/spill.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "base/check.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/io_account.h"
#include "base/memory.h"
#include "base/nameless_file.h"
#include "column/wire.h"

enum { EXTENT_BYTES = 256 << 10, ALIGNMENT = 8, CHECK_BYTES = 8 << 20, MOST_LEFT_FREE = 64 << 20 };

// The file that spills share.
typedef struct spill_file {
  int64_t n_references;
  int descriptor;
  int64_t n_bytes; // where the next extent goes
  char *folder;
} spill_file;

typedef struct extent {
  int64_t offset;
  int64_t size;
} extent;

typedef struct batch_head {
  int64_t size; // bytes that follow
  uint64_t checksum;
} batch_head;

struct qn_spill {
  spill_file *file;
  qn_schema *schema;
  int64_t n_rows;
  int64_t n_bytes;
  qn_buffer buffer;  // the extent that is being written
  qn_buffer extents; // extent
  bool is_reading;
  int64_t next_extent;
  qn_block *block; // the extent that is being read
  int64_t block_size;
  int64_t block_used;
};

static qn_status fail_at_folder(const char *folder, int reason, qn_error *err) {
  return qn_fail(
      err, QN_ERR_IO,
      "%s: no spill file can be written there: %s; choose a scratch folder on a local disk with enough "
      "space by --scratch or QUERN_SCRATCH, or allow more memory by --memory",
      folder, strerror(reason));
}

static void file_free(spill_file *file) {
  if (file != NULL && --file->n_references == 0) {
    close(file->descriptor);
    free(file->folder);
    free(file);
  }
}

static qn_status file_new(const char *folder, spill_file **out, qn_error *err) {
  spill_file *file = calloc(1, sizeof *file);
  char *copy = strdup(folder);
  const int descriptor = file != NULL && copy != NULL ? qn_nameless_open(folder) : -1;
  if (descriptor < 0) {
    const int reason = file != NULL && copy != NULL ? errno : ENOMEM;
    free(file);
    free(copy);
    return fail_at_folder(folder, reason, err);
  }
  *file = (spill_file){.n_references = 1, .descriptor = descriptor, .folder = copy};
  *out = file;
  return QN_OK;
}

// Takes the reference of `file`, also on failure.
static qn_status spill_in_file_take(spill_file *file, const qn_schema *schema, qn_spill **out,
                                    qn_error *err) {
  qn_spill *spill = calloc(1, sizeof *spill);
  if (spill == NULL) {
    file_free(file);
    return qn_fail(err, QN_ERR_MEMORY, "no memory for a spill file");
  }
  spill->file = file;
  spill->schema = qn_schema_share(schema);
  *out = spill;
  return QN_OK;
}

qn_status qn_spill_new(const char *scratch, const qn_schema *schema, qn_spill **out, qn_error *err) {
  qn_status status = QN_OK;
  spill_file *file = NULL;
  QN_TRY(file_new(scratch, &file, err));
  QN_TRY(spill_in_file_take(file, schema, out, err));

done:
  return status;
}

qn_status qn_spill_new_beside(const qn_spill *other, const qn_schema *schema, qn_spill **out, qn_error *err) {
  other->file->n_references++;
  return spill_in_file_take(other->file, schema, out, err);
}

// How much is there and how much is free, for who has to make room.
static qn_status fail_for_room(const spill_file *file, int64_t needed, int reason, qn_error *err) {
  struct statvfs system = {0};
  const bool is_known = fstatvfs(file->descriptor, &system) == 0;
  const int64_t free_bytes = is_known ? (int64_t)system.f_bavail * (int64_t)system.f_frsize : -1;
  return qn_fail(err, QN_ERR_IO,
                 "%s: cannot put %" PRId64 " KiB more rows out: %s (this rank has put out %" PRId64
                 " MiB so far, %" PRId64 " MiB are free there); choose a scratch folder with more room by "
                 "--scratch or QUERN_SCRATCH, or allow more memory by --memory",
                 file->folder, needed >> 10, strerror(reason), qn_memory_spilled() >> 20, free_bytes >> 20);
}

// A disk is not filled to the last byte: others use it too. Asked for once in so many bytes.
static qn_status check_room(const spill_file *file, int64_t needed, qn_error *err) {
  struct statvfs system = {0};
  const int64_t before = qn_memory_spilled();
  if (before / CHECK_BYTES == (before + needed) / CHECK_BYTES && before > 0) {
    return QN_OK;
  }
  if (fstatvfs(file->descriptor, &system) != 0 || system.f_blocks == 0) {
    return QN_OK; // the system does not say
  }
  const int64_t total = (int64_t)system.f_blocks * (int64_t)system.f_frsize;
  const int64_t left_free = total / 32 < MOST_LEFT_FREE ? total / 32 : MOST_LEFT_FREE;
  const int64_t free_bytes = (int64_t)system.f_bavail * (int64_t)system.f_frsize;
  return free_bytes >= needed + left_free ? QN_OK : fail_for_room(file, needed, ENOSPC, err);
}

// Writes the buffer as an extent. Disk full and the like name the folder: the file has no name.
static qn_status write_extent(qn_spill *spill, qn_error *err) {
  qn_status status = QN_OK;
  spill_file *file = spill->file;
  const extent next = {.offset = file->n_bytes, .size = spill->buffer.size};
  int64_t n_written = 0;
  const int64_t start = qn_clock_ns();

  if (next.size == 0) {
    return QN_OK;
  }
  QN_TRY(check_room(file, next.size, err));
  while (n_written < next.size) {
    const ssize_t n = pwrite(file->descriptor, spill->buffer.data + n_written,
                             (size_t)(next.size - n_written), next.offset + n_written);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      status = fail_for_room(file, next.size, n < 0 ? errno : ENOSPC, err);
      goto done;
    }
    n_written += n;
  }
  qn_io_count_written(next.size, start);
  QN_TRY(qn_buffer_append(&spill->extents, &next, sizeof next, err));
  file->n_bytes += next.size;
  spill->n_bytes += next.size;
  qn_memory_count_spilled(next.size, spill->n_bytes == next.size);
  spill->buffer.size = 0;
  if (spill->buffer.capacity > 4 * EXTENT_BYTES) { // a huge batch; its memory is not kept
    qn_buffer_release(&spill->buffer);
  }

done:
  return status;
}

qn_status qn_spill_append(qn_spill *spill, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  static const uint8_t zeros[ALIGNMENT] = {0};
  qn_buffer *buffer = &spill->buffer;
  const int64_t start = buffer->size;
  batch_head head = {0};

  QN_REQUIRE(!spill->is_reading, err, QN_ERR_ARG, "a spill that is being read takes no more batches");
  QN_REQUIRE(qn_schema_is_equal(batch->schema, spill->schema), err, QN_ERR_TYPE,
             "a batch of another schema cannot be put into a spill");
  QN_TRY(qn_buffer_reserve(buffer, qn_wire_size(batch) + (int64_t)sizeof head + ALIGNMENT, err));
  QN_TRY(qn_buffer_append(buffer, &head, sizeof head, err));
  QN_TRY(qn_wire_encode(batch, buffer, err));
  QN_TRY(qn_buffer_append(buffer, zeros, (ALIGNMENT - buffer->size % ALIGNMENT) % ALIGNMENT, err));
  head.size = buffer->size - start - (int64_t)sizeof head;
  head.checksum = qn_hash_bytes(buffer->data + start + sizeof head, head.size, 0);
  memcpy(buffer->data + start, &head, sizeof head);
  spill->n_rows += batch->n_rows;
  if (buffer->size >= EXTENT_BYTES) {
    QN_TRY(write_extent(spill, err));
  }

done:
  if (status != QN_OK && buffer->size > start) {
    buffer->size = start; // what is half there must not be written
  }
  return status;
}

int64_t qn_spill_n_rows(const qn_spill *spill) {
  return spill->n_rows;
}

int64_t qn_spill_n_bytes(const qn_spill *spill) {
  return spill->n_bytes + spill->buffer.size;
}

static int64_t n_extents(const qn_spill *spill) {
  return spill->extents.size / (int64_t)sizeof(extent);
}

static const extent *extent_at(const qn_spill *spill, int64_t i) {
  return (const extent *)(const void *)spill->extents.data + i;
}

// Asks the system to read an extent ahead; it may decline.
static void prefetch(const qn_spill *spill, int64_t i) {
  if (i < n_extents(spill)) {
    posix_fadvise(spill->file->descriptor, extent_at(spill, i)->offset, extent_at(spill, i)->size,
                  POSIX_FADV_WILLNEED);
  }
}

qn_status qn_spill_rewind(qn_spill *spill, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(write_extent(spill, err));
  qn_buffer_release(&spill->buffer);
  qn_block_free(spill->block);
  spill->block = NULL;
  spill->block_size = 0;
  spill->block_used = 0;
  spill->next_extent = 0;
  spill->is_reading = true;
  prefetch(spill, 0);

done:
  return status;
}

static qn_status read_extent(qn_spill *spill, qn_error *err) {
  qn_status status = QN_OK;
  const extent *next = extent_at(spill, spill->next_extent);
  void *memory = qn_memory_alloc(next->size), *taken = NULL;

  qn_block_free(spill->block);
  spill->block = NULL;
  QN_REQUIRE(memory != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " bytes of a spill file",
             next->size);
  prefetch(spill, spill->next_extent + 1);
  QN_TRY(
      qn_file_read_at(spill->file->descriptor, spill->file->folder, memory, next->size, next->offset, err));
  taken = memory;
  memory = NULL;
  QN_TRY(qn_block_new(taken, qn_memory_free, &spill->block, err));
  spill->block_size = next->size;
  spill->block_used = 0;
  spill->next_extent++;

done:
  if (spill->block == NULL) {
    spill->block_size = spill->block_used = 0;
  }
  qn_memory_free(memory);
  return status;
}

static qn_status damaged(const qn_spill *spill, qn_error *err) {
  return qn_fail(
      err, QN_ERR_FORMAT,
      "%s: a spill file reads back other bytes than were written: the disk or its file system is faulty; "
      "choose another scratch folder by --scratch or QUERN_SCRATCH",
      spill->file->folder);
}

qn_status qn_spill_next(qn_spill *spill, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  batch_head head;
  const uint8_t *data = NULL;

  QN_REQUIRE(spill->is_reading, err, QN_ERR_ARG, "a spill is read after qn_spill_rewind()");
  if (spill->block_used == spill->block_size && spill->next_extent == n_extents(spill)) {
    qn_block_free(spill->block);
    spill->block = NULL;
    spill->block_size = spill->block_used = 0;
    *out = NULL;
    return QN_OK;
  }
  if (spill->block_used == spill->block_size) {
    QN_TRY(read_extent(spill, err));
  }
  data = (const uint8_t *)spill->block->memory + spill->block_used;
  const int64_t n_left = spill->block_size - spill->block_used - (int64_t)sizeof head;
  memcpy(&head, data, n_left >= 0 ? sizeof head : 0);
  if (n_left < 0 || head.size < 0 || head.size > n_left || head.size % ALIGNMENT != 0 ||
      qn_hash_bytes(data + sizeof head, head.size, 0) != head.checksum) {
    status = damaged(spill, err);
    goto done;
  }
  QN_TRY(qn_wire_decode(spill->schema, spill->block, data + sizeof head, head.size, out, err));
  spill->block_used += (int64_t)sizeof head + head.size;

done:
  return status;
}

void qn_spill_free(qn_spill *spill) {
  if (spill == NULL) {
    return;
  }
  for (int64_t i = 0; spill->file->n_references > 1 && i < n_extents(spill); i++) {
    // Others still use the file: what was ours goes back to the disk, where the file system can do that.
    (void)fallocate(spill->file->descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    extent_at(spill, i)->offset, extent_at(spill, i)->size);
  }
  qn_block_free(spill->block);
  qn_buffer_release(&spill->buffer);
  qn_buffer_release(&spill->extents);
  qn_schema_free(spill->schema);
  file_free(spill->file);
  free(spill);
}
