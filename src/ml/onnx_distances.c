// SPDX-License-Identifier: Apache-2.0
// Mixtures and nearest neighbours as ONNX: both are distances to points, of which products of matrices make
// all at once. Numbers are taken from a point in their middle first, so that float32 has digits enough.
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "ml/estimator.h"
#include "ml/mixture.h"
#include "ml/onnx_operators.h"

static const qn_onnx_attribute last_axis[] = {{.name = "axis", .kind = QN_ONNX_INT, .number = 1},
                                              {.name = NULL}};

static qn_status get(const qn_model *model, const char *name, int n_dims, const int64_t *dims,
                     const double **out, qn_error *err) {
  const void *data = NULL;
  const qn_status status = qn_arrays_get(&model->arrays, name, QN_FLOAT64, n_dims, dims, &data, err);
  *out = data;
  return status;
}

// "x name" as the inputs of an operator.
static qn_status add_pair(qn_onnx_graph *graph, const char *op, const char *x, const char *name,
                          const char *output, qn_error *err) {
  const char *inputs = qn_arena_printf(&graph->arena, "%s %s", x, name);
  return inputs == NULL ? qn_fail(err, QN_ERR_MEMORY, "no memory for an ONNX graph")
                        : qn_onnx_add(graph, op, false, inputs, output, NULL, err);
}

// --- Mixtures
// ------------------------------------------------------------------------------------------------------

// What a row is multiplied with, to have as squared length its distance from component c in its measure.
static void measure_of(const qn_mixture *mixture, int64_t c, int64_t j, int64_t n, double *column) {
  for (int64_t i = 0; i < n; i++) {
    column[i] = mixture->is_full ? mixture->factors[c * mixture->size + j * n + i]
                : i == j         ? 1 / sqrt(mixture->covariances[c * n + j])
                                 : 0;
  }
}

// The logarithm of component c is offset - |(x - mean) factor'|^2 / 2: one product for all components, whose
// squares another one adds up.
static qn_status add_densities(qn_onnx_graph *graph, const qn_mixture *mixture, const char *x,
                               qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = mixture->n_columns;
  const int64_t k = mixture->k;
  const int64_t factor_dims[] = {n, n * k};
  const int64_t sum_dims[] = {n * k, k};
  double *factors = qn_arena_alloc(&graph->arena, 8 * n * n * k);
  double *sums = qn_arena_alloc(&graph->arena, 8 * n * k * k);
  double *shifts = qn_arena_alloc(&graph->arena, 8 * n * k);
  double *room = qn_arena_alloc(&graph->arena, 8 * (n + k));

  QN_REQUIRE(factors != NULL && sums != NULL && shifts != NULL && room != NULL, err, QN_ERR_MEMORY,
             "no memory for an ONNX graph");
  for (int64_t c = 0; c < k; c++) {
    room[n + c] = mixture->offsets[c];
    for (int64_t j = 0; j < n; j++) {
      measure_of(mixture, c, j, n, room);
      sums[(c * n + j) * k + c] = -0.5;
      for (int64_t i = 0; i < n; i++) {
        factors[i * n * k + c * n + j] = room[i];
        shifts[c * n + j] -= room[i] * (mixture->means[c * n + i] - mixture->origin[i]);
      }
    }
  }
  QN_TRY(qn_onnx_floats(graph, "origin", 1, &n, mixture->origin, err));
  QN_TRY(qn_onnx_floats(graph, "factors", 2, factor_dims, factors, err));
  QN_TRY(qn_onnx_floats(graph, "shifts", 1, &sum_dims[0], shifts, err));
  QN_TRY(qn_onnx_floats(graph, "sums", 2, sum_dims, sums, err));
  QN_TRY(qn_onnx_floats(graph, "offsets", 1, &k, room + n, err));
  QN_TRY(add_pair(graph, "Sub", x, "origin", "centred", err));
  QN_TRY(qn_onnx_add(graph, "Gemm", false, "centred factors shifts", "white", NULL, err));
  QN_TRY(qn_onnx_add(graph, "Mul", false, "white white", "squares", NULL, err));
  QN_TRY(qn_onnx_add(graph, "Gemm", false, "squares sums offsets", "logarithms", NULL, err));

done:
  return status;
}

static qn_status take_mixture(const qn_model *model, qn_mixture *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_mixture_options *options = model->options;
  const int64_t n = qn_features_n_columns(model->features);
  const int64_t k = qn_model_n_outputs(model);
  const bool is_full = options->covariance == QN_COVARIANCE_FULL;
  const int64_t means_dims[] = {k, n};
  const int64_t dims[] = {k, is_full ? n * n : n};
  const double *weights = NULL;
  const double *means = NULL;
  const double *covariances = NULL;

  QN_TRY(get(model, "weights", 1, &k, &weights, err));
  QN_TRY(get(model, "means", 2, means_dims, &means, err));
  QN_TRY(get(model, "covariances", 2, dims, &covariances, err));
  QN_TRY(qn_mixture_init(out, k, (int)n, is_full, 1, means, err));
  memcpy(out->weights, weights, (size_t)k * sizeof *weights);
  memcpy(out->means, means, (size_t)(k * n) * sizeof *means);
  memcpy(out->covariances, covariances, (size_t)(k * dims[1]) * sizeof *covariances);
  memset(out->origin, 0, (size_t)n * sizeof *means);
  for (int64_t i = 0; i < k * n; i++) {
    out->origin[i % n] += weights[i / n] * means[i];
  }
  QN_TRY(qn_mixture_prepare(out, err));
  for (int64_t i = 0; i < k * n && !is_full; i++) { // there the mean is taken off beforehand
    const double mean = means[i] - out->origin[i % n];
    out->offsets[i / n] += 0.5 * mean * mean / covariances[i];
  }

done:
  return status;
}

