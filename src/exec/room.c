// SPDX-License-Identifier: Apache-2.0
// The memory and the scratch that a job here would have.
#include <stdio.h>
#include <quern/doctor.h>
#include "base/check.h"
#include "exec/budget.h"
#include "exec/scratch.h"
#include "place/place.h"

QN_API qn_status qn_room_look(int n_ranks_here, qn_room *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_topology *topology = NULL;
  qn_budget budget = {0};
  qn_scratch scratch = {0};

  QN_TRY(qn_topology_new(NULL, &topology, err));
  qn_topology_set_quota(topology, qn_cpu_quota(""));
  const qn_machine machine = qn_topology_machine(topology);
  const int n_cores = machine.n_usable_cores > 0 ? machine.n_usable_cores : 1;
  QN_TRY(qn_budget_choose(0, n_ranks_here > 0 ? n_ranks_here : n_cores, "", &budget, err));
  QN_TRY(qn_scratch_choose(NULL, &scratch, err));
  *out = (qn_room){.n_sockets = machine.n_packages,
                   .n_domains = machine.n_domains,
                   .n_cores = machine.n_cores,
                   .n_usable_cores = n_cores,
                   .quota_percent = machine.quota_percent,
                   .budget = budget.bytes,
                   .scratch_free = scratch.free_bytes,
                   .scratch_is_memory = scratch.is_memory};
  snprintf(out->budget_source, sizeof out->budget_source, "%s", budget.source);
  snprintf(out->scratch, sizeof out->scratch, "%s", scratch.folder);

done:
  qn_topology_free(topology);
  return status;
}
