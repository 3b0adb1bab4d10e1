// SPDX-License-Identifier: Apache-2.0
// The places of a node in words.
#include "base/check.h"
#include "place/node_places.h"

static const char *plural(int64_t n) {
  return n == 1 ? "" : "s";
}

// "2", or "2 to 3".
static qn_status print_range(qn_buffer *out, int least, int most, const char *what, qn_error *err) {
  return least == most ? qn_buffer_printf(out, err, ", %d %s%s", most, what, plural(most))
                       : qn_buffer_printf(out, err, ", %d to %d %ss", least, most, what);
}

static qn_status print_machine(const qn_node_places *node, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_machine *machine = &node->machine;
  const int n_cores = machine->n_usable_cores;

  QN_TRY(qn_buffer_printf(out, err, "%d rank%s on %d ", node->n_ranks, plural(node->n_ranks), n_cores));
  if (n_cores < machine->n_cores) {
    QN_TRY(qn_buffer_printf(out, err, "of %d ", machine->n_cores));
  }
  QN_TRY(qn_buffer_printf(out, err, "core%s", plural(machine->n_cores)));
  if (machine->n_packages > 1 || machine->n_domains > 1) {
    QN_TRY(qn_buffer_printf(out, err, " (%d socket%s, %d NUMA domain%s)", machine->n_packages,
                            plural(machine->n_packages), machine->n_domains, plural(machine->n_domains)));
  }
  if (machine->quota_percent > 0 && machine->quota_percent < 100 * (int64_t)n_cores) {
    QN_TRY(qn_buffer_printf(out, err, " with a quota of %.4g", (double)machine->quota_percent / 100));
  }

done:
  return status;
}

static const char *words_of_binding(const qn_node_places *node) {
  if (node->n_bound[QN_BOUND_BY_QUERN] == node->n_ranks) {
    return " bound by Quern";
  }
  if (node->n_bound[QN_BOUND_BY_LAUNCHER] == node->n_ranks) {
    return " bound by the launcher";
  }
  return ""; // it is said that ranks are not bound, or it is plain that they differ
}

qn_status qn_node_print(const qn_node_places *node, qn_buffer *out, qn_error *err) {
  qn_status status = QN_OK;
  const int n_unbound = node->n_bound[QN_UNBOUND] + node->n_bound[QN_UNBOUND_WANTED];

  QN_TRY(print_machine(node, out, err));
  if (n_unbound == node->n_ranks) {
    QN_TRY(qn_buffer_printf(out, err, "%s", node->n_ranks > 1 ? ", not bound" : ""));
  } else {
    QN_TRY(print_range(out, node->least_cores, node->most_cores, "core", err));
    QN_TRY(qn_buffer_printf(out, err, " a rank%s", words_of_binding(node)));
  }
  if (node->n_memory_in_domain == node->n_ranks) {
    QN_TRY(qn_buffer_printf(out, err, ", memory bound to its domain"));
  } else if (node->n_memory_in_domain > 0) {
    QN_TRY(qn_buffer_printf(out, err, ", memory of %d rank%s bound to its domain", node->n_memory_in_domain,
                            plural(node->n_memory_in_domain)));
  }
  QN_TRY(qn_buffer_printf(out, err, ", BLAS"));
  if (node->least_threads == node->most_threads) {
    QN_TRY(qn_buffer_printf(out, err, " %d thread%s", node->most_threads, plural(node->most_threads)));
  } else {
    QN_TRY(qn_buffer_printf(out, err, " %d to %d threads", node->least_threads, node->most_threads));
  }

done:
  return status;
}

// --- Faults

static qn_status print_quota(const qn_node_places *node, const char *where, qn_buffer *out, qn_error *err) {
  const int64_t quota = node->machine.quota_percent;

  return qn_buffer_printf(out, err,
                          "%d ranks%s have the processor time of %.4g core%s: a control group (a container) "
                          "stops them when it is used up. Start at most %lld, or raise the quota (docker run "
                          "--cpus=%d, limits.cpu in Kubernetes, CPUQuota= in systemd)",
                          node->n_ranks, where, (double)quota / 100, quota == 100 ? "" : "s",
                          (long long)(quota < 200 ? 1 : quota / 100), node->n_ranks);
}

