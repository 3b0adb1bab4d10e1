// SPDX-License-Identifier: Apache-2.0
#include "base/mapped_room.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/check.h"
#include "base/memory.h"
#include "base/nameless_file.h"

enum { PAGE_BYTES = 4096, HUGE_PAGE_BYTES = 2 << 20 };

qn_status qn_map_file(int file, int64_t n_bytes, const char *what, void **out, qn_error *err) {
  qn_status status = QN_OK;
  void *data = mmap(NULL, (size_t)n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

  QN_REQUIRE(data != MAP_FAILED, err, QN_ERR_MEMORY, "cannot map %" PRId64 " bytes of %s: %s", n_bytes, what,
             strerror(errno));
  *out = data;

done:
  return status;
}

static qn_status map_new(const char *scratch, int64_t n_bytes, const char *what, void **out, qn_error *err) {
  qn_status status = QN_OK;
  int file = -1;

  QN_TRY(qn_nameless_new(scratch, n_bytes, what, &file, err));
  QN_TRY(qn_map_file(file, n_bytes, what, out, err));
  qn_memory_count_spilled(n_bytes, 1);

done:
  if (file >= 0) {
    close(file);
  }
  return status;
}

void qn_ask_for_huge_pages(void *data, int64_t n_bytes) {
  const uintptr_t mask = ~(uintptr_t)(HUGE_PAGE_BYTES - 1);
  const uintptr_t from = ((uintptr_t)data + HUGE_PAGE_BYTES - 1) & mask;
  const uintptr_t to = ((uintptr_t)data + (uintptr_t)n_bytes) & mask;

  if (from < to) {
    madvise((char *)data + (from - (uintptr_t)data), to - from, MADV_HUGEPAGE);
  }
}

qn_status qn_mapped_room_take(const char *scratch, int64_t n, int64_t width, const char *what,
                              qn_mapped_room *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_mapped_room taken = {0};

  QN_TRY(qn_mul_size(n, width, &taken.n_bytes, err));
  taken.is_mapped =
      scratch != NULL && taken.n_bytes > 0 && qn_memory_is_tight(taken.n_bytes + taken.n_bytes / 4);
  if (taken.is_mapped) {
    QN_TRY(map_new(scratch, taken.n_bytes, what, &taken.data, err));
  } else {
    taken.data = qn_memory_alloc(taken.n_bytes);
    QN_REQUIRE(taken.data != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " bytes of %s", taken.n_bytes,
               what);
    qn_ask_for_huge_pages(taken.data, taken.n_bytes);
  }
  *out = taken;

done:
  return status;
}

void qn_mapped_room_release(qn_mapped_room *room) {
  if (room->is_mapped) {
    munmap(room->data, (size_t)room->n_bytes);
  } else {
    qn_memory_free(room->data);
  }
  *room = (qn_mapped_room){0};
}

void qn_mapped_room_let_go(const qn_mapped_room *room, int64_t first, int64_t end) {
  const int64_t from = first / PAGE_BYTES * PAGE_BYTES;
  const int64_t to = end == room->n_bytes ? end : end / PAGE_BYTES * PAGE_BYTES;

  if (room->is_mapped && from < to) {
    madvise((char *)room->data + from, (size_t)(to - from), MADV_DONTNEED);
  }
}
