// SPDX-License-Identifier: Apache-2.0
// Multilayer perceptrons: the options, the epochs, and prediction. Numbers to predict are learned at mean 0
// and variance 1; the last layer is turned back at the end.
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "ml/estimator.h"
#include "ml/fit_progress.h"
#include "ml/mlp_train.h"

enum { FEWEST_EPOCHS = 50, MOST_EPOCHS = 200, ENOUGH_STEPS = 10000 };

enum { ROWS_AT_ONCE = 1024, EXACT_LANES = 30 };

#define FIELD(name) offsetof(qn_mlp_options, name)

static const qn_setting settings[] = {
    {{"task", "classification", "what to learn: classes or numbers"},
     QN_SETTING_CHOICE,
     FIELD(task),
     .choices = "classification regression"},
    {{"layers", "100", "widths of the hidden layers, with spaces between"},
     QN_SETTING_TEXT,
     FIELD(layers),
     .min = 0},
    {{"activation", "relu", "of the hidden layers"},
     QN_SETTING_CHOICE,
     FIELD(activation),
     .choices = "relu tanh"},
    {{"descent", "adam", "how parameters follow the gradient"},
     QN_SETTING_CHOICE,
     FIELD(descent),
     .choices = "adam sgd"},
    {{"learning_rate", "0.001", "of the first epoch"},
     QN_SETTING_FLOAT64,
     FIELD(learning_rate),
     .min = 0,
     .max = 1e6},
    {{"schedule", "constant", "of the learning rate over the epochs"},
     QN_SETTING_CHOICE,
     FIELD(schedule),
     .choices = "constant cosine step"},
    {{"momentum", "0.9", "of sgd"}, QN_SETTING_FLOAT64, FIELD(momentum), .min = 0, .max = 1},
    {{"l2", "0.0001", "times half the squared weights, over the rows of a step, is added to the loss"},
     QN_SETTING_FLOAT64,
     FIELD(l2),
     .min = 0,
     .max = 1e300},
    {{"batch_rows", "256", "rows of a step, all ranks together"},
     QN_SETTING_INT64,
     FIELD(batch_rows),
     .min = 1,
     .max = 1e12},
    {{"max_epochs", "0",
      "times to go through all rows; 0: 50, and of few rows up to 200, to come to 10,000 steps"},
     QN_SETTING_INT64,
     FIELD(max_epochs),
     .min = 0,
     .max = 1e9},
    {{"early_stopping", "0", "epochs without a better loss on held-out rows after which to stop; 0: never"},
     QN_SETTING_INT64,
     FIELD(early_stopping),
     .min = 0,
     .max = 1e9},
    {{"holdout", "0.1", "share of the rows to hold out for early stopping"},
     QN_SETTING_FLOAT64,
     FIELD(holdout),
     .min = 0,
     .max = 1},
    {{0}, 0, 0, 0, 0, 0}};

// --- Before and after -----------------------------------------------------------------------------------

// Mean and standard deviation of the label.
static qn_status measure_label(qn_mlp_training *training, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = training->fit->rows;
  const double *total = NULL;
  qn_lane_sum *sum = NULL;

  training->label_mean = 0;
  training->label_scale = 1;
  if (training->options->task == QN_MLP_CLASSIFICATION) {
    return QN_OK;
  }
  QN_TRY(qn_lane_sum_new(training->fit->comm, rows, training->fit->how->exact, 1, &sum, err));
  for (int pass = 0; pass < 2; pass++) {
    for (int64_t b = 0; b < rows->n_blocks; b++) {
      qn_row_block block;
      qn_rows_block(rows, b, &block);
      double *at = qn_lane_sum_at(sum, block.lane);
      for (int64_t i = 0; i < block.n_rows; i++) {
        const double above = block.y[i] - training->label_mean;
        *at += pass == 0 ? block.y[i] : above * above;
      }
    }
    QN_TRY(qn_lane_sum_finish(sum, &total, err));
    if (pass == 0) {
      training->label_mean = *total / (double)rows->n_total;
    } else if (*total > 0) {
      training->label_scale = sqrt(*total / (double)rows->n_total);
    }
  }

done:
  qn_lane_sum_free(sum);
  return status;
}

