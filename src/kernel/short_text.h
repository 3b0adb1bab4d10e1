// SPDX-License-Identifier: Apache-2.0
// The first 16 bytes of a text as two words: what hashes of short text and inline keys are made of. Reads
// whole words wherever that stays inside the column's bytes, so that the length of a text costs no branch.
#pragma once
#include <endian.h>
#include <stdint.h>
#include <string.h>

typedef struct qn_text_words {
  uint64_t low;  // bytes 0 .. 7, little-endian, zero behind the end
  uint64_t high; // bytes 8 .. 15
} qn_text_words;

/// Bytes to keep of the two words, by size (at most 16).
static const uint64_t qn_text_masks[17][2] = {
    {0, 0},
    {0xff, 0},
    {0xffff, 0},
    {0xffffff, 0},
    {0xffffffff, 0},
    {0xffffffffff, 0},
    {0xffffffffffff, 0},
    {0xffffffffffffff, 0},
    {UINT64_MAX, 0},
    {UINT64_MAX, 0xff},
    {UINT64_MAX, 0xffff},
    {UINT64_MAX, 0xffffff},
    {UINT64_MAX, 0xffffffff},
    {UINT64_MAX, 0xffffffffff},
    {UINT64_MAX, 0xffffffffffff},
    {UINT64_MAX, 0xffffffffffffff},
    {UINT64_MAX, UINT64_MAX},
};

static inline uint64_t qn_load_little(const uint8_t *bytes) {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  return le64toh(word);
}
static inline uint64_t qn_load_big(const uint8_t *bytes) {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  return be64toh(word);
}

/// The text bytes[first .. first + size); bytes before `end` may be read.
static inline qn_text_words qn_text_words_load(const uint8_t *bytes, int64_t first, int64_t size,
                                               int64_t end) {
  const int64_t kept = size < 16 ? size : 16;
  uint8_t copy[16] = {0};
  const uint8_t *from = copy;

  if (__builtin_expect(first + 16 <= end, 1)) {
    from = bytes + first;
  } else if (kept > 0) {
    memcpy(copy, bytes + first, (size_t)kept);
  }
  return (qn_text_words){.low = qn_load_little(from) & qn_text_masks[kept][0],
                         .high = qn_load_little(from + 8) & qn_text_masks[kept][1]};
}
