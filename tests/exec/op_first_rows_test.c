// SPDX-License-Identifier: Apache-2.0
// The first rows of each partition, against a filter that the plan does not see through.
#include "exec/op_fixture.h"

static const char *const schema = "p int32, o int32, x float64, t utf8, id int64";

typedef struct {
  int64_t n_rows, n_partitions, n_orders;
  int64_t step; // of `o` with the row number: 0: random
} row_makeup;

static qn_batch *make_rows(const row_makeup *makeup) {
  static const char *const words[] = {"", "a", "same beginning 1", "same beginning 2", "\xc3\xa4", "b"};
  kit_random random = {.state = 31};
  qn_schema *parsed = NULL;
  qn_appender *appender = NULL;
  qn_batch *out = NULL;

  QN_CHECK_OK(qn_schema_parse(schema, &parsed, &kit_error));
  QN_CHECK_OK(qn_appender_new(parsed, &appender, &kit_error));
  for (int64_t i = 0; i < makeup->n_rows; i++) {
    const int64_t p = kit_random_below(&random, makeup->n_partitions);
    const int64_t o = makeup->step == 0 ? kit_random_below(&random, makeup->n_orders) : i * makeup->step;
    const char *word = words[kit_random_below(&random, 6)];
    p == 0 ? qn_append_null(appender) : qn_append_int32(appender, (int32_t)p);
    i % 11 == 0 ? qn_append_null(appender) : qn_append_int32(appender, (int32_t)o);
    i % 13 == 0 ? qn_append_float64(appender, __builtin_nan(""))
                : qn_append_float64(appender, (double)(o % 7) - 3);
    i % 7 == 0 ? qn_append_null(appender) : qn_append_text(appender, word, (int64_t)strlen(word));
    qn_append_int64(appender, i);
  }
  QN_CHECK_OK(qn_appender_finish(appender, &out, &kit_error));
  qn_appender_free(appender);
  qn_schema_free(parsed);
  return out;
}

static qn_batch *collect(const qn_batch *rows, const char *partition, const char *order,
                         const char *functions, const char *condition, const char *memory) {
  qn_batch *out = NULL;
  qn_job *job = fixture_open(memory);
  qn_dataset *windowed = qn_window(fixture_dataset(job, schema, rows), partition, order, functions);
  QN_CHECK_INT(qn_collect(qn_sort(qn_filter(windowed, condition), "id"), &out), QN_OK);
  fixture_close(job);
  return out;
}

// `condition` and the `hidden` one mean the same.
static void check(const row_makeup *makeup, const char *partition, const char *order, const char *functions,
                  const char *condition, const char *hidden, const char *memory) {
  qn_batch *rows = make_rows(makeup);
  qn_batch *found = collect(rows, partition, order, functions, condition, memory);
  qn_batch *wanted = collect(rows, partition, order, functions, hidden, memory);
  char *text = kit_batch_text(wanted);
  QN_CHECK_BATCH(found, text);
  free(text);
  qn_batch_free(rows);
  qn_batch_free(found);
  qn_batch_free(wanted);
}

static const char *const numbers = "row_number() as rn, rank() as rk, dense_rank() as dr, lag(o, 1) as lg";

static void first_rows_are_those_of_the_whole_window(void) {
  const row_makeup few = {.n_rows = 20000, .n_partitions = 40, .n_orders = 5000};
  check(&few, "p", "o", numbers, "rn <= 3", "rn + 0 <= 3", "");
  check(&few, "p", "o desc nulls last", numbers, "rn < 3", "rn + 0 < 3", "");
  check(&few, "p", "t, o", numbers, "rn = 2", "rn + 0 = 2", "");
  check(&few, "p", "t desc", numbers, "2 >= rk", "2 >= rk + 0", "");
  check(&few, "p", "x", numbers, "rk <= 10 and rn <= 40", "rk + 0 <= 10 and rn + 0 <= 40", "");
  check(&few, "p, o % 3", "x desc", numbers, "rn <= 1", "rn + 0 <= 1", "");
  check(&few, NULL, "o", numbers, "rn <= 5", "rn + 0 <= 5", "");
  check(&few, "p", NULL, "row_number() as rn", "rn <= 2", "rn + 0 <= 2", "");
}

static void limits_of_nothing_and_of_all_hold(void) {
  const row_makeup few = {.n_rows = 3000, .n_partitions = 9, .n_orders = 50};
  const row_makeup none = {.n_rows = 0, .n_partitions = 9, .n_orders = 50};
  check(&few, "p", "o", numbers, "rn <= 0", "rn + 0 <= 0", "");
  check(&few, "p", "o", numbers, "rn <= 1000000", "rn + 0 <= 1000000", "");
  check(&none, "p", "o", numbers, "rn <= 2", "rn + 0 <= 2", "");
}

// A sum takes its peers in, a lead the rows behind: then no row may be dropped.
static void functions_that_look_ahead_see_all_rows(void) {
  const row_makeup few = {.n_rows = 4000, .n_partitions = 9, .n_orders = 50};
  check(&few, "p", "o", "row_number() as rn, sum(o) as s, lead(id) as l", "rn <= 2", "rn + 0 <= 2", "");
}

// Rows that get better and better, or are all alike, or each in a partition of its own.
static void rows_that_cannot_be_dropped_pass(void) {
  const row_makeup better = {.n_rows = 150000, .n_partitions = 20, .step = -1};
  const row_makeup worse = {.n_rows = 150000, .n_partitions = 20, .step = 1};
  const row_makeup alike = {.n_rows = 150000, .n_partitions = 3, .n_orders = 1};
  const row_makeup many = {.n_rows = 150000, .n_partitions = 100000000, .n_orders = 10};
  check(&better, "p", "o", numbers, "rn <= 2", "rn + 0 <= 2", "");
  check(&worse, "p", "o", numbers, "rn <= 2", "rn + 0 <= 2", "");
  check(&alike, "p", "o", numbers, "rn <= 2", "rn + 0 <= 2", "");
  check(&many, "p", "o", numbers, "rn <= 2", "rn + 0 <= 2", "");
}

static void first_rows_are_found_in_little_memory(void) {
  const row_makeup few = {.n_rows = 60000, .n_partitions = 5000, .n_orders = 5000};
  check(&few, "p", "o", numbers, "rn <= 3", "rn + 0 <= 3", "1MiB");
}

static void tests(void) {
  KIT_RUN(first_rows_are_those_of_the_whole_window);
  KIT_RUN(limits_of_nothing_and_of_all_hold);
  KIT_RUN(functions_that_look_ahead_see_all_rows);
  KIT_RUN(rows_that_cannot_be_dropped_pass);
  KIT_RUN(first_rows_are_found_in_little_memory);
}

int main(void) {
  return fixture_main(tests);
}
