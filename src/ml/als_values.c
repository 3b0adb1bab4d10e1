// SPDX-License-Identifier: Apache-2.0
// Each rank sends its values to the rank that owns their hash, which keeps one of each; these are gathered on
// all ranks and sorted. So a value travels as often as ranks have it, and each rank sorts all of them once.
#include "ml/als_values.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "column/builder.h"
#include "column/wire.h"
#include "comm/exchange.h"
#include "kernel/hash_columns.h"
#include "kernel/sort_rows.h"

enum { PIECE_VALUES = 4096 };

void qn_als_values_release(qn_als_values *values) {
  qn_column_release(&values->column);
  qn_group_table_free(values->table);
  *values = (qn_als_values){0};
}

// Adds the rows of a column to a table; groups (may be NULL) gets their groups.
static qn_status add_column(qn_group_table *table, const qn_column *column, int32_t *groups, qn_error *err) {
  qn_status status = QN_OK;
  int32_t *own = groups == NULL ? qn_memory_alloc(column->n_rows * (int64_t)sizeof *own) : NULL;
  uint64_t *hashes = qn_memory_alloc(column->n_rows * (int64_t)sizeof *hashes);

  QN_REQUIRE(hashes != NULL && (own != NULL || groups != NULL), err, QN_ERR_MEMORY,
             "no memory to number %" PRId64 " values", column->n_rows);
  qn_hash_columns(&column, 1, column->n_rows, hashes);
  QN_TRY(qn_group_table_add(table, &column, hashes, column->n_rows, groups == NULL ? own : groups, err));

done:
  qn_memory_free(own);
  qn_memory_free(hashes);
  return status;
}

static qn_status add_arrived(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  (void)from_rank;
  return add_column(ctx, &batch->columns[0], NULL, err);
}

// A batch of one column of some of a table's groups.
static qn_status batch_of_groups(const qn_group_table *table, const qn_schema *schema, int64_t first,
                                 int64_t n, qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_column column = {0};

  QN_TRY(qn_group_table_keys(table, first, n, &column, err));
  QN_TRY(qn_batch_new_take(schema, n, &column, out, err));

done:
  qn_column_release(&column);
  return status;
}

static qn_status send_to_owners(qn_comm *comm, const qn_schema *schema, const qn_group_table *own,
                                qn_group_table *owned, qn_error *err) {
  qn_status status = QN_OK;
  qn_exchange *exchange = NULL;
  qn_batch *batch = NULL;
  const int64_t n = qn_group_table_n_groups(own);
  const uint64_t *hashes = qn_group_table_hashes(own);
  int32_t *ranks = qn_memory_alloc(PIECE_VALUES * (int64_t)sizeof *ranks);

  QN_REQUIRE(ranks != NULL, err, QN_ERR_MEMORY, "no memory to number values");
  QN_TRY(qn_exchange_open(comm, schema, NULL, add_arrived, owned, &exchange, err));
  for (int64_t first = 0; first < n; first += PIECE_VALUES) {
    const int64_t m = n - first < PIECE_VALUES ? n - first : PIECE_VALUES;
    for (int64_t i = 0; i < m; i++) {
      ranks[i] = qn_hash_to_range(hashes[first + i], qn_comm_size(comm));
    }
    QN_TRY(batch_of_groups(own, schema, first, m, &batch, err));
    QN_TRY(qn_exchange_scatter(exchange, batch, ranks, err));
    qn_batch_free(batch);
    batch = NULL;
  }
  QN_TRY(qn_exchange_finish(exchange, err));

done:
  qn_exchange_close(exchange);
  qn_batch_free(batch);
  qn_memory_free(ranks);
  return status;
}

// The values that each rank owns, on all ranks, in the order of ranks.
static qn_status gather_values(qn_comm *comm, const qn_schema *schema, const qn_group_table *owned,
                               qn_batch **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_buffer own = {0};
  qn_buffer all = {0};
  qn_batch *batch = NULL;
  qn_block *block = NULL;
  const int n_ranks = qn_comm_size(comm);
  int64_t *sizes = qn_memory_alloc(n_ranks * (int64_t)sizeof *sizes);
  qn_batch **batches = qn_memory_alloc(n_ranks * (int64_t)sizeof *batches);
  int n_batches = 0;

  QN_REQUIRE(sizes != NULL && batches != NULL, err, QN_ERR_MEMORY, "no memory to number values");
  QN_TRY(batch_of_groups(owned, schema, 0, qn_group_table_n_groups(owned), &batch, err));
  QN_TRY(qn_wire_encode(batch, &own, err));
  QN_TRY(qn_comm_gather(comm, own.data, own.size, &all, sizes, err));
  QN_TRY(qn_block_from_buffer_take(&all, &block, err));
  const uint8_t *data = block->memory;
  for (int r = 0; r < n_ranks; r++) {
    QN_TRY(qn_wire_decode(schema, block, data, sizes[r], &batches[r], err));
    n_batches++;
    data += sizes[r];
  }
  QN_TRY(qn_batch_concat(schema, batches, n_batches, out, err));

done:
  for (int r = 0; r < n_batches; r++) {
    qn_batch_free(batches[r]);
  }
  qn_memory_free(batches);
  qn_memory_free(sizes);
  qn_block_free(block);
  qn_batch_free(batch);
  qn_buffer_release(&own);
  qn_buffer_release(&all);
  return status;
}

