// SPDX-License-Identifier: Apache-2.0
// Rows that are gathered lie all over memory, so what is read next is fetched ahead: first the offsets of a
// text, then, when its place is known, its bytes.
#include "kernel/part_table.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"

enum {
  SHORT_COPY = 16, // bytes that one short copy moves; more than needed, where both sides have them
  MOST_SHORT = 160,
  AHEAD = 24, // rows fetched ahead
  TEXT_AHEAD = 12,
  LINE = 64,
  MOST_LINES = 4 // of a text that are fetched ahead
};

struct qn_part_cell {
  const void *values; // or int32 offsets
  const uint8_t *bytes;
  const uint8_t *end;      // of bytes
  const uint8_t *validity; // NULL: no nulls
};

qn_status qn_part_table_init(qn_part_table *table, const qn_schema *schema, const qn_batch *const *parts,
                             int64_t n_parts, qn_error *err) {
  qn_status status = QN_OK;
  const int n_columns = schema->n_columns;
  int64_t size = 0;
  qn_part_table made = {.schema = qn_schema_share(schema), .n_parts = n_parts};

  QN_TRY(qn_mul_size(n_parts * n_columns, sizeof *made.cells, &size, err));
  made.cells = qn_memory_alloc(size);
  made.n_nulls = calloc((size_t)n_columns + 1, sizeof *made.n_nulls);
  QN_REQUIRE(made.cells != NULL && made.n_nulls != NULL, err, QN_ERR_MEMORY,
             "no memory to gather from %" PRId64 " batches", n_parts);
  for (int64_t p = 0; p < n_parts; p++) {
    for (int c = 0; c < n_columns; c++) {
      const qn_column *column = &parts[p]->columns[c];
      const bool is_text = qn_type_is_text(column->type);
      made.cells[c * n_parts + p] = (qn_part_cell){
          .values = is_text ? (const void *)column->offsets : column->values,
          .bytes = column->bytes,
          .end = is_text && column->bytes != NULL ? column->bytes + column->offsets[column->n_rows] : NULL,
          .validity = column->n_nulls > 0 ? column->validity : NULL};
      made.n_nulls[c] += column->n_nulls;
    }
  }
  *table = made;
  made = (qn_part_table){0};

done:
  qn_part_table_release(&made);
  return status;
}

void qn_part_table_release(qn_part_table *table) {
  qn_schema_free(table->schema);
  qn_memory_free(table->cells);
  free(table->n_nulls);
  qn_memory_free(table->texts);
  qn_memory_free(table->sizes);
  *table = (qn_part_table){0};
}

// Always inlined, so that `width` is a constant in each loop.
__attribute__((always_inline)) static inline void gather_width(uint8_t *restrict to,
                                                               const qn_part_cell *restrict cells,
                                                               const qn_part_row *restrict rows,
                                                               int64_t n_rows, size_t width) {
  for (int64_t i = 0; i < n_rows; i++) {
    if (i + AHEAD < n_rows) {
      const qn_part_row next = rows[i + AHEAD];
      __builtin_prefetch((const uint8_t *)cells[next.part].values + (int64_t)next.row * (int64_t)width);
    }
    memcpy(to + i * (int64_t)width,
           (const uint8_t *)cells[rows[i].part].values + (int64_t)rows[i].row * (int64_t)width, width);
  }
}

static void gather_fixed(uint8_t *to, const qn_part_cell *cells, qn_type type, const qn_part_row *rows,
                         int64_t n_rows) {
  switch (qn_type_width(type)) {
  case 1:
    gather_width(to, cells, rows, n_rows, 1);
    break;
  case 4:
    gather_width(to, cells, rows, n_rows, 4);
    break;
  default:
    gather_width(to, cells, rows, n_rows, 8);
  }
}

static int64_t gather_validity(uint8_t *to, const qn_part_cell *cells, const qn_part_row *rows,
                               int64_t n_rows) {
  int64_t n_nulls = 0;
  for (int64_t i = 0; i < n_rows; i++) {
    const uint8_t *validity = cells[rows[i].part].validity;
    if (validity == NULL || qn_bitmap_get(validity, rows[i].row)) {
      qn_bitmap_set(to, i);
    } else {
      n_nulls++;
    }
  }
  return n_nulls;
}

// Where each text lies and ends; returns the bytes of all. Past INT32_MAX the ends are of no use, and the
// caller fails.
static int64_t find_texts(const qn_part_table *table, const qn_part_cell *restrict cells,
                          const qn_part_row *restrict rows, int64_t n_rows, int32_t *restrict ends) {
  int64_t end = 0;
  for (int64_t i = 0; i < n_rows; i++) {
    if (i + AHEAD < n_rows) {
      const qn_part_row next = rows[i + AHEAD];
      __builtin_prefetch((const int32_t *)cells[next.part].values + next.row);
    }
    const qn_part_cell *cell = &cells[rows[i].part];
    const int32_t *offsets = (const int32_t *)cell->values + rows[i].row;
    table->texts[i] = cell->bytes + offsets[0];
    table->sizes[i] = offsets[1] - offsets[0];
    end += table->sizes[i];
    ends[i] = (int32_t)end;
  }
  return end;
}

