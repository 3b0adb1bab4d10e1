// SPDX-License-Identifier: Apache-2.0
// What lets a fit be ended at any moment: a checkpoint now and then and when the job is asked to stop, and
// the finished model in the run's folder, to be loaded when the job goes on.
#pragma once
#include "exec/restart.h"
#include "ml/fit_progress.h"

/// Local. Where the checkpoint of this fit is: where the user wants it, else in the run's folder.
void qn_fit_restart_start(qn_fit_state *fit, bool is_silent);
/// Local. From now on the fit is stopped at steps only, where it can be kept.
void qn_fit_restart_steps_begin(qn_fit_state *fit);
void qn_fit_restart_steps_end(qn_fit_state *fit);
/// Collective, after each step: now and then looks at the clock and for a request to stop, so that all ranks
/// know alike.
qn_status qn_fit_restart_step(qn_fit_state *fit, qn_error *err);
/// Local, when a checkpoint has been written: QN_ERR_INTERRUPTED if the fit is to stop there.
qn_status qn_fit_restart_kept(qn_fit_state *fit, qn_error *err);

/// Collective. The model that an earlier attempt has made, or NULL; `action` goes to qn_fit_restart_finish().
qn_status qn_fit_restart_look(qn_dataset *data, const struct qn_estimator *estimator, const qn_training *how,
                              const void *options, qn_restart_action *action, qn_model **out, qn_error *err);
/// Local, when a fit is done on all ranks: keeps its model, unless that takes long, and notes it.
void qn_fit_restart_finish(qn_model *model, qn_restart_action *action);
