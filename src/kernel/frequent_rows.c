// SPDX-License-Identifier: Apache-2.0
// A majority vote (Boyer and Moore 1981) in each of many slots: a key has one slot, by hash; it counts up
// there, the others of the slot count it down, and at zero the next one takes the place.
#include "kernel/frequent_rows.h"
#include <stdbool.h>

enum { OFTEN = 8, MOST = 1 << 12 }; // the most a key can be ahead, so that it is forgotten in time

int64_t qn_frequent_split(qn_frequent_keys *keys, const uint64_t *hashes, int64_t n, int32_t *frequent,
                          int32_t *others) {
  int64_t n_frequent = 0;
  int64_t n_others = 0;

  for (int64_t i = 0; i < n; i++) {
    const uint64_t at = hashes[i] >> 20 & (QN_FREQUENT_SLOTS - 1);
    const int64_t count = keys->counts[at];
    const bool is_same = keys->hashes[at] == hashes[i];
    const bool is_taken = !is_same && count == 0;
    const bool is_frequent = is_same && count >= OFTEN;
    keys->hashes[at] = is_taken ? hashes[i] : keys->hashes[at];
    keys->counts[at] = is_taken ? 1 : !is_same ? count - 1 : count + (count < MOST);
    frequent[n_frequent] = (int32_t)i;
    others[n_others] = (int32_t)i;
    n_frequent += is_frequent;
    n_others += !is_frequent;
  }
  return n_frequent;
}
