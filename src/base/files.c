// SPDX-License-Identifier: Apache-2.0
// Files: whole reads and writes, publishing by rename, folders.
#include "base/files.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/check.h"
#include "base/clock.h"
#include "base/io_account.h"

// One system call moves at most 2 GiB.
enum { MOST_BYTES_A_CALL = 1 << 30 };

static size_t bytes_of_call(int64_t left) {
  return (size_t)(left < MOST_BYTES_A_CALL ? left : MOST_BYTES_A_CALL);
}

qn_status qn_file_read_at(int fd, const char *path, void *data, int64_t size, int64_t offset, qn_error *err) {
  int64_t n_read = 0;
  const int64_t start = qn_clock_ns();
  while (n_read < size) {
    const ssize_t n = pread(fd, (char *)data + n_read, bytes_of_call(size - n_read), offset + n_read);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return qn_fail(err, QN_ERR_IO, "%s: reading %" PRId64 " bytes at byte %" PRId64 ": %s", path, size,
                     offset, strerror(errno));
    }
    if (n == 0) {
      return qn_fail(err, QN_ERR_IO,
                     "%s: ends at byte %" PRId64 " where %" PRId64 " bytes from byte %" PRId64
                     " on were expected; the file is cut off",
                     path, offset + n_read, size, offset);
    }
    n_read += n;
  }
  qn_io_count_read(size, start);
  return QN_OK;
}

const char *qn_advice_on_writing(int reason) {
  switch (reason) {
  case ENOSPC:
  case EDQUOT:
    return "; free some space there or write to another folder";
  case EFBIG:
    return "; raise the limit of a file's size (ulimit -f) or write to another file system";
  case EROFS:
  case EACCES:
    return "; write to another folder";
  default:
    return "";
  }
}

static qn_status fail_writing(const char *path, int64_t size, int64_t offset, int reason, qn_error *err) {
  return qn_fail(err, QN_ERR_IO, "%s: writing %" PRId64 " bytes at byte %" PRId64 ": %s%s", path, size,
                 offset, strerror(reason), qn_advice_on_writing(reason));
}

qn_status qn_file_write_at(int fd, const char *path, const void *data, int64_t size, int64_t offset,
                           qn_error *err) {
  int64_t n_written = 0;
  const int64_t start = qn_clock_ns();
  while (n_written < size) {
    const ssize_t n =
        pwrite(fd, (const char *)data + n_written, bytes_of_call(size - n_written), offset + n_written);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return fail_writing(path, size, offset, n < 0 ? errno : ENOSPC, err);
    }
    n_written += n;
  }
  qn_io_count_written(size, start);
  return QN_OK;
}

// Reads until the end: the size of a pipe or of a file in /proc is not known before.
static qn_status read_to_end(int fd, const char *path, int64_t max_bytes, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  struct stat info;
  const int64_t start = out->size;
  ssize_t n = 0;

  QN_REQUIRE(fstat(fd, &info) == 0, err, QN_ERR_IO, "%s: %s", path, strerror(errno));
  QN_REQUIRE(!S_ISDIR(info.st_mode), err, QN_ERR_IO, "%s: is a folder, a file was expected", path);
  do {
    const int64_t expected = (int64_t)info.st_size - (out->size - start);
    QN_TRY(qn_buffer_reserve(out, expected > 0 && expected <= max_bytes ? expected + 1 : 4096, err));
    n = read(fd, out->data + out->size, bytes_of_call(out->capacity - out->size));
    QN_REQUIRE(n >= 0 || errno == EINTR, err, QN_ERR_IO, "%s: %s", path, strerror(errno));
    out->size += n > 0 ? n : 0;
    QN_REQUIRE(out->size - start <= max_bytes, err, QN_ERR_VALUE, "%s: has more than %" PRId64 " bytes", path,
               max_bytes);
  } while (n != 0);

done:
  return status;
}

qn_status qn_file_read_all(const char *path, int64_t max_bytes, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  QN_REQUIRE(fd >= 0, err, QN_ERR_IO, "%s: %s", path, strerror(errno));
  QN_TRY(read_to_end(fd, path, max_bytes, out, err));

done:
  if (fd >= 0) {
    close(fd);
  }
  return status;
}

static qn_status sync_path(const char *path, int flags, qn_error *err) {
  qn_status status = QN_OK;
  const int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
  QN_REQUIRE(fd >= 0, err, QN_ERR_IO, "%s: %s", path, strerror(errno));
  // Some network file systems cannot flush a folder; they say so with EINVAL.
  QN_REQUIRE(fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP, err, QN_ERR_IO,
             "%s: flushing to disk: %s", path, strerror(errno));

done:
  if (fd >= 0) {
    close(fd);
  }
  return status;
}

