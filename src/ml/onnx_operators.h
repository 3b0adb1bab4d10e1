// SPDX-License-Identifier: Apache-2.0
// How estimators look as ONNX. Each takes the features as tensor `x` [N, n_columns].
#pragma once
#include "ml/model_state.h"
#include "ml/onnx_graph.h"

/// Outputs "label" and "probabilities" from a tensor [N, n_classes] of probabilities, or of margins.
qn_status qn_onnx_classes(qn_onnx_graph *graph, const qn_model *model, const char *scores, qn_error *err);
/// The same from a tensor [N, 1], the margin of the second class, or [N, n_classes], put through a sigmoid or
/// softmax.
qn_status qn_onnx_link(qn_onnx_graph *graph, const qn_model *model, const char *margins, qn_error *err);
qn_status qn_onnx_bayes(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err);
/// Outputs of a network, through softmax for classes.
qn_status qn_onnx_network(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err);
/// Outputs "probabilities" and "cluster".
qn_status qn_onnx_mixture(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err);
/// The training rows are part of the graph.
qn_status qn_onnx_neighbours(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err);
/// Of als: inputs "user" and "item" [N], by value; output "prediction" [N], NaN where either is not known.
/// `x` is not used.
qn_status qn_onnx_ratings(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err);
qn_status qn_onnx_trees(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err);
