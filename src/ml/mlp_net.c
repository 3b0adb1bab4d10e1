// SPDX-License-Identifier: Apache-2.0
// Dense layers by products of matrices; everything else of a layer is done in one pass over its values.
#include "ml/mlp_net.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "ml/thin_products.h"
#include "ml/wide.h"

enum { MOST_WIDTH = 1 << 20 };

qn_status qn_mlp_net_make(const char *layers, int64_t n_columns, int64_t n_outputs, qn_activation activation,
                          qn_mlp_net *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_mlp_net net = {.activation = activation, .widths = {n_columns}};
  const char *at = layers != NULL ? layers : "";

  for (at += strspn(at, " ,"); *at != '\0'; at += strspn(at, " ,")) {
    char *end = NULL;
    const long long width = strtoll(at, &end, 10);
    QN_REQUIRE(
        end != at && width >= 1 && width <= MOST_WIDTH, err, QN_ERR_ARG,
        "mlp: layers \"%s\": the widths of the hidden layers are whole numbers from 1 to %d, as in \"512 "
        "256\"",
        layers, MOST_WIDTH);
    QN_REQUIRE(net.n_layers < QN_MLP_MAX_LAYERS - 1, err, QN_ERR_ARG,
               "mlp: layers \"%s\": at most %d hidden layers", layers, QN_MLP_MAX_LAYERS - 1);
    net.widths[++net.n_layers] = width;
    at = end;
  }
  net.widths[++net.n_layers] = n_outputs;
  *out = net;

done:
  return status;
}

int64_t qn_mlp_layer_start(const qn_mlp_net *net, int layer) {
  int64_t start = 0;
  for (int l = 0; l < layer; l++) {
    start += qn_mlp_layer_size(net, l);
  }
  return start;
}

void qn_mlp_net_point(qn_mlp_net *net, const float *parameters) {
  for (int l = 0; l < net->n_layers; l++) {
    net->weights[l] = parameters + qn_mlp_layer_start(net, l);
    net->biases[l] = net->weights[l] + net->widths[l] * net->widths[l + 1];
  }
}

void qn_mlp_net_start(const qn_mlp_net *net, uint64_t seed, float *parameters) {
  for (int l = 0; l < net->n_layers; l++) {
    const double bound = sqrt(6 / (double)(net->widths[l] + net->widths[l + 1]));
    const uint64_t key = qn_hash_combine(qn_hash_mix(seed), (uint64_t)l);
    float *own = parameters + qn_mlp_layer_start(net, l);
    for (int64_t i = 0; i < qn_mlp_layer_size(net, l); i++) {
      const double number = qn_hash_to_unit(qn_hash_combine(key, (uint64_t)i));
      own[i] = (float)(bound * (2 * number - 1));
    }
  }
}

qn_status qn_mlp_net_put(const qn_mlp_net *net, qn_arrays *arrays, qn_error *err) {
  qn_status status = QN_OK;
  char name[32];
  for (int l = 0; l < net->n_layers; l++) {
    snprintf(name, sizeof name, "weights_%d", l);
    QN_TRY(qn_arrays_put_matrix(arrays, name, QN_FLOAT32, net->widths[l + 1], net->widths[l], net->weights[l],
                                err));
    snprintf(name, sizeof name, "bias_%d", l);
    QN_TRY(qn_arrays_put(arrays, name, QN_FLOAT32, net->widths[l + 1], net->biases[l], err));
  }

done:
  return status;
}

qn_status qn_mlp_net_get(const qn_arrays *arrays, qn_activation activation, qn_mlp_net *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_mlp_net net = {.activation = activation};
  char name[32];

  for (int l = 0; l < QN_MLP_MAX_LAYERS; l++) {
    snprintf(name, sizeof name, "weights_%d", l);
    const qn_array *weights = qn_arrays_find(arrays, name);
    if (weights == NULL && l > 0) {
      break;
    }
    const int64_t shape[2] = {-1, l == 0 ? -1 : net.widths[l]};
    const void *data = NULL;
    QN_TRY(qn_arrays_get(arrays, name, QN_FLOAT32, 2, shape, &data, err));
    QN_REQUIRE(weights != NULL, err, QN_ERR_FORMAT, "the model lacks the weights of layer %d", l);
    net.weights[l] = data;
    net.widths[l] = weights->dims[1];
    net.widths[l + 1] = weights->dims[0];
    snprintf(name, sizeof name, "bias_%d", l);
    QN_TRY(qn_arrays_get(arrays, name, QN_FLOAT32, 1, &net.widths[l + 1], &data, err));
    net.biases[l] = data;
    net.n_layers++;
  }
  *out = net;

done:
  return status;
}

qn_status qn_mlp_room_new(const qn_mlp_net *net, int64_t n_rows, bool has_deltas, qn_mlp_room *out,
                          qn_error *err) {
  qn_status status = QN_OK;
  qn_mlp_room room = {.capacity = n_rows};

  for (int l = 0; l <= net->n_layers; l++) {
    const int64_t n_bytes = n_rows * net->widths[l] * (int64_t)sizeof(float);
    room.values[l] = qn_memory_alloc(n_bytes);
    room.deltas[l] = has_deltas && l > 0 ? qn_memory_alloc(n_bytes) : NULL;
    QN_REQUIRE(room.values[l] != NULL && (room.deltas[l] != NULL || !has_deltas || l == 0), err,
               QN_ERR_MEMORY, "mlp: no memory for %" PRId64 " rows of %" PRId64 " values", n_rows,
               net->widths[l]);
  }
  *out = room;
  room = (qn_mlp_room){0};

done:
  qn_mlp_room_release(&room);
  return status;
}

