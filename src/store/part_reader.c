// SPDX-License-Identifier: Apache-2.0
// Reading parts. Nothing in a file is taken for granted: checksums find what changed by accident, and what a
// file could do by intent (offsets that lead outside, text that is no UTF-8, truth values beyond 1) is
// checked as well.
#include "store/part_reader.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "column/bitmap.h"
#include "store/stage.h"

enum { MANIFEST_MAX_BYTES = 1 << 30 };

// A column that was read before: its table of row groups and its open datasets.
typedef struct column_reader {
  qn_group_record *groups; // NULL: not opened yet
  hid_t values;            // or offsets
  hid_t validity;          // 0: not opened
  hid_t bytes;
} column_reader;

struct qn_part_reader {
  const qn_schema *schema;
  const qn_part_entry *entry;
  hid_t file;
  column_reader *columns;
  const qn_group_record *first_groups; // of the column opened first: the others must have the same rows
};

// Where something is wrong, for messages.
typedef struct read_place {
  const char *path;
  const char *column;
  int64_t group;
} read_place;

static qn_status damaged(const read_place *place, const char *what, qn_error *err) {
  return qn_fail(err, QN_ERR_FORMAT,
                 "%s, column '%s', row group %" PRId64 ": %s: the file is damaged; stage the data anew",
                 place->path, place->column, place->group, what);
}

// Opens a file and checks that it is a finished part.
static qn_status open_part(const char *path, hid_t *file, qn_error *err) {
  qn_status status = QN_OK;
  int64_t version = 0;
  QN_TRY(qn_h5_file_open(path, file, err));
  QN_REQUIRE(H5Aexists(*file, "format") > 0, err, QN_ERR_FORMAT,
             "%s: is an HDF5 file but no part of a staged dataset, or one that was not finished", path);
  QN_TRY(qn_h5_get_int64(*file, path, "version", &version, err));
  QN_REQUIRE(version == QN_STAGE_VERSION, err, QN_ERR_FORMAT,
             "%s: has format version %" PRId64 ", this program reads version %d; stage the data anew", path,
             version, QN_STAGE_VERSION);

done:
  if (status != QN_OK) {
    qn_h5_file_close(file);
  }
  return status;
}

qn_status qn_part_read_manifest(const char *path, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  hid_t file = H5I_INVALID_HID;
  const qn_h5_quiet quiet = qn_h5_quiet_begin();
  QN_TRY(open_part(path, &file, err));
  QN_TRY(qn_h5_read_text(file, path, "manifest", MANIFEST_MAX_BYTES, out, err));

done:
  qn_h5_file_close(&file);
  qn_h5_quiet_end(&quiet);
  return status;
}

qn_status qn_part_reader_open(const qn_schema *schema, const qn_part_entry *entry, qn_part_reader **out,
                              qn_error *err) {
  qn_status status = QN_OK;
  struct stat info;
  qn_part_reader *reader = NULL;
  const qn_h5_quiet quiet = qn_h5_quiet_begin();

  QN_REQUIRE(stat(entry->path, &info) == 0, err, QN_ERR_IO,
             "%s: a part of the staged dataset cannot be read: %s", entry->path, strerror(errno));
  QN_REQUIRE(info.st_size == entry->n_bytes, err, QN_ERR_FORMAT,
             "%s: has %" PRId64 " bytes, the manifest says %" PRId64
             "; the part is cut off or from another run",
             entry->path, (int64_t)info.st_size, entry->n_bytes);
  reader = calloc(1, sizeof *reader);
  QN_REQUIRE(reader != NULL, err, QN_ERR_MEMORY, "%s: no memory to read it", entry->path);
  *reader = (qn_part_reader){.schema = schema, .entry = entry, .file = H5I_INVALID_HID};
  reader->columns = calloc((size_t)schema->n_columns, sizeof *reader->columns);
  QN_REQUIRE(reader->columns != NULL, err, QN_ERR_MEMORY, "%s: no memory to read it", entry->path);
  QN_TRY(open_part(entry->path, &reader->file, err));
  *out = reader;
  reader = NULL;

done:
  qn_part_reader_free(reader);
  qn_h5_quiet_end(&quiet);
  return status;
}

