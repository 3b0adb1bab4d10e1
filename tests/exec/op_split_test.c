// SPDX-License-Identifier: Apache-2.0
// Rows chosen by their hash: the same on any number of ranks, each in one part.
#include "exec/op_fixture.h"

enum { N_ROWS = 9000, SPLIT_ROWS = 1714, SPLIT_SUM = 808313891 };

static qn_status make_rows(int64_t first_row, int64_t n_rows, qn_appender *out, void *ctx) {
  (void)ctx;
  for (int64_t i = first_row; i < first_row + n_rows; i++) {
    qn_append_int64(out, i);
    qn_append_text(out, "abc", i % 4);
  }
  return QN_OK;
}

static int64_t count_of(qn_dataset *dataset) {
  int64_t n = -1;
  QN_CHECK_INT(qn_count(dataset, &n), QN_OK);
  return n;
}

// A sum that tells sets of rows apart.
static int64_t sum_of(qn_dataset *dataset, int64_t *n) {
  qn_batch *found = NULL;
  int64_t sum = 0;
  QN_CHECK_INT(qn_collect(qn_reduce(dataset, NULL, "count(*) as n, sum(a * a % 1000003) as s"), &found),
               QN_OK);
  if (found != NULL && qn_batch_n_rows(found) == 1) {
    *n = qn_column_int64(qn_batch_column(found, 0), 0);
    sum = *n > 0 ? qn_column_int64(qn_batch_column(found, 1), 0) : 0;
  }
  qn_batch_free(found);
  return sum;
}

static void a_split_has_the_same_rows_on_any_number_of_ranks(void) {
  qn_job *job = fixture_open("");
  qn_dataset *made = qn_generate(job, "a int64, t utf8", N_ROWS, make_rows, NULL);
  qn_dataset *train = NULL, *test = NULL, *train_again = NULL, *test_again = NULL;
  int64_t n[4] = {0};
  qn_split(made, 0.2, 7, &train, &test);
  qn_split(train, 0.2, 7, &train_again, &test_again); // other rows, though the seed is the same
  const int64_t sums[4] = {sum_of(train, &n[0]), sum_of(test, &n[1]), sum_of(train_again, &n[2]),
                           sum_of(test_again, &n[3])};
  if (qn_job_rank(job) == 0) {
    QN_CHECK_INT(n[0] + n[1], N_ROWS);
    QN_CHECK(n[1] > 1600 && n[1] < 2000);
    QN_CHECK_INT(n[2] + n[3], n[0]);
    QN_CHECK(n[3] > 1250 && n[3] < 1650);
    QN_CHECK_INT(sums[2] + sums[3], sums[0]);
    QN_CHECK_INT(n[1], SPLIT_ROWS); // as on one rank
    QN_CHECK_INT(sums[1], SPLIT_SUM);
  }
  QN_CHECK_INT(count_of(qn_join(train, test, QN_JOIN_INNER, "a", NULL)), 0);
  fixture_close(job);
}

static void every_row_is_in_one_fold(void) {
  qn_job *job = fixture_open("");
  qn_dataset *made = qn_generate(job, "a int64, t utf8", N_ROWS, make_rows, NULL);
  int64_t n_all = 0, n_tested = 0, sum_tested = 0;
  const int64_t sum_all = sum_of(made, &n_all);
  for (int i = 0; i < 7; i++) {
    qn_dataset *train = NULL, *test = NULL;
    int64_t n_train = 0, n_test = 0;
    qn_fold(made, 7, i, 3, &train, &test);
    const int64_t sum_train = sum_of(train, &n_train), sum_test = sum_of(test, &n_test);
    QN_CHECK_INT(n_train + n_test, n_all);
    QN_CHECK_INT(sum_train + sum_test, sum_all);
    QN_CHECK(qn_job_rank(job) != 0 || (n_test > N_ROWS / 7 - 150 && n_test < N_ROWS / 7 + 150));
    n_tested += n_test;
    sum_tested += sum_test;
  }
  QN_CHECK_INT(n_tested, n_all);
  QN_CHECK_INT(sum_tested, sum_all);
  fixture_close(job);
}

static void run_tests(void) {
  KIT_RUN(a_split_has_the_same_rows_on_any_number_of_ranks);
  KIT_RUN(every_row_is_in_one_fold);
}

int main(void) {
  return fixture_main(run_tests);
}
