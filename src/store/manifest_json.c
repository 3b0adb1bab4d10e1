// SPDX-License-Identifier: Apache-2.0
// The manifest as JSON. It carries a checksum of itself, taken over the compact text with sorted keys, so
// that a byte that changed on disk is noticed here as everywhere; and every value is checked as one from
// outside.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "store/manifest_entry.h"
#include "store/part_layout.h"

enum { HASH_DIGITS = 16 };

static qn_status no_memory(qn_error *err) {
  return qn_fail(err, QN_ERR_MEMORY, "no memory for the JSON of a manifest");
}

static json_t *hash_to_json(uint64_t hash) {
  return json_sprintf("%016" PRIx64, hash);
}

static qn_status hash_of_json(const json_t *json, uint64_t *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};
  QN_TRY(qn_json_print(json, JSON_COMPACT | JSON_SORT_KEYS, &text, err));
  *out = qn_hash_bytes(text.data, text.size, 0);

done:
  qn_buffer_release(&text);
  return status;
}

static int append_json(const char *text, size_t size, void *data) {
  return qn_buffer_append(data, text, (int64_t)size, NULL) == QN_OK ? 0 : -1;
}

qn_status qn_json_print(const json_t *json, size_t flags, qn_buffer *out, qn_error *err) {
  return json_dump_callback(json, append_json, out, flags) == 0 ? QN_OK : no_memory(err);
}

qn_status qn_json_parse(const void *text, int64_t size, const char *path, json_t **out, qn_error *err) {
  json_error_t problem;
  json_t *json = json_loadb(text, (size_t)size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &problem);
  if (json == NULL) {
    return qn_fail(err, QN_ERR_FORMAT, "%s, line %d, column %d: no valid JSON: %s", path, problem.line,
                   problem.column, problem.text);
  }
  *out = json;
  return QN_OK;
}

static qn_status column_to_json(const qn_column_entry *column, const char *name, qn_type type, json_t **out,
                                qn_error *err) {
  qn_status status = QN_OK;
  const qn_value_range *range = &column->range;
  json_t *json = json_object();
  int failed = 0;

  failed |= json_object_set_new(json, "name", json_string(name));
  failed |= json_object_set_new(json, "nulls", json_integer(column->n_nulls));
  if (range->has_range) {
    failed |= json_object_set_new(json, "min", qn_value_to_json(type, range->min, range->min_size));
    failed |= json_object_set_new(json, "max", qn_value_to_json(type, range->max, range->max_size));
  }
  if (range->has_range && !range->min_is_exact) {
    failed |= json_object_set_new(json, "min_is_exact", json_false());
  }
  if (range->has_range && !range->max_is_exact) {
    failed |= json_object_set_new(json, "max_is_exact", json_false());
  }
  failed |= json_object_set_new(json, "checksum", hash_to_json(column->checksum));
  if (failed) {
    status = no_memory(err);
    json_decref(json);
  } else {
    *out = json;
  }
  return status;
}

qn_status qn_part_entry_to_json(const qn_part_entry *entry, const qn_schema *schema, const char *file,
                                json_t **out, qn_error *err) {
  qn_status status = QN_OK;
  json_t *json = json_object(), *columns = json_array();
  int failed = 0;

  failed |= json_object_set_new(json, "file", json_string(file));
  failed |= json_object_set_new(json, "rows", json_integer(entry->n_rows));
  if (entry->n_bytes >= 0) {
    failed |= json_object_set_new(json, "bytes", json_integer(entry->n_bytes));
  }
  failed |= json_object_set_new(json, "groups", json_integer(entry->n_groups));
  failed |= json_object_set(json, "columns", columns);
  for (int c = 0; c < schema->n_columns; c++) {
    json_t *column = NULL;
    QN_TRY(column_to_json(&entry->columns[c], schema->fields[c].name, schema->fields[c].type, &column, err));
    failed |= json_array_append_new(columns, column);
  }
  QN_REQUIRE(!failed, err, QN_ERR_MEMORY, "no memory for the JSON of %s", file);
  *out = json;
  json = NULL;

done:
  json_decref(columns);
  json_decref(json);
  return status;
}