static void close_dataset(hid_t dataset) {
  if (dataset > 0) {
    H5Dclose(dataset);
  }
}

void qn_part_reader_free(qn_part_reader *reader) {
  if (reader == NULL) {
    return;
  }
  const qn_h5_quiet quiet = qn_h5_quiet_begin();
  for (int c = 0; reader->columns != NULL && c < reader->schema->n_columns; c++) {
    close_dataset(reader->columns[c].values);
    close_dataset(reader->columns[c].validity);
    close_dataset(reader->columns[c].bytes);
    qn_memory_free(reader->columns[c].groups);
  }
  free(reader->columns);
  qn_h5_file_close(&reader->file);
  qn_h5_quiet_end(&quiet);
  free(reader);
}

const qn_part_entry *qn_part_reader_entry(const qn_part_reader *reader) {
  return reader->entry;
}

static qn_status open_array(const qn_part_reader *reader, int column, const char *name, hid_t type, int64_t n,
                            hid_t *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer path = {0};
  QN_TRY(qn_column_path_print(qn_schema_name(reader->schema, column), &path, err));
  QN_TRY(qn_buffer_printf(&path, err, "/%s", name));
  QN_TRY(qn_buffer_terminate(&path, err));
  QN_TRY(qn_h5_array_open(reader->file, reader->entry->path, (const char *)path.data, type, n, out, err));

done:
  qn_buffer_release(&path);
  return status;
}

// Rows and bytes of the groups must follow each other without gaps, as in the column opened first.
static qn_status check_groups(const qn_part_reader *reader, int column, const qn_group_record *groups,
                              qn_error *err) {
  const qn_part_entry *entry = reader->entry;
  const qn_type type = qn_schema_type(reader->schema, column);
  read_place place = {.path = entry->path, .column = qn_schema_name(reader->schema, column)};
  int64_t n_rows = 0, n_nulls = 0, n_bytes = 0;

  for (int64_t g = 0; g < entry->n_groups; g++) {
    const qn_group_record *group = &groups[g];
    place.group = g;
    if (group->first_row != n_rows || group->n_rows < 1 || group->n_rows > QN_STAGE_GROUP_ROWS ||
        group->n_nulls < 0 || group->n_nulls > group->n_rows) {
      return damaged(&place, "impossible numbers of rows", err);
    }
    if (group->first_byte != n_bytes || group->n_bytes < 0 || group->n_bytes > INT32_MAX ||
        (!qn_type_is_text(type) && group->n_bytes != 0)) {
      return damaged(&place, "impossible numbers of bytes", err);
    }
    if (!qn_value_range_is_sound(type, &group->range)) {
      return damaged(&place, "min and max are no range", err);
    }
    if (reader->first_groups != NULL && reader->first_groups[g].n_rows != group->n_rows) {
      return damaged(&place, "other rows than the columns before", err);
    }
    n_rows += group->n_rows;
    n_nulls += group->n_nulls;
    n_bytes += group->n_bytes;
  }
  if (n_rows != entry->n_rows || n_nulls != entry->columns[column].n_nulls) {
    return damaged(&place, "other numbers of rows or nulls than the manifest says", err);
  }
  return QN_OK;
}

