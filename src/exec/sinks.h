// SPDX-License-Identifier: Apache-2.0
// Where a run ends: the sinks behind the actions. Each fills a qn_sink whose ctx is the struct it is made
// from.
#pragma once
#include "exec/run.h"

/// All rows on rank 0, in order, as one batch (empty on the others).
typedef struct qn_collect_sink {
  const qn_schema *schema;
  qn_batch *batch; // the result; owned by the caller
} qn_collect_sink;
qn_sink qn_collect_sink_of(qn_collect_sink *collect);

/// Number of rows of all ranks.
typedef struct qn_count_sink {
  int64_t n_rows;
} qn_count_sink;
qn_sink qn_count_sink_of(qn_count_sink *count);

/// One CSV file, rank 0's rows first.
typedef struct qn_csv_sink {
  const char *path;
  char separator;
  bool raw_binary;
  char *temporary; // the file's name until it is whole
} qn_csv_sink;
qn_sink qn_csv_sink_of(qn_csv_sink *csv);

/// A staged folder, one part per rank that has rows; or one HDF5 file, written by rank 0.
typedef struct qn_stage_sink {
  const char *path;
  bool is_single_file;
  const char *sorted_by; // or NULL
  char *temporary;
} qn_stage_sink;
qn_sink qn_stage_sink_of(qn_stage_sink *stage);

/// "<folder>/.<name>.tmp": where an output lives until it is whole. Free with free(). NULL if there is no
/// memory.
char *qn_temporary_path(const char *path);
