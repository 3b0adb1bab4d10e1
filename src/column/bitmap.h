// SPDX-License-Identifier: Apache-2.0
// Validity bitmaps: bit i, least significant first, is set where row i has a value.
#pragma once
#include <stdbool.h>
#include <stdint.h>

static inline int64_t qn_bitmap_bytes(int64_t n_bits) {
  return (n_bits + 7) >> 3;
}
static inline bool qn_bitmap_get(const uint8_t *bitmap, int64_t i) {
  return ((bitmap[i >> 3] >> (i & 7)) & 1) != 0;
}
static inline void qn_bitmap_set(uint8_t *bitmap, int64_t i) {
  bitmap[i >> 3] = (uint8_t)(bitmap[i >> 3] | (1u << (i & 7)));
}
static inline void qn_bitmap_clear(uint8_t *bitmap, int64_t i) {
  bitmap[i >> 3] = (uint8_t)(bitmap[i >> 3] & ~(1u << (i & 7)));
}
/// Set bits among the first n_bits.
int64_t qn_bitmap_count(const uint8_t *bitmap, int64_t n_bits);
/// Set bits among [first, first + n_bits).
int64_t qn_bitmap_count_range(const uint8_t *bitmap, int64_t first, int64_t n_bits);
/// Sets (or clears) bits [first, first + n_bits).
void qn_bitmap_fill(uint8_t *bitmap, int64_t first, int64_t n_bits, bool value);
/// to[to_first + i] = from[from_first + i] for i < n_bits; from NULL counts as all set.
void qn_bitmap_copy(uint8_t *to, int64_t to_first, const uint8_t *from, int64_t from_first, int64_t n_bits);
/// out = a & b, where NULL counts as all set; returns the number of set bits. out has qn_bitmap_bytes(n_bits)
/// bytes.
int64_t qn_bitmap_and(const uint8_t *a, const uint8_t *b, int64_t n_bits, uint8_t *out);
