// SPDX-License-Identifier: Apache-2.0
// Keys of the build side are numbered by a group table, and an index lists the build rows of each number. A
// probe batch looks its keys up, expands them to pairs of row numbers, checks the extra condition on the
// pairs and gathers.
#include "exec/join_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"
#include "kernel/group_table.h"
#include "kernel/hash_columns.h"
#include "kernel/join_index.h"

struct qn_join_table {
  const qn_dataset *node;
  qn_batch *build;
  qn_schema *both_schema; // left then right columns, for the condition; else NULL
  qn_joined_fn joined;
  void *ctx;
  qn_group_table *keys;
  qn_join_index index;
  uint8_t *is_matched;       // [build rows], right and full joins
  const qn_column **columns; // [n_keys]
  int64_t capacity;          // rows that the arrays below have room for
  uint64_t *hashes;
  int32_t *groups;
  uint8_t *has_partner;                    // [probe rows]
  int32_t *probe_rows, *build_rows, *kept; // [QN_BATCH_ROWS]
};

static bool keeps_left(qn_join_kind kind) {
  return kind == QN_JOIN_LEFT || kind == QN_JOIN_FULL;
}

static bool keeps_right(qn_join_kind kind) {
  return kind == QN_JOIN_RIGHT || kind == QN_JOIN_FULL;
}

static bool is_half(qn_join_kind kind) { // the result has rows of the left only
  return kind == QN_JOIN_SEMI || kind == QN_JOIN_ANTI;
}

static qn_status make_room(qn_join_table *table, int64_t n_rows, qn_error *err) {
  if (n_rows <= table->capacity) {
    return QN_OK;
  }
  qn_memory_free(table->hashes);
  qn_memory_free(table->groups);
  qn_memory_free(table->has_partner);
  table->hashes = qn_memory_alloc(n_rows * (int64_t)sizeof *table->hashes);
  table->groups = qn_memory_alloc(n_rows * (int64_t)sizeof *table->groups);
  table->has_partner = qn_memory_alloc(n_rows);
  const bool is_made = table->hashes != NULL && table->groups != NULL && table->has_partner != NULL;
  table->capacity = is_made ? n_rows : 0;
  return is_made ? QN_OK : qn_fail(err, QN_ERR_MEMORY, "no memory to join %lld rows", (long long)n_rows);
}

static void hash_keys(qn_join_table *table, const qn_batch *batch, const int *keys) {
  for (int k = 0; k < table->node->n_keys; k++) {
    table->columns[k] = &batch->columns[keys[k]];
  }
  qn_hash_columns(table->columns, table->node->n_keys, batch->n_rows, table->hashes);
}

// Null keys match nothing.
static void drop_null_keys(const qn_join_table *table, int64_t n_rows) {
  for (int k = 0; k < table->node->n_keys; k++) {
    const qn_column *column = table->columns[k];
    for (int64_t row = 0; column->n_nulls > 0 && row < n_rows; row++) {
      if (qn_column_is_null(column, row)) {
        table->groups[row] = -1;
      }
    }
  }
}

