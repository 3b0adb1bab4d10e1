// SPDX-License-Identifier: Apache-2.0
#include "ml/forest_near.h"
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/mapped_room.h"
#include "base/memory.h"

enum { AHEAD = 24, PAGE_BYTES = 4096 };

int64_t qn_forest_touched_bytes(const qn_forest_rows *all, int64_t n) {
  return n < all->n_rows / PAGE_BYTES ? n * PAGE_BYTES : all->n_rows;
}

qn_status qn_forest_near_init(qn_forest_near *near, int64_t capacity, int n_columns, qn_error *err) {
  qn_status status = QN_OK;

  *near = (qn_forest_near){.capacity = capacity};
  near->room = qn_memory_alloc(capacity);
  near->is_here = calloc((size_t)n_columns + 1, sizeof *near->is_here);
  QN_REQUIRE(near->room != NULL && near->is_here != NULL, err, QN_ERR_MEMORY, "no memory to grow trees");
  qn_ask_for_huge_pages(near->room, capacity);

done:
  return status;
}

void qn_forest_near_release(qn_forest_near *near) {
  qn_memory_free(near->room);
  free(near->is_here);
  *near = (qn_forest_near){0};
}

bool qn_forest_near_fits(const qn_forest_near *near, int64_t n, int n_columns) {
  return n <= near->capacity / (n_columns + (int64_t)sizeof *near->from);
}

void qn_forest_near_enter(qn_forest_near *near, qn_forest_near *outer, qn_forest_item *items, int64_t n,
                          int n_columns) {
  near->outer = outer;
  near->n = n;
  near->from = (int32_t *)(void *)near->room;
  near->columns = near->room + n * (int64_t)sizeof *near->from;
  memset(near->is_here, 0, (size_t)n_columns * sizeof *near->is_here);
  for (int64_t i = 0; i < n; i++) {
    near->from[i] = items[i].row;
    items[i].row = (int32_t)i;
  }
}

const uint8_t *qn_forest_near_column(qn_forest_near *near, const qn_forest_rows *all, int column) {
  if (near == NULL) {
    return all->bins + column * all->n_rows;
  }
  uint8_t *bins = near->columns + column * near->n;
  if (!near->is_here[column]) {
    const uint8_t *outer = qn_forest_near_column(near->outer, all, column);
    const int32_t *from = near->from;
    for (int64_t i = 0; i < near->n; i++) {
      __builtin_prefetch(outer + from[i + AHEAD < near->n ? i + AHEAD : i]);
      bins[i] = outer[from[i]];
    }
    near->is_here[column] = true;
    near->n_touched += near->outer == NULL ? qn_forest_touched_bytes(all, near->n) : 0;
  }
  return bins;
}
