// SPDX-License-Identifier: Apache-2.0
// Filters of several conditions against a loop over the rows: few or most rows pass the first condition,
// columns that only conditions read are gone above, conditions that could fail see no row that an earlier one
// took out.
#include "exec/op_fixture.h"

enum { N_ROWS = 30000 };

// i, i % 10 or null where i % 7 is 0, i / 4, and "x<i % 100>"
static qn_status make_rows(int64_t first_row, int64_t n_rows, qn_appender *out, void *ctx) {
  (void)ctx;
  for (int64_t i = first_row; i < first_row + n_rows; i++) {
    char text[16];
    qn_append_int64(out, i);
    if (i % 7 == 0) {
      qn_append_null(out);
    } else {
      qn_append_int32(out, (int32_t)(i % 10));
    }
    qn_append_float64(out, (double)i / 4);
    qn_append_text(out, text, snprintf(text, sizeof text, "x%d", (int)(i % 100)));
  }
  return QN_OK;
}

static bool is_null(int64_t i) {
  return i % 7 == 0;
}

static bool most_pass(int64_t i) {
  return i % 100 != 12 && !is_null(i) && i % 10 < 9 && i >= 401;
}
static bool few_pass(int64_t i) {
  return i % 100 == 12 && !is_null(i) && i % 10 == 2 && i >= 500;
}
static bool none_pass(int64_t i) {
  (void)i;
  return false;
}
static bool division_passes(int64_t i) {
  return i >= 100 && !is_null(i) && i % 10 != 0 && 9 / (i % 10) > 1;
}

// The rows of `condition` in order, all columns or the first alone.
static void check_filter(const char *condition, bool (*passes)(int64_t), bool has_all_columns) {
  qn_job *job = fixture_open("");
  qn_batch *found = NULL;
  qn_dataset *rows = qn_generate(job, "i int64, b int32, x float64, t utf8", N_ROWS, make_rows, NULL);
  qn_dataset *kept = qn_filter(rows, condition);
  QN_CHECK_INT(qn_collect(has_all_columns ? kept : qn_select(kept, "i"), &found), QN_OK);
  if (found != NULL && qn_job_rank(job) == 0) {
    int64_t n = 0, n_wrong = 0;
    for (int64_t i = 0; i < N_ROWS; i++) {
      if (!passes(i)) {
        continue;
      }
      bool is_right = n < qn_batch_n_rows(found) && qn_column_int64(qn_batch_column(found, 0), n) == i;
      if (is_right && has_all_columns) {
        const qn_column *b = qn_batch_column(found, 1);
        is_right = qn_column_is_null(b, n) == is_null(i) && (is_null(i) || qn_column_int32(b, n) == i % 10) &&
                   qn_column_float64(qn_batch_column(found, 2), n) == (double)i / 4;
      }
      n_wrong += !is_right;
      n++;
    }
    QN_CHECK_INT(qn_batch_n_rows(found), n);
    QN_CHECK_INT(n_wrong, 0);
  }
  qn_batch_free(found);
  fixture_close(job);
}

static void check_both(const char *condition, bool (*passes)(int64_t)) {
  check_filter(condition, passes, true);
  check_filter(condition, passes, false);
}

static void rows_pass_if_all_conditions_hold(void) {
  check_both("t <> 'x12' and b < 9 and x >= 100.25", most_pass);
  check_both("t = 'x12' and b = 2 and i >= 500", few_pass);
  check_both("i >= 500 and t = 'x12' and b = 2", few_pass);
  check_both("i >= 0 and b = 11 and x > 1", none_pass);
  check_both("i < 0 and b = 1", none_pass);
}

static void conditions_that_can_fail_see_only_rows_that_passed(void) {
  check_both("i >= 100 and b <> 0 and 9 / b > 1", division_passes);
}

static void run_tests(void) {
  KIT_RUN(rows_pass_if_all_conditions_hold);
  KIT_RUN(conditions_that_can_fail_see_only_rows_that_passed);
}

int main(void) {
  return fixture_main(run_tests);
}
