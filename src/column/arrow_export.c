// SPDX-License-Identifier: Apache-2.0
// Batches as Arrow arrays. Every child can be released on its own, as the interface lets consumers move
// children out; each holds a reference to the batch.
#include <stdlib.h>
#include <string.h>
#include <quern/arrow.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/batch.h"
#include "column/bitmap.h"

static const char *format_of(qn_type type) {
  switch (type) {
  case QN_BOOL:
    return "b";
  case QN_INT32:
    return "i";
  case QN_INT64:
    return "l";
  case QN_FLOAT32:
    return "f";
  case QN_FLOAT64:
    return "g";
  case QN_UTF8:
    return "u";
  case QN_BINARY:
    return "z";
  case QN_DATE:
    return "tdD";
  case QN_TIMESTAMP:
    return "tsu:";
  }
  return "";
}

static void release_schema(struct ArrowSchema *schema) {
  for (int64_t i = 0; i < schema->n_children; i++) {
    if (schema->children[i] != NULL && schema->children[i]->release != NULL) {
      schema->children[i]->release(schema->children[i]);
    }
    free(schema->children[i]);
  }
  free(schema->children);
  free(schema->private_data); // the name
  *schema = (struct ArrowSchema){0};
}

// What an exported array keeps.
typedef struct {
  qn_batch *batch;
  uint8_t *packed; // bools as bits
  const void *buffers[3];
} exported_array;

static void release_array(struct ArrowArray *array) {
  for (int64_t i = 0; i < array->n_children; i++) {
    if (array->children[i] != NULL && array->children[i]->release != NULL) {
      array->children[i]->release(array->children[i]);
    }
    free(array->children[i]);
  }
  free(array->children);
  exported_array *kept = array->private_data;
  if (kept != NULL) {
    qn_batch_free(kept->batch);
    qn_memory_free(kept->packed);
    free(kept);
  }
  *array = (struct ArrowArray){0};
}

static qn_status export_schema(const qn_schema *schema, struct ArrowSchema *out, qn_error *err) {
  qn_status status = QN_OK;
  struct ArrowSchema made = {.format = "+s", .name = "", .release = release_schema};

  made.children = calloc((size_t)schema->n_columns + 1, sizeof *made.children);
  QN_REQUIRE(made.children != NULL, err, QN_ERR_MEMORY, "no memory for an Arrow schema");
  for (int i = 0; i < schema->n_columns; i++) {
    struct ArrowSchema *child = calloc(1, sizeof *child);
    made.children[i] = child;
    made.n_children++;
    QN_REQUIRE(child != NULL, err, QN_ERR_MEMORY, "no memory for an Arrow schema");
    char *name = strdup(schema->fields[i].name);
    QN_REQUIRE(name != NULL, err, QN_ERR_MEMORY, "no memory for an Arrow schema");
    *child = (struct ArrowSchema){.format = format_of(schema->fields[i].type),
                                  .name = name,
                                  .flags = ARROW_FLAG_NULLABLE,
                                  .release = release_schema,
                                  .private_data = name};
  }
  *out = made;
  made = (struct ArrowSchema){0};

done:
  release_schema(&made);
  return status;
}

static qn_status pack_bools(const qn_column *column, uint8_t **out, qn_error *err) {
  uint8_t *packed = qn_memory_alloc(qn_bitmap_bytes(column->n_rows));
  if (packed == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory for the bits of %lld bools", (long long)column->n_rows);
  }
  memset(packed, 0, (size_t)qn_bitmap_bytes(column->n_rows));
  for (int64_t i = 0; i < column->n_rows; i++) {
    if (qn_column_bool(column, i)) {
      qn_bitmap_set(packed, i);
    }
  }
  *out = packed;
  return QN_OK;
}

// Makes an array of a column, or of the batch itself (column < 0). On failure `out` may be partly made; its
// release frees that.
static qn_status export_array(const qn_batch *batch, int column_index, struct ArrowArray *out,
                              qn_error *err) {
  qn_status status = QN_OK;
  exported_array *kept = calloc(1, sizeof *kept);

  *out = (struct ArrowArray){.length = batch->n_rows, .n_buffers = 1, .release = release_array};
  QN_REQUIRE(kept != NULL, err, QN_ERR_MEMORY, "no memory for an Arrow array");
  out->private_data = kept;
  out->buffers = kept->buffers;
  kept->batch = qn_batch_share(batch);
  if (column_index < 0) {
    return QN_OK;
  }
  const qn_column *column = &batch->columns[column_index];
  out->null_count = column->n_nulls;
  kept->buffers[0] = column->n_nulls > 0 ? column->validity : NULL;
  if (qn_type_is_text(column->type)) {
    out->n_buffers = 3;
    kept->buffers[1] = column->offsets;
    kept->buffers[2] = column->bytes;
  } else {
    out->n_buffers = 2;
    kept->buffers[1] = column->values;
    if (column->type == QN_BOOL) {
      QN_TRY(pack_bools(column, &kept->packed, err));
      kept->buffers[1] = kept->packed;
    }
  }

done:
  return status;
}

qn_status qn_batch_export(const qn_batch *batch, struct ArrowSchema *schema, struct ArrowArray *array,
                          qn_error *err) {
  qn_status status = QN_OK;
  struct ArrowArray made = {0};
  struct ArrowSchema made_schema = {0};

  QN_TRY(export_array(batch, -1, &made, err));
  made.children = calloc((size_t)batch->n_columns + 1, sizeof *made.children);
  QN_REQUIRE(made.children != NULL, err, QN_ERR_MEMORY, "no memory for an Arrow array");
  for (int i = 0; i < batch->n_columns; i++) {
    made.children[i] = calloc(1, sizeof *made.children[i]);
    made.n_children++;
    QN_REQUIRE(made.children[i] != NULL, err, QN_ERR_MEMORY, "no memory for an Arrow array");
    QN_TRY(export_array(batch, i, made.children[i], err));
  }
  QN_TRY(export_schema(batch->schema, &made_schema, err));
  *schema = made_schema;
  *array = made;
  made = (struct ArrowArray){0};

done:
  release_array(&made);
  return status;
}
