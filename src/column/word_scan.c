// SPDX-License-Identifier: Apache-2.0
// The plain kernels and the choice of a kernel. Lengths of words cannot be predicted, so nothing here
// branches on them: the edges of all words of a piece are found first, sixteen bytes a step, and then each
// word is a copy of sixteen bytes of which the next overwrites what is too much.
#include "column/word_scan.h"
#include <endian.h>
#include <string.h>

enum { BLOCK_BYTES = 64, STEP_BYTES = 16 };

typedef uint8_t step_bytes __attribute__((vector_size(STEP_BYTES)));

// Bit i: byte i is a blank, tab, line feed, vertical tab, form feed or return.
static inline uint64_t find_spaces(const char *text) {
  uint64_t spaces = 0;
  for (int i = 0; i < BLOCK_BYTES; i += STEP_BYTES) {
    step_bytes bytes;
    uint64_t halves[2];
    memcpy(&bytes, text + i, sizeof bytes);
    const step_bytes found = (step_bytes)(bytes == ' ') | (step_bytes)(bytes - '\t' <= '\r' - '\t');
    memcpy(halves, &found, sizeof halves);
    for (int h = 0; h < 2; h++) { // the multiplication brings bit 8k to bit 56 + k
      const uint64_t bits = ((le64toh(halves[h]) & 0x0101010101010101u) * 0x0102040810204080u) >> 56;
      spaces |= bits << (i + 8 * h);
    }
  }
  return spaces;
}

// In steps, the last of which may overlap the one before: a call of memcpy is too much for a line.
static inline void copy_text(char *to, const char *text, int64_t size) {
  if (size < STEP_BYTES) {
    for (int64_t i = 0; i < size; i++) {
      to[i] = text[i];
    }
    return;
  }
  for (int64_t i = 0; i < size - STEP_BYTES; i += STEP_BYTES) {
    memcpy(to + i, text + i, STEP_BYTES);
  }
  memcpy(to + size - STEP_BYTES, text + size - STEP_BYTES, STEP_BYTES);
}

// White space follows the copy of the text.
static int64_t find(qn_word_piece *piece, const char *text, int64_t size) {
  uint32_t *edge = piece->edges;
  uint64_t in_word = 0;

  copy_text(piece->copy, text, size);
  memset(piece->copy + size, ' ', BLOCK_BYTES);
  piece->text = piece->copy;
  for (int64_t first = 0; first <= size; first += BLOCK_BYTES) {
    const uint64_t letters = ~find_spaces(piece->copy + first);
    uint64_t edges = letters ^ (letters << 1 | in_word);
    in_word = letters >> 63;
    for (; edges != 0; edges &= edges - 1) {
      *edge++ = (uint32_t)(first + __builtin_ctzll(edges));
    }
  }
  return (edge - piece->edges) / 2;
}

static int64_t copy(const qn_word_piece *piece, int64_t first, int64_t n, uint8_t *bytes, int64_t at,
                    int32_t *ends) {
  const uint32_t *edges = piece->edges + 2 * first;

  for (int64_t i = 0; i < n; i++) {
    const char *word = piece->text + edges[2 * i];
    const int64_t size = (int64_t)edges[2 * i + 1] - edges[2 * i];
    memcpy(bytes + at, word, STEP_BYTES);
    for (int64_t done = STEP_BYTES; __builtin_expect(done < size, 0); done += STEP_BYTES) {
      memcpy(bytes + at + done, word + done, STEP_BYTES);
    }
    at += size;
    ends[i] = (int32_t)at;
  }
  return at;
}

const qn_word_kernels qn_word_kernels_plain = {.name = "plain", .find = find, .copy = copy};

const qn_word_kernels *qn_word_kernels_best(void) {
  const qn_word_kernels *best = qn_word_kernels_avx512();
  return best != NULL ? best : &qn_word_kernels_plain;
}
