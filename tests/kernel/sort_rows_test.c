// SPDX-License-Identifier: Apache-2.0
// Sorting against insertion by plain comparison; encoded keys against comparison of rows.
#include "column/builder.h"
#include "kernel/ref_rows.h"
#include "kernel/sort_rows.h"

static void random_orders(kit_random *random, qn_order *orders) {
  for (int k = 0; k < REF_MAX_COLUMNS; k++) {
    orders[k] = (qn_order){.is_descending = kit_random_below(random, 2) == 1,
                           .nulls_first = kit_random_below(random, 2) == 1};
  }
}

// Each row is after the one before it (which changes say), or equal and with the higher number; and each row
// is there once.
static void check_order(const qn_column *const *keys, const qn_order *orders, int n_keys, int64_t n,
                        const int32_t *rows, const uint8_t *changes) {
  uint8_t *seen = calloc((size_t)n + 1, 1);
  int64_t n_wrong = 0;
  for (int64_t i = 0; i < n; i++) {
    if (rows[i] < 0 || rows[i] >= n || seen[rows[i]]++ != 0) {
      n_wrong++;
      break;
    }
    if (i > 0) {
      const int order = ref_compare_rows(keys, rows[i - 1], keys, rows[i], orders, n_keys);
      n_wrong += order > 0 || (order == 0 && rows[i - 1] > rows[i]) || changes[i] != (order < 0);
    }
  }
  QN_CHECK_INT(n_wrong, 0);
  free(seen);
}

static void sort_and_check_keys(const qn_column *const *keys, const qn_order *orders, int n_keys, int64_t n,
                                int32_t *rows) {
  uint8_t *changes = malloc((size_t)n + 1);
  QN_CHECK_OK(qn_sort_rows_marked(keys, orders, n_keys, n, rows, changes, &kit_error));
  check_order(keys, orders, n_keys, n, rows, changes);
  free(changes);
}

static void sort_and_check(const qn_batch *batch, const qn_order *orders) {
  const qn_column *keys[REF_MAX_COLUMNS];
  int32_t *rows = malloc(((size_t)batch->n_rows + 1) * sizeof *rows);
  ref_columns(batch, keys);
  sort_and_check_keys(keys, orders, batch->n_columns, batch->n_rows, rows);
  free(rows);
}

static void rows_are_in_order_and_stable(void) {
  kit_random random = {.state = 11};
  for (int s = 0; s < REF_N_SCHEMAS; s++) {
    for (int z = 0; z < REF_N_SIZES; z++) {
      qn_order orders[REF_MAX_COLUMNS];
      qn_batch *batch = kit_random_batch(&random, ref_schemas[s], ref_sizes[z]);
      random_orders(&random, orders);
      sort_and_check(batch, orders);
      qn_batch_free(batch);
    }
  }
}

static void comparing_rows_agrees_with_the_reference(void) {
  kit_random random = {.state = 12};
  for (int s = 0; s < REF_N_SCHEMAS; s++) {
    qn_order orders[REF_MAX_COLUMNS];
    const qn_column *a_keys[REF_MAX_COLUMNS], *b_keys[REF_MAX_COLUMNS];
    qn_batch *a = kit_random_batch(&random, ref_schemas[s], 65);
    qn_batch *b = kit_random_batch(&random, ref_schemas[s], 65);
    int64_t n_wrong = 0;
    random_orders(&random, orders);
    ref_columns(a, a_keys);
    ref_columns(b, b_keys);
    for (int64_t i = 0; i < 65; i++) {
      for (int64_t j = 0; j < 65; j++) {
        n_wrong += qn_compare_rows(a_keys, i, b_keys, j, orders, a->n_columns) !=
                   ref_compare_rows(a_keys, i, b_keys, j, orders, a->n_columns);
      }
    }
    QN_CHECK_INT(n_wrong, 0);
    qn_batch_free(a);
    qn_batch_free(b);
  }
}

