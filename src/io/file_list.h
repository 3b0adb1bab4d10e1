// SPDX-License-Identifier: Apache-2.0
// Which files a path, folder or pattern means. Rank 0 resolves once and sends the encoded list to the others,
// so that a file system sees one listing, not one per rank.
#pragma once
#include <stdint.h>
#include <quern/status.h>
#include "base/buffer.h"

typedef enum {
  QN_COMPRESSION_NONE,
  QN_COMPRESSION_GZIP,
  QN_COMPRESSION_BZIP2,
  QN_COMPRESSION_ZSTD
} qn_compression;

typedef struct qn_file {
  char *path;
  int64_t n_bytes;            // on disk
  qn_compression compression; // by the file's first bytes
} qn_file;

typedef struct qn_file_list {
  qn_file *files;
  int64_t n_files;
  int64_t n_bytes;
} qn_file_list;

/// Local. `paths`: paths, folders (all files in it, not hidden ones, not deeper) and patterns (glob), one a
/// line; files of a folder or pattern come sorted by bytes. Errors: QN_ERR_IO with the path and what to do:
/// it does not exist, matches nothing, cannot be read, is neither file nor folder.
qn_status qn_file_list_resolve(const char *paths, qn_file_list *out, qn_error *err);
qn_status qn_file_list_encode(const qn_file_list *list, qn_buffer *out, qn_error *err);
qn_status qn_file_list_decode(const void *data, int64_t size, qn_file_list *out, qn_error *err);
void qn_file_list_release(qn_file_list *list);
