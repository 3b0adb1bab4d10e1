// SPDX-License-Identifier: Apache-2.0
// Writes a part. Rows are collected in builders until they make a row group; then each column's values,
// checksum and statistics are computed while they are in the cache, and handed to HDF5 as whole chunks. The
// attributes that say "this is a finished part" are written last.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "column/builder.h"
#include "store/manifest_entry.h"
#include "store/part_layout.h"

// Text is chunked by bytes; and a part whose row groups end early (wide rows) still gets chunks worth a call.
enum { TEXT_CHUNK_BYTES = 512 << 10, CHUNK_MIN_ROWS = 4096 };
// Rows are copied in pieces of at most so many, so that a group's size is seen before it is far beyond the
// limit.
enum { APPEND_ROWS = 8192 };
// HDF5 keeps an attribute within 64 KiB.
enum { NAME_MAX_BYTES = 32768 };

typedef struct column_writer {
  hid_t group;
  qn_h5_array values; // or offsets
  qn_h5_array bytes;
  qn_h5_array validity; // from the first null on
  qn_buffer records;    // qn_group_record
} column_writer;

struct qn_part_writer {
  char *path;
  hid_t file;
  qn_schema *schema;
  qn_batch_builder builder;
  column_writer *columns;
  qn_column_entry *entries;
  int64_t n_rows; // written
  int64_t n_groups;
  int64_t n_chunk; // rows per chunk; 0 until the first group decides
  qn_buffer scratch;
  qn_status failed; // what stopped it
};

static qn_status check_schema(const char *path, const qn_schema *schema, qn_error *err) {
  qn_status status = QN_OK;
  QN_REQUIRE(schema->n_columns > 0, err, QN_ERR_ARG, "%s: a dataset without columns cannot be staged", path);
  for (int c = 0; c < schema->n_columns; c++) {
    QN_REQUIRE(strlen(schema->fields[c].name) <= NAME_MAX_BYTES, err, QN_ERR_ARG,
               "%s: the name of column %d has more than %d bytes; rename it before staging", path, c,
               NAME_MAX_BYTES);
  }

done:
  return status;
}

qn_status qn_part_writer_new(const char *path, const qn_schema *schema, qn_part_writer **out, qn_error *err) {
  qn_status status = QN_OK;
  const size_t n_columns = (size_t)schema->n_columns;
  qn_part_writer *writer = NULL;
  hid_t group = H5I_INVALID_HID;
  const qn_h5_quiet quiet = qn_h5_quiet_begin();

  QN_TRY(check_schema(path, schema, err));
  writer = calloc(1, sizeof *writer);
  QN_REQUIRE(writer != NULL, err, QN_ERR_MEMORY, "%s: no memory to write it", path);
  writer->file = H5I_INVALID_HID;
  writer->schema = qn_schema_share(schema);
  writer->path = strdup(path);
  writer->columns = calloc(n_columns, sizeof *writer->columns);
  writer->entries = calloc(n_columns, sizeof *writer->entries);
  QN_REQUIRE(writer->path != NULL && writer->columns != NULL && writer->entries != NULL, err, QN_ERR_MEMORY,
             "%s: no memory to write it", path);
  QN_TRY(qn_batch_builder_init(&writer->builder, schema, err));
  QN_TRY(qn_h5_file_create(writer->path, &writer->file, err));
  QN_TRY(qn_h5_group_create(writer->file, writer->path, "columns", &group, err));
  *out = writer;
  writer = NULL;

done:
  if (group >= 0) {
    H5Gclose(group);
  }
  qn_part_writer_free(writer);
  qn_h5_quiet_end(&quiet);
  return status;
}

void qn_part_writer_free(qn_part_writer *writer) {
  if (writer == NULL) {
    return;
  }
  const qn_h5_quiet quiet = qn_h5_quiet_begin();
  for (int c = 0; writer->columns != NULL && c < writer->schema->n_columns; c++) {
    column_writer *column = &writer->columns[c];
    qn_h5_array_release(&column->values);
    qn_h5_array_release(&column->bytes);
    qn_h5_array_release(&column->validity);
    qn_buffer_release(&column->records);
    if (column->group > 0) {
      H5Gclose(column->group);
    }
  }
  qn_h5_file_abandon(&writer->file);
  qn_h5_quiet_end(&quiet);
  qn_batch_builder_release(&writer->builder);
  qn_buffer_release(&writer->scratch);
  qn_schema_free(writer->schema);
  free(writer->columns);
  free(writer->entries);
  free(writer->path);
  free(writer);
}

