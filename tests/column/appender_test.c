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

// All words of `text`, one per row, found one by one.
static void print_words(const char *text, int64_t size, qn_buffer *out) {
  for (int64_t at = 0; at < size;) {
    int64_t end = at;
    while (end < size && strchr(" \t\n\v\f\r", text[end]) == NULL) {
      end++;
    }
    if (end > at) {
      QN_CHECK_OK(qn_buffer_printf(out, &kit_error, "%.*s\n", (int)(end - at), text + at));
    }
    at = end > at ? end : at + 1;
  }
}

// Words of many lengths at all places of a piece; memory ends where the text ends, for the sanitizers to see.
static void words_are_what_white_space_separates(void) {
  kit_random random = {.state = 5};
  for (int64_t size = 0; size < 5000; size = size < 200 ? size + 1 : size * 5 / 4) {
    qn_appender *appender = new_appender("t utf8");
    qn_buffer wanted = {0};
    char *text = malloc((size_t)size + (size == 0));
    const int64_t longest = 1 + size % 40;
    for (int64_t i = 0; i < size; i++) {
      const bool is_space = kit_random_below(&random, longest) == 0;
      text[i] = is_space ? " \t\n\v\f\r"[kit_random_below(&random, 6)]
                         : (char)('a' + kit_random_below(&random, 26));
    }
    qn_append_words(appender, text, size);
    qn_append_words(appender, text + size / 3, size / 3);
    print_words(text, size, &wanted);
    print_words(text + size / 3, size / 3, &wanted);
    QN_CHECK_OK(qn_buffer_terminate(&wanted, &kit_error));
    check_rows(appender, (char *)wanted.data);
    qn_buffer_release(&wanted);
    qn_appender_free(appender);
    free(text);
  }
}

static void every_byte_but_white_space_is_of_a_word(void) {
  qn_appender *appender = new_appender("t binary");
  qn_batch *batch = NULL;
  char text[3 * 256];
  for (int c = 0; c < 256; c++) {
    memcpy(text + 3 * c, (char[3]){' ', (char)c, ' '}, 3);
  }
  qn_append_words(appender, text, sizeof text);
  QN_CHECK_OK(qn_appender_finish(appender, &batch, &kit_error));
  QN_CHECK_INT(qn_batch_n_rows(batch), 256 - 6);
  for (int64_t row = 0, c = 0; row < qn_batch_n_rows(batch); row++, c++) {
    c += c == '\t' ? 5 : c == ' ';
    const qn_text word = qn_column_text(qn_batch_column(batch, 0), row);
    QN_CHECK(word.size == 1 && (unsigned char)word.data[0] == c);
  }
  qn_batch_free(batch);
  qn_appender_free(appender);
}

static void words_longer_than_a_piece_are_kept(void) {
  qn_appender *appender = new_appender("t utf8");
  qn_buffer text = {0};
  for (int i = 0; i < 3000; i++) {
    QN_CHECK_OK(qn_buffer_printf(&text, &kit_error, "%c", 'a' + i % 26));
  }
  QN_CHECK_OK(qn_buffer_printf(&text, &kit_error, " b\n"));
  qn_append_words(appender, (char *)text.data, text.size);
  text.data[3000] = '\n';
  QN_CHECK_OK(qn_buffer_terminate(&text, &kit_error));
  check_rows(appender, (char *)text.data);
  qn_buffer_release(&text);
  qn_appender_free(appender);
}

static void words_follow_nulls_and_other_values(void) {
  qn_appender *appender = new_appender("t utf8");
  qn_append_words(appender, "one two", 7);
  qn_append_null(appender);
  qn_append_words(appender, " three\xc3\xa4 ", 9);
  qn_append_text(appender, "four five", 9);
  check_rows(appender, "one\ntwo\n~\nthree\xc3\xa4\nfour five\n");
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

static void check_words_mistake(const char *schema, const char *text, qn_status status, const char *part) {
  qn_appender *appender = new_appender(schema);
  qn_append_words(appender, text, (int64_t)strlen(text));
  QN_CHECK_FAILS(qn_appender_status(appender, &kit_error), status);
  QN_CHECK_MESSAGE(part);
  qn_append_words(appender, text, (int64_t)strlen(text));
  QN_CHECK_INT(qn_appender_n_rows(appender), strchr(text, '\xfc') != NULL);
  qn_appender_free(appender);
}

static void wrong_words_are_a_mistake(void) {
  check_words_mistake("n int64", "one two", QN_ERR_TYPE, "output row 1, column 'n': text was appended");
  check_words_mistake("a utf8, b utf8", "one two", QN_ERR_ARG, "rows of 2 columns");
  check_words_mistake(
      "t utf8", "Herr M\xfcller", QN_ERR_VALUE,
      "output row 2, column 't': byte 0xfc at byte 1 of the appended text is not valid UTF-8");
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

static qn_status add_words(void *ctx, qn_batch *batch, qn_error *err) {
  sink_totals *totals = ctx;
  totals->n_batches++;
  totals->n_rows += batch->n_rows;
  totals->most_rows = batch->n_rows > totals->most_rows ? batch->n_rows : totals->most_rows;
  totals->sum += batch->columns[0].offsets[batch->n_rows];
  return totals->n_batches == totals->fail_at ? qn_fail(err, QN_ERR_IO, "the sink is full") : QN_OK;
}

static void words_fill_batches_for_the_sink(void) {
  static const char line[] = "a bb ccc dddd eeeee";
  for (int64_t fail_at = 0; fail_at <= 1; fail_at++) {
    qn_appender *appender = new_appender("t binary");
    sink_totals totals = {.fail_at = fail_at};
    qn_appender_set_sink(appender, add_words, &totals);
    for (int i = 0; i < 2001; i++) {
      qn_append_words(appender, line, sizeof line - 1);
    }
    if (fail_at == 0) {
      QN_CHECK_OK(qn_appender_flush(appender, &kit_error));
      QN_CHECK_INT(totals.n_rows, 2001 * 5);
      QN_CHECK_INT(totals.sum, 2001 * 15);
    } else {
      QN_CHECK_FAILS(qn_appender_flush(appender, &kit_error), QN_ERR_IO);
    }
    QN_CHECK_INT(totals.n_batches, fail_at == 0 ? 3 : 1);
    QN_CHECK_INT(totals.most_rows, QN_BATCH_ROWS);
    qn_appender_free(appender);
  }
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
  KIT_RUN(words_are_what_white_space_separates);
  KIT_RUN(every_byte_but_white_space_is_of_a_word);
  KIT_RUN(words_longer_than_a_piece_are_kept);
  KIT_RUN(words_follow_nulls_and_other_values);
  KIT_RUN(words_fill_batches_for_the_sink);
  KIT_RUN(wrong_words_are_a_mistake);
  KIT_RUN(the_first_mistake_is_kept);
  KIT_RUN(an_incomplete_row_is_a_mistake);
  KIT_RUN(values_of_columns_are_appended);
  KIT_RUN(the_sink_gets_full_batches);
  KIT_RUN(long_text_makes_smaller_batches);
  KIT_RUN(a_failing_sink_is_a_mistake);
  return kit_result();
}
