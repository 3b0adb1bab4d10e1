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
#include "base/system_files.h"

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

// --- Control groups

// What one group has left, if it has a limit.
static void look_at_group(void *context, const char *folder, bool is_version_1) {
  int64_t *room = context;
  char path[8300];

  snprintf(path, sizeof path, "%s/%s", folder, is_version_1 ? "memory.limit_in_bytes" : "memory.max");
  const int64_t limit = qn_system_number(path, NULL);
  if (limit < 0 || limit >= (int64_t)1 << 60) { // version 1 writes a huge number for "none"
    return;
  }
  snprintf(path, sizeof path, "%s/%s", folder, is_version_1 ? "memory.usage_in_bytes" : "memory.current");
  const int64_t usage = qn_system_number(path, NULL);
  snprintf(path, sizeof path, "%s/memory.stat", folder);
  const int64_t droppable = qn_system_number(path, is_version_1 ? "total_inactive_file" : "inactive_file");
  const int64_t used = (usage > 0 ? usage : 0) - (droppable > 0 ? droppable : 0);
  const int64_t left = used <= 0 ? limit : used < limit ? limit - used : 0;
  *room = *room < 0 || left < *room ? left : *room;
}

int64_t qn_group_room(const char *root) {
  int64_t room = -1;

  qn_groups_visit(root, "memory", look_at_group, &room);
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
  const int64_t kib = qn_system_number(path, "MemAvailable:");
  const double machine = MACHINE_SHARE * (kib > 0 ? (double)kib * 1024 : 1024.0 * MIB);
  const int64_t room = qn_group_room(root);
  const double group = LIMIT_SHARE * (double)room;
  const bool is_group = room >= 0 && group < machine;
  *out = (qn_budget){budget_of(is_group ? group : machine, n_ranks_here),
                     is_group ? "the control group" : "what the machine has free"};

done:
  return status;
}
