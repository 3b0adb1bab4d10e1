// SPDX-License-Identifier: Apache-2.0
// Heavy hitters, samples of keys and Bloom filters against exact counts.
#include "base/hash.h"
#include "kernel/bloom_filter.h"
#include "kernel/key_sample.h"
#include "kernel/key_sketch.h"
#include "kit/kit.h"

enum { N_KEYS = 20000, N_ROWS = 200000, COUNTERS = 256 };

static uint64_t hash_of(int64_t key) {
  return qn_hash_mix((uint64_t)key + 1);
}

// Key k comes with a weight of about 1 / (k + 1).
static int64_t skewed_key(kit_random *random) {
  const int64_t range = kit_random_below(random, N_KEYS) + 1;
  return kit_random_below(random, range) * kit_random_below(random, range) / N_KEYS;
}

static void check_counts(const qn_key_sketch *sketch, const int64_t *counts, int64_t n_added) {
  const int64_t error = qn_key_sketch_error(sketch);
  int64_t n_wrong = 0;
  QN_CHECK_INT(qn_key_sketch_n_added(sketch), n_added);
  QN_CHECK(error <= n_added / (COUNTERS / 4));
  for (int64_t key = 0; key < N_KEYS; key++) {
    const int64_t count = qn_key_sketch_count(sketch, hash_of(key));
    n_wrong += count > counts[key] || count + error < counts[key];
  }
  QN_CHECK_INT(n_wrong, 0);
}

static void counts_are_off_by_the_error_at_most_also_when_merged(void) {
  kit_random random = {.state = 5};
  int64_t *counts = calloc(N_KEYS, sizeof *counts);
  qn_key_sketch *sketches[3] = {NULL}, *all = NULL;
  qn_buffer message = {0};
  int64_t size = 0;

  QN_CHECK_OK(qn_key_sketch_new(COUNTERS, &all, &kit_error));
  for (int s = 0; s < 3; s++) {
    QN_CHECK_OK(qn_key_sketch_new(COUNTERS, &sketches[s], &kit_error));
    for (int64_t i = 0; i < N_ROWS; i++) {
      const int64_t key = skewed_key(&random);
      const uint64_t hash = hash_of(key);
      qn_key_sketch_add(sketches[s], &hash, 1, 1 + s);
      counts[key] += 1 + s;
    }
    message.size = 0;
    QN_CHECK_OK(qn_key_sketch_write(sketches[s], &message, &kit_error));
    QN_CHECK_OK(qn_key_sketch_merge(all, message.data, message.size, &size, &kit_error));
    QN_CHECK_INT(size, message.size);
  }
  check_counts(all, counts, (int64_t)N_ROWS * 6);
  for (int64_t key = 0; key < N_KEYS; key++) { // all heavy ones are there, the heaviest first
    QN_CHECK(counts[key] <= (int64_t)N_ROWS * 6 / (COUNTERS / 4) ||
             qn_key_sketch_count(all, hash_of(key)) > 0);
  }
  qn_heavy_key heavy[8];
  const int n = qn_key_sketch_heaviest(all, 1, heavy, 8);
  QN_CHECK_INT(n, 8);
  for (int i = 0; i + 1 < n; i++) {
    QN_CHECK(heavy[i].count >= heavy[i + 1].count);
  }
  QN_CHECK_FAILS(qn_key_sketch_merge(all, message.data, message.size - 1, &size, &kit_error), QN_ERR_FORMAT);
  for (int s = 0; s < 3; s++) {
    qn_key_sketch_free(sketches[s]);
  }
  qn_key_sketch_free(all);
  qn_buffer_release(&message);
  free(counts);
}

static void add_keys(qn_key_sample *sample, int64_t first, int64_t n) {
  for (int64_t key = first; key < first + n; key++) {
    const uint64_t hash = hash_of(key);
    qn_key_sample_add(sample, &hash, 1);
    qn_key_sample_add(sample, &hash, 1);
  }
}

static void distinct_keys_are_counted_and_compared(void) {
  qn_key_sample *left = NULL, *right = NULL, *few = NULL;
  qn_buffer message = {0};
  int64_t n_shared = 0, n_compared = 0, size = 0;

  QN_CHECK_OK(qn_key_sample_new(2048, &left, &kit_error));
  QN_CHECK_OK(qn_key_sample_new(2048, &right, &kit_error));
  QN_CHECK_OK(qn_key_sample_new(2048, &few, &kit_error));
  add_keys(few, 0, 1000);
  QN_CHECK_INT(qn_key_sample_n_distinct(few), 1000);
  add_keys(left, 0, 100000);
  add_keys(right, 75000, 20000);
  add_keys(few, 90000, 60000); // and by merging
  message.size = 0;
  QN_CHECK_OK(qn_key_sample_write(few, &message, &kit_error));
  QN_CHECK_OK(qn_key_sample_merge(right, message.data, message.size, &size, &kit_error));
  QN_CHECK_INT(size, message.size);
  const double n_right = (double)qn_key_sample_n_distinct(right); // 0 to 999 and 75000 to 149999
  QN_CHECK(n_right > 76000 * 0.85 && n_right < 76000 * 1.15);
  qn_key_sample_compare(left, right, &n_shared, &n_compared); // 26000 of 100000
  QN_CHECK(n_compared >= 500);
  const double share = (double)n_shared / (double)n_compared;
  QN_CHECK(share > 0.2 && share < 0.32);
  QN_CHECK_FAILS(qn_key_sample_merge(right, message.data, 10, &size, &kit_error), QN_ERR_FORMAT);
  qn_key_sample_free(left);
  qn_key_sample_free(right);
  qn_key_sample_free(few);
  qn_buffer_release(&message);
}

static void a_bloom_filter_passes_all_its_keys_and_few_others(void) {
  const int64_t n_blocks = qn_bloom_n_blocks(N_KEYS);
  qn_bloom_block *blocks = calloc((size_t)n_blocks, sizeof *blocks);
  int64_t n_missing = 0, n_passed = 0;

  for (int64_t key = 0; key < N_KEYS; key++) {
    const uint64_t hash = hash_of(key);
    qn_bloom_add(blocks, n_blocks, &hash, 1);
  }
  for (int64_t key = 0; key < N_KEYS; key++) {
    n_missing += !qn_bloom_test(blocks, n_blocks, hash_of(key));
    n_passed += qn_bloom_test(blocks, n_blocks, hash_of(key + N_KEYS));
  }
  QN_CHECK_INT(n_missing, 0);
  QN_CHECK(n_passed < N_KEYS / 100);
  free(blocks);
}

int main(void) {
  KIT_RUN(counts_are_off_by_the_error_at_most_also_when_merged);
  KIT_RUN(distinct_keys_are_counted_and_compared);
  KIT_RUN(a_bloom_filter_passes_all_its_keys_and_few_others);
  return kit_result();
}
