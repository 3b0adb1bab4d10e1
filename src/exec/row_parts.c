// SPDX-License-Identifier: Apache-2.0
// A list of batches per source. A row's number leads to its part by way of a table with an entry per block of
// row numbers, from which the part is at most a few steps away.
#include "exec/row_parts.h"
#include <inttypes.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"

enum {
  SMALL_ROWS = QN_BATCH_ROWS / 4, // a batch of fewer rows and fewer bytes is copied
  SMALL_BYTES = 64 << 10,
  MOST_BYTES = 1 << 20, // of small batches put together
  BLOCK_BITS = 10       // of a row's number, within a block
};

typedef struct qn_row_list {
  qn_batch **batches;
  int64_t n, capacity;
  qn_batch_builder small; // rows behind those of the batches; made when needed
} qn_row_list;

qn_status qn_row_parts_init(qn_row_parts *rows, const qn_schema *schema, int n_sources, qn_error *err) {
  *rows = (qn_row_parts){.schema = qn_schema_share(schema), .n_sources = n_sources};
  rows->lists = calloc((size_t)n_sources + 1, sizeof *rows->lists);
  if (rows->lists == NULL) {
    qn_row_parts_release(rows);
    return qn_fail(err, QN_ERR_MEMORY, "no memory for rows of %d ranks", n_sources);
  }
  return QN_OK;
}

static void thaw(qn_row_parts *rows) {
  qn_part_table_release(&rows->table);
  qn_memory_free(rows->parts);
  qn_memory_free(rows->sources);
  qn_memory_free(rows->starts);
  qn_memory_free(rows->part_of_block);
  qn_memory_free(rows->places);
  rows->parts = NULL;
  rows->sources = NULL;
  rows->starts = NULL;
  rows->part_of_block = NULL;
  rows->places = NULL;
  rows->n_places = 0;
  rows->n_parts = 0;
}

void qn_row_parts_clear(qn_row_parts *rows) {
  thaw(rows);
  for (int s = 0; rows->lists != NULL && s < rows->n_sources; s++) {
    qn_row_list *list = &rows->lists[s];
    for (int64_t i = 0; i < list->n; i++) {
      qn_batch_free(list->batches[i]);
    }
    free(list->batches);
    qn_batch_builder_release(&list->small);
    *list = (qn_row_list){0};
  }
  rows->n_rows = 0;
  rows->n_bytes = 0;
}

void qn_row_parts_release(qn_row_parts *rows) {
  qn_row_parts_clear(rows);
  free(rows->lists);
  qn_schema_free(rows->schema);
  *rows = (qn_row_parts){0};
}

static qn_status keep(qn_row_list *list, const qn_batch *batch, qn_error *err) {
  if (list->n == list->capacity) {
    const int64_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
    qn_batch **batches = realloc(list->batches, (size_t)capacity * sizeof *batches);
    if (batches == NULL) {
      return qn_fail(err, QN_ERR_MEMORY, "no memory for a list of %" PRId64 " batches", capacity);
    }
    list->batches = batches;
    list->capacity = capacity;
  }
  list->batches[list->n++] = qn_batch_share(batch);
  return QN_OK;
}

static qn_status flush_small(qn_row_list *list, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *batch = NULL;

  if (list->small.n_rows > 0) {
    QN_TRY(qn_batch_builder_finish(&list->small, &batch, err));
    QN_TRY(keep(list, batch, err));
  }

done:
  qn_batch_free(batch);
  return status;
}

qn_status qn_row_parts_append(qn_row_parts *rows, const qn_batch *batch, int source, qn_error *err) {
  qn_status status = QN_OK;
  qn_row_list *list = &rows->lists[source];
  const int64_t n_bytes = qn_batch_n_bytes(batch);

  if (batch->n_rows == 0) {
    goto done;
  }
  if (batch->n_rows < SMALL_ROWS && n_bytes < SMALL_BYTES) {
    if (list->small.schema == NULL) {
      QN_TRY(qn_batch_builder_init(&list->small, rows->schema, err));
    }
    QN_TRY(qn_batch_builder_append_range(&list->small, batch, 0, batch->n_rows, err));
    if (list->small.n_rows >= QN_BATCH_ROWS || qn_batch_builder_n_bytes(&list->small) >= MOST_BYTES) {
      QN_TRY(flush_small(list, err));
    }
  } else {
    QN_TRY(flush_small(list, err));
    QN_TRY(keep(list, batch, err));
  }
  rows->n_rows += batch->n_rows;
  rows->n_bytes += n_bytes;

done:
  return status;
}

