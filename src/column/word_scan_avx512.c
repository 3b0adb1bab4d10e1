// SPDX-License-Identifier: Apache-2.0
// The kernels of word_scan.h with AVX-512 VBMI2. Loads under a mask read nothing behind the text, so that it
// needs no copy. The preprocessor leaves it out where the processor is no x86.
#include <stddef.h>
#include "column/word_scan.h"

#if defined(__x86_64__)
#include "column/positions_avx512.h"

enum { BLOCK_BYTES = 64, STEP_BYTES = 16 };

QN_AVX512_TARGET static int64_t find(qn_word_piece *piece, const char *text, int64_t size) {
  uint32_t *edge = piece->edges;
  uint64_t in_word = 0;

  piece->text = text;
  for (int64_t first = 0; first < size; first += BLOCK_BYTES) {
    const int64_t left = size - first;
    const __mmask64 is_inside = left < BLOCK_BYTES ? _bzhi_u64(UINT64_MAX, (unsigned)left) : UINT64_MAX;
    const __m512i bytes = _mm512_maskz_loadu_epi8(is_inside, text + first);
    const __m512i from_tab = _mm512_sub_epi8(bytes, _mm512_set1_epi8('\t'));
    const uint64_t spaces = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(' ')) |
                            _mm512_cmple_epu8_mask(from_tab, _mm512_set1_epi8('\r' - '\t'));
    const uint64_t letters = ~spaces & is_inside;
    edge += qn_put_positions_avx512(edge, (uint32_t)first, letters ^ (letters << 1 | in_word));
    in_word = letters >> 63;
  }
  if (in_word != 0) {
    *edge++ = (uint32_t)size;
  }
  return (edge - piece->edges) / 2;
}

// The first `size` of 16 bytes, all of them from 16 on.
static inline __mmask16 first_bytes(int64_t size) {
  return (__mmask16)(size < STEP_BYTES ? (1u << size) - 1 : 0xffff);
}

QN_AVX512_TARGET static int64_t copy(const qn_word_piece *piece, int64_t first, int64_t n, uint8_t *bytes,
                                     int64_t at, int32_t *ends) {
  const uint32_t *edges = piece->edges + 2 * first;

  for (int64_t i = 0; i < n; i++) {
    const char *word = piece->text + edges[2 * i];
    const int64_t size = (int64_t)edges[2 * i + 1] - edges[2 * i];
    _mm_storeu_si128((__m128i *)(void *)(bytes + at), _mm_maskz_loadu_epi8(first_bytes(size), word));
    for (int64_t done = STEP_BYTES; __builtin_expect(done < size, 0); done += STEP_BYTES) {
      const __m128i rest = _mm_maskz_loadu_epi8(first_bytes(size - done), word + done);
      _mm_storeu_si128((__m128i *)(void *)(bytes + at + done), rest);
    }
    at += size;
    ends[i] = (int32_t)at;
  }
  return at;
}

static const qn_word_kernels kernels = {.name = "avx512", .find = find, .copy = copy};

const qn_word_kernels *qn_word_kernels_avx512(void) {
  return qn_avx512_runs() ? &kernels : NULL;
}

#else

const qn_word_kernels *qn_word_kernels_avx512(void) {
  return NULL;
}

#endif
