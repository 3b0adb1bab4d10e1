// SPDX-License-Identifier: Apache-2.0
// A column is gathered, shared where its rows are taken in order, or null.
#include "exec/join_output.h"

#include <stdlib.h>

#include "base/check.h"
#include "column/builder.h"

static qn_status gather_column(qn_join_rows from, int c, int64_t n, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_column *column = &from.batch->columns[c];
  qn_column_builder builder;

  if (from.rows == NULL) {
    *out = qn_column_share(column);
    return QN_OK;
  }
  qn_column_builder_init(&builder, column->type);
  QN_TRY(qn_column_builder_append_gather(&builder, column, from.rows, n, err));
  QN_TRY(qn_column_builder_finish(&builder, out, err));

done:
  qn_column_builder_release(&builder);
  return status;
}

qn_status qn_join_columns(qn_join_rows from, const int *columns, int n_columns, int64_t n, qn_column *out,
                          qn_error *err) {
  qn_status status = QN_OK;
  for (int c = 0; c < n_columns; c++) {
    QN_TRY(gather_column(from, columns != NULL ? columns[c] : c, n, &out[c], err));
  }

done:
  return status;
}

// The left's columns where it has no rows.
static qn_status fill_left(const qn_dataset *node, qn_join_rows right, int64_t n, qn_column *out,
                           qn_error *err) {
  qn_status status = QN_OK;
  for (int c = 0; c < node->inputs[0]->schema->n_columns; c++) {
    int from = -1;
    for (int k = 0; k < node->n_keys; k++) {
      from = node->key_is_using[k] && node->left_keys[k] == c ? node->right_keys[k] : from;
    }
    if (from >= 0) {
      QN_TRY(gather_column(right, from, n, &out[c], err));
    } else {
      QN_TRY(qn_column_all_null(node->schema->fields[c].type, n, &out[c], err));
    }
  }

done:
  return status;
}

static qn_status fill_right(const qn_dataset *node, int64_t n, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_field *fields = node->inputs[1]->schema->fields;
  for (int c = 0; c < node->n_right_columns; c++) {
    QN_TRY(qn_column_all_null(fields[node->right_columns[c]].type, n, &out[c], err));
  }

done:
  return status;
}

qn_status qn_join_emit(const qn_join_output *output, qn_join_rows left, qn_join_rows right, int64_t n,
                       qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = output->node;
  const int n_left = node->inputs[0]->schema->n_columns;
  qn_batch *joined = NULL;
  qn_column *columns = calloc((size_t)node->schema->n_columns + 1, sizeof *columns);

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  if (left.batch != NULL) {
    QN_TRY(qn_join_columns(left, NULL, n_left, n, columns, err));
  } else {
    QN_TRY(fill_left(node, right, n, columns, err));
  }
  if (right.batch != NULL) {
    QN_TRY(qn_join_columns(right, node->right_columns, node->n_right_columns, n, columns + n_left, err));
  } else {
    QN_TRY(fill_right(node, n, columns + n_left, err));
  }
  QN_TRY(qn_batch_new_take(node->schema, n, columns, &joined, err));
  QN_TRY(output->joined(output->ctx, joined, err));

done:
  for (int c = 0; columns != NULL && c < node->schema->n_columns; c++) {
    qn_column_release(&columns[c]);
  }
  free(columns);
  qn_batch_free(joined);
  return status;
}
