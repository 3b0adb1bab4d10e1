// SPDX-License-Identifier: Apache-2.0
// The sorter against qn_sort_rows() of all rows at once: one run, many runs, many levels of merging.
#include "base/memory.h"
#include "column/builder.h"
#include "exec/sorter.h"
#include "kit/kit.h"

static const char *const columns = "a int64, b utf8, c float64, d int32, e date, f binary";

typedef struct {
  const int columns[4];
  const qn_order orders[4];
  int n;
} sort_keys;

static const sort_keys by_number = {.columns = {3}, .orders = {{false, false}}, .n = 1};
static const sort_keys by_text = {.columns = {1, 0}, .orders = {{true, true}, {false, true}}, .n = 2};
static const sort_keys by_all = {.columns = {2, 4, 5, 3},
                                 .orders = {{false, false}, {true, false}, {false, true}, {false, false}},
                                 .n = 4};
static const sort_keys by_nothing = {.n = 0};

static qn_batch *sorted(const qn_batch *batch, const sort_keys *keys) {
  const qn_column *chosen[4];
  int32_t *rows = calloc((size_t)batch->n_rows + 1, sizeof *rows);
  qn_batch *out = NULL;
  for (int k = 0; k < keys->n; k++) {
    chosen[k] = &batch->columns[keys->columns[k]];
  }
  for (int64_t i = 0; i < batch->n_rows; i++) {
    rows[i] = (int32_t)i;
  }
  if (keys->n > 0) {
    QN_CHECK_OK(qn_sort_rows(chosen, keys->orders, keys->n, batch->n_rows, rows, &kit_error));
  }
  QN_CHECK_OK(qn_batch_gather(batch, rows, batch->n_rows, &out, &kit_error));
  free(rows);
  return out;
}

static void drain(qn_sorter *sorter, const qn_schema *schema, qn_batch **out) {
  qn_batch_builder all = {0};
  qn_batch *batch = NULL;
  QN_CHECK_OK(qn_batch_builder_init(&all, schema, &kit_error));
  QN_CHECK_OK(qn_sorter_finish(sorter, &kit_error));
  do {
    qn_batch_free(batch);
    batch = NULL;
    QN_CHECK_OK(qn_sorter_next(sorter, &batch, &kit_error));
    if (batch != NULL) {
      QN_CHECK(batch->n_rows > 0 && batch->n_rows <= QN_BATCH_ROWS);
      QN_CHECK_OK(qn_batch_builder_append_range(&all, batch, 0, batch->n_rows, &kit_error));
    }
  } while (batch != NULL);
  QN_CHECK_OK(qn_batch_builder_finish(&all, out, &kit_error));
  qn_batch_builder_release(&all);
}

// Sorts n_rows random rows in pieces with a budget (0: none) and compares with all sorted at once.
static void check_sort(const sort_keys *keys, int n_main, int64_t n_rows, int64_t budget, uint64_t seed) {
  kit_random random = {.state = seed};
  qn_batch *rows = kit_random_batch(&random, columns, n_rows);
  qn_batch *wanted = sorted(rows, keys), *found = NULL;
  qn_sorter *sorter = NULL;

  QN_CHECK_OK(qn_sorter_new(rows->schema, keys->columns, keys->orders, keys->n, "/tmp", &sorter, &kit_error));
  qn_sorter_set_main_keys(sorter, n_main);
  qn_memory_set_budget(budget == 0 ? 0 : qn_memory_used() + budget);
  for (int64_t first = 0, n = 0; first < n_rows; first += n) {
    qn_batch *piece = NULL;
    n = 1 + kit_random_below(&random, QN_BATCH_ROWS);
    n = n < n_rows - first ? n : n_rows - first;
    QN_CHECK_OK(qn_batch_slice(rows, first, n, &piece, &kit_error));
    QN_CHECK_OK(qn_sorter_append(sorter, piece, &kit_error));
    qn_batch_free(piece);
  }
  QN_CHECK_INT(qn_sorter_n_rows(sorter), n_rows);
  drain(sorter, rows->schema, &found);
  qn_memory_set_budget(0);
  char *text = kit_batch_text(wanted);
  QN_CHECK_BATCH(found, text);
  free(text);
  qn_sorter_free(sorter);
  qn_batch_free(rows);
  qn_batch_free(wanted);
  qn_batch_free(found);
}

static void one_run_is_sorted(void) {
  check_sort(&by_number, 1, 20000, 0, 1);
  check_sort(&by_text, 2, 20000, 0, 2);
  check_sort(&by_all, 4, 20000, 0, 3);
}

