// SPDX-License-Identifier: Apache-2.0
// Batch builders: a column builder per column of a schema; and gathering rows of one batch into another.
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"

qn_status qn_batch_builder_init(qn_batch_builder *builder, const qn_schema *schema, qn_error *err) {
  qn_column_builder *columns = calloc((size_t)schema->n_columns + 1, sizeof *columns);
  if (columns == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory for %d columns", schema->n_columns);
  }
  for (int i = 0; i < schema->n_columns; i++) {
    qn_column_builder_init(&columns[i], schema->fields[i].type);
  }
  *builder = (qn_batch_builder){
      .schema = qn_schema_share(schema), .n_columns = schema->n_columns, .columns = columns};
  return QN_OK;
}

void qn_batch_builder_release(qn_batch_builder *builder) {
  for (int i = 0; i < builder->n_columns; i++) {
    qn_column_builder_release(&builder->columns[i]);
  }
  free(builder->columns);
  qn_schema_free(builder->schema);
  *builder = (qn_batch_builder){0};
}

void qn_batch_builder_clear(qn_batch_builder *builder) {
  for (int i = 0; i < builder->n_columns; i++) {
    qn_column_builder_clear(&builder->columns[i]);
  }
  builder->n_rows = 0;
}

qn_status qn_batch_builder_append_range(qn_batch_builder *builder, const qn_batch *batch, int64_t first,
                                        int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;
  for (int i = 0; i < builder->n_columns; i++) {
    QN_TRY(qn_column_builder_append_range(&builder->columns[i], &batch->columns[i], first, n_rows, err));
  }
  builder->n_rows += n_rows;

done:
  return status;
}

qn_status qn_batch_builder_append_gather(qn_batch_builder *builder, const qn_batch *batch,
                                         const int32_t *rows, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;
  for (int i = 0; i < builder->n_columns; i++) {
    QN_TRY(qn_column_builder_append_gather(&builder->columns[i], &batch->columns[i], rows, n_rows, err));
  }
  builder->n_rows += n_rows;

done:
  return status;
}

int64_t qn_batch_builder_n_bytes(const qn_batch_builder *builder) {
  int64_t n_bytes = 0;
  for (int i = 0; i < builder->n_columns; i++) {
    n_bytes += qn_column_builder_n_bytes(&builder->columns[i]);
  }
  return n_bytes;
}

qn_status qn_batch_builder_finish(qn_batch_builder *builder, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_column *columns = calloc((size_t)builder->n_columns + 1, sizeof *columns);

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for a batch of %d columns", builder->n_columns);
  for (int i = 0; i < builder->n_columns; i++) {
    QN_TRY(qn_column_builder_finish(&builder->columns[i], &columns[i], err));
  }
  QN_TRY(qn_batch_new_take(builder->schema, builder->n_rows, columns, out, err));
  builder->n_rows = 0;

done:
  for (int i = 0; columns != NULL && i < builder->n_columns; i++) {
    qn_column_release(&columns[i]);
  }
  free(columns);
  return status;
}

static bool is_everything_in_order(const qn_batch *batch, const int32_t *rows, int64_t n_rows) {
  if (n_rows != batch->n_rows) {
    return false;
  }
  for (int64_t i = 0; i < n_rows; i++) {
    if (rows[i] != i) {
      return false;
    }
  }
  return true;
}

// Gives the gathered batch its origin: the rows of the rows. Rows that are in no file (negative) leave it
// without.
static qn_status gather_origin(const qn_batch *batch, const int32_t *rows, int64_t n_rows, qn_batch *gathered,
                               qn_error *err) {
  qn_status status = QN_OK;
  qn_origin origin = batch->origin;
  qn_block *block = NULL;
  int64_t size = 0;

  if (origin.name == NULL || n_rows == 0) {
    return QN_OK;
  }
  QN_TRY(qn_mul_size(n_rows, sizeof(int32_t), &size, err));
  int32_t *composed = qn_memory_alloc(size);
  QN_REQUIRE(composed != NULL, err, QN_ERR_MEMORY, "no memory for the numbers of %lld rows",
             (long long)n_rows);
  QN_TRY(qn_block_new(composed, qn_memory_free, &block, err));
  for (int64_t i = 0; i < n_rows; i++) {
    if (rows[i] < 0) {
      goto done;
    }
    composed[i] = origin.rows != NULL ? origin.rows[rows[i]] : rows[i];
  }
  origin.rows = composed;
  origin.rows_block = block;
  qn_batch_set_origin(gathered, &origin);

done:
  qn_block_free(block);
  return status;
}

qn_status qn_batch_gather(const qn_batch *batch, const int32_t *rows, int64_t n_rows, qn_batch **out,
                          qn_error *err) {
  qn_status status = QN_OK;
  qn_batch_builder builder = {0};
  qn_batch *gathered = NULL;

  if (is_everything_in_order(batch, rows, n_rows)) {
    *out = qn_batch_share(batch);
    return QN_OK;
  }
  QN_TRY(qn_batch_builder_init(&builder, batch->schema, err));
  QN_TRY(qn_batch_builder_append_gather(&builder, batch, rows, n_rows, err));
  QN_TRY(qn_batch_builder_finish(&builder, &gathered, err));
  QN_TRY(gather_origin(batch, rows, n_rows, gathered, err));
  *out = gathered;
  gathered = NULL;

done:
  qn_batch_free(gathered);
  qn_batch_builder_release(&builder);
  return status;
}
