// SPDX-License-Identifier: Apache-2.0
// What a fit says while it runs, and the checkpoints it can go on from.
#include "ml/fit_progress.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/hash.h"
#include "exec/job_state.h"
#include "ml/blas.h"
#include "ml/estimator.h"
#include "ml/fit_restart.h"
#include "ml/metrics.h"

enum { DEFAULT_CHECKPOINT_STEPS = 10 };
static const double LEAST_OF_REPORT = 0.1; // of the time between lines: a shorter fit says nothing
static const char CHECKPOINT_KIND[] = "quern checkpoint";

// --- what a checkpoint must have been made of ------------------------------------------------------------

// Of all labels and numbers, whatever the number of ranks: lanes are hashed whole, and their hashes added.
static uint64_t hash_rows(const qn_rows *rows) {
  uint64_t sum = 0;

  for (int lane = rows->first_lane; lane < rows->end_lane; lane++) {
    const int64_t first = qn_rows_lane_start(rows, lane) - rows->first_row;
    const int64_t n_rows = qn_rows_lane_start(rows, lane + 1) - rows->first_row - first;
    uint64_t hash = (uint64_t)lane;
    if (rows->is_sparse) {
      const int64_t start = rows->starts[first];
      hash = qn_hash_bytes(rows->values + start, (rows->starts[first + n_rows] - start) * 8, hash);
    } else {
      const int64_t width = rows->is_float32 ? 4 : 8;
      const uint8_t *x = rows->is_float32 ? (const uint8_t *)rows->x32 : (const uint8_t *)rows->x;
      const int64_t row_bytes = width * rows->n_columns;
      hash = qn_hash_bytes(x + first * row_bytes, n_rows * row_bytes, hash);
    }
    if (rows->y != NULL) {
      hash = qn_hash_bytes(rows->y + first, n_rows * 8, hash);
    }
    sum += qn_hash_mix(hash);
  }
  return sum;
}

// Collective.
static qn_status make_fingerprint(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  const qn_model *model = fit->model;
  qn_buffer *text = &fit->progress->fingerprint;
  int64_t hash = 0;

  if (fit->progress->is_ours) { // the plan says what the rows are
    hash = (int64_t)qn_restart_fingerprint(model->job);
  } else {
    hash = fit->rows == NULL ? 0 : (int64_t)hash_rows(fit->rows);
    QN_TRY(qn_comm_reduce_int64(fit->comm, QN_SUM, &hash, 1, err));
  }
  QN_TRY(qn_buffer_printf(text, err, "estimator %s\noptions ", model->estimator->name));
  QN_TRY(qn_settings_print(model->estimator, model->options, text, err));
  QN_TRY(qn_buffer_printf(
      text, err, "\nseed %llu\nfeatures float%d%s\nrows %lld\ndata %016llx\n",
      (unsigned long long)fit->how->seed, fit->how->float32 ? 32 : 64, fit->how->exact ? "\nmode exact" : "",
      (long long)(fit->rows == NULL ? model->n_rows : fit->rows->n_total), (unsigned long long)hash));
  QN_TRY(qn_buffer_terminate(text, err));

done:
  return status;
}

// The first line in which two texts differ.
static void first_difference(const char *a, const char *b, char *line_a, char *line_b, size_t size) {
  while (*a != '\0' && *b != '\0') {
    const size_t n_a = strcspn(a, "\n");
    const size_t n_b = strcspn(b, "\n");
    if (n_a != n_b || strncmp(a, b, n_a) != 0) {
      break;
    }
    a += n_a + (a[n_a] == '\n');
    b += n_b + (b[n_b] == '\n');
  }
  snprintf(line_a, size, "%.*s", (int)strcspn(a, "\n"), a);
  snprintf(line_b, size, "%.*s", (int)strcspn(b, "\n"), b);
}

// --- life ------------------------------------------------------------------------------------------------

// The number of steps that the options allow, for what is said of the time left; 0 if there is no such
// option.
static int64_t expected_steps(const qn_fit_state *fit) {
  static const char *const names[] = {"max_iterations", "max_epochs", "n_trees"};

  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const qn_setting *setting = qn_setting_find(fit->model->estimator, names[i]);
    if (setting != NULL && setting->kind == QN_SETTING_INT64) {
      return *(const int64_t *)((const char *)fit->model->options + setting->offset);
    }
  }
  return 0;
}

