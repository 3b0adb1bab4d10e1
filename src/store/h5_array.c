// SPDX-License-Identifier: Apache-2.0
// One-dimensional HDF5 datasets. Written by whole chunks; read by ranges, straight into the reader's memory
// (without a chunk cache HDF5 copies nothing), which also reads files that were repacked, with compression
// for instance.
#include <inttypes.h>
#include <string.h>
#include "base/check.h"
#include "base/clock.h"
#include "base/io_account.h"
#include "base/memory.h"
#include "store/h5_file.h"

qn_status qn_h5_array_create(hid_t group, const char *path, const char *name, hid_t type, int64_t n_chunk,
                             int64_t n_before, qn_h5_array *out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_whole = n_before - n_before % n_chunk;
  const hsize_t size = (hsize_t)n_whole, most = H5S_UNLIMITED, chunk = (hsize_t)n_chunk;
  const uint8_t one = 1;
  const hid_t space = H5Screate_simple(1, &size, &most);
  const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(creation, 1, &chunk);
  H5Pset_obj_track_times(creation, false);
  if (n_before > 0) {
    H5Pset_fill_value(creation, H5T_NATIVE_UINT8, &one);
  } else {
    H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER);
  }

  *out = (qn_h5_array){.dataset = H5Dcreate2(group, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT),
                       .path = path,
                       .width = (int)H5Tget_size(type),
                       .n_chunk = n_chunk,
                       .n_in_chunks = n_whole,
                       .n_pending = n_before - n_whole};
  if (out->dataset < 0) {
    status = qn_h5_fail(err, QN_ERR_IO, path, "making the dataset '%s'", name);
    goto done;
  }
  out->pending = qn_memory_alloc(n_chunk * out->width);
  QN_REQUIRE(out->pending != NULL, err, QN_ERR_MEMORY, "%s: no memory for a chunk of '%s'", path, name);
  memset(out->pending, 1, (size_t)(out->n_pending * out->width));

done:
  H5Pclose(creation);
  H5Sclose(space);
  return status;
}

// Writes a chunk of which n_used elements are part of the dataset.
static qn_status write_chunk(qn_h5_array *array, const void *data, int64_t n_used, qn_error *err) {
  const hsize_t offset = (hsize_t)array->n_in_chunks, size = offset + (hsize_t)n_used;
  const int64_t start = qn_clock_ns();
  if (H5Dset_extent(array->dataset, &size) < 0 ||
      H5Dwrite_chunk(array->dataset, H5P_DEFAULT, 0, &offset, (size_t)(array->n_chunk * array->width), data) <
          0) {
    return qn_h5_fail(err, QN_ERR_IO, array->path, "cannot be written");
  }
  array->n_in_chunks += n_used;
  qn_io_count_written(array->n_chunk * array->width, start);
  return QN_OK;
}

qn_status qn_h5_array_append(qn_h5_array *array, const void *data, int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  const uint8_t *from = data;

  while (n > 0) {
    if (array->n_pending == 0 && n >= array->n_chunk) {
      QN_TRY(write_chunk(array, from, array->n_chunk, err));
      from += array->n_chunk * array->width;
      n -= array->n_chunk;
      continue;
    }
    const int64_t room = array->n_chunk - array->n_pending, n_now = n < room ? n : room;
    memcpy(array->pending + array->n_pending * array->width, from, (size_t)(n_now * array->width));
    array->n_pending += n_now;
    from += n_now * array->width;
    n -= n_now;
    if (array->n_pending == array->n_chunk) {
      QN_TRY(write_chunk(array, array->pending, array->n_chunk, err));
      array->n_pending = 0;
    }
  }

done:
  return status;
}

qn_status qn_h5_array_finish(qn_h5_array *array, qn_error *err) {
  qn_status status = QN_OK;
  herr_t closed = 0;

  if (array->n_pending > 0) {
    // HDF5 stores whole chunks only: the rest is zeros.
    memset(array->pending + array->n_pending * array->width, 0,
           (size_t)((array->n_chunk - array->n_pending) * array->width));
    QN_TRY(write_chunk(array, array->pending, array->n_pending, err));
    array->n_pending = 0;
  }
  closed = H5Dclose(array->dataset);
  array->dataset = H5I_INVALID_HID;
  if (closed < 0) {
    status = qn_h5_fail(err, QN_ERR_IO, array->path, "cannot be written");
  }

done:
  qn_h5_array_release(array);
  return status;
}

void qn_h5_array_release(qn_h5_array *array) {
  if (array->dataset > 0) {
    H5Dclose(array->dataset);
  }
  qn_memory_free(array->pending);
  *array = (qn_h5_array){0};
}

