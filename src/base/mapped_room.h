// SPDX-License-Identifier: Apache-2.0
// Room for much: memory within the budget, and else a file in scratch without a name, mapped. The kernel
// writes mapped pages out and reads them in again, so they do not count against the budget.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>

typedef struct qn_mapped_room {
  void *data; // 64-byte aligned
  int64_t n_bytes;
  bool is_mapped;
} qn_mapped_room;

/// Local. Room for n values of `width` bytes each, not zeroed. A file in folder `scratch` (NULL: never) if
/// the budget has not room for a quarter more, which is for whoever works on it. `what` they are is for
/// messages.
/// Errors  QN_ERR_IO      no room in scratch
///         QN_ERR_MEMORY  the system has no memory
qn_status qn_mapped_room_take(const char *scratch, int64_t n, int64_t width, const char *what,
                              qn_mapped_room *out, qn_error *err);
/// Leaves it empty.
void qn_mapped_room_release(qn_mapped_room *room);
/// Local. Bytes [first, end) of mapped room were gone through: their pages need not stay in this process's
/// memory. What is in them is kept. Nothing if it is not mapped.
void qn_mapped_room_let_go(const qn_mapped_room *room, int64_t first, int64_t end);

/// Local. Maps a file of n_bytes to read and write. The mapping keeps the file when it is closed; it is for
/// munmap(). `what` they are is for messages.
/// Errors  QN_ERR_MEMORY
qn_status qn_map_file(int file, int64_t n_bytes, const char *what, void **out, qn_error *err);
/// Local. Asks for large pages where the kernel has them: with small ones finding addresses takes as long as
/// reading.
void qn_ask_for_huge_pages(void *data, int64_t n_bytes);
