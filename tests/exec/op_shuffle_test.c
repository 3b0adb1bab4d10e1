// SPDX-License-Identifier: Apache-2.0
// Shuffles: no row is lost, and each is where it should be.
#include "exec/op_fixture.h"

static const char *const schema = "k int32, v utf8";

// A map that puts the rank that it runs on behind the columns.
static qn_status add_rank(const qn_batch *in, qn_appender *out, void *ctx) {
  for (int64_t row = 0; row < qn_batch_n_rows(in); row++) {
    qn_append_from(out, qn_batch_column(in, 0), row);
    qn_append_from(out, qn_batch_column(in, 1), row);
    qn_append_int32(out, *(const int32_t *)ctx);
  }
  return QN_OK;
}

// Collects the shuffled rows, sorted by key; column 2 says where they were.
static qn_batch *collect_places(qn_job *job, qn_dataset *shuffled, const qn_batch *rows) {
  int32_t rank = qn_job_rank(job);
  qn_batch *found = NULL, *alone = NULL, *sorted = NULL;
  qn_dataset *placed = qn_map(shuffled, add_rank, &rank, "k int32, v utf8, at int32");

  QN_CHECK_INT(qn_collect(qn_sort(placed, "k, v"), &found), QN_OK);
  if (rank == 0 && found != NULL) {
    sorted = fixture_sorted(rows, (int[]){0}, (qn_order[]){{false, false}}, 1);
    QN_CHECK_OK(qn_batch_project(found, rows->schema, (int[]){0, 1}, &alone, &kit_error));
    char *text = kit_batch_text(sorted);
    QN_CHECK_BATCH(alone, text);
    free(text);
  }
  qn_batch_free(alone);
  qn_batch_free(sorted);
  return found;
}

// Equal keys are on one rank, and (by range) ranks ascend with the keys. Returns how many ranks have rows.
static int check_places(const qn_batch *found, bool is_ascending) {
  bool is_right = true;
  int n_ranks = found->n_rows > 0;
  for (int64_t row = 1; row < found->n_rows; row++) {
    const qn_column *keys = &found->columns[0];
    const bool is_null = qn_column_is_null(keys, row);
    const bool is_same = is_null == qn_column_is_null(keys, row - 1) &&
                         (is_null || qn_column_int32(keys, row) == qn_column_int32(keys, row - 1));
    const int32_t step =
        qn_column_int32(&found->columns[2], row) - qn_column_int32(&found->columns[2], row - 1);
    is_right = is_right && (!is_same || step == 0) && (!is_ascending || step >= 0);
    n_ranks += step != 0;
  }
  QN_CHECK(is_right);
  return n_ranks;
}

static void hash_puts_equal_keys_together(void) {
  kit_random random = {.state = 3};
  qn_batch *rows = kit_random_batch(&random, schema, 20000);
  qn_job *job = fixture_open("");
  qn_batch *found = collect_places(job, qn_shuffle(fixture_dataset(job, schema, rows), "k"), rows);

  if (qn_job_rank(job) == 0) {
    check_places(found, false);
  }
  fixture_close(job);
  qn_batch_free(found);
  qn_batch_free(rows);
}

static void range_gives_rank_0_the_smallest_keys(void) {
  kit_random random = {.state = 4};
  qn_batch *rows = kit_random_batch(&random, schema, 20000);
  qn_job *job = fixture_open("");
  qn_batch *found = collect_places(job, qn_shuffle_range(fixture_dataset(job, schema, rows), "k"), rows);

  if (qn_job_rank(job) == 0) {
    QN_CHECK(check_places(found, true) > qn_job_n_ranks(job) / 2);
  }
  fixture_close(job);
  qn_batch_free(found);
  qn_batch_free(rows);
}

static void range_of_few_rows_and_none_is_well(void) {
  for (int64_t n = 0; n < 3; n++) {
    kit_random random = {.state = 5};
    qn_batch *rows = kit_random_batch(&random, schema, n);
    qn_job *job = fixture_open("");
    qn_batch *found =
        collect_places(job, qn_shuffle_range(fixture_dataset(job, schema, rows), "k desc"), rows);
    fixture_close(job);
    qn_batch_free(found);
    qn_batch_free(rows);
  }
}