qn_status qn_fit_progress_new(qn_fit_state *fit, bool is_silent, qn_fit_progress **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_fit_progress *progress = calloc(1, sizeof *progress);

  QN_REQUIRE(progress != NULL, err, QN_ERR_MEMORY, "no memory for a fit");
  *progress = (qn_fit_progress){
      .is_silent = is_silent || fit->how->report_seconds<0, .checkpoint_steps = fit->how->checkpoint_steps> 0
                       ? fit->how->checkpoint_steps
                       : DEFAULT_CHECKPOINT_STEPS,
      .n_steps = expected_steps(fit),
      .is_part = is_silent,
      .report_seconds = fit->how->report_seconds > 0 ? fit->how->report_seconds : 1,
      .reported_ns = qn_clock_ns()};
  *out = progress;

done:
  return status;
}

void qn_fit_progress_free(qn_fit_progress *progress) {
  if (progress != NULL) {
    qn_buffer_release(&progress->steps);
    qn_buffer_release(&progress->losses);
    qn_buffer_release(&progress->gradients);
    qn_buffer_release(&progress->fingerprint);
    free(progress);
  }
}

static qn_status put_curve(const qn_fit_progress *progress, const char *prefix, qn_arrays *arrays,
                           qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = progress->steps.size / (int64_t)sizeof(int64_t);
  char name[64];

  snprintf(name, sizeof name, "%sstep", prefix);
  QN_TRY(qn_arrays_put(arrays, name, QN_INT64, n, progress->steps.data, err));
  snprintf(name, sizeof name, "%sloss", prefix);
  QN_TRY(qn_arrays_put(arrays, name, QN_FLOAT64, n, progress->losses.data, err));
  snprintf(name, sizeof name, "%sgradient_norm", prefix);
  QN_TRY(qn_arrays_put(arrays, name, QN_FLOAT64, n, progress->gradients.data, err));

done:
  return status;
}

// A fit that the limit on its steps has ended may be far from done: whoever reads no metrics must be told.
static void warn_of_the_limit(const qn_fit_state *fit) {
  const qn_metrics *metrics = &fit->model->metrics;
  const qn_setting *limit = qn_setting_find(fit->model->estimator, "max_iterations");
  const qn_setting *tolerance = qn_setting_find(fit->model->estimator, "tolerance");

  if (qn_metric(metrics, "converged") != 0 || limit == NULL || tolerance == NULL) {
    return;
  }
  const int64_t most = *(const int64_t *)((const char *)fit->options + limit->offset);
  const double enough = *(const double *)((const char *)fit->options + tolerance->offset);
  const double n_steps = qn_metric(metrics, "iterations");
  if (enough > 0 && n_steps >= (double)most) { // 0: as many steps as were asked for
    qn_job_tell(fit->model->job,
                "%s: warning: not converged after %.0f iterations, the limit: raise max_iterations, or the "
                "tolerance of %g\n",
                fit->model->estimator->name, n_steps, enough);
  }
}

qn_status qn_fit_progress_finish(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  const qn_fit_progress *progress = fit->progress;
  const int64_t n = progress->steps.size / (int64_t)sizeof(int64_t);

  if (!progress->is_silent) {
    warn_of_the_limit(fit);
  }
  if (n == 0) {
    goto done;
  }
  QN_TRY(put_curve(progress, "", &fit->model->curve, err));
  if (!progress->is_part) {
    QN_TRY(qn_record_training(fit->model->job, fit->model->estimator->name, n,
                              (const int64_t *)progress->steps.data, (const double *)progress->losses.data,
                              (const double *)progress->gradients.data, err));
  }

done:
  return status;
}

// --- steps -----------------------------------------------------------------------------------------------

static int append(char *line, size_t size, int used, const char *format, double value) {
  if (isnan(value) || used < 0 || (size_t)used >= size) {
    return used;
  }
  return used + snprintf(line + used, size - (size_t)used, format, value);
}

// Of all that was done since the last line. The rate of GEMM is asked for once a fit.
static void print_line(const qn_fit_state *fit, const qn_fit_report *report) {
  qn_fit_progress *progress = fit->progress;
  const double seconds = (double)(progress->stepped_ns - progress->reported_ns) / 1e9;
  const int n_ranks = qn_comm_size(fit->comm);
  const double flops = progress->flops / seconds;
  char line[256];

  if (progress->gemm_rate == 0 && flops > 0) {
    progress->gemm_rate = qn_blas_gemm_rate(report->in_float32);
  }
  int used =
      snprintf(line, sizeof line, "%s: step %lld", fit->model->estimator->name, (long long)report->step);

  used = append(line, sizeof line, used, "  loss %.6g", report->loss);
  used = append(line, sizeof line, used, "  gradient %.2g", report->gradient_norm);
  used = append(line, sizeof line, used, "  %.3g rows/s", (double)progress->n_rows / seconds);
  if (flops > 0 && progress->gemm_rate > 0) {
    used = append(line, sizeof line, used, "  %.3g GFLOP/s", flops * n_ranks / 1e9);
    append(line, sizeof line, used, ", %.0f %% of GEMM", 100 * flops / progress->gemm_rate);
  }
  qn_job_tell(fit->model->job, "%s\n", line);
  progress->has_reported = true;
  progress->n_rows = 0;
  progress->flops = 0;
  progress->reported_ns = qn_clock_ns();
}