void qn_mlp_room_release(qn_mlp_room *room) {
  for (int l = 0; l <= QN_MLP_MAX_LAYERS; l++) {
    qn_memory_free(room->values[l]);
    qn_memory_free(room->deltas[l]);
  }
  *room = (qn_mlp_room){0};
}

// --- The passes -----------------------------------------------------------------------------------------

QN_WIDE static void add_bias(float *values, const float *biases, int64_t n_rows, int64_t width) {
  for (int64_t row = 0; row < n_rows; row++) {
    float *restrict at = values + row * width;
    for (int64_t i = 0; i < width; i++) {
      at[i] += biases[i];
    }
  }
}

QN_WIDE static void add_bias_and_rectify(float *values, const float *biases, int64_t n_rows, int64_t width) {
  for (int64_t row = 0; row < n_rows; row++) {
    float *restrict at = values + row * width;
    for (int64_t i = 0; i < width; i++) {
      const float sum = at[i] + biases[i];
      at[i] = sum < 0 ? 0 : sum; // NaN stays
    }
  }
}

// tanh(x) = 1 - 2 / (exp(2 x) + 1) to some 1e-7, without a branch, so that a compiler can do several at once.
// exp by its series around the nearest multiple of ln 2; the power of 2 goes into the exponent's bits.
static inline float hyperbolic_tangent(float x) {
  const float doubled = x > 10 ? 20 : x < -10 ? -20 : 2 * x;
  const float nearest = (doubled * 1.44269504f + 12582912.0f) - 12582912.0f; // to a whole number
  const float rest = (doubled - nearest * 0.693359375f) + nearest * 2.12194440e-4f;
  float series = 1.0f / 5040;
  series = series * rest + 1.0f / 720;
  series = series * rest + 1.0f / 120;
  series = series * rest + 1.0f / 24;
  series = series * rest + 1.0f / 6;
  series = series * rest + 0.5f;
  series = series * rest + 1;
  series = series * rest + 1;
  const int32_t bits = ((int32_t)nearest + 127) << 23;
  float power = 0;
  memcpy(&power, &bits, sizeof power);
  const float result = 1 - 2 / (series * power + 1);
  return x == x ? result : x;
}

QN_WIDE static void add_bias_and_bend(float *values, const float *biases, int64_t n_rows, int64_t width) {
  for (int64_t row = 0; row < n_rows; row++) {
    float *restrict at = values + row * width;
    for (int64_t i = 0; i < width; i++) {
      at[i] = hyperbolic_tangent(at[i] + biases[i]);
    }
  }
}

void qn_mlp_forward(const qn_mlp_net *net, const qn_mlp_room *room, int64_t n_rows) {
  for (int l = 0; l < net->n_layers; l++) {
    const int64_t n_in = net->widths[l];
    const int64_t n_out = net->widths[l + 1];
    float *out = room->values[l + 1];
    qn_thin_multiply(&(qn_thin_product){.n_rows = n_rows,
                                        .n_columns = n_out,
                                        .n_terms = n_in,
                                        .a = room->values[l],
                                        .b = net->weights[l],
                                        .b_is_transposed = true,
                                        .c = out});
    if (l + 1 == net->n_layers) {
      add_bias(out, net->biases[l], n_rows, n_out);
    } else if (net->activation == QN_RELU) {
      add_bias_and_rectify(out, net->biases[l], n_rows, n_out);
    } else {
      add_bias_and_bend(out, net->biases[l], n_rows, n_out);
    }
  }
}

QN_WIDE static void sum_columns(const float *values, int64_t n_rows, int64_t width, bool adds, float *sums) {
  if (!adds) {
    memset(sums, 0, (size_t)width * sizeof *sums);
  }
  for (int64_t row = 0; row < n_rows; row++) {
    const float *restrict at = values + row * width;
    for (int64_t i = 0; i < width; i++) {
      sums[i] += at[i];
    }
  }
}

QN_WIDE static void through_activation(qn_activation activation, const float *values, int64_t n,
                                       float *deltas) {
  if (activation == QN_RELU) {
    for (int64_t i = 0; i < n; i++) {
      deltas[i] = values[i] > 0 ? deltas[i] : 0;
    }
  } else {
    for (int64_t i = 0; i < n; i++) {
      deltas[i] *= 1 - values[i] * values[i];
    }
  }
}

void qn_mlp_backward(const qn_mlp_net *net, const qn_mlp_room *room, int64_t n_rows, int layer, bool adds,
                     float *gradient) {
  const int64_t n_in = net->widths[layer];
  const int64_t n_out = net->widths[layer + 1];
  const float *deltas = room->deltas[layer + 1];

  qn_thin_multiply(&(qn_thin_product){.n_rows = n_out,
                                      .n_columns = n_in,
                                      .n_terms = n_rows,
                                      .a = deltas,
                                      .a_is_transposed = true,
                                      .b = room->values[layer],
                                      .c = gradient,
                                      .adds = adds});
  sum_columns(deltas, n_rows, n_out, adds, gradient + n_in * n_out);
  if (layer > 0) {
    qn_thin_multiply(&(qn_thin_product){.n_rows = n_rows,
                                        .n_columns = n_in,
                                        .n_terms = n_out,
                                        .a = deltas,
                                        .b = net->weights[layer],
                                        .c = room->deltas[layer]});
    through_activation(net->activation, room->values[layer], n_rows * n_in, room->deltas[layer]);
  }
}
