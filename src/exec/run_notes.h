// SPDX-License-Identifier: Apache-2.0
// What a job notes in the folder of its run while it goes on: plans of its actions, its inputs, libraries. On
// rank 0; elsewhere and without a folder these do nothing. That something cannot be noted stops nothing.
#pragma once
#include <jansson.h>
#include <quern/job.h>
#include "io/file_list.h"
#include "plan/plan.h"

typedef struct qn_run_notes {
  json_t *actions;   // of plan.json; NULL: none yet
  int64_t n_actions; // noted
  bool has_new_plans, has_new_facts;
  int64_t written_ns; // of qn_clock_ns()
} qn_run_notes;

/// An action begins; dataset (may be NULL) is the plan as written.
void qn_note_action(qn_job *job, const qn_dataset *dataset);
/// This is what runs for it.
void qn_note_plan(qn_job *job, const qn_dataset *plan);
/// Files that are read, and a staged dataset of n_bytes.
void qn_note_files(qn_job *job, const qn_file_list *files);
void qn_note_stage(qn_job *job, const char *path, int64_t n_bytes);
/// A library of which the version matters: "blas", "OpenBLAS 0.3.21 Zen".
void qn_note_library(qn_job *job, const char *name, const char *version);
/// HDF5, and how each node's ranks lie on it.
void qn_note_machine(qn_job *job);
/// Writes what is new: at once if `is_last`, else if nothing was written in the last second.
void qn_notes_write(qn_job *job, bool is_last);
void qn_notes_release(qn_run_notes *notes);
