// SPDX-License-Identifier: Apache-2.0
// Codes of keys against the group table that they stand in front of.
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "column/builder.h"
#include "kernel/group_table.h"
#include "kernel/hash_columns.h"
#include "kernel/key_codes.h"
#include "kernel/ref_rows.h"

enum { N_ROWS = 3000, N_BATCHES = 12, MOST_KEYS = 3 };

typedef struct key_shape {
  qn_type type;
  int64_t n_values;
  int64_t first; // of integers
  int64_t step;
  bool has_nulls;
} key_shape;

static qn_column make_column(kit_random *random, const key_shape *shape, int batch) {
  qn_column_builder builder;
  qn_column out = {0};
  char text[64];
  qn_column_builder_init(&builder, shape->type);
  for (int64_t row = 0; row < N_ROWS; row++) { // later batches have more of the values
    const int64_t n_seen = shape->n_values * (batch + 1) / N_BATCHES + 1;
    const int64_t value = (int64_t)kit_random_below(random, (uint64_t)n_seen);
    if (shape->has_nulls && kit_random_below(random, 10) == 0) {
      QN_CHECK_OK(qn_column_builder_append_null(&builder, &kit_error));
    } else if (shape->type == QN_UTF8) {
      const int size =
          snprintf(text, sizeof text, "%.*s%lld", (int)(value % 12), "abcdefghijkl", (long long)(value / 12));
      QN_CHECK_OK(qn_column_builder_append_text(&builder, text, value == 0 ? 0 : size, &kit_error));
    } else if (shape->type == QN_INT32) {
      const int32_t number = (int32_t)(shape->first + value * shape->step);
      QN_CHECK_OK(qn_column_builder_append_value(&builder, &number, &kit_error));
    } else {
      const int64_t number = shape->first + value * shape->step;
      QN_CHECK_OK(qn_column_builder_append_value(&builder, &number, &kit_error));
    }
  }
  QN_CHECK_OK(qn_column_builder_finish(&builder, &out, &kit_error));
  qn_column_builder_release(&builder);
  return out;
}

static void copy_chosen(const qn_column *column, const int32_t *rows, int64_t n, qn_column *out) {
  qn_column_builder builder;
  qn_column_builder_init(&builder, column->type);
  QN_CHECK_OK(qn_column_builder_append_gather(&builder, column, rows, n, &kit_error));
  QN_CHECK_OK(qn_column_builder_finish(&builder, out, &kit_error));
  qn_column_builder_release(&builder);
}

// One batch through both; how many rows were known.
static int64_t check_batch(qn_key_codes *codes, qn_group_table *table, const qn_column *const *keys,
                           int n_keys) {
  static uint64_t hashes[N_ROWS];
  static int32_t wanted[N_ROWS], groups[N_ROWS], unknown[N_ROWS], chosen[N_ROWS];
  qn_column few[MOST_KEYS] = {{0}};
  const qn_column *few_keys[MOST_KEYS] = {&few[0], &few[1], &few[2]};
  const int64_t n_unknown =
      qn_key_codes_is_on(codes) ? qn_key_codes_find(codes, keys, N_ROWS, groups, unknown) : N_ROWS;

  qn_hash_columns(keys, n_keys, N_ROWS, hashes);
  QN_CHECK_OK(qn_group_table_add(table, keys, hashes, N_ROWS, wanted, &kit_error));
  if (!qn_key_codes_is_on(codes)) {
    return 0;
  }
  int64_t n_wrong = 0;
  int64_t next = 0;
  for (int64_t row = 0; row < N_ROWS; row++) {
    if (next < n_unknown && unknown[next] == row) {
      chosen[next++] = wanted[row];
      n_wrong += groups[row] != -1;
    } else {
      n_wrong += groups[row] != wanted[row];
    }
  }
  QN_CHECK_INT(n_wrong, 0);
  QN_CHECK_INT(next, n_unknown);
  for (int k = 0; k < n_keys; k++) {
    copy_chosen(keys[k], unknown, n_unknown, &few[k]);
  }
  QN_CHECK_OK(qn_key_codes_learn(codes, few_keys, n_unknown, chosen, &kit_error));
  for (int k = 0; k < n_keys; k++) {
    qn_column_release(&few[k]);
  }
  return N_ROWS - n_unknown;
}