static qn_status index_build(qn_join_table *table, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = table->node;
  qn_type *types = calloc((size_t)node->n_keys + 1, sizeof *types);

  QN_REQUIRE(types != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  for (int k = 0; k < node->n_keys; k++) {
    types[k] = node->inputs[1]->schema->fields[node->right_keys[k]].type;
  }
  QN_TRY(qn_group_table_new(types, node->n_keys, &table->keys, err));
  QN_TRY(make_room(table, table->build->n_rows, err));
  hash_keys(table, table->build, node->right_keys);
  QN_TRY(qn_group_table_add(table->keys, table->columns, table->hashes, table->build->n_rows, table->groups,
                            err));
  drop_null_keys(table, table->build->n_rows);
  QN_TRY(qn_join_index_init(&table->index, table->groups, table->build->n_rows,
                            qn_group_table_n_groups(table->keys), err));

done:
  free(types);
  return status;
}

static qn_status make_both_schema(qn_join_table *table, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = table->node;
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

done:
  qn_arena_release(&names);
  free(fields);
  return status;
}

qn_status qn_join_table_new(const qn_dataset *node, const qn_batch *build, qn_joined_fn joined, void *ctx,
                            qn_join_table **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_join_table *table = calloc(1, sizeof *table);

  QN_REQUIRE(table != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  table->node = node;
  table->build = qn_batch_share(build);
  table->joined = joined;
  table->ctx = ctx;
  table->columns = calloc((size_t)node->n_keys + 1, sizeof *table->columns);
  table->probe_rows = qn_memory_alloc((int64_t)sizeof(int32_t) * QN_BATCH_ROWS);
  table->build_rows = qn_memory_alloc((int64_t)sizeof(int32_t) * QN_BATCH_ROWS);
  table->kept = qn_memory_alloc((int64_t)sizeof(int32_t) * QN_BATCH_ROWS);
  QN_REQUIRE(table->columns != NULL && table->probe_rows != NULL && table->build_rows != NULL &&
                 table->kept != NULL,
             err, QN_ERR_MEMORY, "no memory for a join");
  if (keeps_right(node->join_kind)) {
    table->is_matched = qn_memory_alloc(build->n_rows);
    QN_REQUIRE(table->is_matched != NULL, err, QN_ERR_MEMORY, "no memory for a join");
    memset(table->is_matched, 0, (size_t)build->n_rows);
  }
  if (node->condition != NULL) {
    QN_TRY(make_both_schema(table, err));
  }
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
  qn_memory_free(table->is_matched);
  qn_memory_free(table->hashes);
  qn_memory_free(table->groups);
  qn_memory_free(table->has_partner);
  qn_memory_free(table->probe_rows);
  qn_memory_free(table->build_rows);
  qn_memory_free(table->kept);
  free(table);
}

static qn_status gather_column(const qn_column *column, const int32_t *rows, int64_t n, qn_column *out,
                               qn_error *err) {
  qn_status status = QN_OK;
  qn_column_builder builder;

  qn_column_builder_init(&builder, column->type);
  QN_TRY(qn_column_builder_append_gather(&builder, column, rows, n, err));
  QN_TRY(qn_column_builder_finish(&builder, out, err));

done:
  qn_column_builder_release(&builder);
  return status;
}

// Left columns at probe_rows (probe NULL: all null, but keys named by `using` take the right's), right
// columns at build_rows (-1: null).
static qn_status emit_pairs(qn_join_table *table, const qn_batch *probe, const int32_t *probe_rows,
                            const int32_t *build_rows, int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = table->node;
  const int n_left = node->inputs[0]->schema->n_columns;
  qn_batch *joined = NULL;
  qn_column *columns = calloc((size_t)node->schema->n_columns + 1, sizeof *columns);

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  for (int c = 0; c < n_left; c++) {
    if (probe != NULL) {
      QN_TRY(gather_column(&probe->columns[c], probe_rows, n, &columns[c], err));
      continue;
    }
    int from = -1;
    for (int k = 0; k < node->n_keys; k++) {
      from = node->key_is_using[k] && node->left_keys[k] == c ? node->right_keys[k] : from;
    }
    if (from >= 0) {
      QN_TRY(gather_column(&table->build->columns[from], build_rows, n, &columns[c], err));
    } else {
      QN_TRY(qn_column_all_null(node->schema->fields[c].type, n, &columns[c], err));
    }
  }
  for (int c = 0; c < node->n_right_columns; c++) {
    QN_TRY(gather_column(&table->build->columns[node->right_columns[c]], build_rows, n, &columns[n_left + c],
                         err));
  }
  QN_TRY(qn_batch_new_take(node->schema, n, columns, &joined, err));
  QN_TRY(table->joined(table->ctx, joined, err));

done:
  for (int c = 0; columns != NULL && c < node->schema->n_columns; c++) {
    qn_column_release(&columns[c]);
  }
  free(columns);
  qn_batch_free(joined);
  return status;
}

// Keeps of the pairs those for which the condition holds.
static qn_status check_condition(qn_join_table *table, const qn_batch *probe, int64_t *n_pairs,
                                 qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = table->node;
  const int n_left = node->inputs[0]->schema->n_columns;
  const int n_right = node->inputs[1]->schema->n_columns;
  qn_batch *pairs = NULL;
  int64_t n_kept = 0;
  qn_column *columns = calloc((size_t)(n_left + n_right) + 1, sizeof *columns);

  QN_REQUIRE(columns != NULL, err, QN_ERR_MEMORY, "no memory for a join");
  for (int c = 0; c < n_left; c++) {
    QN_TRY(gather_column(&probe->columns[c], table->probe_rows, *n_pairs, &columns[c], err));
  }
  for (int c = 0; c < n_right; c++) {
    QN_TRY(gather_column(&table->build->columns[c], table->build_rows, *n_pairs, &columns[n_left + c], err));
  }
  QN_TRY(qn_batch_new_take(table->both_schema, *n_pairs, columns, &pairs, err));
  QN_TRY(qn_expr_select(node->condition, pairs, table->kept, &n_kept, err));
  for (int64_t i = 0; i < n_kept; i++) {
    table->probe_rows[i] = table->probe_rows[table->kept[i]];
    table->build_rows[i] = table->build_rows[table->kept[i]];
  }
  *n_pairs = n_kept;

done:
  for (int c = 0; columns != NULL && c < n_left + n_right; c++) {
    qn_column_release(&columns[c]);
  }
  free(columns);
  qn_batch_free(pairs);
  return status;
}

static void mark_pairs(qn_join_table *table, int64_t n_pairs) {
  for (int64_t i = 0; i < n_pairs; i++) {
    table->has_partner[table->probe_rows[i]] = 1;
  }
  for (int64_t i = 0; table->is_matched != NULL && i < n_pairs; i++) {
    table->is_matched[table->build_rows[i]] = 1;
  }
}

// Probe rows whose mark is `wanted`, once each: the unmatched of a left join (build row -1), or a half join's
// result.
static qn_status emit_marked(qn_join_table *table, const qn_batch *probe, uint8_t wanted, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n = 0;

  for (int64_t row = 0; row <= probe->n_rows; row++) {
    if (n == QN_BATCH_ROWS || (row == probe->n_rows && n > 0)) {
      QN_TRY(emit_pairs(table, probe, table->probe_rows, table->build_rows, n, err));
      n = 0;
    }
    if (row < probe->n_rows && table->has_partner[row] == wanted) {
      table->probe_rows[n] = (int32_t)row;
      table->build_rows[n++] = -1;
    }
  }

done:
  return status;
}

// A half join without a condition needs no pairs: a row has a partner if its key's list is not empty.
static void mark_by_lists(qn_join_table *table, int64_t n_rows) {
  for (int64_t row = 0; row < n_rows; row++) {
    const int32_t group = table->groups[row];
    table->has_partner[row] = group >= 0 && qn_join_index_n_rows(&table->index, group) > 0;
  }
}

qn_status qn_join_table_probe(qn_join_table *table, const qn_batch *probe, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = table->node;
  const qn_join_kind kind = node->join_kind;
  qn_join_cursor cursor = {0};
  int64_t n_pairs = QN_BATCH_ROWS;

  QN_TRY(make_room(table, probe->n_rows, err));
  hash_keys(table, probe, node->left_keys);
  qn_group_table_find(table->keys, table->columns, table->hashes, probe->n_rows, table->groups);
  drop_null_keys(table, probe->n_rows);
  memset(table->has_partner, 0, (size_t)probe->n_rows);
  if (is_half(kind) && node->condition == NULL) {
    mark_by_lists(table, probe->n_rows);
    n_pairs = 0;
  }
  while (n_pairs == QN_BATCH_ROWS) {
    n_pairs = qn_join_index_match(&table->index, table->groups, probe->n_rows, false, &cursor, QN_BATCH_ROWS,
                                  table->probe_rows, table->build_rows);
    int64_t n_kept = n_pairs;
    if (n_kept > 0 && node->condition != NULL) {
      QN_TRY(check_condition(table, probe, &n_kept, err));
    }
    mark_pairs(table, n_kept);
    if (n_kept > 0 && !is_half(kind)) {
      QN_TRY(emit_pairs(table, probe, table->probe_rows, table->build_rows, n_kept, err));
    }
  }
  if (keeps_left(kind) || is_half(kind)) {
    QN_TRY(emit_marked(table, probe, kind == QN_JOIN_SEMI, err));
  }

done:
  return status;
}

qn_status qn_join_table_finish(qn_join_table *table, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n = 0;
  const int64_t n_rows = table->build->n_rows;

  for (int64_t row = 0; table->is_matched != NULL && row <= n_rows; row++) {
    if (n == QN_BATCH_ROWS || (row == n_rows && n > 0)) {
      QN_TRY(emit_pairs(table, NULL, NULL, table->build_rows, n, err));
      n = 0;
    }
    if (row < n_rows && table->is_matched[row] == 0) {
      table->build_rows[n++] = (int32_t)row;
    }
  }

done:
  return status;
}
