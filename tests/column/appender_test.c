// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include "column/builder.h"
#include "kit/kit.h"

static qn_appender *new_appender(const char *text) {
  qn_schema *schema = NULL;
  qn_appender *appender = NULL;
  QN_CHECK_OK(qn_schema_parse(text, &schema, &kit_error));
  QN_CHECK_OK(qn_appender_new(schema, &appender, &kit_error));
  qn_schema_free(schema);
  return appender;
}

static void check_rows(qn_appender *appender, const char *wanted) {
  qn_batch *batch = NULL;
  QN_CHECK_OK(qn_appender_finish(appender, &batch, &kit_error));
  QN_CHECK_BATCH(batch, wanted);
  if (batch != NULL) {
    QN_CHECK_OK(qn_batch_validate(batch, true, &kit_error));
  }
  qn_batch_free(batch);
}

static void every_type_is_appended(void) {
  qn_appender *appender =
      new_appender("a bool, b int32, c int64, d float32, e float64, f utf8, g binary, h date, i timestamp");
  for (int i = 0; i < 2; i++) {
    qn_append_bool(appender, true);
    qn_append_int32(appender, -5);
    qn_append_int64(appender, INT64_MIN);
    qn_append_float32(appender, 1.5f);
    qn_append_float64(appender, (double)NAN);
    qn_append_text(appender, "caf\xc3\xa9", 5);
    qn_append_text(appender, "\xff", 1);
    qn_append_int32(appender, 0);
    qn_append_int64(appender, 1);
  }
  for (int i = 0; i < 9; i++) {
    qn_append_null(appender);
  }
  QN_CHECK_INT(qn_appender_n_rows(appender), 3);
  check_rows(appender,
             "t|-5|-9223372036854775808|1.5|NaN|caf\xc3\xa9|\\xff|1970-01-01|1970-01-01 00:00:00.000001\n"
             "t|-5|-9223372036854775808|1.5|NaN|caf\xc3\xa9|\\xff|1970-01-01|1970-01-01 00:00:00.000001\n"
             "~|~|~|~|~|~|~|~|~\n");
  QN_CHECK_INT(qn_appender_n_rows(appender), 0);
  check_rows(appender, "");
  qn_appender_free(appender);
}

