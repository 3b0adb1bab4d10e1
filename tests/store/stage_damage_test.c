// SPDX-License-Identifier: Apache-2.0
// Damaged and forged files are errors that say what is wrong; they never crash and never give other rows.
#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/hash.h"
#include "store/h5_file.h"
#include "store/part_layout.h"
#include "store/stage_fixture.h"

// HDF5 itself forgets some memory when it fails to open a file; LeakSanitizer shall not count that.
// Seen from outside, since the leak checker may be a shared library.
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
  return "leak:libhdf5";
}

#define SCHEMA "l int64, t utf8, d float64, b bool, x binary"

typedef struct damage_case {
  fixture_folder folder;
  char stage[400];
  char part[400];
  char manifest[400];
  qn_batch *batch;
} damage_case;

static damage_case damage_case_make(int64_t n_rows) {
  damage_case made = {.folder = fixture_folder_make()};
  kit_random random = {.state = 31};
  made.batch = kit_random_batch(&random, SCHEMA, n_rows);
  fixture_path(&made.folder, "stage", made.stage, sizeof made.stage);
  fixture_path(&made.folder, "stage/part-00000.h5", made.part, sizeof made.part);
  fixture_path(&made.folder, "stage/manifest.json", made.manifest, sizeof made.manifest);
  fixture_stage(made.stage, made.batch->schema, &made.batch, 1);
  return made;
}

static void damage_case_free(damage_case *made) {
  qn_batch_free(made->batch);
  fixture_folder_remove(&made->folder);
}

static qn_status verify(const char *path) {
  qn_status status = QN_OK;
  qn_manifest *manifest = NULL;
  QN_TRY(qn_manifest_open(path, &manifest, &kit_error));
  QN_TRY(qn_manifest_verify(manifest, &kit_error));

done:
  qn_manifest_free(manifest);
  return status;
}

static void flip(const char *path, int64_t offset, uint8_t mask) {
  uint8_t byte = 0;
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  QN_CHECK(fd >= 0 && pread(fd, &byte, 1, offset) == 1);
  byte ^= mask;
  QN_CHECK(pwrite(fd, &byte, 1, offset) == 1);
  close(fd);
}

static int64_t size_of(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 ? (int64_t)info.st_size : -1;
}

// Wherever a byte of a part changes: reading fails, or gives the rows that were written.
static void a_flipped_byte_never_changes_rows(const char *path, const char *opened, const damage_case *made,
                                              int64_t step) {
  int64_t n_found = 0, n_tried = 0;
  const int64_t size = size_of(path);
  for (int64_t offset = 0; offset < size; offset += step) {
    qn_batch *rows = NULL;
    const uint8_t mask = (uint8_t)(1u << (offset / step % 8));
    flip(path, offset, mask);
    const qn_status status = fixture_read_all(opened, &rows, &kit_error);
    if (status == QN_OK) {
      fixture_check_equal(rows, made->batch);
    } else {
      QN_CHECK(kit_error.message[0] != '\0');
      n_found++;
    }
    n_tried++;
    qn_batch_free(rows);
    flip(path, offset, mask);
  }
  QN_CHECK(n_tried > 100 && n_found > n_tried / 8);
  QN_CHECK_OK(verify(opened));
}

static void flipped_bytes_of_a_part_are_found(void) {
  damage_case made = damage_case_make(40);
  a_flipped_byte_never_changes_rows(made.part, made.stage, &made, 29);
  damage_case_free(&made);
}

static void flipped_bytes_of_a_single_file_are_found(void) {
  damage_case made = damage_case_make(25);
  a_flipped_byte_never_changes_rows(made.part, made.part, &made, 31);
  damage_case_free(&made);
}

static void flipped_bytes_of_a_manifest_are_found(void) {
  damage_case made = damage_case_make(10);
  a_flipped_byte_never_changes_rows(made.manifest, made.stage, &made, 1);
  damage_case_free(&made);
}