static void spilled_runs_are_merged(void) {
  check_sort(&by_number, 1, 60000, 3 << 20, 4);
  check_sort(&by_text, 2, 60000, 2 << 20, 5);
  check_sort(&by_all, 4, 60000, 1 << 20, 6);
}

static void very_many_runs_are_merged_in_rounds(void) {
  check_sort(&by_number, 1, 60000, 100 << 10, 7);
  check_sort(&by_all, 4, 60000, 50 << 10, 8);
}

static void main_keys_decide_as_all_keys_do(void) {
  check_sort(&by_text, 1, 20000, 0, 9);
  check_sort(&by_all, 1, 20000, 0, 10);
  check_sort(&by_all, 2, 60000, 1 << 20, 11);
}

// n_words different beginnings of 60 bytes, the same n_words times; then something else.
static void check_long_keys(int64_t n_rows, int64_t n_words, int64_t budget) {
  kit_random random = {.state = 77};
  qn_batch *empty = kit_batch("a int64, b utf8", ""), *rows = NULL, *wanted = NULL, *found = NULL;
  qn_appender *appender = NULL;
  qn_sorter *sorter = NULL;
  const sort_keys keys = {.columns = {1}, .orders = {{false, false}}, .n = 1};

  QN_CHECK_OK(qn_appender_new(empty->schema, &appender, &kit_error));
  for (int64_t i = 0; i < n_rows; i++) {
    char text[200];
    const int size = snprintf(text, sizeof text, "%030d%060d%d", (int)kit_random_below(&random, n_words), 0,
                              (int)kit_random_below(&random, 50));
    qn_append_int64(appender, i);
    i % 9 == 0 ? qn_append_null(appender) : qn_append_text(appender, text, i % 8 == 0 ? 3 : size);
  }
  QN_CHECK_OK(qn_appender_finish(appender, &rows, &kit_error));
  wanted = sorted(rows, &keys);
  QN_CHECK_OK(qn_sorter_new(rows->schema, keys.columns, keys.orders, 1, "/tmp", &sorter, &kit_error));
  qn_memory_set_budget(budget == 0 ? 0 : qn_memory_used() + budget);
  for (int64_t first = 0; first < n_rows; first += 3000) {
    qn_batch *piece = NULL;
    QN_CHECK_OK(
        qn_batch_slice(rows, first, n_rows - first < 3000 ? n_rows - first : 3000, &piece, &kit_error));
    QN_CHECK_OK(qn_sorter_append(sorter, piece, &kit_error));
    qn_batch_free(piece);
  }
  drain(sorter, rows->schema, &found);
  qn_memory_set_budget(0);
  char *text = kit_batch_text(wanted);
  QN_CHECK_BATCH(found, text);
  free(text);
  qn_sorter_free(sorter);
  qn_appender_free(appender);
  qn_batch_free(empty);
  qn_batch_free(rows);
  qn_batch_free(wanted);
  qn_batch_free(found);
}

static void long_texts_are_sorted_however_much_they_share(void) {
  check_long_keys(20000, 1, 0);
  check_long_keys(20000, 100, 0);
  check_long_keys(20000, 100000000, 0);
  check_long_keys(20000, 15000, 0);
  check_long_keys(20000, 15000, 1 << 20);
}

// Rows with equal keys come by source first, then as they came.
static void check_sources(int64_t budget) {
  enum { N = 3000, BATCHES = 30, SOURCES = 3 };
  const int key = 0;
  const qn_order order = {0};
  qn_batch *empty = kit_batch("k int64, s int64, i int64", ""), *found = NULL;
  qn_appender *appender = NULL;
  qn_sorter *sorter = NULL;
  int64_t n_wrong = 0;

  QN_CHECK_OK(qn_appender_new(empty->schema, &appender, &kit_error));
  QN_CHECK_OK(qn_sorter_new(empty->schema, &key, &order, 1, "/tmp", &sorter, &kit_error));
  QN_CHECK_OK(qn_sorter_set_sources(sorter, SOURCES, &kit_error));
  qn_memory_set_budget(budget == 0 ? 0 : qn_memory_used() + budget);
  for (int b = 0; b < BATCHES; b++) {
    qn_batch *batch = NULL;
    for (int64_t i = 0; i < N; i++) {
      qn_append_int64(appender, i % 5);
      qn_append_int64(appender, (b * 7) % SOURCES);
      qn_append_int64(appender, b * N + i);
    }
    QN_CHECK_OK(qn_appender_finish(appender, &batch, &kit_error));
    QN_CHECK_OK(qn_sorter_append_from(sorter, batch, (b * 7) % SOURCES, &kit_error));
    qn_batch_free(batch);
  }
  drain(sorter, empty->schema, &found);
  qn_memory_set_budget(0);
  QN_CHECK_INT(found->n_rows, N * BATCHES);
  for (int64_t i = 1; i < found->n_rows; i++) {
    bool is_after = false;
    for (int c = 2; c >= 0; c--) {
      const int64_t a = qn_column_int64(&found->columns[c], i - 1);
      const int64_t b = qn_column_int64(&found->columns[c], i);
      is_after = b > a || (b == a && is_after);
    }
    n_wrong += !is_after;
  }
  QN_CHECK_INT(n_wrong, 0);
  qn_sorter_free(sorter);
  qn_appender_free(appender);
  qn_batch_free(empty);
  qn_batch_free(found);
}

