// SPDX-License-Identifier: Apache-2.0
// A network of dense layers in float32: its shape, its parameters, and rows through it. Layer l has weights
// [widths[l + 1], widths[l]] and as many biases as outputs; they lie one behind the other in one vector.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/train.h>
#include "store/arrays.h"

enum { QN_MLP_MAX_LAYERS = 16 };

typedef struct qn_mlp_net {
  int n_layers; // with the output layer
  int64_t widths[QN_MLP_MAX_LAYERS + 1];
  qn_activation activation; // of all but the output layer
  const float *weights[QN_MLP_MAX_LAYERS];
  const float *biases[QN_MLP_MAX_LAYERS];
} qn_mlp_net;

/// Local. The shape: `layers` are the widths of the hidden ones, as text. QN_ERR_ARG.
qn_status qn_mlp_net_make(const char *layers, int64_t n_columns, int64_t n_outputs, qn_activation activation,
                          qn_mlp_net *out, qn_error *err);
/// Parameters of one layer, and where they begin.
static inline int64_t qn_mlp_layer_size(const qn_mlp_net *net, int layer) {
  return net->widths[layer + 1] * (net->widths[layer] + 1);
}
int64_t qn_mlp_layer_start(const qn_mlp_net *net, int layer);
/// Lets the net take its weights from a vector of parameters.
void qn_mlp_net_point(qn_mlp_net *net, const float *parameters);
/// First parameters, drawn from the seed by number: weights and biases of a layer uniform within the bound of
/// Glorot and Bengio, 2010, as scikit-learn has them. (The larger one of He et al., 2015, for relu begins
/// with outputs so large that the first epoch goes into undoing them.)
void qn_mlp_net_start(const qn_mlp_net *net, uint64_t seed, float *parameters);
/// As arrays "weights_0", "bias_0", ... of a model, and back: then the net points into the arrays.
qn_status qn_mlp_net_put(const qn_mlp_net *net, qn_arrays *arrays, qn_error *err);
qn_status qn_mlp_net_get(const qn_arrays *arrays, qn_activation activation, qn_mlp_net *out, qn_error *err);

/// Memory for rows on their way: values[l] has what layer l takes, values[n_layers] the outputs; deltas are
/// the derivatives by what the layers give before their activation.
typedef struct qn_mlp_room {
  int64_t capacity; // rows
  float *values[QN_MLP_MAX_LAYERS + 1];
  float *deltas[QN_MLP_MAX_LAYERS + 1]; // [0] unused
} qn_mlp_room;
qn_status qn_mlp_room_new(const qn_mlp_net *net, int64_t n_rows, bool has_deltas, qn_mlp_room *out,
                          qn_error *err);
void qn_mlp_room_release(qn_mlp_room *room);

/// From values[0], n_rows rows, to values[n_layers]. The last layer has no activation.
void qn_mlp_forward(const qn_mlp_net *net, const qn_mlp_room *room, int64_t n_rows);
/// From deltas[layer + 1]: the gradient of this layer's parameters, added to `gradient` if `adds`, and
/// deltas[layer] if there is a layer below.
void qn_mlp_backward(const qn_mlp_net *net, const qn_mlp_room *room, int64_t n_rows, int layer, bool adds,
                     float *gradient);
