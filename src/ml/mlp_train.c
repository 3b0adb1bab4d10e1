// SPDX-License-Identifier: Apache-2.0
// A step of training. A rank takes all its rows of the step at once (some hundred at a time if they are
// many); the gradient of a layer is on its way to the other ranks while those below are computed, and
// parameters of a layer are renewed while gradients of others are still on their way. In exact mode each lane
// computes its own gradient, and these are added as a fixed tree.
#include "ml/mlp_train.h"
#include <math.h>
#include <string.h>
#include "base/check.h"

static void copy_row(const qn_rows *rows, int64_t position, float *out) {
  const int n_columns = rows->n_columns;
  if (rows->is_float32) {
    memcpy(out, rows->x32 + position * n_columns, (size_t)n_columns * sizeof *out);
    return;
  }
  const double *restrict x = rows->x + position * n_columns;
  for (int c = 0; c < n_columns; c++) {
    out[c] = (float)x[c];
  }
}

void qn_mlp_gather(const qn_mlp_training *training, const int64_t *positions, int64_t n_rows) {
  const qn_rows *rows = training->fit->rows;
  for (int64_t i = 0; i < n_rows; i++) {
    copy_row(rows, positions[i], training->room.values[0] + i * rows->n_columns);
  }
}

// Minus the logarithm of the probability of class y; the derivatives by the outputs, times `scale`.
static double class_loss(const float *outputs, int64_t n, int64_t y, double scale, float *deltas) {
  float most = outputs[0];
  for (int64_t k = 1; k < n; k++) {
    most = outputs[k] > most ? outputs[k] : most;
  }
  double sum = 0;
  for (int64_t k = 0; k < n; k++) {
    const float power = expf(outputs[k] - most);
    sum += (double)power;
    deltas[k] = power;
  }
  const float factor = (float)(scale / sum);
  for (int64_t k = 0; k < n; k++) {
    deltas[k] *= factor;
  }
  deltas[y] -= (float)scale;
  return log(sum) - (double)(outputs[y] - most);
}

double qn_mlp_losses(const qn_mlp_training *training, const int64_t *positions, int64_t n_rows,
                     double scale) {
  const qn_rows *rows = training->fit->rows;
  const int n_layers = training->net.n_layers;
  const int64_t n = training->net.widths[n_layers];
  const float *outputs = training->room.values[n_layers];
  float *deltas = training->room.deltas[n_layers];
  const double weight_scale = rows->w == NULL ? 1 : (double)rows->n_total / rows->total_weight; // of mean 1
  double sum = 0;

  for (int64_t i = 0; i < n_rows; i++) {
    const double y = rows->y[positions[i]];
    const double weight = rows->w == NULL ? 1 : rows->w[positions[i]] * weight_scale;
    if (training->options->task == QN_MLP_CLASSIFICATION) {
      sum += weight * class_loss(outputs + i * n, n, (int64_t)y, scale * weight, deltas + i * n);
    } else {
      const double error = (double)outputs[i] - (y - training->label_mean) / training->label_scale;
      sum += weight * error * error;
      deltas[i] = (float)(scale * weight * error);
    }
  }
  return sum;
}

// The gradient of some rows' mean loss, layer by layer from the last. With `sums` the sum over ranks of each
// layer's gradient is started as soon as it is there.
static qn_status go_through(qn_mlp_training *training, const int64_t *positions, int64_t n_rows, double scale,
                            qn_comm_sum **sums, qn_error *err) {
  qn_status status = QN_OK;
  qn_mlp_net *net = &training->net;
  const int64_t capacity = training->room.capacity;
  int64_t first = 0;

  if (n_rows == 0) {
    memset(training->gradient, 0, (size_t)training->n_parameters * sizeof *training->gradient);
  }
  do {
    const int64_t n = n_rows - first < capacity ? n_rows - first : capacity;
    const bool is_last = first + n == n_rows;
    if (n > 0) {
      qn_mlp_gather(training, positions + first, n);
      qn_mlp_forward(net, &training->room, n);
      training->loss += qn_mlp_losses(training, positions + first, n, scale);
    }
    for (int l = net->n_layers - 1; l >= 0; l--) {
      float *gradient = training->gradient + qn_mlp_layer_start(net, l);
      if (n > 0) {
        qn_mlp_backward(net, &training->room, n, l, first > 0, gradient);
      }
      if (is_last && sums != NULL) {
        QN_TRY(qn_comm_sum_start(training->fit->comm, QN_FLOAT32, gradient, qn_mlp_layer_size(net, l),
                                 &sums[l], err));
        QN_TRY(qn_comm_poll(training->fit->comm, err));
      }
      training->flops += (l > 0 ? 6.0 : 4.0) * (double)(n * net->widths[l] * net->widths[l + 1]);
    }
    first += n;
  } while (first < n_rows);

done:
  return status;
}