static void number_rows(qn_row_parts *rows) {
  int64_t part = 0;
  int64_t row = 0;
  int64_t block = 0;

  for (int s = 0; s < rows->n_sources; s++) {
    const qn_row_list *list = &rows->lists[s];
    for (int64_t i = 0; i < list->n; i++, part++) {
      rows->parts[part] = list->batches[i];
      rows->sources[part] = s;
      rows->starts[part] = row;
      row += list->batches[i]->n_rows;
      for (; block << BLOCK_BITS < row; block++) {
        rows->part_of_block[block] = (int32_t)part;
      }
    }
  }
  rows->starts[part] = row;
}

qn_status qn_row_parts_freeze(qn_row_parts *rows, qn_error *err) {
  qn_status status = QN_OK;

  thaw(rows);
  for (int s = 0; s < rows->n_sources; s++) {
    QN_TRY(flush_small(&rows->lists[s], err));
    rows->n_parts += rows->lists[s].n;
  }
  const int64_t room = rows->n_parts + 1;
  rows->parts = qn_memory_alloc(room * (int64_t)sizeof *rows->parts);
  rows->sources = qn_memory_alloc(room * (int64_t)sizeof *rows->sources);
  rows->starts = qn_memory_alloc(room * (int64_t)sizeof *rows->starts);
  rows->part_of_block =
      qn_memory_alloc(((rows->n_rows >> BLOCK_BITS) + 1) * (int64_t)sizeof *rows->part_of_block);
  QN_REQUIRE(rows->parts != NULL && rows->sources != NULL && rows->starts != NULL &&
                 rows->part_of_block != NULL,
             err, QN_ERR_MEMORY, "no memory for a list of %" PRId64 " batches", rows->n_parts);
  number_rows(rows);
  QN_TRY(qn_part_table_init(&rows->table, rows->schema, rows->parts, rows->n_parts, err));

done:
  return status;
}

qn_status qn_row_parts_find(qn_row_parts *rows, const int32_t *numbers, int64_t n, const qn_part_row **places,
                            qn_error *err) {
  qn_status status = QN_OK;

  if (n > rows->n_places) {
    qn_memory_free(rows->places);
    rows->n_places = 0;
    rows->places = qn_memory_alloc(n * (int64_t)sizeof *rows->places);
    QN_REQUIRE(rows->places != NULL, err, QN_ERR_MEMORY, "no memory to find %" PRId64 " rows", n);
    rows->n_places = n;
  }
  for (int64_t i = 0; i < n; i++) {
    const int64_t number = numbers[i];
    int32_t part = rows->part_of_block[number >> BLOCK_BITS];
    while (number >= rows->starts[part + 1]) {
      part++;
    }
    rows->places[i] = (qn_part_row){.part = part, .row = (int32_t)(number - rows->starts[part])};
  }
  *places = rows->places;

done:
  return status;
}

static qn_status gather_sources(const qn_row_parts *rows, const qn_part_row *places, int64_t n,
                                qn_column *out, qn_error *err) {
  qn_status status = QN_OK;
  void *values = NULL;

  QN_TRY(qn_column_fixed(QN_INT32, n, out, &values, err));
  for (int64_t i = 0; i < n; i++) {
    ((int32_t *)values)[i] = rows->sources[places[i].part];
  }

done:
  return status;
}

qn_status qn_row_parts_gather(qn_row_parts *rows, const qn_schema *schema, const int *columns,
                              const int32_t *numbers, int64_t n, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_part_row *places = NULL;
  const int n_columns = schema->n_columns;
  qn_column *gathered = calloc((size_t)n_columns + 1, sizeof *gathered);

  QN_REQUIRE(gathered != NULL, err, QN_ERR_MEMORY, "no memory for %d columns", n_columns);
  QN_TRY(qn_row_parts_find(rows, numbers, n, &places, err));
  for (int c = 0; c < n_columns; c++) {
    if (columns == NULL && c == rows->schema->n_columns) {
      QN_TRY(gather_sources(rows, places, n, &gathered[c], err));
    } else {
      QN_TRY(
          qn_part_table_gather(&rows->table, columns == NULL ? c : columns[c], places, n, &gathered[c], err));
    }
  }
  QN_TRY(qn_batch_new_take(schema, n, gathered, out, err));

done:
  for (int c = 0; gathered != NULL && c < n_columns; c++) {
    qn_column_release(&gathered[c]);
  }
  free(gathered);
  return status;
}
