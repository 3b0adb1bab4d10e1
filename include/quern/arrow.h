// SPDX-License-Identifier: Apache-2.0
// Batches to and from other libraries by the Arrow C data interface
// (https://arrow.apache.org/docs/format/CDataInterface.html): a batch is a struct array of its columns. No
// copy of values, except bool, which Quern keeps one byte a value.
#pragma once
#include <stdint.h>
#include <quern/batch.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
  const char *format;
  const char *name;
  const char *metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema **children;
  struct ArrowSchema *dictionary;
  void (*release)(struct ArrowSchema *);
  void *private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void **buffers;
  struct ArrowArray **children;
  struct ArrowArray *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};
#endif

/// Local. Exports a batch; the array keeps the batch's memory alive until it is released.
QN_API qn_status qn_batch_export(const qn_batch *batch, struct ArrowSchema *schema, struct ArrowArray *array,
                                 qn_error *err);

/// Local. Imports a struct array; `schema` and `array` are moved (released by Quern), also on failure.
/// Offsets other than 0 are allowed. float64, float32, int32, int64, bool, utf8, large utf8 (if below 2 GiB),
/// binary, date32 and timestamps without zone or in UTC (s, ms, us, ns) are read.
///
/// Errors  QN_ERR_TYPE    a format that Quern has no type for
///         QN_ERR_FORMAT  lengths, offsets or UTF-8 are not valid
QN_API qn_status qn_batch_import(struct ArrowSchema *schema, struct ArrowArray *array, qn_batch **out,
                                 qn_error *err);

#ifdef __cplusplus
}
#endif
