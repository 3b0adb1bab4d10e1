// SPDX-License-Identifier: Apache-2.0
// Networks and naive Bayes as ONNX.
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "ml/estimator.h"
#include "ml/mlp_net.h"
#include "ml/onnx_operators.h"

static qn_status get(const qn_model *model, const char *name, int n_dims, const int64_t *dims,
                     const double **out, qn_error *err) {
  const void *data = NULL;
  const qn_status status = qn_arrays_get(&model->arrays, name, QN_FLOAT64, n_dims, dims, &data, err);
  *out = data;
  return status;
}

// Least that float32 takes as a number: of a class without rows.
static double bounded(double value) {
  return value < -1e30 ? -1e30 : value;
}

// The joint logarithm of class k is constant + sum_j (a x^2 + b x), x less the mean of the classes' means.
static qn_status add_gaussian(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_classes = model->classes.n;
  const int64_t n = qn_features_n_columns(model->features);
  const int64_t shape[] = {n_classes, n};
  const int64_t turned[] = {n, n_classes};
  const double *means = NULL;
  const double *variances = NULL;
  const double *priors = NULL;
  double *room = qn_arena_alloc(&graph->arena, 8 * (2 * n * n_classes + n + n_classes));

  QN_REQUIRE(room != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
  QN_TRY(get(model, "means", 2, shape, &means, err));
  QN_TRY(get(model, "variances", 2, shape, &variances, err));
  QN_TRY(get(model, "log_priors", 1, &n_classes, &priors, err));
  double *squares = room;
  double *products = squares + n * n_classes;
  double *centre = products + n * n_classes;
  double *constants = centre + n;
  for (int64_t i = 0; i < n * n_classes; i++) {
    centre[i % n] += means[i] / (double)n_classes;
  }
  for (int64_t k = 0; k < n_classes; k++) {
    constants[k] = bounded(priors[k]);
    for (int64_t j = 0; j < n; j++) {
      const double variance = variances[k * n + j];
      const double mean = means[k * n + j] - centre[j];
      squares[j * n_classes + k] = -0.5 / variance;
      products[j * n_classes + k] = mean / variance;
      constants[k] -= 0.5 * (log(2 * M_PI * variance) + mean * mean / variance);
    }
  }
  QN_TRY(qn_onnx_floats(graph, "centre", 1, &n, centre, err));
  QN_TRY(qn_onnx_floats(graph, "of_squares", 2, turned, squares, err));
  QN_TRY(qn_onnx_floats(graph, "of_values", 2, turned, products, err));
  QN_TRY(qn_onnx_floats(graph, "constants", 1, &n_classes, constants, err));
  char *pair = qn_arena_printf(&graph->arena, "%s centre", x);
  QN_REQUIRE(pair != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
  QN_TRY(qn_onnx_add(graph, "Sub", false, pair, "centred", NULL, err));
  QN_TRY(qn_onnx_add(graph, "Mul", false, "centred centred", "squared", NULL, err));
  QN_TRY(qn_onnx_add(graph, "MatMul", false, "squared of_squares", "from_squares", NULL, err));
  QN_TRY(qn_onnx_add(graph, "Gemm", false, "centred of_values constants", "from_values", NULL, err));
  QN_TRY(qn_onnx_add(graph, "Add", false, "from_squares from_values", "joint", NULL, err));

done:
  return status;
}

static qn_status add_counts(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_classes = model->classes.n;
  const int64_t shape[] = {n_classes, qn_features_n_columns(model->features)};
  const double *coefficients = NULL;
  const double *intercept = NULL;
  const double zero = 0;
  const char *truths = x;
  const qn_onnx_attribute transposed[] = {{.name = "transB", .kind = QN_ONNX_INT, .number = 1},
                                          {.name = NULL}};
  const qn_onnx_attribute to[] = {{.name = "to", .kind = QN_ONNX_INT, .number = QN_ONNX_FLOAT},
                                  {.name = NULL}};

  QN_TRY(get(model, "coefficients", 2, shape, &coefficients, err));
  QN_TRY(get(model, "intercept", 1, &n_classes, &intercept, err));
  double *bounds = qn_arena_alloc(&graph->arena, 8 * n_classes);
  QN_REQUIRE(bounds != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
  for (int64_t k = 0; k < n_classes; k++) {
    bounds[k] = bounded(intercept[k]);
  }
  if (((const qn_bayes_options *)model->options)->kind == QN_BAYES_BERNOULLI) {
    char *pair = qn_arena_printf(&graph->arena, "%s zero", x);
    QN_REQUIRE(pair != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
    QN_TRY(qn_onnx_floats(graph, "zero", 0, NULL, &zero, err));
    QN_TRY(qn_onnx_add(graph, "Greater", false, pair, "is_positive", NULL, err));
    QN_TRY(qn_onnx_add(graph, "Cast", false, "is_positive", "truths", to, err));
    truths = "truths";
  }
  QN_TRY(qn_onnx_floats(graph, "coefficients", 2, shape, coefficients, err));
  QN_TRY(qn_onnx_floats(graph, "intercept", 1, &n_classes, bounds, err));
  char *inputs = qn_arena_printf(&graph->arena, "%s coefficients intercept", truths);
  QN_REQUIRE(inputs != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
  QN_TRY(qn_onnx_add(graph, "Gemm", false, inputs, "joint", transposed, err));

done:
  return status;
}

qn_status qn_onnx_bayes(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err) {
  qn_status status = QN_OK;
  const qn_bayes_options *options = model->options;
  const qn_onnx_attribute axis[] = {{.name = "axis", .kind = QN_ONNX_INT, .number = 1}, {.name = NULL}};

  QN_TRY(options->kind == QN_BAYES_GAUSSIAN ? add_gaussian(graph, model, x, err)
                                            : add_counts(graph, model, x, err));
  QN_TRY(qn_onnx_add(graph, "Softmax", false, "joint", "shares", axis, err));
  QN_TRY(qn_onnx_classes(graph, model, "shares", err));

done:
  return status;
}

// float32 as what constants are made of.
static qn_status add_floats(qn_onnx_graph *graph, const char *name, int n_dims, const int64_t *dims,
                            const float *values, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = n_dims == 1 ? dims[0] : dims[0] * dims[1];
  double *copy = qn_arena_alloc(&graph->arena, n * (int64_t)sizeof *copy);

  QN_REQUIRE(copy != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
  for (int64_t i = 0; i < n; i++) {
    copy[i] = (double)values[i];
  }
  QN_TRY(qn_onnx_floats(graph, name, n_dims, dims, copy, err));

done:
  return status;
}

// One layer: a product, and the activation of all but the last. *x is its output then.
static qn_status add_layer(qn_onnx_graph *graph, const qn_mlp_net *net, int layer, const char *output,
                           const char **x, qn_error *err) {
  qn_status status = QN_OK;
  const bool is_last = layer + 1 == net->n_layers;
  const int64_t shape[] = {net->widths[layer + 1], net->widths[layer]};
  const qn_onnx_attribute transposed[] = {{.name = "transB", .kind = QN_ONNX_INT, .number = 1},
                                          {.name = NULL}};
  char *weights = qn_arena_printf(&graph->arena, "weights_%d", layer);
  char *bias = qn_arena_printf(&graph->arena, "bias_%d", layer);
  char *sum = qn_arena_printf(&graph->arena, "sum_%d", layer);
  char *bent = qn_arena_printf(&graph->arena, "layer_%d", layer);
  char *inputs = qn_arena_printf(&graph->arena, "%s weights_%d bias_%d", *x, layer, layer);

  QN_REQUIRE(weights != NULL && bias != NULL && sum != NULL && bent != NULL && inputs != NULL, err,
             QN_ERR_MEMORY, "no memory for an ONNX graph");
  QN_TRY(add_floats(graph, weights, 2, shape, net->weights[layer], err));
  QN_TRY(add_floats(graph, bias, 1, shape, net->biases[layer], err));
  QN_TRY(qn_onnx_add(graph, "Gemm", false, inputs, is_last ? output : sum, transposed, err));
  if (!is_last) {
    QN_TRY(qn_onnx_add(graph, net->activation == QN_RELU ? "Relu" : "Tanh", false, sum, bent, NULL, err));
  }
  *x = is_last ? output : bent;

done:
  return status;
}

// Numbers were learned with deviation 1 and mean 0.
static qn_status add_scale(qn_onnx_graph *graph, const qn_model *model, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t one = 1;
  const void *scale = NULL;
  const void *shift = NULL;

  QN_TRY(qn_arrays_get(&model->arrays, "output_scale", QN_FLOAT64, 1, &one, &scale, err));
  QN_TRY(qn_arrays_get(&model->arrays, "output_shift", QN_FLOAT64, 1, &one, &shift, err));
  QN_TRY(qn_onnx_floats(graph, "output_scale", 1, &one, scale, err));
  QN_TRY(qn_onnx_floats(graph, "output_shift", 1, &one, shift, err));
  QN_TRY(qn_onnx_add(graph, "Mul", false, "margin output_scale", "scaled", NULL, err));
  QN_TRY(qn_onnx_add(graph, "Add", false, "scaled output_shift", "prediction", NULL, err));
  QN_TRY(qn_onnx_output(graph, "prediction", QN_ONNX_FLOAT, 1, err));

done:
  return status;
}

qn_status qn_onnx_network(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err) {
  qn_status status = QN_OK;
  const qn_mlp_options *options = model->options;
  const bool has_classes = model->classes.n > 0;
  qn_mlp_net net = {0};

  QN_TRY(qn_mlp_net_get(&model->arrays, options->activation, &net, err));
  for (int l = 0; l < net.n_layers; l++) {
    QN_TRY(add_layer(graph, &net, l, "margin", &x, err));
  }
  if (has_classes) {
    QN_TRY(qn_onnx_link(graph, model, "margin", err));
  } else {
    QN_TRY(add_scale(graph, model, err));
  }

done:
  return status;
}
