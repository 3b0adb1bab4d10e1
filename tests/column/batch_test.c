// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"
#include "column/builder.h"
#include "kit/kit.h"

static const char all_types[] =
    "a bool, b int32, c int64, d float32, e float64, f utf8, g binary, h date, i timestamp";

// The lines [first, first + n) of a text.
static char *lines_of(const char *text, int64_t first, int64_t n) {
  const char *start = text;
  for (int64_t i = 0; i < first; i++) {
    start = strchr(start, '\n') + 1;
  }
  const char *end = start;
  for (int64_t i = 0; i < n; i++) {
    end = strchr(end, '\n') + 1;
  }
  return strndup(start, (size_t)(end - start));
}

static void slices_hold_their_rows(void) {
  kit_random random = {.state = 4};
  qn_batch *batch = kit_random_batch(&random, all_types, 200);
  char *text = kit_batch_text(batch);
  for (int round = 0; round < 200; round++) {
    const int64_t first = kit_random_below(&random, 201);
    const int64_t n_rows = kit_random_below(&random, 201 - first);
    qn_batch *slice = NULL, *inner = NULL;
    QN_CHECK_OK(qn_batch_slice(batch, first, n_rows, &slice, &kit_error));
    QN_CHECK_OK(qn_batch_validate(slice, true, &kit_error));
    char *wanted = lines_of(text, first, n_rows);
    QN_CHECK_BATCH(slice, wanted);
    free(wanted);
    QN_CHECK_OK(qn_batch_slice(slice, n_rows / 3, n_rows / 2, &inner, &kit_error));
    wanted = lines_of(text, first + n_rows / 3, n_rows / 2);
    QN_CHECK_BATCH(inner, wanted);
    free(wanted);
    qn_batch_free(slice);
    qn_batch_free(inner);
  }
  qn_batch *none = NULL;
  QN_CHECK_FAILS(qn_batch_slice(batch, 1, 200, &none, &kit_error), QN_ERR_ARG);
  QN_CHECK_FAILS(qn_batch_slice(batch, -1, 2, &none, &kit_error), QN_ERR_ARG);
  QN_CHECK_FAILS(qn_batch_slice(batch, 2, INT64_MAX, &none, &kit_error), QN_ERR_ARG);
  free(text);
  qn_batch_free(batch);
}

static void slices_outlive_their_batch(void) {
  qn_batch *batch = kit_batch("t utf8", "a\nbc\n~\ndef\n"), *slice = NULL;
  QN_CHECK_OK(qn_batch_slice(batch, 1, 3, &slice, &kit_error));
  qn_batch_free(batch);
  QN_CHECK_BATCH(slice, "bc\n~\ndef\n");
  qn_batch_free(slice);
}

static void concat_keeps_order(void) {
  kit_random random = {.state = 6};
  qn_batch *batch = kit_random_batch(&random, all_types, 100);
  char *text = kit_batch_text(batch);
  qn_batch *parts[5], *whole = NULL;
  const int64_t cuts[] = {0, 13, 13, 40, 41, 100};
  for (int i = 0; i < 5; i++) {
    QN_CHECK_OK(qn_batch_slice(batch, cuts[i], cuts[i + 1] - cuts[i], &parts[i], &kit_error));
  }
  QN_CHECK_OK(qn_batch_concat(batch->schema, parts, 5, &whole, &kit_error));
  QN_CHECK_OK(qn_batch_validate(whole, true, &kit_error));
  QN_CHECK_BATCH(whole, text);
  qn_batch_free(whole);
  QN_CHECK_OK(qn_batch_concat(batch->schema, NULL, 0, &whole, &kit_error));
  QN_CHECK_INT(qn_batch_n_rows(whole), 0);
  qn_batch_free(whole);
  for (int i = 0; i < 5; i++) {
    qn_batch_free(parts[i]);
  }
  free(text);
  qn_batch_free(batch);
}

static void projection_shares_columns(void) {
  qn_batch *batch = kit_batch("a int64, b utf8, c bool", "1|x|t\n2|~|f\n"), *projected = NULL;
  qn_schema *schema = NULL;
  const int columns[] = {1, 0};
  QN_CHECK_OK(qn_schema_parse("s utf8, n int64", &schema, &kit_error));
  QN_CHECK_OK(qn_batch_project(batch, schema, columns, &projected, &kit_error));
  QN_CHECK_BATCH(projected, "x|1\n~|2\n");
  QN_CHECK(projected->columns[1].values == batch->columns[0].values);
  qn_batch_free(projected);
  const int wrong[] = {0, 1};
  QN_CHECK_FAILS(qn_batch_project(batch, schema, wrong, &projected, &kit_error), QN_ERR_TYPE);
  qn_schema_free(schema);
  qn_batch_free(batch);
}

