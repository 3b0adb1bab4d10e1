// SPDX-License-Identifier: Apache-2.0
// Models as ONNX: one input, "input" [N, n] of plain numeric columns (metadata "columns" names them; of als
// two, "user" and "item"); feature steps that scale and shift are part of the graph. Numbers are float32
// there, so predictions agree with ours to about six digits.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "exec/job_state.h"
#include "ml/estimator.h"
#include "ml/onnx_operators.h"

// --- Features
// ------------------------------------------------------------------------------------------------------

// The columns of the dataset that the features are made of.
typedef struct raw_columns {
  const char **names;
  int n;
  int64_t *of; // [n_columns] the raw column of a feature
  double *shifts, *scales;
  bool is_plain; // features are the raw columns
} raw_columns;

static int raw_number(raw_columns *raw, const char *name) {
  int i = 0;
  while (i < raw->n && strcmp(raw->names[i], name) != 0) {
    i++;
  }
  if (i == raw->n) {
    raw->names[raw->n++] = name;
  }
  return i;
}

static qn_status find_raw(const qn_model *model, qn_arena *arena, raw_columns *out, qn_error *err) {
  qn_status status = QN_OK;
  const int n = qn_features_n_columns(model->features);

  out->names = qn_arena_alloc(arena, (int64_t)sizeof *out->names * n);
  out->of = qn_arena_alloc(arena, (int64_t)sizeof *out->of * n);
  out->shifts = qn_arena_alloc(arena, (int64_t)sizeof(double) * n);
  out->scales = qn_arena_alloc(arena, (int64_t)sizeof(double) * n);
  QN_REQUIRE(out->names != NULL && out->of != NULL && out->shifts != NULL && out->scales != NULL, err,
             QN_ERR_MEMORY, "no memory for the features of an ONNX graph");
  out->is_plain = true;
  for (int c = 0; c < n; c++) {
    qn_affine affine = {0};
    QN_REQUIRE(qn_features_affine(model->features, c, &affine), err, QN_ERR_ARG,
               "ONNX: feature '%s' is not a column that is only scaled and shifted; compute it before, as a "
               "column of the dataset",
               qn_features_name(model->features, c));
    out->of[c] = raw_number(out, affine.column);
    out->shifts[c] = affine.shift;
    out->scales[c] = affine.scale;
    out->is_plain = out->is_plain && out->of[c] == c && affine.shift == 0 && affine.scale == 1;
  }

done:
  return status;
}

// The input, and what makes features of it; *x is the name of these.
static qn_status add_features(qn_onnx_graph *graph, const qn_model *model, const char **x, char **columns,
                              qn_error *err) {
  qn_status status = QN_OK;
  raw_columns raw = {0};
  const int64_t n = qn_features_n_columns(model->features);
  const qn_onnx_attribute axis[] = {{.name = "axis", .kind = QN_ONNX_INT, .number = 1}, {.name = NULL}};

  QN_TRY(find_raw(model, &graph->arena, &raw, err));
  QN_TRY(qn_onnx_input(graph, "input", QN_ONNX_FLOAT, raw.n, err));
  *columns = qn_arena_string(&graph->arena, raw.n > 0 ? raw.names[0] : "");
  for (int i = 1; i < raw.n && *columns != NULL; i++) {
    *columns = qn_arena_printf(&graph->arena, "%s,%s", *columns, raw.names[i]);
  }
  QN_REQUIRE(*columns != NULL, err, QN_ERR_MEMORY, "no memory for the names of columns");
  *x = "input";
  if (!raw.is_plain) {
    QN_TRY(qn_onnx_ints(graph, "feature_columns", 1, &n, raw.of, err));
    QN_TRY(qn_onnx_floats(graph, "feature_shifts", 1, &n, raw.shifts, err));
    QN_TRY(qn_onnx_floats(graph, "feature_scales", 1, &n, raw.scales, err));
    QN_TRY(qn_onnx_add(graph, "Gather", false, "input feature_columns", "gathered", axis, err));
    QN_TRY(qn_onnx_add(graph, "Sub", false, "gathered feature_shifts", "shifted", NULL, err));
    QN_TRY(qn_onnx_add(graph, "Mul", false, "shifted feature_scales", "features", NULL, err));
    *x = "features";
  }

done:
  return status;
}

// --- Classes
// -------------------------------------------------------------------------------------------------------