// All sizes around the short copies, after nulls and before, ASCII and not.
static void texts_of_all_sizes_are_kept(void) {
  static const char source[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  qn_appender *appender = new_appender("t utf8");
  qn_buffer wanted = {0};
  for (int round = 0; round < 3; round++) {
    for (int size = 0; size <= 36; size++) {
      qn_append_text(appender, source, size);
      QN_CHECK_OK(qn_buffer_printf(&wanted, &kit_error, "%.*s\n", size, source));
      if (round == 1 && size % 5 == 0) {
        qn_append_null(appender);
        QN_CHECK_OK(qn_buffer_printf(&wanted, &kit_error, "~\n"));
      }
      if (round > 0) {
        qn_append_text(appender, "\xc3\xa4xyz", 5);
        QN_CHECK_OK(qn_buffer_printf(&wanted, &kit_error, "\xc3\xa4xyz\n"));
      }
    }
  }
  QN_CHECK_OK(qn_buffer_terminate(&wanted, &kit_error));
  check_rows(appender, (char *)wanted.data);
  qn_buffer_release(&wanted);
  qn_appender_free(appender);
}

static void check_mistake(qn_appender *appender, qn_status status, const char *part) {
  qn_batch *batch = NULL;
  qn_append_int64(appender, 1); // nothing after the mistake changes it
  qn_append_text(appender, "x", 1);
  qn_append_null(appender);
  QN_CHECK_FAILS(qn_appender_status(appender, &kit_error), status);
  QN_CHECK_FAILS(qn_appender_finish(appender, &batch, &kit_error), status);
  QN_CHECK_MESSAGE(part);
  QN_CHECK(batch == NULL);
  qn_appender_free(appender);
}

static void the_first_mistake_is_kept(void) {
  qn_appender *appender = new_appender("word utf8, n int64");
  qn_append_text(appender, "a", 1);
  qn_append_int64(appender, 1);
  qn_append_int64(appender, 2);
  check_mistake(appender, QN_ERR_TYPE,
                "output row 2, column 'word': an int64 was appended, but the column (1 of 2) is utf8");

  appender = new_appender("word utf8, n int64");
  qn_append_text(appender, "M\xfcller", 6);
  check_mistake(appender, QN_ERR_VALUE, "byte 0xfc at byte 1 of the appended text is not valid UTF-8");

  appender = new_appender("word utf8, n int64");
  qn_append_text(appender, "a", -1);
  check_mistake(appender, QN_ERR_ARG, "text of -1 bytes");

  appender = new_appender("word utf8, n int64");
  qn_append_text(appender, NULL, 3);
  check_mistake(appender, QN_ERR_ARG, "text of 3 bytes at no address");

  appender = new_appender("word utf8, n int64");
  QN_CHECK_INT(qn_appender_fail(appender, "no model %d", 7), QN_ERR_CALLBACK);
  QN_CHECK_INT(qn_appender_fail(appender, "later"), QN_ERR_CALLBACK);
  check_mistake(appender, QN_ERR_CALLBACK, "no model 7");
}

static void an_incomplete_row_is_a_mistake(void) {
  qn_appender *appender = new_appender("word utf8, n int64");
  qn_batch *batch = NULL;
  qn_append_text(appender, "a", 1);
  QN_CHECK_FAILS(qn_appender_finish(appender, &batch, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE("output row 1 has 1 of 2 values: column 'n' is the next");
  qn_append_int64(appender, 4);
  check_rows(appender, "a|4\n");
  qn_appender_free(appender);
}

static void values_of_columns_are_appended(void) {
  const char *schema =
      "a bool, b int32, c int64, d float32, e float64, f utf8, g binary, h date, i timestamp";
  kit_random random = {.state = 3};
  qn_batch *batch = kit_random_batch(&random, schema, 300);
  qn_appender *appender = new_appender(schema);
  for (int64_t row = 0; row < batch->n_rows; row++) {
    for (int c = 0; c < batch->n_columns; c++) {
      qn_append_from(appender, qn_batch_column(batch, c), row);
    }
  }
  char *wanted = kit_batch_text(batch);
  check_rows(appender, wanted);
  qn_append_from(appender, qn_batch_column(batch, 0), 300);
  QN_CHECK_FAILS(qn_appender_status(appender, &kit_error), QN_ERR_ARG);
  QN_CHECK_MESSAGE("row 300 of a column of 300 rows");
  free(wanted);
  qn_appender_free(appender);
  qn_batch_free(batch);
}

typedef struct {
  int64_t n_batches;
  int64_t n_rows;
  int64_t most_rows;
  int64_t sum;
  int64_t fail_at; // batch
} sink_totals;

static qn_status add_batch(void *ctx, qn_batch *batch, qn_error *err) {
  sink_totals *totals = ctx;
  totals->n_batches++;
  totals->n_rows += batch->n_rows;
  totals->most_rows = batch->n_rows > totals->most_rows ? batch->n_rows : totals->most_rows;
  for (int64_t i = 0; i < batch->n_rows; i++) {
    totals->sum += qn_column_int64(&batch->columns[0], i);
  }
  return totals->n_batches == totals->fail_at ? qn_fail(err, QN_ERR_IO, "the sink is full") : QN_OK;
}

static void the_sink_gets_full_batches(void) {
  qn_appender *appender = new_appender("n int64, t utf8");
  sink_totals totals = {0};
  qn_appender_set_sink(appender, add_batch, &totals);
  for (int64_t i = 0; i < 10000; i++) {
    qn_append_int64(appender, i);
    qn_append_text(appender, "text", 4);
  }
  QN_CHECK_INT(totals.n_batches, 2);
  QN_CHECK_OK(qn_appender_flush(appender, &kit_error));
  QN_CHECK_OK(qn_appender_flush(appender, &kit_error));
  QN_CHECK_INT(totals.n_batches, 3);
  QN_CHECK_INT(totals.n_rows, 10000);
  QN_CHECK_INT(totals.most_rows, QN_BATCH_ROWS);
  QN_CHECK_INT(totals.sum, 10000 * 9999 / 2);
  qn_appender_free(appender);
}

static void long_text_makes_smaller_batches(void) {
  qn_appender *appender = new_appender("n int64, t utf8");
  sink_totals totals = {0};
  char *text = calloc(1, 100000);
  memset(text, 'x', 99999);
  qn_appender_set_sink(appender, add_batch, &totals);
  for (int64_t i = 0; i < 33; i++) {
    qn_append_int64(appender, i);
    qn_append_text(appender, text, 99999);
  }
  QN_CHECK_OK(qn_appender_flush(appender, &kit_error));
  QN_CHECK_INT(totals.most_rows, 11);
  QN_CHECK_INT(totals.n_rows, 33);
  free(text);
  qn_appender_free(appender);
}

static void a_failing_sink_is_a_mistake(void) {
  qn_appender *appender = new_appender("n int64");
  sink_totals totals = {.fail_at = 2};
  qn_appender_set_sink(appender, add_batch, &totals);
  for (int64_t i = 0; i < 50000; i++) {
    qn_append_int64(appender, i);
  }
  QN_CHECK_FAILS(qn_appender_flush(appender, &kit_error), QN_ERR_IO);
  QN_CHECK_MESSAGE("the sink is full");
  QN_CHECK_INT(totals.n_batches, 2);
  qn_appender_free(appender);
}

int main(void) {
  KIT_RUN(every_type_is_appended);
  KIT_RUN(texts_of_all_sizes_are_kept);
  KIT_RUN(the_first_mistake_is_kept);
  KIT_RUN(an_incomplete_row_is_a_mistake);
  KIT_RUN(values_of_columns_are_appended);
  KIT_RUN(the_sink_gets_full_batches);
  KIT_RUN(long_text_makes_smaller_batches);
  KIT_RUN(a_failing_sink_is_a_mistake);
  return kit_result();
}
