// SPDX-License-Identifier: Apache-2.0
#include "comm/node_memory.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/check.h"
#include "base/memory.h"
#include "comm/comm_state.h"
#include "comm/node_file.h"

struct qn_node_memory {
  int64_t n_references;
  int file; // -1: closed
  bool is_first;
  int n_here;
  uint8_t *data; // mapped; or NULL
  int64_t mapped_bytes;
  int64_t counted_bytes; // in this rank's account
};

static int64_t whole_pages(int64_t bytes) {
  const int64_t page = sysconf(_SC_PAGESIZE);
  return (bytes + page - 1) / page * page;
}

static void count(qn_node_memory *memory, int64_t bytes) {
  const int64_t part = (bytes + memory->n_here - 1) / memory->n_here;
  qn_memory_count_shared(part - memory->counted_bytes);
  memory->counted_bytes = part;
}

static void unmap(qn_node_memory *memory) {
  if (memory->data != NULL) {
    munmap(memory->data, (size_t)memory->mapped_bytes);
  }
  memory->data = NULL;
  memory->mapped_bytes = 0;
}

void qn_node_memory_free(void *memory) {
  qn_node_memory *own = memory;

  if (own == NULL || --own->n_references > 0) {
    return;
  }
  count(own, 0);
  unmap(own);
  if (own->file >= 0) {
    close(own->file);
  }
  free(own);
}

qn_node_memory *qn_node_memory_ref(qn_node_memory *memory) {
  memory->n_references++;
  return memory;
}

bool qn_node_memory_is_first(const qn_node_memory *memory) {
  return memory->is_first;
}

void qn_comm_set_least_node_memory(qn_comm *comm, int64_t bytes) {
  comm->least_node_memory = bytes;
}

qn_status qn_node_memory_new(qn_comm *comm, int64_t bytes, bool can, qn_node_memory **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_node_memory *memory = NULL;

  *out = NULL;
  if (bytes < comm->least_node_memory || qn_comm_n_nodes(comm) == comm->size) {
    return QN_OK;
  }
  memory = calloc(1, sizeof *memory);
  QN_REQUIRE(memory != NULL, err, QN_ERR_MEMORY, "no memory for the memory of a node");
  can = can && !qn_memory_is_tight(bytes); // reserving more than there is would end some process
  memory->n_references = 1;
  memory->file = -1;
  memory->is_first = qn_comm_node_rank(comm) == 0;
  memory->n_here = qn_comm_node_size(comm);
  QN_TRY(qn_node_file_new(comm, bytes, can, NULL, "a table", &memory->file, err));
  if (memory->file >= 0) {
    count(memory, bytes);
    *out = memory;
    memory = NULL;
  }

done:
  qn_node_memory_free(memory);
  return status;
}

// --- Filling and sharing it

static bool map(qn_node_memory *memory, int64_t bytes, int protection) {
  void *data = mmap(NULL, (size_t)bytes, protection, MAP_SHARED, memory->file, 0);

  if (data == MAP_FAILED) {
    return false;
  }
  memory->data = data;
  memory->mapped_bytes = bytes;
  return true;
}

qn_status qn_node_memory_room(qn_node_memory *memory, int64_t bytes, uint8_t **out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t pages = whole_pages(bytes > 0 ? bytes : 1);

  unmap(memory);
  const bool can = posix_fallocate(memory->file, 0, (off_t)pages) == 0 &&
                   ftruncate(memory->file, (off_t)pages) == 0 && map(memory, pages, PROT_READ | PROT_WRITE);
  QN_REQUIRE(can, err, QN_ERR_MEMORY, "no memory for %" PRId64 " bytes that the ranks of a node share",
             bytes);
  count(memory, pages);
  *out = memory->data;

done:
  return status;
}

qn_status qn_node_memory_share(qn_comm *comm, qn_node_memory *memory, const uint8_t **data, int64_t *size,
                               qn_error *err) {
  qn_status status = QN_OK;
  int64_t note[2] = {qn_comm_node(comm), *size};

  QN_TRY(qn_node_hear_first(comm, note, sizeof note, note, err));
  const int64_t pages = whole_pages(note[1] > 0 ? note[1] : 1);
  if (memory->is_first) {
    QN_REQUIRE(memory->data != NULL && pages <= memory->mapped_bytes, err, QN_ERR_MEMORY,
               "%" PRId64 " bytes are shared of %" PRId64, note[1], memory->mapped_bytes);
    (void)mprotect(memory->data, (size_t)memory->mapped_bytes, PROT_READ);
  } else {
    QN_REQUIRE(map(memory, pages, PROT_READ), err, QN_ERR_MEMORY,
               "no memory for %" PRId64 " bytes that the ranks of a node share", note[1]);
  }
  close(memory->file); // the mappings keep it
  memory->file = -1;
  count(memory, pages);
  *data = memory->data;
  *size = note[1];

done:
  return status;
}
