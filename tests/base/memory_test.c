// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"
#include "base/memory.h"
#include "kit/kit.h"

static void memory_is_aligned_and_counted(void) {
  const int64_t before = qn_memory_used();
  for (int64_t size = 0; size < 300; size += 7) {
    char *memory = qn_memory_alloc(size);
    QN_CHECK_INT((int64_t)((uintptr_t)memory % 64), 0);
    QN_CHECK_INT(qn_memory_used() - before, size + QN_MEMORY_SLACK);
    memset(memory, 1, (size_t)(size + QN_MEMORY_SLACK));
    qn_memory_free(memory);
  }
  qn_memory_free(NULL);
  QN_CHECK_INT(qn_memory_used(), before);
}

static void resize_keeps_contents_and_alignment(void) {
  static const int64_t sizes[] = {1, 63, 64, 1000, 5000, 200000, 3000000, 70000000, 4000000, 900, 10, 0};
  const int64_t before = qn_memory_used();
  uint8_t *memory = NULL;
  int64_t filled = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    memory = qn_memory_resize(memory, sizes[i]);
    QN_CHECK_INT((int64_t)((uintptr_t)memory % 64), 0);
    QN_CHECK_INT(qn_memory_used() - before, sizes[i] + QN_MEMORY_SLACK);
    const int64_t kept = filled < sizes[i] ? filled : sizes[i];
    int64_t n_wrong = 0;
    for (int64_t k = 0; k < kept; k++) {
      n_wrong += memory[k] != (uint8_t)(k * 31 + k / 256);
    }
    QN_CHECK_INT(n_wrong, 0);
    for (filled = 0; filled < sizes[i]; filled++) {
      memory[filled] = (uint8_t)(filled * 31 + filled / 256);
    }
  }
  QN_CHECK(qn_memory_peak() >= 70000000);
  qn_memory_free(memory);
  QN_CHECK_INT(qn_memory_used(), before);
}

static void impossible_sizes_are_refused_and_leave_the_memory(void) {
  char *memory = qn_memory_alloc(4);
  memcpy(memory, "abc", 4);
  QN_CHECK(qn_memory_alloc(-1) == NULL);
  QN_CHECK(qn_memory_alloc(INT64_MAX) == NULL);
  QN_CHECK(qn_memory_resize(memory, INT64_MAX - 8) == NULL);
  QN_CHECK_TEXT(memory, "abc");
  qn_memory_free(memory);
}

static void budget_says_when_it_is_tight(void) {
  QN_CHECK(!qn_memory_is_tight(INT64_MAX));
  qn_memory_set_budget(qn_memory_used() + 1000);
  QN_CHECK(!qn_memory_is_tight(1000));
  QN_CHECK(qn_memory_is_tight(1001));
  void *memory = qn_memory_alloc(5000); // a budget does not make an allocation fail
  QN_CHECK(memory != NULL);
  QN_CHECK(qn_memory_is_tight(0));
  qn_memory_free(memory);
  qn_memory_set_budget(0);
  QN_CHECK(!qn_memory_is_tight(INT64_MAX));
}

static void products_are_checked(void) {
  int64_t product = 0;
  QN_CHECK_OK(qn_mul_size(3, 5, &product, &kit_error));
  QN_CHECK_INT(product, 15);
  QN_CHECK_OK(qn_mul_size(0, INT64_MAX, &product, &kit_error));
  QN_CHECK_FAILS(qn_mul_size(INT64_MAX / 2, 3, &product, &kit_error), QN_ERR_MEMORY);
  QN_CHECK_FAILS(qn_mul_size(-1, 3, &product, &kit_error), QN_ERR_MEMORY);
  QN_CHECK_INT(product, 0);
}

static void arena_keeps_many_pieces(void) {
  qn_arena arena = {0};
  const int64_t before = qn_memory_used();
  char *pieces[500];
  for (int i = 0; i < 500; i++) {
    pieces[i] = qn_arena_printf(&arena, "piece %d%*s", i, i, "");
    QN_CHECK_INT((int64_t)((uintptr_t)pieces[i] % 16), 0);
  }
  for (int i = 0; i < 500; i++) {
    char wanted[600];
    snprintf(wanted, sizeof wanted, "piece %d%*s", i, i, "");
    QN_CHECK_TEXT(pieces[i], wanted);
  }
  const char *large = qn_arena_alloc(&arena, 5000000);
  QN_CHECK(large[0] == 0 && large[4999999] == 0);
  QN_CHECK_TEXT(qn_arena_copy(&arena, "abcdef", 3), "abc");
  QN_CHECK_TEXT(qn_arena_string(&arena, "whole"), "whole");
  QN_CHECK(qn_arena_alloc(&arena, -1) == NULL);
  qn_arena_release(&arena);
  qn_arena_release(&arena);
  QN_CHECK_INT(qn_memory_used(), before);
}

int main(void) {
  KIT_RUN(memory_is_aligned_and_counted);
  KIT_RUN(resize_keeps_contents_and_alignment);
  KIT_RUN(impossible_sizes_are_refused_and_leave_the_memory);
  KIT_RUN(budget_says_when_it_is_tight);
  KIT_RUN(products_are_checked);
  KIT_RUN(arena_keeps_many_pieces);
  return kit_result();
}