static qn_status read_groups(const qn_part_reader *reader, int column, qn_group_record *groups,
                             qn_error *err) {
  qn_status status = QN_OK;
  const qn_part_entry *entry = reader->entry;
  const int64_t size = entry->n_groups * (int64_t)sizeof *groups;
  hid_t type = H5I_INVALID_HID, dataset = H5I_INVALID_HID;

  QN_TRY(qn_group_record_type(qn_schema_type(reader->schema, column), &type, err));
  QN_TRY(open_array(reader, column, "row_groups", type, entry->n_groups, &dataset, err));
  memset(groups, 0, (size_t)size);
  QN_TRY(qn_h5_array_read(dataset, entry->path, type, 0, entry->n_groups, groups, err));
  QN_REQUIRE(
      qn_group_records_checksum(groups, entry->n_groups) == entry->columns[column].checksum, err,
      QN_ERR_FORMAT,
      "%s, column '%s': the table of row groups does not match the manifest: the part is damaged or from "
      "another run; stage the data anew",
      entry->path, qn_schema_name(reader->schema, column));
  QN_TRY(check_groups(reader, column, groups, err));

done:
  close_dataset(dataset);
  if (type >= 0) {
    H5Tclose(type);
  }
  return status;
}

static qn_status open_values(const qn_part_reader *reader, int column, column_reader *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_type type = qn_schema_type(reader->schema, column);
  const int64_t n_rows = reader->entry->n_rows, n_groups = reader->entry->n_groups;

  if (!qn_type_is_text(type)) {
    QN_TRY(open_array(reader, column, "values", qn_h5_type(type), n_rows, &out->values, err));
  } else {
    const qn_group_record *last = n_groups > 0 ? &out->groups[n_groups - 1] : NULL;
    const int64_t n_bytes = last != NULL ? last->first_byte + last->n_bytes : 0;
    QN_TRY(open_array(reader, column, "offsets", H5T_STD_I64LE, n_rows + 1, &out->values, err));
    QN_TRY(open_array(reader, column, "bytes", H5T_STD_U8LE, n_bytes, &out->bytes, err));
  }
  if (reader->entry->columns[column].n_nulls > 0) {
    QN_TRY(open_array(reader, column, "validity", H5T_STD_U8LE, n_rows, &out->validity, err));
  }

done:
  return status;
}

qn_status qn_part_reader_groups(qn_part_reader *reader, int column, const qn_group_record **out,
                                qn_error *err) {
  qn_status status = QN_OK;
  const qn_part_entry *entry = reader->entry;
  column_reader *columns = &reader->columns[column];
  qn_group_record *groups = NULL;
  int64_t size = 0;
  const qn_h5_quiet quiet = qn_h5_quiet_begin();

  if (columns->groups == NULL) {
    // Each group takes more than a byte of the file: what says otherwise must not make us ask for its memory.
    QN_REQUIRE(entry->n_groups <= entry->n_bytes, err, QN_ERR_FORMAT,
               "%s: %" PRId64 " row groups in %" PRId64 " bytes", entry->path, entry->n_groups,
               entry->n_bytes);
    QN_TRY(qn_mul_size(entry->n_groups, sizeof *groups, &size, err));
    groups = qn_memory_alloc(size);
    QN_REQUIRE(groups != NULL, err, QN_ERR_MEMORY, "%s: no memory for %" PRId64 " row groups", entry->path,
               entry->n_groups);
    QN_TRY(read_groups(reader, column, groups, err));
    columns->groups = groups;
    groups = NULL;
    reader->first_groups = reader->first_groups == NULL ? columns->groups : reader->first_groups;
  }
  *out = columns->groups;

done:
  qn_memory_free(groups);
  qn_h5_quiet_end(&quiet);
  return status;
}

// Truth values and validity: each byte 0 or 1. Returns how many are 1, or -1.
static int64_t count_ones(const uint8_t *bytes, int64_t n) {
  int64_t n_ones = 0;
  uint8_t all = 0;
  for (int64_t i = 0; i < n; i++) {
    n_ones += bytes[i];
    all |= bytes[i];
  }
  return all <= 1 ? n_ones : -1;
}