static qn_status sync_parent(const char *path, qn_error *err) {
  qn_status status = QN_OK;
  char *copy = strdup(path);
  QN_REQUIRE(copy != NULL, err, QN_ERR_MEMORY, "no memory for a path");
  QN_TRY(sync_path(dirname(copy), O_DIRECTORY, err));

done:
  free(copy);
  return status;
}

qn_status qn_file_publish(const char *from, const char *to, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t start = qn_clock_ns();
  QN_TRY(sync_path(from, 0, err));
  QN_REQUIRE(rename(from, to) == 0, err, QN_ERR_IO, "renaming %s to %s: %s", from, to, strerror(errno));
  QN_TRY(sync_parent(to, err));

done:
  qn_io_count_written(0, start);
  return status;
}

static qn_status write_whole(const char *path, const void *data, int64_t size, bool is_flushed,
                             qn_error *err) {
  qn_status status = QN_OK;
  int fd = -1;
  qn_buffer draft = {0};
  const char *name = NULL; // of the draft, while it exists

  // Beside its place, under a name that no other process of this or another machine takes at the same time.
  QN_TRY(qn_buffer_printf(&draft, err, "%s.draft-%ld-%" PRIx64, path, (long)getpid(), qn_clock_ns()));
  QN_TRY(qn_buffer_terminate(&draft, err));
  fd = open((char *)draft.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  QN_REQUIRE(fd >= 0, err, QN_ERR_IO, "%s: %s", (char *)draft.data, strerror(errno));
  name = (char *)draft.data;
  QN_TRY(qn_file_write_at(fd, path, data, size, 0, err));
  const bool is_closed = close(fd) == 0;
  fd = -1;
  QN_REQUIRE(is_closed, err, QN_ERR_IO, "%s: %s", path, strerror(errno));
  if (is_flushed) {
    QN_TRY(qn_file_publish(name, path, err));
  } else {
    QN_REQUIRE(rename(name, path) == 0, err, QN_ERR_IO, "renaming %s to %s: %s", name, path, strerror(errno));
  }
  name = NULL;

done:
  if (fd >= 0) {
    close(fd);
  }
  if (name != NULL) {
    unlink(name);
  }
  qn_buffer_release(&draft);
  return status;
}

qn_status qn_file_exchange(const char *from, const char *to, bool *is_done, qn_error *err) {
  qn_status status = QN_OK;
  *is_done = false;
  QN_TRY(sync_path(from, 0, err));
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) == 0) {
    *is_done = true;
    QN_TRY(sync_parent(to, err));
  } else {
    QN_REQUIRE(errno == EINVAL || errno == ENOSYS || errno == ENOTSUP, err, QN_ERR_IO,
               "exchanging %s and %s: %s", from, to, strerror(errno));
  }

done:
  return status;
}

qn_status qn_file_write_atomic(const char *path, const void *data, int64_t size, qn_error *err) {
  return write_whole(path, data, size, true, err);
}

qn_status qn_file_replace(const char *path, const void *data, int64_t size, qn_error *err) {
  return write_whole(path, data, size, false, err);
}

static qn_status make_one_folder(const char *path, qn_error *err) {
  struct stat info;
  if (mkdir(path, 0777) == 0) {
    return QN_OK;
  }
  const int reason = errno;
  if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
    return QN_OK;
  }
  return qn_fail(err, QN_ERR_IO, "%s: cannot make the folder: %s%s", path, strerror(reason),
                 qn_advice_on_writing(reason));
}

qn_status qn_folder_make(const char *path, qn_error *err) {
  qn_status status = QN_OK;
  char *copy = strdup(path);
  QN_REQUIRE(copy != NULL, err, QN_ERR_MEMORY, "no memory for a path");
  QN_REQUIRE(copy[0] != '\0', err, QN_ERR_ARG, "the name of a folder is empty");
  for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    QN_TRY(make_one_folder(copy, err));
    *slash = '/';
  }
  QN_TRY(make_one_folder(copy, err));

done:
  free(copy);
  return status;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place) {
  (void)info;
  (void)kind;
  (void)place;
  return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

qn_status qn_folder_remove(const char *path, qn_error *err) {
  struct stat info;
  if (lstat(path, &info) != 0 && errno == ENOENT) {
    return QN_OK;
  }
  if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT) {
    return qn_fail(err, QN_ERR_IO, "%s: cannot be removed: %s", path, strerror(errno));
  }
  return QN_OK;
}

bool qn_file_exists(const char *path) {
  return access(path, F_OK) == 0;
}

qn_status qn_folder_make_for(const char *path, qn_error *err) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL || slash == path) {
    return QN_OK;
  }
  char *folder = strndup(path, (size_t)(slash - path));
  if (folder == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory for a file name");
  }
  const qn_status status = qn_folder_make(folder, err);
  free(folder);
  return status;
}