qn_status qn_manifest_to_json(const qn_schema *schema, json_t *parts_taken, const char *sorted_by,
                              const char *partitioned_by, json_t **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};
  json_t *json = json_object(), *part = NULL;
  json_int_t n_rows = 0;
  uint64_t hash = 0;
  size_t i = 0;
  int failed = 0;

  QN_TRY(qn_schema_print(schema, &text, err));
  json_array_foreach(parts_taken, i, part) {
    n_rows += json_integer_value(json_object_get(part, "rows"));
  }
  failed |= json_object_set_new(json, "format", json_string(QN_STAGE_FORMAT));
  failed |= json_object_set_new(json, "version", json_integer(QN_STAGE_VERSION));
  failed |= json_object_set_new(json, "schema", json_stringn((const char *)text.data, (size_t)text.size));
  failed |= json_object_set_new(json, "rows", json_integer(n_rows));
  if (sorted_by != NULL) {
    failed |= json_object_set_new(json, "sorted_by", json_string(sorted_by));
  }
  if (partitioned_by != NULL) {
    failed |= json_object_set_new(json, "partitioned_by", json_string(partitioned_by));
  }
  failed |= json_object_set(json, "parts", parts_taken);
  QN_REQUIRE(!failed, err, QN_ERR_MEMORY, "no memory for the JSON of a manifest (or a name is not UTF-8)");
  QN_TRY(hash_of_json(json, &hash, err));
  QN_REQUIRE(json_object_set_new(json, "checksum", hash_to_json(hash)) == 0, err, QN_ERR_MEMORY,
             "no memory for the JSON of a manifest");
  *out = json;
  json = NULL;

done:
  qn_buffer_release(&text);
  json_decref(json);
  json_decref(parts_taken);
  return status;
}

static qn_status read_count(const json_t *json, const char *key, int64_t most, const char *path, int64_t *out,
                            qn_error *err) {
  const json_t *value = json_object_get(json, key);
  if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > most) {
    return qn_fail(err, QN_ERR_FORMAT, "%s: '%s' is missing or no whole number from 0 to %" PRId64, path, key,
                   most);
  }
  *out = json_integer_value(value);
  return QN_OK;
}

static qn_status read_text(const json_t *json, const char *key, const char *path, const char **out,
                           qn_error *err) {
  const json_t *value = json_object_get(json, key);
  const char *text = json_string_value(value);
  if (text == NULL || strlen(text) != json_string_length(value)) {
    return qn_fail(err, QN_ERR_FORMAT, "%s: '%s' is missing or no text", path, key);
  }
  *out = text;
  return QN_OK;
}

static qn_status read_optional_text(const json_t *json, const char *key, const char *path, qn_arena *arena,
                                    const char **out, qn_error *err) {
  qn_status status = QN_OK;
  const char *text = NULL;
  if (json_object_get(json, key) != NULL) {
    QN_TRY(read_text(json, key, path, &text, err));
    *out = qn_arena_string(arena, text);
    QN_REQUIRE(*out != NULL, err, QN_ERR_MEMORY, "%s: no memory for the manifest", path);
  }

done:
  return status;
}

static qn_status read_hash(const json_t *json, const char *key, const char *path, uint64_t *out,
                           qn_error *err) {
  qn_status status = QN_OK;
  const char *text = NULL;
  QN_TRY(read_text(json, key, path, &text, err));
  QN_REQUIRE(strlen(text) == HASH_DIGITS && strspn(text, "0123456789abcdef") == HASH_DIGITS, err,
             QN_ERR_FORMAT, "%s: '%s' is '%s', not 16 hexadecimal digits", path, key, text);
  *out = strtoull(text, NULL, 16);

done:
  return status;
}

static qn_status check_head(const json_t *json, const char *path, qn_error *err) {
  qn_status status = QN_OK;
  const char *format = NULL;
  int64_t version = 0;
  uint64_t expected = 0, found = 0;
  json_t *copy = NULL;

  QN_REQUIRE(json_is_object(json), err, QN_ERR_FORMAT, "%s: is no manifest (no JSON object)", path);
  QN_TRY(read_text(json, "format", path, &format, err));
  QN_REQUIRE(strcmp(format, QN_STAGE_FORMAT) == 0, err, QN_ERR_FORMAT, "%s: the format is '%s', not '%s'",
             path, format, QN_STAGE_FORMAT);
  QN_TRY(read_count(json, "version", INT64_MAX, path, &version, err));
  QN_REQUIRE(version == QN_STAGE_VERSION, err, QN_ERR_FORMAT,
             "%s: has format version %" PRId64 ", this program reads version %d; stage the data anew", path,
             version, QN_STAGE_VERSION);
  QN_TRY(read_hash(json, "checksum", path, &expected, err));
  copy = json_copy((json_t *)json); // shallow; json_copy changes nothing but the count of references
  QN_REQUIRE(copy != NULL && json_object_del(copy, "checksum") == 0, err, QN_ERR_MEMORY,
             "%s: no memory for the manifest", path);
  QN_TRY(hash_of_json(copy, &found, err));
  QN_REQUIRE(found == expected, err, QN_ERR_FORMAT,
             "%s: the manifest's checksum does not match: it is damaged or was edited; stage the data anew",
             path);

done:
  json_decref(copy);
  return status;
}