// Eight bytes of 0 or 1 become eight bits by one multiplication, which moves bit 8 i to bit 56 + i.
static void pack_bits(const uint8_t *bytes, int64_t n, uint8_t *bits) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t eight = 0;
    memcpy(&eight, bytes + i, sizeof eight);
    bits[i >> 3] = (uint8_t)((eight * 0x0102040810204080ull) >> 56);
  }
  if (i < n) {
    bits[i >> 3] = 0;
  }
  for (; i < n; i++) {
    bits[i >> 3] = (uint8_t)(bits[i >> 3] | (bytes[i] << (i & 7)));
  }
}

static qn_status read_validity(const qn_part_reader *reader, hid_t dataset, const qn_group_record *group,
                               const read_place *place, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer bytes = {0}, bits = {0};

  QN_TRY(qn_buffer_reserve(&bytes, group->n_rows, err));
  QN_TRY(qn_buffer_reserve(&bits, qn_bitmap_bytes(group->n_rows), err));
  QN_TRY(qn_h5_array_read(dataset, reader->entry->path, H5T_STD_U8LE, group->first_row, group->n_rows,
                          bytes.data, err));
  if (qn_hash_bytes(bytes.data, group->n_rows, 0) != group->validity_checksum) {
    status = damaged(place, "the checksum of the validity does not match", err);
    goto done;
  }
  if (count_ones(bytes.data, group->n_rows) != group->n_rows - group->n_nulls) {
    status = damaged(place, "the validity has not the nulls that were counted", err);
    goto done;
  }
  pack_bits(bytes.data, group->n_rows, bits.data);
  bits.size = qn_bitmap_bytes(group->n_rows);
  out->n_nulls = group->n_nulls;
  out->validity = bits.data;
  QN_TRY(qn_block_from_buffer_take(&bits, &out->blocks[0], err));

done:
  qn_buffer_release(&bits);
  qn_buffer_release(&bytes);
  return status;
}

static qn_status read_fixed(const qn_part_reader *reader, int column, const qn_group_record *group,
                            const read_place *place, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_type type = qn_schema_type(reader->schema, column);
  void *values = NULL;

  QN_TRY(qn_column_fixed(type, group->n_rows, out, &values, err));
  QN_TRY(qn_h5_array_read(reader->columns[column].values, reader->entry->path, qn_h5_type(type),
                          group->first_row, group->n_rows, values, err));
  if (qn_hash_bytes(values, group->n_rows * qn_type_width(type), 0) != group->values_checksum) {
    status = damaged(place, "the checksum of the values does not match", err);
    goto done;
  }
  if (type == QN_BOOL && count_ones(values, group->n_rows) < 0) {
    status = damaged(place, "a bool is neither 0 nor 1", err);
  }

done:
  return status;
}

// Offsets from the part's numbering to the batch's; false if they leave the group's bytes or go back.
static bool convert_offsets(const int64_t *from, const qn_group_record *group, int32_t *to) {
  bool are_sound = from[0] == group->first_byte && from[group->n_rows] == group->first_byte + group->n_bytes;
  for (int64_t i = 0; i < group->n_rows; i++) {
    are_sound &= from[i] <= from[i + 1];
  }
  for (int64_t i = 0; are_sound && i <= group->n_rows; i++) {
    to[i] = (int32_t)(from[i] - group->first_byte);
  }
  return are_sound;
}

static qn_status read_offsets(const qn_part_reader *reader, int column, const qn_group_record *group,
                              const read_place *place, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer wide = {0}, narrow = {0};
  const int64_t n = group->n_rows + 1;

  QN_TRY(qn_buffer_reserve(&wide, n * (int64_t)sizeof(int64_t), err));
  QN_TRY(qn_buffer_reserve(&narrow, n * (int64_t)sizeof(int32_t), err));
  QN_TRY(qn_h5_array_read(reader->columns[column].values, reader->entry->path, H5T_STD_I64LE,
                          group->first_row, n, wide.data, err));
  if (qn_hash_bytes(wide.data, n * (int64_t)sizeof(int64_t), 0) != group->values_checksum) {
    status = damaged(place, "the checksum of the offsets does not match", err);
    goto done;
  }
  if (!convert_offsets((const int64_t *)wide.data, group, (int32_t *)narrow.data)) {
    status = damaged(place, "the offsets of texts are not ascending", err);
    goto done;
  }
  narrow.size = n * (int64_t)sizeof(int32_t);
  out->offsets = (const int32_t *)narrow.data;
  QN_TRY(qn_block_from_buffer_take(&narrow, &out->blocks[1], err));

done:
  qn_buffer_release(&narrow);
  qn_buffer_release(&wide);
  return status;
}

