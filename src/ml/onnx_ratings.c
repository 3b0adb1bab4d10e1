// SPDX-License-Identifier: Apache-2.0
// A recommender's prediction of pairs as ONNX: users and items by value, [N] each, become numbers, and these
// choose factors and offsets. A last row of NaN stands for values that were not there in training.
#include <math.h>

#include "base/check.h"
#include "ml/als_values.h"
#include "ml/onnx_operators.h"

static qn_status no_memory(qn_error *err) {
  return qn_fail(err, QN_ERR_MEMORY, "no memory for an ONNX graph");
}

// The attributes that turn values of a column into their numbers.
static qn_status add_encoder(qn_onnx_graph *graph, const qn_als_values *values, const char *input,
                             const char *output, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n = values->n;
  const bool is_text = values->type == QN_UTF8;
  int64_t *numbers = qn_arena_alloc(&graph->arena, (int64_t)sizeof *numbers * (n + 1));
  int64_t *keys = qn_arena_alloc(&graph->arena, (int64_t)sizeof *keys * (n + 1));
  const char **texts = qn_arena_alloc(&graph->arena, (int64_t)sizeof *texts * (n + 1));

  if (numbers == NULL || keys == NULL || texts == NULL) {
    return no_memory(err);
  }
  for (int64_t i = 0; i < n; i++) {
    numbers[i] = i;
    if (is_text) {
      const qn_text text = qn_column_text(&values->column, i);
      texts[i] = qn_arena_printf(&graph->arena, "%.*s", (int)text.size, text.data);
      QN_REQUIRE(texts[i] != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX graph");
    } else {
      keys[i] = values->type == QN_INT32 ? qn_column_int32(&values->column, i)
                                         : qn_column_int64(&values->column, i);
    }
  }
  const qn_onnx_attribute of_texts = {.name = "keys_strings", .kind = QN_ONNX_TEXTS, .n = n, .texts = texts};
  const qn_onnx_attribute of_numbers = {.name = "keys_int64s", .kind = QN_ONNX_INTS, .n = n, .numbers = keys};
  const qn_onnx_attribute attributes[] = {
      is_text ? of_texts : of_numbers,
      {.name = "values_int64s", .kind = QN_ONNX_INTS, .n = n, .numbers = numbers},
      {.name = "default_int64", .kind = QN_ONNX_INT, .number = n},
      {.name = NULL}};
  QN_TRY(qn_onnx_add(graph, "LabelEncoder", true, input, output, attributes, err));

done:
  return status;
}

// A constant [n + 1, width], or [n + 1] with width 0: what was learned, and NaN behind it.
static qn_status add_table(qn_onnx_graph *graph, const qn_model *model, const char *name, int64_t n,
                           int64_t width, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_values = width > 0 ? width : 1;
  const int64_t shape[] = {n, width};
  const int64_t dims[] = {n + 1, width};
  const void *data = NULL;
  double *values = qn_arena_alloc(&graph->arena, 8 * (n + 1) * n_values);

  if (values == NULL) {
    return no_memory(err);
  }
  QN_TRY(qn_arrays_get(&model->arrays, name, width > 0 ? QN_FLOAT32 : QN_FLOAT64, width > 0 ? 2 : 1, shape,
                       &data, err));
  for (int64_t i = 0; i < (n + 1) * n_values; i++) {
    values[i] = i >= n * n_values ? NAN
                : width > 0       ? (double)((const float *)data)[i]
                                  : ((const double *)data)[i];
  }
  QN_TRY(qn_onnx_floats(graph, name, width > 0 ? 2 : 1, dims, values, err));

done:
  return status;
}

// What is chosen for a side, "user" or "item": "p_<side>" [N, k] and "b_<side>" [N].
static qn_status add_side(qn_onnx_graph *graph, const qn_model *model, const char *side, int64_t k,
                          qn_error *err) {
  qn_status status = QN_OK;
  qn_als_values values = {0};
  qn_arena *arena = &graph->arena;
  const char *number = qn_arena_printf(arena, "%s_number", side);
  const char *factors = qn_arena_printf(arena, "%s_factors", side);
  const char *offsets = qn_arena_printf(arena, "%s_offsets", side);
  const char *factor_inputs = qn_arena_printf(arena, "%s_factors %s_number", side, side);
  const char *offset_inputs = qn_arena_printf(arena, "%s_offsets %s_number", side, side);
  const char *p = qn_arena_printf(arena, "p_%s", side);
  const char *b = qn_arena_printf(arena, "b_%s", side);

  if (number == NULL || factors == NULL || offsets == NULL || factor_inputs == NULL ||
      offset_inputs == NULL || p == NULL || b == NULL) {
    return no_memory(err);
  }
  QN_TRY(qn_als_values_get(&model->arrays, side, &values, err));
  QN_TRY(qn_onnx_input(graph, side, values.type == QN_UTF8 ? QN_ONNX_STRING : QN_ONNX_INT64, 0, err));
  QN_TRY(add_encoder(graph, &values, side, number, err));
  QN_TRY(add_table(graph, model, factors, values.n, k, err));
  QN_TRY(add_table(graph, model, offsets, values.n, 0, err));
  QN_TRY(qn_onnx_add(graph, "Gather", false, factor_inputs, p, NULL, err));
  QN_TRY(qn_onnx_add(graph, "Gather", false, offset_inputs, b, NULL, err));

done:
  qn_als_values_release(&values);
  return status;
}

qn_status qn_onnx_ratings(qn_onnx_graph *graph, const qn_model *model, const char *x, qn_error *err) {
  qn_status status = QN_OK;
  const qn_array *factors = qn_arrays_find(&model->arrays, "user_factors");
  const int64_t one = 1;
  const void *mean = NULL;
  const qn_onnx_attribute flat[] = {{.name = "keepdims", .kind = QN_ONNX_INT, .number = 0}, {.name = NULL}};
  (void)x;

  QN_REQUIRE(factors != NULL && factors->n_dims == 2, err, QN_ERR_FORMAT, "the model lacks 'user_factors'");
  QN_TRY(qn_arrays_get(&model->arrays, "mean", QN_FLOAT64, 1, &one, &mean, err));
  QN_TRY(add_side(graph, model, "user", factors->dims[1], err));
  QN_TRY(add_side(graph, model, "item", factors->dims[1], err));
  QN_TRY(qn_onnx_floats(graph, "mean", 0, NULL, mean, err));
  QN_TRY(qn_onnx_ints(graph, "along_factors", 1, &one, &one, err));
  QN_TRY(qn_onnx_add(graph, "Mul", false, "p_user p_item", "products", NULL, err));
  QN_TRY(qn_onnx_add(graph, "ReduceSum", false, "products along_factors", "product", flat, err));
  QN_TRY(qn_onnx_add(graph, "Add", false, "b_user b_item", "both_offsets", NULL, err));
  QN_TRY(qn_onnx_add(graph, "Add", false, "both_offsets mean", "start", NULL, err));
  QN_TRY(qn_onnx_add(graph, "Add", false, "start product", "prediction", NULL, err));
  QN_TRY(qn_onnx_output(graph, "prediction", QN_ONNX_FLOAT, 0, err));

done:
  return status;
}
