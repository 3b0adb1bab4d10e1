// SPDX-License-Identifier: Apache-2.0
// Batches: made of columns, shared, projected, sliced and put together.
#include "column/batch.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/bitmap.h"
#include "column/builder.h"

static void release_columns(qn_column *columns, int n_columns) {
  for (int i = 0; i < n_columns; i++) {
    qn_column_release(&columns[i]);
  }
}

qn_status qn_batch_new_take(const qn_schema *schema, int64_t n_rows, qn_column *columns, qn_batch **out,
                            qn_error *err) {
  qn_status status = QN_OK;
  const int n_columns = schema->n_columns;

  for (int i = 0; i < n_columns; i++) {
    QN_REQUIRE(columns[i].type == schema->fields[i].type, err, QN_ERR_TYPE, "column '%s' is %s, not %s",
               schema->fields[i].name, qn_type_name(columns[i].type), qn_type_name(schema->fields[i].type));
    QN_REQUIRE(columns[i].n_rows == n_rows, err, QN_ERR_ARG,
               "column '%s' has %" PRId64 " rows in a batch of %" PRId64, schema->fields[i].name,
               columns[i].n_rows, n_rows);
  }
  qn_batch *batch = malloc(sizeof *batch + (size_t)n_columns * sizeof(qn_column));
  QN_REQUIRE(batch != NULL, err, QN_ERR_MEMORY, "no memory for a batch of %d columns", n_columns);
  *batch = (qn_batch){
      .n_references = 1, .schema = qn_schema_share(schema), .n_rows = n_rows, .n_columns = n_columns};
  for (int i = 0; i < n_columns; i++) {
    batch->columns[i] = columns[i];
    columns[i] = (qn_column){0};
  }
  *out = batch;

done:
  release_columns(columns, n_columns);
  return status;
}

qn_batch *qn_batch_share(const qn_batch *batch) {
  qn_batch *shared = (qn_batch *)(uintptr_t)batch;
  if (shared != NULL) {
    shared->n_references++;
  }
  return shared;
}

void qn_batch_free(qn_batch *batch) {
  if (batch == NULL || --batch->n_references > 0) {
    return;
  }
  release_columns(batch->columns, batch->n_columns);
  qn_block_free(batch->origin.rows_block);
  qn_schema_free(batch->schema);
  free(batch);
}

int64_t qn_batch_n_rows(const qn_batch *batch) {
  return batch->n_rows;
}

int qn_batch_n_columns(const qn_batch *batch) {
  return batch->n_columns;
}

const qn_schema *qn_batch_schema(const qn_batch *batch) {
  return batch->schema;
}

const qn_column *qn_batch_column(const qn_batch *batch, int column) {
  return &batch->columns[column];
}

void qn_batch_set_origin(qn_batch *batch, const qn_origin *origin) {
  qn_block *before = batch->origin.rows_block;
  qn_block_share(origin->rows_block);
  batch->origin = *origin;
  qn_block_free(before);
}

qn_status qn_batch_project(const qn_batch *batch, const qn_schema *schema, const int *columns, qn_batch **out,
                           qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *made = NULL;
  qn_column *chosen = calloc((size_t)schema->n_columns + 1, sizeof *chosen);

  QN_REQUIRE(chosen != NULL, err, QN_ERR_MEMORY, "no memory for a batch of %d columns", schema->n_columns);
  for (int i = 0; i < schema->n_columns; i++) {
    chosen[i] = qn_column_share(&batch->columns[columns[i]]);
  }
  QN_TRY(qn_batch_new_take(schema, batch->n_rows, chosen, &made, err));
  qn_batch_set_origin(made, &batch->origin);
  *out = made;

done:
  free(chosen);
  return status;
}

