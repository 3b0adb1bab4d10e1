// SPDX-License-Identifier: Apache-2.0
#include "kit/kit.h"
#include "place/node_places.h"

enum { MOST_RANKS = 16 };

// Judges ranks whose processors are listed with blanks between them.
static qn_node_places judge_quota(const char *machine, int64_t quota, const char *cpus, qn_binding binding,
                                  qn_memory_policy memory) {
  qn_topology *topology = NULL;
  qn_rank_place ranks[MOST_RANKS];
  qn_node_places node = {.n_ranks = 0};
  char *list = strdup(cpus), *rest = NULL;
  int n = 0;

  for (char *own = strtok_r(list, " ", &rest); own != NULL && n < MOST_RANKS;
       own = strtok_r(NULL, " ", &rest)) {
    ranks[n++] = (qn_rank_place){.cpus = own, .binding = binding, .memory = memory};
  }
  QN_CHECK_OK(qn_topology_new(machine, &topology, &kit_error));
  qn_topology_set_quota(topology, quota);
  QN_CHECK_OK(qn_node_judge(topology, ranks, n, &node, &kit_error));
  qn_topology_free(topology);
  free(list);
  return node;
}

static qn_node_places judge(const char *machine, const char *cpus, qn_binding binding,
                            qn_memory_policy memory) {
  return judge_quota(machine, 0, cpus, binding, memory);
}

// The line, and behind it a line for each fault.
static void check_said(const qn_node_places *node, const char *where, const char *wanted) {
  qn_buffer text = {0};

  QN_CHECK_OK(qn_node_print(node, &text, &kit_error));
  for (int fault = 0; fault < QN_N_FAULTS; fault++) {
    if (node->faults[fault].n_ranks > 0) {
      QN_CHECK_OK(qn_buffer_printf(&text, &kit_error, "\n"));
      QN_CHECK_OK(qn_node_print_fault(node, (qn_fault)fault, where, &text, &kit_error));
    }
  }
  QN_CHECK_OK(qn_buffer_terminate(&text, &kit_error));
  QN_CHECK_TEXT((const char *)text.data, wanted);
  qn_buffer_release(&text);
}

// Only this fault, or none for QN_N_FAULTS.
static void check_only(const qn_node_places *node, qn_fault wanted, int n_ranks) {
  for (int fault = 0; fault < QN_N_FAULTS; fault++) {
    QN_CHECK_INT(node->faults[fault].n_ranks, fault == (int)wanted ? n_ranks : 0);
  }
}

static void a_good_place_is_one_line(void) {
  qn_node_places node =
      judge("package:2 numa:2 core:4 pu:2", "0-7 8-15 16-23 24-31", QN_BOUND_BY_QUERN, QN_MEMORY_IN_DOMAIN);
  check_said(
      &node, "",
      "4 ranks on 16 cores (2 sockets, 4 NUMA domains), 4 cores a rank bound by Quern, memory bound to "
      "its domain, BLAS 4 threads");
  node = judge("core:4 pu:1", "0-3", QN_UNBOUND, QN_MEMORY_BY_SYSTEM);
  check_said(&node, "", "1 rank on 4 cores, BLAS 4 threads");
  node = judge("core:4 pu:1", "0 1 2-3", QN_BOUND_BY_LAUNCHER, QN_MEMORY_BY_SYSTEM);
  check_said(&node, "", "3 ranks on 4 cores, 1 to 2 cores a rank bound by the launcher, BLAS 1 to 2 threads");
  node = judge("core:4 pu:1", "0-3 0-3", QN_UNBOUND_WANTED, QN_MEMORY_BY_SYSTEM);
  check_said(&node, "", "2 ranks on 4 cores, not bound, BLAS 2 threads");
}

