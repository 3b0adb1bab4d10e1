// SPDX-License-Identifier: Apache-2.0
// What tests of estimators on rows in memory share: a communicator of all ranks and one of each rank alone,
// models outside of any job's plans, and fits that are broken off at a step (link with
// -Wl,--wrap=qn_fit_step).
#pragma once
#include "base/hash.h"
#include "exec/job_state.h"
#include "kit/kit.h"
#include "ml/estimator.h"

static qn_comm *comm;
static qn_comm *alone; // this rank only
static qn_job job;
static int64_t failing_step; // where a fit is broken off; 0: nowhere

qn_status __real_qn_fit_step(qn_fit_state *fit, const qn_fit_report *report, qn_error *err);
qn_status __wrap_qn_fit_step(qn_fit_state *fit, const qn_fit_report *report, qn_error *err);
qn_status __wrap_qn_fit_step(qn_fit_state *fit, const qn_fit_report *report, qn_error *err) {
  if (failing_step > 0 && report->step == failing_step) {
    return qn_fail(err, QN_ERR_VALUE, "broken off");
  }
  return __real_qn_fit_step(fit, report, err);
}

/// A model to be fitted; release() it.
static inline void new_model(const char *name, const char *options, int64_t n_rows, int n_classes,
                             qn_model *model) {
  const qn_estimator *estimator = qn_estimator_find(name);

  *model = (qn_model){.job = &job, .estimator = estimator, .n_rows = n_rows, .classes = {.n = n_classes}};
  model->options = qn_arena_alloc(&model->arena, (int64_t)estimator->options_size);
  qn_settings_defaults(estimator, model->options);
  QN_CHECK_OK(qn_settings_parse(estimator, options, &model->arena, model->options, &kit_error));
}

static inline void release(qn_model *model) {
  qn_arrays_release(&model->arrays);
  qn_arrays_release(&model->curve);
  qn_arena_release(&model->arena);
}

/// Fits on rows that every rank gives whole.
static inline qn_status fit_source(qn_comm *on, const qn_training *how, const qn_rows_source *source,
                                   qn_model *model) {
  qn_rows *rows = NULL;

  QN_CHECK_OK(qn_rows_from_memory(on, source, &rows, &kit_error));
  const qn_status status = qn_fit_rows(model, on, how, NULL, rows, how->checkpoint == NULL, &kit_error);
  qn_rows_free(rows);
  return status;
}

static inline const double *values_of(const qn_model *model, const char *name) {
  const qn_array *array = qn_arrays_find(&model->arrays, name);
  QN_CHECK(array != NULL);
  return array == NULL ? NULL : array->data;
}

/// A number in [0, 1) that depends on i and j alone.
static inline double uniform(int64_t i, int64_t j) {
  return qn_hash_to_unit(qn_hash_combine((uint64_t)i + 1, (uint64_t)j));
}

/// Runs tests with MPI started, and gives main its exit code.
static inline int fit_main(void (*tests)(void)) {
  QN_CHECK_OK(qn_comm_open(&comm, &kit_error));
  QN_CHECK_OK(qn_comm_split(comm, qn_comm_rank(comm), &alone, &kit_error));
  job = (qn_job){.comm = comm, .is_quiet = true};
  tests();
  qn_comm_close(alone);
  qn_comm_close(comm);
  return kit_result();
}
