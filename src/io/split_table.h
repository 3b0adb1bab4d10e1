// SPDX-License-Identifier: Apache-2.0
// Cuts a list of files into splits: byte ranges of plain files, whole compressed files. Only the number of
// the first split of each file is kept, so that a petabyte costs no more than its file names.
#pragma once
#include "io/file_list.h"

typedef struct qn_split_table {
  qn_file_list files;    // own copy
  int64_t *first_splits; // [n_files + 1] number of the first split of each file, then n_splits
  int64_t n_splits;
  int64_t split_bytes;
} qn_split_table;

typedef struct qn_split {
  const qn_file *file;
  int64_t file_index;
  int64_t first, end; // bytes of the file; of a compressed one 0 and INT64_MAX
} qn_split;

/// split_bytes 0: eight splits a rank, of 1 to 32 MiB, whole pages.
qn_status qn_split_table_init(qn_split_table *table, const qn_file_list *files, int64_t split_bytes,
                              int n_ranks, qn_error *err);
qn_split qn_split_table_get(const qn_split_table *table, int64_t split);
/// Appends "csv ratings.csv (3 files, 1.2 GiB)" with `kind` as its first word, and a zero byte.
qn_status qn_split_table_describe(const qn_split_table *table, const char *kind, qn_buffer *out,
                                  qn_error *err);
void qn_split_table_release(qn_split_table *table);
