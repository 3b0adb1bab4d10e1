// SPDX-License-Identifier: Apache-2.0
// Batches from Arrow arrays. The array is moved into a block that the columns share, so memory stays until
// the last column goes; only what Quern keeps otherwise is copied: bools, other time units, large offsets,
// validity that does not begin at a byte, values that are not aligned.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <quern/arrow.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/batch.h"
#include "column/bitmap.h"

typedef enum { AS_IT_IS, UNPACK_BITS, MULTIPLY, DIVIDE, LARGE_OFFSETS } arrow_method;

typedef struct {
  const char *format;
  qn_type type;
  arrow_method method;
  int64_t factor; // of MULTIPLY and DIVIDE
} arrow_format;

static const arrow_format formats[] = {
    {"b", QN_BOOL, UNPACK_BITS, 1},
    {"i", QN_INT32, AS_IT_IS, 1},
    {"l", QN_INT64, AS_IT_IS, 1},
    {"f", QN_FLOAT32, AS_IT_IS, 1},
    {"g", QN_FLOAT64, AS_IT_IS, 1},
    {"u", QN_UTF8, AS_IT_IS, 1},
    {"z", QN_BINARY, AS_IT_IS, 1},
    {"U", QN_UTF8, LARGE_OFFSETS, 1},
    {"Z", QN_BINARY, LARGE_OFFSETS, 1},
    {"tdD", QN_DATE, AS_IT_IS, 1},
    {"tss:", QN_TIMESTAMP, MULTIPLY, 1000000},
    {"tsm:", QN_TIMESTAMP, MULTIPLY, 1000},
    {"tsu:", QN_TIMESTAMP, AS_IT_IS, 1},
    {"tsn:", QN_TIMESTAMP, DIVIDE, 1000},
};

// One column on its way in: rows [first, first + n_rows) of the child's buffers.
typedef struct {
  const arrow_format *format;
  const struct ArrowArray *array;
  const char *name;
  int64_t first;
  int64_t n_rows;
  const uint8_t *outer; // validity of the struct array, or NULL
  int64_t outer_first;
  qn_block *owner;
} arrow_child;

static bool is_utc(const char *zone) {
  return zone[0] == '\0' || strcmp(zone, "UTC") == 0 || strcmp(zone, "Etc/UTC") == 0 ||
         strcmp(zone, "Z") == 0 || strcmp(zone, "+00:00") == 0;
}

static const arrow_format *find_format(const char *format) {
  for (size_t i = 0; format != NULL && i < sizeof formats / sizeof formats[0]; i++) {
    const size_t size = strlen(formats[i].format);
    const bool is_timestamp = formats[i].type == QN_TIMESTAMP;
    if (strcmp(format, formats[i].format) == 0 ||
        (is_timestamp && strncmp(format, formats[i].format, size) == 0 && is_utc(format + size))) {
      return &formats[i];
    }
  }
  return NULL;
}

static qn_status import_validity(const arrow_child *child, qn_column *column, qn_error *err) {
  qn_status status = QN_OK;
  const uint8_t *own = child->array->null_count != 0 ? child->array->buffers[0] : NULL;
  uint8_t *validity = NULL;
  const int64_t n_rows = child->n_rows;

  if (own == NULL && child->outer == NULL) {
    QN_REQUIRE(child->array->null_count <= 0 || n_rows == 0, err, QN_ERR_FORMAT,
               "Arrow column '%s' says it has %" PRId64 " nulls, but has no validity", child->name,
               child->array->null_count);
    return QN_OK;
  }
  if (child->outer == NULL && (child->first & 7) == 0) {
    column->validity = own + (child->first >> 3);
    column->blocks[0] = qn_block_share(child->owner);
  } else {
    validity = qn_memory_alloc(2 * qn_bitmap_bytes(n_rows));
    QN_REQUIRE(validity != NULL, err, QN_ERR_MEMORY, "no memory for the validity of %" PRId64 " rows",
               n_rows);
    uint8_t *outer = validity + qn_bitmap_bytes(n_rows);
    memset(validity, 0, (size_t)(2 * qn_bitmap_bytes(n_rows)));
    qn_bitmap_copy(validity, 0, own, child->first, n_rows);
    qn_bitmap_copy(outer, 0, child->outer, child->outer_first, n_rows);
    qn_bitmap_and(validity, outer, n_rows, validity);
    QN_TRY(qn_block_new(validity, qn_memory_free, &column->blocks[0], err));
    column->validity = validity;
  }
  column->n_nulls = n_rows - qn_bitmap_count(column->validity, n_rows);

done:
  return status;
}