static qn_status read_column(const json_t *json, const qn_field *field, int64_t n_rows, const char *path,
                             qn_column_entry *out, qn_error *err) {
  qn_status status = QN_OK;
  const char *name = NULL;
  qn_value_range *range = &out->range;
  const json_t *min = json_object_get(json, "min"), *max = json_object_get(json, "max");

  QN_TRY(read_text(json, "name", path, &name, err));
  QN_REQUIRE(strcmp(name, field->name) == 0, err, QN_ERR_FORMAT,
             "%s: describes a column '%s' where the schema has '%s'", path, name, field->name);
  QN_TRY(read_count(json, "nulls", n_rows, path, &out->n_nulls, err));
  QN_TRY(read_hash(json, "checksum", path, &out->checksum, err));
  if (min != NULL && max != NULL) {
    QN_REQUIRE(qn_value_from_json(field->type, min, range->min, &range->min_size) &&
                   qn_value_from_json(field->type, max, range->max, &range->max_size),
               err, QN_ERR_FORMAT, "%s, column '%s': min or max is no %s", path, name,
               qn_type_name(field->type));
    range->has_range = 1;
    range->min_is_exact = !json_is_false(json_object_get(json, "min_is_exact"));
    range->max_is_exact = !json_is_false(json_object_get(json, "max_is_exact"));
  }
  QN_REQUIRE(qn_value_range_is_sound(field->type, range), err, QN_ERR_FORMAT,
             "%s, column '%s': min and max are no range", path, name);

done:
  return status;
}

static qn_status read_part_path(const json_t *json, qn_manifest *manifest, qn_part_entry *out,
                                qn_error *err) {
  qn_status status = QN_OK;
  const char *file = NULL;

  if (manifest->is_file) {
    out->path = manifest->path;
    return QN_OK;
  }
  QN_TRY(read_text(json, "file", manifest->path, &file, err));
  QN_REQUIRE(file[0] != '\0' && strchr(file, '/') == NULL && strcmp(file, ".") != 0 &&
                 strcmp(file, "..") != 0,
             err, QN_ERR_FORMAT, "%s: '%s' is no name of a file in the folder", manifest->path, file);
  out->path = qn_arena_printf(&manifest->arena, "%s/%s", manifest->path, file);
  QN_REQUIRE(out->path != NULL, err, QN_ERR_MEMORY, "%s: no memory for the manifest", manifest->path);

done:
  return status;
}

static qn_status read_part(const json_t *json, qn_manifest *manifest, int64_t file_bytes, qn_part_entry *out,
                           qn_error *err) {
  qn_status status = QN_OK;
  const qn_schema *schema = manifest->schema;
  const json_t *columns = json_object_get(json, "columns");

  QN_TRY(read_part_path(json, manifest, out, err));
  out->n_bytes = file_bytes;
  QN_TRY(read_count(json, "rows", INT64_MAX - manifest->n_rows, out->path, &out->n_rows, err));
  if (!manifest->is_file) {
    QN_TRY(read_count(json, "bytes", INT64_MAX, out->path, &out->n_bytes, err));
  }
  QN_TRY(read_count(json, "groups", out->n_rows, out->path, &out->n_groups, err));
  QN_REQUIRE((out->n_groups == 0) == (out->n_rows == 0) &&
                 out->n_groups >=
                     out->n_rows / QN_STAGE_GROUP_ROWS + (out->n_rows % QN_STAGE_GROUP_ROWS != 0),
             err, QN_ERR_FORMAT, "%s: %" PRId64 " rows cannot be %" PRId64 " row groups", out->path,
             out->n_rows, out->n_groups);
  QN_REQUIRE(json_array_size(columns) == (size_t)schema->n_columns, err, QN_ERR_FORMAT,
             "%s: describes %zu columns where the schema has %d", out->path, json_array_size(columns),
             schema->n_columns);
  out->columns = qn_arena_alloc(&manifest->arena, schema->n_columns * (int64_t)sizeof *out->columns);
  QN_REQUIRE(out->columns != NULL, err, QN_ERR_MEMORY, "%s: no memory for the manifest", out->path);
  for (int c = 0; c < schema->n_columns; c++) {
    QN_TRY(read_column(json_array_get(columns, (size_t)c), &schema->fields[c], out->n_rows, out->path,
                       &out->columns[c], err));
  }
  manifest->n_rows += out->n_rows;

done:
  return status;
}

