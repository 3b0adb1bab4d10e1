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
  uint64_t node;              // whose file system was asked; another may have a copy of its own
  uint64_t inode;             // there
  int64_t modified_ns;        // there
} qn_file;

typedef struct qn_file_list {
  qn_file *files;
  int64_t n_files;
  int64_t n_bytes;
} qn_file_list;

/// Local. `paths`: paths, folders (all files in it, not hidden ones, not deeper) and patterns (glob), one a
/// line; files of a folder or pattern come sorted by bytes. Errors: QN_ERR_IO with the path and what to do:
/// it does not exist, matches nothing, cannot be read, is neither file nor folder, or is named as compressed
/// and cut off before one can see whether it is.
qn_status qn_file_list_resolve(const char *paths, qn_file_list *out, qn_error *err);
qn_status qn_file_list_encode(const qn_file_list *list, qn_buffer *out, qn_error *err);
qn_status qn_file_list_decode(const void *data, int64_t size, qn_file_list *out, qn_error *err);
void qn_file_list_release(qn_file_list *list);
/// Local. Whether what is open as `fd` is still what was listed. *modified_ns: 0, or when the file was
/// changed last as an earlier call saw it; set. A file that has only grown is the same: it ends where it did.
/// Errors: QN_ERR_IO with what happened to it.
qn_status qn_file_check_same(const qn_file *file, int fd, int64_t *modified_ns, qn_error *err);
