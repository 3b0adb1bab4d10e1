// SPDX-License-Identifier: Apache-2.0
// CSV: any bytes are read without harm, and the rows (those set aside too) are the same in one piece and cut
// at every few bytes. The first bytes choose the options.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "column/print.h"
#include "io/csv_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static qn_status take_reject(void *ctx, const char *file, int64_t byte_offset, const char *column,
                             const char *reason, qn_text text, qn_error *err) {
  (void)file;
  return qn_buffer_printf(ctx, err, "(%lld %s %s %lld)\n", (long long)byte_offset, column, reason,
                          (long long)text.size);
}

static void print_batch(const qn_batch *batch, qn_buffer *out) {
  if (qn_batch_validate(batch, true, NULL) != QN_OK) {
    abort();
  }
  for (int64_t row = 0; row < batch->n_rows; row++) {
    for (int c = 0; c < batch->n_columns; c++) {
      qn_buffer_append(out, qn_column_is_null(&batch->columns[c], row) ? "~" : "|", 1, NULL);
      qn_value_print(&batch->columns[c], row, out, NULL);
    }
    qn_buffer_append(out, "\n", 1, NULL);
  }
}

/// All rows at a split size; false if reading failed.
static int read_all(const qn_file_list *files, const qn_csv_format *format, int64_t split_bytes,
                    qn_buffer *rows, qn_buffer *rejects) {
  qn_source *source = NULL;
  int good = qn_csv_source_new(files, format, split_bytes, 2, take_reject, rejects, &source, NULL) == QN_OK;
  int columns[1024];
  if (!good || source->schema->n_columns > 1024) {
    qn_source_free(source);
    return 0;
  }
  for (int i = 0; i < source->schema->n_columns; i++) {
    columns[i] = i;
  }
  const qn_scan scan = {.columns = columns, .n_columns = source->schema->n_columns, .schema = source->schema};
  qn_reader *reader = calloc(1, source->ops->reader_size);
  reader->source = source;
  good = source->ops->open(source, &scan, reader, NULL) == QN_OK;
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

static int is_same(const qn_buffer *a, const qn_buffer *b) {
  return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, (size_t)a->size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) {
    return 0;
  }
  char path[64];
  qn_csv_format format = {0};
  qn_buffer rows[2] = {{0}}, rejects[2] = {{0}};
  const int fd = memfd_create("fuzz", 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  if (fd < 0 || write(fd, data + 2, size - 2) != (ssize_t)(size - 2)) {
    abort();
  }
  qn_file file = {.path = path, .n_bytes = (int64_t)size - 2};
  const qn_file_list files = {.files = &file, .n_files = 1, .n_bytes = file.n_bytes};
  const qn_csv_options options = {.no_header = (data[0] & 1) != 0,
                                  .trim = (data[0] & 2) != 0,
                                  .comment = (data[0] & 4) != 0 ? '#' : '\0',
                                  .null_text = (data[0] & 8) != 0 ? "NA" : NULL,
                                  .separator = (data[0] & 16) != 0 ? ',' : '\0'};
  if (qn_csv_sniff(&files, &options, &format, NULL) == QN_OK) {
    const int first = read_all(&files, &format, 0, &rows[0], &rejects[0]);
    const int second = read_all(&files, &format, 1 + data[1], &rows[1], &rejects[1]);
    if (first != second || (first && (!is_same(&rows[0], &rows[1]) || !is_same(&rejects[0], &rejects[1])))) {
      abort();
    }
  }
  for (int i = 0; i < 2; i++) {
    qn_buffer_release(&rows[i]);
    qn_buffer_release(&rejects[i]);
  }
  qn_csv_format_release(&format);
  close(fd);
  return 0;
}
