// SPDX-License-Identifier: Apache-2.0
// The manifest inside the store: its parts, what it says of their columns, and its JSON text.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "store/stage.h"
#include "store/value_range.h"

/// What the manifest says of one column of one part.
typedef struct qn_column_entry {
  int64_t n_nulls;
  uint64_t checksum; // of the column's table of row groups, which has the checksums of the values
  qn_value_range range;
} qn_column_entry;

typedef struct qn_part_entry {
  const char *path; // to open it
  int64_t n_rows;
  int64_t n_bytes; // of the file
  int64_t n_groups;
  qn_column_entry *columns; // as many as the schema has
} qn_part_entry;

struct qn_manifest {
  qn_arena arena;
  qn_schema *schema;
  const char *path; // what was opened: a folder or a file
  bool is_file;
  int64_t n_rows;
  int64_t n_parts;
  qn_part_entry *parts;
  const char *sorted_by;
  const char *partitioned_by;
  qn_column_stats *stats; // one per column
  char *text;             // JSON, as qn_manifest_encode sends it
};

/// A part's entry as a JSON object. `file` is its name in the folder; n_bytes < 0: not said (inside the part
/// itself).
qn_status qn_part_entry_to_json(const qn_part_entry *entry, const qn_schema *schema, const char *file,
                                json_t **out, qn_error *err);
/// A manifest as JSON with its own checksum, from the parts' objects, whose references are taken (also on
/// failure).
qn_status qn_manifest_to_json(const qn_schema *schema, json_t *parts_taken, const char *sorted_by,
                              const char *partitioned_by, json_t **out, qn_error *err);
/// The JSON as text; appended.
qn_status qn_json_print(const json_t *json, size_t flags, qn_buffer *out, qn_error *err);
/// Text to JSON; QN_ERR_FORMAT names `path`, line and column.
qn_status qn_json_parse(const void *text, int64_t size, const char *path, json_t **out, qn_error *err);
/// Checks everything and fills a new manifest but for `text`. `path` is what was opened; file_bytes: the size
/// of the one file, if it is one.
qn_status qn_manifest_from_json(const json_t *json, const char *path, bool is_file, int64_t file_bytes,
                                qn_manifest **out, qn_error *err);