static void equal_keys_come_in_the_order_of_their_sources(void) {
  check_sources(0);
  check_sources(700 << 10);
}

static void without_keys_rows_stay_in_order(void) {
  check_sort(&by_nothing, 0, 20000, 0, 12);
  check_sort(&by_nothing, 0, 20000, 300 << 10, 13);
}

static void few_rows_and_none_are_sorted(void) {
  check_sort(&by_all, 4, 0, 0, 14);
  check_sort(&by_all, 4, 1, 0, 15);
  check_sort(&by_text, 1, 7, 0, 16);
}

static void large_rows_come_in_small_batches(void) {
  enum { N = 40, SIZE = 200000 };
  qn_batch *first = kit_batch("a int64, b utf8", "0|\n"), *batch = NULL;
  qn_sorter *sorter = NULL;
  qn_appender *appender = NULL;
  char *text = malloc(SIZE);
  const int key = 0;
  const qn_order order = {.is_descending = true};
  int64_t wanted = N - 1;

  memset(text, 'x', SIZE);
  QN_CHECK_OK(qn_sorter_new(first->schema, &key, &order, 1, "/tmp", &sorter, &kit_error));
  QN_CHECK_OK(qn_appender_new(first->schema, &appender, &kit_error));
  qn_memory_set_budget(qn_memory_used() + (4 << 20));
  for (int64_t i = 0; i < N; i++) {
    qn_append_int64(appender, i);
    qn_append_text(appender, text, SIZE - i);
    QN_CHECK_OK(qn_appender_finish(appender, &batch, &kit_error));
    QN_CHECK_OK(qn_sorter_append(sorter, batch, &kit_error));
    qn_batch_free(batch);
    batch = NULL;
  }
  QN_CHECK_OK(qn_sorter_finish(sorter, &kit_error));
  for (;;) {
    QN_CHECK_OK(qn_sorter_next(sorter, &batch, &kit_error));
    if (batch == NULL) {
      break;
    }
    QN_CHECK(batch->n_rows <= 16);
    for (int64_t row = 0; row < batch->n_rows; row++, wanted--) {
      QN_CHECK_INT(qn_column_int64(&batch->columns[0], row), wanted);
      QN_CHECK_INT(qn_column_text(&batch->columns[1], row).size, SIZE - wanted);
    }
    qn_batch_free(batch);
  }
  qn_memory_set_budget(0);
  QN_CHECK_INT(wanted, -1);
  free(text);
  qn_appender_free(appender);
  qn_sorter_free(sorter);
  qn_batch_free(first);
}

static void a_sorter_does_not_keep_memory(void) {
  const int64_t before = qn_memory_used();
  check_sort(&by_all, 1, 30000, 1 << 20, 17);
  QN_CHECK_INT(qn_memory_used(), before);
}

int main(void) {
  KIT_RUN(one_run_is_sorted);
  KIT_RUN(spilled_runs_are_merged);
  KIT_RUN(very_many_runs_are_merged_in_rounds);
  KIT_RUN(main_keys_decide_as_all_keys_do);
  KIT_RUN(long_texts_are_sorted_however_much_they_share);
  KIT_RUN(equal_keys_come_in_the_order_of_their_sources);
  KIT_RUN(without_keys_rows_stay_in_order);
  KIT_RUN(few_rows_and_none_are_sorted);
  KIT_RUN(large_rows_come_in_small_batches);
  KIT_RUN(a_sorter_does_not_keep_memory);
  return kit_result();
}
