// SPDX-License-Identifier: Apache-2.0
// Group callbacks see the rows of one key each, in order, whatever they read of them.
#include "exec/op_fixture.h"

static const char *const schema = "k int32, o int64, v float64";

typedef struct {
  int64_t least_rows; // keys of fewer rows are not read to their end
  bool is_ordered;
} reading;

// Appends per key: the key, rows, and sum of 1 for each non-null o, after checking key and order of all rows.
static qn_status summarise(qn_group *rows, qn_appender *out, void *ctx) {
  const reading *how = ctx;
  const qn_batch *batch = NULL;
  qn_column first = {0};
  int64_t n_rows = 0;
  int64_t last = INT64_MIN;

  for (;;) {
    const qn_status status = qn_group_next(rows, &batch);
    if (status != QN_OK) {
      return status;
    }
    if (batch == NULL) {
      break;
    }
    const qn_column *keys = qn_batch_column(batch, 0), *orders = qn_batch_column(batch, 1);
    if (n_rows == 0) {
      first = qn_column_share(keys);
    }
    for (int64_t row = 0; row < qn_batch_n_rows(batch); row++, n_rows++) {
      const bool is_null = qn_column_is_null(keys, row);
      const int64_t order = qn_column_is_null(orders, row) ? INT64_MAX : qn_column_int64(orders, row);
      if (is_null != qn_column_is_null(&first, 0) ||
          (!is_null && qn_column_int32(keys, row) != qn_column_int32(&first, 0))) {
        return qn_appender_fail(out, "a row of another key");
      }
      if (how->is_ordered && order < last) {
        return qn_appender_fail(out, "rows are not in order");
      }
      last = order;
    }
    if (n_rows >= how->least_rows) {
      break;
    }
  }
  qn_append_from(out, &first, 0);
  qn_append_int64(out, n_rows < how->least_rows ? n_rows : -1);
  qn_column_release(&first);
  return QN_OK;
}

static int32_t key_of(const qn_batch *rows, int64_t row) {
  return qn_column_int32(&rows->columns[0], row);
}

// One row per key with its number of rows, or -1 from least_rows on.
static qn_batch *count_keys(const qn_batch *rows, int64_t least_rows) {
  qn_batch *sorted = fixture_sorted(rows, (int[]){0}, (qn_order[]){{false, false}}, 1), *out = NULL;
  qn_appender *appender = NULL;
  qn_schema *counts = NULL;
  const qn_column *keys = &sorted->columns[0];

  QN_CHECK_OK(qn_schema_parse("k int32, n int64", &counts, &kit_error));
  QN_CHECK_OK(qn_appender_new(counts, &appender, &kit_error));
  for (int64_t first = 0, end = 0; first < sorted->n_rows; first = end) {
    for (end = first; end < sorted->n_rows &&
                      qn_column_is_null(keys, end) == qn_column_is_null(keys, first) &&
                      (qn_column_is_null(keys, end) || key_of(sorted, end) == key_of(sorted, first));) {
      end++;
    }
    qn_append_from(appender, keys, first);
    qn_append_int64(appender, end - first < least_rows ? end - first : -1);
  }
  QN_CHECK_OK(qn_appender_finish(appender, &out, &kit_error));
  qn_appender_free(appender);
  qn_schema_free(counts);
  qn_batch_free(sorted);
  return out;
}

static void check_groups(int64_t n_rows, const char *order, reading how, const char *memory) {
  kit_random random = {.state = 9};
  qn_batch *rows = kit_random_batch(&random, schema, n_rows);
  qn_batch *wanted = count_keys(rows, how.least_rows);
  qn_job *job = fixture_open(memory);
  qn_dataset *groups =
      qn_group_by(fixture_dataset(job, schema, rows), "k", order, summarise, &how, "k int32, n int64");

  fixture_check(job, qn_sort(groups, "k"), wanted);
  fixture_close(job);
  qn_batch_free(wanted);
  qn_batch_free(rows);
}

static void every_key_is_seen_once_with_its_rows(void) {
  check_groups(20000, NULL, (reading){.least_rows = INT64_MAX}, "");
  check_groups(20000, "o", (reading){.least_rows = INT64_MAX, .is_ordered = true}, "");
  check_groups(0, NULL, (reading){.least_rows = INT64_MAX}, "");
}

static void rows_that_are_not_read_are_skipped(void) {
  check_groups(20000, NULL, (reading){.least_rows = 2}, "");
}

