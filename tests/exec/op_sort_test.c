// SPDX-License-Identifier: Apache-2.0
// Sort on any number of ranks against sorting all rows at once.
#include "base/hash.h"
#include "exec/op_fixture.h"

static const char *const schema = "a int64, b utf8, c float64, d int32, e date";

static void check_sort(int64_t n_rows, const char *keys, const int *columns, const qn_order *orders, int n,
                       const char *memory) {
  kit_random random = {.state = 5};
  qn_batch *rows = kit_random_batch(&random, schema, n_rows);
  qn_batch *wanted = fixture_sorted(rows, columns, orders, n);
  qn_job *job = fixture_open(memory);
  fixture_check(job, qn_sort(fixture_dataset(job, schema, rows), keys), wanted);
  fixture_close(job);
  qn_batch_free(rows);
  qn_batch_free(wanted);
}

static void many_rows_are_sorted_over_the_ranks(void) {
  check_sort(30000, "d desc", (int[]){3}, (qn_order[]){{true, true}}, 1, "");
  check_sort(30000, "b nulls first, c desc nulls last", (int[]){1, 2},
             (qn_order[]){{false, true}, {true, false}}, 2, "");
}

static void few_rows_are_sorted_by_one_rank(void) {
  check_sort(0, "a", (int[]){0}, (qn_order[]){{false, false}}, 1, "");
  check_sort(1, "a", (int[]){0}, (qn_order[]){{false, false}}, 1, "");
  check_sort(900, "e, a", (int[]){4, 0}, (qn_order[]){{false, false}, {false, false}}, 2, "");
}

static void rows_beyond_the_budget_are_spilled(void) {
  check_sort(60000, "c, d", (int[]){2, 3}, (qn_order[]){{false, false}, {false, false}}, 2, "1MiB");
}

// k = i % 7, and i
static qn_status make_rows(int64_t first_row, int64_t n_rows, qn_appender *out, void *ctx) {
  const int64_t n_keys = *(const int64_t *)ctx;
  for (int64_t i = first_row; i < first_row + n_rows; i++) {
    qn_append_int64(out, i % n_keys);
    qn_append_int64(out, -i);
  }
  return QN_OK;
}

// Rows with equal keys stay in input order, though their other column falls.
static void check_stability(int64_t n_rows, int64_t n_keys, const char *memory) {
  qn_job *job = fixture_open(memory);
  qn_batch *found = NULL;
  int64_t row = 0;
  qn_dataset *rows = qn_generate(job, "k int64, i int64", n_rows, make_rows, &n_keys);

  QN_CHECK_INT(qn_collect(qn_sort(rows, "k desc"), &found), QN_OK);
  if (qn_job_rank(job) == 0) {
    QN_CHECK_INT(found->n_rows, n_rows);
    bool is_right = true;
    for (int64_t k = n_keys - 1; k >= 0; k--) {
      for (int64_t i = k; i < n_rows && row < found->n_rows; i += n_keys, row++) {
        is_right = is_right && qn_column_int64(&found->columns[0], row) == k &&
                   qn_column_int64(&found->columns[1], row) == -i;
      }
    }
    QN_CHECK(is_right);
  }
  qn_batch_free(found);
  fixture_close(job);
}

static void equal_keys_stay_in_input_order(void) {
  check_stability(50000, 7, "");
  check_stability(50000, 1, "");
  check_stability(300, 7, "");
  check_stability(100000, 3, "1MiB");
}

static qn_status count_rows(const qn_batch *in, qn_appender *out, void *ctx) {
  *(int64_t *)ctx += qn_batch_n_rows(in);
  for (int64_t row = 0; row < qn_batch_n_rows(in); row++) {
    qn_append_from(out, qn_batch_column(in, 0), row);
  }
  return QN_OK;
}

// Zipf's law with exponent 1.5, half of the rows with one key, or all of them.
static qn_status make_skewed(int64_t first_row, int64_t n_rows, qn_appender *out, void *ctx) {
  const int64_t kind = *(const int64_t *)ctx;
  for (int64_t i = first_row; i < first_row + n_rows; i++) {
    const uint64_t hash = qn_hash_mix((uint64_t)i * 0x9e3779b97f4a7c15u);
    const double u = (double)((hash >> 12) + 1) * 0x1p-52;
    const double zipf = 1 / (u * u);
    qn_append_int64(out, kind == 0   ? (int64_t)(zipf < 1e15 ? zipf : 1e15)
                         : kind == 1 ? (int64_t)(hash % 2 == 0 ? 7 : hash >> 2)
                                     : 7);
    qn_append_int64(out, i);
  }
  return QN_OK;
}

static void ranks_get_as_many_rows_however_skewed_the_keys_are(void) {
  for (int64_t kind = 0; kind < 3; kind++) {
    qn_job *job = fixture_open("");
    int64_t n_here = 0;
    int64_t n = 0;
    const int64_t n_rows = 200000;
    qn_dataset *rows = qn_generate(job, "k int64, i int64", n_rows, make_skewed, &kind);

    QN_CHECK_INT(qn_count(qn_map(qn_sort(rows, "k"), count_rows, &n_here, "k int64"), &n), QN_OK);
    QN_CHECK_INT(n, n_rows);
    QN_CHECK(10 * n_here * qn_job_n_ranks(job) < 11 * n_rows);
    fixture_close(job);
  }
}

static void sorted_rows_can_be_sorted_again(void) {
  kit_random random = {.state = 6};
  qn_batch *rows = kit_random_batch(&random, "a int32, b bool", 25000);
  qn_batch *wanted = fixture_sorted(rows, (int[]){1, 0}, (qn_order[]){{true, true}, {true, true}}, 2);
  qn_job *job = fixture_open("");
  qn_dataset *dataset = fixture_dataset(job, "a int32, b bool", rows);

  fixture_check(job, qn_sort(qn_sort(dataset, "a desc"), "b desc"), wanted);
  fixture_close(job);
  qn_batch_free(rows);
  qn_batch_free(wanted);
}

static void tests(void) {
  KIT_RUN(many_rows_are_sorted_over_the_ranks);
  KIT_RUN(few_rows_are_sorted_by_one_rank);
  KIT_RUN(rows_beyond_the_budget_are_spilled);
  KIT_RUN(equal_keys_stay_in_input_order);
  KIT_RUN(ranks_get_as_many_rows_however_skewed_the_keys_are);
  KIT_RUN(sorted_rows_can_be_sorted_again);
}

int main(void) {
  return fixture_main(tests);
}