// The datasets are made when the first group is there: a small part gets chunks of its size. `is_last`: no
// row follows.
static qn_status create_columns(qn_part_writer *writer, bool is_last, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_rows = writer->builder.n_rows, zero = 0;
  qn_buffer path = {0};

  writer->n_chunk = !is_last && n_rows < CHUNK_MIN_ROWS ? CHUNK_MIN_ROWS : n_rows < 1 ? 1 : n_rows;
  for (int c = 0; c < writer->schema->n_columns; c++) {
    column_writer *column = &writer->columns[c];
    const qn_type type = writer->schema->fields[c].type;
    path.size = 0;
    QN_TRY(qn_column_path_print(writer->schema->fields[c].name, &path, err));
    QN_TRY(qn_h5_group_create(writer->file, writer->path, (const char *)path.data, &column->group, err));
    if (!qn_type_is_text(type)) {
      QN_TRY(qn_h5_array_create(column->group, writer->path, "values", qn_h5_type(type), writer->n_chunk, 0,
                                &column->values, err));
      continue;
    }
    const int64_t n_bytes = writer->builder.columns[c].bytes.size;
    const int64_t n_text_chunk = !is_last || n_bytes > TEXT_CHUNK_BYTES ? TEXT_CHUNK_BYTES
                                 : n_bytes < 1                          ? 1
                                                                        : n_bytes;
    QN_TRY(qn_h5_array_create(column->group, writer->path, "offsets", H5T_STD_I64LE,
                              writer->n_chunk + (is_last ? 1 : 0), 0, &column->values, err));
    QN_TRY(qn_h5_array_append(&column->values, &zero, 1, err));
    QN_TRY(qn_h5_array_create(column->group, writer->path, "bytes", H5T_STD_U8LE, n_text_chunk, 0,
                              &column->bytes, err));
  }

done:
  qn_buffer_release(&path);
  return status;
}

// What a null row holds is defined in a file: NaN for floats, so that readers without validity see it, else
// 0.
static void fill_null_values(qn_column_builder *builder, const uint8_t *validity) {
  const int width = qn_type_width(builder->type);
  uint8_t filler[8] = {0};
  if (builder->type == QN_FLOAT32) {
    memcpy(filler, &(float){__builtin_nanf("")}, sizeof(float));
  } else if (builder->type == QN_FLOAT64) {
    memcpy(filler, &(double){__builtin_nan("")}, sizeof(double));
  }
  for (int64_t i = 0; i < builder->n_rows; i++) {
    if (!qn_bitmap_get(validity, i)) {
      memcpy(builder->values.data + i * width, filler, (size_t)width);
    }
  }
}

// `validity` is NULL if the group has no nulls; then something is written only if an earlier group had some.
static qn_status write_validity(qn_part_writer *writer, column_writer *column, const uint8_t *validity,
                                qn_group_record *record, qn_error *err) {
  qn_status status = QN_OK;
  uint8_t *bytes = NULL;

  if (validity == NULL && column->validity.dataset <= 0) {
    return QN_OK;
  }
  if (column->validity.dataset <= 0) {
    QN_TRY(qn_h5_array_create(column->group, writer->path, "validity", H5T_STD_U8LE, writer->n_chunk,
                              writer->n_rows, &column->validity, err));
  }
  writer->scratch.size = 0;
  QN_TRY(qn_buffer_reserve(&writer->scratch, record->n_rows, err));
  bytes = writer->scratch.data;
  if (validity == NULL) {
    memset(bytes, 1, (size_t)record->n_rows);
  } else {
    for (int64_t i = 0; i < record->n_rows; i++) {
      bytes[i] = qn_bitmap_get(validity, i);
    }
    record->validity_checksum = qn_hash_bytes(bytes, record->n_rows, 0);
  }
  QN_TRY(qn_h5_array_append(&column->validity, bytes, record->n_rows, err));

done:
  return status;
}