// From the values, ascending, which become `out`'s: the table that numbers them.
static qn_status number_values(qn_column *column, qn_als_values *out, qn_error *err) {
  qn_status status = QN_OK;
  qn_als_values values = {.type = column->type, .n = column->n_rows};

  values.column = *column;
  *column = (qn_column){0};
  QN_TRY(qn_group_table_new(&values.type, 1, &values.table, err));
  QN_TRY(add_column(values.table, &values.column, NULL, err));
  QN_REQUIRE(qn_group_table_n_groups(values.table) == values.n, err, QN_ERR_FORMAT,
             "the model's users or items are not all different: its file was damaged or made by others");
  *out = values;
  values = (qn_als_values){0};

done:
  qn_als_values_release(&values);
  return status;
}

static qn_status sort_values(const qn_batch *batch, qn_als_values *out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_column *key = &batch->columns[0];
  const qn_order order = {0};
  qn_batch *sorted = NULL;
  qn_column column = {0};
  int32_t *rows = NULL;

  QN_REQUIRE(batch->n_rows < INT32_MAX, err, QN_ERR_VALUE,
             "%" PRId64 " different users or items; als takes up to %d", batch->n_rows, INT32_MAX - 1);
  rows = qn_memory_alloc(batch->n_rows * (int64_t)sizeof *rows);
  QN_REQUIRE(rows != NULL, err, QN_ERR_MEMORY, "no memory to sort %" PRId64 " values", batch->n_rows);
  QN_TRY(qn_sort_rows(&key, &order, 1, batch->n_rows, rows, err));
  QN_TRY(qn_batch_gather(batch, rows, batch->n_rows, &sorted, err));
  column = qn_column_share(&sorted->columns[0]);
  QN_TRY(number_values(&column, out, err));

done:
  qn_column_release(&column);
  qn_batch_free(sorted);
  qn_memory_free(rows);
  return status;
}

qn_status qn_als_values_unite(qn_comm *comm, qn_type type, const qn_group_table *own, qn_als_values *out,
                              int32_t *numbers, qn_error *err) {
  qn_status status = QN_OK;
  qn_schema *schema = NULL;
  qn_group_table *owned = NULL;
  qn_batch *batch = NULL;
  qn_column column = {0};
  qn_als_values values = {0};
  char name[] = "value";
  const qn_field field = {.name = name, .type = type};

  QN_TRY(qn_schema_new(&field, 1, &schema, err));
  QN_TRY(qn_group_table_new(&type, 1, &owned, err));
  QN_TRY(send_to_owners(comm, schema, own, owned, err));
  QN_TRY(gather_values(comm, schema, owned, &batch, err));
  QN_REQUIRE(batch != NULL, err, QN_ERR_MEMORY, "no memory to number values");
  QN_TRY(sort_values(batch, &values, err));
  QN_TRY(qn_group_table_keys(own, 0, qn_group_table_n_groups(own), &column, err));
  QN_TRY(qn_als_values_find(&values, &column, numbers, err));
  *out = values;
  values = (qn_als_values){0};

done:
  qn_als_values_release(&values);
  qn_column_release(&column);
  qn_batch_free(batch);
  qn_group_table_free(owned);
  qn_schema_free(schema);
  return status;
}

qn_status qn_als_values_find(const qn_als_values *values, const qn_column *column, int32_t *numbers,
                             qn_error *err) {
  qn_status status = QN_OK;
  uint64_t *hashes = NULL;

  QN_REQUIRE(column->type == values->type, err, QN_ERR_TYPE,
             "users or items are %s here, and were %s in training", qn_type_name(column->type),
             qn_type_name(values->type));
  hashes = qn_memory_alloc(column->n_rows * (int64_t)sizeof *hashes);
  QN_REQUIRE(hashes != NULL, err, QN_ERR_MEMORY, "no memory to find %" PRId64 " values", column->n_rows);
  qn_hash_columns(&column, 1, column->n_rows, hashes);
  qn_group_table_find(values->table, &column, hashes, column->n_rows, numbers);

done:
  qn_memory_free(hashes);
  return status;
}