static float *new_parameters(int64_t n) {
  float *values = qn_memory_alloc(n * (int64_t)sizeof *values);
  if (values != NULL) {
    memset(values, 0, (size_t)n * sizeof *values);
  }
  return values;
}

static qn_status begin(qn_mlp_training *training, qn_error *err) {
  qn_status status = QN_OK;
  qn_fit_state *fit = training->fit;
  const int64_t n_outputs = training->options->task == QN_MLP_CLASSIFICATION ? fit->n_classes : 1;
  const int64_t n_rows = fit->rows->n_local;

  QN_TRY(qn_mlp_net_make(training->options->layers, fit->rows->n_columns, n_outputs,
                         training->options->activation, &training->net, err));
  const int64_t n = training->n_parameters = qn_mlp_layer_start(&training->net, training->net.n_layers);
  training->parameters = new_parameters(n);
  training->gradient = new_parameters(n);
  training->moments = new_parameters(n);
  training->squares = training->options->descent == QN_ADAM ? new_parameters(n) : training->moments;
  training->best = training->options->early_stopping > 0 ? new_parameters(n) : NULL;
  QN_REQUIRE(training->parameters != NULL && training->gradient != NULL && training->moments != NULL &&
                 training->squares != NULL &&
                 (training->best != NULL || training->options->early_stopping == 0),
             err, QN_ERR_MEMORY, "mlp: no memory for %lld parameters", (long long)n);
  qn_mlp_net_start(&training->net, fit->how->seed, training->parameters);
  qn_mlp_net_point(&training->net, training->parameters);
  training->best_loss = (double)INFINITY;
  QN_TRY(qn_mlp_room_new(&training->net,
                         n_rows < 1              ? 1
                         : n_rows < ROWS_AT_ONCE ? n_rows
                                                 : ROWS_AT_ONCE,
                         true, &training->room, err));
  if (fit->how->exact) {
    QN_TRY(qn_lane_sum_new(fit->comm, fit->rows, true, n + 1, &training->sum, err));
  }
  QN_TRY(measure_label(training, err));

done:
  return status;
}

static void end(qn_mlp_training *training) {
  qn_memory_free(training->parameters);
  qn_memory_free(training->gradient);
  qn_memory_free(training->moments);
  if (training->squares != training->moments) {
    qn_memory_free(training->squares);
  }
  qn_memory_free(training->best);
  qn_mlp_room_release(&training->room);
  qn_lane_sum_free(training->sum);
}

// The parameters that are the model's; of numbers also what turns outputs back to labels.
static qn_status finish(qn_mlp_training *training, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays *arrays = &training->fit->model->arrays;
  const bool has_best = training->best != NULL && isfinite(training->best_loss);
  const double output[2] = {training->label_scale, training->label_mean};

  qn_mlp_net_point(&training->net, has_best ? training->best : training->parameters);
  QN_TRY(qn_mlp_net_put(&training->net, arrays, err));
  if (training->options->task == QN_MLP_REGRESSION) {
    QN_TRY(qn_arrays_put(arrays, "output_scale", QN_FLOAT64, 1, &output[0], err));
    QN_TRY(qn_arrays_put(arrays, "output_shift", QN_FLOAT64, 1, &output[1], err));
  }

done:
  return status;
}

// --- Checkpoints ----------------------------------------------------------------------------------------

