// SPDX-License-Identifier: Apache-2.0
// Stable radix sorts of integer keys, most significant bits first: each pass takes only bits in which the
// keys of its range differ, and as many as leave buckets small enough for insertion sort.
#pragma once
#include <stdint.h>

typedef struct qn_sort_pair {
  uint64_t key;
  int32_t row;
  int32_t unused; // 16 bytes are faster to move than 12
} qn_sort_pair;

/// Sorts n < 2^31 items; `spare` has room for n more.
void qn_radix_sort_words(uint64_t *words, uint64_t *spare, int64_t n);
void qn_radix_sort_pairs(qn_sort_pair *pairs, qn_sort_pair *spare, int64_t n);
