// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "kit/kit.h"
#include "place/place.h"

static char root[] = "/tmp/quern-quota-XXXXXX";

static void put(const char *name, const char *text) {
  char path[4096];
  snprintf(path, sizeof path, "%s%s", root, name);
  QN_CHECK_OK(qn_folder_make_for(path, &kit_error));
  QN_CHECK_OK(qn_file_write_atomic(path, text, (int64_t)strlen(text), &kit_error));
}

static void without_groups_there_is_no_quota(void) {
  QN_CHECK_INT(qn_cpu_quota(root), 0);
  put("/proc/self/cgroup", "0::/\n");
  QN_CHECK_INT(qn_cpu_quota(root), 0);
  put("/sys/fs/cgroup/cpu.max", "max 100000\n");
  QN_CHECK_INT(qn_cpu_quota(root), 0);
}

static void tightest_level_of_version_2_decides(void) {
  put("/proc/self/cgroup", "0::/system.slice/job.scope\n");
  put("/sys/fs/cgroup/system.slice/job.scope/cpu.max", "max 100000\n");
  put("/sys/fs/cgroup/system.slice/cpu.max", "250000 100000\n");
  QN_CHECK_INT(qn_cpu_quota(root), 250);
  put("/sys/fs/cgroup/system.slice/job.scope/cpu.max", "10000 20000\n");
  QN_CHECK_INT(qn_cpu_quota(root), 50);
  put("/sys/fs/cgroup/system.slice/job.scope/cpu.max", "much\n");
  QN_CHECK_INT(qn_cpu_quota(root), 250);
  put("/sys/fs/cgroup/system.slice/cpu.max", "1 1000000\n"); // what is less than a hundredth is still a quota
  QN_CHECK_INT(qn_cpu_quota(root), 1);
  put("/sys/fs/cgroup/system.slice/cpu.max", "max 100000\n");
}

static void version_1_has_a_file_each(void) {
  put("/proc/self/cgroup", "7:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n3:cpuset:/docker/a\n");
  put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"); // in a container the path is not there
  put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  put("/sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "1\n"); // nobody's
  QN_CHECK_INT(qn_cpu_quota(root), 0);
  put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
  QN_CHECK_INT(qn_cpu_quota(root), 400);
  put("/sys/fs/cgroup/cpu/docker/a/cpu.cfs_quota_us", "150000\n");
  QN_CHECK_INT(qn_cpu_quota(root), 400);
  put("/sys/fs/cgroup/cpu/docker/a/cpu.cfs_period_us", "50000\n");
  QN_CHECK_INT(qn_cpu_quota(root), 300);
}

static int32_t threads_of(const char *machine, int64_t quota, const char *cpus, int n_ranks) {
  qn_topology *topology = NULL;
  const char *all[] = {cpus, cpus, cpus, cpus};
  int32_t n = 0;

  QN_CHECK_OK(qn_topology_new(machine, &topology, &kit_error));
  qn_topology_set_quota(topology, quota);
  QN_CHECK_OK(qn_threads_of_rank(topology, all, n_ranks, 0, &n, &kit_error));
  qn_topology_free(topology);
  return n;
}

static void threads_of_ranks_stay_within_the_quota(void) {
  QN_CHECK_INT(threads_of("core:8 pu:2", 0, "0-15", 1), 8);
  QN_CHECK_INT(threads_of("core:8 pu:2", 250, "0-15", 1), 2);
  QN_CHECK_INT(threads_of("core:8 pu:2", 50, "0-15", 1), 1);
  QN_CHECK_INT(threads_of("core:8 pu:2", 600, "0-15", 2), 3);
  QN_CHECK_INT(threads_of("core:8 pu:2", 1600, "0-15", 2), 4);
  QN_CHECK_INT(threads_of("core:8 pu:2", 300, "0-15", 4), 1);
}

int main(void) {
  QN_CHECK(mkdtemp(root) != NULL);
  KIT_RUN(without_groups_there_is_no_quota);
  KIT_RUN(tightest_level_of_version_2_decides);
  KIT_RUN(version_1_has_a_file_each);
  KIT_RUN(threads_of_ranks_stay_within_the_quota);
  QN_CHECK_OK(qn_folder_remove(root, &kit_error));
  return kit_result();
}
