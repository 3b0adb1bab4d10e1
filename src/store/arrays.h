// SPDX-License-Identifier: Apache-2.0
// Named arrays: what a trained model has learned, and what a checkpoint needs to go on. A set of them goes to
// and from an HDF5 file, and in one piece from rank to rank.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/schema.h>
#include <quern/status.h>
#include "base/buffer.h"

enum { QN_ARRAY_MAX_DIMS = 3 };

/// One array, row-major. bool is a byte a value.
typedef struct qn_array {
  char *name;   // a word: letters, digits, _
  qn_type type; // QN_BOOL, INT32, INT64, FLOAT32, FLOAT64
  int n_dims;   // 1 to 3
  int64_t dims[QN_ARRAY_MAX_DIMS];
  void *data; // counted in the memory account
} qn_array;

/// A set of arrays and texts, in the order they were put. A zeroed one is empty and valid.
typedef struct qn_arrays {
  qn_array *items;
  int n, capacity;
  struct qn_array_text {
    char *name, *text;
  } * texts;
  int n_texts, texts_capacity;
} qn_arrays;

void qn_arrays_release(qn_arrays *arrays);
void qn_arrays_move(qn_arrays *from, qn_arrays *to);

/// Local. Makes room for an array of that shape, not zeroed, in place of one of that name; *data is what to
/// fill. Errors: QN_ERR_MEMORY.
qn_status qn_arrays_new(qn_arrays *arrays, const char *name, qn_type type, int n_dims, const int64_t *dims,
                        void **data, qn_error *err);
/// The same for one dimension, with a copy of `values` [n].
qn_status qn_arrays_put(qn_arrays *arrays, const char *name, qn_type type, int64_t n, const void *values,
                        qn_error *err);
qn_status qn_arrays_put_matrix(qn_arrays *arrays, const char *name, qn_type type, int64_t n_rows,
                               int64_t n_columns, const void *values, qn_error *err);
qn_status qn_arrays_put_text(qn_arrays *arrays, const char *name, const char *text, qn_error *err);
/// NULL if there is none of that name.
const qn_array *qn_arrays_find(const qn_arrays *arrays, const char *name);
const char *qn_arrays_text(const qn_arrays *arrays, const char *name);
/// The values of an array that must be there with that type and shape (a dim < 0: any).
/// Errors: QN_ERR_FORMAT "the model lacks ...", for files that were damaged or made by others.
qn_status qn_arrays_get(const qn_arrays *arrays, const char *name, qn_type type, int n_dims,
                        const int64_t *dims, const void **data, qn_error *err);

/// How many values an array has.
int64_t qn_array_n_values(const qn_array *array);
/// Puts copies of all arrays and texts of `from` into `to` whose names begin with `strip`, with `prefix` in
/// its place; both may be "".
qn_status qn_arrays_copy(const qn_arrays *from, const char *strip, const char *prefix, qn_arrays *to,
                         qn_error *err);

/// All of it as bytes, and back; decode checks what it reads.
qn_status qn_arrays_encode(const qn_arrays *arrays, qn_buffer *out, qn_error *err);
qn_status qn_arrays_decode(const void *data, int64_t size, qn_arrays *out, qn_error *err);

/// Local, called by one rank. Writes an HDF5 file whole or not at all (a temporary name, fsync, rename): a
/// dataset per array with its type and shape, a text dataset per text, attribute `kind` (such as "quern
/// model") and a checksum per array. The same contents make the same bytes.
qn_status qn_arrays_write(const qn_arrays *arrays, const char *kind, const char *path, qn_error *err);
/// Local. Errors: QN_ERR_IO (missing, unreadable), QN_ERR_FORMAT (no HDF5 file, another kind, a checksum that
/// does not fit: names the array).
qn_status qn_arrays_read(const char *path, const char *kind, qn_arrays *out, qn_error *err);
