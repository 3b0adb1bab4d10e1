// SPDX-License-Identifier: Apache-2.0
// What the tests of the store share: a folder that goes away, staging batches, reading all rows back.
#pragma once
#include <stdlib.h>
#include <string.h>
#include "base/buffer.h"
#include "base/files.h"
#include "kit/kit.h"
#include "store/stage.h"

typedef struct fixture_folder {
  char path[200];
} fixture_folder;

static inline fixture_folder fixture_folder_make(void) {
  fixture_folder folder;
  const char *parent = getenv("TMPDIR");
  snprintf(folder.path, sizeof folder.path, "%s/quern-store-XXXXXX", parent != NULL ? parent : "/tmp");
  if (mkdtemp(folder.path) == NULL) {
    perror(folder.path);
    exit(2);
  }
  return folder;
}

static inline void fixture_folder_remove(const fixture_folder *folder) {
  QN_CHECK_OK(qn_folder_remove(folder->path, &kit_error));
}

static inline const char *fixture_path(const fixture_folder *folder, const char *name, char *out,
                                       size_t size) {
  snprintf(out, size, "%s/%s", folder->path, name);
  return out;
}

// Writes one part from batches; its description goes to `description`.
static inline void fixture_write_part(const char *path, const qn_schema *schema, qn_batch *const *batches,
                                      int n, qn_buffer *description) {
  qn_part_writer *writer = NULL;
  QN_CHECK_OK(qn_part_writer_new(path, schema, &writer, &kit_error));
  for (int i = 0; i < n && writer != NULL; i++) {
    QN_CHECK_OK(qn_part_writer_append(writer, batches[i], &kit_error));
  }
  if (writer != NULL) {
    QN_CHECK_OK(qn_part_writer_finish(writer, description, &kit_error));
  }
  qn_part_writer_free(writer);
}

// Stages batches as a folder, one part each.
static inline void fixture_stage(const char *folder, const qn_schema *schema, qn_batch *const *batches,
                                 int n) {
  qn_buffer descriptions[16] = {{0}};
  char path[600];
  QN_CHECK_OK(qn_folder_make(folder, &kit_error));
  for (int i = 0; i < n; i++) {
    snprintf(path, sizeof path, "%s/part-%05d.h5", folder, i);
    fixture_write_part(path, schema, &batches[i], 1, &descriptions[i]);
  }
  QN_CHECK_OK(qn_manifest_write(folder, schema, descriptions, n, NULL, NULL, &kit_error));
  for (int i = 0; i < n; i++) {
    qn_buffer_release(&descriptions[i]);
  }
}

// All rows that a scan gives, as one batch; counts the splits that gave any.
static inline qn_status fixture_read(qn_source *source, const qn_scan *scan, qn_batch **out,
                                     int64_t *n_splits, qn_error *err) {
  qn_status status = QN_OK;
  qn_reader *reader = calloc(1, source->ops->reader_size);
  qn_batch **batches = NULL;
  int64_t n = 0;

  reader->source = source;
  QN_TRY(source->ops->open(source, scan, reader, err));
  for (int64_t s = 0; s < source->n_splits; s++) {
    qn_batch *batch = NULL;
    const int64_t n_before = n;
    QN_TRY(source->ops->start(reader, s, err));
    for (;;) {
      QN_TRY(source->ops->next(reader, &batch, err));
      if (batch == NULL) {
        break;
      }
      batches = realloc(batches, (size_t)(n + 1) * sizeof *batches);
      batches[n++] = batch;
      QN_CHECK(batch->n_rows <= QN_BATCH_ROWS && batch->n_rows > 0);
      QN_CHECK_OK(qn_batch_validate(batch, true, &kit_error));
      QN_CHECK(batch->origin.name != NULL);
    }
    *n_splits += n > n_before;
  }
  if (out != NULL) {
    QN_TRY(qn_batch_concat(scan->schema, batches, n, out, err));
  }

done:
  source->ops->close(reader);
  for (int64_t i = 0; i < n; i++) {
    qn_batch_free(batches[i]);
  }
  free(batches);
  free(reader);
  return status;
}

// All columns and rows of a staged dataset.
static inline qn_status fixture_read_all(const char *path, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_manifest *manifest = NULL;
  qn_source *source = NULL;
  int64_t n_splits = 0;
  int columns[64];

  QN_TRY(qn_manifest_open(path, &manifest, err));
  QN_TRY(qn_stage_source_new_take(manifest, &source, err));
  for (int c = 0; c < source->schema->n_columns; c++) {
    columns[c] = c;
  }
  const qn_scan scan = {.columns = columns, .n_columns = source->schema->n_columns, .schema = source->schema};
  QN_TRY(fixture_read(source, &scan, out, &n_splits, err));

done:
  qn_source_free(source);
  return status;
}

static inline void fixture_check_equal(const qn_batch *found, const qn_batch *wanted) {
  char *a = kit_batch_text(found), *b = kit_batch_text(wanted);
  QN_CHECK(strcmp(a, b) == 0);
  free(a);
  free(b);
}