static qn_status write_whole(hid_t group, const char *path, const char *name, hid_t type, hid_t space,
                             const void *data, qn_error *err) {
  qn_status status = QN_OK;
  const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_obj_track_times(creation, false);
  const hid_t dataset = H5Dcreate2(group, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
  if (dataset < 0 || (data != NULL && H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)) {
    status = qn_h5_fail(err, QN_ERR_IO, path, "writing '%s'", name);
  }
  if (dataset >= 0) {
    H5Dclose(dataset);
  }
  H5Pclose(creation);
  return status;
}

qn_status qn_h5_write_all(hid_t group, const char *path, const char *name, hid_t type, const void *data,
                          int64_t n, qn_error *err) {
  const hsize_t size = (hsize_t)n;
  const hid_t space = H5Screate_simple(1, &size, NULL);
  const qn_status status = write_whole(group, path, name, type, space, n > 0 ? data : NULL, err);
  H5Sclose(space);
  return status;
}

qn_status qn_h5_write_text(hid_t group, const char *path, const char *name, const qn_buffer *text,
                           qn_error *err) {
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, (size_t)text->size);
  H5Tset_strpad(type, H5T_STR_NULLPAD);
  H5Tset_cset(type, H5T_CSET_UTF8);
  const qn_status status = write_whole(group, path, name, type, space, text->data, err);
  H5Tclose(type);
  H5Sclose(space);
  return status;
}

// True if the dataset's values lie in this file, not in others that it names.
static bool is_inside_file(hid_t dataset) {
  const hid_t creation = H5Dget_create_plist(dataset);
  if (creation < 0) {
    return false;
  }
  const H5D_layout_t layout = H5Pget_layout(creation);
  const bool is_inside = (layout == H5D_CHUNKED || layout == H5D_CONTIGUOUS || layout == H5D_COMPACT) &&
                         H5Pget_external_count(creation) == 0;
  H5Pclose(creation);
  return is_inside;
}

// A group that leads to `name` may be missing: H5Dopen2 says so, like for the dataset.
static qn_status open_dataset(hid_t group, const char *path, const char *name, hid_t *dataset, hid_t *type,
                              hid_t *space, qn_error *err) {
  *dataset = H5Dopen2(group, name, H5P_DEFAULT);
  if (*dataset < 0) {
    return qn_h5_fail(err, QN_ERR_FORMAT, path, "has no readable dataset '%s'", name);
  }
  *type = H5Dget_type(*dataset);
  *space = H5Dget_space(*dataset);
  if (*type < 0 || *space < 0 || !is_inside_file(*dataset)) {
    return qn_h5_fail(err, QN_ERR_FORMAT, path, "the dataset '%s' is damaged or lies outside the file", name);
  }
  return QN_OK;
}

// Each may not be open.
static void close_opened(hid_t dataset, hid_t type, hid_t space) {
  if (space >= 0) {
    H5Sclose(space);
  }
  if (type >= 0) {
    H5Tclose(type);
  }
  if (dataset >= 0) {
    H5Dclose(dataset);
  }
}

qn_status qn_h5_array_open(hid_t group, const char *path, const char *name, hid_t type, int64_t n, hid_t *out,
                           qn_error *err) {
  qn_status status = QN_OK;
  hid_t dataset = H5I_INVALID_HID, found = H5I_INVALID_HID, space = H5I_INVALID_HID;
  hsize_t size = 0;

  QN_TRY(open_dataset(group, path, name, &dataset, &found, &space, err));
  QN_REQUIRE(H5Tequal(found, type) > 0, err, QN_ERR_FORMAT,
             "%s: the dataset '%s' has another type than expected", path, name);
  QN_REQUIRE(H5Sget_simple_extent_ndims(space) == 1 && H5Sget_simple_extent_dims(space, &size, NULL) == 1,
             err, QN_ERR_FORMAT, "%s: the dataset '%s' has not one dimension", path, name);
  QN_REQUIRE(size == (hsize_t)n, err, QN_ERR_FORMAT,
             "%s: the dataset '%s' has %" PRIu64 " elements where %" PRId64 " were expected", path, name,
             (uint64_t)size, n);
  *out = dataset;
  dataset = H5I_INVALID_HID;

done:
  close_opened(dataset, found, space);
  return status;
}

