// SPDX-License-Identifier: Apache-2.0
#include "column/builder.h"
#include "kit/kit.h"

static const char all_types[] =
    "a bool, b int32, c int64, d float32, e float64, f utf8, g binary, h date, i timestamp";

static void builder_keeps_nulls_before_and_after_values(void) {
  qn_schema *schema = NULL;
  qn_batch_builder builder = {0};
  qn_batch *batch = NULL;
  QN_CHECK_OK(qn_schema_parse("n int32, t utf8", &schema, &kit_error));
  QN_CHECK_OK(qn_batch_builder_init(&builder, schema, &kit_error));
  for (int32_t i = 0; i < 40; i++) {
    const bool is_null = i >= 10 && i % 7 == 0;
    if (is_null) {
      QN_CHECK_OK(qn_column_builder_append_null(&builder.columns[0], &kit_error));
      QN_CHECK_OK(qn_column_builder_append_null(&builder.columns[1], &kit_error));
    } else {
      QN_CHECK_OK(qn_column_builder_append_value(&builder.columns[0], &i, &kit_error));
      QN_CHECK_OK(qn_column_builder_append_text(&builder.columns[1], "xyz", i % 4, &kit_error));
    }
  }
  builder.n_rows = 40;
  QN_CHECK_OK(qn_batch_builder_finish(&builder, &batch, &kit_error));
  QN_CHECK_OK(qn_batch_validate(batch, true, &kit_error));
  QN_CHECK_INT(batch->columns[0].n_nulls, 4);
  QN_CHECK_INT(batch->columns[1].n_nulls, 4);
  for (int32_t i = 0; i < 40; i++) {
    const bool is_null = i >= 10 && i % 7 == 0;
    QN_CHECK(qn_column_is_null(&batch->columns[0], i) == is_null);
    QN_CHECK(is_null || qn_column_int32(&batch->columns[0], i) == i);
    QN_CHECK(is_null || qn_column_text(&batch->columns[1], i).size == i % 4);
  }
  QN_CHECK_INT(builder.n_rows, 0);
  qn_batch_free(batch);
  qn_batch_builder_release(&builder);
  qn_schema_free(schema);
}

static void empty_builder_makes_an_empty_batch(void) {
  qn_batch *batch = kit_batch(all_types, "");
  QN_CHECK_INT(batch->n_rows, 0);
  QN_CHECK_OK(qn_batch_validate(batch, true, &kit_error));
  QN_CHECK_INT(batch->columns[5].offsets[0], 0);
  QN_CHECK(batch->columns[5].bytes != NULL && batch->columns[0].values != NULL);
  qn_batch_free(batch);
}

// The text of the rows of `batch` at `rows`, made row by row from the whole text.
static char *text_of_rows(const qn_batch *batch, const int32_t *rows, int64_t n_rows) {
  qn_buffer out = {0};
  char *all = kit_batch_text(batch);
  char **lines = calloc((size_t)batch->n_rows + 1, sizeof *lines);
  char *at = all;
  for (int64_t i = 0; i < batch->n_rows; i++) {
    lines[i] = at;
    at = strchr(at, '\n') + 1;
  }
  for (int64_t i = 0; i < n_rows; i++) {
    if (rows[i] < 0) {
      for (int c = 0; c < batch->n_columns; c++) {
        QN_CHECK_OK(qn_buffer_append(&out, c > 0 ? "|~" : "~", c > 0 ? 2 : 1, &kit_error));
      }
      QN_CHECK_OK(qn_buffer_append(&out, "\n", 1, &kit_error));
    } else {
      const char *end = strchr(lines[rows[i]], '\n') + 1;
      QN_CHECK_OK(qn_buffer_append(&out, lines[rows[i]], end - lines[rows[i]], &kit_error));
    }
  }
  QN_CHECK_OK(qn_buffer_terminate(&out, &kit_error));
  char *text = strdup((char *)out.data);
  qn_buffer_release(&out);
  free(lines);
  free(all);
  return text;
}

static void check_gather(const qn_batch *batch, const int32_t *rows, int64_t n_rows) {
  qn_batch *gathered = NULL;
  QN_CHECK_OK(qn_batch_gather(batch, rows, n_rows, &gathered, &kit_error));
  QN_CHECK_OK(qn_batch_validate(gathered, true, &kit_error));
  char *wanted = text_of_rows(batch, rows, n_rows);
  QN_CHECK_BATCH(gathered, wanted);
  free(wanted);
  qn_batch_free(gathered);
}

static void gather_takes_rows_in_any_order(void) {
  kit_random random = {.state = 11};
  int32_t rows[300];
  for (int round = 0; round < 40; round++) {
    const int64_t n_rows = 1 + kit_random_below(&random, 200);
    qn_batch *batch = kit_random_batch(&random, all_types, n_rows);
    const int64_t n = kit_random_below(&random, 300);
    for (int64_t i = 0; i < n; i++) {
      rows[i] = (int32_t)kit_random_below(&random, n_rows);
    }
    check_gather(batch, rows, n);
    for (int64_t i = 0; i < n; i++) {
      rows[i] = kit_random_below(&random, 5) == 0 ? -1 - (int32_t)i : rows[i];
    }
    check_gather(batch, rows, n);
    qn_batch_free(batch);
  }
}

