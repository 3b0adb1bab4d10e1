// SPDX-License-Identifier: Apache-2.0
#include "base/nameless_file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/check.h"

enum { OLD_SECONDS = 300 }; // of a file that should have lost its name at once

static const char NAME_START[] = "quern-spill-";

int qn_nameless_open(const char *folder) {
  const int descriptor = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL && errno != ENOENT)) {
    return descriptor;
  }
  char *path = NULL;
  if (asprintf(&path, "%s/%sXXXXXX", folder, NAME_START) < 0) {
    errno = ENOMEM;
    return -1;
  }
  const int named = mkostemp(path, O_CLOEXEC);
  const int reason = errno;
  if (named >= 0) {
    unlink(path);
  }
  free(path);
  errno = reason;
  return named;
}

void qn_nameless_clean(const char *folder) {
  DIR *opened = opendir(folder);
  const time_t now = time(NULL);

  for (const struct dirent *entry = NULL; opened != NULL && (entry = readdir(opened)) != NULL;) {
    struct stat info;
    if (strncmp(entry->d_name, NAME_START, strlen(NAME_START)) == 0 &&
        fstatat(dirfd(opened), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode) &&
        now - info.st_mtime > OLD_SECONDS) {
      unlinkat(dirfd(opened), entry->d_name, 0);
    }
  }
  if (opened != NULL) {
    closedir(opened);
  }
}

qn_status qn_nameless_new(const char *folder, int64_t n_bytes, const char *what, int *out, qn_error *err) {
  qn_status status = QN_OK;
  int file = qn_nameless_open(folder);

  QN_REQUIRE(file >= 0, err, QN_ERR_IO, "%s: cannot make a file for %s: %s", folder, what, strerror(errno));
  const int failed = posix_fallocate(file, 0, (off_t)n_bytes);
  QN_REQUIRE(failed == 0, err, QN_ERR_IO,
             "%s: no room for %" PRId64 " bytes of %s: %s; choose another folder by --scratch", folder,
             n_bytes, what, strerror(failed));
  *out = file;
  file = -1;

done:
  if (file >= 0) {
    close(file);
  }
  return status;
}
