// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/files.h"
#include "exec/budget.h"
#include "kit/kit.h"

static const int64_t MIB = 1 << 20;
static char root[] = "/tmp/quern-budget-XXXXXX";

static void put(const char *name, const char *text) {
  char path[4096];
  snprintf(path, sizeof path, "%s%s", root, name);
  QN_CHECK_OK(qn_folder_make_for(path, &kit_error));
  QN_CHECK_OK(qn_file_write_atomic(path, text, (int64_t)strlen(text), &kit_error));
}

static void forget_environment(void) {
  static const char *const names[] = {"QUERN_MEMORY", "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU",
                                      "SLURM_CPUS_ON_NODE"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    unsetenv(names[i]);
  }
}

static void check_budget(int64_t given, int n_ranks, int64_t bytes, const char *source) {
  qn_budget budget = {0};
  QN_CHECK_OK(qn_budget_choose(given, n_ranks, root, &budget, &kit_error));
  QN_CHECK_INT(budget.bytes, bytes);
  QN_CHECK(budget.source != NULL && strcmp(budget.source, source) == 0);
}

// The budget b of a rank that must stay below `bytes` with 1.25 * b + 64 MiB.
static int64_t inside(double bytes) {
  return (int64_t)((bytes - 64.0 * (double)MIB) / 1.25);
}

static void option_comes_before_environment_before_slurm_before_machine(void) {
  put("/proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable:    4194304 kB\n");
  check_budget(0, 2, inside(0.7 * 4096 * (double)MIB / 2), "what the machine has free");
  setenv("SLURM_MEM_PER_CPU", "1500", 1);
  setenv("SLURM_CPUS_ON_NODE", "4", 1);
  check_budget(0, 2, inside(0.9 * 6000 * (double)MIB / 2), "SLURM_MEM_PER_CPU");
  setenv("SLURM_MEM_PER_NODE", "2G", 1);
  check_budget(0, 1, inside(0.9 * 2048 * (double)MIB), "SLURM_MEM_PER_NODE");
  setenv("QUERN_MEMORY", "77MiB", 1);
  check_budget(0, 2, 77 * MIB, "QUERN_MEMORY");
  check_budget(5 * MIB, 2, 5 * MIB, "--memory");
  forget_environment();
}

static void variables_that_are_no_sizes_are_refused(void) {
  qn_budget budget = {0};
  setenv("QUERN_MEMORY", "much", 1);
  QN_CHECK_FAILS(qn_budget_choose(0, 1, root, &budget, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE("much");
  unsetenv("QUERN_MEMORY");
  setenv("SLURM_MEM_PER_NODE", "x", 1);
  QN_CHECK_FAILS(qn_budget_choose(0, 1, root, &budget, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE("SLURM_MEM_PER_NODE");
  forget_environment();
}

static void tightest_level_of_a_version_2_group_decides(void) {
  put("/proc/meminfo", "MemAvailable:    8388608 kB\n");
  put("/proc/self/cgroup", "0::/job/step\n");
  QN_CHECK_INT(qn_group_room(root), -1);
  put("/sys/fs/cgroup/job/step/memory.max", "max\n");
  put("/sys/fs/cgroup/job/memory.max", "1073741824\n"); // 1 GiB, of which 256 MiB are in use
  put("/sys/fs/cgroup/job/memory.current", "536870912\n");
  put("/sys/fs/cgroup/job/memory.stat", "anon 268435456\ninactive_file 268435456\nactive_file 0\n");
  QN_CHECK_INT(qn_group_room(root), 768 * MIB);
  put("/sys/fs/cgroup/memory.max", "9073741824\n");
  check_budget(0, 2, inside(0.9 * 768 * (double)MIB / 2), "the control group");
}

static void version_1_groups_are_read_where_they_are_mounted(void) {
  put("/proc/self/cgroup", "5:devices:/a\n4:memory:/docker/abc\n0::/\n");
  put("/sys/fs/cgroup/memory.max", "max\n");
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"); // in a container the path is not there
  put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "104857600\n");
  QN_CHECK_INT(qn_group_room(root), 412 * MIB);
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  QN_CHECK_INT(qn_group_room(root), -1);
}

static void many_ranks_on_a_small_machine_still_get_something(void) {
  check_budget(0, 100000, 16 * MIB, "what the machine has free");
}

int main(void) {
  forget_environment();
  QN_CHECK(mkdtemp(root) != NULL);
  KIT_RUN(option_comes_before_environment_before_slurm_before_machine);
  KIT_RUN(variables_that_are_no_sizes_are_refused);
  KIT_RUN(tightest_level_of_a_version_2_group_decides);
  KIT_RUN(version_1_groups_are_read_where_they_are_mounted);
  KIT_RUN(many_ranks_on_a_small_machine_still_get_something);
  QN_CHECK_OK(qn_folder_remove(root, &kit_error));
  return kit_result();
}
