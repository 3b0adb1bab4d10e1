// SPDX-License-Identifier: Apache-2.0
// Extend: a callback's columns behind those of the rows, which are shared.
#include "base/check.h"
#include "column/builder.h"
#include "exec/run.h"

typedef struct extend_op {
  qn_op op;
  qn_appender *appender;
  qn_column *columns; // [node's columns]
} extend_op;

// The node's own columns: those behind the input's.
static qn_status own_schema(const qn_dataset *node, qn_arena *arena, qn_schema **out, qn_error *err) {
  qn_status status = QN_OK;
  const int first = node->inputs[0]->schema->n_columns;
  const int n = node->schema->n_columns - first;
  int *columns = qn_arena_alloc(arena, (int64_t)sizeof *columns * (n + 1));

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for an operator");
  for (int c = 0; c < n; c++) {
    columns[c] = first + c;
  }
  QN_TRY(qn_schema_project(node->schema, columns, n, out, err));

done:
  return status;
}

static qn_status extend(const extend_op *state, const qn_batch *batch, qn_batch **made, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = state->op.node;
  char where[256];

  const qn_status mapped = node->map(batch, state->appender, node->ctx);
  qn_batch_describe_row(batch, 0, where, sizeof where);
  QN_TRY(qn_appender_status(state->appender, err));
  QN_REQUIRE(mapped == QN_OK, err, QN_ERR_CALLBACK,
             "extend: the callback returned '%s' for the batch of %lld rows from %s", qn_status_text(mapped),
             (long long)batch->n_rows, where[0] == '\0' ? "a row made by the job" : where);
  QN_TRY(qn_appender_finish(state->appender, made, err));
  QN_REQUIRE((*made)->n_rows == batch->n_rows, err, QN_ERR_CALLBACK,
             "extend: the callback appended %lld rows for the batch of %lld rows from %s; it must append one "
             "for each",
             (long long)(*made)->n_rows, (long long)batch->n_rows,
             where[0] == '\0' ? "a row made by the job" : where);

done:
  return status;
}

static qn_status push_extend(qn_op *op, const qn_batch *batch, qn_error *err) {
  qn_status status = QN_OK;
  const extend_op *state = (const extend_op *)op;
  qn_batch *made = NULL;
  qn_batch *both = NULL;

  QN_TRY(extend(state, batch, &made, err));
  for (int c = 0; c < op->node->schema->n_columns; c++) {
    state->columns[c] =
        qn_column_share(c < batch->n_columns ? &batch->columns[c] : &made->columns[c - batch->n_columns]);
  }
  QN_TRY(qn_batch_new_take(op->node->schema, batch->n_rows, state->columns, &both, err));
  qn_batch_set_origin(both, &batch->origin);
  QN_TRY(qn_op_push(op->next, both, err));

done:
  qn_batch_free(made);
  qn_batch_free(both);
  return status;
}

static qn_status finish_extend(qn_op *op, qn_error *err) {
  return qn_op_finish(op->next, err);
}

static void close_extend(qn_op *op) {
  extend_op *state = (extend_op *)op;

  qn_appender_free(state->appender);
  state->appender = NULL;
}

static const qn_op_ops extend_ops = {.name = "extend",
                                     .state_size = sizeof(extend_op),
                                     .is_streaming = true,
                                     .push = push_extend,
                                     .finish = finish_extend,
                                     .close = close_extend};

qn_status qn_make_extend(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_schema *schema = NULL;

  QN_TRY(qn_op_new(run, &extend_ops, node, next, out, err));
  extend_op *state = (extend_op *)*out;
  state->columns =
      qn_arena_alloc(&run->arena, (int64_t)sizeof *state->columns * (node->schema->n_columns + 1));
  QN_REQUIRE(state->columns != NULL, err, QN_ERR_MEMORY, "no memory for an operator");
  QN_TRY(own_schema(node, &run->arena, &schema, err));
  QN_TRY(qn_appender_new(schema, &state->appender, err));

done:
  qn_schema_free(schema);
  return status;
}
