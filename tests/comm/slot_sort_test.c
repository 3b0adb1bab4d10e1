// SPDX-License-Identifier: Apache-2.0
#include "comm/slot_sort.h"
#include "kit/kit.h"

// Checks against the definition: every row once, in the order of slots, and in their own order in a slot.
static void check_sort(qn_slot_sort sort, const int32_t *slots, int64_t n_rows, int n_slots) {
  int32_t *rows = malloc((size_t)(n_rows + QN_SLOT_SLACK) * sizeof *rows);
  int64_t *ends = malloc((size_t)n_slots * sizeof *ends);
  int64_t n_wrong = 0;
  int64_t at = 0;
  sort(slots, n_rows, n_slots, rows, ends);
  for (int slot = 0; slot < n_slots; slot++) {
    for (int64_t i = 0; i < n_rows; i++) {
      if (slots[i] == slot) {
        n_wrong += rows[at++] != i;
      }
    }
    n_wrong += ends[slot] != at;
  }
  QN_CHECK_INT(n_wrong, 0);
  free(rows);
  free(ends);
}

static void all_ways_sort_alike(void) {
  kit_random random = {.state = 21};
  int32_t slots[500];
  for (int run = 0; run < 300; run++) {
    const int n_slots = 1 + (int)kit_random_below(&random, run % 2 == 0 ? 4 : 40);
    const int64_t n_rows = kit_random_below(&random, 500);
    for (int64_t i = 0; i < n_rows; i++) {
      slots[i] = run % 5 == 0 ? n_slots - 1 : (int32_t)kit_random_below(&random, n_slots);
    }
    check_sort(qn_slot_sort_counting, slots, n_rows, n_slots);
    check_sort(qn_slot_sort_few, slots, n_rows, n_slots);
    check_sort(qn_slot_sort_best(n_slots), slots, n_rows, n_slots);
    if (qn_slot_sort_avx512() != NULL) {
      check_sort(qn_slot_sort_avx512(), slots, n_rows, n_slots);
    }
  }
}

int main(void) {
  KIT_RUN(all_ways_sort_alike);
  return kit_result();
}