static qn_status write_text(qn_part_writer *writer, column_writer *column, const qn_column_builder *builder,
                            const uint8_t *bytes, qn_group_record *record, qn_error *err) {
  qn_status status = QN_OK;
  const int32_t *offsets = (const int32_t *)builder->values.data;
  const int64_t n = record->n_rows;
  int64_t *wide = NULL;

  writer->scratch.size = 0;
  QN_TRY(qn_buffer_reserve(&writer->scratch, (n + 1) * (int64_t)sizeof *wide, err));
  wide = (int64_t *)writer->scratch.data;
  for (int64_t i = 0; i <= n; i++) {
    wide[i] = record->first_byte + offsets[i];
  }
  record->n_bytes = offsets[n];
  record->values_checksum = qn_hash_bytes(wide, (n + 1) * (int64_t)sizeof *wide, 0);
  record->bytes_checksum = qn_hash_bytes(bytes, record->n_bytes, 0);
  QN_TRY(qn_h5_array_append(&column->values, wide + 1, n, err));
  QN_TRY(qn_h5_array_append(&column->bytes, bytes, record->n_bytes, err));

done:
  return status;
}

static qn_status write_column(qn_part_writer *writer, int c, qn_error *err) {
  qn_status status = QN_OK;
  column_writer *column = &writer->columns[c];
  qn_column_builder *builder = &writer->builder.columns[c];
  const qn_column_entry before = writer->entries[c];
  const int64_t n_rows = builder->n_rows;
  const uint8_t nothing = 0, *bytes = builder->bytes.data != NULL ? builder->bytes.data : &nothing;
  const uint8_t *validity = builder->n_nulls > 0 ? builder->validity.data : NULL;
  const qn_group_record *last =
      column->records.size > 0 ? (qn_group_record *)(column->records.data + column->records.size) - 1 : NULL;
  qn_group_record record = {.first_row = writer->n_rows,
                            .n_rows = n_rows,
                            .n_nulls = builder->n_nulls,
                            .first_byte = last != NULL ? last->first_byte + last->n_bytes : 0};

  qn_value_range_of(builder->type, validity, builder->values.data, (const int32_t *)builder->values.data,
                    bytes, n_rows, &record.range);
  if (qn_type_is_text(builder->type)) {
    QN_TRY(write_text(writer, column, builder, bytes, &record, err));
  } else {
    if (validity != NULL) {
      fill_null_values(builder, validity);
    }
    record.values_checksum = qn_hash_bytes(builder->values.data, n_rows * qn_type_width(builder->type), 0);
    QN_TRY(qn_h5_array_append(&column->values, builder->values.data, n_rows, err));
  }
  QN_TRY(write_validity(writer, column, validity, &record, err));
  QN_TRY(qn_buffer_append(&column->records, &record, sizeof record, err));
  qn_value_range_widen(builder->type, &writer->entries[c].range, writer->n_rows - before.n_nulls,
                       &record.range, n_rows - record.n_nulls);
  writer->entries[c].n_nulls += record.n_nulls;

done:
  return status;
}

// Writes the rows collected so far as a row group.
static qn_status write_group(qn_part_writer *writer, bool is_last, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_rows = writer->builder.n_rows;
  const qn_h5_quiet quiet = qn_h5_quiet_begin();

  if (writer->n_chunk == 0) {
    QN_TRY(create_columns(writer, is_last, err));
  }
  if (n_rows > 0) {
    for (int c = 0; c < writer->schema->n_columns; c++) {
      QN_TRY(write_column(writer, c, err));
    }
    writer->n_rows += n_rows;
    writer->n_groups++;
    qn_batch_builder_clear(&writer->builder);
  }

done:
  qn_h5_quiet_end(&quiet);
  return status;
}

static int64_t bytes_of_rows(const qn_batch *batch, int64_t first, int64_t n_rows) {
  int64_t n_bytes = 0;
  for (int c = 0; c < batch->n_columns; c++) {
    const qn_column *column = &batch->columns[c];
    n_bytes += qn_type_is_text(column->type) ? column->offsets[first + n_rows] - column->offsets[first] +
                                                   n_rows * (int64_t)sizeof(int32_t)
                                             : n_rows * qn_type_width(column->type);
  }
  return n_bytes;
}

