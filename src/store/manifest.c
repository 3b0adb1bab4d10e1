// SPDX-License-Identifier: Apache-2.0
// Opening, writing and asking manifests.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/check.h"
#include "base/files.h"
#include "base/memory.h"
#include "store/manifest_entry.h"
#include "store/part_reader.h"

// A gibibyte describes millions of columns of parts; more is damage.
enum { MANIFEST_MAX_BYTES = 1 << 30 };

// What encoding adds to the manifest itself.
static qn_status keep_text(qn_manifest *manifest, json_t *json, int64_t file_bytes, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};
  json_t *envelope = json_pack("{s:s, s:b, s:I, s:O}", "path", manifest->path, "is_file", manifest->is_file,
                               "bytes", (json_int_t)file_bytes, "manifest", json);

  QN_REQUIRE(envelope != NULL, err, QN_ERR_MEMORY, "%s: the path is not UTF-8 (or there is no memory)",
             manifest->path);
  QN_TRY(qn_json_print(envelope, JSON_COMPACT, &text, err));
  manifest->text = qn_arena_copy(&manifest->arena, (const char *)text.data, text.size);
  QN_REQUIRE(manifest->text != NULL, err, QN_ERR_MEMORY, "%s: no memory for the manifest", manifest->path);

done:
  qn_buffer_release(&text);
  json_decref(envelope);
  return status;
}

static qn_status manifest_new(const void *text, int64_t size, const char *text_path, const char *path,
                              bool is_file, int64_t file_bytes, qn_manifest **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_error why = {0};
  json_t *json = NULL;
  qn_manifest *manifest = NULL;

  status = qn_json_parse(text, size, text_path, &json, &why);
  QN_REQUIRE(status == QN_OK, err, status,
             "%s; the manifest is cut off or damaged: run the job that writes it again", why.message);
  QN_TRY(qn_manifest_from_json(json, path, is_file, file_bytes, &manifest, err));
  QN_TRY(keep_text(manifest, json, file_bytes, err));
  *out = manifest;
  manifest = NULL;

done:
  qn_manifest_free(manifest);
  json_decref(json);
  return status;
}

static qn_status open_folder(const char *path, qn_manifest **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0}, file = {0};

  QN_TRY(qn_buffer_printf(&file, err, "%s/manifest.json", path));
  QN_TRY(qn_buffer_terminate(&file, err));
  QN_REQUIRE(qn_file_exists((const char *)file.data), err, QN_ERR_IO,
             "%s: is a folder without a manifest.json: no staged dataset, or one that was not finished (then "
             "run the "
             "job that writes it again)",
             path);
  QN_TRY(qn_file_read_all((const char *)file.data, MANIFEST_MAX_BYTES, &text, err));
  QN_TRY(manifest_new(text.data, text.size, (const char *)file.data, path, false, 0, out, err));

done:
  qn_buffer_release(&text);
  qn_buffer_release(&file);
  return status;
}

static qn_status open_file(const char *path, int64_t file_bytes, qn_manifest **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};
  QN_TRY(qn_part_read_manifest(path, &text, err));
  QN_TRY(manifest_new(text.data, text.size, path, path, true, file_bytes, out, err));

done:
  qn_buffer_release(&text);
  return status;
}

// Without slashes at the end, so that the paths of parts read well.
static qn_status copy_path(const char *path, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  int64_t size = (int64_t)strlen(path);
  while (size > 1 && path[size - 1] == '/') {
    size--;
  }
  QN_TRY(qn_buffer_append(out, path, size, err));
  QN_TRY(qn_buffer_terminate(out, err));

done:
  return status;
}

qn_status qn_manifest_open(const char *path, qn_manifest **out, qn_error *err) {
  qn_status status = QN_OK;
  struct stat info;
  qn_buffer clean = {0};

  QN_TRY(copy_path(path, &clean, err));
  QN_REQUIRE(stat(path, &info) == 0, err, QN_ERR_IO, "%s: no staged dataset there: %s", path,
             strerror(errno));
  if (S_ISDIR(info.st_mode)) {
    QN_TRY(open_folder((const char *)clean.data, out, err));
  } else {
    QN_REQUIRE(S_ISREG(info.st_mode), err, QN_ERR_IO, "%s: is neither a folder nor a file", path);
    QN_TRY(open_file((const char *)clean.data, info.st_size, out, err));
  }

done:
  qn_buffer_release(&clean);
  return status;
}

qn_status qn_manifest_encode(const qn_manifest *manifest, qn_buffer *out, qn_error *err) {
  return qn_buffer_append(out, manifest->text, (int64_t)strlen(manifest->text), err);
}

qn_status qn_manifest_decode(const void *data, int64_t size, qn_manifest **out, qn_error *err) {
  qn_status status = QN_OK;
  json_t *envelope = NULL, *json = NULL;
  const char *path = NULL;
  int is_file = 0;
  json_int_t file_bytes = 0;
  qn_manifest *manifest = NULL;

  QN_TRY(qn_json_parse(data, size, "an encoded manifest", &envelope, err));
  QN_REQUIRE(json_unpack(envelope, "{s:s, s:b, s:I, s:o}", "path", &path, "is_file", &is_file, "bytes",
                         &file_bytes, "manifest", &json) == 0 &&
                 file_bytes >= 0,
             err, QN_ERR_FORMAT, "an encoded manifest has not the expected form");
  QN_TRY(qn_manifest_from_json(json, path, is_file != 0, file_bytes, &manifest, err));
  QN_TRY(keep_text(manifest, json, file_bytes, err));
  *out = manifest;
  manifest = NULL;

done:
  qn_manifest_free(manifest);
  json_decref(envelope);
  return status;
}