qn_status qn_h5_array_read(hid_t dataset, const char *path, hid_t type, int64_t first, int64_t n, void *data,
                           qn_error *err) {
  qn_status status = QN_OK;
  const hsize_t start = (hsize_t)first, count = (hsize_t)n;
  const int64_t start_ns = qn_clock_ns();
  hid_t in_file = H5I_INVALID_HID, in_memory = H5I_INVALID_HID;

  if (n == 0) {
    return QN_OK;
  }
  in_file = H5Dget_space(dataset);
  in_memory = H5Screate_simple(1, &count, NULL);
  if (in_file < 0 || in_memory < 0 ||
      H5Sselect_hyperslab(in_file, H5S_SELECT_SET, &start, NULL, &count, NULL) < 0 ||
      H5Dread(dataset, type, in_memory, in_file, H5P_DEFAULT, data) < 0) {
    status = qn_h5_fail(err, QN_ERR_FORMAT, path, "reading elements %" PRId64 " to %" PRId64, first,
                        first + n - 1);
  }
  qn_io_count_read(n * (int64_t)H5Tget_size(type), start_ns);
  if (in_memory >= 0) {
    H5Sclose(in_memory);
  }
  if (in_file >= 0) {
    H5Sclose(in_file);
  }
  return status;
}

qn_status qn_h5_read_text(hid_t group, const char *path, const char *name, int64_t max_bytes, qn_buffer *out,
                          qn_error *err) {
  qn_status status = QN_OK;
  hid_t dataset = H5I_INVALID_HID, type = H5I_INVALID_HID, space = H5I_INVALID_HID;
  int64_t size = 0;

  QN_TRY(open_dataset(group, path, name, &dataset, &type, &space, err));
  size = (int64_t)H5Tget_size(type);
  QN_REQUIRE(H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 &&
                 H5Sget_simple_extent_type(space) == H5S_SCALAR && size > 0 && size <= max_bytes,
             err, QN_ERR_FORMAT, "%s: the dataset '%s' is no text of at most %" PRId64 " bytes", path, name,
             max_bytes);
  QN_TRY(qn_buffer_reserve(out, size, err));
  if (H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out->data + out->size) < 0) {
    status = qn_h5_fail(err, QN_ERR_FORMAT, path, "reading the dataset '%s'", name);
    goto done;
  }
  out->size += size;

done:
  close_opened(dataset, type, space);
  return status;
}

enum { MOST_DIMS = 8 };

qn_status qn_h5_write_shaped(hid_t group, const char *path, const char *name, hid_t type, int n_dims,
                             const int64_t *dims, const void *data, qn_error *err) {
  hsize_t sizes[MOST_DIMS] = {0};
  bool is_empty = false;
  for (int d = 0; d < n_dims; d++) {
    sizes[d] = (hsize_t)dims[d];
    is_empty |= dims[d] == 0;
  }
  const hid_t space = H5Screate_simple(n_dims, sizes, NULL);
  const qn_status status = write_whole(group, path, name, type, space, is_empty ? NULL : data, err);
  H5Sclose(space);
  return status;
}

static bool find_type(hid_t found, qn_type *type) {
  static const qn_type types[] = {QN_BOOL, QN_INT32, QN_INT64, QN_FLOAT32, QN_FLOAT64};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    if (H5Tequal(found, qn_h5_type(types[i])) > 0) {
      *type = types[i];
      return true;
    }
  }
  return false;
}

qn_status qn_h5_shaped_open(hid_t group, const char *path, const char *name, int max_dims, hid_t *out,
                            qn_type *type, int *n_dims, int64_t *dims, qn_error *err) {
  qn_status status = QN_OK;
  hid_t dataset = H5I_INVALID_HID, found = H5I_INVALID_HID, space = H5I_INVALID_HID;
  hsize_t sizes[MOST_DIMS] = {0};

  QN_TRY(open_dataset(group, path, name, &dataset, &found, &space, err));
  QN_REQUIRE(find_type(found, type), err, QN_ERR_FORMAT, "%s: the dataset '%s' is of a type that none has",
             path, name);
  const int n = H5Sget_simple_extent_ndims(space);
  QN_REQUIRE(n >= 1 && n <= max_dims && n <= MOST_DIMS && H5Sget_simple_extent_dims(space, sizes, NULL) == n,
             err, QN_ERR_FORMAT, "%s: the dataset '%s' has not 1 to %d dimensions", path, name, max_dims);
  for (int d = 0; d < n; d++) {
    QN_REQUIRE(sizes[d] <= INT64_MAX, err, QN_ERR_FORMAT, "%s: the size of the dataset '%s' is damaged", path,
               name);
    dims[d] = (int64_t)sizes[d];
  }
  *n_dims = n;
  *out = dataset;
  dataset = H5I_INVALID_HID;

done:
  close_opened(dataset, found, space);
  return status;
}
