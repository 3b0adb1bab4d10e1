// SPDX-License-Identifier: Apache-2.0
// Hashes: the same for equal rows wherever they stand and on every machine, different for different rows,
// good in all bits.
#include "base/hash.h"
#include "column/builder.h"
#include "kernel/hash_columns.h"
#include "kernel/ref_rows.h"

static void hash_batch(const qn_batch *batch, uint64_t *hashes) {
  const qn_column *keys[REF_MAX_COLUMNS];
  ref_columns(batch, keys);
  qn_hash_columns(keys, batch->n_columns, batch->n_rows, hashes);
}

static void rows_hash_alike_in_any_batch(void) {
  kit_random random = {.state = 1};
  for (int s = 0; s < REF_N_SCHEMAS; s++) {
    for (int z = 0; z < REF_N_SIZES; z++) {
      const int64_t n = ref_sizes[z];
      qn_batch *batch = kit_random_batch(&random, ref_schemas[s], n), *moved = NULL;
      uint64_t *hashes = malloc((size_t)(2 * n + 1) * sizeof *hashes);
      int32_t *rows = malloc((size_t)(n + 1) * sizeof *rows);
      for (int64_t i = 0; i < n; i++) {
        rows[i] = (int32_t)(n - 1 - i);
      }
      QN_CHECK_OK(qn_batch_gather(batch, rows, n, &moved, &kit_error));
      hash_batch(batch, hashes);
      hash_batch(moved, hashes + n);
      bool all_alike = true;
      for (int64_t i = 0; i < n; i++) {
        all_alike = all_alike && hashes[i] == hashes[n + n - 1 - i];
      }
      QN_CHECK(all_alike);
      free(rows);
      free(hashes);
      qn_batch_free(moved);
      qn_batch_free(batch);
    }
  }
}

static void rows_hash_alike_if_and_only_if_equal(void) {
  kit_random random = {.state = 2};
  for (int s = 0; s < REF_N_SCHEMAS; s++) {
    qn_batch *batch = kit_random_batch(&random, ref_schemas[s], 400);
    const qn_column *keys[REF_MAX_COLUMNS];
    uint64_t hashes[400];
    int64_t n_wrong = 0;
    ref_columns(batch, keys);
    hash_batch(batch, hashes);
    for (int64_t i = 0; i < 400; i++) {
      for (int64_t j = 0; j < i; j++) {
        n_wrong += (hashes[i] == hashes[j]) != ref_rows_are_equal(keys, i, keys, j, batch->n_columns);
      }
    }
    QN_CHECK_INT(n_wrong, 0);
    qn_batch_free(batch);
  }
}

static void floats_that_are_equal_hash_alike(void) {
  const uint64_t nans[2] = {0x7ff8000000000001u, 0xfff0000000000001u};
  double values[4] = {0.0, -0.0};
  memcpy(values + 2, nans, sizeof nans);
  const qn_column column = {.type = QN_FLOAT64, .n_rows = 4, .values = values};
  const qn_column *keys[] = {&column};
  uint64_t hashes[4];
  qn_hash_columns(keys, 1, 4, hashes);
  QN_CHECK(hashes[0] == hashes[1]);
  QN_CHECK(hashes[2] == hashes[3]);
  QN_CHECK(hashes[0] != hashes[2]);
}

static void no_columns_hash_to_a_constant(void) {
  uint64_t hashes[3] = {1, 2, 3};
  qn_hash_columns(NULL, 0, 3, hashes);
  QN_CHECK(hashes[0] == hashes[1] && hashes[1] == hashes[2]);
}

// Ranks exchange rows by hash and staged data is partitioned by it: a changed hash is a changed format.
static void hashes_never_change(void) {
  qn_batch *batch = kit_batch("a int64, b utf8, c float64, d date",
                              "1|Zoe|2.5|2015-05-17\n~|a text that is longer than 16 bytes|~|1970-01-01\n");
  uint64_t hashes[2];
  const qn_column *b[] = {&batch->columns[1]};
  hash_batch(batch, hashes);
  QN_CHECK_INT((int64_t)hashes[0], -2375893254869836683);
  QN_CHECK_INT((int64_t)hashes[1], 7631895222981908013);
  qn_hash_columns(b, 1, 2, hashes);
  QN_CHECK_INT((int64_t)hashes[0], -7387575230235092808);
  QN_CHECK_INT((int64_t)hashes[1], -7214310617444875172);
  qn_batch_free(batch);
}

// Numbers of n_hashes hashes in 64 cells, as (largest - expected) / sqrt(expected).
static double worst_deviation(const int64_t *counts, int64_t n_hashes) {
  const double expected = (double)n_hashes / 64;
  double worst = 0;
  for (int c = 0; c < 64; c++) {
    worst = fmax(worst, fabs((double)counts[c] - expected) / sqrt(expected));
  }
  return worst;
}

// Low, middle and high bits, and the low bits of those rows that go to one of 16 ranks.
static void check_spread(const uint64_t *hashes, int64_t n) {
  int64_t counts[4][64] = {0};
  int64_t n_here = 0;
  for (int64_t i = 0; i < n; i++) {
    counts[0][hashes[i] & 63]++;
    counts[1][hashes[i] >> 29 & 63]++;
    counts[2][hashes[i] >> 58]++;
    if (qn_hash_to_range(hashes[i], 16) == 5) {
      counts[3][hashes[i] & 63]++;
      n_here++;
    }
  }
  for (int t = 0; t < 3; t++) {
    QN_CHECK(worst_deviation(counts[t], n) < 5);
  }
  QN_CHECK(worst_deviation(counts[3], n_here) < 5);
}

static void hashes_of_regular_keys_spread(void) {
  enum { N = 64000 };
  static uint64_t hashes[N];
  static int64_t ints[N];
  static int32_t dates[N];
  static double floats[N];
  static char text[N * 8 + 1];
  static int32_t offsets[N + 1];
  for (int i = 0; i < N; i++) {
    ints[i] = (int64_t)i << 20;
    dates[i] = i;
    floats[i] = i;
    offsets[i + 1] = offsets[i] + snprintf(text + offsets[i], 9, "id%d", i);
  }
  const qn_column columns[] = {
      {.type = QN_INT64, .n_rows = N, .values = ints},
      {.type = QN_DATE, .n_rows = N, .values = dates},
      {.type = QN_FLOAT64, .n_rows = N, .values = floats},
      {.type = QN_UTF8, .n_rows = N, .offsets = offsets, .bytes = (const uint8_t *)text},
  };
  for (int c = 0; c < 4; c++) {
    const qn_column *keys[] = {&columns[c], &columns[1]};
    qn_hash_columns(keys, 1, N, hashes);
    check_spread(hashes, N);
    qn_hash_columns(keys, 2, N, hashes);
    check_spread(hashes, N);
  }
}

int main(void) {
  KIT_RUN(rows_hash_alike_in_any_batch);
  KIT_RUN(rows_hash_alike_if_and_only_if_equal);
  KIT_RUN(floats_that_are_equal_hash_alike);
  KIT_RUN(no_columns_hash_to_a_constant);
  KIT_RUN(hashes_never_change);
  KIT_RUN(hashes_of_regular_keys_spread);
  return kit_result();
}
