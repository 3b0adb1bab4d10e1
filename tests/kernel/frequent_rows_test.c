// SPDX-License-Identifier: Apache-2.0
// Frequent keys are found among rare ones, and every row is on one side.
#include <stdlib.h>
#include "base/hash.h"
#include "kernel/frequent_rows.h"
#include "kernel/ref_rows.h"

enum { N_ROWS = 20000 };

// Row i has key 0 with a chance of 1 in `rarity`, else one of its own; how many of the rows of key 0 are
// frequent, and how many others are.
static void split(int64_t rarity, int64_t *n_found, int64_t *n_wrong) {
  static uint64_t hashes[N_ROWS];
  static int32_t frequent[N_ROWS], others[N_ROWS];
  static bool is_common[N_ROWS];
  kit_random random = {.state = 3};
  qn_frequent_keys *keys = calloc(1, sizeof *keys);

  for (int64_t i = 0; i < N_ROWS; i++) {
    is_common[i] = kit_random_below(&random, (uint64_t)rarity) == 0;
    hashes[i] = qn_hash_mix(is_common[i] ? 77 : 1000 + (uint64_t)i);
  }
  const int64_t n = qn_frequent_split(keys, hashes, N_ROWS, frequent, others);
  *n_found = 0;
  for (int64_t i = 0; i < n; i++) {
    *n_found += is_common[frequent[i]];
  }
  *n_wrong = n - *n_found;
  int64_t f = 0, o = 0;
  for (int32_t i = 0; i < N_ROWS; i++) { // ascending, and together all rows
    const bool is_here = f < n && frequent[f] == i;
    f += is_here;
    if (!is_here) {
      QN_CHECK_INT(others[o++], i);
    }
  }
  QN_CHECK_INT(f, n);
  free(keys);
}

static void a_key_that_comes_often_is_found(void) {
  static const int64_t rarities[] = {1, 2, 20, 300};
  for (int r = 0; r < 4; r++) {
    int64_t n_found = 0, n_wrong = 0;
    split(rarities[r], &n_found, &n_wrong);
    QN_CHECK(n_found > N_ROWS / rarities[r] * 3 / 5);
    QN_CHECK_INT(n_wrong, 0);
  }
}

static void rare_keys_are_not_frequent(void) {
  int64_t n_found = 0, n_wrong = 0;
  split(INT64_C(1) << 40, &n_found, &n_wrong);
  QN_CHECK_INT(n_found + n_wrong, 0);
}

int main(void) {
  KIT_RUN(a_key_that_comes_often_is_found);
  KIT_RUN(rare_keys_are_not_frequent);
  return kit_result();
}
