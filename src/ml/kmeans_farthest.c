// SPDX-License-Identifier: Apache-2.0
// The rows farthest from all centres, for clusters that would have none: a heap of this rank's, then the best
// of all ranks' heaps, in an order that does not depend on who has which row.
#include <stdlib.h>
#include "base/buffer.h"
#include "base/check.h"
#include "ml/doubles.h"
#include "ml/kmeans.h"

// Is a row of that head nearer, or as far and later?
static bool is_worse(const double *a, const double *b) {
  return a[0] < b[0] || (a[0] == b[0] && a[1] > b[1]);
}

static int compare_heads(const void *left, const void *right) {
  const double *a = left;
  const double *b = right;
  return is_worse(a, b) ? 1 : is_worse(b, a) ? -1 : 0;
}

// Keeps the n best heads: the worst of them is on top.
static void keep_head(double *heap, int64_t n, int64_t *n_kept, const double *head) {
  int64_t at = 0;

  if (*n_kept < n) {
    for (at = (*n_kept)++; at > 0 && is_worse(head, heap + (at - 1) / 2 * QN_FAR_HEAD); at = (at - 1) / 2) {
      memcpy(heap + at * QN_FAR_HEAD, heap + (at - 1) / 2 * QN_FAR_HEAD, QN_FAR_HEAD * sizeof(double));
    }
  } else if (is_worse(head, heap)) {
    return;
  } else {
    for (int64_t child = 1; child < n; child = 2 * at + 1) {
      const int64_t other = child + 1;
      child += other < n && is_worse(heap + other * QN_FAR_HEAD, heap + child * QN_FAR_HEAD);
      if (!is_worse(heap + child * QN_FAR_HEAD, head)) {
        break;
      }
      memcpy(heap + at * QN_FAR_HEAD, heap + child * QN_FAR_HEAD, QN_FAR_HEAD * sizeof(double));
      at = child;
    }
  }
  memcpy(heap + at * QN_FAR_HEAD, head, QN_FAR_HEAD * sizeof(double));
}

static void find_own(qn_kmeans_work *work, qn_nearest *nearest, const double *centres, int64_t n,
                     double *heap, int64_t *n_kept) {
  for (int64_t i = 0; i < work->rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(work->rows, i, &block);
    qn_row_block_densify(&block, work->room);
    qn_nearest_find(nearest, block.n_rows, block.x, work->which, NULL);
    for (int64_t r = 0; r < block.n_rows; r++) {
      const double *centre = centres + (int64_t)work->which[r] * block.n_columns;
      const double distance = qn_squared_distance(block.x + r * block.n_columns, centre, block.n_columns);
      const double weight = block.w == NULL ? 1.0 : block.w[r];
      const double head[QN_FAR_HEAD] = {distance, (double)(block.first_row + r), (double)work->which[r],
                                        weight};
      if (distance > 0 && weight > 0) {
        keep_head(heap, n, n_kept, head);
      }
    }
  }
}

// The rows themselves, in ascending order of their numbers, read block by block.
static void copy_rows(qn_kmeans_work *work, const double *heap, int64_t n, double *out) {
  const int64_t size = QN_FAR_HEAD + work->rows->n_columns;

  for (int64_t i = 0; i < work->rows->n_blocks; i++) {
    qn_row_block block;
    bool is_here = false;
    qn_rows_block(work->rows, i, &block);
    for (int64_t h = 0; h < n; h++) {
      const int64_t row = (int64_t)heap[h * QN_FAR_HEAD + 1] - block.first_row;
      if (row < 0 || row >= block.n_rows) {
        continue;
      }
      if (!is_here) {
        qn_row_block_densify(&block, work->room);
        is_here = true;
      }
      memcpy(out + h * size, heap + h * QN_FAR_HEAD, QN_FAR_HEAD * sizeof(double));
      memcpy(out + h * size + QN_FAR_HEAD, block.x + row * block.n_columns,
             (size_t)block.n_columns * sizeof(double));
    }
  }
}

qn_status qn_kmeans_farthest(qn_kmeans_work *work, qn_nearest *nearest, const double *centres, int64_t n,
                             double *out, int64_t *n_found, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t size = (QN_FAR_HEAD + work->rows->n_columns) * (int64_t)sizeof(double);
  double *heap = NULL;
  double *own = NULL;
  int64_t n_own = 0;
  int64_t *sizes = NULL;
  qn_buffer all = {0};

  QN_TRY(qn_doubles_new(n, QN_FAR_HEAD, &heap, err));
  find_own(work, nearest, centres, n, heap, &n_own);
  QN_TRY(qn_doubles_new(n_own, QN_FAR_HEAD + work->rows->n_columns, &own, err));
  copy_rows(work, heap, n_own, own);
  sizes = qn_memory_alloc(qn_comm_size(work->comm) * (int64_t)sizeof *sizes);
  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory for the sizes of messages");
  QN_TRY(qn_comm_gather(work->comm, own, n_own * size, &all, sizes, err));
  *n_found = all.size / size;
  if (*n_found > 0) {
    qsort(all.data, (size_t)*n_found, (size_t)size, compare_heads);
  }
  *n_found = *n_found < n ? *n_found : n;
  if (*n_found > 0) {
    memcpy(out, all.data, (size_t)(*n_found * size));
  }
done:
  qn_memory_free(heap);
  qn_memory_free(own);
  qn_memory_free(sizes);
  qn_buffer_release(&all);
  return status;
}
