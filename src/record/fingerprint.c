// SPDX-License-Identifier: Apache-2.0
// The ends of a file tell apart what is written anew or appended to; a change within, of the same size, is
// told by the time.
#include "record/fingerprint.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buffer.h"
#include "base/check.h"
#include "base/files.h"
#include "base/hash.h"

enum { END_BYTES = 64 << 10 };

static qn_status hash_ends(int fd, const char *path, int64_t n_bytes, uint64_t *hash, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer bytes = {0};
  const int64_t n = n_bytes < END_BYTES ? n_bytes : END_BYTES;

  QN_TRY(qn_buffer_reserve(&bytes, 2 * END_BYTES, err));
  QN_TRY(qn_file_read_at(fd, path, bytes.data, n, 0, err));
  QN_TRY(qn_file_read_at(fd, path, bytes.data + n, n, n_bytes - n, err));
  *hash = qn_hash_bytes(bytes.data, 2 * n, (uint64_t)n_bytes);

done:
  qn_buffer_release(&bytes);
  return status;
}

qn_status qn_file_look(const char *path, qn_file_facts *out, qn_error *err) {
  qn_status status = QN_OK;
  struct stat info;
  uint64_t hash = 0;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);

  QN_REQUIRE(fd >= 0 && fstat(fd, &info) == 0, err, QN_ERR_IO, "%s: %s", path, strerror(errno));
  QN_TRY(hash_ends(fd, path, info.st_size, &hash, err));
  *out = (qn_file_facts){.n_bytes = info.st_size, .modified = info.st_mtim.tv_sec};
  snprintf(out->fingerprint, sizeof out->fingerprint, "%016" PRIx64, hash);

done:
  if (fd >= 0) {
    close(fd);
  }
  return status;
}
