// SPDX-License-Identifier: Apache-2.0
// A binary heap of (distance, row).
#include "ml/neighbours_heap.h"
#include <math.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"

static bool is_worse(const qn_neighbour *a, const qn_neighbour *b) {
  return a->distance > b->distance || (a->distance == b->distance && a->row > b->row);
}

qn_status qn_neighbours_heaps_new(int64_t n_queries, int64_t k, qn_neighbour **out, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n = 0;
  int64_t size = 0;
  qn_neighbour *heaps = NULL;

  QN_TRY(qn_mul_size(n_queries, k, &n, err));
  QN_TRY(qn_mul_size(n, (int64_t)sizeof *heaps, &size, err));
  heaps = qn_memory_alloc(size);
  QN_REQUIRE(heaps != NULL, err, QN_ERR_MEMORY, "no memory for %lld neighbours of %lld rows", (long long)k,
             (long long)n_queries);
  for (int64_t i = 0; i < n; i++) {
    heaps[i] = (qn_neighbour){.distance = INFINITY, .row = 0};
  }
  *out = heaps;
done:
  return status;
}

void qn_neighbours_replace(qn_neighbour *heap, int64_t k, double distance, int64_t row) {
  const qn_neighbour next = {.distance = distance, .row = row};
  int64_t at = 0;

  for (int64_t child = 1; child < k; child = 2 * at + 1) {
    child += child + 1 < k && is_worse(heap + child + 1, heap + child);
    if (!is_worse(heap + child, &next)) {
      break;
    }
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = next;
}

static int compare(const void *left, const void *right) {
  return is_worse(left, right) ? 1 : is_worse(right, left) ? -1 : 0;
}

void qn_neighbours_sort(qn_neighbour *heap, int64_t k) {
  qsort(heap, (size_t)k, sizeof *heap, compare);
}