// Returns whether the shortcut is still on; adds up the rows it knew.
static bool run_shape(const key_shape *shapes, int n_keys, int64_t *n_known) {
  kit_random random = {.state = 71};
  qn_key_codes *codes = NULL;
  qn_group_table *table = NULL;
  qn_type types[MOST_KEYS];
  for (int k = 0; k < n_keys; k++) {
    types[k] = shapes[k].type;
  }
  *n_known = 0;
  QN_CHECK_OK(qn_key_codes_new(types, n_keys, &codes, &kit_error));
  QN_CHECK_OK(qn_group_table_new(types, n_keys, &table, &kit_error));
  for (int pass = 0; pass < 2; pass++) { // the second after clear
    for (int batch = 0; batch < N_BATCHES; batch++) {
      qn_column columns[MOST_KEYS] = {{0}};
      const qn_column *keys[MOST_KEYS] = {&columns[0], &columns[1], &columns[2]};
      for (int k = 0; k < n_keys; k++) {
        columns[k] = make_column(&random, &shapes[k], batch);
      }
      *n_known += check_batch(codes, table, keys, n_keys);
      for (int k = 0; k < n_keys; k++) {
        qn_column_release(&columns[k]);
      }
    }
    qn_key_codes_clear(codes);
    qn_group_table_clear(table);
  }
  const bool is_on = qn_key_codes_is_on(codes);
  QN_CHECK(!is_on || qn_key_codes_n_bytes(codes) > 0);
  qn_key_codes_free(codes);
  qn_group_table_free(table);
  return is_on;
}

static void known_groups_are_those_of_the_table(void) {
  static const struct {
    key_shape keys[MOST_KEYS];
    int n_keys;
  } cases[] = {
      {{{QN_INT32, 100, 1, 1, false}}, 1},
      {{{QN_INT64, 20000, -10000, 1, true}}, 1},
      {{{QN_INT64, 9, INT64_MAX - 9, 1, true}}, 1},
      {{{QN_INT64, 9, INT64_MIN, 1, false}}, 1},
      {{{QN_UTF8, 120, 0, 1, true}}, 1},
      {{{QN_UTF8, 1500, 0, 1, false}}, 1},
      {{{QN_UTF8, 50, 0, 1, true}, {QN_INT32, 40, -3, 7, true}}, 2},
      {{{QN_INT32, 10, 0, -5, true}, {QN_UTF8, 30, 0, 1, false}, {QN_INT64, 12, 5, 3, true}}, 3},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t n_known = 0;
    QN_CHECK(run_shape(cases[i].keys, cases[i].n_keys, &n_known));
    QN_CHECK(n_known > N_ROWS * N_BATCHES / 2);
  }
}

static void keys_that_do_not_suit_switch_it_off(void) {
  static const key_shape cases[][MOST_KEYS] = {
      {{QN_INT64, 100, 0, 1 << 20, false}},                           // far apart
      {{QN_INT64, 1, INT64_MIN, INT64_MAX, false}},                   // farther than an integer can say
      {{QN_UTF8, 100000, 0, 1, false}},                               // many
      {{QN_INT32, 2000, 0, 1, false}, {QN_INT32, 2000, 0, 1, false}}, // many together
      {{QN_INT32, 3, 0, 1, false}, {QN_FLOAT64, 5, 0, 1, false}},     // a type without codes
  };
  static const int n_keys[] = {1, 1, 1, 2, 2};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t n_known = 0;
    QN_CHECK(!run_shape(cases[i], n_keys[i], &n_known));
  }
}

static void a_budget_bounds_the_cells(void) {
  static const key_shape wide = {QN_INT64, 20000, 0, 1, false};
  int64_t n_known = 0;
  qn_memory_set_budget(1 << 20);
  QN_CHECK(!run_shape(&wide, 1, &n_known));
  qn_memory_set_budget(0);
}

int main(void) {
  KIT_RUN(known_groups_are_those_of_the_table);
  KIT_RUN(keys_that_do_not_suit_switch_it_off);
  KIT_RUN(a_budget_bounds_the_cells);
  return kit_result();
}