static qn_status keep(qn_mlp_training *training, int64_t epoch, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays state = {0};
  const int64_t n = training->n_parameters;
  const int64_t counts[2] = {training->n_updates, training->n_stale};

  QN_TRY(qn_arrays_put(&state, "parameters", QN_FLOAT32, n, training->parameters, err));
  QN_TRY(qn_arrays_put(&state, "moments", QN_FLOAT32, n, training->moments, err));
  QN_TRY(qn_arrays_put(&state, "squares", QN_FLOAT32, n, training->squares, err));
  if (training->best != NULL) {
    QN_TRY(qn_arrays_put(&state, "best", QN_FLOAT32, n, training->best, err));
  }
  QN_TRY(qn_arrays_put(&state, "best_loss", QN_FLOAT64, 1, &training->best_loss, err));
  QN_TRY(qn_arrays_put(&state, "counts", QN_INT64, 2, counts, err));
  QN_TRY(qn_fit_checkpoint(training->fit, epoch, &state, err));

done:
  qn_arrays_release(&state);
  return status;
}

static qn_status take(const qn_arrays *state, const char *name, int64_t n, float *out, qn_error *err) {
  qn_status status = QN_OK;
  const void *data = NULL;
  QN_TRY(qn_arrays_get(state, name, QN_FLOAT32, 1, &n, &data, err));
  memcpy(out, data, (size_t)n * sizeof *out);

done:
  return status;
}

static qn_status go_on(qn_mlp_training *training, int64_t *epoch, qn_error *err) {
  qn_status status = QN_OK;
  qn_arrays state = {0};
  const int64_t n = training->n_parameters, one = 1, two = 2;
  const void *data = NULL;

  QN_TRY(qn_fit_resume(training->fit, epoch, &state, err));
  if (*epoch == 0) {
    goto done;
  }
  QN_TRY(take(&state, "parameters", n, training->parameters, err));
  QN_TRY(take(&state, "moments", n, training->moments, err));
  QN_TRY(take(&state, "squares", n, training->squares, err));
  if (training->best != NULL) {
    QN_TRY(take(&state, "best", n, training->best, err));
  }
  QN_TRY(qn_arrays_get(&state, "best_loss", QN_FLOAT64, 1, &one, &data, err));
  training->best_loss = *(const double *)data;
  QN_TRY(qn_arrays_get(&state, "counts", QN_INT64, 1, &two, &data, err));
  training->n_updates = ((const int64_t *)data)[0];
  training->n_stale = ((const int64_t *)data)[1];

done:
  qn_arrays_release(&state);
  return status;
}

// --- Epochs ---------------------------------------------------------------------------------------------

// A network learns by steps, of which an epoch of few rows has few.
static int64_t choose_epochs(const qn_mlp_options *options, int64_t n_rows) {
  const int64_t n_steps = n_rows / options->batch_rows + (n_rows % options->batch_rows > 0);
  const int64_t n = (ENOUGH_STEPS + n_steps - 1) / n_steps;

  return options->max_epochs > 0 ? options->max_epochs
         : n < FEWEST_EPOCHS     ? FEWEST_EPOCHS
         : n > MOST_EPOCHS       ? MOST_EPOCHS
                                 : n;
}

// `at`: epochs that are over, with the part of this one.
static double rate_at(const qn_mlp_training *training, double at) {
  const qn_mlp_options *options = training->options;
  const double part = at / (double)training->n_epochs;
  switch (options->schedule) {
  case QN_RATE_CONSTANT:
    return options->learning_rate;
  case QN_RATE_COSINE:
    return options->learning_rate * 0.5 * (1 + cos(M_PI * part));
  case QN_RATE_STEP:
    return options->learning_rate * (part < 0.5 ? 1 : part < 0.75 ? 0.1 : 0.01);
  }
  return options->learning_rate;
}

static double gradient_norm(const qn_mlp_training *training) {
  double sum = 0;
  for (int64_t i = 0; i < training->n_parameters; i++) {
    sum += (double)training->gradient[i] * (double)training->gradient[i];
  }
  return sqrt(sum);
}

