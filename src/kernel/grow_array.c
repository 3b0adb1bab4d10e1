// SPDX-License-Identifier: Apache-2.0
// Growing arrays over accounted memory, on huge pages where they are large.
#include "kernel/grow_array.h"
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include "base/check.h"
#include "base/memory.h"

enum { HUGE_PAGE = 2 << 20, FIRST_ITEMS = 64 };

void qn_advise_huge_pages(void *memory, int64_t size) {
  if (size < 2 * HUGE_PAGE) {
    return;
  }
  const uintptr_t mask = ~(uintptr_t)(HUGE_PAGE - 1);
  const uintptr_t first = ((uintptr_t)memory + HUGE_PAGE - 1) & mask;
  const uintptr_t end = ((uintptr_t)memory + (uintptr_t)size) & mask;
  // Only advice: where the system does not follow it nothing is lost but time.
  (void)madvise((void *)first, end - first, MADV_HUGEPAGE);
}

qn_status qn_array_grow(void **array, int64_t *capacity, int64_t needed, int64_t item_size, qn_error *err) {
  qn_status status = QN_OK;
  int64_t items = *capacity < FIRST_ITEMS / 2 ? FIRST_ITEMS / 2 : *capacity;
  int64_t size = 0;

  if (needed <= *capacity) {
    return QN_OK;
  }
  items = items <= INT64_MAX / 2 && items * 2 > needed ? items * 2 : needed;
  QN_TRY(qn_mul_size(items, item_size, &size, err));
  void *grown = qn_memory_resize(*array, size);
  QN_REQUIRE(grown != NULL, err, QN_ERR_MEMORY,
             "no memory for %" PRId64 " groups of %" PRId64 " bytes (%" PRId64 " bytes in use)", items,
             item_size, qn_memory_used());
  qn_advise_huge_pages(grown, size);
  *array = grown;
  *capacity = items;

done:
  return status;
}

qn_status qn_array_grow_zeroed(void **array, int64_t *capacity, int64_t n_used, int64_t needed,
                               int64_t item_size, qn_error *err) {
  qn_status status = QN_OK;

  QN_TRY(qn_array_grow(array, capacity, needed, item_size, err));
  memset((uint8_t *)*array + n_used * item_size, 0, (size_t)((needed - n_used) * item_size));

done:
  return status;
}
