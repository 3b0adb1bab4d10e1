// SPDX-License-Identifier: Apache-2.0
// Keys of the build side are numbered, by their distance from the lowest one where they are dense integers,
// else by a group table; an index lists the build rows of each number. A probe batch looks its keys up,
// expands them to pairs of row numbers, checks the extra condition on the pairs and gathers.
#include "exec/join_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"
#include "column/wire.h"
#include "kernel/dense_keys.h"
#include "kernel/group_table.h"
#include "kernel/hash_columns.h"
#include "kernel/join_index.h"

enum {
  PLACES_PER_ROW = 12,   // of an array over dense keys, at most: what a hash table would take
  FEW_PLACES = 64 << 10, // always allowed
  ROWS_TO_SORT = 2,      // per key: rows are put in the order of their keys
  BYTES_PER_ROW = 64,    // of a group table with its index
};

struct qn_join_table {
  qn_join_output output;
  int build_side;
  qn_batch *build;
  qn_schema *both_schema; // left then right columns, for the condition; else NULL
  bool *is_read;          // [columns of both_schema]: by the condition
  qn_dense_keys dense;    // n_groups 0: `keys` numbers them
  qn_group_table *keys;
  qn_join_index index;
  uint8_t *is_matched;       // [build rows], if build rows come out by themselves
  const qn_column **columns; // [n_keys]
  int64_t capacity;          // rows that the arrays below have room for
  uint64_t *hashes;
  int32_t *groups;
  uint8_t *marks;                          // [probe rows]
  int32_t *probe_rows, *build_rows, *kept; // [QN_BATCH_ROWS]
};

int64_t qn_join_table_cost(int64_t n_rows, int64_t n_bytes) {
  return n_bytes + n_rows * BYTES_PER_ROW;
}

static qn_status make_room(qn_join_table *table, int64_t n_rows, qn_error *err) {
  if (n_rows <= table->capacity) {
    return QN_OK;
  }
  qn_memory_free(table->hashes);
  qn_memory_free(table->groups);
  qn_memory_free(table->marks);
  table->hashes = table->dense.n_groups > 0 ? NULL : qn_memory_alloc(n_rows * (int64_t)sizeof *table->hashes);
  table->groups = qn_memory_alloc(n_rows * (int64_t)sizeof *table->groups);
  table->marks = qn_memory_alloc(n_rows);
  const bool is_made =
      (table->hashes != NULL || table->dense.n_groups > 0) && table->groups != NULL && table->marks != NULL;
  table->capacity = is_made ? n_rows : 0;
  return is_made ? QN_OK : qn_fail(err, QN_ERR_MEMORY, "no memory to join %lld rows", (long long)n_rows);
}

// The arrays have been as large as the build side.
static void give_room_back(qn_join_table *table) {
  qn_memory_free(table->hashes);
  qn_memory_free(table->groups);
  qn_memory_free(table->marks);
  table->hashes = NULL;
  table->groups = NULL;
  table->marks = NULL;
  table->capacity = 0;
}

static const int *keys_of(const qn_join_table *table, bool is_build) {
  const qn_dataset *node = table->output.node;
  return (table->build_side == 0) == is_build ? node->left_keys : node->right_keys;
}

static void choose_keys(qn_join_table *table, const qn_batch *batch, bool is_build) {
  const int *keys = keys_of(table, is_build);
  for (int k = 0; k < table->output.node->n_keys; k++) {
    table->columns[k] = &batch->columns[keys[k]];
  }
}

// Null keys match nothing.
static void drop_null_keys(const qn_join_table *table, int64_t n_rows) {
  for (int k = 0; k < table->output.node->n_keys; k++) {
    const qn_column *column = table->columns[k];
    for (int64_t row = 0; column->n_nulls > 0 && row < n_rows; row++) {
      if (qn_column_is_null(column, row)) {
        table->groups[row] = -1;
      }
    }
  }
}

// Types of the columns that are chosen; the caller's, to free(). NULL if there is no memory.
static qn_type *key_types(const qn_join_table *table) {
  const int n_keys = table->output.node->n_keys;
  qn_type *types = calloc((size_t)n_keys + 1, sizeof *types);
  for (int k = 0; types != NULL && k < n_keys; k++) {
    types[k] = table->columns[k]->type;
  }
  return types;
}