static void ranks_on_one_core_are_found(void) {
  qn_node_places node = judge("core:4 pu:1", "0 0", QN_BOUND_BY_LAUNCHER, QN_MEMORY_BY_SYSTEM);
  check_only(&node, QN_FAULT_OVERLAP, 2);
  QN_CHECK_INT(node.n_free_cores, 3);
  QN_CHECK_INT(node.faults[QN_FAULT_OVERLAP].cpu, 0);
  check_said(&node, " of node n1",
             "2 ranks on 4 cores, 1 core a rank bound by the launcher, BLAS 1 thread\n"
             "ranks 0 and 1 of node n1 run on the same processor 0 (2 ranks share so), and 3 cores are free. "
             "Bind them apart: mpirun --map-by slot:PE=2 --bind-to core, or srun --cpu-bind=cores; or "
             "--bind-to none, then Quern binds them");
  node = judge("core:4 pu:1", "3 1 2 1", QN_BOUND_BY_LAUNCHER, QN_MEMORY_BY_SYSTEM);
  check_only(&node, QN_FAULT_OVERLAP, 2);
  QN_CHECK_INT(node.faults[QN_FAULT_OVERLAP].rank, 1);
  QN_CHECK_INT(node.faults[QN_FAULT_OVERLAP].other, 3);
  node = judge("core:8 pu:1", "0-1 1-2", QN_BOUND_BY_LAUNCHER, QN_MEMORY_BY_SYSTEM); // in part
  check_only(&node, QN_FAULT_OVERLAP, 2);
  node = judge("core:4 pu:1", "0 0 0 0 0 0", QN_BOUND_BY_LAUNCHER, QN_MEMORY_BY_SYSTEM);
  QN_CHECK_INT(node.faults[QN_FAULT_OVERLAP].n_ranks, 6); // there are too many too, but for this no reason
  QN_CHECK_INT(node.faults[QN_FAULT_TOO_MANY].n_ranks, 6);
}

static void ranks_that_share_a_socket_with_room_are_no_fault(void) {
  const qn_node_places node =
      judge("package:2 [numa] core:4 pu:1", "0-3 4-7 0-3 4-7", QN_BOUND_BY_LAUNCHER, QN_MEMORY_IN_DOMAIN);
  check_only(&node, QN_N_FAULTS, 0);
  QN_CHECK_INT(node.least_threads, 2);
}

static void ranks_on_siblings_are_found(void) {
  qn_node_places node = judge("core:4 pu:2", "0 1 2-3", QN_BOUND_BY_LAUNCHER, QN_MEMORY_BY_SYSTEM);
  check_only(&node, QN_FAULT_SIBLINGS, 2);
  check_said(
      &node, "",
      "3 ranks on 4 cores, 1 core a rank bound by the launcher, BLAS 1 thread\n"
      "ranks 0 and 1 run on two hardware threads of one core (2 ranks share so), which is half as fast. "
      "Give each a core: mpirun --bind-to core, or sbatch --hint=nomultithread");
  node = judge("package:1 core:4 pu:2(indexes=2*4:4*1)", "0 4", QN_BOUND_BY_LAUNCHER, QN_MEMORY_BY_SYSTEM);
  check_only(&node, QN_FAULT_SIBLINGS, 2);
  node = judge("core:2 pu:2", "0 1 2 3", QN_BOUND_BY_LAUNCHER, QN_MEMORY_BY_SYSTEM); // cannot be otherwise
  check_only(&node, QN_FAULT_TOO_MANY, 4);
}

static void unbound_ranks_are_found(void) {
  qn_node_places node = judge("core:4 pu:1", "0-3 0-3", QN_UNBOUND, QN_MEMORY_BY_SYSTEM);
  check_only(&node, QN_FAULT_UNBOUND, 2);
  check_said(
      &node, "",
      "2 ranks on 4 cores, not bound, BLAS 2 threads\n"
      "2 of 2 ranks are bound to no cores and move about. Start them with mpirun --bind-to core, or srun "
      "--cpu-bind=cores");
  node = judge("package:2 [numa] core:4 pu:1", "0-7 0-7", QN_UNBOUND_WANTED, QN_MEMORY_BY_SYSTEM);
  check_only(&node, QN_N_FAULTS, 0); // somebody wanted it
}

static void ranks_across_domains_are_found(void) {
  qn_node_places node =
      judge("package:2 [numa] core:4 pu:1", "0-2 3-5 6-7", QN_BOUND_BY_LAUNCHER, QN_MEMORY_BY_SYSTEM);
  check_only(&node, QN_FAULT_SPANS, 1);
  check_said(
      &node, "",
      "3 ranks on 8 cores (2 sockets, 2 NUMA domains), 2 to 3 cores a rank bound by the launcher, BLAS 2 "
      "to 3 threads\n"
      "1 of 3 ranks (rank 1 for one) run on cores of more than one NUMA domain, so part of the memory is "
      "far away. Start a multiple of 2 ranks on each node, bound to cores");
  node = judge("package:2 numa:4 core:4 pu:1", "0-31", QN_UNBOUND, QN_MEMORY_BY_SYSTEM);
  check_only(&node, QN_FAULT_SPANS, 1);
}

