// SPDX-License-Identifier: Apache-2.0
// The memory budget of a rank. A process is more than what it accounts for: its program, MPI, and what malloc
// cannot give back. We promise 1.25 times the budget and 64 MiB, so where a limit is known the budget is what
// keeps that promise inside it.
#include "exec/budget.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/check.h"
#include "base/memory.h"

enum { MIB = 1 << 20, BESIDE_MIB = 64, LEAST_MIB = 16 };
static const double OVER_BUDGET = 1.25;
static const double MACHINE_SHARE = 0.7; // of what is free on a machine that others use too
static const double LIMIT_SHARE = 0.9;   // of a limit behind which the process is killed

int64_t qn_parse_bytes(const char *text) {
  static const struct {
    const char *suffix;
    double factor;
  } units[] = {{"", 1},
               {"b", 1},
               {"k", 1024.0},
               {"kib", 1024.0},
               {"m", 1048576.0},
               {"mib", 1048576.0},
               {"g", 1073741824.0},
               {"gib", 1073741824.0},
               {"t", 1099511627776.0},
               {"tib", 1099511627776.0},
               {"kb", 1e3},
               {"mb", 1e6},
               {"gb", 1e9},
               {"tb", 1e12}};
  char *end = NULL;
  const double value = strtod(text, &end);

  if (end == text || !(value >= 0)) {
    return -1;
  }
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (strcasecmp(end, units[i].suffix) == 0) {
      return value * units[i].factor < 9e18 ? (int64_t)(value * units[i].factor) : -1;
    }
  }
  return -1;
}

void qn_print_bytes(FILE *out, int64_t bytes) {
  if (bytes >= (int64_t)1 << 30) {
    fprintf(out, "%.*f GiB", bytes < (int64_t)10 << 30, (double)bytes / 0x1p30);
  } else if (bytes >= 1 << 20) {
    fprintf(out, "%.*f MiB", bytes < 10 << 20, (double)bytes / 0x1p20);
  } else {
    fprintf(out, "%.0f KiB", (double)bytes / 0x1p10);
  }
}

// The first whole number behind `name` in a file, at the start of a line; without a name the first of the
// file. -1 if there is none ("max" means no limit).
static int64_t read_number(const char *path, const char *name) {
  char line[512];
  long long value = -1;
  const size_t n = name == NULL ? 0 : strlen(name);
  FILE *file = fopen(path, "r");

  while (file != NULL && value < 0 && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, name == NULL ? "" : name, n) == 0 && sscanf(line + n, " %lld", &value) != 1) {
      value = -1;
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  return value;
}

// --- Control groups

typedef struct group_files {
  const char *folder; // where the hierarchy is mounted
  const char *limit, *usage, *droppable;
} group_files;

static const group_files version_2 = {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"};
static const group_files version_1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                      "memory.usage_in_bytes", "total_inactive_file"};

// What one group has left, or -1 if it has no limit.
static int64_t room_of_group(const char *root, const group_files *files, const char *group) {
  char path[4600];
  snprintf(path, sizeof path, "%s%s%s/%s", root, files->folder, group, files->limit);
  const int64_t limit = read_number(path, NULL);
  if (limit < 0 || limit >= (int64_t)1 << 60) { // version 1 writes a huge number for "none"
    return -1;
  }
  snprintf(path, sizeof path, "%s%s%s/%s", root, files->folder, group, files->usage);
  const int64_t usage = read_number(path, NULL);
  snprintf(path, sizeof path, "%s%s%s/memory.stat", root, files->folder, group);
  const int64_t droppable = read_number(path, files->droppable);
  const int64_t used = (usage > 0 ? usage : 0) - (droppable > 0 ? droppable : 0);
  return used <= 0 ? limit : used < limit ? limit - used : 0;
}

static int64_t less_room(int64_t a, int64_t b) {
  return a < 0 || (b >= 0 && b < a) ? b : a;
}

// The least of a group and all above it. In a container the path may be that of the host: what is not there
// has no limit.
static int64_t room_of_path(const char *root, const group_files *files, char *group) {
  int64_t room = -1;
  for (;;) {
    room = less_room(room, room_of_group(root, files, strcmp(group, "/") == 0 ? "" : group));
    char *slash = strrchr(group, '/');
    if (slash == NULL) {
      return room;
    }
    *slash = '\0';
  }
}

