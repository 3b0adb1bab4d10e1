// SPDX-License-Identifier: Apache-2.0
// Groups and their accumulators. Aggregates over distinct values are none of its business: the plan makes
// them ordinary ones (plan/reduce_distinct.h).
#include "exec/grouping.h"

#include <assert.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"
#include "kernel/accumulate.h"
#include "kernel/group_table.h"
#include "kernel/hash_columns.h"
#include "kernel/key_codes.h"

enum { BATCH_BYTES = 4 << 20 }; // of states in one batch, about

typedef struct aggregate_state {
  qn_accumulator *accumulator;
  int state_column; // where its state begins in the state schema
  int n_state_columns;
} aggregate_state;

struct qn_grouping {
  const qn_dataset *node;
  qn_schema *state_schema;
  qn_group_table *table;
  qn_key_codes *codes;           // a short way to the table's groups
  aggregate_state *aggregates;   // [node->n_aggregates]
  const qn_column **key_columns; // [n_keys + 1]
  qn_column *chosen_columns;     // [n_keys + 1], empty but in find_chosen()
  qn_column *out_columns;        // room for the columns of a batch
  int n_out_columns;
  int64_t capacity; // rows that the arrays below have room for
  uint64_t *hashes;
  int32_t *groups;
  int32_t *identity; // 0, 1, 2, ...
  int32_t *chosen_groups;
  int32_t *chosen; // rows
  uint8_t *skip;
  int64_t *order;
};

static qn_type argument_type(const qn_dataset *node, const qn_plan_aggregate *aggregate) {
  return aggregate->argument < 0 ? QN_INT64 : node->inputs[0]->schema->fields[aggregate->argument].type;
}

static qn_status make_state_schema(qn_grouping *grouping, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = grouping->node;
  qn_arena names = {0};
  int n = node->n_keys;
  qn_field *fields =
      calloc((size_t)node->n_keys + QN_MOST_STATE_COLUMNS * (size_t)node->n_aggregates + 1, sizeof *fields);

  QN_REQUIRE(fields != NULL, err, QN_ERR_MEMORY, "no memory for aggregates");
  for (int k = 0; k < node->n_keys; k++) {
    fields[k] = node->inputs[0]->schema->fields[node->keys[k]];
  }
  for (int i = 0; i < node->n_aggregates; i++) {
    qn_type types[QN_MOST_STATE_COLUMNS];
    aggregate_state *state = &grouping->aggregates[i];
    qn_aggregate_state_types(node->aggregates[i].kind, argument_type(node, &node->aggregates[i]), types,
                             &state->n_state_columns);
    state->state_column = n;
    for (int c = 0; c < state->n_state_columns; c++) {
      fields[n] = (qn_field){.name = qn_arena_printf(&names, "__state_%d_%d", i, c), .type = types[c]};
      QN_REQUIRE(fields[n].name != NULL, err, QN_ERR_MEMORY, "no memory for aggregates");
      n++;
    }
  }
  QN_TRY(qn_schema_new(fields, n, &grouping->state_schema, err));
  grouping->n_out_columns = n > node->schema->n_columns ? n : node->schema->n_columns;
  grouping->out_columns = calloc((size_t)grouping->n_out_columns + 1, sizeof *grouping->out_columns);
  QN_REQUIRE(grouping->out_columns != NULL, err, QN_ERR_MEMORY, "no memory for aggregates");

done:
  qn_arena_release(&names);
  free(fields);
  return status;
}

static void free_groups(qn_grouping *grouping) {
  for (int i = 0; grouping->aggregates != NULL && i < grouping->node->n_aggregates; i++) {
    qn_accumulator_free(grouping->aggregates[i].accumulator);
    grouping->aggregates[i].accumulator = NULL;
  }
  qn_group_table_free(grouping->table);
  grouping->table = NULL;
  qn_key_codes_free(grouping->codes);
  grouping->codes = NULL;
}

