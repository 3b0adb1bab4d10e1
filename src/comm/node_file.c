// SPDX-License-Identifier: Apache-2.0
// Pages are reserved before anybody counts on them, since a machine that has them not would else end a
// process by a signal.
#include "comm/node_file.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/check.h"
#include "base/memory.h"
#include "base/nameless_file.h"

// Where the file of a node is.
typedef struct file_note {
  int64_t node;
  int64_t process; // -1: there is none
  int64_t file;
  uint64_t device, inode;
} file_note;

static void note_file(int file, file_note *note) {
  struct stat about;

  if (fstat(file, &about) == 0) {
    note->process = getpid();
    note->file = file;
    note->device = about.st_dev;
    note->inode = about.st_ino;
  }
}

static void make_in_memory(int64_t bytes, int *file, file_note *note) {
  *file = memfd_create("quern", MFD_CLOEXEC);
  if (*file >= 0 && posix_fallocate(*file, 0, (off_t)bytes) == 0) {
    note_file(*file, note);
  }
}

// False if this process may not, or the file is another one (processes are counted apart).
static bool open_file(const file_note *note, int *file) {
  char path[64];
  struct stat about;

  if (note->process < 0) {
    return false;
  }
  snprintf(path, sizeof path, "/proc/%" PRId64 "/fd/%" PRId64, note->process, note->file);
  *file = open(path, O_RDWR | O_CLOEXEC);
  return *file >= 0 && fstat(*file, &about) == 0 && about.st_dev == note->device &&
         about.st_ino == note->inode;
}

qn_status qn_node_hear_first(qn_comm *comm, const void *note, int64_t size, void *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer all = {0};
  bool is_there = false;
  int64_t *sizes = calloc((size_t)qn_comm_size(comm), sizeof *sizes);

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory for the memory of a node");
  QN_TRY(qn_comm_gather(comm, note, qn_comm_node_rank(comm) == 0 ? size : 0, &all, sizes, err));
  for (int64_t at = 0; at <= all.size - size; at += size) {
    int64_t node = 0;
    memcpy(&node, all.data + at, sizeof node);
    if (node == qn_comm_node(comm)) {
      memcpy(out, all.data + at, (size_t)size);
      is_there = true;
    }
  }
  QN_REQUIRE(is_there, err, QN_ERR_MPI, "the first rank of node %d says nothing", qn_comm_node(comm));

done:
  qn_buffer_release(&all);
  free(sizes);
  return status;
}

qn_status qn_node_file_new(qn_comm *comm, int64_t bytes, bool can, const char *folder, const char *what,
                           int *file, qn_error *err) {
  qn_status status = QN_OK;
  const bool is_first = qn_comm_node_rank(comm) == 0;
  file_note note = {.node = qn_comm_node(comm), .process = -1};
  int made = -1;

  if (is_first && can && folder == NULL) {
    make_in_memory(bytes, &made, &note);
  } else if (is_first && can) {
    QN_TRY(qn_nameless_new(folder, bytes, what, &made, err));
    note_file(made, &note);
  }
  QN_TRY(qn_node_hear_first(comm, &note, sizeof note, &note, err));
  int64_t all_can = can && (is_first ? note.process >= 0 : open_file(&note, &made));
  QN_TRY(qn_comm_reduce_int64(comm, QN_MIN, &all_can, 1, err));
  *file = -1;
  if (all_can) {
    *file = made;
    made = -1;
  }

done:
  if (made >= 0) {
    close(made);
  }
  return status;
}
