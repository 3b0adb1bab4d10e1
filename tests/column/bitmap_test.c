// SPDX-License-Identifier: Apache-2.0
#include "column/bitmap.h"
#include "kit/kit.h"

enum { N_BYTES = 40, N_BITS = N_BYTES * 8 };

static void fill_randomly(kit_random *random, uint8_t *bitmap) {
  for (int i = 0; i < N_BYTES; i++) {
    bitmap[i] = (uint8_t)kit_random_next(random);
  }
}

static void count_agrees_with_bits(void) {
  kit_random random = {.state = 1};
  uint8_t bitmap[N_BYTES];
  for (int round = 0; round < 500; round++) {
    fill_randomly(&random, bitmap);
    const int64_t first = kit_random_below(&random, N_BITS);
    const int64_t n = kit_random_below(&random, N_BITS - first + 1);
    int64_t wanted = 0;
    for (int64_t i = first; i < first + n; i++) {
      wanted += qn_bitmap_get(bitmap, i);
    }
    QN_CHECK_INT(qn_bitmap_count_range(bitmap, first, n), wanted);
    QN_CHECK_INT(qn_bitmap_count(bitmap, first), qn_bitmap_count_range(bitmap, 0, first));
  }
}

static void copy_and_fill_touch_their_bits_only(void) {
  kit_random random = {.state = 2};
  uint8_t from[N_BYTES], to[N_BYTES], wanted[N_BYTES];
  for (int round = 0; round < 2000; round++) {
    fill_randomly(&random, from);
    fill_randomly(&random, to);
    memcpy(wanted, to, sizeof to);
    const int64_t from_first = kit_random_below(&random, N_BITS);
    const int64_t to_first = kit_random_below(&random, N_BITS);
    const int64_t most = N_BITS - (from_first > to_first ? from_first : to_first);
    const int64_t n = kit_random_below(&random, most + 1);
    const int kind = round % 4; // copy, copy of nothing (all set), set, clear
    for (int64_t i = 0; i < n; i++) {
      const bool value = kind == 0 ? qn_bitmap_get(from, from_first + i) : kind != 3;
      if (value) {
        qn_bitmap_set(wanted, to_first + i);
      } else {
        qn_bitmap_clear(wanted, to_first + i);
      }
    }
    if (kind <= 1) {
      qn_bitmap_copy(to, to_first, kind == 0 ? from : NULL, from_first, n);
    } else {
      qn_bitmap_fill(to, to_first, n, kind == 2);
    }
    QN_CHECK(memcmp(to, wanted, sizeof to) == 0);
  }
}

static void and_counts_what_both_have(void) {
  const uint8_t a[] = {0xff, 0x0f, 0xff}, b[] = {0xf0, 0xff, 0x01};
  uint8_t out[3];
  QN_CHECK_INT(qn_bitmap_and(a, b, 20, out), 4 + 4 + 1);
  QN_CHECK_INT(qn_bitmap_and(a, NULL, 20, out), 8 + 4 + 4);
  QN_CHECK_INT(qn_bitmap_and(NULL, b, 17, out), 4 + 8 + 1);
  QN_CHECK_INT(qn_bitmap_and(NULL, NULL, 19, out), 19);
  QN_CHECK_INT(qn_bitmap_and(a, b, 0, out), 0);
}

int main(void) {
  KIT_RUN(count_agrees_with_bits);
  KIT_RUN(copy_and_fill_touch_their_bits_only);
  KIT_RUN(and_counts_what_both_have);
  return kit_result();
}