qn_status qn_als_values_put(const qn_als_values *values, const char *name, qn_arrays *arrays, qn_error *err) {
  qn_status status = QN_OK;
  char word[64];
  const qn_column *column = &values->column;

  snprintf(word, sizeof word, "%s_values", name);
  if (values->type != QN_UTF8) {
    QN_TRY(qn_arrays_put(arrays, word, values->type, values->n, column->values, err));
    goto done;
  }
  snprintf(word, sizeof word, "%s_value_starts", name);
  QN_TRY(qn_arrays_put(arrays, word, QN_INT32, values->n + 1, column->offsets, err));
  snprintf(word, sizeof word, "%s_value_bytes", name);
  const int64_t n_bytes = values->n == 0 ? 0 : column->offsets[values->n];
  const int64_t n_words = (n_bytes + 3) / 4;
  void *words = NULL;
  QN_TRY(qn_arrays_new(arrays, word, QN_INT32, 1, &n_words, &words, err));
  memset(words, 0, (size_t)n_words * 4);
  memcpy(words, column->bytes, (size_t)n_bytes);

done:
  return status;
}

// Appends the texts between the offsets, which come from outside.
static qn_status append_texts(const int32_t *offsets, int64_t n, const uint8_t *bytes, int64_t n_bytes,
                              qn_column_builder *builder, qn_error *err) {
  qn_status status = QN_OK;

  for (int64_t i = 0; i < n; i++) {
    QN_REQUIRE(offsets[i] >= 0 && offsets[i] <= offsets[i + 1] && offsets[i + 1] <= n_bytes, err,
               QN_ERR_FORMAT, "the model's users or items are not whole texts: its file was damaged");
    QN_TRY(qn_column_builder_append_text(builder, bytes + offsets[i], offsets[i + 1] - offsets[i], err));
  }

done:
  return status;
}

static qn_status get_texts(const qn_arrays *arrays, const char *name, qn_column_builder *builder,
                           qn_error *err) {
  qn_status status = QN_OK;
  char word[64];
  const void *offsets = NULL;
  const void *bytes = NULL;
  const int64_t any = -1;

  snprintf(word, sizeof word, "%s_value_starts", name);
  QN_TRY(qn_arrays_get(arrays, word, QN_INT32, 1, &any, &offsets, err));
  const int64_t n = qn_arrays_find(arrays, word)->dims[0] - 1;
  snprintf(word, sizeof word, "%s_value_bytes", name);
  QN_TRY(qn_arrays_get(arrays, word, QN_INT32, 1, &any, &bytes, err));
  QN_TRY(append_texts(offsets, n, bytes, qn_arrays_find(arrays, word)->dims[0] * 4, builder, err));

done:
  return status;
}

qn_status qn_als_values_get(const qn_arrays *arrays, const char *name, qn_als_values *out, qn_error *err) {
  qn_status status = QN_OK;
  char word[64];
  qn_column column = {0};
  qn_column_builder builder = {0};

  snprintf(word, sizeof word, "%s_values", name);
  const qn_array *array = qn_arrays_find(arrays, word);
  if (array == NULL) {
    qn_column_builder_init(&builder, QN_UTF8);
    QN_TRY(get_texts(arrays, name, &builder, err));
  } else {
    QN_REQUIRE(array->n_dims == 1 && (array->type == QN_INT32 || array->type == QN_INT64), err, QN_ERR_FORMAT,
               "array '%s' of the model is not a list of whole numbers", word);
    qn_column_builder_init(&builder, array->type);
    const qn_column given = {.type = array->type, .n_rows = array->dims[0], .values = array->data};
    QN_TRY(qn_column_builder_append_range(&builder, &given, 0, given.n_rows, err));
  }
  QN_TRY(qn_column_builder_finish(&builder, &column, err));
  QN_TRY(number_values(&column, out, err));

done:
  qn_column_release(&column);
  qn_column_builder_release(&builder);
  return status;
}

void qn_als_values_describe(const qn_als_values *values, int64_t number, char *text, size_t size) {
  if (values->type == QN_UTF8) {
    const qn_text value = qn_column_text(&values->column, number);
    snprintf(text, size, "'%.*s'", (int)(value.size < 60 ? value.size : 60), value.data);
  } else if (values->type == QN_INT32) {
    snprintf(text, size, "%" PRId32, qn_column_int32(&values->column, number));
  } else {
    snprintf(text, size, "%" PRId64, qn_column_int64(&values->column, number));
  }
}
