// SPDX-License-Identifier: Apache-2.0
// Extend: columns of a callback beside the rows' own, in order, also where columns are left out and filters
// stand above; and callbacks that append too few rows, or fail on one rank.
#include "exec/op_fixture.h"

enum { N_ROWS = 20000 };

static qn_status make_rows(int64_t first_row, int64_t n_rows, qn_appender *out, void *ctx) {
  (void)ctx;
  for (int64_t i = first_row; i < first_row + n_rows; i++) {
    qn_append_int64(out, i);
    qn_append_text(out, "abc", i % 4);
  }
  return QN_OK;
}

// Twice the number, and null where it is a multiple of 3.
static qn_status twice(const qn_batch *in, qn_appender *out, void *ctx) {
  (void)ctx;
  for (int64_t row = 0; row < qn_batch_n_rows(in); row++) {
    const int64_t i = qn_column_int64(qn_batch_column(in, 0), row);
    if (i % 3 == 0) {
      qn_append_null(out);
    } else {
      qn_append_int64(out, 2 * i);
    }
  }
  return QN_OK;
}

static void rows_get_columns_and_keep_their_order(void) {
  qn_job *job = fixture_open("");
  qn_batch *found = NULL;
  qn_dataset *rows = qn_generate(job, "i int64, t utf8", N_ROWS, make_rows, NULL);
  qn_dataset *extended = qn_extend(rows, twice, NULL, "twice int64");
  QN_CHECK_INT(qn_collect(qn_select(qn_filter(extended, "twice > 10 or i < 3"), "t, twice"), &found), QN_OK);
  if (found != NULL && qn_job_rank(job) == 0) {
    int64_t n = 0;
    int64_t n_wrong = 0;
    for (int64_t i = 0; i < N_ROWS; i++) {
      if ((i % 3 == 0 || 2 * i <= 10) && i >= 3) {
        continue;
      }
      const qn_column *twices = qn_batch_column(found, 1);
      n_wrong += qn_column_text(qn_batch_column(found, 0), n).size != i % 4;
      n_wrong += qn_column_is_null(twices, n) != (i % 3 == 0);
      n_wrong += i % 3 != 0 && qn_column_int64(twices, n) != 2 * i;
      n++;
    }
    QN_CHECK_INT(qn_batch_n_rows(found), n);
    QN_CHECK_INT(n_wrong, 0);
  }
  qn_batch_free(found);
  QN_CHECK_INT(qn_job_close(job), 0);
}

static qn_status too_few(const qn_batch *in, qn_appender *out, void *ctx) {
  (void)ctx;
  for (int64_t row = 1; row < qn_batch_n_rows(in); row++) {
    qn_append_bool(out, true);
  }
  return QN_OK;
}

static void too_few_rows_are_an_error(void) {
  qn_job *job = fixture_open("");
  qn_error err = {0};
  int64_t n = 0;
  qn_dataset *rows = qn_generate(job, "i int64, t utf8", N_ROWS, make_rows, NULL);
  QN_CHECK_INT(qn_count(qn_filter(qn_extend(rows, too_few, NULL, "b bool"), "b"), &n), QN_ERR_CALLBACK);
  qn_job_status(job, &err);
  QN_CHECK(strstr(err.message, "it must append one for each") != NULL);
  QN_CHECK_INT(qn_job_close(job), 1);
}

static void a_name_twice_is_an_error(void) {
  qn_job *job = fixture_open("");
  qn_dataset *rows = qn_generate(job, "i int64, t utf8", N_ROWS, make_rows, NULL);
  QN_CHECK(qn_dataset_schema(qn_extend(rows, twice, NULL, "i int64")) == NULL);
  QN_CHECK_INT(qn_job_close(job), 1);
}

static void run_tests(void) {
  KIT_RUN(rows_get_columns_and_keep_their_order);
  KIT_RUN(too_few_rows_are_an_error);
  KIT_RUN(a_name_twice_is_an_error);
}

int main(void) {
  return fixture_main(run_tests);
}