// What holds for all parts together.
static qn_status sum_up_column(qn_manifest *manifest, int column, qn_error *err) {
  qn_status status = QN_OK;
  const qn_type type = manifest->schema->fields[column].type;
  qn_column_stats *stats = &manifest->stats[column];
  qn_value_range range = {0};
  int64_t n_values = 0;

  for (int64_t p = 0; p < manifest->n_parts; p++) {
    const qn_column_entry *entry = &manifest->parts[p].columns[column];
    const int64_t n_more = manifest->parts[p].n_rows - entry->n_nulls;
    qn_value_range_widen(type, &range, n_values, &entry->range, n_more);
    n_values += n_more;
    stats->n_nulls += entry->n_nulls;
  }
  if (range.has_range) {
    QN_TRY(qn_value_to_column(type, range.min, range.min_size, &stats->min, err));
    QN_TRY(qn_value_to_column(type, range.max, range.max_size, &stats->max, err));
    stats->has_range = true;
    stats->is_exact = range.min_is_exact && range.max_is_exact;
  }

done:
  return status;
}

static qn_status read_parts(const json_t *json, int64_t file_bytes, qn_manifest *manifest, qn_error *err) {
  qn_status status = QN_OK;
  const json_t *parts = json_object_get(json, "parts");
  const int64_t n_parts = (int64_t)json_array_size(parts);
  int64_t n_rows = 0;

  QN_REQUIRE(json_is_array(parts) && (!manifest->is_file || n_parts == 1), err, QN_ERR_FORMAT,
             "%s: 'parts' is missing or no list of parts", manifest->path);
  manifest->parts = qn_arena_alloc(&manifest->arena, n_parts * (int64_t)sizeof *manifest->parts);
  manifest->stats =
      qn_arena_alloc(&manifest->arena, manifest->schema->n_columns * (int64_t)sizeof *manifest->stats);
  QN_REQUIRE(manifest->parts != NULL && manifest->stats != NULL, err, QN_ERR_MEMORY,
             "%s: no memory for the manifest", manifest->path);
  for (int64_t p = 0; p < n_parts; p++) {
    QN_TRY(read_part(json_array_get(parts, (size_t)p), manifest, file_bytes, &manifest->parts[p], err));
    manifest->n_parts++;
  }
  QN_TRY(read_count(json, "rows", INT64_MAX, manifest->path, &n_rows, err));
  QN_REQUIRE(n_rows == manifest->n_rows, err, QN_ERR_FORMAT,
             "%s: says %" PRId64 " rows, its parts have %" PRId64, manifest->path, n_rows, manifest->n_rows);
  for (int c = 0; c < manifest->schema->n_columns; c++) {
    QN_TRY(sum_up_column(manifest, c, err));
  }

done:
  return status;
}

qn_status qn_manifest_from_json(const json_t *json, const char *path, bool is_file, int64_t file_bytes,
                                qn_manifest **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_error reason = {0};
  const char *schema = NULL;
  const char *text_path = NULL; // where the JSON is
  qn_manifest *manifest = calloc(1, sizeof *manifest);

  QN_REQUIRE(manifest != NULL, err, QN_ERR_MEMORY, "%s: no memory for the manifest", path);
  manifest->path = qn_arena_string(&manifest->arena, path);
  text_path = is_file ? path : qn_arena_printf(&manifest->arena, "%s/manifest.json", path);
  QN_REQUIRE(manifest->path != NULL && text_path != NULL, err, QN_ERR_MEMORY,
             "%s: no memory for the manifest", path);
  manifest->is_file = is_file;
  QN_TRY(check_head(json, text_path, err));
  QN_TRY(read_text(json, "schema", path, &schema, err));
  QN_REQUIRE(qn_schema_parse(schema, &manifest->schema, &reason) == QN_OK, err, QN_ERR_FORMAT,
             "%s: the schema cannot be read: %s", path, reason.message);
  QN_TRY(read_optional_text(json, "sorted_by", path, &manifest->arena, &manifest->sorted_by, err));
  QN_TRY(read_optional_text(json, "partitioned_by", path, &manifest->arena, &manifest->partitioned_by, err));
  QN_TRY(read_parts(json, file_bytes, manifest, err));
  *out = manifest;
  manifest = NULL;

done:
  qn_manifest_free(manifest);
  return status;
}
