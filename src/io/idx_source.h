// SPDX-License-Identifier: Apache-2.0
// Pairs of files in LeCun's IDX format, as MNIST comes: images and their labels.
#pragma once
#include "column/source.h"
#include "io/file_list.h"

/// What the head of an IDX file says.
typedef struct qn_idx_head {
  int type;             // 0x08 unsigned bytes, 0x09 bytes, 0x0b int16, 0x0c int32
  int64_t n_rows;       // its first dimension
  int64_t row_bytes;    // of the others
  int64_t first_offset; // of the values
} qn_idx_head;

/// Local, one rank. Reads and checks the head of a file, and the size of a plain one. Errors: QN_ERR_IO,
/// QN_ERR_FORMAT naming the file, the byte, and what was expected.
qn_status qn_idx_head_read(const qn_file *file, qn_idx_head *out, qn_error *err);

/// Local. A source with the schema "label int64, pixels binary", or "pixels binary" if n_files is 1: files
/// are the images, then the labels; heads [n_files] is what rank 0 read. Errors: QN_ERR_FORMAT if they do not
/// fit.
qn_status qn_idx_source_new(const qn_file_list *files, const qn_idx_head *heads, int n_ranks, qn_source **out,
                            qn_error *err);