static void the_message_names_file_column_and_row_group(void) {
  damage_case made = damage_case_make(150000);
  qn_buffer file = {0};
  // Some bytes of the second row group's texts, as they lie in the file.
  const uint8_t *wanted = made.batch->columns[1].bytes + made.batch->columns[1].offsets[65536 + 100];
  QN_CHECK_OK(qn_file_read_all(made.part, INT64_C(1) << 30, &file, &kit_error));
  const uint8_t *found = memmem(file.data, (size_t)file.size, wanted, 256);
  QN_CHECK(found != NULL);
  flip(made.part, found - file.data, 0x40);
  QN_CHECK_FAILS(verify(made.stage), QN_ERR_FORMAT);
  QN_CHECK_MESSAGE("stage/part-00000.h5, column 't', row group 1: the checksum of the text does not match");
  QN_CHECK_FAILS(verify(made.part), QN_ERR_FORMAT);
  QN_CHECK_MESSAGE("column 't', row group 1");
  qn_buffer_release(&file);
  damage_case_free(&made);
}

static void cut_files_are_found(void) {
  damage_case made = damage_case_make(3000);
  const int64_t size = size_of(made.part);
  for (int64_t left = size - 1; left > 0; left = left * 2 / 3) {
    QN_CHECK_INT(truncate(made.part, left), 0);
    QN_CHECK_FAILS(verify(made.stage), QN_ERR_FORMAT);
    QN_CHECK_MESSAGE("the part is cut off");
    QN_CHECK_FAILS(verify(made.part), QN_ERR_FORMAT);
  }
  QN_CHECK_INT(truncate(made.part, 0), 0);
  QN_CHECK_FAILS(verify(made.part), QN_ERR_FORMAT);
  QN_CHECK_INT(truncate(made.manifest, size_of(made.manifest) / 2), 0);
  QN_CHECK_FAILS(verify(made.stage), QN_ERR_FORMAT);
  QN_CHECK_MESSAGE("no valid JSON");
  damage_case_free(&made);
}

static void missing_pieces_are_named(void) {
  damage_case made = damage_case_make(10);
  QN_CHECK_INT(remove(made.part), 0);
  QN_CHECK_FAILS(verify(made.stage), QN_ERR_IO);
  QN_CHECK_MESSAGE("part-00000.h5");
  QN_CHECK_INT(remove(made.manifest), 0);
  QN_CHECK_FAILS(verify(made.stage), QN_ERR_IO);
  QN_CHECK_MESSAGE("was not finished");
  QN_CHECK_FAILS(verify("/nowhere/at/all"), QN_ERR_IO);
  QN_CHECK_MESSAGE("/nowhere/at/all");
  QN_CHECK_FAILS(verify("/dev/null"), QN_ERR_IO);
  damage_case_free(&made);
}

static void a_part_of_another_run_is_found(void) {
  damage_case made = damage_case_make(40);
  kit_random random = {.state = 1234};
  qn_batch *other = kit_random_batch(&random, SCHEMA, 40);
  qn_buffer description = {0};
  fixture_write_part(made.part, other->schema, &other, 1, &description);
  QN_CHECK_FAILS(verify(made.stage), QN_ERR_FORMAT);
  QN_CHECK_MESSAGE("another run");
  QN_CHECK_OK(verify(made.part));
  qn_buffer_release(&description);
  qn_batch_free(other);
  damage_case_free(&made);
}

static void unfinished_parts_and_other_files_are_refused(void) {
  damage_case made = damage_case_make(10);
  qn_part_writer *writer = NULL;
  char path[400];
  hid_t file = 0;
  fixture_path(&made.folder, "half.h5", path, sizeof path);
  QN_CHECK_OK(qn_part_writer_new(path, made.batch->schema, &writer, &kit_error));
  QN_CHECK_OK(qn_part_writer_append(writer, made.batch, &kit_error));
  qn_part_writer_free(writer);
  QN_CHECK_FAILS(verify(path), QN_ERR_FORMAT);
  file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  H5Fclose(file);
  QN_CHECK_FAILS(verify(path), QN_ERR_FORMAT);
  QN_CHECK_MESSAGE("no part of a staged dataset");
  QN_CHECK_OK(qn_file_write_atomic(path, "a,b\n1,2\n", 8, &kit_error));
  QN_CHECK_FAILS(verify(path), QN_ERR_FORMAT);
  damage_case_free(&made);
}

// Writes a manifest that someone forged: with a checksum that fits.
static void write_forged(const damage_case *made, json_t *json) {
  json_object_del(json, "checksum");
  char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
  json_object_set_new(
      json, "checksum",
      json_sprintf("%016llx", (unsigned long long)qn_hash_bytes(text, (int64_t)strlen(text), 0)));
  free(text);
  text = json_dumps(json, JSON_INDENT(1));
  QN_CHECK_OK(qn_file_write_atomic(made->manifest, text, (int64_t)strlen(text), &kit_error));
  free(text);
}

