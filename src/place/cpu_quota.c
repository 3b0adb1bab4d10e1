// SPDX-License-Identifier: Apache-2.0
// The processor time that control groups leave to this process. A container has mostly this limit, and may
// see all cores of its host.
#include <stdio.h>
#include "base/system_files.h"
#include "place/place.h"

enum { MOST_PATH = 8300 };

// Version 2 has "200000 100000" in one file, or "max 100000"; version 1 a file each, and -1 for none.
static void read_version_2(const char *folder, long long *quota, long long *period) {
  char path[MOST_PATH];

  snprintf(path, sizeof path, "%s/cpu.max", folder);
  FILE *file = fopen(path, "re");
  if (file != NULL) {
    if (fscanf(file, "%lld %lld", quota, period) != 2) {
      *quota = 0;
    }
    fclose(file);
  }
}

static void read_version_1(const char *folder, long long *quota, long long *period) {
  char path[MOST_PATH];

  snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
  *quota = qn_system_number(path, NULL);
  snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
  *period = qn_system_number(path, NULL);
}

static void look_at_group(void *context, const char *folder, bool is_version_1) {
  int64_t *least = context;
  long long quota = 0;
  long long period = 0;

  if (is_version_1) {
    read_version_1(folder, &quota, &period);
  } else {
    read_version_2(folder, &quota, &period);
  }
  if (quota > 0 && period > 0) {
    const double percent = 100.0 * (double)quota / (double)period;
    const int64_t whole = percent < 1 ? 1 : percent < 1e9 ? (int64_t)percent : 0;
    *least = whole > 0 && (*least == 0 || whole < *least) ? whole : *least;
  }
}

int64_t qn_cpu_quota(const char *root) {
  int64_t percent = 0;

  qn_groups_visit(root, "cpu", look_at_group, &percent);
  return percent;
}
