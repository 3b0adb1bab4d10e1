// SPDX-License-Identifier: Apache-2.0
// Small text files of the system. What cannot be read is not told: none of it is worth failing for.
#include "base/system_files.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_PATH = 4096 };

int64_t qn_system_number(const char *path, const char *name) {
  char line[512];
  long long value = -1;
  const char *wanted = name == NULL ? "" : name;
  const size_t n = strlen(wanted);
  FILE *file = fopen(path, "re");

  while (file != NULL && value < 0 && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, wanted, n) == 0 && sscanf(line + n, " %lld", &value) != 1) {
      value = -1;
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  return value;
}

int64_t qn_own_bytes(const char *name) {
  const int64_t kib = qn_system_number("/proc/self/status", name);
  return kib < 0 ? -1 : kib * 1024;
}

double qn_own_cpu_seconds(void) {
  struct timespec used = {0};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

void qn_host_name(char *out, size_t size) {
  if (gethostname(out, size) != 0) {
    snprintf(out, size, "unknown");
  }
  out[size - 1] = '\0'; // a longer one is cut, and then may have no end
}

// --- Control groups

static void visit_path(const char *mount, bool is_version_1, char *group, qn_group_look *look,
                       void *context) {
  char folder[2 * MOST_PATH];

  for (char *slash = group; slash != NULL;) {
    snprintf(folder, sizeof folder, "%s%s", mount, strcmp(group, "/") == 0 ? "" : group);
    look(context, folder, is_version_1);
    slash = strrchr(group, '/');
    if (slash != NULL) {
      *slash = '\0';
    }
  }
}

// Is the word one of a list with commas?
static bool is_listed(const char *list, const char *word) {
  const size_t n = strlen(word);

  for (const char *at = list; at != NULL; at = strchr(at, ',')) {
    at += *at == ',';
    if (strncmp(at, word, n) == 0 && (at[n] == ',' || at[n] == '\0')) {
      return true;
    }
  }
  return false;
}

void qn_groups_visit(const char *root, const char *controller, qn_group_look *look, void *context) {
  char line[MOST_PATH];
  char mount[MOST_PATH];

  snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
  FILE *file = fopen(line, "re");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) { // "4:cpu,cpuacct:/a", of version 2 "0::/a"
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL) {
      continue;
    }
    *group++ = '\0';
    controllers++;
    const bool is_version_2 = strncmp(line, "0:", 2) == 0 && controllers[0] == '\0';
    if (is_version_2 || is_listed(controllers, controller)) {
      snprintf(mount, sizeof mount, "%s/sys/fs/cgroup%s%s", root, is_version_2 ? "" : "/",
               is_version_2 ? "" : controller);
      visit_path(mount, !is_version_2, group, look, context);
    }
  }
  if (file != NULL) {
    fclose(file);
  }
}