static qn_status import_values(const arrow_child *child, qn_column *column, qn_error *err) {
  qn_status status = QN_OK;
  const int width = qn_type_width(column->type);
  const char *from = (const char *)child->array->buffers[1] + child->first * width;
  void *values = NULL;

  if ((uintptr_t)from % (uintptr_t)width == 0) {
    column->values = from;
    column->blocks[1] = qn_block_share(child->owner);
    return QN_OK;
  }
  qn_column copy = {0};
  QN_TRY(qn_column_fixed(column->type, child->n_rows, &copy, &values, err));
  memcpy(values, from, (size_t)(child->n_rows * width));
  column->values = values;
  column->blocks[1] = copy.blocks[1];

done:
  return status;
}

static qn_status import_bools(const arrow_child *child, qn_column *column, qn_error *err) {
  qn_status status = QN_OK;
  const uint8_t *bits = child->array->buffers[1];
  qn_column copy = {0};
  void *values = NULL;

  QN_TRY(qn_column_fixed(QN_BOOL, child->n_rows, &copy, &values, err));
  uint8_t *bytes = values;
  for (int64_t i = 0; i < child->n_rows; i++) {
    bytes[i] = qn_bitmap_get(bits, child->first + i);
  }
  column->values = bytes;
  column->blocks[1] = copy.blocks[1];

done:
  return status;
}

// A timestamp in microseconds; false if they overflow.
static bool convert_time(const arrow_format *format, int64_t from, int64_t *to) {
  if (format->method == MULTIPLY) {
    return !__builtin_mul_overflow(from, format->factor, to);
  }
  *to = from / format->factor - (from % format->factor < 0);
  return true;
}

static qn_status import_times(const arrow_child *child, qn_column *column, qn_error *err) {
  qn_status status = QN_OK;
  const char *from = (const char *)child->array->buffers[1] + child->first * 8;
  void *values = NULL;
  qn_column copy = {0};

  QN_TRY(qn_column_fixed(QN_TIMESTAMP, child->n_rows, &copy, &values, err));
  int64_t *to = values;
  for (int64_t i = 0; i < child->n_rows; i++) {
    int64_t value;
    memcpy(&value, from + i * 8, sizeof value);
    to[i] = 0;
    if (!qn_column_is_null(column, i) && !convert_time(child->format, value, &to[i])) {
      status = qn_fail(err, QN_ERR_VALUE,
                       "Arrow column '%s', row %" PRId64 ": time %" PRId64 " does not fit into microseconds",
                       child->name, i, value);
      goto done;
    }
  }
  column->values = values;
  column->blocks[1] = copy.blocks[1];
  copy = (qn_column){0};

done:
  qn_column_release(&copy);
  return status;
}

static const uint8_t no_bytes[QN_MEMORY_SLACK];

static void set_bytes(const arrow_child *child, qn_column *column, int64_t first_byte) {
  const uint8_t *bytes = child->array->buffers[2];
  column->bytes = bytes == NULL ? no_bytes : bytes + first_byte;
  column->blocks[2] = qn_block_share(child->owner);
}

static qn_status check_has_bytes(const arrow_child *child, int64_t n_bytes, qn_error *err) {
  if (n_bytes > 0 && child->array->buffers[2] == NULL) {
    return qn_fail(err, QN_ERR_FORMAT, "Arrow column '%s' has offsets to %" PRId64 " bytes, but no bytes",
                   child->name, n_bytes);
  }
  return QN_OK;
}

static qn_status import_text(const arrow_child *child, qn_column *column, qn_error *err) {
  qn_status status = QN_OK;
  const char *from = (const char *)child->array->buffers[1] + child->first * 4;
  const int64_t size = (child->n_rows + 1) * 4;

  if ((uintptr_t)from % 4 == 0) {
    column->offsets = (const int32_t *)(const void *)from;
    column->blocks[1] = qn_block_share(child->owner);
  } else {
    void *copy = qn_memory_alloc(size);
    QN_REQUIRE(copy != NULL, err, QN_ERR_MEMORY, "no memory for the offsets of %" PRId64 " rows",
               child->n_rows);
    memcpy(copy, from, (size_t)size);
    QN_TRY(qn_block_new(copy, qn_memory_free, &column->blocks[1], err));
    column->offsets = copy;
  }
  QN_TRY(check_has_bytes(child, (int64_t)column->offsets[child->n_rows] - column->offsets[0], err));
  set_bytes(child, column, 0);

done:
  return status;
}