static qn_status note_step(qn_fit_state *fit, const qn_fit_report *report, qn_error *err) {
  qn_status status = QN_OK;
  qn_fit_progress *progress = fit->progress;

  QN_REQUIRE(
      !isinf(report->loss) && !(isnan(report->loss) && !isnan(report->gradient_norm)), err, QN_ERR_VALUE,
      "%s: the training diverges: the loss is %g after step %lld; a smaller learning rate may help, or "
      "features on one scale: standardise(...)",
      fit->model->estimator->name, report->loss, (long long)report->step);
  QN_TRY(qn_buffer_append(&progress->steps, &report->step, sizeof report->step, err));
  QN_TRY(qn_buffer_append(&progress->losses, &report->loss, sizeof report->loss, err));
  QN_TRY(qn_buffer_append(&progress->gradients, &report->gradient_norm, sizeof report->gradient_norm, err));
  qn_progress_step(fit->model->job, report->step, progress->n_steps, report->loss);
  progress->n_rows += report->n_rows;
  progress->flops += isnan(report->flops) ? 0 : report->flops;
  progress->stepped_ns = qn_clock_ns();
  progress->last = *report;
  const double seconds = (double)(progress->stepped_ns - progress->reported_ns) / 1e9;
  if (!progress->is_silent && seconds >= progress->report_seconds) {
    print_line(fit, report);
  }

done:
  return status;
}

void qn_fit_progress_tell(qn_fit_state *fit) {
  const qn_fit_progress *progress = fit->progress;
  const double least = progress == NULL ? 0 : LEAST_OF_REPORT * progress->report_seconds;

  if (progress != NULL && !progress->is_silent && !progress->has_reported && progress->flops > 0 &&
      (double)(progress->stepped_ns - progress->reported_ns) / 1e9 > least) {
    print_line(fit, &progress->last);
  }
}

qn_status qn_fit_step(qn_fit_state *fit, const qn_fit_report *report, qn_error *err) {
  const qn_status status = note_step(fit, report, err);
  return status == QN_OK ? qn_fit_restart_step(fit, err) : status;
}

qn_status qn_fit_note(qn_fit_state *fit, const char *name, double value, qn_error *err) {
  qn_status status = QN_OK;

  QN_REQUIRE(qn_metrics_add(&fit->model->metrics, name, value), err, QN_ERR_ARG,
             "a model keeps at most %d numbers about it", QN_MAX_METRICS);

done:
  return status;
}

// --- checkpoints -----------------------------------------------------------------------------------------

bool qn_fit_wants_checkpoint(const qn_fit_state *fit, int64_t step) {
  const qn_fit_progress *progress = fit->progress;
  return progress->checkpoint != NULL &&
         (progress->is_due || (!progress->is_ours && step % progress->checkpoint_steps == 0));
}

// Adds what every checkpoint has to a copy of the state.
static qn_status write_checkpoint(const qn_fit_progress *progress, int64_t step, const qn_arrays *state,
                                  qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays all = {0};

  QN_TRY(qn_arrays_copy(state, "", "", &all, err));
  QN_TRY(qn_arrays_put(&all, "checkpoint_after_step", QN_INT64, 1, &step, err));
  QN_TRY(put_curve(progress, "curve_", &all, err));
  QN_TRY(qn_arrays_put_text(&all, "training", (const char *)progress->fingerprint.data, err));
  QN_TRY(qn_arrays_write(&all, CHECKPOINT_KIND, progress->checkpoint, err));

done:
  qn_arrays_release(&all);
  return status;
}

qn_status qn_fit_checkpoint(qn_fit_state *fit, int64_t step, const qn_arrays *state, qn_error *err) {
  qn_status status = QN_OK;
  qn_fit_progress *progress = fit->progress;

  if (progress->checkpoint == NULL) {
    goto done;
  }
  if (progress->fingerprint.size == 0) {
    QN_TRY(make_fingerprint(fit, err));
  }
  if (qn_comm_rank(fit->comm) == 0) {
    qn_error why = {0};
    status = progress->is_ours ? qn_folder_make_for(progress->checkpoint, &why) : QN_OK;
    status = status == QN_OK ? write_checkpoint(progress, step, state, &why) : status;
    if (status != QN_OK && progress->is_ours) { // without it only time is lost
      qn_job_tell(fit->model->job, "%s: no checkpoint: %s\n", fit->model->estimator->name, why.message);
      status = QN_OK;
    }
    QN_REQUIRE(status == QN_OK, err, status, "%s", why.message);
  }
  QN_TRY(qn_fit_restart_kept(fit, err));

done:
  return status;
}