static void groups_beyond_the_budget_are_spilled(void) {
  check_groups(60000, "o", (reading){.least_rows = INT64_MAX, .is_ordered = true}, "1MiB");
}

static qn_status make_rows(int64_t first_row, int64_t n_rows, qn_appender *out, void *ctx) {
  (void)ctx;
  for (int64_t i = first_row; i < first_row + n_rows; i++) {
    qn_append_int32(out, i % 1000 == 0 ? 1 : 0);
    qn_append_int64(out, i);
  }
  return QN_OK;
}

// The sum of all o, and how often they fell.
static qn_status add_up(qn_group *rows, qn_appender *out, void *ctx) {
  const qn_batch *batch = NULL;
  int64_t sum = 0;
  int64_t last = INT64_MAX;
  int64_t n_risen = 0;
  qn_status status = QN_OK;

  while ((status = qn_group_next(rows, &batch)) == QN_OK && batch != NULL) {
    for (int64_t row = 0; row < qn_batch_n_rows(batch); row++) {
      const int64_t value = qn_column_int64(qn_batch_column(batch, 1), row);
      n_risen += value > last;
      sum += value;
      last = value;
    }
  }
  qn_append_int64(out, sum);
  qn_append_int64(out, n_risen);
  (void)ctx;
  return status;
}

static void one_key_may_have_very_many_rows(void) {
  qn_job *job = fixture_open("1MiB");
  qn_dataset *rows = qn_generate(job, "k int32, o int64", 100000, make_rows, NULL);
  qn_batch *wanted = kit_batch("sum int64, risen int64", "4950000|0\n4995000000|0\n");

  fixture_check(job, qn_sort(qn_group_by(rows, "k", "o desc", add_up, NULL, "sum int64, risen int64"), "sum"),
                wanted);
  fixture_close(job);
  qn_batch_free(wanted);
}

static qn_status fails_with_reason(qn_group *rows, qn_appender *out, void *ctx) {
  (void)rows;
  (void)ctx;
  return qn_appender_fail(out, "key %d is cursed", 13);
}

static qn_status fails_plainly(qn_group *rows, qn_appender *out, void *ctx) {
  (void)rows;
  (void)out;
  (void)ctx;
  return QN_ERR_VALUE;
}

static qn_status appends_wrongly(qn_group *rows, qn_appender *out, void *ctx) {
  (void)rows;
  (void)ctx;
  qn_append_int32(out, 1);
  return QN_OK;
}

static qn_status appends_half_a_row(qn_group *rows, qn_appender *out, void *ctx) {
  (void)rows;
  (void)ctx;
  qn_append_int64(out, 1);
  return QN_OK;
}

static qn_job *run_failing(qn_group_fn fn) {
  qn_job *job = fixture_open("");
  int64_t n = 0;
  qn_dataset *rows = qn_generate(job, "k int32, o int64", 10, make_rows, NULL);

  QN_CHECK(qn_count(qn_group_by(rows, "k", NULL, fn, NULL, "a int64, b int64"), &n) != QN_OK);
  return job;
}

static void failures_of_the_callback_stop_the_job(void) {
  fixture_check_failed(run_failing(fails_with_reason), QN_ERR_CALLBACK, "key 13 is cursed");
  fixture_check_failed(run_failing(fails_plainly), QN_ERR_CALLBACK,
                       "the group callback returned 'value out of range");
  fixture_check_failed(run_failing(appends_wrongly), QN_ERR_TYPE, "column 'a'");
}

static void half_a_row_at_the_end_stops_the_job(void) {
  qn_job *job = fixture_open("");
  int64_t n = 0;
  qn_dataset *rows = qn_filter(qn_generate(job, "k int32, o int64", 10, make_rows, NULL), "k = 1");

  QN_CHECK(qn_count(qn_group_by(rows, "k", NULL, appends_half_a_row, NULL, "a int64, b int64"), &n) != QN_OK);
  fixture_check_failed(job, QN_ERR_ARG, "has 1 of 2 values");
}

static void tests(void) {
  KIT_RUN(every_key_is_seen_once_with_its_rows);
  KIT_RUN(rows_that_are_not_read_are_skipped);
  KIT_RUN(groups_beyond_the_budget_are_spilled);
  KIT_RUN(one_key_may_have_very_many_rows);
  KIT_RUN(failures_of_the_callback_stop_the_job);
  KIT_RUN(half_a_row_at_the_end_stops_the_job);
}

int main(void) {
  return fixture_main(tests);
}