// Offsets of 64 bits become 32 bits, counted from the first row's.
static qn_status import_large_text(const arrow_child *child, qn_column *column, qn_error *err) {
  qn_status status = QN_OK;
  const char *from = (const char *)child->array->buffers[1] + child->first * 8;
  int64_t start = 0;
  int64_t before = 0;

  memcpy(&start, from, sizeof start);
  int32_t *offsets = qn_memory_alloc((child->n_rows + 1) * 4);
  QN_REQUIRE(offsets != NULL, err, QN_ERR_MEMORY, "no memory for the offsets of %" PRId64 " rows",
             child->n_rows);
  QN_TRY(qn_block_new(offsets, qn_memory_free, &column->blocks[1], err));
  column->offsets = offsets;
  for (int64_t i = 0; i <= child->n_rows; i++) {
    int64_t offset;
    memcpy(&offset, from + i * 8, sizeof offset);
    QN_REQUIRE(start >= 0 && offset >= start + before, err, QN_ERR_FORMAT,
               "Arrow column '%s', row %" PRId64 ": offset %" PRId64 " descends", child->name, i, offset);
    QN_REQUIRE(offset - start <= INT32_MAX, err, QN_ERR_VALUE,
               "Arrow column '%s' has more than 2147483647 bytes; import it in slices", child->name);
    before = offset - start;
    offsets[i] = (int32_t)before;
  }
  QN_TRY(check_has_bytes(child, before, err));
  set_bytes(child, column, start);

done:
  return status;
}

static qn_status check_child(const arrow_child *child, qn_error *err) {
  qn_status status = QN_OK;
  const struct ArrowArray *array = child->array;
  const int64_t n_buffers = qn_type_is_text(child->format->type) ? 3 : 2;

  QN_REQUIRE(array->dictionary == NULL, err, QN_ERR_TYPE,
             "Arrow column '%s' is dictionary-encoded; decode it before the import", child->name);
  QN_REQUIRE(array->offset >= 0 && array->offset <= INT64_MAX / 16, err, QN_ERR_FORMAT,
             "Arrow column '%s' has offset %" PRId64, child->name, array->offset);
  QN_REQUIRE(array->length >= child->outer_first + child->n_rows, err, QN_ERR_FORMAT,
             "Arrow column '%s' has %" PRId64 " rows, but its struct reaches row %" PRId64, child->name,
             array->length, child->outer_first + child->n_rows);
  QN_REQUIRE(array->n_buffers == n_buffers && array->buffers != NULL, err, QN_ERR_FORMAT,
             "Arrow column '%s' has %" PRId64 " buffers, %" PRId64 " were expected", child->name,
             array->n_buffers, n_buffers);
  QN_REQUIRE(array->buffers[1] != NULL || child->n_rows == 0, err, QN_ERR_FORMAT,
             "Arrow column '%s' of %" PRId64 " rows has no values", child->name, child->n_rows);

done:
  return status;
}

static qn_status import_column(const arrow_child *child, qn_column *column, qn_error *err) {
  qn_status status = QN_OK;
  *column = (qn_column){.type = child->format->type, .n_rows = child->n_rows};

  QN_TRY(check_child(child, err));
  if (child->n_rows == 0) { // its buffers may be missing
    return qn_column_all_null(child->format->type, 0, column, err);
  }
  QN_TRY(import_validity(child, column, err));
  switch (child->format->method) {
  case AS_IT_IS:
    QN_TRY(qn_type_is_text(column->type) ? import_text(child, column, err)
                                         : import_values(child, column, err));
    break;
  case UNPACK_BITS:
    QN_TRY(import_bools(child, column, err));
    break;
  case MULTIPLY:
  case DIVIDE:
    QN_TRY(import_times(child, column, err));
    break;
  case LARGE_OFFSETS:
    QN_TRY(import_large_text(child, column, err));
    break;
  }

done:
  return status;
}

// The names and types of the children.
static qn_status import_schema(const struct ArrowSchema *arrow, const arrow_format **chosen, qn_schema **out,
                               qn_error *err) {
  qn_status status = QN_OK;
  qn_field *fields = calloc((size_t)arrow->n_children + 1, sizeof *fields);
  char no_name[] = "";

  QN_REQUIRE(fields != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " columns", arrow->n_children);
  for (int64_t i = 0; i < arrow->n_children; i++) {
    const struct ArrowSchema *child = arrow->children[i];
    const char *name = child->name != NULL ? child->name : no_name;
    chosen[i] = find_format(child->format);
    QN_REQUIRE(chosen[i] != NULL && child->dictionary == NULL, err, QN_ERR_TYPE,
               "Arrow column '%s' has the format '%s'%s, which is not read; cast it to a number, bool, text, "
               "binary, "
               "date32 or timestamp in UTC before the import",
               name, child->format != NULL ? child->format : "",
               child->dictionary != NULL ? " of a dictionary" : "");
    fields[i] = (qn_field){.name = (char *)(uintptr_t)name, .type = chosen[i]->type};
  }
  QN_TRY(qn_schema_new(fields, (int)arrow->n_children, out, err));

done:
  free(fields);
  return status;
}