static qn_status number_keys(qn_join_table *table, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = table->output.node;
  const int64_t n_rows = table->build->n_rows;
  qn_type *types = key_types(table);

  QN_REQUIRE(types != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  QN_TRY(qn_group_table_new(types, node->n_keys, &table->keys, err));
  qn_hash_columns(table->columns, node->n_keys, n_rows, table->hashes);
  QN_TRY(qn_group_table_add(table->keys, table->columns, table->hashes, n_rows, table->groups, err));
  drop_null_keys(table, n_rows);

done:
  free(types);
  return status;
}

// Rows of a key that has many lie side by side afterwards, so that its pairs are gathered from few places.
static qn_status sort_build(qn_join_table *table, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_rows = table->build->n_rows;
  qn_batch *sorted = NULL;
  int32_t *order = qn_memory_alloc(n_rows * (int64_t)sizeof *order);

  QN_REQUIRE(order != NULL, err, QN_ERR_MEMORY, "no memory to join %lld rows", (long long)n_rows);
  qn_join_index_sort_rows(&table->index, table->groups, n_rows, order);
  QN_TRY(qn_batch_gather(table->build, order, n_rows, &sorted, err));
  qn_batch_free(table->build);
  table->build = sorted;

done:
  qn_memory_free(order);
  return status;
}

static qn_status index_build(qn_join_table *table, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_rows = table->build->n_rows;
  const int64_t most = n_rows < INT32_MAX / PLACES_PER_ROW ? n_rows * PLACES_PER_ROW : INT32_MAX - 64;

  choose_keys(table, table->build, true);
  if (table->output.node->n_keys == 1) {
    table->dense = qn_dense_keys_find_range(table->columns[0], most > FEW_PLACES ? most : FEW_PLACES);
  }
  QN_TRY(make_room(table, n_rows, err));
  if (table->dense.n_groups > 0) {
    qn_dense_keys_groups(&table->dense, table->columns[0], table->groups);
  } else {
    QN_TRY(number_keys(table, err));
  }
  const int64_t n_groups =
      table->dense.n_groups > 0 ? table->dense.n_groups : qn_group_table_n_groups(table->keys);
  QN_TRY(qn_join_index_init(&table->index, table->groups, n_rows, n_groups, err));
  // Ranks that hold the same rows speak of those with marks by number, and may not all have the memory.
  if (table->is_matched == NULL && !table->index.is_unique && n_rows >= ROWS_TO_SORT * n_groups &&
      !qn_memory_is_tight(qn_batch_n_bytes(table->build))) {
    QN_TRY(sort_build(table, err));
  }
  give_room_back(table);

done:
  return status;
}

static qn_status make_both_schema(qn_join_table *table, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = table->output.node;
  qn_arena names = {0};
  int n = 0;
  const int n_all = node->inputs[0]->schema->n_columns + node->inputs[1]->schema->n_columns;
  qn_field *fields = calloc((size_t)n_all + 1, sizeof *fields);

  QN_REQUIRE(fields != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  for (int side = 0; side < 2; side++) {
    const qn_schema *schema = node->inputs[side]->schema;
    for (int c = 0; c < schema->n_columns; c++) {
      char *name = qn_arena_printf(&names, "%d.%s", side, schema->fields[c].name);
      QN_REQUIRE(name != NULL, err, QN_ERR_MEMORY, "no memory for a join");
      fields[n++] = (qn_field){.name = name, .type = schema->fields[c].type};
    }
  }
  QN_TRY(qn_schema_new(fields, n, &table->both_schema, err));
  table->is_read = calloc((size_t)n_all + 1, sizeof *table->is_read);
  QN_REQUIRE(table->is_read != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  qn_expr_mark_columns(node->condition, table->is_read);

done:
  qn_arena_release(&names);
  free(fields);
  return status;
}

// All but what keys are looked up by.
static qn_status new_table(const qn_join_output *output, int build_side, const qn_batch *build,
                           qn_join_table **out, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = output->node;
  qn_join_table *table = calloc(1, sizeof *table);

  QN_REQUIRE(table != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  table->output = *output;
  table->build_side = build_side;
  table->build = qn_batch_share(build);
  table->columns = calloc((size_t)node->n_keys + 1, sizeof *table->columns);
  table->probe_rows = qn_memory_alloc((int64_t)sizeof(int32_t) * QN_BATCH_ROWS);
  table->build_rows = qn_memory_alloc((int64_t)sizeof(int32_t) * QN_BATCH_ROWS);
  table->kept = qn_memory_alloc((int64_t)sizeof(int32_t) * QN_BATCH_ROWS);
  QN_REQUIRE(table->columns != NULL && table->probe_rows != NULL && table->build_rows != NULL &&
                 table->kept != NULL,
             err, QN_ERR_MEMORY, "no memory for a join");
  if (qn_join_settles(table->output.kind, build_side)) {
    table->is_matched = qn_memory_alloc(build->n_rows);
    QN_REQUIRE(table->is_matched != NULL, err, QN_ERR_MEMORY, "no memory for a join");
    memset(table->is_matched, 0, (size_t)build->n_rows);
  }
  if (node->condition != NULL) {
    QN_TRY(make_both_schema(table, err));
  }
  *out = table;
  table = NULL;

done:
  qn_join_table_free(table);
  return status;
}

qn_status qn_join_table_new(const qn_join_output *output, int build_side, const qn_batch *build,
                            qn_join_table **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_join_table *table = NULL;

  QN_TRY(new_table(output, build_side, build, &table, err));
  QN_TRY(index_build(table, err));
  *out = table;
  table = NULL;

done:
  qn_join_table_free(table);
  return status;
}

void qn_join_table_free(qn_join_table *table) {
  if (table == NULL) {
    return;
  }
  qn_join_index_release(&table->index);
  qn_group_table_free(table->keys);
  qn_schema_free(table->both_schema);
  qn_batch_free(table->build);
  free(table->columns);
  free(table->is_read);
  qn_memory_free(table->is_matched);
  give_room_back(table);
  qn_memory_free(table->probe_rows);
  qn_memory_free(table->build_rows);
  qn_memory_free(table->kept);
  free(table);
}

// n joined rows; probe or build NULL: that side has none.
static qn_status emit(const qn_join_table *table, qn_join_rows probe, qn_join_rows build, int64_t n,
                      qn_error *err) {
  return table->build_side == 0 ? qn_join_emit(&table->output, build, probe, n, err)
                                : qn_join_emit(&table->output, probe, build, n, err);
}

// Keeps of the pairs those for which the condition holds.
static qn_status check_condition(qn_join_table *table, const qn_batch *probe, int64_t *n_pairs,
                                 qn_error *err) {
  qn_status status = QN_OK;
  const qn_join_rows sides[2] = {{probe, table->probe_rows}, {table->build, table->build_rows}};
  const qn_join_rows left = sides[table->build_side == 0], right = sides[table->build_side == 1];
  const int n_left = left.batch->n_columns;
  qn_batch *pairs = NULL;
  int64_t n_kept = 0;
  qn_column *columns = calloc((size_t)(n_left + right.batch->n_columns) + 1, sizeof *columns);

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  for (int c = 0; c < n_left + right.batch->n_columns; c++) {
    const bool is_left = c < n_left;
    const int own = is_left ? c : c - n_left;
    if (table->is_read[c]) {
      QN_TRY(qn_join_columns(is_left ? left : right, &own, 1, *n_pairs, &columns[c], err));
    } else {
      QN_TRY(qn_column_all_null(table->both_schema->fields[c].type, *n_pairs, &columns[c], err));
    }
  }
  QN_TRY(qn_batch_new_take(table->both_schema, *n_pairs, columns, &pairs, err));
  QN_TRY(qn_expr_select(table->output.node->condition, pairs, table->kept, &n_kept, err));
  for (int64_t i = 0; i < n_kept; i++) {
    table->probe_rows[i] = table->probe_rows[table->kept[i]];
    table->build_rows[i] = table->build_rows[table->kept[i]];
  }
  *n_pairs = n_kept;

done:
  for (int c = 0; columns != NULL && c < n_left + right.batch->n_columns; c++) {
    qn_column_release(&columns[c]);
  }
  free(columns);
  qn_batch_free(pairs);
  return status;
}

static void mark_pairs(qn_join_table *table, int64_t n_pairs, uint8_t *marks) {
  for (int64_t i = 0; marks != NULL && i < n_pairs; i++) {
    marks[table->probe_rows[i]] = 1;
  }
  for (int64_t i = 0; table->is_matched != NULL && i < n_pairs; i++) {
    if (table->build_rows[i] >= 0) {
      table->is_matched[table->build_rows[i]] = 1;
    }
  }
}

static bool shows_pairs(const qn_join_table *table) {
  return !qn_join_is_half(table->output.kind);
}

static void find_groups(qn_join_table *table, const qn_batch *probe) {
  choose_keys(table, probe, false);
  if (table->dense.n_groups > 0) {
    qn_dense_keys_groups(&table->dense, table->columns[0], table->groups);
    return;
  }
  qn_hash_columns(table->columns, table->output.node->n_keys, probe->n_rows, table->hashes);
  qn_group_table_find(table->keys, table->columns, table->hashes, probe->n_rows, table->groups);
  drop_null_keys(table, probe->n_rows);
}

// A half join over probe rows without a condition needs no pairs: a row has a partner if its key's list is
// not empty.
static void mark_by_lists(const qn_join_table *table, int64_t n_rows, uint8_t *marks) {
  assert(marks != NULL);
  for (int64_t row = 0; row < n_rows; row++) {
    const int32_t group = table->groups[row];
    marks[row] |= group >= 0 && qn_join_index_n_rows(&table->index, group) > 0;
  }
}

// Pairs of the rows whose groups are found; keep_unmatched: and rows without any, with build row -1.
static qn_status emit_pairs(qn_join_table *table, const qn_batch *probe, bool keep_unmatched, uint8_t *marks,
                            qn_error *err) {
  qn_status status = QN_OK;
  const bool has_condition = table->output.node->condition != NULL;
  qn_join_cursor cursor = {0};
  int64_t n_pairs = QN_BATCH_ROWS;

  while (n_pairs == QN_BATCH_ROWS) {
    n_pairs = qn_join_index_match(&table->index, table->groups, probe->n_rows, keep_unmatched, &cursor,
                                  QN_BATCH_ROWS, table->probe_rows, table->build_rows);
    int64_t n_kept = n_pairs;
    if (n_kept > 0 && has_condition) {
      QN_TRY(check_condition(table, probe, &n_kept, err));
    }
    mark_pairs(table, n_kept, marks);
    // As many pairs as rows, the first with the first and the last with the last: each row once, if no row
    // can have two.
    const bool is_each = n_kept == probe->n_rows && table->index.is_unique;
    if (n_kept > 0 && shows_pairs(table)) {
      QN_TRY(emit(table, (qn_join_rows){probe, is_each ? NULL : table->probe_rows},
                  (qn_join_rows){table->build, table->build_rows}, n_kept, err));
    }
  }

done:
  return status;
}

qn_status qn_join_table_match(qn_join_table *table, const qn_batch *probe, uint8_t *marks, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(make_room(table, probe->n_rows, err));
  find_groups(table, probe);
  if (!shows_pairs(table) && table->output.node->condition == NULL && table->build_side == 1) {
    mark_by_lists(table, probe->n_rows, marks);
    goto done;
  }
  QN_TRY(emit_pairs(table, probe, false, marks, err));

done:
  return status;
}

qn_status qn_join_table_settle(qn_join_table *table, const qn_batch *probe, const uint8_t *marks,
                               qn_error *err) {
  qn_status status = QN_OK;
  const qn_join_kind kind = table->output.kind;
  const uint8_t wanted = kind == QN_JOIN_SEMI;
  int64_t n = 0;

  if (!qn_join_settles(kind, 1 - table->build_side)) {
    goto done;
  }
  for (int64_t row = 0; row <= probe->n_rows; row++) {
    if (n == QN_BATCH_ROWS || (row == probe->n_rows && n > 0)) {
      QN_TRY(emit(table, (qn_join_rows){probe, n == probe->n_rows ? NULL : table->probe_rows},
                  (qn_join_rows){0}, n, err));
      n = 0;
    }
    if (row < probe->n_rows && marks[row] == wanted) {
      table->probe_rows[n++] = (int32_t)row;
    }
  }

done:
  return status;
}

qn_status qn_join_table_probe(qn_join_table *table, const qn_batch *probe, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = table->output.node;
  const bool settles = qn_join_settles(table->output.kind, 1 - table->build_side);

  QN_TRY(make_room(table, probe->n_rows, err));
  if (settles && shows_pairs(table) && node->condition == NULL && table->build_side == 1) {
    find_groups(table, probe);
    QN_TRY(emit_pairs(table, probe, true, NULL, err));
    goto done;
  }
  memset(table->marks, 0, (size_t)probe->n_rows);
  QN_TRY(qn_join_table_match(table, probe, settles ? table->marks : NULL, err));
  QN_TRY(qn_join_table_settle(table, probe, table->marks, err));

done:
  return status;
}

qn_status qn_join_table_finish(qn_join_table *table, qn_error *err) {
  qn_status status = QN_OK;
  const uint8_t wanted = table->output.kind == QN_JOIN_SEMI;
  int64_t n = 0;
  const int64_t n_rows = table->build->n_rows;

  for (int64_t row = 0; table->is_matched != NULL && row <= n_rows; row++) {
    if (n == QN_BATCH_ROWS || (row == n_rows && n > 0)) {
      QN_TRY(emit(table, (qn_join_rows){0}, (qn_join_rows){table->build, table->build_rows}, n, err));
      n = 0;
    }
    if (row < n_rows && table->is_matched[row] == wanted) {
      table->build_rows[n++] = (int32_t)row;
    }
  }

done:
  return status;
}

uint8_t *qn_join_table_marks(qn_join_table *table, int64_t *n_rows) {
  *n_rows = table->build->n_rows;
  return table->is_matched;
}

const char *qn_join_table_kind(const qn_join_table *table) {
  return table->dense.n_groups > 0 ? "array" : "hash table";
}

// --- As bytes without addresses

// Behind it, each at a multiple of 64 bytes, the rows, the keys (none if they are dense) and the index;
// behind all the slack that vector code may read.
typedef struct join_image {
  int64_t rows_size, keys_size, index_size;
  qn_dense_keys dense;
} join_image;

static int64_t aligned(int64_t size) {
  return (size + 63) / 64 * 64;
}

static join_image describe(const qn_join_table *table) {
  return (join_image){.rows_size = qn_wire_size(table->build),
                      .keys_size = table->keys == NULL ? 0 : qn_group_table_image_size(table->keys),
                      .index_size = qn_join_index_image_size(&table->index),
                      .dense = table->dense};
}

static int64_t size_of_image(const join_image *image) {
  return aligned((int64_t)sizeof *image) + aligned(image->rows_size) + aligned(image->keys_size) +
         aligned(image->index_size) + QN_MEMORY_SLACK;
}

int64_t qn_join_table_image_size(const qn_join_table *table) {
  const join_image image = describe(table);
  return size_of_image(&image);
}

qn_status qn_join_table_write_image(const qn_join_table *table, uint8_t *out, int64_t size, qn_error *err) {
  qn_status status = QN_OK;
  const join_image image = describe(table);
  uint8_t *at = out + aligned((int64_t)sizeof image);
  qn_buffer rows = {.data = at, .capacity = size - (at - out)}; // has room for all, so that it does not move

  QN_REQUIRE(size >= size_of_image(&image), err, QN_ERR_MEMORY, "%lld bytes for a join's table of %lld",
             (long long)size, (long long)size_of_image(&image));
  memcpy(out, &image, sizeof image);
  QN_TRY(qn_wire_encode(table->build, &rows, err));
  at += aligned(image.rows_size);
  if (table->keys != NULL) {
    qn_group_table_write_image(table->keys, at);
  }
  at += aligned(image.keys_size);
  qn_join_index_write_image(&table->index, at);

done:
  return status;
}

// The ways to look keys up, behind the rows.
static qn_status take_keys(qn_join_table *table, const join_image *image, const uint8_t *at, qn_error *err) {
  qn_status status = QN_OK;
  qn_type *types = NULL;

  choose_keys(table, table->build, true);
  table->dense = image->dense;
  if (image->keys_size > 0) {
    types = key_types(table);
    QN_REQUIRE(types != NULL, err, QN_ERR_MEMORY, "no memory for a join");
    QN_TRY(qn_group_table_from_image(types, table->output.node->n_keys, at, image->keys_size, &table->keys,
                                     err));
  }
  QN_TRY(qn_join_index_from_image(&table->index, at + aligned(image->keys_size), image->index_size, err));

done:
  free(types);
  return status;
}

qn_status qn_join_table_from_image(const qn_join_output *output, int build_side, qn_block *block,
                                   const uint8_t *image, int64_t size, qn_join_table **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_join_table *table = NULL;
  qn_batch *build = NULL;
  join_image about = {0};

  QN_REQUIRE(size >= (int64_t)sizeof about, err, QN_ERR_FORMAT, "%lld bytes are no table of a join",
             (long long)size);
  memcpy(&about, image, sizeof about);
  QN_REQUIRE(size == size_of_image(&about), err, QN_ERR_FORMAT, "%lld bytes are no table of a join",
             (long long)size);
  const uint8_t *at = image + aligned((int64_t)sizeof about);
  QN_TRY(qn_wire_decode(output->node->inputs[build_side]->schema, block, at, about.rows_size, &build, err));
  QN_TRY(new_table(output, build_side, build, &table, err));
  QN_TRY(take_keys(table, &about, at + aligned(about.rows_size), err));
  *out = table;
  table = NULL;

done:
  qn_batch_free(build);
  qn_join_table_free(table);
  return status;
}