static qn_status add_class_texts(qn_onnx_graph *graph, const qn_classes *classes, qn_error *err) {
  qn_status status = QN_OK;
  const char **texts = qn_arena_alloc(&graph->arena, (int64_t)sizeof *texts * classes->n);

  QN_REQUIRE(texts != NULL, err, QN_ERR_MEMORY, "no memory for the names of classes");
  for (int k = 0; k < classes->n; k++) {
    char *name = qn_classes_name(classes, k);
    texts[k] = name == NULL ? NULL : qn_arena_string(&graph->arena, name);
    free(name);
    QN_REQUIRE(texts[k] != NULL, err, QN_ERR_MEMORY, "no memory for the names of classes");
  }
  QN_TRY(qn_onnx_texts(graph, "classes", classes->n, texts, err));

done:
  return status;
}

// The values of the label: whole numbers as such, all others as texts.
static qn_status add_class_values(qn_onnx_graph *graph, const qn_classes *classes, qn_onnx_type *type,
                                  qn_error *err) {
  qn_status status = QN_OK;
  const qn_column *values = qn_batch_column(classes->values, 0);
  const bool is_whole = classes->type == QN_INT32 || classes->type == QN_INT64;

  *type = is_whole ? QN_ONNX_INT64 : QN_ONNX_STRING;
  if (!is_whole) {
    return add_class_texts(graph, classes, err);
  }
  const int64_t n = classes->n;
  int64_t *numbers = qn_arena_alloc(&graph->arena, (int64_t)sizeof *numbers * n);
  QN_REQUIRE(numbers != NULL, err, QN_ERR_MEMORY, "no memory for the values of classes");
  for (int64_t k = 0; k < n; k++) {
    numbers[k] = classes->type == QN_INT32 ? qn_column_int32(values, k) : qn_column_int64(values, k);
  }
  QN_TRY(qn_onnx_ints(graph, "classes", 1, &n, numbers, err));

done:
  return status;
}

qn_status qn_onnx_classes(qn_onnx_graph *graph, const qn_model *model, const char *scores, qn_error *err) {
  qn_status status = QN_OK;
  const bool has_margins = model->estimator->has_margins;
  const char *name = has_margins ? "margins" : "probabilities";
  qn_onnx_type type = QN_ONNX_STRING;
  const qn_onnx_attribute best[] = {{.name = "axis", .kind = QN_ONNX_INT, .number = 1},
                                    {.name = "keepdims", .kind = QN_ONNX_INT, .number = 0},
                                    {.name = NULL}};

  QN_TRY(add_class_values(graph, &model->classes, &type, err));
  QN_TRY(qn_onnx_add(graph, "ArgMax", false, scores, "class_number", best, err));
  QN_TRY(qn_onnx_add(graph, "Gather", false, "classes class_number", "label", NULL, err));
  QN_TRY(qn_onnx_add(graph, "Identity", false, scores, name, NULL, err));
  QN_TRY(qn_onnx_output(graph, "label", type, 0, err));
  QN_TRY(qn_onnx_output(graph, name, QN_ONNX_FLOAT, model->classes.n, err));

done:
  return status;
}