static qn_status check_fingerprint(const qn_fit_progress *progress, const qn_arrays *kept, qn_error *err) {
  qn_status status = QN_OK;
  const char *found = qn_arrays_text(kept, "training");
  const char *wanted = (const char *)progress->fingerprint.data;
  char line_found[300];
  char line_wanted[300];

  QN_REQUIRE(found != NULL, err, QN_ERR_FORMAT, "%s: the checkpoint does not say what it was made of",
             progress->checkpoint);
  first_difference(found, wanted, line_found, line_wanted, sizeof line_found);
  QN_REQUIRE(
      strcmp(found, wanted) == 0, err, QN_ERR_ARG,
      "%s is a checkpoint of another training: it has '%s', this one '%s'; remove it to start anew, or give "
      "another path",
      progress->checkpoint, line_found, line_wanted);

done:
  return status;
}

static qn_status take_curve(const qn_arrays *kept, const char *name, qn_type type, qn_buffer *out,
                            qn_error *err) {
  qn_status status = QN_OK;
  const qn_array *array = qn_arrays_find(kept, name);

  QN_REQUIRE(array != NULL && array->type == type && array->n_dims == 1, err, QN_ERR_FORMAT,
             "the checkpoint lacks %s", name);
  if (array->dims[0] > 0) {
    QN_TRY(qn_buffer_append(out, array->data, array->dims[0] * qn_type_width(type), err));
  }

done:
  return status;
}

// Rank 0. One of ours that is of no use stays empty: the training begins anew.
static qn_status read_checkpoint(qn_fit_state *fit, qn_arrays *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_fit_progress *progress = fit->progress;
  qn_error why = {0};

  QN_TRY(qn_arrays_read(progress->checkpoint, CHECKPOINT_KIND, out, &why));
  QN_TRY(check_fingerprint(progress, out, &why));

done:
  if (status != QN_OK && progress->is_ours) {
    qn_job_tell(fit->model->job, "%s: begins anew: %s\n", fit->model->estimator->name, why.message);
    qn_arrays_release(out);
    return QN_OK;
  }
  return status == QN_OK ? QN_OK : qn_fail(err, status, "%s", why.message);
}

qn_status qn_fit_resume(qn_fit_state *fit, int64_t *step, qn_arrays *state, qn_error *err) {
  qn_status status = QN_OK;
  qn_fit_progress *progress = fit->progress;
  qn_buffer bytes = {0};
  qn_arrays kept = {0};
  const void *after = NULL;
  const int64_t one = 1;

  *step = 0;
  qn_fit_restart_steps_begin(fit);
  if (progress->checkpoint == NULL) {
    goto done;
  }
  if (progress->fingerprint.size == 0) {
    QN_TRY(make_fingerprint(fit, err));
  }
  if (qn_comm_rank(fit->comm) == 0 && qn_file_exists(progress->checkpoint)) {
    QN_TRY(read_checkpoint(fit, &kept, err));
    if (kept.n > 0) {
      QN_TRY(qn_arrays_encode(&kept, &bytes, err));
    }
    qn_arrays_release(&kept);
  }
  QN_TRY(qn_comm_broadcast(fit->comm, 0, &bytes, err));
  if (bytes.size == 0) {
    goto done;
  }
  QN_TRY(qn_arrays_decode(bytes.data, bytes.size, &kept, err));
  QN_TRY(qn_arrays_get(&kept, "checkpoint_after_step", QN_INT64, 1, &one, &after, err));
  QN_TRY(take_curve(&kept, "curve_step", QN_INT64, &progress->steps, err));
  QN_TRY(take_curve(&kept, "curve_loss", QN_FLOAT64, &progress->losses, err));
  QN_TRY(take_curve(&kept, "curve_gradient_norm", QN_FLOAT64, &progress->gradients, err));
  *step = *(const int64_t *)after;
  qn_job_tell(fit->model->job, "%s: goes on after step %lld, from %s\n", fit->model->estimator->name,
              (long long)*step, progress->checkpoint);
  qn_arrays_move(&kept, state);

done:
  progress->reported_ns = qn_clock_ns(); // what was before the steps is not in their rates
  qn_arrays_release(&kept);
  qn_buffer_release(&bytes);
  return status;
}