static int sign(int value) {
  return (value > 0) - (value < 0);
}

static void encoded_keys_compare_like_rows(void) {
  kit_random random = {.state = 13};
  for (int s = 0; s < REF_N_SCHEMAS; s++) {
    qn_order orders[REF_MAX_COLUMNS];
    const qn_column *keys[REF_MAX_COLUMNS];
    qn_batch *batch = kit_random_batch(&random, ref_schemas[s], 130);
    qn_buffer bytes = {0}, offsets = {0};
    int64_t n_wrong = 0;
    random_orders(&random, orders);
    ref_columns(batch, keys);
    QN_CHECK_OK(qn_sort_keys_encode(keys, orders, batch->n_columns, 130, &bytes, &offsets, &kit_error));
    // Appending the same rows again puts them behind.
    QN_CHECK_OK(qn_sort_keys_encode(keys, orders, batch->n_columns, 130, &bytes, &offsets, &kit_error));
    QN_CHECK_INT(offsets.size, 261 * 8);
    const int64_t *starts = (const int64_t *)offsets.data;
    QN_CHECK_INT(starts[260], bytes.size);
    for (int64_t i = 0; i < 130; i++) {
      for (int64_t j = 130; j < 260; j++) {
        const int order = qn_sort_key_compare(bytes.data + starts[i], starts[i + 1] - starts[i],
                                              bytes.data + starts[j], starts[j + 1] - starts[j]);
        n_wrong += sign(order) != ref_compare_rows(keys, i, keys, j - 130, orders, batch->n_columns);
      }
    }
    QN_CHECK_INT(n_wrong, 0);
    qn_buffer_release(&bytes);
    qn_buffer_release(&offsets);
    qn_batch_free(batch);
  }
}

static void zero_bytes_and_prefixes_are_in_order(void) {
  static const struct {
    const char *data;
    int64_t size;
  } texts[] = {{"", 0},    {"\0", 1}, {"\0\0", 2}, {"\0\1", 2},   {"\0\xff", 2},
               {"\1", 1},  {"a", 1},  {"a\0", 2},  {"a\0\0", 3},  {"a\0b", 3},
               {"a\1", 2}, {"ab", 2}, {"\xff", 1}, {"\xff\0", 2}, {"\xff\xff", 2}};
  const int n = sizeof texts / sizeof texts[0];
  for (int descending = 0; descending < 2; descending++) {
    qn_column_builder builder;
    qn_column column = {0};
    int32_t rows[64];
    const qn_column *keys[] = {&column, &column};
    const qn_order orders[2] = {{.is_descending = descending == 1}, {.is_descending = descending == 0}};
    qn_column_builder_init(&builder, QN_BINARY);
    for (int i = 0; i < n; i++) { // listed in order, added from both ends
      const int at = i % 2 == 0 ? i / 2 : n - 1 - i / 2;
      QN_CHECK_OK(qn_column_builder_append_text(&builder, texts[at].data, texts[at].size, &kit_error));
    }
    QN_CHECK_OK(qn_column_builder_finish(&builder, &column, &kit_error));
    for (int n_keys = 1; n_keys <= 2; n_keys++) {
      QN_CHECK_OK(qn_sort_rows(keys, orders, n_keys, n, rows, &kit_error));
      for (int i = 0; i < n; i++) {
        const qn_text text = qn_column_text(&column, rows[i]);
        const int wanted = descending == 1 ? n - 1 - i : i;
        QN_CHECK(text.size == texts[wanted].size &&
                 memcmp(text.data, texts[wanted].data, (size_t)text.size) == 0);
      }
    }
    qn_column_release(&column);
    qn_column_builder_release(&builder);
  }
}

