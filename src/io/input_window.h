// SPDX-License-Identifier: Apache-2.0
// A window over the bytes of a file, plain or compressed, that moves forward: what the text and CSV readers
// parse in. It is filled by pread into one reused buffer, a part of the L2 cache, which operators need too:
// mapping the file instead would turn a file that shrinks while it is read into SIGBUS.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "io/decompress.h"
#include "io/file_list.h"

/// QN_WINDOW_FRONT readable bytes stand before the first byte and QN_MEMORY_SLACK behind the last, for vector
/// loads. QN_WINDOW_MAX bounds what a window can hold, and so a line or row: offsets into it are uint32, text
/// columns int32.
enum { QN_WINDOW_FRONT = 64, QN_WINDOW_BYTES = 256 * 1024, QN_WINDOW_MAX = 0x7fffffff - 4096 };

/// A zeroed window is empty.
typedef struct qn_input_window {
  const qn_file *file;
  int fd;              // valid if file is not NULL
  int64_t modified_ns; // when the file was changed last, as seen when it was opened
  int64_t read_offset; // of the next byte to read, in the file
  int64_t soft_end;    // bytes from here on are asked for in small pieces only
  qn_decompressor *decompressor;
  char *packed; // compressed bytes not yet taken
  int64_t packed_first, packed_size;
  char *memory;
  int64_t capacity;     // of memory, without front and slack
  int64_t front_offset; // of the first byte in memory, in the file as it is without compression
  int64_t n_bytes_read; // from the file, since the window was made
  char *data;           // bytes to be parsed
  int64_t size;         // how many
  int64_t offset;       // of data[0], in the file as it is without compression
  bool is_last;         // no byte follows data[size - 1]
} qn_input_window;

/// Begins anew at `offset` of `file` (0 if it is compressed), expecting to need the bytes before `soft_end`.
/// `file` must outlive the window or the next start. The same file is not opened again.
qn_status qn_input_window_start(qn_input_window *window, const qn_file *file, int64_t offset,
                                int64_t soft_end, qn_error *err);
/// Goes back to the begin of the file if its bytes are still there; else false, and nothing changes.
bool qn_input_window_rewind(qn_input_window *window);
/// Reads on until at least `wanted` bytes are in the window or the file ends; data may move. A file ends
/// where it ended when it was listed; if it has become shorter, was replaced or changed, that is QN_ERR_IO.
/// More than QN_WINDOW_MAX: QN_ERR_FORMAT, where `thing` ("line", "row") says of what.
qn_status qn_input_window_fill(qn_input_window *window, int64_t wanted, const char *thing, qn_error *err);
/// Reads at least one byte more than there are, and about twice as many, unless the file has ended.
qn_status qn_input_window_grow(qn_input_window *window, const char *thing, qn_error *err);
/// Leaves the first n_bytes behind.
static inline void qn_input_window_skip(qn_input_window *window, int64_t n_bytes) {
  window->data += n_bytes;
  window->size -= n_bytes;
  window->offset += n_bytes;
}
void qn_input_window_release(qn_input_window *window);
