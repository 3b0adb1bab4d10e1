// SPDX-License-Identifier: Apache-2.0
// Runs of bits, 64 at a time where they are whole words. Bits are numbered from the least significant of the
// first byte on, so a word loaded on a little-endian machine keeps their order.
#include "column/bitmap.h"
#include <string.h>

static uint64_t load_word(const uint8_t *at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

static int64_t count_word(uint64_t word) {
  return __builtin_popcountll(word);
}

// The low n_bits < 8 of a byte.
static unsigned low_bits(unsigned byte, int64_t n_bits) {
  return byte & ((1u << n_bits) - 1);
}

int64_t qn_bitmap_count(const uint8_t *bitmap, int64_t n_bits) {
  int64_t n_set = 0;
  int64_t i = 0;
  for (; i + 64 <= n_bits; i += 64) {
    n_set += count_word(load_word(bitmap + (i >> 3)));
  }
  for (; i + 8 <= n_bits; i += 8) {
    n_set += count_word(bitmap[i >> 3]);
  }
  return i < n_bits ? n_set + count_word(low_bits(bitmap[i >> 3], n_bits - i)) : n_set;
}

int64_t qn_bitmap_count_range(const uint8_t *bitmap, int64_t first, int64_t n_bits) {
  int64_t n_set = 0;
  while (n_bits > 0 && (first & 7) != 0) {
    n_set += qn_bitmap_get(bitmap, first);
    first++;
    n_bits--;
  }
  return n_bits > 0 ? n_set + qn_bitmap_count(bitmap + (first >> 3), n_bits) : n_set;
}

static void put(uint8_t *bitmap, int64_t i, bool value) {
  if (value) {
    qn_bitmap_set(bitmap, i);
  } else {
    qn_bitmap_clear(bitmap, i);
  }
}

void qn_bitmap_fill(uint8_t *bitmap, int64_t first, int64_t n_bits, bool value) {
  const int64_t end = first + n_bits;
  while (first < end && (first & 7) != 0) {
    put(bitmap, first++, value);
  }
  const int64_t n_bytes = (end - first) >> 3;
  if (n_bytes > 0) {
    memset(bitmap + (first >> 3), value ? 0xff : 0, (size_t)n_bytes);
    first += n_bytes * 8;
  }
  while (first < end) {
    put(bitmap, first++, value);
  }
}

// The 8 bits from bit `first` on; the byte behind is read only where bits of it are wanted.
static uint8_t load_byte(const uint8_t *bitmap, int64_t first) {
  const uint8_t *at = bitmap + (first >> 3);
  const int shift = (int)(first & 7);
  const unsigned both = shift == 0 ? at[0] : at[0] | (unsigned)at[1] << 8;
  return (uint8_t)(both >> shift);
}

void qn_bitmap_copy(uint8_t *to, int64_t to_first, const uint8_t *from, int64_t from_first, int64_t n_bits) {
  if (from == NULL) {
    qn_bitmap_fill(to, to_first, n_bits, true);
    return;
  }
  int64_t i = 0;
  while (i < n_bits && ((to_first + i) & 7) != 0) {
    put(to, to_first + i, qn_bitmap_get(from, from_first + i));
    i++;
  }
  const int64_t n_bytes = (n_bits - i) >> 3;
  uint8_t *target = to + ((to_first + i) >> 3);
  if (n_bytes > 0 && ((from_first + i) & 7) == 0) {
    memcpy(target, from + ((from_first + i) >> 3), (size_t)n_bytes);
  } else {
    for (int64_t k = 0; k < n_bytes; k++) {
      target[k] = load_byte(from, from_first + i + k * 8);
    }
  }
  for (i += n_bytes > 0 ? n_bytes * 8 : 0; i < n_bits; i++) {
    put(to, to_first + i, qn_bitmap_get(from, from_first + i));
  }
}

int64_t qn_bitmap_and(const uint8_t *a, const uint8_t *b, int64_t n_bits, uint8_t *out) {
  const int64_t n_bytes = qn_bitmap_bytes(n_bits);
  if (n_bytes == 0) {
    return 0;
  }
  if (a == NULL || b == NULL) {
    const uint8_t *only = a == NULL ? b : a;
    if (only == NULL) {
      memset(out, 0xff, (size_t)n_bytes);
      return n_bits;
    }
    memmove(out, only, (size_t)n_bytes);
  } else {
    for (int64_t i = 0; i < n_bytes; i++) {
      out[i] = (uint8_t)(a[i] & b[i]);
    }
  }
  return qn_bitmap_count(out, n_bits);
}
