// SPDX-License-Identifier: Apache-2.0
// Reads a part: one column of one row group at a time, checked.
#pragma once
#include <stdint.h>
#include "base/buffer.h"
#include "store/manifest_entry.h"
#include "store/part_layout.h"

typedef struct qn_part_reader qn_part_reader;

/// Opens the part that `entry` describes; schema and entry outlive the reader.
qn_status qn_part_reader_open(const qn_schema *schema, const qn_part_entry *entry, qn_part_reader **out,
                              qn_error *err);
void qn_part_reader_free(qn_part_reader *reader);
const qn_part_entry *qn_part_reader_entry(const qn_part_reader *reader);
/// The column's row groups, entry->n_groups of them; they live as long as the reader.
qn_status qn_part_reader_groups(qn_part_reader *reader, int column, const qn_group_record **out,
                                qn_error *err);
/// The column's values in a row group. *n_bytes grows by what was read. QN_ERR_FORMAT names file, column, row
/// group.
qn_status qn_part_reader_column(qn_part_reader *reader, int column, int64_t group, qn_column *out,
                                int64_t *n_bytes, qn_error *err);
/// The manifest that a part carries, JSON text, appended.
qn_status qn_part_read_manifest(const char *path, qn_buffer *out, qn_error *err);