void qn_manifest_free(qn_manifest *manifest) {
  if (manifest == NULL) {
    return;
  }
  for (int c = 0; manifest->stats != NULL && c < manifest->schema->n_columns; c++) {
    qn_column_release(&manifest->stats[c].min);
    qn_column_release(&manifest->stats[c].max);
  }
  qn_schema_free(manifest->schema);
  qn_arena_release(&manifest->arena);
  free(manifest);
}

static qn_status collect_parts(const char *folder, const qn_buffer *descriptions, int64_t n_parts,
                               json_t **out, qn_error *err) {
  qn_status status = QN_OK;
  json_t *parts = json_array(), *part = NULL;
  QN_REQUIRE(parts != NULL, err, QN_ERR_MEMORY, "%s: no memory for the manifest", folder);
  for (int64_t p = 0; p < n_parts; p++) {
    QN_TRY(
        qn_json_parse(descriptions[p].data, descriptions[p].size, "the description of a part", &part, err));
    QN_REQUIRE(json_array_append_new(parts, part) == 0, err, QN_ERR_MEMORY, "%s: no memory for the manifest",
               folder);
  }
  *out = parts;
  parts = NULL;

done:
  json_decref(parts);
  return status;
}

qn_status qn_manifest_write(const char *folder, const qn_schema *schema, const qn_buffer *descriptions,
                            int64_t n_parts, const char *sorted_by, const char *partitioned_by,
                            qn_error *err) {
  qn_status status = QN_OK;
  json_t *parts = NULL, *json = NULL;
  qn_manifest *manifest = NULL;
  qn_buffer clean = {0}, path = {0}, text = {0};

  QN_TRY(copy_path(folder, &clean, err));
  QN_TRY(qn_buffer_printf(&path, err, "%s/manifest.json", (const char *)clean.data));
  QN_TRY(qn_buffer_terminate(&path, err));
  QN_TRY(collect_parts(folder, descriptions, n_parts, &parts, err));
  QN_TRY(qn_manifest_to_json(schema, parts, sorted_by, partitioned_by, &json, err));
  // What cannot be read back is not written.
  QN_TRY(qn_manifest_from_json(json, (const char *)clean.data, false, 0, &manifest, err));
  QN_TRY(qn_json_print(json, JSON_INDENT(1), &text, err));
  QN_TRY(qn_buffer_append(&text, "\n", 1, err));
  QN_TRY(qn_file_write_atomic((const char *)path.data, text.data, text.size, err));

done:
  qn_manifest_free(manifest);
  json_decref(json);
  qn_buffer_release(&text);
  qn_buffer_release(&path);
  qn_buffer_release(&clean);
  return status;
}

const qn_schema *qn_manifest_schema(const qn_manifest *manifest) {
  return manifest->schema;
}

const char *qn_manifest_path(const qn_manifest *manifest) {
  return manifest->path;
}

int64_t qn_manifest_n_rows(const qn_manifest *manifest) {
  return manifest->n_rows;
}

int64_t qn_manifest_n_bytes(const qn_manifest *manifest) {
  int64_t n_bytes = 0;
  for (int64_t p = 0; p < manifest->n_parts; p++) {
    // Sizes are sums of what files said: they stop at the largest number rather than overflow.
    if (__builtin_add_overflow(n_bytes, manifest->parts[p].n_bytes, &n_bytes)) {
      return INT64_MAX;
    }
  }
  return n_bytes;
}

int64_t qn_manifest_n_parts(const qn_manifest *manifest) {
  return manifest->n_parts;
}

qn_part_info qn_manifest_part(const qn_manifest *manifest, int64_t part) {
  const qn_part_entry *entry = &manifest->parts[part];
  return (qn_part_info){
      .path = entry->path, .n_rows = entry->n_rows, .n_bytes = entry->n_bytes, .n_groups = entry->n_groups};
}

const char *qn_manifest_sorted_by(const qn_manifest *manifest) {
  return manifest->sorted_by;
}

const char *qn_manifest_partitioned_by(const qn_manifest *manifest) {
  return manifest->partitioned_by;
}

qn_status qn_manifest_stats(const qn_manifest *manifest, int column, qn_column_stats *out, qn_error *err) {
  if (column < 0 || column >= manifest->schema->n_columns) {
    return qn_fail(err, QN_ERR_ARG, "%s: column %d of %d", manifest->path, column,
                   manifest->schema->n_columns);
  }
  *out = manifest->stats[column];
  return QN_OK;
}

static qn_status verify_part(const qn_schema *schema, const qn_part_entry *entry, qn_error *err) {
  qn_status status = QN_OK;
  qn_part_reader *reader = NULL;
  qn_column values = {0};
  int64_t n_bytes = 0;

  QN_TRY(qn_part_reader_open(schema, entry, &reader, err));
  for (int c = 0; c < schema->n_columns; c++) {
    const qn_group_record *groups = NULL;
    QN_TRY(qn_part_reader_groups(reader, c, &groups, err)); // also where there is no group
    for (int64_t g = 0; g < entry->n_groups; g++) {
      QN_TRY(qn_part_reader_column(reader, c, g, &values, &n_bytes, err));
      qn_column_release(&values);
    }
  }

done:
  qn_part_reader_free(reader);
  return status;
}

qn_status qn_manifest_verify(const qn_manifest *manifest, qn_error *err) {
  qn_status status = QN_OK;
  for (int64_t p = 0; p < manifest->n_parts; p++) {
    QN_TRY(verify_part(manifest->schema, &manifest->parts[p], err));
  }

done:
  return status;
}
