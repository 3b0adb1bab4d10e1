// SPDX-License-Identifier: Apache-2.0
// What memory a rank may use if nobody says: seven tenths of the least of the control group's limit (version
// 2 or 1) and what the machine has available, divided by the ranks that share it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/job_state.h"

static int64_t read_number(const char *path) {
  long long value = -1;
  FILE *file = fopen(path, "r");

  if (file != NULL) {
    if (fscanf(file, "%lld", &value) != 1) { // "max" means no limit
      value = -1;
    }
    fclose(file);
  }
  return value;
}

static int64_t available_bytes(void) {
  char line[256];
  long long kib = -1;
  FILE *file = fopen("/proc/meminfo", "r");

  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "MemAvailable: %lld kB", &kib) == 1) {
      break;
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  return kib < 0 ? -1 : kib * 1024;
}

// The limit of the process's own version 2 group or the nearest above it that has one.
static int64_t group_limit(void) {
  char line[4096];
  char path[4400];
  int64_t limit = -1;
  FILE *file = fopen("/proc/self/cgroup", "r");

  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "0::", 3) != 0) {
      continue;
    }
    for (char *end = line + strlen(line); limit < 0 && end != NULL; end = strrchr(line + 3, '/')) {
      *end = '\0';
      snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", line + 3);
      limit = read_number(path);
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  return limit >= 0 ? limit : read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes");
}

int64_t qn_memory_share(int n_ranks_here) {
  const int64_t available = available_bytes();
  const int64_t limit = group_limit();
  int64_t bytes = available > 0 ? available : (int64_t)1 << 30;

  if (limit > 0 && limit < bytes) {
    bytes = limit;
  }
  bytes = bytes / 10 * 7 / (n_ranks_here > 0 ? n_ranks_here : 1);
  const int64_t least = (int64_t)64 << 20;
  return bytes < least ? least : bytes;
}
