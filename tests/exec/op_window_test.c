// SPDX-License-Identifier: Apache-2.0
// Window functions against their definition, row by row.
#include "exec/op_fixture.h"

static const char *const schema = "p int32, o int32, v int64, x float64, t utf8, id int64";
static const char *const result_schema = "id int64, rn int64, rk int64, dr int64, lg int64, ld utf8, fv "
                                         "utf8, lv int64, n int64, nv int64, sv int64, "
                                         "sx float64, av float64, mt utf8, mx float64";
static const char *const functions =
    "row_number() as rn, rank() as rk, dense_rank() as dr, lag(v, 2) as lg, lead(t, 3, 'none') as ld, "
    "first_value(t) as fv, last_value(v) as lv, count(*) as n, count(v) as nv, sum(v) as sv, sum(x) as sx, "
    "avg(v) as av, min(t) as mt, max(x) as mx";

// Rows of n_partitions partitions (one of them null); some 4 rows share an order; one value in eight is null.
static qn_batch *make_rows(int64_t n_rows, int64_t n_partitions, int64_t n_orders) {
  static const char *const words[] = {"", "a", "bb", "ccc", "\xc3\xa4", "zzzzzzzzzzzzzzzzzzzzz"};
  kit_random random = {.state = 21};
  qn_schema *parsed = NULL;
  qn_appender *appender = NULL;
  qn_batch *out = NULL;

  QN_CHECK_OK(qn_schema_parse(schema, &parsed, &kit_error));
  QN_CHECK_OK(qn_appender_new(parsed, &appender, &kit_error));
  for (int64_t i = 0; i < n_rows; i++) {
    const int64_t p = kit_random_below(&random, n_partitions);
    const char *word = words[kit_random_below(&random, 6)];
    p == 0 ? qn_append_null(appender) : qn_append_int32(appender, (int32_t)p);
    kit_random_below(&random, 8) == 0
        ? qn_append_null(appender)
        : qn_append_int32(appender, (int32_t)kit_random_below(&random, n_orders));
    kit_random_below(&random, 8) == 0 ? qn_append_null(appender)
                                      : qn_append_int64(appender, kit_random_below(&random, 1000) - 500);
    kit_random_below(&random, 8) == 0
        ? qn_append_null(appender)
        : qn_append_float64(appender, (double)kit_random_below(&random, 1000) / 4);
    kit_random_below(&random, 8) == 0 ? qn_append_null(appender)
                                      : qn_append_text(appender, word, (int64_t)strlen(word));
    qn_append_int64(appender, i);
  }
  QN_CHECK_OK(qn_appender_finish(appender, &out, &kit_error));
  qn_appender_free(appender);
  qn_schema_free(parsed);
  return out;
}

static bool is_equal(const qn_column *column, int64_t a, int64_t b) {
  const qn_order order = {0};
  return qn_compare_rows(&column, a, &column, b, &order, 1) == 0;
}

static void append_or_null(qn_appender *out, const qn_column *column, int64_t row) {
  row < 0 ? qn_append_null(out) : qn_append_from(out, column, row);
}

typedef struct {
  const qn_batch *rows; // sorted by partition and order
  int64_t first, end;   // the partition
  int64_t peer_first, peer_end;
  int64_t dense_rank;
  int64_t n_v, n_x, sum_v; // of [first, peer_end)
  double sum_x;
  int64_t least_t, largest_x; // rows, or -1
} frame;

// The row of [first, end) with the smallest (largest) value, or -1.
static int64_t extreme(const qn_column *column, int64_t first, int64_t end, bool is_largest) {
  const qn_order order = {.is_descending = is_largest};
  int64_t best = -1;
  for (int64_t i = first; i < end; i++) {
    if (!qn_column_is_null(column, i) &&
        (best < 0 || qn_compare_rows(&column, i, &column, best, &order, 1) < 0)) {
      best = i;
    }
  }
  return best;
}

// What the definition gives for the rows of a peer group.
static void fill_frame(frame *at) {
  const qn_column *v = &at->rows->columns[2], *x = &at->rows->columns[3];

  at->n_v = 0;
  at->n_x = 0;
  at->sum_v = 0;
  at->sum_x = 0;
  for (int64_t i = at->first; i < at->peer_end; i++) {
    if (!qn_column_is_null(v, i)) {
      at->n_v++;
      at->sum_v += qn_column_int64(v, i);
    }
    if (!qn_column_is_null(x, i)) {
      at->n_x++;
      at->sum_x += qn_column_float64(x, i);
    }
  }
  at->least_t = extreme(&at->rows->columns[4], at->first, at->peer_end, false);
  at->largest_x = extreme(x, at->first, at->peer_end, true);
}