// Text that agrees for long stretches, and all kinds of repetition.
static void texts_with_long_common_beginnings_are_in_order(void) {
  enum { N = 3000 };
  kit_random random = {.state = 14};
  qn_column_builder builder;
  qn_column column = {0};
  char text[1200];
  static int32_t rows[N];
  qn_column_builder_init(&builder, QN_UTF8);
  for (int i = 0; i < N; i++) {
    const int64_t shared = kit_random_below(&random, 4) * 300;
    memset(text, 'x', sizeof text);
    const int size = snprintf(text + shared, 40, "%d", (int)kit_random_below(&random, 200));
    QN_CHECK_OK(qn_column_builder_append_text(&builder, text, shared + size, &kit_error));
  }
  QN_CHECK_OK(qn_column_builder_finish(&builder, &column, &kit_error));
  const qn_column *keys[] = {&column};
  const qn_order order = {0};
  sort_and_check_keys(keys, &order, 1, N, rows);
  qn_column_release(&column);
  qn_column_builder_release(&builder);
}

static void sort_ints(const int64_t *values, const uint8_t *validity, int64_t n) {
  const qn_column column = {.type = QN_INT64,
                            .n_rows = n,
                            .values = values,
                            .validity = validity,
                            .n_nulls = validity != NULL ? 1 : 0};
  const qn_column *keys[] = {&column};
  int32_t *rows = malloc((size_t)n * sizeof *rows);
  for (int o = 0; o < 4; o++) {
    const qn_order order = {.is_descending = o % 2 == 1, .nulls_first = o / 2 == 1};
    sort_and_check_keys(keys, &order, 1, n, rows);
  }
  free(rows);
}

// Sizes beyond the cache's bucket sizes, ranges of values from nothing to all 64 bits, sorted and reversed
// input.
static void integers_of_every_range_are_in_order(void) {
  enum { N = 150000 };
  kit_random random = {.state = 15};
  int64_t *values = malloc(N * sizeof *values);
  uint8_t *validity = malloc(N / 8);
  memset(validity, 0xf7, N / 8);
  for (int bits = 0; bits <= 64; bits += bits < 60 ? 12 : 4) {
    const uint64_t mask = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    for (int64_t i = 0; i < N; i++) {
      values[i] = (int64_t)((kit_random_next(&random) & mask) - mask / 2);
    }
    values[1] = bits == 64 ? INT64_MIN : values[1];
    values[2] = bits == 64 ? INT64_MAX : values[2];
    sort_ints(values, NULL, N);
    sort_ints(values, validity, 20000);
  }
  for (int64_t i = 0; i < N; i++) {
    values[i] = i / 3;
  }
  sort_ints(values, NULL, N);
  for (int64_t i = 0; i < N; i++) {
    values[i] = -i / 3;
  }
  sort_ints(values, NULL, N);
  free(validity);
  free(values);
}

static void all_nulls_and_no_keys_keep_the_order(void) {
  qn_column column = {0};
  int32_t rows[100];
  const qn_column *keys[] = {&column, &column};
  const qn_order orders[2] = {{.is_descending = true}, {.nulls_first = true}};
  const qn_type types[] = {QN_UTF8, QN_INT64};
  for (int t = 0; t < 2; t++) {
    QN_CHECK_OK(qn_column_all_null(types[t], 100, &column, &kit_error));
    for (int n_keys = 0; n_keys <= 2; n_keys++) {
      sort_and_check_keys(keys, orders, n_keys, 100, rows);
    }
    qn_column_release(&column);
  }
}

int main(void) {
  KIT_RUN(rows_are_in_order_and_stable);
  KIT_RUN(comparing_rows_agrees_with_the_reference);
  KIT_RUN(encoded_keys_compare_like_rows);
  KIT_RUN(zero_bytes_and_prefixes_are_in_order);
  KIT_RUN(texts_with_long_common_beginnings_are_in_order);
  KIT_RUN(integers_of_every_range_are_in_order);
  KIT_RUN(all_nulls_and_no_keys_keep_the_order);
  return kit_result();
}