// What holds the groups, empty.
static qn_status make_groups(qn_grouping *grouping, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = grouping->node;
  qn_type *types = calloc((size_t)node->n_keys + 1, sizeof *types);

  QN_REQUIRE(types != NULL, err, QN_ERR_MEMORY, "no memory for aggregates");
  for (int k = 0; k < node->n_keys; k++) {
    types[k] = node->inputs[0]->schema->fields[node->keys[k]].type;
  }
  QN_TRY(qn_group_table_new(types, node->n_keys, &grouping->table, err));
  QN_TRY(qn_key_codes_new(types, node->n_keys, &grouping->codes, err));
  for (int i = 0; i < node->n_aggregates; i++) {
    const qn_plan_aggregate *aggregate = &node->aggregates[i];
    assert(!aggregate->is_distinct);
    QN_TRY(qn_accumulator_new(aggregate->kind, argument_type(node, aggregate), aggregate->parameter,
                              &grouping->aggregates[i].accumulator, err));
  }

done:
  free(types);
  return status;
}

qn_status qn_grouping_new(const qn_dataset *node, qn_grouping **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_grouping *grouping = calloc(1, sizeof *grouping);

  QN_REQUIRE(grouping != NULL, err, QN_ERR_MEMORY, "no memory for aggregates");
  grouping->node = node;
  grouping->aggregates = calloc((size_t)node->n_aggregates + 1, sizeof *grouping->aggregates);
  grouping->key_columns = calloc((size_t)node->n_keys + 1, sizeof *grouping->key_columns);
  grouping->chosen_columns = calloc((size_t)node->n_keys + 1, sizeof *grouping->chosen_columns);
  QN_REQUIRE(grouping->aggregates != NULL && grouping->key_columns != NULL &&
                 grouping->chosen_columns != NULL,
             err, QN_ERR_MEMORY, "no memory for aggregates");
  QN_TRY(make_state_schema(grouping, err));
  QN_TRY(make_groups(grouping, err));
  *out = grouping;
  grouping = NULL;

done:
  qn_grouping_free(grouping);
  return status;
}

void qn_grouping_free(qn_grouping *grouping) {
  if (grouping == NULL) {
    return;
  }
  free_groups(grouping);
  qn_schema_free(grouping->state_schema);
  free(grouping->aggregates);
  free(grouping->key_columns);
  free(grouping->chosen_columns);
  free(grouping->out_columns);
  qn_memory_free(grouping->hashes);
  qn_memory_free(grouping->groups);
  qn_memory_free(grouping->identity);
  qn_memory_free(grouping->chosen_groups);
  qn_memory_free(grouping->chosen);
  qn_memory_free(grouping->skip);
  qn_memory_free(grouping->order);
  free(grouping);
}

const qn_schema *qn_grouping_state_schema(const qn_grouping *grouping) {
  return grouping->state_schema;
}

static void *renew(void *old, int64_t n_rows, size_t width) {
  qn_memory_free(old);
  return qn_memory_alloc(n_rows * (int64_t)width);
}