static void more_ranks_than_cores_are_told_once(void) {
  qn_node_places node = judge("core:2 pu:1", "0-1 0-1 0-1 0-1", QN_UNBOUND, QN_MEMORY_BY_SYSTEM);
  check_only(&node, QN_FAULT_TOO_MANY, 4);
  check_said(&node, "",
             "4 ranks on 2 cores, not bound, BLAS 1 thread\n"
             "4 ranks share 2 cores. They wait for each other: start at most 2 a node");
  node = judge("package:2 [numa] core:1 pu:1", "0 0 1 1", QN_BOUND_BY_LAUNCHER, QN_MEMORY_IN_DOMAIN);
  check_only(&node, QN_FAULT_TOO_MANY, 4);
}

static void a_small_control_group_is_the_reason(void) {
  const char *const all = "2-7,18-23 2-7,18-23 2-7,18-23 2-7,18-23 2-7,18-23 2-7,18-23 2-7,18-23 2-7,18-23";
  const qn_node_places node = judge(QN_MACHINES "/cgroup.xml", all, QN_UNBOUND, QN_MEMORY_BY_SYSTEM);

  check_only(&node, QN_FAULT_TOO_MANY, 8);
  check_said(&node, "",
             "8 ranks on 6 of 16 cores (2 sockets, 4 NUMA domains), not bound, BLAS 1 thread\n"
             "8 ranks share 6 cores: the job may use only these of its 16. Ask for more cores (sbatch "
             "--cpus-per-task=1 --ntasks-per-node=8), or start fewer ranks");
}

static void cores_beyond_the_control_group_are_not_free(void) {
  const qn_node_places node =
      judge(QN_MACHINES "/cgroup.xml", "2-4,18-20 5-7,21-23", QN_BOUND_BY_LAUNCHER, QN_MEMORY_BY_SYSTEM);
  QN_CHECK_INT(node.n_free_cores, 0);
  QN_CHECK_INT(node.n_usable_domains, 2);
}

static void a_quota_below_the_ranks_is_told_instead_of_cores(void) {
  qn_node_places node = judge_quota("core:8 pu:1", 250, "0 1 2 3", QN_BOUND_BY_LAUNCHER, QN_MEMORY_BY_SYSTEM);
  check_only(&node, QN_FAULT_QUOTA, 4);
  check_said(
      &node, " of node n1",
      "4 ranks on 8 cores with a quota of 2.5, 1 core a rank bound by the launcher, BLAS 1 thread\n"
      "4 ranks of node n1 have the processor time of 2.5 cores: a control group (a container) stops them "
      "when it is used up. Start at most 2, or raise the quota (docker run --cpus=4, limits.cpu in "
      "Kubernetes, CPUQuota= in systemd)");
  node = judge_quota("core:2 pu:1", 100, "0-1 0-1 0-1 0-1", QN_UNBOUND, QN_MEMORY_BY_SYSTEM);
  check_only(&node, QN_FAULT_QUOTA, 4);
}

static void a_quota_that_is_enough_is_no_fault(void) {
  qn_node_places node = judge_quota("core:8 pu:1", 400, "0-3 4-7", QN_BOUND_BY_LAUNCHER, QN_MEMORY_BY_SYSTEM);
  check_said(&node, "",
             "2 ranks on 8 cores with a quota of 4, 4 cores a rank bound by the launcher, BLAS 2 threads");
  node = judge_quota("core:8 pu:1", 50, "0-7", QN_UNBOUND, QN_MEMORY_BY_SYSTEM); // one rank cannot be fewer
  check_said(&node, "", "1 rank on 8 cores with a quota of 0.5, BLAS 1 thread");
  node = judge_quota("core:2 pu:1", 200, "0-1 0-1 0-1 0-1", QN_UNBOUND, QN_MEMORY_BY_SYSTEM);
  check_only(&node, QN_FAULT_TOO_MANY, 4);
  node = judge_quota("core:4 pu:1", 800, "0 1 2 3", QN_BOUND_BY_LAUNCHER, QN_MEMORY_BY_SYSTEM);
  check_said(&node, "", "4 ranks on 4 cores, 1 core a rank bound by the launcher, BLAS 1 thread");
}

int main(void) {
  KIT_RUN(a_good_place_is_one_line);
  KIT_RUN(ranks_on_one_core_are_found);
  KIT_RUN(ranks_that_share_a_socket_with_room_are_no_fault);
  KIT_RUN(ranks_on_siblings_are_found);
  KIT_RUN(unbound_ranks_are_found);
  KIT_RUN(ranks_across_domains_are_found);
  KIT_RUN(more_ranks_than_cores_are_told_once);
  KIT_RUN(a_small_control_group_is_the_reason);
  KIT_RUN(cores_beyond_the_control_group_are_not_free);
  KIT_RUN(a_quota_below_the_ranks_is_told_instead_of_cores);
  KIT_RUN(a_quota_that_is_enough_is_no_fault);
  return kit_result();
}