// How many of the rows from `first` on may go into the group that is being collected.
static int64_t rows_that_fit(const qn_part_writer *writer, const qn_batch *batch, int64_t first) {
  const int64_t n_collected = writer->builder.n_rows, room = QN_STAGE_GROUP_ROWS - n_collected;
  const int64_t room_bytes = QN_STAGE_GROUP_BYTES - qn_batch_builder_n_bytes(&writer->builder);
  int64_t n = batch->n_rows - first;
  n = n < APPEND_ROWS ? n : APPEND_ROWS;
  n = n < room ? n : room;
  while (n > 0 && bytes_of_rows(batch, first, n) > room_bytes) {
    n /= 2;
  }
  return n == 0 && n_collected == 0 ? 1 : n;
}

static qn_status append_rows(qn_part_writer *writer, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  int64_t first = 0;

  QN_REQUIRE(qn_schema_is_equal(batch->schema, writer->schema), err, QN_ERR_TYPE,
             "%s: a batch of another schema cannot be appended", writer->path);
  while (first < batch->n_rows) {
    const int64_t n = rows_that_fit(writer, batch, first);
    if (n == 0) {
      QN_TRY(write_group(writer, false, err));
      continue;
    }
    QN_TRY(qn_batch_builder_append_range(&writer->builder, batch, first, n, err));
    first += n;
  }

done:
  return status;
}

static qn_status fail_again(const qn_part_writer *writer, qn_error *err) {
  return qn_fail(err, writer->failed, "%s: writing it has failed before or is finished", writer->path);
}

qn_status qn_part_writer_append(qn_part_writer *writer, const qn_batch *batch, qn_error *err) {
  if (writer->failed != QN_OK) {
    return fail_again(writer, err);
  }
  writer->failed = append_rows(writer, batch, err);
  return writer->failed;
}

static qn_status put_bound(const qn_part_writer *writer, int c, const char *name, const uint8_t *value,
                           int32_t size, qn_error *err) {
  const qn_type type = writer->schema->fields[c].type;
  char text[QN_RANGE_BYTES + 1] = {0};
  if (type == QN_BINARY) {
    return QN_OK; // has no readable form; the table of row groups has it
  }
  if (type == QN_UTF8) {
    memcpy(text, value, (size_t)size);
    return qn_h5_put_text(writer->columns[c].group, writer->path, name, text, err);
  }
  return qn_h5_put_value(writer->columns[c].group, writer->path, name, qn_h5_type(type), value, err);
}

// What people want to see in h5py, MATLAB or R.
static qn_status describe_column(qn_part_writer *writer, int c, qn_error *err) {
  qn_status status = QN_OK;
  const qn_field *field = &writer->schema->fields[c];
  const qn_column_entry *entry = &writer->entries[c];
  const hid_t group = writer->columns[c].group;

  QN_TRY(qn_h5_put_text(group, writer->path, "name", field->name, err));
  QN_TRY(qn_h5_put_text(group, writer->path, "type", qn_type_name(field->type), err));
  QN_TRY(qn_h5_put_int64(group, writer->path, "index", c, err));
  if (field->type == QN_DATE) {
    QN_TRY(qn_h5_put_text(group, writer->path, "units", "days since 1970-01-01", err));
  }
  if (field->type == QN_TIMESTAMP) {
    QN_TRY(qn_h5_put_text(group, writer->path, "units", "microseconds since 1970-01-01", err));
  }
  QN_TRY(qn_h5_put_int64(group, writer->path, "n_rows", writer->n_rows, err));
  QN_TRY(qn_h5_put_int64(group, writer->path, "n_nulls", entry->n_nulls, err));
  if (entry->range.has_range) {
    QN_TRY(put_bound(writer, c, "min", entry->range.min, entry->range.min_size, err));
    QN_TRY(put_bound(writer, c, "max", entry->range.max, entry->range.max_size, err));
  }

done:
  return status;
}