static void gather_of_an_empty_batch_makes_nulls(void) {
  qn_batch *batch = kit_batch(all_types, "");
  const int32_t rows[] = {-1, -5, -1};
  check_gather(batch, rows, 3);
  qn_batch_free(batch);
}

static void gather_of_all_rows_shares_the_batch(void) {
  qn_batch *batch = kit_batch("a int64", "1\n2\n3\n"), *same = NULL;
  const int32_t rows[] = {0, 1, 2};
  QN_CHECK_OK(qn_batch_gather(batch, rows, 3, &same, &kit_error));
  QN_CHECK(same == batch);
  qn_batch_free(same);
  qn_batch_free(batch);
}

// Appends ranges and gathers in turn to one builder, so that nulls come after none and none after nulls.
static void appends_of_all_kinds_follow_each_other(void) {
  kit_random random = {.state = 5};
  for (int round = 0; round < 60; round++) {
    qn_batch *batch = kit_random_batch(&random, all_types, 120);
    qn_batch_builder builder = {0};
    qn_batch *made = NULL;
    int32_t all[2000];
    int64_t n = 0;
    QN_CHECK_OK(qn_batch_builder_init(&builder, batch->schema, &kit_error));
    for (int step = 0; step < 12; step++) {
      const int64_t first = kit_random_below(&random, 120);
      const int64_t n_rows = kit_random_below(&random, 121 - first);
      for (int64_t i = 0; i < n_rows; i++) {
        all[n + i] = (int32_t)(first + i);
      }
      if (step % 2 == 0) {
        QN_CHECK_OK(qn_batch_builder_append_range(&builder, batch, first, n_rows, &kit_error));
      } else {
        QN_CHECK_OK(qn_batch_builder_append_gather(&builder, batch, all + n, n_rows, &kit_error));
      }
      n += n_rows;
    }
    QN_CHECK_OK(qn_batch_builder_finish(&builder, &made, &kit_error));
    QN_CHECK_OK(qn_batch_validate(made, true, &kit_error));
    char *wanted = text_of_rows(batch, all, n);
    QN_CHECK_BATCH(made, wanted);
    free(wanted);
    qn_batch_free(made);
    qn_batch_builder_release(&builder);
    qn_batch_free(batch);
  }
}

static void text_beyond_two_gib_is_refused_and_leaves_the_builder_whole(void) {
  qn_column_builder builder;
  qn_column column = {0};
  qn_column_builder_init(&builder, QN_UTF8);
  QN_CHECK_OK(qn_column_builder_append_text(&builder, "abc", 3, &kit_error));
  QN_CHECK_FAILS(qn_column_builder_append_text(&builder, "", (int64_t)INT32_MAX - 2, &kit_error),
                 QN_ERR_VALUE);
  QN_CHECK_MESSAGE("2147483647 bytes");
  QN_CHECK_FAILS(qn_column_builder_reserve(&builder, 1, INT32_MAX, &kit_error), QN_ERR_VALUE);
  QN_CHECK_OK(qn_column_builder_append_text(&builder, "de", 2, &kit_error));
  QN_CHECK_OK(qn_column_builder_finish(&builder, &column, &kit_error));
  QN_CHECK_INT(column.n_rows, 2);
  QN_CHECK(memcmp(column.bytes, "abcde", 5) == 0);
  qn_column_release(&column);
  qn_column_builder_release(&builder);
}

static void clear_forgets_rows_and_nulls(void) {
  qn_column_builder builder;
  qn_column column = {0};
  const int64_t value = 9;
  qn_column_builder_init(&builder, QN_INT64);
  QN_CHECK_OK(qn_column_builder_append_nulls(&builder, 20, &kit_error));
  qn_column_builder_clear(&builder);
  QN_CHECK_INT(qn_column_builder_n_bytes(&builder), 0);
  QN_CHECK_OK(qn_column_builder_append_value(&builder, &value, &kit_error));
  QN_CHECK_OK(qn_column_builder_finish(&builder, &column, &kit_error));
  QN_CHECK_INT(column.n_nulls, 0);
  QN_CHECK(column.validity == NULL);
  QN_CHECK_INT(qn_column_int64(&column, 0), 9);
  qn_column_release(&column);
}

int main(void) {
  KIT_RUN(builder_keeps_nulls_before_and_after_values);
  KIT_RUN(empty_builder_makes_an_empty_batch);
  KIT_RUN(gather_takes_rows_in_any_order);
  KIT_RUN(gather_of_an_empty_batch_makes_nulls);
  KIT_RUN(gather_of_all_rows_shares_the_batch);
  KIT_RUN(appends_of_all_kinds_follow_each_other);
  KIT_RUN(text_beyond_two_gib_is_refused_and_leaves_the_builder_whole);
  KIT_RUN(clear_forgets_rows_and_nulls);
  return kit_result();
}
