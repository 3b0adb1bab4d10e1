// SPDX-License-Identifier: Apache-2.0
// libsvm's files: any bytes are read without harm, and the rows are the same in one piece and cut at every
// few bytes, or reading fails both times.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "column/print.h"
#include "io/libsvm_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_batch(const qn_batch *batch, qn_buffer *out) {
  if (qn_batch_validate(batch, true, NULL) != QN_OK) {
    abort();
  }
  for (int64_t row = 0; row < batch->n_rows; row++) {
    qn_value_print(&batch->columns[0], row, out, NULL);
    qn_buffer_append(out, "|", 1, NULL);
    qn_value_print(&batch->columns[1], row, out, NULL);
    qn_buffer_append(out, "\n", 1, NULL);
  }
}

static int read_all(const qn_file_list *files, int64_t split_bytes, qn_buffer *rows) {
  static const int columns[] = {0, 1};
  qn_source *source = NULL;
  if (qn_libsvm_source_new(files, split_bytes, 2, &source, NULL) != QN_OK) {
    return 0;
  }
  const qn_scan scan = {.columns = columns, .n_columns = 2, .schema = source->schema};
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
      print_batch(batch, rows);
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
  char path[64];
  qn_buffer rows[2] = {{0}};
  const int memory = memfd_create("fuzz", 0);
  if (memory < 0 || write(memory, data, size) != (ssize_t)size) {
    abort();
  }
  snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
  qn_file file = {.path = path, .n_bytes = (int64_t)size};
  const qn_file_list files = {.files = &file, .n_files = 1, .n_bytes = (int64_t)size};
  const int whole = read_all(&files, 0, &rows[0]);
  const int cut = read_all(&files, size < 64 ? 1 : 7, &rows[1]);
  if (whole != cut ||
      (whole && (rows[0].size != rows[1].size ||
                 (rows[0].size > 0 && memcmp(rows[0].data, rows[1].data, (size_t)rows[0].size) != 0)))) {
    abort();
  }
  qn_buffer_release(&rows[0]);
  qn_buffer_release(&rows[1]);
  close(memory);
  return 0;
}
