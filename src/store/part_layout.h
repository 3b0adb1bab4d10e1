// SPDX-License-Identifier: Apache-2.0
// What a part looks like inside, for those who write and read it: names, and the table of row groups that
// each column has. docs/stage-format.md says the same for readers outside.
#pragma once
#include <stdint.h>
#include "base/buffer.h"
#include "store/h5_file.h"
#include "store/value_range.h"

enum { QN_STAGE_VERSION = 1 };
#define QN_STAGE_FORMAT "quern-stage"

/// One row group of one column. It lies in the file as it lies in memory.
typedef struct qn_group_record {
  int64_t first_row;
  int64_t n_rows;
  int64_t n_nulls;
  int64_t first_byte;         // text: where the group's bytes begin
  int64_t n_bytes;            // text: how many
  uint64_t values_checksum;   // of the values, or of the n_rows + 1 offsets
  uint64_t validity_checksum; // 0 if the group has no nulls
  uint64_t bytes_checksum;    // text
  qn_value_range range;
} qn_group_record;

/// The HDF5 type of a record (compound) for a column type; close it. QN_ERR_MEMORY on failure.
qn_status qn_group_record_type(qn_type type, hid_t *out, qn_error *err);
/// The checksum of a column's whole table of row groups.
uint64_t qn_group_records_checksum(const qn_group_record *records, int64_t n);
/// Appends the group's path of a column: "columns/" and its name with %XX for what HDF5 names cannot hold.
qn_status qn_column_path_print(const char *name, qn_buffer *out, qn_error *err);
