// SPDX-License-Identifier: Apache-2.0
// A graph of ONNX operators in the making, over protobuf-c's structs made from onnx.proto. Numbers are
// float32.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>
#include "base/arena.h"

enum { QN_ONNX_MAX_NODES = 1000, QN_ONNX_MAX_VALUES = 8 };

/// A zeroed one is empty. All it holds is in the arena.
typedef struct qn_onnx_graph {
  qn_arena arena;
  struct Onnx__NodeProto *nodes[QN_ONNX_MAX_NODES];
  struct Onnx__TensorProto *tensors[QN_ONNX_MAX_NODES];
  struct Onnx__ValueInfoProto *inputs[QN_ONNX_MAX_VALUES], *outputs[QN_ONNX_MAX_VALUES];
  int n_nodes, n_tensors, n_inputs, n_outputs;
} qn_onnx_graph;

typedef enum { QN_ONNX_INT, QN_ONNX_INTS, QN_ONNX_FLOATS, QN_ONNX_TEXT, QN_ONNX_TEXTS } qn_onnx_kind;

/// An attribute of an operator; what its kind needs is set.
typedef struct qn_onnx_attribute {
  const char *name; // NULL ends a list of them
  qn_onnx_kind kind;
  int64_t number;
  int64_t n;        // of a list
  int64_t *numbers; // borrowed until the graph is written, like the following
  float *floats;
  const char *text;
  const char **texts;
} qn_onnx_attribute;

/// Adds an operator with inputs and outputs by name ("x weights"). Those of trees are in a domain of their
/// own, `is_ml`.
qn_status qn_onnx_add(qn_onnx_graph *graph, const char *op, bool is_ml, const char *inputs,
                      const char *outputs, const qn_onnx_attribute *attributes, qn_error *err);
/// Constants. Shapes have 0 to 2 dims.
qn_status qn_onnx_floats(qn_onnx_graph *graph, const char *name, int n_dims, const int64_t *dims,
                         const double *values, qn_error *err);
qn_status qn_onnx_ints(qn_onnx_graph *graph, const char *name, int n_dims, const int64_t *dims,
                       const int64_t *values, qn_error *err);
qn_status qn_onnx_texts(qn_onnx_graph *graph, const char *name, int64_t n, const char *const *texts,
                        qn_error *err);
/// A tensor of the graph as its input or output: [rows] if n_columns is 0, else [rows, n_columns].
typedef enum { QN_ONNX_FLOAT = 1, QN_ONNX_INT64 = 7, QN_ONNX_STRING = 8 } qn_onnx_type;
qn_status qn_onnx_input(qn_onnx_graph *graph, const char *name, qn_onnx_type type, int n_columns,
                        qn_error *err);
qn_status qn_onnx_output(qn_onnx_graph *graph, const char *name, qn_onnx_type type, int n_columns,
                         qn_error *err);
/// Writes the file whole or not at all. `description` says what it is, `columns` what the input's columns
/// are.
qn_status qn_onnx_write(qn_onnx_graph *graph, const char *description, const char *columns, const char *path,
                        qn_error *err);
void qn_onnx_release(qn_onnx_graph *graph);
