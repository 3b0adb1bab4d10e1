// SPDX-License-Identifier: Apache-2.0
// Counting actions. What is to happen at the border of an action (journal, plan, progress) is called from
// here.
#include "exec/action.h"
#include <stdio.h>
#include "base/clock.h"
#include "exec/job_state.h"
#include "exec/restart.h"

const char *qn_action_name(qn_action_kind kind) {
  static const char *const names[] = {
      [QN_ACTION_WRITE] = "write",   [QN_ACTION_STAGE] = "stage",       [QN_ACTION_SHOW] = "show",
      [QN_ACTION_COUNT] = "count",   [QN_ACTION_COLLECT] = "collect",   [QN_ACTION_FIT] = "fit",
      [QN_ACTION_SEARCH] = "search", [QN_ACTION_EVALUATE] = "evaluate", [QN_ACTION_RECOMMEND] = "recommend",
      [QN_ACTION_REPORT] = "report",
  };
  return names[kind];
}

void qn_action_begin(qn_job *job, qn_action_kind kind, const qn_dataset *dataset, const char *what) {
  qn_action *action = &job->action;

  if (action->depth++ > 0) {
    return;
  }
  action->number++;
  action->kind = kind;
  action->start_ns = qn_clock_ns();
  qn_restart_begin(job);
  snprintf(action->what, sizeof action->what, "%s%s%s", qn_action_name(kind), what[0] != '\0' ? " " : "",
           what);
  job->progress.step = job->progress.n_steps = 0;
  qn_note_action(job, dataset);
}

qn_status qn_action_end(qn_job *job, qn_status status) {
  job->action.depth--;
  return status;
}
