// SPDX-License-Identifier: Apache-2.0
// A graph of ONNX operators in the making.
#include "ml/onnx_graph.h"

#include <onnx.pb-c.h>
#include <string.h>

#include "base/check.h"
#include "base/files.h"
#include "base/memory.h"

enum { IR_VERSION = 8, OPSET = 13, ML_OPSET = 3 };

static const char ml_domain[] = "ai.onnx.ml";

static qn_status take(qn_onnx_graph *graph, int64_t size, void **out, qn_error *err) {
  *out = qn_arena_alloc(&graph->arena, size > 0 ? size : 1);
  return *out != NULL ? QN_OK : qn_fail(err, QN_ERR_MEMORY, "no memory for an ONNX graph");
}

static qn_status copy_text(qn_onnx_graph *graph, const char *text, char **out, qn_error *err) {
  *out = qn_arena_string(&graph->arena, text);
  return *out != NULL ? QN_OK : qn_fail(err, QN_ERR_MEMORY, "no memory for an ONNX graph");
}

static qn_status make_room(int n, int capacity, qn_error *err) {
  return n < capacity
             ? QN_OK
             : qn_fail(err, QN_ERR_ARG, "the model is too large for ONNX: more than %d operators", capacity);
}

static ProtobufCBinaryData bytes_of(const char *text) {
  return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

// --- Operators
// -----------------------------------------------------------------------------------------------------

static qn_status set_texts(qn_onnx_graph *graph, const qn_onnx_attribute *from, Onnx__AttributeProto *to,
                           qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(take(graph, (int64_t)sizeof *to->strings * from->n, (void **)&to->strings, err));
  for (int64_t i = 0; i < from->n; i++) {
    to->strings[i] = bytes_of(from->texts[i]);
  }
  to->n_strings = (size_t)from->n;

done:
  return status;
}

static qn_status make_attribute(qn_onnx_graph *graph, const qn_onnx_attribute *from,
                                Onnx__AttributeProto **out, qn_error *err) {
  qn_status status = QN_OK;
  Onnx__AttributeProto *to = NULL;

  QN_TRY(take(graph, sizeof *to, (void **)&to, err));
  onnx__attribute_proto__init(to);
  QN_TRY(copy_text(graph, from->name, &to->name, err));
  to->has_type = 1;
  switch (from->kind) {
  case QN_ONNX_INT:
    to->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    to->has_i = 1;
    to->i = from->number;
    break;
  case QN_ONNX_INTS:
    to->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
    to->n_ints = (size_t)from->n;
    to->ints = from->numbers;
    break;
  case QN_ONNX_FLOATS:
    to->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS;
    to->n_floats = (size_t)from->n;
    to->floats = from->floats;
    break;
  case QN_ONNX_TEXT:
    to->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
    to->has_s = 1;
    to->s = bytes_of(from->text);
    break;
  case QN_ONNX_TEXTS:
    to->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS;
    QN_TRY(set_texts(graph, from, to, err));
    break;
  }
  *out = to;

done:
  return status;
}

static qn_status set_attributes(qn_onnx_graph *graph, const qn_onnx_attribute *attributes,
                                Onnx__NodeProto *node, qn_error *err) {
  qn_status status = QN_OK;
  size_t n = 0;

  while (attributes != NULL && attributes[n].name != NULL) {
    n++;
  }
  QN_TRY(take(graph, (int64_t)(sizeof *node->attribute * n), (void **)&node->attribute, err));
  for (size_t i = 0; i < n; i++) {
    QN_TRY(make_attribute(graph, &attributes[i], &node->attribute[i], err));
  }
  node->n_attribute = n;

done:
  return status;
}

// The words of a text.
static qn_status take_words(qn_onnx_graph *graph, const char *text, char ***out, size_t *n, qn_error *err) {
  qn_status status = QN_OK;
  char *words = NULL;
  char *rest = NULL;

  QN_TRY(copy_text(graph, text, &words, err));
  QN_TRY(take(graph, (int64_t)(sizeof(char *) * (strlen(text) + 1)), (void **)out, err));
  for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
    (*out)[(*n)++] = word;
  }

done:
  return status;
}

qn_status qn_onnx_add(qn_onnx_graph *graph, const char *op, bool is_ml, const char *inputs,
                      const char *outputs, const qn_onnx_attribute *attributes, qn_error *err) {
  qn_status status = QN_OK;
  Onnx__NodeProto *node = NULL;

  QN_TRY(make_room(graph->n_nodes, QN_ONNX_MAX_NODES, err));
  QN_TRY(take(graph, sizeof *node, (void **)&node, err));
  onnx__node_proto__init(node);
  QN_TRY(copy_text(graph, op, &node->op_type, err));
  QN_TRY(take_words(graph, outputs, &node->output, &node->n_output, err));
  node->name = node->output[0];
  if (is_ml) {
    QN_TRY(copy_text(graph, ml_domain, &node->domain, err));
  }
  QN_TRY(take_words(graph, inputs, &node->input, &node->n_input, err));
  QN_TRY(set_attributes(graph, attributes, node, err));
  graph->nodes[graph->n_nodes++] = node;

done:
  return status;
}