int64_t qn_group_room(const char *root) {
  char line[4096];
  int64_t room = -1;

  snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
  FILE *file = fopen(line, "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL) {
      continue;
    }
    *group++ = '\0';
    if (strncmp(line, "0:", 2) == 0 && controllers[1] == '\0') {
      room = less_room(room, room_of_path(root, &version_2, group));
    } else if (strcmp(controllers + 1, "memory") == 0) {
      room = less_room(room, room_of_path(root, &version_1, group));
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  return room;
}

// --- The choice

// Slurm's variables are in MiB unless they have a unit.
static qn_status slurm_bytes(const char *name, int64_t *bytes, qn_error *err) {
  qn_status status = QN_OK;
  const char *text = getenv(name);

  *bytes = 0;
  if (text != NULL && text[0] != '\0') {
    const int64_t value = qn_parse_bytes(text);
    QN_REQUIRE(value >= 0 && value < INT64_MAX / MIB, err, QN_ERR_ARG,
               "%s='%s' is no size; give the memory of each rank by --memory", name, text);
    *bytes = text[strspn(text, "0123456789")] == '\0' ? value * MIB : value;
  }

done:
  return status;
}

// Bytes that Slurm gives the job on this node; 0 if it does not say.
static qn_status slurm_limit(int64_t *bytes, const char **source, qn_error *err) {
  qn_status status = QN_OK;
  const char *cores = getenv("SLURM_CPUS_ON_NODE");
  int64_t per_core = 0;

  QN_TRY(slurm_bytes("SLURM_MEM_PER_NODE", bytes, err));
  *source = "SLURM_MEM_PER_NODE";
  if (*bytes == 0 && cores != NULL) {
    QN_TRY(slurm_bytes("SLURM_MEM_PER_CPU", &per_core, err));
    const long n = strtol(cores, NULL, 10);
    QN_TRY(qn_mul_size(per_core, n > 0 ? n : 1, bytes, err));
    *source = "SLURM_MEM_PER_CPU";
  }

done:
  return status;
}

static int64_t budget_of(double node_bytes, int n_ranks_here) {
  const double bytes = (node_bytes / n_ranks_here - (double)BESIDE_MIB * MIB) / OVER_BUDGET;
  return bytes < (double)LEAST_MIB * MIB ? (int64_t)LEAST_MIB * MIB : (int64_t)bytes;
}

qn_status qn_budget_choose(int64_t given, int n_ranks_here, const char *root, qn_budget *out, qn_error *err) {
  qn_status status = QN_OK;
  const char *own = getenv("QUERN_MEMORY");
  const char *source = NULL;
  int64_t limit = 0;
  char path[4096];

  if (given > 0) {
    *out = (qn_budget){given, "--memory"};
    goto done;
  }
  if (own != NULL && own[0] != '\0') {
    const int64_t bytes = qn_parse_bytes(own);
    QN_REQUIRE(bytes > 0, err, QN_ERR_ARG, "QUERN_MEMORY: '%s' is no size; write for example 512MiB or 2GiB",
               own);
    *out = (qn_budget){bytes, "QUERN_MEMORY"};
    goto done;
  }
  QN_TRY(slurm_limit(&limit, &source, err));
  if (limit > 0) {
    *out = (qn_budget){budget_of(LIMIT_SHARE * (double)limit, n_ranks_here), source};
    goto done;
  }
  snprintf(path, sizeof path, "%s/proc/meminfo", root);
  const int64_t kib = read_number(path, "MemAvailable:");
  const double machine = MACHINE_SHARE * (kib > 0 ? (double)kib * 1024 : 1024.0 * MIB);
  const int64_t room = qn_group_room(root);
  const double group = LIMIT_SHARE * (double)room;
  const bool is_group = room >= 0 && group < machine;
  *out = (qn_budget){budget_of(is_group ? group : machine, n_ranks_here),
                     is_group ? "the control group" : "what the machine has free"};

done:
  return status;
}
