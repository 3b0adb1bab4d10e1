// SPDX-License-Identifier: Apache-2.0
// Radix sorts of words and of pairs.
#include "kernel/sort_radix.h"
#include <stdbool.h>
#include <string.h>

enum {
  SMALL_ITEMS = 24,       // insertion sort
  CACHED_ITEMS = 1 << 16, // with its copy in the second-level cache
  MAX_DIGIT_BITS = 11,    // within the cache
  FAR_DIGIT_BITS = 8,     // beyond it: as many buckets as can be written side by side
};

// Bits of the next digit: enough for buckets of about eight items.
static int digit_bits(int64_t n) {
  if (n > CACHED_ITEMS) {
    return FAR_DIGIT_BITS;
  }
  const int bits = 64 - __builtin_clzll((uint64_t)n) - 3;
  return bits < MAX_DIGIT_BITS ? bits : MAX_DIGIT_BITS;
}

#define SORT(name) name##_words
#define ITEM uint64_t
#define ITEM_KEY(item) (item)
#include "kernel/sort_radix.inc"

#define SORT(name) name##_pairs
#define ITEM qn_sort_pair
#define ITEM_KEY(item) ((item).key)
#include "kernel/sort_radix.inc"

void qn_radix_sort_words(uint64_t *words, uint64_t *spare, int64_t n) {
  range_words(words, spare, n, false);
}

void qn_radix_sort_pairs(qn_sort_pair *pairs, qn_sort_pair *spare, int64_t n) {
  range_pairs(pairs, spare, n, false);
}