static void append_expected(qn_appender *out, const frame *at, int64_t row) {
  const qn_column *v = &at->rows->columns[2], *x = &at->rows->columns[3], *t = &at->rows->columns[4];

  qn_append_from(out, &at->rows->columns[5], row);
  qn_append_int64(out, row - at->first + 1);
  qn_append_int64(out, at->peer_first - at->first + 1);
  qn_append_int64(out, at->dense_rank);
  append_or_null(out, v, row - 2 >= at->first ? row - 2 : -1);
  row + 3 < at->end ? qn_append_from(out, t, row + 3) : qn_append_text(out, "none", 4);
  append_or_null(out, t, at->first);
  append_or_null(out, v, at->peer_end - 1);
  qn_append_int64(out, at->peer_end - at->first);
  qn_append_int64(out, at->n_v);
  at->n_v == 0 ? qn_append_null(out) : qn_append_int64(out, at->sum_v);
  at->n_x == 0 ? qn_append_null(out) : qn_append_float64(out, at->sum_x);
  at->n_v == 0 ? qn_append_null(out) : qn_append_float64(out, (double)at->sum_v / (double)at->n_v);
  append_or_null(out, t, at->least_t);
  append_or_null(out, x, at->largest_x);
}

static void append_partition(qn_appender *out, const qn_batch *rows, int64_t first, int64_t end,
                             bool has_order) {
  frame at = {.rows = rows, .first = first, .end = end, .peer_end = first};
  for (int64_t row = first; row < end; row++) {
    if (row == at.peer_end) {
      at.peer_first = row;
      at.dense_rank++;
      for (at.peer_end = row + 1;
           at.peer_end < end && (!has_order || is_equal(&rows->columns[1], row, at.peer_end));) {
        at.peer_end++;
      }
      fill_frame(&at);
    }
    append_expected(out, &at, row);
  }
}

static qn_batch *expected(const qn_batch *rows, bool has_partition, bool has_order) {
  const qn_order descending = {.is_descending = true, .nulls_first = true};
  const int columns[2] = {0, 1};
  const qn_order orders[2] = {{false, false}, descending};
  const int skip = has_partition ? 0 : 1;
  qn_batch *sorted = fixture_sorted(rows, columns + skip, orders + skip, 2 - skip - (has_order ? 0 : 1));
  qn_batch *out = NULL, *by_id = NULL;
  qn_schema *parsed = NULL;
  qn_appender *appender = NULL;

  QN_CHECK_OK(qn_schema_parse(result_schema, &parsed, &kit_error));
  QN_CHECK_OK(qn_appender_new(parsed, &appender, &kit_error));
  for (int64_t first = 0, end = 0; first < sorted->n_rows; first = end) {
    for (end = first + 1;
         end < sorted->n_rows && (!has_partition || is_equal(&sorted->columns[0], first, end));) {
      end++;
    }
    append_partition(appender, sorted, first, end, has_order);
  }
  QN_CHECK_OK(qn_appender_finish(appender, &out, &kit_error));
  by_id = fixture_sorted(out, (int[]){0}, (qn_order[]){{false, false}}, 1);
  qn_appender_free(appender);
  qn_schema_free(parsed);
  qn_batch_free(sorted);
  qn_batch_free(out);
  return by_id;
}

static void check_window(const qn_batch *rows, bool has_partition, bool has_order, const char *memory) {
  qn_job *job = fixture_open(memory);
  qn_batch *wanted = qn_job_rank(job) == 0 ? expected(rows, has_partition, has_order) : NULL;
  qn_dataset *windowed = qn_window(fixture_dataset(job, schema, rows), has_partition ? "p" : NULL,
                                   has_order ? "o desc" : NULL, functions);

  windowed = qn_select(windowed, "id, rn, rk, dr, lg, ld, fv, lv, n, nv, sv, sx, av, mt, mx");
  fixture_check(job, qn_sort(windowed, "id"), wanted);
  fixture_close(job);
  qn_batch_free(wanted);
}

static void check_rows(int64_t n_rows, int64_t n_partitions, int64_t n_orders, const char *memory) {
  qn_batch *rows = make_rows(n_rows, n_partitions, n_orders);
  check_window(rows, true, true, memory);
  check_window(rows, true, false, memory);
  qn_batch_free(rows);
}

static void functions_are_what_they_are_defined_to_be(void) {
  check_rows(3000, 40, 20, "");
}

static void many_small_partitions_pass_in_chunks(void) {
  check_rows(20000, 9000, 5, "");
}

static void partitions_and_peers_may_be_larger_than_a_batch(void) {
  check_rows(9000, 2, 3, "");
  check_rows(9000, 2, 4500, "");
}

