// SPDX-License-Identifier: Apache-2.0
// Top against the first rows of a sort.
#include "exec/op_fixture.h"

static const char *const schema = "a int64, b utf8, c float64, d int32";

static void check_top(int64_t n_rows, int64_t n, const char *memory) {
  const qn_order order = {.is_descending = true, .nulls_first = true};
  const int column = 3;
  kit_random random = {.state = 8};
  qn_batch *rows = kit_random_batch(&random, schema, n_rows), *first = NULL;
  qn_batch *sorted = fixture_sorted(rows, &column, &order, 1);
  qn_job *job = fixture_open(memory);

  QN_CHECK_OK(qn_batch_slice(sorted, 0, n < n_rows ? n : n_rows, &first, &kit_error));
  fixture_check(job, qn_top(fixture_dataset(job, schema, rows), "d desc", n), first);
  fixture_close(job);
  qn_batch_free(rows);
  qn_batch_free(sorted);
  qn_batch_free(first);
}

static void top_gives_the_first_rows(void) {
  check_top(30000, 1, "");
  check_top(30000, 10, "");
  check_top(60000, 9000, "");
}

static void top_of_no_rows_is_empty(void) {
  check_top(5000, 0, "");
  check_top(0, 10, "");
}

static void top_of_more_rows_than_there_are_is_all(void) {
  check_top(500, 100000, "");
  check_top(5000, 6000, "");
}

static void very_many_rows_may_be_asked_for(void) {
  check_top(90000, 70000, "");
  check_top(90000, 70000, "1MiB");
}

// k = i % 5, and i falling
static qn_status make_rows(int64_t first_row, int64_t n_rows, qn_appender *out, void *ctx) {
  (void)ctx;
  for (int64_t i = first_row; i < first_row + n_rows; i++) {
    qn_append_int64(out, i % 5);
    qn_append_int64(out, -i);
  }
  return QN_OK;
}

// Of rows with equal keys the first in input order are given.
static void check_ties(int64_t n_rows, int64_t n) {
  qn_job *job = fixture_open("");
  qn_batch *found = NULL;
  bool is_right = true;

  QN_CHECK_INT(
      qn_collect(qn_top(qn_generate(job, "k int64, i int64", n_rows, make_rows, NULL), "k", n), &found),
      QN_OK);
  if (qn_job_rank(job) == 0) {
    QN_CHECK_INT(found->n_rows, n);
    for (int64_t row = 0; row < found->n_rows; row++) {
      is_right = is_right && qn_column_int64(&found->columns[0], row) == 0 &&
                 qn_column_int64(&found->columns[1], row) == -5 * row;
    }
  }
  QN_CHECK(is_right);
  qn_batch_free(found);
  fixture_close(job);
}

static void ties_are_broken_by_input_order(void) {
  check_ties(50000, 100);
  check_ties(50000, 9999);
  check_ties(400000, 70000);
}

static void tests(void) {
  KIT_RUN(top_gives_the_first_rows);
  KIT_RUN(top_of_no_rows_is_empty);
  KIT_RUN(top_of_more_rows_than_there_are_is_all);
  KIT_RUN(very_many_rows_may_be_asked_for);
  KIT_RUN(ties_are_broken_by_input_order);
}

int main(void) {
  return fixture_main(tests);
}