static void columns_of_nulls_and_of_values(void) {
  for (int type = 0; type < QN_N_TYPES; type++) {
    qn_column column = {0};
    QN_CHECK_OK(qn_column_all_null((qn_type)type, 11, &column, &kit_error));
    QN_CHECK_INT(column.n_nulls, 11);
    QN_CHECK(qn_column_is_null(&column, 0) && qn_column_is_null(&column, 10));
    QN_CHECK(qn_column_n_bytes(&column) > 0);
    qn_column_release(&column);
    QN_CHECK_OK(qn_column_all_null((qn_type)type, 0, &column, &kit_error));
    qn_column_release(&column);
  }
  qn_column column = {0};
  void *values = NULL;
  QN_CHECK_OK(qn_column_fixed(QN_INT64, 3, &column, &values, &kit_error));
  ((int64_t *)values)[2] = 7;
  QN_CHECK_INT(qn_column_int64(&column, 2), 7);
  qn_column_release(&column);
  QN_CHECK_FAILS(qn_column_fixed(QN_UTF8, 3, &column, &values, &kit_error), QN_ERR_ARG);
}

static void a_batch_with_wrong_columns_is_refused(void) {
  qn_schema *schema = NULL;
  qn_column columns[2] = {0};
  void *values = NULL;
  qn_batch *batch = NULL;
  QN_CHECK_OK(qn_schema_parse("a int64, b int32", &schema, &kit_error));
  QN_CHECK_OK(qn_column_fixed(QN_INT64, 3, &columns[0], &values, &kit_error));
  QN_CHECK_OK(qn_column_fixed(QN_INT32, 4, &columns[1], &values, &kit_error));
  QN_CHECK_FAILS(qn_batch_new_take(schema, 3, columns, &batch, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE("column 'b' has 4 rows in a batch of 3");
  QN_CHECK(columns[0].blocks[1] == NULL && columns[1].blocks[1] == NULL); // taken all the same
  qn_schema_free(schema);
}

static void broken_batches_do_not_validate(void) {
  qn_batch *batch = kit_batch("n int64, t utf8, b bool", "1|caf\xc3\xa9|t\n~|x|f\n3|y|t\n");
  QN_CHECK_OK(qn_batch_validate(batch, true, &kit_error));
  qn_column *text = &batch->columns[1];
  int32_t *offsets = (int32_t *)(uintptr_t)text->offsets;
  offsets[1] = 4; // within the é
  QN_CHECK_OK(qn_batch_validate(batch, false, &kit_error));
  QN_CHECK_FAILS(qn_batch_validate(batch, true, &kit_error), QN_ERR_FORMAT);
  QN_CHECK_MESSAGE("column 't' (utf8) of a batch of 3 rows has text that is not valid UTF-8");
  offsets[1] = 7;
  QN_CHECK_FAILS(qn_batch_validate(batch, false, &kit_error), QN_ERR_FORMAT);
  offsets[1] = 5;
  offsets[0] = -1;
  QN_CHECK_FAILS(qn_batch_validate(batch, false, &kit_error), QN_ERR_FORMAT);
  offsets[0] = 0;
  batch->columns[0].n_nulls = 2;
  QN_CHECK_FAILS(qn_batch_validate(batch, false, &kit_error), QN_ERR_FORMAT);
  batch->columns[0].n_nulls = 1;
  ((uint8_t *)(uintptr_t)batch->columns[2].values)[0] = 2;
  QN_CHECK_FAILS(qn_batch_validate(batch, true, &kit_error), QN_ERR_FORMAT);
  qn_batch_free(batch);
}

static void memory_comes_back(void) {
  const int64_t before = qn_memory_used();
  kit_random random = {.state = 8};
  qn_batch *batch = kit_random_batch(&random, all_types, 5000), *slice = NULL;
  QN_CHECK(qn_memory_used() > before);
  QN_CHECK(qn_batch_n_bytes(batch) > 5000 * 40);
  QN_CHECK_OK(qn_batch_slice(batch, 3, 100, &slice, &kit_error));
  QN_CHECK(qn_batch_n_bytes(slice) < 10000);
  qn_batch_free(qn_batch_share(batch));
  qn_batch_free(batch);
  qn_batch_free(slice);
  QN_CHECK_INT(qn_memory_used(), before);
}

int main(void) {
  KIT_RUN(slices_hold_their_rows);
  KIT_RUN(slices_outlive_their_batch);
  KIT_RUN(concat_keeps_order);
  KIT_RUN(projection_shares_columns);
  KIT_RUN(columns_of_nulls_and_of_values);
  KIT_RUN(a_batch_with_wrong_columns_is_refused);
  KIT_RUN(broken_batches_do_not_validate);
  KIT_RUN(memory_comes_back);
  return kit_result();
}