static qn_status report(qn_mlp_training *training, int64_t epoch, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;
  if (training->sum == NULL) { // else it is that of all already
    QN_TRY(qn_comm_sum_float64(training->fit->comm, &training->loss, 1, err));
  }
  const double loss = training->loss / (double)(n_rows > 0 ? n_rows : 1);
  QN_REQUIRE(isfinite(loss), err, QN_ERR_VALUE,
             "mlp: the training diverges: the loss is %g in epoch %lld; a learning rate smaller than %g may "
             "help, or features on one scale: standardise(...)",
             loss, (long long)epoch, training->options->learning_rate);
  const qn_fit_report made = {.step = epoch,
                              .loss = loss,
                              .gradient_norm = gradient_norm(training),
                              .n_rows = n_rows,
                              .flops = training->flops,
                              .in_float32 = true};
  QN_TRY(qn_fit_step(training->fit, &made, err));
  QN_TRY(qn_fit_note(training->fit, "train_loss", loss, err));
  QN_TRY(qn_fit_note(training->fit, "iterations", (double)epoch, err));
  training->loss = training->flops = 0;

done:
  return status;
}

static qn_status run_epoch(qn_mlp_training *training, int64_t epoch, qn_error *err) {
  qn_status status = QN_OK;
  const qn_mlp_options *options = training->options;
  qn_mini_batches batches = {0};
  int64_t n_rows = 0;

  QN_TRY(qn_mini_batches_draw(training->fit->rows, options->batch_rows, training->fit->how->seed, epoch,
                              &batches, err));
  if (training->best != NULL) {
    QN_TRY(qn_mlp_keep_out(training, &batches, err));
  }
  for (int64_t step = 0; step < batches.n_steps; step++) {
    const double at = (double)(epoch - 1) + (double)step / (double)batches.n_steps;
    QN_TRY(qn_mlp_step(training, &batches, step, rate_at(training, at), err));
    n_rows += batches.step_rows[step];
  }
  QN_TRY(report(training, epoch, n_rows, err));

done:
  qn_mini_batches_release(&batches);
  return status;
}

static qn_status judge(qn_mlp_training *training, qn_error *err) {
  qn_status status = QN_OK;
  double loss = 0;
  if (training->best == NULL) {
    return QN_OK;
  }
  QN_TRY(qn_mlp_holdout_loss(training, &loss, err));
  if (loss < training->best_loss) {
    training->best_loss = loss;
    training->n_stale = 0;
    memcpy(training->best, training->parameters, (size_t)training->n_parameters * sizeof(float));
    QN_TRY(qn_fit_note(training->fit, "holdout_loss", loss, err));
  } else {
    training->n_stale++;
  }

done:
  return status;
}

static qn_status fit_mlp(qn_fit_state *fit, qn_error *err) {
  qn_status status = QN_OK;
  const qn_mlp_options *options = fit->options;
  qn_mlp_training training = {.fit = fit, .options = options};
  int64_t epoch = 0;

  QN_REQUIRE(fit->rows->n_total > 0, err, QN_ERR_VALUE, "mlp: there are no rows to learn from");
  training.n_epochs = choose_epochs(options, fit->rows->n_total);
  fit->progress->n_steps = training.n_epochs;
  QN_TRY(begin(&training, err));
  QN_TRY(go_on(&training, &epoch, err));
  while (epoch < training.n_epochs &&
         (options->early_stopping == 0 || training.n_stale < options->early_stopping)) {
    epoch++;
    QN_TRY(run_epoch(&training, epoch, err));
    QN_TRY(judge(&training, err));
    if (qn_fit_wants_checkpoint(fit, epoch)) {
      QN_TRY(keep(&training, epoch, err));
    }
  }
  QN_TRY(finish(&training, err));

done:
  end(&training);
  return status;
}

// --- Prediction -----------------------------------------------------------------------------------------

