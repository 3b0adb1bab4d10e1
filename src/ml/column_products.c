// SPDX-License-Identifier: Apache-2.0
// Tiles of up to 8 columns times 3 vectors of columns in registers, over all rows.
#include "ml/column_products.h"

#include "base/check.h"
#include "ml/avx512.h"

enum { MOST_COLUMNS = 256 };

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

enum { WIDTH = 8, TILE_COLUMNS = 8, TILE_VECTORS = 3, LINE = 64 };

bool qn_column_products_pay(int n_columns) {
  return n_columns >= 2 * WIDTH && n_columns <= MOST_COLUMNS && qn_avx512_runs();
}

typedef struct column_rows {
  const double *x;
  int64_t n_rows, n_columns;
  double *products;
} column_rows;

// Columns [first, first + n_first) times n_vectors vectors of columns from `second` on; of the last vector
// those of the mask.
QN_AVX512_INLINE void add_tile(const column_rows *rows, int64_t first, const int n_first, int64_t second,
                               const int n_vectors, __mmask8 last) {
  const int64_t n_columns = rows->n_columns;
  const double *row = rows->x;
  const double *end = row + rows->n_rows * n_columns;
  double *products = rows->products + first * n_columns + second;
  __m512d sums[TILE_COLUMNS][TILE_VECTORS];

  for (int i = 0; i < n_first; i++) {
    for (int v = 0; v < n_vectors; v++) {
      sums[i][v] = _mm512_setzero_pd();
    }
  }
  for (; row < end; row += n_columns) {
    __m512d x[TILE_VECTORS];
    for (int v = 0; v < n_vectors; v++) {
      x[v] = _mm512_maskz_loadu_pd(v + 1 == n_vectors ? last : 0xff, row + second + v * WIDTH);
    }
    for (int i = 0; i < n_first; i++) {
      const __m512d own = _mm512_set1_pd(row[first + i]);
      for (int v = 0; v < n_vectors; v++) {
        sums[i][v] = _mm512_fmadd_pd(own, x[v], sums[i][v]);
      }
    }
  }
  for (int i = 0; i < n_first; i++) {
    for (int v = 0; v < n_vectors; v++) {
      double *to = products + i * n_columns + v * WIDTH;
      const __mmask8 mask = v + 1 == n_vectors ? last : 0xff;
      _mm512_mask_storeu_pd(to, mask, _mm512_add_pd(sums[i][v], _mm512_maskz_loadu_pd(mask, to)));
    }
  }
}

QN_AVX512_INLINE void add_tile_of(const column_rows *rows, int64_t first, const int n_first, int64_t second,
                                  int n_vectors, __mmask8 last) {
  if (n_vectors == 1) {
    add_tile(rows, first, n_first, second, 1, last);
  } else if (n_vectors == 2) {
    add_tile(rows, first, n_first, second, 2, last);
  } else {
    add_tile(rows, first, n_first, second, 3, last);
  }
}

// Lines that are fetched: as many before each tile.
typedef struct fetch {
  const char *at, *end;
  int64_t n_lines;
} fetch;

QN_AVX512_INLINE void fetch_some(fetch *ahead) {
  for (int64_t i = 0; i < ahead->n_lines && ahead->at < ahead->end; i++, ahead->at += LINE) {
    __builtin_prefetch(ahead->at, 0, 2);
  }
}

// All columns from `first` on.
QN_AVX512_INLINE void add_columns(const column_rows *rows, int64_t first, const int n_first, fetch *ahead) {
  const int64_t n_columns = rows->n_columns;
  const int end = (int)((n_columns + WIDTH - 1) / WIDTH);
  int n = 0;

  for (int v = (int)(first / WIDTH); v < end; v += n) {
    n = qn_next_group(end - v, TILE_VECTORS);
    const bool is_last = v + n == end;
    fetch_some(ahead);
    add_tile_of(rows, first, n_first, (int64_t)v * WIDTH, n,
                (__mmask8)(is_last ? 0xff >> (end * WIDTH - n_columns) : 0xff));
  }
}

QN_AVX512 void qn_column_products_add(const double *x, int64_t n_rows, int n_columns, const void *ahead,
                                      int64_t n_ahead, double *products) {
  column_rows rows = {.x = x, .n_rows = n_rows, .n_columns = n_columns};
  const int64_t n_vectors = (n_columns + WIDTH - 1) / WIDTH;
  const int64_t n_tiles = n_vectors * (n_vectors + 1) / (2 * TILE_VECTORS) + 1;
  fetch lines = {ahead, (const char *)ahead + n_ahead, n_ahead / LINE / n_tiles + 1};
  int64_t first = 0;

  rows.products = products;
  for (; first + 8 <= n_columns; first += 8) {
    add_columns(&rows, first, 8, &lines);
  }
  if (first + 4 <= n_columns) {
    add_columns(&rows, first, 4, &lines);
    first += 4;
  }
  for (; first < n_columns; first++) {
    add_columns(&rows, first, 1, &lines);
  }
}

#else

bool qn_column_products_pay(int n_columns) {
  (void)n_columns;
  return false;
}

// It is not asked then.
void qn_column_products_add(const double *x, int64_t n_rows, int n_columns, const void *ahead,
                            int64_t n_ahead, double *products) {
  (void)x, (void)n_rows, (void)n_columns, (void)ahead, (void)n_ahead, (void)products;
}
#endif