__attribute__((always_inline)) static inline void fetch_text(const uint8_t *text, int32_t size) {
  const int32_t n_bytes = size < MOST_LINES * LINE ? size : MOST_LINES * LINE;
  for (int32_t at = 0; at < n_bytes; at += LINE) {
    __builtin_prefetch(text + at);
  }
  __builtin_prefetch(text + (n_bytes > 0 ? n_bytes - 1 : 0));
}

// Texts of some bytes are copied 16 at a time where the source has them; the target always has (its slack),
// and what is copied too much is overwritten by the next row.
static void copy_texts(const qn_part_table *table, const qn_part_cell *restrict cells,
                       const qn_part_row *restrict rows, int64_t n_rows, uint8_t *restrict to) {
  for (int64_t i = 0; i < n_rows; i++) {
    if (i + TEXT_AHEAD < n_rows) {
      fetch_text(table->texts[i + TEXT_AHEAD], table->sizes[i + TEXT_AHEAD]);
    }
    const uint8_t *from = table->texts[i];
    const int64_t size = table->sizes[i];
    if (size <= MOST_SHORT && cells[rows[i].part].end - from >= size + SHORT_COPY) {
      for (int64_t at = 0; at < size; at += SHORT_COPY) {
        memcpy(to + at, from + at, SHORT_COPY);
      }
    } else if (size > 0) {
      memcpy(to, from, (size_t)size);
    }
    to += size;
  }
}

static qn_status make_room(qn_part_table *table, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;

  if (n_rows > table->capacity) {
    qn_memory_free(table->texts);
    qn_memory_free(table->sizes);
    table->capacity = 0;
    table->texts = qn_memory_alloc(n_rows * (int64_t)sizeof *table->texts);
    table->sizes = qn_memory_alloc(n_rows * (int64_t)sizeof *table->sizes);
    QN_REQUIRE(table->texts != NULL && table->sizes != NULL, err, QN_ERR_MEMORY,
               "no memory to gather %" PRId64 " rows", n_rows);
    table->capacity = n_rows;
  }

done:
  return status;
}

static qn_status gather_text(qn_part_table *table, const qn_part_cell *cells, const qn_part_row *rows,
                             int64_t n_rows, qn_column_builder *builder, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(make_room(table, n_rows, err));
  QN_TRY(qn_column_builder_reserve(builder, n_rows, 0, err));
  int32_t *ends = (int32_t *)(void *)builder->values.data;
  ends[0] = 0;
  const int64_t n_bytes = find_texts(table, cells, rows, n_rows, ends + 1);
  QN_TRY(qn_column_builder_reserve(builder, 0, n_bytes, err));
  copy_texts(table, cells, rows, n_rows, builder->bytes.data);
  builder->values.size = (n_rows + 1) * (int64_t)sizeof *ends;
  builder->bytes.size = n_bytes;

done:
  return status;
}

qn_status qn_part_table_gather(qn_part_table *table, int column, const qn_part_row *rows, int64_t n_rows,
                               qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_type type = table->schema->fields[column].type;
  const qn_part_cell *cells = table->cells + column * table->n_parts;
  qn_column_builder builder = {0};

  qn_column_builder_init(&builder, type);
  if (n_rows > 0 && qn_type_is_text(type)) {
    QN_TRY(gather_text(table, cells, rows, n_rows, &builder, err));
  } else if (n_rows > 0) {
    QN_TRY(qn_column_builder_reserve(&builder, n_rows, 0, err));
    gather_fixed(builder.values.data, cells, type, rows, n_rows);
    builder.values.size = n_rows * qn_type_width(type);
  }
  if (n_rows > 0 && table->n_nulls[column] > 0) {
    QN_TRY(qn_buffer_reserve(&builder.validity, qn_bitmap_bytes(n_rows), err));
    memset(builder.validity.data, 0, (size_t)qn_bitmap_bytes(n_rows));
    builder.validity.size = qn_bitmap_bytes(n_rows);
    builder.n_nulls = gather_validity(builder.validity.data, cells, rows, n_rows);
  }
  builder.n_rows = n_rows;
  QN_TRY(qn_column_builder_finish(&builder, out, err));

done:
  qn_column_builder_release(&builder);
  return status;
}

qn_status qn_part_table_gather_batch(qn_part_table *table, const qn_part_row *rows, int64_t n_rows,
                                     qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  const int n = table->schema->n_columns;
  qn_column *columns = calloc((size_t)n + 1, sizeof *columns);

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for %d columns", n);
  for (int c = 0; c < n; c++) {
    QN_TRY(qn_part_table_gather(table, c, rows, n_rows, &columns[c], err));
  }
  QN_TRY(qn_batch_new_take(table->schema, n_rows, columns, out, err));

done:
  for (int c = 0; columns != NULL && c < n; c++) {
    qn_column_release(&columns[c]);
  }
  free(columns);
  return status;
}