// --- Constants
// -----------------------------------------------------------------------------------------------------

static qn_status add_tensor(qn_onnx_graph *graph, const char *name, qn_onnx_type type, int n_dims,
                            const int64_t *dims, Onnx__TensorProto **out, int64_t *n_values, qn_error *err) {
  qn_status status = QN_OK;
  Onnx__TensorProto *tensor = NULL;

  QN_TRY(make_room(graph->n_tensors, QN_ONNX_MAX_NODES, err));
  QN_TRY(take(graph, sizeof *tensor, (void **)&tensor, err));
  onnx__tensor_proto__init(tensor);
  QN_TRY(copy_text(graph, name, &tensor->name, err));
  QN_TRY(take(graph, (int64_t)sizeof *dims * n_dims, (void **)&tensor->dims, err));
  *n_values = 1;
  for (int d = 0; d < n_dims; d++) {
    tensor->dims[d] = dims[d];
    *n_values *= dims[d];
  }
  tensor->n_dims = (size_t)n_dims;
  tensor->has_data_type = 1;
  tensor->data_type = type;
  graph->tensors[graph->n_tensors++] = tensor;
  *out = tensor;

done:
  return status;
}

qn_status qn_onnx_floats(qn_onnx_graph *graph, const char *name, int n_dims, const int64_t *dims,
                         const double *values, qn_error *err) {
  qn_status status = QN_OK;
  Onnx__TensorProto *tensor = NULL;
  int64_t n = 0;

  QN_TRY(add_tensor(graph, name, QN_ONNX_FLOAT, n_dims, dims, &tensor, &n, err));
  QN_TRY(take(graph, (int64_t)sizeof(float) * n, (void **)&tensor->float_data, err));
  for (int64_t i = 0; i < n; i++) {
    tensor->float_data[i] = (float)values[i];
  }
  tensor->n_float_data = (size_t)n;

done:
  return status;
}

qn_status qn_onnx_ints(qn_onnx_graph *graph, const char *name, int n_dims, const int64_t *dims,
                       const int64_t *values, qn_error *err) {
  qn_status status = QN_OK;
  Onnx__TensorProto *tensor = NULL;
  int64_t n = 0;

  QN_TRY(add_tensor(graph, name, QN_ONNX_INT64, n_dims, dims, &tensor, &n, err));
  QN_TRY(take(graph, (int64_t)sizeof *values * n, (void **)&tensor->int64_data, err));
  memcpy(tensor->int64_data, values, sizeof *values * (size_t)n);
  tensor->n_int64_data = (size_t)n;

done:
  return status;
}

qn_status qn_onnx_texts(qn_onnx_graph *graph, const char *name, int64_t n, const char *const *texts,
                        qn_error *err) {
  qn_status status = QN_OK;
  Onnx__TensorProto *tensor = NULL;
  int64_t n_values = 0;

  QN_TRY(add_tensor(graph, name, QN_ONNX_STRING, 1, &n, &tensor, &n_values, err));
  QN_TRY(take(graph, (int64_t)sizeof *tensor->string_data * n, (void **)&tensor->string_data, err));
  for (int64_t i = 0; i < n; i++) {
    tensor->string_data[i] = bytes_of(texts[i]);
  }
  tensor->n_string_data = (size_t)n;

done:
  return status;
}

// --- What goes in and out
// ------------------------------------------------------------------------------------------

static qn_status make_dim(qn_onnx_graph *graph, int n, Onnx__TensorShapeProto__Dimension **out,
                          qn_error *err) {
  qn_status status = QN_OK;
  Onnx__TensorShapeProto__Dimension *dim = NULL;

  QN_TRY(take(graph, sizeof *dim, (void **)&dim, err));
  onnx__tensor_shape_proto__dimension__init(dim);
  if (n > 0) {
    dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    dim->dim_value = n;
  } else {
    dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    QN_TRY(copy_text(graph, "N", &dim->dim_param, err));
  }
  *out = dim;

done:
  return status;
}

