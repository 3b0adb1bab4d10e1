// SPDX-License-Identifier: Apache-2.0
// Sets of named arrays as HDF5 files: a dataset per array in /arrays, one per text in /texts, each with its
// place in the set and a checksum. docs/model-format.md describes them for readers in other languages.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/check.h"
#include "base/files.h"
#include "base/hash.h"
#include "store/array_set.h"
#include "store/h5_file.h"

enum {
  FILE_VERSION = 1,
  MOST_ENTRIES = 100000,
  MOST_KIND_BYTES = 200,
  MOST_EXPANSION = 2000, // bytes in memory for one in the file, which may have been compressed
};

static const int64_t most_text_bytes = INT64_C(1) << 30;

// --- Writing --------------------------------------------------------------------------------------------

static qn_status put_marks(hid_t group, const char *path, const char *name, int index, const void *data,
                           int64_t n_bytes, qn_error *err) {
  qn_status status = QN_OK;
  const hid_t dataset = H5Dopen2(group, name, H5P_DEFAULT);
  if (dataset < 0) {
    status = qn_h5_fail(err, QN_ERR_IO, path, "writing '%s'", name);
    goto done;
  }
  QN_TRY(qn_h5_put_int64(dataset, path, "index", index, err));
  QN_TRY(qn_h5_put_int64(dataset, path, "checksum", (int64_t)qn_hash_bytes(data, n_bytes, 0), err));

done:
  if (dataset >= 0) {
    H5Dclose(dataset);
  }
  return status;
}

static qn_status write_arrays(hid_t file, const char *path, const qn_arrays *arrays, qn_error *err) {
  qn_status status = QN_OK;
  hid_t group = H5I_INVALID_HID;
  QN_TRY(qn_h5_group_create(file, path, "arrays", &group, err));
  for (int i = 0; i < arrays->n; i++) {
    const qn_array *array = &arrays->items[i];
    int64_t n_bytes = 0;
    QN_TRY(qn_array_size(array->type, array->n_dims, array->dims, &n_bytes, err));
    QN_TRY(qn_h5_write_shaped(group, path, array->name, qn_h5_type(array->type), array->n_dims, array->dims,
                              array->data, err));
    QN_TRY(put_marks(group, path, array->name, i, array->data, n_bytes, err));
  }

done:
  if (group >= 0) {
    H5Gclose(group);
  }
  return status;
}

// HDF5 has no text without bytes: an empty one is a zero byte, which readers take for padding.
static qn_status write_texts(hid_t file, const char *path, const qn_arrays *arrays, qn_error *err) {
  qn_status status = QN_OK;
  hid_t group = H5I_INVALID_HID;
  QN_TRY(qn_h5_group_create(file, path, "texts", &group, err));
  for (int i = 0; i < arrays->n_texts; i++) {
    const struct qn_array_text *text = &arrays->texts[i];
    const int64_t size = (int64_t)strlen(text->text);
    const qn_buffer bytes = {.data = (uint8_t *)text->text, .size = size > 0 ? size : 1};
    QN_REQUIRE(size <= most_text_bytes, err, QN_ERR_ARG,
               "%s: the text '%s' has %" PRId64 " bytes; at most %" PRId64 " can be kept", path, text->name,
               size, most_text_bytes);
    QN_TRY(qn_h5_write_text(group, path, text->name, &bytes, err));
    QN_TRY(put_marks(group, path, text->name, i, text->text, size, err));
  }

done:
  if (group >= 0) {
    H5Gclose(group);
  }
  return status;
}

// "folder/.name.tmp", or NULL. Free it with free().
static char *temporary_name(const char *path) {
  const char *slash = strrchr(path, '/');
  const int folder = slash != NULL ? (int)(slash + 1 - path) : 0;
  char *temporary = NULL;
  return asprintf(&temporary, "%.*s.%s.tmp", folder, path, path + folder) < 0 ? NULL : temporary;
}

static qn_status write_file(const qn_arrays *arrays, const char *kind, const char *path, qn_error *err) {
  qn_status status = QN_OK;
  hid_t file = H5I_INVALID_HID;
  int64_t n_bytes = 0;

  QN_TRY(qn_h5_file_create(path, &file, err));
  QN_TRY(write_arrays(file, path, arrays, err));
  QN_TRY(write_texts(file, path, arrays, err));
  QN_TRY(qn_h5_put_int64(file, path, "version", FILE_VERSION, err));
  QN_TRY(qn_h5_put_fixed_text(file, path, "creator", "quern", err));
  QN_TRY(qn_h5_put_fixed_text(file, path, "kind", kind, err));
  QN_TRY(qn_h5_file_finish(&file, path, &n_bytes, err));

done:
  qn_h5_file_abandon(&file);
  return status;
}

