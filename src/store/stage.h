// SPDX-License-Identifier: Apache-2.0
// Staged datasets: a folder of HDF5 parts and a manifest written last; or one HDF5 file that is part and
// manifest in one. docs/stage-format.md describes the files. The store is local: the executor gathers what
// the manifest needs.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/buffer.h"
#include "column/schema.h"
#include "column/source.h"

/// The most rows of a row group: what is read, checked and pruned as one.
enum { QN_STAGE_GROUP_ROWS = 65536 };
/// A row group ends earlier where its rows would take more bytes (unless one row alone does).
enum { QN_STAGE_GROUP_BYTES = 64 << 20 };

typedef struct qn_part_writer qn_part_writer;

/// Local. Creates the HDF5 file `path` (overwrites; its folder must be there). Rows are collected and written
/// group by group with direct chunk writes, a checksum and statistics per column and row group.
qn_status qn_part_writer_new(const char *path, const qn_schema *schema, qn_part_writer **out, qn_error *err);
/// Errors: QN_ERR_IO (disk full, ...) names the path and the reason; after a failure every later call fails
/// too.
qn_status qn_part_writer_append(qn_part_writer *writer, const qn_batch *batch, qn_error *err);
/// Writes what is left, flushes to disk, closes. `description` gets this part's entry for the manifest (JSON
/// text: file name, rows, bytes, row groups, and each column's nulls, range and checksum), appended.
qn_status qn_part_writer_finish(qn_part_writer *writer, qn_buffer *description, qn_error *err);
/// Also after a failure (the file stays, unfinished, and cannot be opened as a part). NULL is allowed.
void qn_part_writer_free(qn_part_writer *writer);

/// Local, called by one rank: writes folder/manifest.json atomically from the parts' descriptions (n_parts
/// JSON texts, in part order; the parts are in the folder). `sorted_by` may be NULL: sort keys that hold
/// across all rows in part order. `partitioned_by` likewise, hash keys with n_parts partitions.
qn_status qn_manifest_write(const char *folder, const qn_schema *schema, const qn_buffer *descriptions,
                            int64_t n_parts, const char *sorted_by, const char *partitioned_by,
                            qn_error *err);

/// What is known of a staged dataset without reading its values. Immutable.
typedef struct qn_manifest qn_manifest;
typedef struct qn_part_info {
  const char *path;
  int64_t n_rows, n_bytes, n_groups;
} qn_part_info;
typedef struct qn_column_stats {
  int64_t n_nulls;
  bool has_range; // min and max are known (not if all are null)
  bool is_exact; // both are values of the column; else they are bounds (long text is cut, its max rounded up)
  qn_column min, max; // one row each; NaN is the greatest value
} qn_column_stats;

/// Local. `path` is a folder with a manifest.json or a single .h5 file. Errors: QN_ERR_IO (missing, no
/// manifest: an unfinished stage), QN_ERR_FORMAT (other version, damaged, no staged dataset).
qn_status qn_manifest_open(const char *path, qn_manifest **out, qn_error *err);
/// The encoded manifest as one rank read it (JSON text), and back on the others.
qn_status qn_manifest_encode(const qn_manifest *manifest, qn_buffer *out, qn_error *err);
qn_status qn_manifest_decode(const void *data, int64_t size, qn_manifest **out, qn_error *err);
void qn_manifest_free(qn_manifest *manifest);
const char *qn_manifest_path(const qn_manifest *manifest);
const qn_schema *qn_manifest_schema(const qn_manifest *manifest);
int64_t qn_manifest_n_rows(const qn_manifest *manifest);
int64_t qn_manifest_n_bytes(const qn_manifest *manifest); // of all parts on disk
int64_t qn_manifest_n_parts(const qn_manifest *manifest);
qn_part_info qn_manifest_part(const qn_manifest *manifest, int64_t part);
const char *qn_manifest_sorted_by(const qn_manifest *manifest);      // or NULL
const char *qn_manifest_partitioned_by(const qn_manifest *manifest); // or NULL
/// Statistics of a column over all parts; the columns min and max are borrowed, valid as long as the
/// manifest.
qn_status qn_manifest_stats(const qn_manifest *manifest, int column, qn_column_stats *out, qn_error *err);
/// Reads every chunk of every part and compares checksums. QN_ERR_FORMAT names file, column, row group.
qn_status qn_manifest_verify(const qn_manifest *manifest, qn_error *err);

/// Local. A source over the row groups, one per split; groups that the scan's bounds rule out are not read.
/// Takes the manifest, also on failure. Checksums of what is read are always checked. To see the first rows
/// of a dataset, read its first split.
qn_status qn_stage_source_new_take(qn_manifest *manifest, qn_source **out, qn_error *err);
