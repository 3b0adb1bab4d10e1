// SPDX-License-Identifier: Apache-2.0
// Choosing the scratch folder. One that the user names must be fit for it; those of the environment are
// passed over if they are not, since they are often set for the first node only.
#include "exec/scratch.h"
#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>
#include "base/check.h"

static qn_status inspect(const char *folder, qn_scratch *out, qn_error *err) {
  qn_status status = QN_OK;
  struct stat info;
  struct statfs system;

  QN_REQUIRE(stat(folder, &info) == 0, err, QN_ERR_IO,
             "scratch folder %s: %s; choose another by --scratch or QUERN_SCRATCH", folder, strerror(errno));
  QN_REQUIRE(S_ISDIR(info.st_mode), err, QN_ERR_IO,
             "scratch folder %s: it is no folder; choose another by --scratch or QUERN_SCRATCH", folder);
  QN_REQUIRE(access(folder, W_OK | X_OK) == 0 && statfs(folder, &system) == 0, err, QN_ERR_IO,
             "scratch folder %s: cannot write there: %s; choose another by --scratch or QUERN_SCRATCH",
             folder, strerror(errno));
  *out = (qn_scratch){.folder = folder,
                      .free_bytes = (int64_t)system.f_bavail * (int64_t)system.f_bsize,
                      .is_memory = system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC};

done:
  return status;
}

qn_status qn_scratch_choose(const char *given, qn_scratch *out, qn_error *err) {
  static const char *const names[] = {"SLURM_TMPDIR", "TMPDIR"};
  const char *own = getenv("QUERN_SCRATCH");

  if (given != NULL) {
    return inspect(given, out, err);
  }
  if (own != NULL && own[0] != '\0') {
    return inspect(own, out, err);
  }
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *folder = getenv(names[i]);
    if (folder != NULL && folder[0] != '\0' && inspect(folder, out, NULL) == QN_OK) {
      return QN_OK;
    }
  }
  return inspect("/tmp", out, err);
}
