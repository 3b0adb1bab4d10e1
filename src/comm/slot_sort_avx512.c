// SPDX-License-Identifier: Apache-2.0
// Sixteen rows a step: a compare gives a mask, and their numbers are compressed with it. The preprocessor
// leaves it out where the processor is no x86.
#include <stddef.h>
#include "comm/slot_sort.h"

#if defined(__x86_64__)
#include <immintrin.h>

enum { LANES = QN_SLOT_SLACK };

__attribute__((target("avx512f,popcnt"))) static void sort_slots(const int32_t *slots, int64_t n_rows,
                                                                 int n_slots, int32_t *rows, int64_t *ends) {
  const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  int64_t end = 0;
  for (int slot = 0; slot < n_slots; slot++) {
    const __m512i wanted = _mm512_set1_epi32(slot);
    __m512i numbers = first;
    int64_t i = 0;
    for (; i + LANES <= n_rows; i += LANES) {
      const __mmask16 mask = _mm512_cmpeq_epi32_mask(_mm512_loadu_si512(slots + i), wanted);
      _mm512_storeu_si512(rows + end, _mm512_maskz_compress_epi32(mask, numbers));
      end += __builtin_popcount(mask);
      numbers = _mm512_add_epi32(numbers, _mm512_set1_epi32(LANES));
    }
    for (; i < n_rows; i++) {
      rows[end] = (int32_t)i;
      end += slots[i] == slot;
    }
    ends[slot] = end;
  }
}

qn_slot_sort qn_slot_sort_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("popcnt") ? sort_slots : NULL;
}

#else

qn_slot_sort qn_slot_sort_avx512(void) {
  return NULL;
}

#endif