static qn_status finish_column(qn_part_writer *writer, int c, qn_error *err) {
  qn_status status = QN_OK;
  column_writer *column = &writer->columns[c];
  const qn_type type = writer->schema->fields[c].type;
  const qn_group_record *records = (const qn_group_record *)column->records.data;
  hid_t record_type = H5I_INVALID_HID, group = H5I_INVALID_HID;

  QN_TRY(qn_h5_array_finish(&column->values, err));
  if (qn_type_is_text(type)) {
    QN_TRY(qn_h5_array_finish(&column->bytes, err));
  }
  if (column->validity.dataset > 0) {
    QN_TRY(qn_h5_array_finish(&column->validity, err));
  }
  QN_TRY(qn_group_record_type(type, &record_type, err));
  QN_TRY(qn_h5_write_all(column->group, writer->path, "row_groups", record_type, records, writer->n_groups,
                         err));
  writer->entries[c].checksum = qn_group_records_checksum(records, writer->n_groups);
  QN_TRY(describe_column(writer, c, err));
  group = column->group;
  column->group = 0;

done:
  if (record_type >= 0) {
    H5Tclose(record_type);
  }
  if (group >= 0) {
    H5Gclose(group);
  }
  return status;
}

static const char *file_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash != NULL ? slash + 1 : path;
}

// The part says of itself what the manifest of the folder says of it, so that it can be opened alone.
static qn_status describe_part(qn_part_writer *writer, qn_part_entry *entry, qn_error *err) {
  qn_status status = QN_OK;
  json_t *part = NULL, *parts = NULL, *manifest = NULL;
  qn_buffer text = {0};

  QN_TRY(qn_part_entry_to_json(entry, writer->schema, file_name(writer->path), &part, err));
  parts = json_pack("[o]", part);
  QN_REQUIRE(parts != NULL, err, QN_ERR_MEMORY, "%s: no memory for its manifest", writer->path);
  QN_TRY(qn_manifest_to_json(writer->schema, parts, NULL, NULL, &manifest, err));
  QN_TRY(qn_json_print(manifest, JSON_INDENT(1), &text, err));
  QN_TRY(qn_h5_write_text(writer->file, writer->path, "manifest", &text, err));
  QN_TRY(qn_h5_put_int64(writer->file, writer->path, "version", QN_STAGE_VERSION, err));
  QN_TRY(qn_h5_put_text(writer->file, writer->path, "creator", "quern", err));
  QN_TRY(qn_h5_put_int64(writer->file, writer->path, "n_rows", writer->n_rows, err));
  text.size = 0;
  QN_TRY(qn_schema_print(writer->schema, &text, err));
  QN_TRY(qn_buffer_terminate(&text, err));
  if (text.size <= NAME_MAX_BYTES) { // a wide schema does not fit an attribute; the manifest has it
    QN_TRY(qn_h5_put_text(writer->file, writer->path, "schema", (const char *)text.data, err));
  }
  QN_TRY(qn_h5_put_text(writer->file, writer->path, "format", QN_STAGE_FORMAT, err));

done:
  qn_buffer_release(&text);
  json_decref(manifest);
  return status;
}

static qn_status finish_part(qn_part_writer *writer, qn_buffer *description, qn_error *err) {
  qn_status status = QN_OK;
  qn_part_entry entry = {.n_bytes = -1, .columns = writer->entries};
  json_t *json = NULL;
  const qn_h5_quiet quiet = qn_h5_quiet_begin();

  QN_TRY(write_group(writer, true, err));
  for (int c = 0; c < writer->schema->n_columns; c++) {
    QN_TRY(finish_column(writer, c, err));
  }
  entry.n_rows = writer->n_rows;
  entry.n_groups = writer->n_groups;
  QN_TRY(describe_part(writer, &entry, err));
  QN_TRY(qn_h5_file_finish(&writer->file, writer->path, &entry.n_bytes, err));
  QN_TRY(qn_part_entry_to_json(&entry, writer->schema, file_name(writer->path), &json, err));
  QN_TRY(qn_json_print(json, JSON_COMPACT, description, err));

done:
  json_decref(json);
  qn_h5_quiet_end(&quiet);
  return status;
}

qn_status qn_part_writer_finish(qn_part_writer *writer, qn_buffer *description, qn_error *err) {
  if (writer->failed != QN_OK) {
    return fail_again(writer, err);
  }
  const qn_status status = finish_part(writer, description, err);
  writer->failed = status != QN_OK ? status : QN_ERR_ARG; // no rows after the end
  return status;
}