static qn_status make_room(qn_grouping *grouping, int64_t n_rows, qn_error *err) {
  if (n_rows <= grouping->capacity) {
    return QN_OK;
  }
  grouping->capacity = 0;
  grouping->hashes = renew(grouping->hashes, n_rows, sizeof *grouping->hashes);
  grouping->groups = renew(grouping->groups, n_rows, sizeof *grouping->groups);
  grouping->identity = renew(grouping->identity, n_rows, sizeof *grouping->identity);
  grouping->chosen_groups = renew(grouping->chosen_groups, n_rows, sizeof *grouping->chosen_groups);
  grouping->chosen = renew(grouping->chosen, n_rows, sizeof *grouping->chosen);
  grouping->skip = renew(grouping->skip, n_rows, sizeof *grouping->skip);
  grouping->order = renew(grouping->order, n_rows, sizeof *grouping->order);
  if (grouping->hashes == NULL || grouping->groups == NULL || grouping->identity == NULL ||
      grouping->chosen_groups == NULL || grouping->chosen == NULL || grouping->skip == NULL ||
      grouping->order == NULL) {
    return qn_fail(err, QN_ERR_MEMORY, "no memory to group a batch of %lld rows", (long long)n_rows);
  }
  for (int64_t row = 0; row < n_rows; row++) {
    grouping->identity[row] = (int32_t)row;
  }
  grouping->capacity = n_rows;
  return QN_OK;
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

// Groups of key columns by the table, and the short way to them for the next time.
static qn_status add_keys(qn_grouping *grouping, const qn_column *const *keys, int64_t n_rows,
                          int32_t *groups, qn_error *err) {
  qn_status status = QN_OK;

  qn_hash_columns(keys, grouping->node->n_keys, n_rows, grouping->hashes);
  QN_TRY(qn_group_table_add(grouping->table, keys, grouping->hashes, n_rows, groups, err));
  if (qn_key_codes_is_on(grouping->codes)) {
    QN_TRY(qn_key_codes_learn(grouping->codes, keys, n_rows, groups, err));
  }

done:
  return status;
}

// groups[] of the n rows that are chosen.
static qn_status find_chosen(qn_grouping *grouping, int64_t n, qn_error *err) {
  qn_status status = QN_OK;
  const int n_keys = grouping->node->n_keys;

  for (int k = 0; k < n_keys; k++) {
    QN_TRY(gather_column(grouping->key_columns[k], grouping->chosen, n, &grouping->chosen_columns[k], err));
    grouping->key_columns[k] = &grouping->chosen_columns[k];
  }
  QN_TRY(add_keys(grouping, grouping->key_columns, n, grouping->chosen_groups, err));
  for (int64_t i = 0; i < n; i++) {
    grouping->groups[grouping->chosen[i]] = grouping->chosen_groups[i];
  }

done:
  for (int k = 0; k < n_keys; k++) {
    qn_column_release(&grouping->chosen_columns[k]);
  }
  return status;
}

// groups[] of the rows, by the keys at `keys`.
static qn_status find_groups(qn_grouping *grouping, const qn_batch *rows, const int *keys, qn_error *err) {
  qn_status status = QN_OK;
  const int n_keys = grouping->node->n_keys;
  const int64_t n_rows = rows->n_rows;
  int64_t n_unknown = n_rows;

  QN_TRY(make_room(grouping, n_rows, err));
  for (int k = 0; k < n_keys; k++) {
    grouping->key_columns[k] = &rows->columns[keys == NULL ? k : keys[k]];
  }
  if (qn_key_codes_is_on(grouping->codes)) {
    n_unknown =
        qn_key_codes_find(grouping->codes, grouping->key_columns, n_rows, grouping->groups, grouping->chosen);
  }
  if (2 * n_unknown > n_rows) {
    QN_TRY(add_keys(grouping, grouping->key_columns, n_rows, grouping->groups, err));
  } else if (n_unknown > 0) {
    QN_TRY(find_chosen(grouping, n_unknown, err));
  }

done:
  return status;
}

// skip[] from a filter column: whatever is not true. NULL if there is no filter.
static uint8_t *skip_of_filter(qn_grouping *grouping, const qn_batch *rows, int filter) {
  if (filter < 0) {
    return NULL;
  }
  const qn_column *column = &rows->columns[filter];
  for (int64_t row = 0; row < rows->n_rows; row++) {
    grouping->skip[row] = (uint8_t)(qn_column_is_null(column, row) || !qn_column_bool(column, row));
  }
  return grouping->skip;
}

static qn_status update_aggregates(qn_grouping *grouping, const qn_batch *rows, const int32_t *groups,
                                   int64_t n_groups, int64_t first_order, qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = grouping->node;

  for (int i = 0; i < node->n_aggregates; i++) {
    const qn_plan_aggregate *aggregate = &node->aggregates[i];
    aggregate_state *state = &grouping->aggregates[i];
    const qn_column *argument = aggregate->argument < 0 ? NULL : &rows->columns[aggregate->argument];
    const uint8_t *skip = skip_of_filter(grouping, rows, aggregate->filter);
    int64_t *order = aggregate->kind == QN_AGG_FIRST ? grouping->order : NULL;
    for (int64_t row = 0; order != NULL && row < rows->n_rows; row++) {
      order[row] = first_order + row;
    }
    if (aggregate->second >= 0) {
      QN_TRY(qn_accumulator_update_pairs(state->accumulator, argument, &rows->columns[aggregate->second],
                                         groups, rows->n_rows, n_groups, skip, err));
    } else {
      QN_TRY(qn_accumulator_update(state->accumulator, argument, groups, rows->n_rows, n_groups, skip, order,
                                   err));
    }
  }

done:
  return status;
}

qn_status qn_grouping_update(qn_grouping *grouping, const qn_batch *rows, int64_t first_order,
                             qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(find_groups(grouping, rows, grouping->node->keys, err));
  QN_TRY(update_aggregates(grouping, rows, grouping->groups, qn_group_table_n_groups(grouping->table),
                           first_order, err));

done:
  return status;
}

qn_status qn_grouping_merge(qn_grouping *grouping, const qn_batch *states, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(find_groups(grouping, states, NULL, err));
  for (int i = 0; i < grouping->node->n_aggregates; i++) {
    const aggregate_state *state = &grouping->aggregates[i];
    QN_TRY(qn_accumulator_merge(state->accumulator, &states->columns[state->state_column], grouping->groups,
                                states->n_rows, qn_group_table_n_groups(grouping->table), err));
  }

done:
  return status;
}

void qn_grouping_hash_rows(qn_grouping *grouping, const qn_batch *rows, uint64_t *hashes) {
  const qn_dataset *node = grouping->node;

  for (int k = 0; k < node->n_keys; k++) {
    grouping->key_columns[k] = &rows->columns[node->keys[k]];
  }
  qn_hash_columns(grouping->key_columns, node->n_keys, rows->n_rows, hashes);
}

qn_status qn_grouping_make_one(qn_grouping *grouping, qn_error *err) {
  qn_status status = QN_OK;
  int32_t group = 0;
  const uint64_t hash = 0;

  if (qn_group_table_n_groups(grouping->table) == 0) {
    QN_TRY(qn_group_table_add(grouping->table, grouping->key_columns, &hash, 1, &group, err));
    for (int i = 0; i < grouping->node->n_aggregates; i++) {
      const qn_type type = argument_type(grouping->node, &grouping->node->aggregates[i]);
      qn_column none = {0};
      QN_TRY(qn_column_all_null(type, 0, &none, err));
      status =
          qn_accumulator_update(grouping->aggregates[i].accumulator, &none, &group, 0, 1, NULL, NULL, err);
      qn_column_release(&none);
      QN_TRY(status);
    }
  }

done:
  return status;
}

int64_t qn_grouping_n_groups(const qn_grouping *grouping) {
  return qn_group_table_n_groups(grouping->table);
}

int64_t qn_grouping_n_bytes(const qn_grouping *grouping) {
  int64_t bytes = qn_group_table_n_bytes(grouping->table) + qn_key_codes_n_bytes(grouping->codes);

  for (int i = 0; i < grouping->node->n_aggregates; i++) {
    bytes += qn_accumulator_n_bytes(grouping->aggregates[i].accumulator);
  }
  return bytes;
}

int64_t qn_grouping_n_fitting(const qn_grouping *grouping, int64_t first) {
  const int64_t n_groups = qn_grouping_n_groups(grouping);
  const int64_t n_left = n_groups - first;
  const int64_t group_bytes = n_groups == 0 ? 0 : qn_grouping_n_bytes(grouping) / n_groups;
  const int64_t n = BATCH_BYTES / (group_bytes + 1);
  const int64_t most = n_left < QN_BATCH_ROWS ? n_left : QN_BATCH_ROWS;
  return n >= most ? most : n < 1 ? 1 : n;
}

const uint64_t *qn_grouping_hashes(const qn_grouping *grouping) {
  return qn_group_table_hashes(grouping->table);
}

static void release_out(qn_grouping *grouping) {
  for (int c = 0; c < grouping->n_out_columns; c++) {
    qn_column_release(&grouping->out_columns[c]);
  }
}

qn_status qn_grouping_states(const qn_grouping *const_grouping, int64_t first, int64_t n, qn_batch **out,
                             qn_error *err) {
  qn_status status = QN_OK;
  qn_grouping *grouping =
      (qn_grouping *)(uintptr_t)const_grouping; // its room for columns is no part of its value

  QN_TRY(qn_group_table_keys(grouping->table, first, n, grouping->out_columns, err));
  for (int i = 0; i < grouping->node->n_aggregates; i++) {
    const aggregate_state *state = &grouping->aggregates[i];
    QN_TRY(
        qn_accumulator_state(state->accumulator, first, n, &grouping->out_columns[state->state_column], err));
  }
  QN_TRY(qn_batch_new_take(grouping->state_schema, n, grouping->out_columns, out, err));

done:
  release_out(grouping);
  return status;
}

qn_status qn_grouping_results(const qn_grouping *const_grouping, int64_t first, int64_t n, qn_batch **out,
                              qn_error *err) {
  qn_status status = QN_OK;
  qn_grouping *grouping = (qn_grouping *)(uintptr_t)const_grouping;
  const qn_dataset *node = grouping->node;

  QN_TRY(qn_group_table_keys(grouping->table, first, n, grouping->out_columns, err));
  for (int i = 0; i < node->n_aggregates; i++) {
    QN_TRY(qn_accumulator_result(grouping->aggregates[i].accumulator, first, n,
                                 &grouping->out_columns[node->n_keys + i], err));
  }
  QN_TRY(qn_batch_new_take(node->schema, n, grouping->out_columns, out, err));

done:
  release_out(grouping);
  return status;
}

qn_status qn_grouping_wrap(qn_grouping *grouping, const qn_batch *rows, int64_t first_order, qn_batch **out,
                           qn_error *err) {
  qn_status status = QN_OK;
  const qn_dataset *node = grouping->node;

  QN_TRY(make_room(grouping, rows->n_rows, err));
  for (int i = 0; i < node->n_aggregates; i++) {
    qn_accumulator_clear(grouping->aggregates[i].accumulator);
  }
  QN_TRY(update_aggregates(grouping, rows, grouping->identity, rows->n_rows, first_order, err));
  for (int k = 0; k < node->n_keys; k++) {
    grouping->out_columns[k] = qn_column_share(&rows->columns[node->keys[k]]);
  }
  for (int i = 0; i < node->n_aggregates; i++) {
    const aggregate_state *state = &grouping->aggregates[i];
    QN_TRY(qn_accumulator_state(state->accumulator, 0, rows->n_rows,
                                &grouping->out_columns[state->state_column], err));
  }
  QN_TRY(qn_batch_new_take(grouping->state_schema, rows->n_rows, grouping->out_columns, out, err));

done:
  release_out(grouping);
  return status;
}

void qn_grouping_clear(qn_grouping *grouping) {
  qn_group_table_clear(grouping->table);
  qn_key_codes_clear(grouping->codes);
  for (int i = 0; i < grouping->node->n_aggregates; i++) {
    qn_accumulator_clear(grouping->aggregates[i].accumulator);
  }
}

qn_status qn_grouping_renew(qn_grouping *grouping, qn_error *err) {
  free_groups(grouping);
  return make_groups(grouping, err);
}
