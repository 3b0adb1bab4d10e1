// SPDX-License-Identifier: Apache-2.0
// Where a row comes from, for error messages. A reader of a split in the middle of a file counts rows from
// there, as it does not know what lies before; here, where a run fails anyway, the lines before are counted.
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/files.h"
#include "column/batch.h"

enum { READ_SIZE = 1 << 16 };

static bool is_compressed(const uint8_t *start) {
  return (start[0] == 0x1f && start[1] == 0x8b) || memcmp(start, "BZh", 3) == 0 ||
         memcmp(start, "\x28\xb5\x2f\xfd", 4) == 0 ||
         memcmp(start,
                "\xfd"
                "7zX",
                4) == 0;
}

// Newlines in the first n_bytes of a file; -1 if it cannot be read or its bytes are not those of the rows.
static int64_t count_lines(const char *path, int64_t n_bytes) {
  uint8_t data[READ_SIZE];
  int64_t n_lines = 0;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  for (int64_t at = 0; fd >= 0 && n_lines >= 0 && at < n_bytes;) {
    const int64_t size = n_bytes - at < READ_SIZE ? n_bytes - at : READ_SIZE;
    if (qn_file_read_at(fd, path, data, size, at, NULL) != QN_OK ||
        (at == 0 && size >= 4 && is_compressed(data))) {
      n_lines = -1;
      break;
    }
    for (int64_t i = 0; i < size; i++) {
      n_lines += data[i] == '\n';
    }
    at += size;
  }
  if (fd < 0) {
    return -1;
  }
  close(fd);
  return n_lines;
}

void qn_batch_describe_row(const qn_batch *batch, int64_t row, char *text, size_t size) {
  const qn_origin *origin = &batch->origin;
  if (size == 0) {
    return;
  }
  text[0] = '\0';
  if (origin->name == NULL || row < 0 || row >= batch->n_rows) {
    return;
  }
  const int64_t number = origin->first_row + (origin->rows != NULL ? origin->rows[row] : row) + 1;
  int64_t n_before = 0;
  if (origin->byte_offset > 0) {
    n_before = count_lines(origin->name, origin->byte_offset);
    n_before -= n_before > 0 && origin->has_header;
  }
  if (n_before >= 0) {
    snprintf(text, size, "%s, row %" PRId64, origin->name, n_before + number);
  } else {
    snprintf(text, size, "%s, row %" PRId64 " after byte %" PRId64, origin->name, number,
             origin->byte_offset);
  }
}