// Why there are fewer cores than ranks, and what helps.
static qn_status print_too_many(const qn_node_places *node, const char *where, qn_buffer *out,
                                qn_error *err) {
  qn_status status = QN_OK;
  const int n_cores = node->machine.n_usable_cores;

  QN_TRY(qn_buffer_printf(out, err, "%d ranks share %d core%s%s", node->n_ranks, n_cores, plural(n_cores),
                          where));
  if (n_cores < node->machine.n_cores) {
    QN_TRY(qn_buffer_printf(out, err,
                            ": the job may use only these of its %d. Ask for more cores (sbatch "
                            "--cpus-per-task=1 --ntasks-per-node=%d), or start fewer ranks",
                            node->machine.n_cores, node->n_ranks));
  } else {
    QN_TRY(qn_buffer_printf(out, err, ". They wait for each other: start at most %d a node", n_cores));
  }

done:
  return status;
}

static qn_status print_overlap(const qn_node_places *node, const char *where, qn_buffer *out, qn_error *err) {
  const qn_fault_seen *seen = &node->faults[QN_FAULT_OVERLAP];
  const int n_each = node->n_ranks > 0 ? node->machine.n_usable_cores / node->n_ranks : 0;

  return qn_buffer_printf(out, err,
                          "ranks %d and %d%s run on the same processor %d (%d ranks share so), and %d core%s "
                          "free. Bind them apart: mpirun --map-by slot:PE=%d --bind-to core, or srun "
                          "--cpu-bind=cores; or --bind-to none, then Quern binds them",
                          seen->rank, seen->other, where, seen->cpu, seen->n_ranks, node->n_free_cores,
                          node->n_free_cores == 1 ? " is" : "s are", n_each > 0 ? n_each : 1);
}

static qn_status print_siblings(const qn_node_places *node, const char *where, qn_buffer *out,
                                qn_error *err) {
  const qn_fault_seen *seen = &node->faults[QN_FAULT_SIBLINGS];

  return qn_buffer_printf(
      out, err,
      "ranks %d and %d%s run on two hardware threads of one core (%d ranks share so), which "
      "is half as fast. Give each a core: mpirun --bind-to core, or sbatch "
      "--hint=nomultithread",
      seen->rank, seen->other, where, seen->n_ranks);
}

static qn_status print_unbound(const qn_node_places *node, const char *where, qn_buffer *out, qn_error *err) {
  return qn_buffer_printf(out, err,
                          "%d of %d ranks%s are bound to no cores and move about. Start them with mpirun "
                          "--bind-to core, or srun --cpu-bind=cores",
                          node->faults[QN_FAULT_UNBOUND].n_ranks, node->n_ranks, where);
}

static qn_status print_spans(const qn_node_places *node, const char *where, qn_buffer *out, qn_error *err) {
  const qn_fault_seen *seen = &node->faults[QN_FAULT_SPANS];
  qn_status status = QN_OK;

  if (node->n_ranks == 1) {
    QN_TRY(qn_buffer_printf(out, err, "the only rank%s runs", where));
  } else if (seen->n_ranks == node->n_ranks) {
    QN_TRY(qn_buffer_printf(out, err, "all %d ranks%s run", node->n_ranks, where));
  } else {
    QN_TRY(qn_buffer_printf(out, err, "%d of %d ranks%s (rank %d for one) run", seen->n_ranks, node->n_ranks,
                            where, seen->rank));
  }
  QN_TRY(
      qn_buffer_printf(out, err,
                       " on cores of more than one NUMA domain, so part of the memory is far away. Start a "
                       "multiple of %d ranks on each node, bound to cores",
                       node->n_usable_domains));

done:
  return status;
}

qn_status qn_node_print_fault(const qn_node_places *node, qn_fault fault, const char *where, qn_buffer *out,
                              qn_error *err) {
  switch (fault) {
  case QN_FAULT_QUOTA:
    return print_quota(node, where, out, err);
  case QN_FAULT_TOO_MANY:
    return print_too_many(node, where, out, err);
  case QN_FAULT_OVERLAP:
    return print_overlap(node, where, out, err);
  case QN_FAULT_SIBLINGS:
    return print_siblings(node, where, out, err);
  case QN_FAULT_UNBOUND:
    return print_unbound(node, where, out, err);
  case QN_FAULT_SPANS:
    return print_spans(node, where, out, err);
  case QN_N_FAULTS:
    break;
  }
  return QN_OK;
}