static void softmax(const float *outputs, int64_t n, double *out) {
  double most = (double)outputs[0];
  double sum = 0;
  for (int64_t k = 1; k < n; k++) {
    most = (double)outputs[k] > most ? (double)outputs[k] : most;
  }
  for (int64_t k = 0; k < n; k++) {
    out[k] = exp((double)outputs[k] - most);
    sum += out[k];
  }
  for (int64_t k = 0; k < n; k++) {
    out[k] /= sum;
  }
}

// From outputs of the network to those of the model.
static qn_status turn_back(const qn_model *model, const float *found, int64_t n, int64_t n_rows,
                           double *outputs, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t one = 1;
  const void *scale = NULL;
  const void *shift = NULL;

  if (((const qn_mlp_options *)model->options)->task == QN_MLP_CLASSIFICATION) {
    for (int64_t row = 0; row < n_rows; row++) {
      softmax(found + row * n, n, outputs + row * n);
    }
    return QN_OK;
  }
  QN_TRY(qn_arrays_get(&model->arrays, "output_scale", QN_FLOAT64, 1, &one, &scale, err));
  QN_TRY(qn_arrays_get(&model->arrays, "output_shift", QN_FLOAT64, 1, &one, &shift, err));
  for (int64_t row = 0; row < n_rows; row++) {
    outputs[row] = *(const double *)scale * (double)found[row] + *(const double *)shift;
  }

done:
  return status;
}

static qn_status predict(const qn_model *model, const qn_row_block *block, double *outputs, qn_error *err) {
  qn_status status = QN_OK;
  const qn_mlp_options *options = model->options;
  const bool is_class = options->task == QN_MLP_CLASSIFICATION;
  const int64_t most = block->n_rows < ROWS_AT_ONCE ? block->n_rows : ROWS_AT_ONCE;
  qn_mlp_net net = {0};
  qn_mlp_room room = {0};

  QN_TRY(qn_mlp_net_get(&model->arrays, options->activation, &net, err));
  const int64_t n = net.widths[net.n_layers];
  QN_REQUIRE(net.widths[0] == block->n_columns && n == (is_class ? model->classes.n : 1), err, QN_ERR_FORMAT,
             "mlp: the model takes %lld columns and gives %lld outputs, but %d and %d are wanted; was it "
             "damaged?",
             (long long)net.widths[0], (long long)n, block->n_columns, is_class ? model->classes.n : 1);
  QN_TRY(qn_mlp_room_new(&net, most, false, &room, err));
  for (int64_t first = 0; first < block->n_rows; first += most) {
    const int64_t n_rows = block->n_rows - first < most ? block->n_rows - first : most;
    const double *x = block->x + first * block->n_columns;
    for (int64_t i = 0; i < n_rows * block->n_columns; i++) {
      room.values[0][i] = (float)x[i];
    }
    qn_mlp_forward(&net, &room, n_rows);
    QN_TRY(turn_back(model, room.values[net.n_layers], n, n_rows, outputs + first * n, err));
  }

done:
  qn_mlp_room_release(&room);
  return status;
}

static qn_task task(const void *options) {
  return ((const qn_mlp_options *)options)->task == QN_MLP_CLASSIFICATION ? QN_TASK_CLASS : QN_TASK_NUMBER;
}

const qn_estimator qn_estimator_mlp = {.name = "mlp",
                                       .summary = "multilayer perceptron, for classes or numbers",
                                       .settings = settings,
                                       .options_size = sizeof(qn_mlp_options),
                                       .needs_label = true,
                                       .exact_lanes = EXACT_LANES,
                                       .task = task,
                                       .fit = fit_mlp,
                                       .predict = predict};

qn_mlp_options qn_mlp_defaults(void) {
  qn_mlp_options options;
  qn_settings_defaults(&qn_estimator_mlp, &options);
  return options;
}

qn_model *qn_fit_mlp(qn_dataset *data, const qn_training *how, const qn_mlp_options *options) {
  return qn_fit_estimator(data, &qn_estimator_mlp, how, options);
}
