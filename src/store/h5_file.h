// SPDX-License-Identifier: Apache-2.0
// The only door to HDF5: files, attributes and one-dimensional datasets, with its errors turned into ours.
// HDF5 prints errors by default and keeps state for the process; every public function of the store that
// reaches this layer is quiet while it runs and puts the setting back.
#pragma once
#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>
#include <quern/schema.h>
#include "base/buffer.h"

/// What HDF5 did with its errors before we came.
typedef struct qn_h5_quiet {
  H5E_auto2_t function;
  void *data;
  bool is_set;
} qn_h5_quiet;
qn_h5_quiet qn_h5_quiet_begin(void);
void qn_h5_quiet_end(const qn_h5_quiet *quiet);

/// Fills err with "PATH: <format>: <reason>", the reason taken from HDF5's error stack (the system's text
/// where there is one, with what to do about a full disk). Returns QN_ERR_IO if the system refused something,
/// else `otherwise`.
qn_status qn_h5_fail(qn_error *err, qn_status otherwise, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/// Creates (overwrites) a file. The same rows make the same bytes: no times are kept.
qn_status qn_h5_file_create(const char *path, hid_t *out, qn_error *err);
/// Opens a file to read.
qn_status qn_h5_file_open(const char *path, hid_t *out, qn_error *err);
/// Writes all to disk (fsync) and closes; *n_bytes is the file's size. After a failure the file must be
/// abandoned.
qn_status qn_h5_file_finish(hid_t *file, const char *path, int64_t *n_bytes, qn_error *err);
/// Closes without caring for what was written, which never fails: also when the disk is full.
void qn_h5_file_abandon(hid_t *file);
/// Closes a file that was opened to read.
void qn_h5_file_close(hid_t *file);

/// Makes a group with UTF-8 names inside `parent`.
qn_status qn_h5_group_create(hid_t parent, const char *path, const char *name, hid_t *out, qn_error *err);
/// Attributes: a text (kept in UTF-8), or one value of a type.
qn_status qn_h5_put_text(hid_t object, const char *path, const char *name, const char *text, qn_error *err);
qn_status qn_h5_put_value(hid_t object, const char *path, const char *name, hid_t type, const void *value,
                          qn_error *err);
qn_status qn_h5_put_int64(hid_t object, const char *path, const char *name, int64_t value, qn_error *err);
/// A single whole number; QN_ERR_FORMAT if it is missing or something else.
qn_status qn_h5_get_int64(hid_t object, const char *path, const char *name, int64_t *value, qn_error *err);

/// A text as an attribute of fixed length, and back (appended to `out`, at most max_bytes). For what is read
/// again: HDF5 keeps texts of variable length in a heap without checksums, and following a damaged one is not
/// safe.
qn_status qn_h5_put_fixed_text(hid_t object, const char *path, const char *name, const char *text,
                               qn_error *err);
qn_status qn_h5_get_fixed_text(hid_t object, const char *path, const char *name, int64_t max_bytes,
                               qn_buffer *out, qn_error *err);

/// The type of a column's values in a file, little-endian; of utf8 and binary: of their bytes.
hid_t qn_h5_type(qn_type type);

/// A dataset of one dimension that grows at its end. Whole chunks go to the file directly, past HDF5's chunk
/// cache and its conversions; what does not fill a chunk waits in `pending`.
typedef struct qn_h5_array {
  hid_t dataset;
  const char *path; // of the file, borrowed
  int width;        // bytes per element
  int64_t n_chunk;  // elements per chunk
  int64_t n_in_chunks;
  int64_t n_pending;
  uint8_t *pending; // n_chunk elements
} qn_h5_array;

/// A growing dataset `name` in `group`. n_before elements are already there, all one (for validity, which
/// begins with the first null): they are not written, HDF5 fills them in.
qn_status qn_h5_array_create(hid_t group, const char *path, const char *name, hid_t type, int64_t n_chunk,
                             int64_t n_before, qn_h5_array *out, qn_error *err);
qn_status qn_h5_array_append(qn_h5_array *array, const void *data, int64_t n, qn_error *err);
/// Writes what is pending and closes the dataset.
qn_status qn_h5_array_finish(qn_h5_array *array, qn_error *err);
void qn_h5_array_release(qn_h5_array *array);

/// Writes a whole dataset of n elements at once, not chunked.
qn_status qn_h5_write_all(hid_t group, const char *path, const char *name, hid_t type, const void *data,
                          int64_t n, qn_error *err);
/// A text as a single value.
qn_status qn_h5_write_text(hid_t group, const char *path, const char *name, const qn_buffer *text,
                           qn_error *err);
/// Appends such a text of at most max_bytes.
qn_status qn_h5_read_text(hid_t group, const char *path, const char *name, int64_t max_bytes, qn_buffer *out,
                          qn_error *err);

/// Opens `name` (a path below `group`), which must be a dataset of n elements of exactly that type, held in
/// the file itself.
qn_status qn_h5_array_open(hid_t group, const char *path, const char *name, hid_t type, int64_t n, hid_t *out,
                           qn_error *err);
/// Elements [first, first + n) of it.
qn_status qn_h5_array_read(hid_t dataset, const char *path, hid_t type, int64_t first, int64_t n, void *data,
                           qn_error *err);

/// Writes a whole dataset of several dimensions, row-major.
qn_status qn_h5_write_shaped(hid_t group, const char *path, const char *name, hid_t type, int n_dims,
                             const int64_t *dims, const void *data, qn_error *err);
/// Opens `name`, which must be a dataset of 1 to max_dims dimensions in the file itself, of uint8 (which is
/// QN_BOOL), int32, int64, float32 or float64.
qn_status qn_h5_shaped_open(hid_t group, const char *path, const char *name, int max_dims, hid_t *out,
                            qn_type *type, int *n_dims, int64_t *dims, qn_error *err);
