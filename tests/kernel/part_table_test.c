// SPDX-License-Identifier: Apache-2.0
// Gathering from many batches against gathering from one that has all rows.
#include <stdlib.h>
#include "column/builder.h"
#include "kernel/part_table.h"
#include "kit/kit.h"

enum { ROWS = 5000, PICKS = 7000 };

// Cuts random rows into parts of random sizes and compares PICKS random rows of them.
static void check_gather(const char *schema, uint64_t seed) {
  kit_random random = {.state = seed};
  qn_batch *rows = kit_random_batch(&random, schema, ROWS), *wanted = NULL, *found = NULL;
  qn_batch *parts[ROWS] = {NULL};
  qn_part_row places[ROWS], picks[PICKS];
  int32_t numbers[PICKS];
  qn_part_table table = {0};
  int n_parts = 0;

  for (int64_t first = 0, n = 0; first < ROWS; first += n, n_parts++) {
    n = 1 + kit_random_below(&random, 300);
    n = n < ROWS - first ? n : ROWS - first;
    QN_CHECK_OK(qn_batch_slice(rows, first, n, &parts[n_parts], &kit_error));
    for (int64_t i = 0; i < n; i++) {
      places[first + i] = (qn_part_row){.part = n_parts, .row = (int32_t)i};
    }
  }
  for (int i = 0; i < PICKS; i++) {
    numbers[i] = (int32_t)kit_random_below(&random, ROWS);
    picks[i] = places[numbers[i]];
  }
  QN_CHECK_OK(qn_part_table_init(&table, rows->schema, (const qn_batch *const *)parts, n_parts, &kit_error));
  QN_CHECK_OK(qn_part_table_gather_batch(&table, picks, PICKS, &found, &kit_error));
  QN_CHECK_OK(qn_batch_gather(rows, numbers, PICKS, &wanted, &kit_error));
  QN_CHECK_OK(qn_batch_validate(found, true, &kit_error));
  char *text = kit_batch_text(wanted);
  QN_CHECK_BATCH(found, text);
  free(text);
  qn_batch_free(found);
  found = NULL;
  QN_CHECK_OK(qn_part_table_gather_batch(&table, picks, 0, &found, &kit_error));
  QN_CHECK_INT(found->n_rows, 0);
  qn_batch_free(found);
  qn_batch_free(wanted);
  qn_batch_free(rows);
  qn_part_table_release(&table);
  for (int p = 0; p < n_parts; p++) {
    qn_batch_free(parts[p]);
  }
}

static void rows_of_many_batches_are_gathered(void) {
  check_gather("a int64, b utf8, c float64, d int32, e date, f bool, g float32, h timestamp, i binary", 1);
  check_gather("a utf8", 2);
  check_gather("a int32", 3);
}

// Texts of 0 to 400 bytes: every way of copying, and the last bytes of a block.
static void texts_of_every_size_are_copied(void) {
  enum { SIZES = 400 };
  qn_batch *parts[SIZES] = {NULL}, *found = NULL;
  qn_part_row picks[SIZES];
  qn_part_table table = {0};
  char text[SIZES];

  for (int i = 0; i < SIZES; i++) {
    qn_batch_builder builder = {0};
    qn_batch *empty = kit_batch("a utf8", "");
    memset(text, 'a' + i % 26, SIZES);
    QN_CHECK_OK(qn_batch_builder_init(&builder, empty->schema, &kit_error));
    QN_CHECK_OK(qn_column_builder_append_text(&builder.columns[0], text, i, &kit_error));
    builder.n_rows = 1;
    QN_CHECK_OK(qn_batch_builder_finish(&builder, &parts[i], &kit_error));
    picks[SIZES - 1 - i] = (qn_part_row){.part = i, .row = 0};
    qn_batch_builder_release(&builder);
    qn_batch_free(empty);
  }
  QN_CHECK_OK(
      qn_part_table_init(&table, parts[0]->schema, (const qn_batch *const *)parts, SIZES, &kit_error));
  QN_CHECK_OK(qn_part_table_gather_batch(&table, picks, SIZES, &found, &kit_error));
  for (int i = 0; i < SIZES; i++) {
    const qn_text value = qn_column_text(&found->columns[0], SIZES - 1 - i);
    memset(text, 'a' + i % 26, SIZES);
    QN_CHECK_INT(value.size, i);
    QN_CHECK(memcmp(value.data, text, (size_t)value.size) == 0);
    qn_batch_free(parts[i]);
  }
  qn_batch_free(found);
  qn_part_table_release(&table);
}

int main(void) {
  KIT_RUN(rows_of_many_batches_are_gathered);
  KIT_RUN(texts_of_every_size_are_copied);
  return kit_result();
}