static void renew_part(qn_mlp_training *training, int64_t first, int64_t n, float decay, double rate) {
  const qn_mlp_options *options = training->options;
  float *parameters = training->parameters + first;
  float *moments = training->moments + first;
  const float *gradient = training->gradient + first;
  if (options->descent == QN_ADAM) {
    const double t = (double)training->n_updates;
    const double corrected = rate * sqrt(1 - pow(0.999, t)) / (1 - pow(0.9, t));
    qn_mlp_adam(n, decay, (float)corrected, gradient, moments, training->squares + first, parameters);
  } else {
    qn_mlp_momentum(n, decay, (float)rate, (float)options->momentum, gradient, moments, parameters);
  }
}

// Weights are drawn to 0 by l2, biases are not.
static void renew_layer(qn_mlp_training *training, int layer, double rate, int64_t n_rows) {
  const qn_mlp_net *net = &training->net;
  const int64_t start = qn_mlp_layer_start(net, layer);
  const int64_t n_weights = net->widths[layer] * net->widths[layer + 1];
  const float decay = (float)(training->options->l2 / (double)n_rows);
  renew_part(training, start, n_weights, decay, rate);
  renew_part(training, start + n_weights, net->widths[layer + 1], 0, rate);
}

static qn_status step_at_once(qn_mlp_training *training, const qn_mini_batches *batches, int64_t step,
                              double rate, qn_error *err) {
  qn_status status = QN_OK;
  qn_comm_sum *sums[QN_MLP_MAX_LAYERS] = {NULL};
  const int64_t first = batches->step_starts[step];
  const int64_t n_rows = batches->step_starts[step + 1] - first;
  const int64_t n_all = batches->step_rows[step];

  QN_TRY(go_through(training, batches->positions + first, n_rows, 1.0 / (double)n_all, sums, err));
  for (int l = training->net.n_layers - 1; l >= 0; l--) {
    qn_comm_sum *sum = sums[l];
    sums[l] = NULL;
    QN_TRY(qn_comm_sum_finish(sum, err));
    renew_layer(training, l, rate, n_all);
  }

done:
  for (int l = 0; l < QN_MLP_MAX_LAYERS; l++) {
    if (sums[l] != NULL) {
      qn_comm_sum_finish(sums[l], NULL);
    }
  }
  return status;
}

static qn_status step_by_lanes(qn_mlp_training *training, const qn_mini_batches *batches, int64_t step,
                               double rate, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = training->fit->rows;
  const int n_lanes = rows->end_lane - rows->first_lane;
  const int64_t n_parameters = training->n_parameters;
  const int64_t n_all = batches->step_rows[step];
  const double loss_before = training->loss;
  const double *total = NULL;
  int64_t first = batches->step_starts[step];

  for (int i = 0; i < n_lanes; i++) {
    const int64_t end = batches->lane_ends[step * n_lanes + i];
    if (end > first) {
      training->loss = 0;
      QN_TRY(go_through(training, batches->positions + first, end - first, 1.0 / (double)n_all, NULL, err));
      double *sum = qn_lane_sum_at(training->sum, rows->first_lane + i);
      for (int64_t p = 0; p < n_parameters; p++) {
        sum[p] += (double)training->gradient[p];
      }
      sum[n_parameters] += training->loss;
      QN_TRY(qn_comm_poll(training->fit->comm, err));
    }
    first = end;
  }
  QN_TRY(qn_lane_sum_finish(training->sum, &total, err));
  for (int64_t p = 0; p < n_parameters; p++) {
    training->gradient[p] = (float)total[p];
  }
  training->loss = loss_before + total[n_parameters];
  for (int l = 0; l < training->net.n_layers; l++) {
    renew_layer(training, l, rate, n_all);
  }

done:
  return status;
}

qn_status qn_mlp_step(qn_mlp_training *training, const qn_mini_batches *batches, int64_t step, double rate,
                      qn_error *err) {
  if (batches->step_rows[step] == 0) { // all held out
    return QN_OK;
  }
  training->n_updates++;
  return training->sum != NULL ? step_by_lanes(training, batches, step, rate, err)
                               : step_at_once(training, batches, step, rate, err);
}