// Every text must be UTF-8: all bytes together are, and none begins inside a character.
static bool are_texts_valid(const qn_column *column, const uint8_t *bytes, int64_t n_bytes) {
  bool is_between = true;
  if (qn_utf8_find_invalid(bytes, n_bytes) >= 0) {
    return false;
  }
  for (int64_t i = 0; i < column->n_rows; i++) {
    is_between &= column->offsets[i] == n_bytes || (bytes[column->offsets[i]] & 0xC0) != 0x80;
  }
  return is_between;
}

static qn_status read_text(const qn_part_reader *reader, int column, const qn_group_record *group,
                           const read_place *place, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer bytes = {0};

  *out = (qn_column){.type = qn_schema_type(reader->schema, column), .n_rows = group->n_rows};
  QN_TRY(read_offsets(reader, column, group, place, out, err));
  QN_TRY(qn_buffer_reserve(&bytes, group->n_bytes > 0 ? group->n_bytes : 1, err));
  QN_TRY(qn_h5_array_read(reader->columns[column].bytes, reader->entry->path, H5T_STD_U8LE, group->first_byte,
                          group->n_bytes, bytes.data, err));
  if (qn_hash_bytes(bytes.data, group->n_bytes, 0) != group->bytes_checksum) {
    status = damaged(place, "the checksum of the text does not match", err);
    goto done;
  }
  if (out->type == QN_UTF8 && !are_texts_valid(out, bytes.data, group->n_bytes)) {
    status = damaged(place, "a text is not UTF-8", err);
    goto done;
  }
  bytes.size = group->n_bytes;
  out->bytes = bytes.data;
  QN_TRY(qn_block_from_buffer_take(&bytes, &out->blocks[2], err));

done:
  qn_buffer_release(&bytes);
  return status;
}

static int64_t bytes_of_group(qn_type type, const qn_group_record *group) {
  const int64_t width = qn_type_is_text(type) ? (int64_t)sizeof(int64_t) : qn_type_width(type);
  return group->n_rows * width + group->n_bytes + (group->n_nulls > 0 ? group->n_rows : 0);
}

qn_status qn_part_reader_column(qn_part_reader *reader, int column, int64_t group, qn_column *out,
                                int64_t *n_bytes, qn_error *err) {
  qn_status status = QN_OK;
  const qn_type type = qn_schema_type(reader->schema, column);
  const read_place place = {
      .path = reader->entry->path, .column = qn_schema_name(reader->schema, column), .group = group};
  const qn_group_record *groups = NULL;
  column_reader *columns = &reader->columns[column];
  qn_column values = {0};
  const qn_h5_quiet quiet = qn_h5_quiet_begin();

  QN_TRY(qn_part_reader_groups(reader, column, &groups, err));
  if (columns->values <= 0) {
    QN_TRY(open_values(reader, column, columns, err));
  }
  if (qn_type_is_text(type)) {
    QN_TRY(read_text(reader, column, &groups[group], &place, &values, err));
  } else {
    QN_TRY(read_fixed(reader, column, &groups[group], &place, &values, err));
  }
  if (groups[group].n_nulls > 0) {
    QN_TRY(read_validity(reader, columns->validity, &groups[group], &place, &values, err));
  }
  *n_bytes += bytes_of_group(type, &groups[group]);
  *out = values;
  values = (qn_column){0};

done:
  qn_column_release(&values);
  qn_h5_quiet_end(&quiet);
  return status;
}