qn_status qn_onnx_mixture(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err) {
  qn_status status = QN_OK;
  qn_mixture mixture = {0};
  const qn_onnx_attribute best[] = {{.name = "axis", .kind = QN_ONNX_INT, .number = 1},
                                    {.name = "keepdims", .kind = QN_ONNX_INT, .number = 0},
                                    {.name = NULL}};

  QN_TRY(take_mixture(model, &mixture, err));
  QN_TRY(add_densities(graph, &mixture, x, err));
  QN_TRY(qn_onnx_add(graph, "Softmax", false, "logarithms", "probabilities", last_axis, err));
  QN_TRY(qn_onnx_add(graph, "ArgMax", false, "logarithms", "cluster", best, err));
  QN_TRY(qn_onnx_output(graph, "probabilities", QN_ONNX_FLOAT, (int)mixture.k, err));
  QN_TRY(qn_onnx_output(graph, "cluster", QN_ONNX_INT64, 0, err));

done:
  qn_mixture_release(&mixture);
  return status;
}

// --- Neighbours
// ----------------------------------------------------------------------------------------------------

// "nearest" [N, k], the numbers of rows: those of least |r|^2 - 2 z r, all less the rows' mean.
static qn_status add_nearest(qn_onnx_graph *graph, const qn_model *model, const char *x, int64_t *n_rows,
                             qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = qn_features_n_columns(model->features);
  const int64_t k = ((const qn_neighbours_options *)model->options)->k;
  const int64_t shape[] = {-1, n};
  const int64_t one = 1;
  const double minus_two = -2;
  const double *rows = NULL;
  const double *mean = NULL;
  const qn_onnx_attribute transposed[] = {{.name = "transB", .kind = QN_ONNX_INT, .number = 1},
                                          {.name = NULL}};
  const qn_onnx_attribute least[] = {{.name = "axis", .kind = QN_ONNX_INT, .number = 1},
                                     {.name = "largest", .kind = QN_ONNX_INT, .number = 0},
                                     {.name = NULL}};

  QN_TRY(get(model, "rows", 2, shape, &rows, err));
  QN_TRY(get(model, "mean", 1, &n, &mean, err));
  const int64_t dims[] = {qn_arrays_find(&model->arrays, "rows")->dims[0], n};
  double *centred = qn_arena_alloc(&graph->arena, 8 * dims[0] * n);
  double *norms = qn_arena_alloc(&graph->arena, 8 * dims[0]);
  QN_REQUIRE(centred != NULL && norms != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
  for (int64_t i = 0; i < dims[0] * n; i++) {
    centred[i] = rows[i] - mean[i % n];
    norms[i / n] += centred[i] * centred[i];
  }
  QN_TRY(qn_onnx_floats(graph, "mean", 1, &n, mean, err));
  QN_TRY(qn_onnx_floats(graph, "rows", 2, dims, centred, err));
  QN_TRY(qn_onnx_floats(graph, "norms", 1, dims, norms, err));
  QN_TRY(qn_onnx_floats(graph, "minus_two", 0, NULL, &minus_two, err));
  QN_TRY(qn_onnx_ints(graph, "k", 1, &one, &k, err));
  QN_TRY(add_pair(graph, "Sub", x, "mean", "centred", err));
  QN_TRY(qn_onnx_add(graph, "Mul", false, "centred minus_two", "doubled", NULL, err));
  QN_TRY(qn_onnx_add(graph, "Gemm", false, "doubled rows norms", "distances", transposed, err));
  QN_TRY(qn_onnx_add(graph, "TopK", false, "distances k", "nearest_distances nearest", least, err));
  *n_rows = dims[0];

done:
  return status;
}

// "counts" [N, k]: 1 over the distance, taken directly. That of a row which lies on the query itself is so
// large that no other counts beside it.
static qn_status add_closeness(qn_onnx_graph *graph, qn_error *err) {
  qn_status status = QN_OK;
  const double least = 1e-18;
  const double one = 1;
  const int64_t first = 1;
  const int64_t n_axes = 1;
  int64_t *axes = qn_arena_alloc(&graph->arena, (int64_t)sizeof *axes);

  QN_REQUIRE(axes != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
  *axes = 2;
  const qn_onnx_attribute over[] = {{.name = "axes", .kind = QN_ONNX_INTS, .n = 1, .numbers = axes},
                                    {.name = "keepdims", .kind = QN_ONNX_INT, .number = 0},
                                    {.name = NULL}};
  QN_TRY(qn_onnx_floats(graph, "least", 0, NULL, &least, err));
  QN_TRY(qn_onnx_floats(graph, "one", 0, NULL, &one, err));
  QN_TRY(qn_onnx_ints(graph, "first", 1, &n_axes, &first, err));
  QN_TRY(qn_onnx_add(graph, "Gather", false, "rows nearest", "neighbours", NULL, err));
  QN_TRY(qn_onnx_add(graph, "Unsqueeze", false, "centred first", "queries", NULL, err));
  QN_TRY(qn_onnx_add(graph, "Sub", false, "neighbours queries", "differences", NULL, err));
  QN_TRY(qn_onnx_add(graph, "ReduceL2", false, "differences", "lengths", over, err));
  QN_TRY(qn_onnx_add(graph, "Max", false, "lengths least", "bounded", NULL, err));
  QN_TRY(qn_onnx_add(graph, "Div", false, "one bounded", "closeness", NULL, err));

done:
  return status;
}

// "counts" [N, k, 1]: how much each neighbour counts.
static qn_status add_counts(qn_onnx_graph *graph, const qn_model *model, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;
  const bool by_distance = ((const qn_neighbours_options *)model->options)->weights_by_distance;
  const double *weights = NULL;
  const int64_t last = 2;
  const int64_t n_axes = 1;
  double *ones = qn_arena_alloc(&graph->arena, 8 * n_rows);

  QN_REQUIRE(ones != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
  for (int64_t i = 0; i < n_rows; i++) {
    ones[i] = 1;
  }
  if (qn_arrays_find(&model->arrays, "row_weights") != NULL) {
    QN_TRY(get(model, "row_weights", 1, &n_rows, &weights, err));
  }
  QN_TRY(qn_onnx_floats(graph, "row_weights", 1, &n_rows, weights == NULL ? ones : weights, err));
  QN_TRY(qn_onnx_ints(graph, "last", 1, &n_axes, &last, err));
  QN_TRY(qn_onnx_add(graph, "Gather", false, "row_weights nearest", "own_weights", NULL, err));
  if (by_distance) {
    QN_TRY(add_closeness(graph, err));
    QN_TRY(qn_onnx_add(graph, "Mul", false, "own_weights closeness", "flat_counts", NULL, err));
  }
  QN_TRY(qn_onnx_add(graph, "Unsqueeze", false, by_distance ? "flat_counts last" : "own_weights last",
                     "counts", NULL, err));

done:
  return status;
}

// Labels of the training rows, [n_rows, width]: numbers, or a column a class.
static qn_status add_labels(qn_onnx_graph *graph, const qn_model *model, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t width = model->classes.n > 0 ? model->classes.n : 1;
  const int64_t dims[] = {n_rows, width};
  const double *labels = NULL;
  double *values = qn_arena_alloc(&graph->arena, 8 * n_rows * width);

  QN_REQUIRE(values != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
  QN_TRY(get(model, "labels", 1, &n_rows, &labels, err));
  for (int64_t i = 0; i < n_rows; i++) {
    if (model->classes.n == 0) {
      values[i] = labels[i];
    } else if (labels[i] >= 0 && labels[i] < (double)width) {
      values[i * width + (int64_t)labels[i]] = 1;
    }
  }
  QN_TRY(qn_onnx_floats(graph, "labels", 2, dims, values, err));

done:
  return status;
}

qn_status qn_onnx_neighbours(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t first = 1;
  const int64_t n_axes = 1;
  int64_t n_rows = 0;
  const qn_onnx_attribute flat[] = {{.name = "keepdims", .kind = QN_ONNX_INT, .number = 0}, {.name = NULL}};

  QN_TRY(add_nearest(graph, model, x, &n_rows, err));
  QN_TRY(add_counts(graph, model, n_rows, err));
  QN_TRY(add_labels(graph, model, n_rows, err));
  QN_TRY(qn_onnx_ints(graph, "over_neighbours", 1, &n_axes, &first, err));
  QN_TRY(qn_onnx_add(graph, "Gather", false, "labels nearest", "their_labels", NULL, err));
  QN_TRY(qn_onnx_add(graph, "Mul", false, "their_labels counts", "votes", NULL, err));
  QN_TRY(qn_onnx_add(graph, "ReduceSum", false, "votes over_neighbours", "vote_sums", flat, err));
  QN_TRY(qn_onnx_add(graph, "ReduceSum", false, "counts over_neighbours", "count_sums", flat, err));
  if (model->classes.n > 0) {
    QN_TRY(qn_onnx_add(graph, "Div", false, "vote_sums count_sums", "shares", NULL, err));
    QN_TRY(qn_onnx_classes(graph, model, "shares", err));
  } else {
    QN_TRY(qn_onnx_add(graph, "Div", false, "vote_sums count_sums", "prediction", NULL, err));
    QN_TRY(qn_onnx_output(graph, "prediction", QN_ONNX_FLOAT, 1, err));
  }

done:
  return status;
}
