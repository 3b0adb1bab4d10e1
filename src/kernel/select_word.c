// SPDX-License-Identifier: Apache-2.0
// Quickselect (Hoare 1961) with a partition that has no branch to mispredict: every word is swapped to the
// boundary, which moves on only if the word is small. Words equal to the pivot are put together, so that many
// equal ones are no bad case; if pivots stay bad, bits are counted off from the top instead (radix select),
// whose time does not depend on the words.
#include "kernel/select_word.h"
#include <stdbool.h>
#include <string.h>

enum { FEW = 24, BYTE_VALUES = 256 };

static void insertion_sort(int64_t *words, int64_t n) {
  for (int64_t i = 1; i < n; i++) {
    const int64_t word = words[i];
    int64_t at = i;
    for (; at > 0 && words[at - 1] > word; at--) {
      words[at] = words[at - 1];
    }
    words[at] = word;
  }
}

static int64_t middle_of(int64_t a, int64_t b, int64_t c) {
  const int64_t low = a < b ? a : b;
  const int64_t high = a < b ? b : a;
  return c < low ? low : c > high ? high : c;
}

// The words below the pivot (or not above it) to the front; how many they are.
static int64_t partition(int64_t *words, int64_t n, int64_t pivot, bool with_equal) {
  int64_t boundary = 0;
  for (int64_t i = 0; i < n; i++) {
    const int64_t word = words[i];
    words[i] = words[boundary];
    words[boundary] = word;
    boundary += with_equal ? word <= pivot : word < pivot;
  }
  return boundary;
}

// The k-th word by its bytes from the top on.
static int64_t find_by_bytes(const int64_t *words, int64_t n, int64_t k) {
  const uint64_t sign = UINT64_C(1) << 63;
  uint64_t prefix = 0;
  uint64_t mask = 0;

  for (int shift = 56; shift >= 0; shift -= 8) {
    int64_t counts[BYTE_VALUES] = {0};
    for (int64_t i = 0; i < n; i++) {
      const uint64_t word = (uint64_t)words[i] ^ sign;
      counts[word >> shift & 0xff] += (word & mask) == prefix;
    }
    uint64_t byte = 0;
    for (; k >= counts[byte]; byte++) {
      k -= counts[byte];
    }
    prefix |= byte << shift;
    mask |= UINT64_C(0xff) << shift;
  }
  return (int64_t)(prefix ^ sign);
}

int64_t qn_select_word(int64_t *words, int64_t n, int64_t k) {
  int64_t n_read = 0;
  const int64_t most_read = 16 * n;

  while (n > FEW) {
    const bool is_bad = n_read > most_read;
    const int64_t pivot =
        is_bad ? find_by_bytes(words, n, k) : middle_of(words[n / 4], words[n / 2], words[n - 1 - n / 4]);
    const int64_t n_below = partition(words, n, pivot, false);
    n_read += n;
    if (k < n_below) {
      n = n_below;
      continue;
    }
    const int64_t n_equal = partition(words + n_below, n - n_below, pivot, true);
    if (k < n_below + n_equal) {
      return pivot;
    }
    words += n_below + n_equal;
    n -= n_below + n_equal;
    k -= n_below + n_equal;
  }
  insertion_sort(words, n);
  return words[k];
}
