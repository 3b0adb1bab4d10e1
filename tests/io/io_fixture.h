// SPDX-License-Identifier: Apache-2.0
// What the tests of io share: a folder that goes away, files in it, all rows of a source as text.
#pragma once
#include <unistd.h>
#include "base/files.h"
#include "io/csv_source.h"
#include "io/text_source.h"
#include "kit/kit.h"

typedef struct io_folder {
  char path[200];
} io_folder;

static inline io_folder io_folder_make(void) {
  io_folder folder;
  const char *parent = getenv("TMPDIR");
  snprintf(folder.path, sizeof folder.path, "%s/quern-io-XXXXXX", parent != NULL ? parent : "/tmp");
  if (mkdtemp(folder.path) == NULL) {
    perror(folder.path);
    exit(2);
  }
  return folder;
}

static inline void io_folder_remove(const io_folder *folder) {
  QN_CHECK_OK(qn_folder_remove(folder->path, &kit_error));
}

/// Writes a file in the folder; `path` gets its name.
static inline void io_write(const io_folder *folder, const char *name, const void *data, int64_t size,
                            char path[400]) {
  snprintf(path, 400, "%s/%s", folder->path, name);
  FILE *file = fopen(path, "wb");
  if (file == NULL || fwrite(data, 1, (size_t)size, file) != (size_t)size || fclose(file) != 0) {
    perror(path);
    exit(2);
  }
}

static inline void io_write_text(const io_folder *folder, const char *name, const char *text,
                                 char path[400]) {
  io_write(folder, name, text, (int64_t)strlen(text), path);
}

/// Appends the rows of one split; false after a failure, which is in kit_error.
static inline bool io_read_split(qn_reader *reader, int64_t split, qn_buffer *out) {
  const qn_source_ops *ops = reader->source->ops;
  qn_batch *batch = NULL;
  if (ops->start(reader, split, &kit_error) != QN_OK) {
    return false;
  }
  for (;;) {
    if (ops->next(reader, &batch, &kit_error) != QN_OK) {
      return false;
    }
    if (batch == NULL) {
      return true;
    }
    QN_CHECK(qn_batch_n_rows(batch) > 0);
    QN_CHECK_OK(qn_batch_validate(batch, true, &kit_error));
    char *text = kit_batch_text(batch);
    qn_buffer_append(out, text, (int64_t)strlen(text), &kit_error);
    free(text);
    qn_batch_free(batch);
  }
}

/// The rows of all splits, those with (split + 1) % n_readers == 0 first, by a reader each; columns NULL: all
/// of them. A failure's message comes as "! ...". Free it with free().
static inline char *io_read_columns(const qn_source *source, const int *columns, int n_columns,
                                    bool backwards) {
  qn_buffer out = {0};
  int all[64];
  qn_schema *schema = NULL;
  for (int i = 0; i < 64; i++) {
    all[i] = i;
  }
  n_columns = columns == NULL ? source->schema->n_columns : n_columns;
  columns = columns == NULL ? all : columns;
  QN_CHECK_OK(qn_schema_project(source->schema, columns, n_columns, &schema, &kit_error));
  const qn_scan scan = {.columns = columns, .n_columns = n_columns, .schema = schema};
  qn_reader *reader = calloc(1, source->ops->reader_size);
  qn_buffer *splits = calloc((size_t)source->n_splits + 1, sizeof *splits);
  reader->source = source;
  bool good = source->ops->open(source, &scan, reader, &kit_error) == QN_OK;
  for (int64_t i = 0; i < source->n_splits && good; i++) {
    const int64_t split = backwards ? source->n_splits - 1 - i : i;
    good = io_read_split(reader, split, &splits[split]);
  }
  source->ops->close(reader);
  for (int64_t i = 0; i < source->n_splits; i++) {
    qn_buffer_append(&out, splits[i].data, splits[i].size, NULL);
    qn_buffer_release(&splits[i]);
  }
  if (!good) {
    out.size = 0;
    qn_buffer_printf(&out, NULL, "! %s", kit_error.message);
  }
  qn_buffer_terminate(&out, NULL);
  char *text = strdup((const char *)out.data);
  qn_buffer_release(&out);
  qn_schema_free(schema);
  free(splits);
  free(reader);
  return text;
}

static inline char *io_read_all(const qn_source *source) {
  return io_read_columns(source, NULL, 0, false);
}

/// A CSV file's rows as text, or "! " and the message of what failed.
static inline char *io_read_csv(const char *paths, const qn_csv_options *options, int64_t split_bytes) {
  qn_file_list files = {0};
  qn_csv_format format = {0};
  qn_source *source = NULL;
  char *text = NULL;
  qn_status status = qn_file_list_resolve(paths, &files, &kit_error);
  status = status == QN_OK ? qn_csv_sniff(&files, options, &format, &kit_error) : status;
  status = status == QN_OK
               ? qn_csv_source_new(&files, &format, split_bytes, 2, NULL, NULL, &source, &kit_error)
               : status;
  if (status == QN_OK) {
    text = io_read_all(source);
  } else if (asprintf(&text, "! %s", kit_error.message) < 0) {
    exit(2);
  }
  qn_source_free(source);
  qn_csv_format_release(&format);
  qn_file_list_release(&files);
  return text;
}

#define IO_CHECK_CSV(path, options, split_bytes, wanted)                                                     \
  do {                                                                                                       \
    char *io_text_ = io_read_csv((path), (options), (split_bytes));                                          \
    kit_check_text(io_text_, (wanted), __FILE__, __LINE__, #path);                                           \
    free(io_text_);                                                                                          \
  } while (0)
#define IO_CHECK_CSV_FAILS(path, options, part)                                                              \
  do {                                                                                                       \
    char *io_text_ = io_read_csv((path), (options), 0);                                                      \
    kit_check(io_text_[0] == '!' && strstr(io_text_, (part)) != NULL, __FILE__, __LINE__, io_text_);         \
    free(io_text_);                                                                                          \
  } while (0)
