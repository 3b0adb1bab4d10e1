// SPDX-License-Identifier: Apache-2.0
#include "comm/slot_sort.h"
#include <stddef.h>
#include <string.h>

enum { FEW_SLOTS = 4, FEW_SLOTS_OF_VECTORS = 8 };

void qn_slot_sort_counting(const int32_t *slots, int64_t n_rows, int n_slots, int32_t *rows, int64_t *ends) {
  memset(ends, 0, (size_t)n_slots * sizeof *ends);
  for (int64_t i = 0; i < n_rows; i++) {
    ends[slots[i]]++;
  }
  int64_t start = 0;
  for (int i = 0; i < n_slots; i++) {
    const int64_t n = ends[i];
    ends[i] = start;
    start += n;
  }
  for (int64_t i = 0; i < n_rows; i++) {
    rows[ends[slots[i]]++] = (int32_t)i;
  }
}

// What is written for a row of another slot is overwritten by the next that belongs here.
void qn_slot_sort_few(const int32_t *slots, int64_t n_rows, int n_slots, int32_t *rows, int64_t *ends) {
  int64_t end = 0;
  for (int slot = 0; slot < n_slots; slot++) {
    for (int64_t i = 0; i < n_rows; i++) {
      rows[end] = (int32_t)i;
      end += slots[i] == slot;
    }
    ends[slot] = end;
  }
}

qn_slot_sort qn_slot_sort_best(int n_slots) {
  if (n_slots <= FEW_SLOTS_OF_VECTORS && qn_slot_sort_avx512() != NULL) {
    return qn_slot_sort_avx512();
  }
  return n_slots <= FEW_SLOTS ? qn_slot_sort_few : qn_slot_sort_counting;
}
