// SPDX-License-Identifier: Apache-2.0
// Going on with a run: which actions are done already, and noting those that are. Rank 0 reads, judges and
// writes; the others are told. docs/restart.md says what is promised.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "column/source.h"
#include "exec/job_state.h"
#include "io/file_list.h"

typedef struct qn_restart qn_restart;

/// Collective, when the run folder is open. job->restart is made, or stays NULL without a folder.
qn_status qn_restart_open(qn_job *job, qn_error *err);
void qn_restart_free(qn_restart *restart); // NULL is allowed

/// What an action is, beside its number, and what it leaves.
typedef struct qn_restart_action {
  const qn_dataset *dataset;
  uint64_t options;     // hash of what else decides about its result
  const char *product;  // file or staged folder that it writes; NULL: none
  int64_t value;        // what it gives, for an action without a product
  uint64_t fingerprint; // of all that; on rank 0, once qn_restart_look() has returned
} qn_restart_action;

/// Local. An action begins, of which nothing is known yet.
void qn_restart_begin(qn_job *job);
/// Collective, after qn_action_begin(). *is_done: the action was committed by an earlier attempt, its product
/// is whole, and action->value is set. Does nothing (not done) in a job without a run folder and inside of
/// another action. Errors: QN_ERR_ARG if the journal speaks of another action.
qn_status qn_restart_look(qn_job *job, qn_restart_action *action, bool *is_done, qn_error *err);
/// Local. The action is committed: says so in the journal. That it cannot is no failure of the job.
void qn_restart_note(qn_job *job, const qn_restart_action *action);
/// Local. The outermost action now running has such a fingerprint (0: none is known).
uint64_t qn_restart_fingerprint(const qn_job *job);
/// "RUN/checkpoints/fit-<action><end>" in the job's arena; the folder may have to be made. NULL without a run
/// folder and inside of another action.
const char *qn_restart_checkpoint_path(qn_job *job, const char *end);

/// Local, on rank 0, while a dataset is made that reads files: adds which files they are and in what state to
/// *identity; a product of this run counts as what it was made of, so that it may be made again.
void qn_restart_identify_files(const qn_job *job, const qn_file_list *files, uint64_t *identity,
                               int64_t *newest);
void qn_restart_identify_stage(const qn_job *job, const char *path, const qn_buffer *manifest,
                               uint64_t *identity);
/// Local, on every rank, for each source of files in turn. Errors: QN_ERR_ARG if the input is not what it was
/// when the run began.
qn_status qn_restart_check_input(qn_job *job, const qn_source *source, int64_t newest, qn_error *err);
