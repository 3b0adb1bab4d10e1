// SPDX-License-Identifier: Apache-2.0
// Ranks must decide alike about checkpoints, though their clocks differ: what each has seen is brought
// together, but only every so many steps, as many as take about half a second.
#include "ml/fit_restart.h"

#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/stop.h"
#include "ml/estimator.h"

static const int64_t LOOK_NS = 500000000;
static const int64_t KEEP_NS = 30000000000; // between checkpoints that nobody asked for
// What a disk takes in a second, to judge whether a model is worth keeping.
static const double BYTES_PER_SECOND = 200e6;

void qn_fit_restart_start(qn_fit_state *fit, bool is_silent) {
  qn_fit_progress *progress = fit->progress;
  qn_job *job = fit->model->job;

  progress->looked_ns = progress->kept_ns = qn_clock_ns();
  progress->next_look = 1;
  if (is_silent) {
    return;
  }
  progress->checkpoint = fit->how->checkpoint;
  if (progress->checkpoint == NULL) {
    progress->checkpoint = qn_restart_checkpoint_path(job, ".part.h5");
    progress->is_ours = progress->checkpoint != NULL;
  }
}

void qn_fit_restart_steps_begin(qn_fit_state *fit) {
  qn_comm_heed_stop(fit->model->job->comm, fit->progress->checkpoint == NULL);
}

void qn_fit_restart_steps_end(qn_fit_state *fit) {
  qn_comm_heed_stop(fit->model->job->comm, true);
}

qn_status qn_fit_restart_step(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  qn_fit_progress *progress = fit->progress;

  if (progress->checkpoint == NULL || ++progress->n_done < progress->next_look) {
    goto done;
  }
  const int64_t now = qn_clock_ns();
  int64_t seen[3] = {qn_stop_is_wanted(), now - progress->looked_ns, now - progress->kept_ns};
  QN_TRY(qn_comm_reduce_int64(fit->comm, QN_MAX, seen, 3, err));
  progress->is_stopping = seen[0] != 0;
  progress->is_due = progress->is_due || seen[0] != 0 || seen[2] >= KEEP_NS;
  const int64_t n_steps = progress->n_done - progress->looked_step;
  const int64_t wanted = LOOK_NS / (seen[1] / n_steps + 1) + 1;
  progress->next_look = progress->n_done + (wanted < 2 * n_steps ? wanted : 2 * n_steps);
  progress->looked_step = progress->n_done;
  progress->looked_ns = now;

done:
  return status;
}

qn_status qn_fit_restart_kept(qn_fit_state *fit, qn_error *err) {
  fit->progress->is_due = false;
  fit->progress->kept_ns = qn_clock_ns();
  if (!fit->progress->is_stopping) {
    return QN_OK;
  }
  const char *reason = qn_stop_reason();
  return qn_fail(err, QN_ERR_INTERRUPTED, "asked to stop by %s", reason != NULL ? reason : "another rank");
}

static uint64_t add_text(uint64_t hash, const char *text) {
  return qn_hash_combine(hash, text == NULL ? 0 : qn_hash_bytes(text, (int64_t)strlen(text), 1));
}

static qn_status hash_training(const qn_estimator *estimator, const qn_training *how, const void *options,
                               uint64_t *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer text = {0};

  QN_TRY(qn_settings_print(estimator, options, &text, err));
  QN_TRY(qn_buffer_terminate(&text, err));
  uint64_t hash = add_text(0, estimator->name);
  hash = add_text(hash, (const char *)text.data);
  hash = add_text(hash, how->label);
  hash = add_text(hash, how->features);
  hash = add_text(hash, how->weight);
  hash = qn_hash_combine(hash, how->seed);
  *out = qn_hash_combine(hash, (uint64_t)how->float32 << 1 | (uint64_t)how->exact);

done:
  qn_buffer_release(&text);
  return status;
}

qn_status qn_fit_restart_look(qn_dataset *data, const qn_estimator *estimator, const qn_training *how,
                              const void *options, qn_restart_action *action, qn_model **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_job *job = data->plan->job;
  bool is_done = false;

  *action = (qn_restart_action){.dataset = data, .product = qn_restart_checkpoint_path(job, ".h5")};
  if (job->restart != NULL) {
    QN_TRY(qn_comm_agree(job->comm, hash_training(estimator, how, options, &action->options, err), err));
  }
  QN_TRY(qn_restart_look(job, action, &is_done, err));
  if (is_done) {
    *out = qn_model_load(job, action->product);
    status = *out == NULL ? qn_job_check(job, err) : QN_OK;
    if (*out != NULL) {
      (*out)->identity = action->fingerprint;
    }
  }

done:
  return status;
}

static double bytes_of(const qn_arrays *arrays) {
  double bytes = 0;
  for (int i = 0; i < arrays->n; i++) {
    bytes += (double)qn_array_n_values(&arrays->items[i]) * qn_type_width(arrays->items[i].type);
  }
  return bytes;
}

void qn_fit_restart_finish(qn_model *model, qn_restart_action *action) {
  qn_error err = {0};
  qn_job *job = model->job;

  model->identity = action->fingerprint;
  if (qn_comm_rank(job->comm) != 0 || action->product == NULL || job->action.depth != 1) {
    return;
  }
  const double seconds = model->load_seconds + model->fit_seconds;
  const double bytes = bytes_of(&model->arrays);
  const bool is_cheap = bytes < BYTES_PER_SECOND || bytes / BYTES_PER_SECOND < seconds / 4;
  if (is_cheap) {
    if (qn_folder_make_for(action->product, &err) == QN_OK &&
        qn_model_write(model, action->product, &err) == QN_OK) {
      qn_restart_note(job, action);
    } else {
      qn_job_tell(job, "%s: the model is not kept for a restart: %s\n", job->name, err.message);
    }
  }
  const char *part = qn_restart_checkpoint_path(job, ".part.h5");
  if (part != NULL) {
    unlink(part); // there is no more to go on with
  }
}
