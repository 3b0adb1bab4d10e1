// SPDX-License-Identifier: Apache-2.0
// Streaming decompression of gzip, bzip2 and zstd, each of any number of members one behind the other (what
// pigz, pbzip2, pzstd and `cat a.gz b.gz` make). The only door to zlib, libbz2 and libzstd.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "io/file_list.h"

typedef struct qn_decompressor qn_decompressor;

/// `path` is for messages and must outlive the decompressor.
qn_status qn_decompressor_new(qn_compression compression, const char *path, qn_decompressor **out,
                              qn_error *err);
void qn_decompressor_free(qn_decompressor *decompressor);

/// Takes bytes of [in, in + in_size) and gives bytes to [out, out + out_size), as far as either goes; how
/// many of each goes to *n_taken and *n_given. Errors: QN_ERR_FORMAT, naming the file and the offset of the
/// damage in it.
qn_status qn_decompressor_step(qn_decompressor *decompressor, const void *in, int64_t in_size,
                               int64_t *n_taken, void *out, int64_t out_size, int64_t *n_given,
                               qn_error *err);
/// Called when the file has ended and the last step gave nothing. Errors: QN_ERR_FORMAT if it ended within a
/// member.
qn_status qn_decompressor_finish(const qn_decompressor *decompressor, qn_error *err);