static qn_status check_struct(const struct ArrowSchema *schema, const struct ArrowArray *array,
                              qn_error *err) {
  qn_status status = QN_OK;
  QN_REQUIRE(schema->format != NULL && strcmp(schema->format, "+s") == 0, err, QN_ERR_TYPE,
             "an Arrow array has the format '%s'; a struct array ('+s') was expected",
             schema->format != NULL ? schema->format : "");
  QN_REQUIRE(schema->n_children == array->n_children && schema->n_children >= 0 &&
                 schema->n_children <= INT32_MAX,
             err, QN_ERR_FORMAT, "an Arrow array has %" PRId64 " columns, its schema %" PRId64,
             array->n_children, schema->n_children);
  QN_REQUIRE(array->length >= 0 && array->offset >= 0 && array->offset <= INT64_MAX / 32, err, QN_ERR_FORMAT,
             "an Arrow array has length %" PRId64 " and offset %" PRId64, array->length, array->offset);
  QN_REQUIRE(array->length < INT32_MAX, err, QN_ERR_VALUE,
             "an Arrow array has %" PRId64 " rows; import at most 2147483646 at once", array->length);

done:
  return status;
}

static qn_status import_columns(const struct ArrowSchema *schema, const struct ArrowArray *array,
                                qn_block *owner, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_columns = schema->n_children;
  const arrow_format **chosen = NULL;
  qn_column *columns = NULL;
  qn_schema *made_schema = NULL;
  qn_batch *batch = NULL;
  const bool has_outer = array->null_count != 0 && array->n_buffers > 0 && array->buffers != NULL;

  QN_TRY(check_struct(schema, array, err));
  chosen = calloc((size_t)n_columns + 1, sizeof(const arrow_format *));
  columns = calloc((size_t)n_columns + 1, sizeof *columns);
  QN_REQUIRE(chosen != NULL && columns != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " columns",
             n_columns);
  QN_TRY(import_schema(schema, chosen, &made_schema, err));
  for (int64_t i = 0; i < n_columns; i++) {
    const arrow_child child = {.format = chosen[i],
                               .array = array->children[i],
                               .name = made_schema->fields[i].name,
                               .first =
                                   (int64_t)((uint64_t)array->children[i]->offset + (uint64_t)array->offset),
                               .n_rows = array->length,
                               .outer = has_outer ? array->buffers[0] : NULL,
                               .outer_first = array->offset,
                               .owner = owner};
    QN_TRY(import_column(&child, &columns[i], err));
  }
  QN_TRY(qn_batch_new_take(made_schema, array->length, columns, &batch, err));
  QN_TRY(qn_batch_validate(batch, true, err));
  *out = batch;
  batch = NULL;

done:
  qn_batch_free(batch);
  qn_schema_free(made_schema);
  for (int64_t i = 0; columns != NULL && i < n_columns; i++) {
    qn_column_release(&columns[i]);
  }
  free(columns);
  free(chosen);
  return status;
}

static void release_imported(void *memory) {
  struct ArrowArray *array = memory;
  if (array->release != NULL) {
    array->release(array);
  }
  free(array);
}

// A block that owns the array, which is moved into it, also on failure.
static qn_status take_array(struct ArrowArray *array, qn_block **out, qn_error *err) {
  struct ArrowArray *moved = malloc(sizeof *moved);
  if (moved == NULL) {
    if (array->release != NULL) {
      array->release(array);
    }
    return qn_fail(err, QN_ERR_MEMORY, "no memory for an Arrow array");
  }
  *moved = *array;
  array->release = NULL;
  return qn_block_new(moved, release_imported, out, err);
}

qn_status qn_batch_import(struct ArrowSchema *schema, struct ArrowArray *array, qn_batch **out,
                          qn_error *err) {
  qn_status status = QN_OK;
  qn_block *owner = NULL;
  const bool is_live = schema->release != NULL && array->release != NULL;

  QN_TRY(take_array(array, &owner, err));
  QN_REQUIRE(is_live, err, QN_ERR_ARG, "an Arrow array or schema was released before its import");
  QN_TRY(import_columns(schema, owner->memory, owner, out, err));

done:
  qn_block_free(owner);
  if (schema->release != NULL) {
    schema->release(schema);
  }
  return status;
}