qn_status qn_arrays_write(const qn_arrays *arrays, const char *kind, const char *path, qn_error *err) {
  qn_status status = QN_OK;
  const qn_h5_quiet quiet = qn_h5_quiet_begin();
  char *temporary = temporary_name(path);

  QN_REQUIRE(temporary != NULL, err, QN_ERR_MEMORY, "%s: no memory for a name beside it", path);
  QN_TRY(qn_folder_make_for(path, err));
  QN_TRY(write_file(arrays, kind, temporary, err));
  QN_TRY(qn_file_publish(temporary, path, err));

done:
  if (status != QN_OK && temporary != NULL) {
    unlink(temporary);
  }
  free(temporary);
  qn_h5_quiet_end(&quiet);
  return status;
}

// --- Reading --------------------------------------------------------------------------------------------

typedef struct entry {
  char name[QN_ARRAY_MAX_NAME + 1];
  int64_t index;
} entry;

typedef struct array_file {
  hid_t file;
  const char *path;
  int64_t n_bytes;
} array_file;

static int compare_entries(const void *a, const void *b) {
  const int64_t first = ((const entry *)a)->index, second = ((const entry *)b)->index;
  return (first > second) - (first < second);
}

static qn_status get_mark(hid_t group, const char *path, const char *name, const char *mark, int64_t *value,
                          qn_error *err) {
  qn_status status = QN_OK;
  const hid_t dataset = H5Dopen2(group, name, H5P_DEFAULT);
  if (dataset < 0) {
    return qn_h5_fail(err, QN_ERR_FORMAT, path, "has no readable dataset '%s'", name);
  }
  status = qn_h5_get_int64(dataset, path, mark, value, err);
  H5Dclose(dataset);
  return status;
}

typedef struct entry_list {
  entry *entries;
  int64_t n, capacity;
} entry_list;

static herr_t note_entry(hid_t group, const char *name, const H5L_info_t *info, void *ctx) {
  (void)group;
  (void)info;
  entry_list *list = ctx;
  const size_t size = strlen(name);
  if (size == 0 || size > QN_ARRAY_MAX_NAME || list->n == list->capacity) {
    return -1;
  }
  memcpy(list->entries[list->n++].name, name, size + 1);
  return 0;
}

// The names in a group, in the order they were put. They are asked for as they lie in the file: HDF5 1.10
// sorts those of large groups in a table, and frees what it has not set in it when the group is damaged.
static qn_status list_entries(hid_t group, const char *path, entry **out, int64_t *n_out, qn_error *err) {
  qn_status status = QN_OK;
  entry_list list = {0};
  H5G_info_t info = {0};

  if (H5Gget_info(group, &info) < 0 || info.nlinks > MOST_ENTRIES) {
    status = qn_h5_fail(err, QN_ERR_FORMAT, path, "its list of datasets is damaged");
    goto done;
  }
  list.capacity = (int64_t)info.nlinks;
  list.entries = calloc((size_t)info.nlinks + 1, sizeof *list.entries);
  QN_REQUIRE(list.entries != NULL, err, QN_ERR_MEMORY, "%s: no memory for its list of datasets", path);
  if (H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, note_entry, &list) < 0 ||
      list.n != list.capacity) {
    status = qn_h5_fail(err, QN_ERR_FORMAT, path, "its list of datasets is damaged");
    goto done;
  }
  for (int64_t i = 0; i < list.n; i++) {
    QN_TRY(get_mark(group, path, list.entries[i].name, "index", &list.entries[i].index, err));
  }
  qsort(list.entries, (size_t)list.n, sizeof *list.entries, compare_entries);
  *out = list.entries;
  *n_out = list.n;
  list.entries = NULL;

done:
  free(list.entries);
  return status;
}

static qn_status check_sum(hid_t group, const char *path, const char *what, const char *name,
                           const void *data, int64_t n_bytes, qn_error *err) {
  qn_status status = QN_OK;
  int64_t checksum = 0;
  QN_TRY(get_mark(group, path, name, "checksum", &checksum, err));
  QN_REQUIRE((uint64_t)checksum == qn_hash_bytes(data, n_bytes, 0), err, QN_ERR_FORMAT,
             "%s: the %s '%s' is damaged: its checksum does not fit; make the file or copy it again", path,
             what, name);

done:
  return status;
}