static qn_status by_row(const qn_batch *in, int n_ranks, int32_t *destinations, void *ctx) {
  for (int64_t row = 0; row < qn_batch_n_rows(in); row++) {
    const bool is_null = qn_column_is_null(qn_batch_column(in, 0), row);
    const uint32_t key = is_null ? 0 : (uint32_t)qn_column_int32(qn_batch_column(in, 0), row);
    destinations[row] = (int32_t)(key % (uint32_t)n_ranks);
  }
  (void)ctx;
  return QN_OK;
}

static void own_function_decides(void) {
  kit_random random = {.state = 6};
  qn_batch *rows = kit_random_batch(&random, schema, 20000);
  qn_job *job = fixture_open("");
  qn_batch *found =
      collect_places(job, qn_shuffle_by(fixture_dataset(job, schema, rows), by_row, NULL), rows);
  bool is_right = true;

  if (qn_job_rank(job) == 0) {
    for (int64_t row = 0; row < found->n_rows; row++) {
      const bool is_null = qn_column_is_null(&found->columns[0], row);
      const uint32_t key = is_null ? 0 : (uint32_t)qn_column_int32(&found->columns[0], row);
      is_right = is_right &&
                 qn_column_int32(&found->columns[2], row) == (int32_t)(key % (uint32_t)qn_job_n_ranks(job));
    }
  }
  QN_CHECK(is_right);
  fixture_close(job);
  qn_batch_free(found);
  qn_batch_free(rows);
}

static qn_status beyond(const qn_batch *in, int n_ranks, int32_t *destinations, void *ctx) {
  memset(destinations, 0, (size_t)qn_batch_n_rows(in) * sizeof *destinations);
  destinations[1] = n_ranks + 40;
  (void)ctx;
  return QN_OK;
}

static qn_status forgets(const qn_batch *in, int n_ranks, int32_t *destinations, void *ctx) {
  memset(destinations, 0, (size_t)(qn_batch_n_rows(in) - 1) * sizeof *destinations);
  (void)n_ranks;
  (void)ctx;
  return QN_OK;
}

static qn_status fails(const qn_batch *in, int n_ranks, int32_t *destinations, void *ctx) {
  (void)in;
  (void)n_ranks;
  (void)destinations;
  (void)ctx;
  return QN_ERR_VALUE;
}

static qn_status fails_with_reason(const qn_batch *in, int n_ranks, int32_t *destinations, void *ctx) {
  (void)in;
  (void)n_ranks;
  (void)destinations;
  return qn_job_fail(ctx, "no destination is good enough");
}

static qn_job *run_failing(qn_partition_fn partition) {
  kit_random random = {.state = 7};
  qn_batch *rows = kit_random_batch(&random, schema, 3000);
  qn_job *job = fixture_open("");
  int64_t n = 0;

  QN_CHECK(qn_count(qn_shuffle_by(fixture_dataset(job, schema, rows), partition, job), &n) != QN_OK);
  qn_batch_free(rows);
  return job;
}

static void mistakes_of_the_function_stop_the_job(void) {
  fixture_check_failed(run_failing(beyond), QN_ERR_CALLBACK, "for row 1 of a batch of");
  fixture_check_failed(run_failing(forgets), QN_ERR_CALLBACK, "destination -1 for row");
  fixture_check_failed(run_failing(fails), QN_ERR_CALLBACK, "the callback returned 'value out of range");
}

static void the_function_says_why_it_fails(void) {
  qn_job *job = run_failing(fails_with_reason);
  qn_job_status(job, &kit_error);
  QN_CHECK_MESSAGE("no destination is good enough");
  QN_CHECK_INT(qn_job_close(job), 1);
}

static void tests(void) {
  KIT_RUN(hash_puts_equal_keys_together);
  KIT_RUN(range_gives_rank_0_the_smallest_keys);
  KIT_RUN(range_of_few_rows_and_none_is_well);
  KIT_RUN(own_function_decides);
  KIT_RUN(mistakes_of_the_function_stop_the_job);
  KIT_RUN(the_function_says_why_it_fails);
}

int main(void) {
  return fixture_main(tests);
}
