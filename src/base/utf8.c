// SPDX-License-Identifier: Apache-2.0
// UTF-8 by the table of RFC 3629: runs of ASCII 32 bytes a step, other characters one by one.
#include "base/utf8.h"
#include <string.h>

static uint64_t load_word(const uint8_t *at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

static const uint64_t high_bits = 0x8080808080808080ull;

// Offset of the first byte >= 0x80 from `i` on, or size.
static int64_t skip_ascii(const uint8_t *text, int64_t i, int64_t size) {
  while (size - i >= 32) {
    const uint64_t any =
        load_word(text + i) | load_word(text + i + 8) | load_word(text + i + 16) | load_word(text + i + 24);
    if ((any & high_bits) != 0) {
      break;
    }
    i += 32;
  }
  while (size - i >= 8 && (load_word(text + i) & high_bits) == 0) {
    i += 8;
  }
  while (i < size && text[i] < 0x80) {
    i++;
  }
  return i;
}

static bool is_continuation(uint8_t byte) {
  return (byte & 0xc0) == 0x80;
}

// Bytes of the character beyond ASCII that starts at `text`; 0 if it is not valid.
static int64_t sequence_size(const uint8_t *text, int64_t left) {
  const uint8_t lead = text[0];
  if (left < 2 || lead < 0xc2 || lead > 0xf4 || !is_continuation(text[1])) {
    return 0;
  }
  if (lead < 0xe0) {
    return 2;
  }
  const uint8_t second = text[1];
  if (left < 3 || !is_continuation(text[2])) {
    return 0;
  }
  if (lead < 0xf0) {
    // E0 80..9F would be overlong, ED A0..BF a surrogate.
    const bool is_bad = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second >= 0xa0);
    return is_bad ? 0 : 3;
  }
  if (left < 4 || !is_continuation(text[3])) {
    return 0;
  }
  // F0 80..8F would be overlong, F4 90..BF beyond U+10FFFF.
  const bool is_bad = (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second >= 0x90);
  return is_bad ? 0 : 4;
}

int64_t qn_utf8_find_invalid(const void *data, int64_t size) {
  const uint8_t *text = data;
  int64_t i = 0;
  while ((i = skip_ascii(text, i, size)) < size) {
    while (i < size && text[i] >= 0x80) {
      const int64_t step = sequence_size(text + i, size - i);
      if (step == 0) {
        return i;
      }
      i += step;
    }
  }
  return -1;
}

int64_t qn_utf8_length(const void *data, int64_t size) {
  const uint8_t *text = data;
  int64_t n_continuations = 0;
  for (int64_t i = 0; i < size; i++) {
    n_continuations += is_continuation(text[i]);
  }
  return size - n_continuations;
}