static qn_status make_value(qn_onnx_graph *graph, const char *name, qn_onnx_type type, int n_columns,
                            Onnx__ValueInfoProto **out, qn_error *err) {
  qn_status status = QN_OK;
  Onnx__ValueInfoProto *value = NULL;
  Onnx__TypeProto__Tensor *tensor = NULL;

  QN_TRY(take(graph, sizeof *value, (void **)&value, err));
  onnx__value_info_proto__init(value);
  QN_TRY(copy_text(graph, name, &value->name, err));
  QN_TRY(take(graph, sizeof *value->type, (void **)&value->type, err));
  onnx__type_proto__init(value->type);
  QN_TRY(take(graph, sizeof *tensor, (void **)&tensor, err));
  onnx__type_proto__tensor__init(tensor);
  tensor->has_elem_type = 1;
  tensor->elem_type = type;
  QN_TRY(take(graph, sizeof *tensor->shape, (void **)&tensor->shape, err));
  onnx__tensor_shape_proto__init(tensor->shape);
  QN_TRY(take(graph, 2 * (int64_t)sizeof(void *), (void **)&tensor->shape->dim, err));
  QN_TRY(make_dim(graph, 0, &tensor->shape->dim[0], err));
  QN_TRY(make_dim(graph, n_columns, &tensor->shape->dim[1], err));
  tensor->shape->n_dim = n_columns > 0 ? 2 : 1;
  value->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
  value->type->tensor_type = tensor;
  *out = value;

done:
  return status;
}

qn_status qn_onnx_input(qn_onnx_graph *graph, const char *name, qn_onnx_type type, int n_columns,
                        qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(make_room(graph->n_inputs, QN_ONNX_MAX_VALUES, err));
  QN_TRY(make_value(graph, name, type, n_columns, &graph->inputs[graph->n_inputs], err));
  graph->n_inputs++;

done:
  return status;
}

qn_status qn_onnx_output(qn_onnx_graph *graph, const char *name, qn_onnx_type type, int n_columns,
                         qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(make_room(graph->n_outputs, QN_ONNX_MAX_VALUES, err));
  QN_TRY(make_value(graph, name, type, n_columns, &graph->outputs[graph->n_outputs], err));
  graph->n_outputs++;

done:
  return status;
}

static qn_status write_model(const Onnx__ModelProto *model, const char *path, qn_error *err) {
  qn_status status = QN_OK;
  const size_t size = onnx__model_proto__get_packed_size(model);
  uint8_t *bytes = NULL;

  QN_REQUIRE(size < INT32_MAX, err, QN_ERR_ARG,
             "%s: an ONNX file holds at most 2 GiB, the model has %zu bytes", path, size);
  bytes = qn_memory_alloc((int64_t)size);
  QN_REQUIRE(bytes != NULL, err, QN_ERR_MEMORY, "no memory for an ONNX file of %zu bytes", size);
  onnx__model_proto__pack(model, bytes);
  QN_TRY(qn_folder_make_for(path, err));
  QN_TRY(qn_file_write_atomic(path, bytes, (int64_t)size, err));

done:
  qn_memory_free(bytes);
  return status;
}

qn_status qn_onnx_write(qn_onnx_graph *graph, const char *description, const char *columns, const char *path,
                        qn_error *err) {
  Onnx__GraphProto body = ONNX__GRAPH_PROTO__INIT;
  Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
  Onnx__OperatorSetIdProto own = ONNX__OPERATOR_SET_ID_PROTO__INIT;
  Onnx__OperatorSetIdProto ml = ONNX__OPERATOR_SET_ID_PROTO__INIT;
  Onnx__OperatorSetIdProto *sets[] = {&own, &ml};
  Onnx__StringStringEntryProto entry = ONNX__STRING_STRING_ENTRY_PROTO__INIT;
  Onnx__StringStringEntryProto *entries[] = {&entry};

  body.name = (char *)"quern";
  body.n_node = (size_t)graph->n_nodes;
  body.node = graph->nodes;
  body.n_initializer = (size_t)graph->n_tensors;
  body.initializer = graph->tensors;
  body.n_input = (size_t)graph->n_inputs;
  body.input = graph->inputs;
  body.n_output = (size_t)graph->n_outputs;
  body.output = graph->outputs;
  own.domain = (char *)"";
  own.has_version = ml.has_version = 1;
  own.version = OPSET;
  ml.domain = (char *)ml_domain;
  ml.version = ML_OPSET;
  entry.key = (char *)"columns";
  entry.value = (char *)columns;
  model.has_ir_version = 1;
  model.ir_version = IR_VERSION;
  model.n_opset_import = 2;
  model.opset_import = sets;
  model.producer_name = (char *)"quern";
  model.producer_version = (char *)QN_VERSION;
  model.doc_string = (char *)description;
  model.n_metadata_props = 1;
  model.metadata_props = entries;
  model.graph = &body;
  return write_model(&model, path, err);
}

void qn_onnx_release(qn_onnx_graph *graph) {
  qn_arena_release(&graph->arena);
  *graph = (qn_onnx_graph){0};
}
