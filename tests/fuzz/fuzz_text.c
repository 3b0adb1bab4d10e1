// SPDX-License-Identifier: Apache-2.0
// Lines: any bytes, plain or compressed (by their first bytes), are read without harm, and the lines are the
// same in one piece and cut at every few bytes.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "io/text_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/// All lines at a split size, each with its size before it; false if reading failed.
static int read_all(const qn_file_list *files, qn_type type, int64_t split_bytes, qn_buffer *lines) {
  const int column = 0;
  qn_source *source = NULL;
  if (qn_text_source_new(files, type, split_bytes, 1, &source, NULL) != QN_OK) {
    return 0;
  }
  const qn_scan scan = {.columns = &column, .n_columns = 1, .schema = source->schema};
  qn_reader *reader = calloc(1, source->ops->reader_size);
  reader->source = source;
  int good = source->ops->open(source, &scan, reader, NULL) == QN_OK;
  for (int64_t i = 0; i < source->n_splits && good; i++) {
    good = source->ops->start(reader, i, NULL) == QN_OK;
    for (qn_batch *batch = NULL; good;) {
      good = source->ops->next(reader, &batch, NULL) == QN_OK;
      if (batch == NULL) {
        break;
      }
      if (qn_batch_validate(batch, true, NULL) != QN_OK) {
        abort();
      }
      for (int64_t row = 0; row < batch->n_rows && lines->size < 1 << 24; row++) {
        const qn_text line = qn_column_text(&batch->columns[0], row);
        qn_buffer_append(lines, &line.size, sizeof line.size, NULL);
        qn_buffer_append(lines, line.data, line.size, NULL);
      }
      qn_batch_free(batch);
      batch = NULL;
    }
  }
  source->ops->close(reader);
  free(reader);
  qn_source_free(source);
  return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) {
    return 0;
  }
  char folder[] = "/proc/self/fd/0123456789";
  qn_file_list files = {0};
  qn_buffer lines[2] = {{0}};
  const int fd = memfd_create("fuzz", 0);
  snprintf(folder, sizeof folder, "/proc/self/fd/%d", fd);
  if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)(size - 1)) {
    abort();
  }
  if (qn_file_list_resolve(folder, &files, NULL) == QN_OK) {
    const qn_type type = (data[0] & 1) != 0 ? QN_UTF8 : QN_BINARY;
    const int first = read_all(&files, type, 0, &lines[0]);
    const int second = read_all(&files, type, 1 + data[0], &lines[1]);
    if (first != second || (first && (lines[0].size != lines[1].size ||
                                      (lines[0].size > 0 &&
                                       memcmp(lines[0].data, lines[1].data, (size_t)lines[0].size) != 0)))) {
      abort();
    }
  }
  qn_buffer_release(&lines[0]);
  qn_buffer_release(&lines[1]);
  qn_file_list_release(&files);
  close(fd);
  return 0;
}