// Validity of rows that do not start at a byte's first bit has to be moved.
static qn_status slice_validity(const qn_column *column, int64_t first, qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_valid = qn_bitmap_count_range(column->validity, first, out->n_rows);
  out->n_nulls = out->n_rows - n_valid;
  if (out->n_nulls == 0) {
    out->validity = NULL;
  } else if ((first & 7) == 0) {
    out->validity = column->validity + (first >> 3);
    out->blocks[0] = qn_block_share(column->blocks[0]);
  } else {
    uint8_t *validity = qn_memory_alloc(qn_bitmap_bytes(out->n_rows));
    QN_REQUIRE(validity != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " rows", out->n_rows);
    validity[qn_bitmap_bytes(out->n_rows) - 1] = 0;
    qn_bitmap_copy(validity, 0, column->validity, first, out->n_rows);
    QN_TRY(qn_block_new(validity, qn_memory_free, &out->blocks[0], err));
    out->validity = validity;
  }

done:
  return status;
}

static qn_status slice_column(const qn_column *column, int64_t first, int64_t n_rows, qn_column *out,
                              qn_error *err) {
  qn_column sliced = {.type = column->type, .n_rows = n_rows};
  if (column->n_nulls > 0) {
    const qn_status status = slice_validity(column, first, &sliced, err);
    if (status != QN_OK) {
      return status;
    }
  }
  if (qn_type_is_text(column->type)) {
    sliced.offsets = column->offsets + first;
    sliced.bytes = column->bytes;
  } else {
    sliced.values = (const char *)column->values + first * qn_type_width(column->type);
  }
  sliced.blocks[1] = qn_block_share(column->blocks[1]);
  sliced.blocks[2] = qn_block_share(column->blocks[2]);
  *out = sliced;
  return QN_OK;
}

qn_status qn_batch_slice(const qn_batch *batch, int64_t first, int64_t n_rows, qn_batch **out,
                         qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *made = NULL;
  qn_column *columns = NULL;
  const int n_columns = batch->n_columns;

  QN_REQUIRE(first >= 0 && n_rows >= 0 && first <= batch->n_rows - n_rows, err, QN_ERR_ARG,
             "%" PRId64 " rows from row %" PRId64 " of a batch of %" PRId64, n_rows, first, batch->n_rows);
  columns = calloc((size_t)n_columns + 1, sizeof *columns);
  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for a batch of %d columns", n_columns);
  for (int i = 0; i < n_columns; i++) {
    QN_TRY(slice_column(&batch->columns[i], first, n_rows, &columns[i], err));
  }
  QN_TRY(qn_batch_new_take(batch->schema, n_rows, columns, &made, err));
  qn_batch_set_origin(made, &batch->origin);
  if (made->origin.rows != NULL) {
    made->origin.rows += first;
  } else {
    made->origin.first_row += first;
  }
  *out = made;

done:
  if (columns != NULL) {
    release_columns(columns, n_columns);
  }
  free(columns);
  return status;
}

qn_status qn_batch_concat(const qn_schema *schema, qn_batch *const *batches, int64_t n_batches,
                          qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch_builder builder = {0};
  int64_t n_rows = 0;

  if (n_batches == 1 && qn_schema_is_equal(schema, batches[0]->schema)) {
    *out = qn_batch_share(batches[0]);
    return QN_OK;
  }
  QN_TRY(qn_batch_builder_init(&builder, schema, err));
  for (int64_t b = 0; b < n_batches; b++) {
    n_rows += batches[b]->n_rows;
  }
  for (int c = 0; c < schema->n_columns; c++) {
    int64_t n_bytes = 0;
    for (int64_t b = 0; b < n_batches && qn_type_is_text(schema->fields[c].type); b++) {
      const qn_column *column = &batches[b]->columns[c];
      n_bytes += column->n_rows > 0 ? column->offsets[column->n_rows] - column->offsets[0] : 0;
    }
    QN_TRY(qn_column_builder_reserve(&builder.columns[c], n_rows, n_bytes, err));
  }
  for (int64_t b = 0; b < n_batches; b++) {
    QN_TRY(qn_batch_builder_append_range(&builder, batches[b], 0, batches[b]->n_rows, err));
  }
  QN_TRY(qn_batch_builder_finish(&builder, out, err));

done:
  qn_batch_builder_release(&builder);
  return status;
}

int64_t qn_batch_n_bytes(const qn_batch *batch) {
  int64_t n_bytes = 0;
  for (int i = 0; i < batch->n_columns; i++) {
    n_bytes += qn_column_n_bytes(&batch->columns[i]);
  }
  return n_bytes;
}