qn_status qn_onnx_link(qn_onnx_graph *graph, const qn_model *model, const char *margins, qn_error *err) {
  qn_status status = QN_OK;
  const qn_onnx_attribute axis[] = {{.name = "axis", .kind = QN_ONNX_INT, .number = 1}, {.name = NULL}};
  const bool has_margins = model->estimator->has_margins;
  const char *scores = margins;

  if (model->classes.n == 2) {
    QN_TRY(qn_onnx_add(graph, "Neg", false, margins, "against", NULL, err));
    char *both = qn_arena_printf(&graph->arena, "against %s", margins);
    QN_REQUIRE(both != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
    QN_TRY(qn_onnx_add(graph, "Concat", false, both, "both", axis, err));
    scores = "both";
  }
  if (!has_margins) {
    QN_TRY(model->classes.n == 2 ? qn_onnx_add(graph, "Sigmoid", false, scores, "linked", NULL, err)
                                 : qn_onnx_add(graph, "Softmax", false, scores, "linked", axis, err));
    scores = "linked";
  }
  QN_TRY(qn_onnx_classes(graph, model, scores, err));

done:
  return status;
}

// --- Estimators
// ----------------------------------------------------------------------------------------------------

// x times the rows of an array, plus a vector.
static qn_status add_product(qn_onnx_graph *graph, const qn_model *model, const char *x, const char *weights,
                             const char *offsets, const char *output, qn_error *err) {
  qn_status status = QN_OK;
  const qn_array *matrix = qn_arrays_find(&model->arrays, weights);
  const qn_array *vector = qn_arrays_find(&model->arrays, offsets);
  const qn_onnx_attribute transposed[] = {{.name = "transB", .kind = QN_ONNX_INT, .number = 1},
                                          {.name = NULL}};

  QN_REQUIRE(matrix != NULL && matrix->type == QN_FLOAT64 && matrix->n_dims == 2 && vector != NULL &&
                 vector->type == QN_FLOAT64 && vector->dims[0] == matrix->dims[0],
             err, QN_ERR_FORMAT, "the model lacks '%s' or '%s'", weights, offsets);
  QN_TRY(qn_onnx_floats(graph, weights, 2, matrix->dims, matrix->data, err));
  QN_TRY(qn_onnx_floats(graph, offsets, 1, vector->dims, vector->data, err));
  char *inputs = qn_arena_printf(&graph->arena, "%s %s %s", x, weights, offsets);
  QN_REQUIRE(inputs != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
  QN_TRY(qn_onnx_add(graph, "Gemm", false, inputs, output, transposed, err));

done:
  return status;
}

static qn_status add_linear(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err) {
  qn_status status = QN_OK;

  if (model->classes.n > 0) {
    QN_TRY(add_product(graph, model, x, "coefficients", "intercept", "margin", err));
    QN_TRY(qn_onnx_link(graph, model, "margin", err));
  } else {
    QN_TRY(add_product(graph, model, x, "coefficients", "intercept", "prediction", err));
    QN_TRY(qn_onnx_output(graph, "prediction", QN_ONNX_FLOAT, 1, err));
  }

done:
  return status;
}

// |c|^2/2 - xc is least for the nearest centre.
static qn_status add_kmeans(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err) {
  qn_status status = QN_OK;
  const qn_array *centres = qn_arrays_find(&model->arrays, "centres");
  const qn_onnx_attribute product[] = {{.name = "transB", .kind = QN_ONNX_INT, .number = 1}, {.name = NULL}};
  const qn_onnx_attribute along[] = {{.name = "axis", .kind = QN_ONNX_INT, .number = 1},
                                     {.name = "keepdims", .kind = QN_ONNX_INT, .number = 0},
                                     {.name = NULL}};

  QN_REQUIRE(centres != NULL && centres->type == QN_FLOAT64 && centres->n_dims == 2, err, QN_ERR_FORMAT,
             "the model lacks 'centres'");
  const int64_t k = centres->dims[0];
  double *halves = qn_arena_alloc(&graph->arena, (int64_t)sizeof *halves * k);
  int64_t *axes = qn_arena_alloc(&graph->arena, (int64_t)sizeof *axes);
  QN_REQUIRE(halves != NULL && axes != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
  for (int64_t i = 0; i < k * centres->dims[1]; i++) {
    const double value = ((const double *)centres->data)[i];
    halves[i / centres->dims[1]] -= value * value / 2;
  }
  QN_TRY(qn_onnx_floats(graph, "centres", 2, centres->dims, centres->data, err));
  QN_TRY(qn_onnx_floats(graph, "halves", 1, &k, halves, err));
  char *inputs = qn_arena_printf(&graph->arena, "%s centres halves", x);
  char *pair = qn_arena_printf(&graph->arena, "%s nearest", x);
  QN_REQUIRE(inputs != NULL && pair != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
  QN_TRY(qn_onnx_add(graph, "Gemm", false, inputs, "closeness", product, err));
  QN_TRY(qn_onnx_add(graph, "ArgMax", false, "closeness", "cluster", along, err));
  QN_TRY(qn_onnx_add(graph, "Gather", false, "centres cluster", "nearest", NULL, err));
  QN_TRY(qn_onnx_add(graph, "Sub", false, pair, "difference", NULL, err));
  *axes = 1;
  const qn_onnx_attribute over[] = {{.name = "axes", .kind = QN_ONNX_INTS, .n = 1, .numbers = axes},
                                    {.name = "keepdims", .kind = QN_ONNX_INT, .number = 0},
                                    {.name = NULL}};
  QN_TRY(qn_onnx_add(graph, "ReduceL2", false, "difference", "distance", over, err));
  QN_TRY(qn_onnx_output(graph, "cluster", QN_ONNX_INT64, 0, err));
  QN_TRY(qn_onnx_output(graph, "distance", QN_ONNX_FLOAT, 0, err));

done:
  return status;
}

// The components are scaled before, so one product does.
static qn_status add_components(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err) {
  qn_status status = QN_OK;
  const qn_array *components = qn_arrays_find(&model->arrays, "components");
  const qn_array *mean = qn_arrays_find(&model->arrays, "mean");
  const qn_array *scales = qn_arrays_find(&model->arrays, "scales");
  const char *centred = x;

  QN_REQUIRE(components != NULL && components->type == QN_FLOAT64 && components->n_dims == 2 &&
                 scales != NULL,
             err, QN_ERR_FORMAT, "the model lacks 'components' or 'scales'");
  const int64_t k = components->dims[0];
  const int64_t n = components->dims[1];
  double *turned = qn_arena_alloc(&graph->arena, (int64_t)sizeof *turned * k * n);
  QN_REQUIRE(turned != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
  for (int64_t i = 0; i < k * n; i++) {
    turned[i % n * k + i / n] = ((const double *)components->data)[i] * ((const double *)scales->data)[i / n];
  }
  const int64_t dims[] = {n, k};
  QN_TRY(qn_onnx_floats(graph, "components", 2, dims, turned, err));
  if (mean != NULL) {
    char *pair = qn_arena_printf(&graph->arena, "%s mean", x);
    QN_REQUIRE(pair != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
    QN_TRY(qn_onnx_floats(graph, "mean", 1, mean->dims, mean->data, err));
    QN_TRY(qn_onnx_add(graph, "Sub", false, pair, "centred", NULL, err));
    centred = "centred";
  }
  char *both = qn_arena_printf(&graph->arena, "%s components", centred);
  QN_REQUIRE(both != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
  QN_TRY(qn_onnx_add(graph, "MatMul", false, both, "scores", NULL, err));
  QN_TRY(qn_onnx_output(graph, "scores", QN_ONNX_FLOAT, (int)k, err));

done:
  return status;
}

// --- Which has which
// -----------------------------------------------------------------------------------------------

static const struct {
  const char *name;
  qn_status (*add)(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err);
} makers[] = {
    {"linear", add_linear},
    {"elastic_net", add_linear},
    {"logistic", add_linear},
    {"svm", add_linear},
    {"kmeans", add_kmeans},
    {"pca", add_components},
    {"svd", add_components},
    {"bayes", qn_onnx_bayes},
    {"gbdt", qn_onnx_trees},
    {"forest", qn_onnx_trees},
    {"mlp", qn_onnx_network},
    {"mixture", qn_onnx_mixture},
    {"neighbours", qn_onnx_neighbours},
    {"als", qn_onnx_ratings},
};

static qn_status export_model(const qn_model *model, const char *path, qn_error *err) {
  qn_status status = QN_OK;
  qn_onnx_graph *graph = NULL;
  const char *x = NULL;
  char *columns = NULL;
  char description[80];
  size_t i = 0;

  while (i < sizeof makers / sizeof *makers && strcmp(makers[i].name, model->estimator->name) != 0) {
    i++;
  }
  QN_REQUIRE(i < sizeof makers / sizeof *makers, err, QN_ERR_ARG, "there is no counterpart of '%s' in ONNX",
             model->estimator->name);
  QN_REQUIRE(model->estimator->task(model->options) != QN_TASK_NEIGHBOURS, err, QN_ERR_ARG,
             "%s without a label, which lists rows, has no counterpart in ONNX", model->estimator->name);
  graph = qn_memory_alloc(sizeof *graph);
  QN_REQUIRE(graph != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
  memset(graph, 0, sizeof *graph);
  if (model->estimator->loads_itself) {
    columns = qn_arena_printf(&graph->arena, "%s,%s", qn_arrays_text(&model->arrays, "user_column"),
                              qn_arrays_text(&model->arrays, "item_column"));
    QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for the names of columns");
  } else {
    QN_TRY(add_features(graph, model, &x, &columns, err));
  }
  QN_TRY(makers[i].add(graph, model, x, err));
  snprintf(description, sizeof description, "quern: %s", model->estimator->name);
  QN_TRY(qn_onnx_write(graph, description, columns, path, err));

done:
  if (graph != NULL) {
    qn_onnx_release(graph);
  }
  qn_memory_free(graph);
  return status;
}

QN_API qn_status qn_model_export_onnx(qn_model *model, const char *path) {
  qn_error err = {0};
  qn_status status = QN_OK;

  if (model == NULL) {
    return QN_ERR_ARG;
  }
  const qn_status known = qn_job_check(model->job, NULL);
  if (known != QN_OK) {
    return known;
  }
  if (path == NULL) {
    status = qn_fail(&err, QN_ERR_ARG, "there is no path to export the model to");
  } else if (qn_comm_rank(model->job->comm) == 0) {
    status = export_model(model, path, &err);
  }
  return qn_job_keep_error(model->job, qn_comm_agree(model->job->comm, status, &err), &err);
}
