// SPDX-License-Identifier: Apache-2.0
// IDX files: any bytes are read without harm, alone or (cut in two halves) as images and labels.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "io/idx_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const qn_file *files, int n_files) {
  static const int columns[] = {0, 1};
  qn_idx_head heads[2] = {{0}};
  qn_source *source = NULL;
  const qn_file_list list = {.files = (qn_file *)(uintptr_t)files, .n_files = n_files, .n_bytes = 1};
  for (int f = 0; f < n_files; f++) {
    if (qn_idx_head_read(&files[f], &heads[f], NULL) != QN_OK) {
      return;
    }
  }
  if (qn_idx_source_new(&list, heads, 2, &source, NULL) != QN_OK) {
    return;
  }
  const qn_scan scan = {.columns = columns, .n_columns = n_files, .schema = source->schema};
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
      qn_batch_free(batch);
      batch = NULL;
    }
  }
  source->ops->close(reader);
  free(reader);
  qn_source_free(source);
}

static qn_file memory_file(const uint8_t *data, size_t size, char path[64], int *memory) {
  *memory = memfd_create("fuzz", 0);
  if (*memory < 0 || write(*memory, data, size) != (ssize_t)size) {
    abort();
  }
  snprintf(path, 64, "/proc/self/fd/%d", *memory);
  return (qn_file){.path = path, .n_bytes = (int64_t)size};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char paths[3][64];
  int memory[3];
  const size_t half = size - size / 3;
  const qn_file whole = memory_file(data, size, paths[0], &memory[0]);
  const qn_file both[2] = {memory_file(data, half, paths[1], &memory[1]),
                           memory_file(data + half, size - half, paths[2], &memory[2])};
  read_all(&whole, 1);
  read_all(both, 2);
  for (int i = 0; i < 3; i++) {
    close(memory[i]);
  }
  return 0;
}