static qn_status read_array(const array_file *file, hid_t group, const char *name, qn_arrays *arrays,
                            qn_error *err) {
  qn_status status = QN_OK;
  hid_t dataset = H5I_INVALID_HID;
  qn_type type = QN_BOOL;
  int n_dims = 0;
  int64_t dims[QN_ARRAY_MAX_DIMS] = {0};
  int64_t n_bytes = 0;
  void *data = NULL;

  QN_TRY(qn_h5_shaped_open(group, file->path, name, QN_ARRAY_MAX_DIMS, &dataset, &type, &n_dims, dims, err));
  QN_REQUIRE(
      qn_array_size(type, n_dims, dims, &n_bytes, NULL) == QN_OK && n_bytes / MOST_EXPANSION <= file->n_bytes,
      err, QN_ERR_FORMAT, "%s: the array '%s' claims to be larger than the file can hold", file->path, name);
  QN_TRY(qn_arrays_new(arrays, name, type, n_dims, dims, &data, err));
  if (n_bytes > 0 && H5Dread(dataset, qn_h5_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) {
    status = qn_h5_fail(err, QN_ERR_FORMAT, file->path, "reading the array '%s'", name);
    goto done;
  }
  QN_TRY(check_sum(group, file->path, "array", name, data, n_bytes, err));
  QN_TRY(qn_array_check_values(name, type, data, n_bytes, err));

done:
  if (dataset >= 0) {
    H5Dclose(dataset);
  }
  return status;
}

static qn_status read_text(const array_file *file, hid_t group, const char *name, qn_arrays *arrays,
                           qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};
  const int64_t most = file->n_bytes < most_text_bytes ? file->n_bytes : most_text_bytes;
  QN_TRY(qn_h5_read_text(group, file->path, name, most, &text, err));
  while (text.size > 0 && text.data[text.size - 1] == 0) {
    text.size--;
  }
  QN_TRY(check_sum(group, file->path, "text", name, text.data, text.size, err));
  QN_TRY(qn_arrays_put_bytes(arrays, name, text.data, text.size, err));

done:
  qn_buffer_release(&text);
  return status;
}

static qn_status read_group(const array_file *file, const char *group_name, bool is_texts, qn_arrays *arrays,
                            qn_error *err) {
  qn_status status = QN_OK;
  entry *entries = NULL;
  int64_t n = 0;
  const hid_t group = H5Gopen2(file->file, group_name, H5P_DEFAULT);

  if (group < 0) {
    status = qn_h5_fail(err, QN_ERR_FORMAT, file->path, "has no group '%s'", group_name);
    goto done;
  }
  QN_TRY(list_entries(group, file->path, &entries, &n, err));
  for (int64_t i = 0; i < n; i++) {
    QN_TRY(is_texts ? read_text(file, group, entries[i].name, arrays, err)
                    : read_array(file, group, entries[i].name, arrays, err));
  }

done:
  free(entries);
  if (group >= 0) {
    H5Gclose(group);
  }
  return status;
}

static qn_status check_kind(const array_file *file, const char *kind, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer found = {0};
  int64_t version = 0;

  QN_TRY(qn_h5_get_fixed_text(file->file, file->path, "kind", MOST_KIND_BYTES, &found, err));
  QN_TRY(qn_buffer_terminate(&found, err));
  QN_REQUIRE(strcmp((const char *)found.data, kind) == 0, err, QN_ERR_FORMAT,
             "%s: is no %s but a '%s'; is it the right file?", file->path, kind, (const char *)found.data);
  QN_TRY(qn_h5_get_int64(file->file, file->path, "version", &version, err));
  QN_REQUIRE(version == FILE_VERSION, err, QN_ERR_FORMAT,
             "%s: has version %" PRId64 " of the format; this program reads version %d", file->path, version,
             FILE_VERSION);

done:
  qn_buffer_release(&found);
  return status;
}

qn_status qn_arrays_read(const char *path, const char *kind, qn_arrays *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_h5_quiet quiet = qn_h5_quiet_begin();
  qn_arrays arrays = {0};
  array_file file = {.file = H5I_INVALID_HID, .path = path};
  struct stat info;

  QN_REQUIRE(stat(path, &info) == 0, err, QN_ERR_IO, "%s: %s", path, strerror(errno));
  file.n_bytes = info.st_size;
  QN_TRY(qn_h5_file_open(path, &file.file, err));
  QN_TRY(check_kind(&file, kind, err));
  QN_TRY(read_group(&file, "arrays", false, &arrays, err));
  QN_TRY(read_group(&file, "texts", true, &arrays, err));
  qn_arrays_move(&arrays, out);

done:
  qn_h5_file_close(&file.file);
  qn_arrays_release(&arrays);
  qn_h5_quiet_end(&quiet);
  return status;
}