static void rows_beyond_the_budget_are_spilled(void) {
  check_rows(10000, 4, 2500, "256KiB");
}

static void without_keys_all_rows_are_one_partition(void) {
  qn_batch *rows = make_rows(5000, 10, 700);
  check_window(rows, false, true, "");
  check_window(rows, false, false, "");
  qn_batch_free(rows);
}

// One partition over all ranks gives what it gives as the only value of a key, which is on one rank.
static void check_spread(int64_t n_orders, const char *order, const char *memory) {
  static const char *const spread_functions =
      "row_number() as rn, rank() as rk, dense_rank() as dr, first_value(t) as fv, last_value(t) as lv, "
      "count(*) as n, count(v) as nv, sum(v) as sv, sum(x) as sx, avg(v) as av, min(t) as mt, max(x) as mx";
  qn_batch *rows = make_rows(40000, 10, n_orders), *wanted = NULL;
  qn_job *job = fixture_open(memory);
  qn_dataset *keyed = qn_select(fixture_dataset(job, schema, rows), "*, 1 as one");
  qn_dataset *on_one = qn_window(keyed, "one", order, spread_functions);
  qn_dataset *spread = qn_window(keyed, NULL, order, spread_functions);

  QN_CHECK_INT(qn_collect(qn_sort(on_one, "id"), &wanted), QN_OK);
  fixture_check(job, qn_sort(spread, "id"), wanted);
  fixture_close(job);
  qn_batch_free(rows);
  qn_batch_free(wanted);
}

static void one_partition_is_spread_over_the_ranks(void) {
  check_spread(7000, "o", "");
  check_spread(7000, "o desc, t", "");
  check_spread(3, "o", "");
  check_spread(7000, NULL, "");
  check_spread(7000, "o", "2MiB");
}

static void no_rows_give_no_rows(void) {
  check_rows(0, 2, 2, "");
}

static void shifts_may_go_the_other_way_and_far(void) {
  qn_batch *rows = kit_batch("p int32, i int64", "1|1\n1|2\n1|3\n2|4\n");
  qn_batch *wanted = kit_batch("p int32, i int64, a int64, b int64, c int64, d int64",
                               "1|1|1|~|1|-1\n1|2|2|~|2|-2\n1|3|3|~|3|-3\n2|4|4|~|4|-4\n");
  qn_job *job = fixture_open("");
  qn_dataset *windowed =
      qn_window(fixture_dataset(job, "p int32, i int64", rows), "p", "i",
                "lag(i, 0) as a, lead(i, 100000) as b, lead(i, 0) as c, lag(i, 9, -i) as d");

  fixture_check(job, qn_sort(windowed, "i"), wanted);
  fixture_close(job);
  qn_batch_free(rows);
  qn_batch_free(wanted);
}

static void sum_beyond_int64_stops_the_job(void) {
  qn_batch *rows = kit_batch("i int64", "9223372036854775807\n1\n");
  qn_job *job = fixture_open("");
  int64_t n = 0;

  QN_CHECK(qn_count(qn_window(fixture_dataset(job, "i int64", rows), NULL, "i desc", "sum(i) as total"),
                    &n) != QN_OK);
  fixture_check_failed(job, QN_ERR_VALUE, "'total' leaves the range of int64");
  qn_batch_free(rows);
}

static void windows_of_reduced_rows_need_no_exchange(void) {
  qn_batch *rows = make_rows(3000, 40, 20);
  qn_batch *wanted = kit_batch("n int64", "40\n");
  qn_job *job = fixture_open("");
  qn_dataset *reduced = qn_reduce(fixture_dataset(job, schema, rows), "p", "count(*) as n");
  qn_dataset *windowed = qn_window(reduced, "p", "n", "row_number() as r");

  fixture_check(job, qn_reduce(windowed, NULL, "sum(r) as n"), wanted);
  fixture_close(job);
  qn_batch_free(rows);
  qn_batch_free(wanted);
}

static void tests(void) {
  KIT_RUN(functions_are_what_they_are_defined_to_be);
  KIT_RUN(many_small_partitions_pass_in_chunks);
  KIT_RUN(partitions_and_peers_may_be_larger_than_a_batch);
  KIT_RUN(rows_beyond_the_budget_are_spilled);
  KIT_RUN(without_keys_all_rows_are_one_partition);
  KIT_RUN(one_partition_is_spread_over_the_ranks);
  KIT_RUN(no_rows_give_no_rows);
  KIT_RUN(shifts_may_go_the_other_way_and_far);
  KIT_RUN(sum_beyond_int64_stops_the_job);
  KIT_RUN(windows_of_reduced_rows_need_no_exchange);
}

int main(void) {
  return fixture_main(tests);
}