// "parts.0.rows": the value there.
static void replace_in(json_t *json, const char *place, json_t *value_taken) {
  char copy[100];
  char *rest = NULL;
  snprintf(copy, sizeof copy, "%s", place);
  char *word = strtok_r(copy, ".", &rest), *next = strtok_r(NULL, ".", &rest);
  while (next != NULL) {
    json = json_is_array(json) ? json_array_get(json, (size_t)atoi(word)) : json_object_get(json, word);
    word = next;
    next = strtok_r(NULL, ".", &rest);
  }
  json_object_set_new(json, word, value_taken);
}

static void forged_manifests_are_refused(void) {
  static const struct {
    const char *place, *value, *message;
  } cases[] = {
      {"version", "2", "has format version 2, this program reads version 1"},
      {"format", "\"parquet\"", "format is 'parquet'"},
      {"schema", "\"a b c\"", "schema cannot be read"},
      {"schema", "\"l int64\"", "describes 5 columns"},
      {"schema", "7", "'schema' is missing"},
      {"rows", "41", "says 41 rows"},
      {"rows", "-1", "'rows' is missing"},
      {"parts", "{}", "'parts' is missing"},
      {"parts", "[1]", "missing"},
      {"parts.0.file", "\"../../../etc/passwd\"", "no name of a file"},
      {"parts.0.file", "\"other.h5\"", "other.h5"},
      {"parts.0.file", "\"..\"", "no name of a file"},
      {"parts.0.rows", "9223372036854775807", "cannot be"},
      {"parts.0.rows", "0", "groups"},
      {"parts.0.bytes", "12", "the manifest says 12"},
      {"parts.0.groups", "0", "cannot be 0 row groups"},
      {"parts.0.groups", "2", "elements where"},
      {"parts.0.columns.0.name", "\"z\"", "column 'z' where the schema has 'l'"},
      {"parts.0.columns.0.nulls", "41", "'nulls'"},
      {"parts.0.columns.0.nulls", "0", "other numbers of rows or nulls"},
      {"parts.0.columns.0.min", "\"x\"", "no int64"},
      {"parts.0.columns.1.min", "\"\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf\"", "no range"},
      {"parts.0.columns.0.checksum", "\"12\"", "16 hexadecimal digits"},
      {"parts.0.columns.0.checksum", "\"0000000000000000\"", "row groups does not match"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    damage_case made = damage_case_make(40);
    json_t *json = json_load_file(made.manifest, 0, NULL);
    replace_in(json, cases[i].place, json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
    write_forged(&made, json);
    const qn_status status = verify(made.stage);
    QN_CHECK(status == QN_ERR_FORMAT || status == QN_ERR_IO);
    QN_CHECK_MESSAGE(cases[i].message);
    json_decref(json);
    damage_case_free(&made);
  }
}

// Changes values of a part through HDF5, then forges the checksums that go with them.
typedef struct forgery {
  const char *column;
  const char *dataset; // whose element `at` becomes `value`
  int64_t at;
  int64_t value;
  const char *message;
} forgery;

static void overwrite(hid_t group, const char *name, int64_t at, int64_t value) {
  const hid_t dataset = H5Dopen2(group, name, H5P_DEFAULT), space = H5Dget_space(dataset);
  const hsize_t start = (hsize_t)at, one = 1;
  const hid_t memory = H5Screate_simple(1, &one, NULL);
  H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &one, NULL);
  QN_CHECK(H5Dwrite(dataset, H5T_NATIVE_INT64, memory, space, H5P_DEFAULT, &value) >= 0);
  H5Sclose(memory);
  H5Sclose(space);
  H5Dclose(dataset);
}

static uint64_t checksum_of(hid_t group, const char *name, int64_t n, hid_t type, int64_t width) {
  void *data = calloc((size_t)n, (size_t)width);
  const hid_t dataset = H5Dopen2(group, name, H5P_DEFAULT);
  QN_CHECK(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
  const uint64_t checksum = qn_hash_bytes(data, n * width, 0);
  H5Dclose(dataset);
  free(data);
  return checksum;
}

// The table of row groups (of one group) with the checksums of what is there now; returns its checksum.
static uint64_t rewrite_groups(hid_t group, qn_type type, int64_t n_rows) {
  qn_group_record record;
  hid_t record_type = 0;
  memset(&record, 0, sizeof record);
  QN_CHECK_OK(qn_group_record_type(type, &record_type, &kit_error));
  const hid_t dataset = H5Dopen2(group, "row_groups", H5P_DEFAULT);
  QN_CHECK(H5Dread(dataset, record_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, &record) >= 0);
  if (qn_type_is_text(type)) {
    record.values_checksum = checksum_of(group, "offsets", n_rows + 1, H5T_STD_I64LE, 8);
    record.bytes_checksum = checksum_of(group, "bytes", record.n_bytes, H5T_STD_U8LE, 1);
  } else {
    record.values_checksum = checksum_of(group, "values", n_rows, qn_h5_type(type), qn_type_width(type));
  }
  if (record.n_nulls > 0) {
    record.validity_checksum = checksum_of(group, "validity", n_rows, H5T_STD_U8LE, 1);
  }
  QN_CHECK(H5Dwrite(dataset, record_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, &record) >= 0);
  H5Dclose(dataset);
  H5Tclose(record_type);
  return qn_group_records_checksum(&record, 1);
}

static void forge(const damage_case *made, const forgery *what) {
  char name[40];
  const int c = qn_schema_find(made->batch->schema, what->column);
  const qn_type type = qn_schema_type(made->batch->schema, c);
  hid_t file = H5Fopen(made->part, H5F_ACC_RDWR, H5P_DEFAULT);
  snprintf(name, sizeof name, "columns/%s", what->column);
  hid_t group = H5Gopen2(file, name, H5P_DEFAULT);
  overwrite(group, what->dataset, what->at, what->value);
  const uint64_t checksum = rewrite_groups(group, type, made->batch->n_rows);
  H5Gclose(group);
  H5Fclose(file);

  json_t *json = json_load_file(made->manifest, 0, NULL);
  snprintf(name, sizeof name, "parts.0.columns.%d.checksum", c);
  replace_in(json, name, json_sprintf("%016llx", (unsigned long long)checksum));
  replace_in(json, "parts.0.bytes", json_integer(size_of(made->part)));
  write_forged(made, json);
  json_decref(json);
}

static void forged_values_are_refused(void) {
  static const forgery cases[] = {
      {"t", "offsets", 3, INT64_MAX, "offsets of texts are not ascending"},
      {"t", "offsets", 3, -1, "offsets of texts are not ascending"},
      {"t", "offsets", 0, 1, "offsets of texts are not ascending"},
      {"t", "offsets", 40, 1 << 30, "offsets of texts are not ascending"},
      {"t", "bytes", 5, 0xff, "a text is not UTF-8"},
      {"b", "values", 7, 2, "a bool is neither 0 nor 1"},
      {"l", "validity", 2, 3, "the validity has not the nulls"},
      {"x", "offsets", 20, 1 << 29, "offsets of texts are not ascending"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    damage_case made = damage_case_make(40);
    forge(&made, &cases[i]);
    QN_CHECK_FAILS(verify(made.stage), QN_ERR_FORMAT);
    QN_CHECK_MESSAGE(cases[i].message);
    damage_case_free(&made);
  }
}

// HDF5's own printing is as it was before.
static void hdf5_settings_are_put_back(void) {
  H5E_auto2_t before = NULL, after = NULL;
  void *data = NULL;
  H5Eget_auto2(H5E_DEFAULT, &before, &data);
  flipped_bytes_of_a_manifest_are_found();
  QN_CHECK_FAILS(verify("/dev"), QN_ERR_IO);
  H5Eget_auto2(H5E_DEFAULT, &after, &data);
  QN_CHECK(before == after && before != NULL);
}

int main(void) {
  KIT_RUN(flipped_bytes_of_a_part_are_found);
  KIT_RUN(flipped_bytes_of_a_single_file_are_found);
  KIT_RUN(flipped_bytes_of_a_manifest_are_found);
  KIT_RUN(the_message_names_file_column_and_row_group);
  KIT_RUN(cut_files_are_found);
  KIT_RUN(missing_pieces_are_named);
  KIT_RUN(a_part_of_another_run_is_found);
  KIT_RUN(unfinished_parts_and_other_files_are_refused);
  KIT_RUN(forged_manifests_are_refused);
  KIT_RUN(forged_values_are_refused);
  KIT_RUN(hdf5_settings_are_put_back);
  return kit_result();
}
