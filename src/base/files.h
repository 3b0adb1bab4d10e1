// SPDX-License-Identifier: Apache-2.0
// Small things about files: whole reads and writes, atomic publishing, folders.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>
#include "base/buffer.h"

/// Reads exactly size bytes at offset; a shorter file is QN_ERR_IO. Retries on EINTR and short reads.
qn_status qn_file_read_at(int fd, const char *path, void *data, int64_t size, int64_t offset, qn_error *err);
/// Writes all of it at offset. "disk full" and the like become QN_ERR_IO with path and reason.
qn_status qn_file_write_at(int fd, const char *path, const void *data, int64_t size, int64_t offset,
                           qn_error *err);
/// "; free some space there ..." for the errno of a write, "" where there is nothing to say.
const char *qn_advice_on_writing(int reason);
/// Reads a whole file, at most max_bytes.
qn_status qn_file_read_all(const char *path, int64_t max_bytes, qn_buffer *out, qn_error *err);
/// Writes, flushes to disk and renames: `path` appears whole or not at all.
qn_status qn_file_write_atomic(const char *path, const void *data, int64_t size, qn_error *err);
/// The same without the flush: readers see the old or the new, but after a crash of the machine either may be
/// gone.
qn_status qn_file_replace(const char *path, const void *data, int64_t size, qn_error *err);
/// fsync of the file, and of the folder that holds it, then rename from -> to (files or folders).
qn_status qn_file_publish(const char *from, const char *to, qn_error *err);
/// The same where `to` exists, in one step: the two change places. *is_done false, and nothing is changed,
/// where the file system cannot do that.
qn_status qn_file_exchange(const char *from, const char *to, bool *is_done, qn_error *err);
/// mkdir -p
qn_status qn_folder_make(const char *path, qn_error *err);
/// rm -r; a missing folder is no error.
qn_status qn_folder_remove(const char *path, qn_error *err);
bool qn_file_exists(const char *path);
/// The folder that `path` lies in, if it is not there yet.
qn_status qn_folder_make_for(const char *path, qn_error *err);
