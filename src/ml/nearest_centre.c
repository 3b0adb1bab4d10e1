// SPDX-License-Identifier: Apache-2.0
// What is done with each product is written once on vectors of 8 and compiled twice, as the processor's
// widest form makes it three times as fast; no rounding differs between the two.
#include "ml/nearest_centre.h"
#include <cblas.h>
#include <math.h>
#include "base/check.h"
#include "ml/avx512.h"
#include "ml/doubles.h"

enum { WIDTH = 8, MAX_GROUP = 512, MOST_ROWS = 512, LEAST_ROWS = 32, ROOM = 65536, UNPACKED = 1000000 };

typedef double vector __attribute__((vector_size(64)));
typedef int64_t numbers __attribute__((vector_size(64)));

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE double least(double a, double b) {
  return b < a ? b : a;
}

// The lowest of products + norms in each row; lows and which are replaced where it is lower.
ALWAYS_INLINE void pick_rows(int64_t n_rows, int stride, const double *products, const double *norms,
                             int32_t first, double *lows, int32_t *which) {
  const numbers zero = {0};

  for (int64_t i = 0; i < n_rows; i++) {
    const double *row = products + i * stride;
    vector best = *(const vector *)row + *(const vector *)norms;
    numbers where = zero;
    for (int j = WIDTH; j < stride; j += WIDTH) {
      const vector value = *(const vector *)(row + j) + *(const vector *)(norms + j);
      const numbers is_less = value < best;
      best = (vector)(((numbers)value & is_less) | ((numbers)best & ~is_less));
      where = ((zero + j) & is_less) | (where & ~is_less);
    }
    const double low = least(least(least(best[0], best[4]), least(best[1], best[5])),
                             least(least(best[2], best[6]), least(best[3], best[7])));
    int64_t at = stride;
    for (int l = 0; l < WIDTH; l++) {
      const int64_t place = best[l] == low ? where[l] + l : stride;
      at = place < at ? place : at;
    }
    which[i] = low < lows[i] ? first + (int32_t)at : which[i];
    lows[i] = least(low, lows[i]);
  }
}

ALWAYS_INLINE void add_rows(int n_columns, int64_t n_rows, const double *x, const double *w,
                            const int32_t *which, double *sums, double *weights) {
  for (int64_t i = 0; i < n_rows; i++) {
    const double *row = x + i * n_columns;
    double *sum = sums + (int64_t)which[i] * n_columns;
    for (int j = 0; j < n_columns; j += WIDTH) { // the next rows come meanwhile
      __builtin_prefetch(row + n_rows * n_columns + j, 0, 2);
    }
    if (w == NULL) {
      weights[which[i]] += 1;
      for (int j = 0; j < n_columns; j++) {
        sum[j] += row[j];
      }
      continue;
    }
    weights[which[i]] += w[i];
    for (int j = 0; j < n_columns; j++) {
      sum[j] += w[i] * row[j];
    }
  }
}

#ifdef QN_AVX512
QN_AVX512 static void pick_rows_wide(int64_t n_rows, int stride, const double *products, const double *norms,
                                     int32_t first, double *lows, int32_t *which) {
  pick_rows(n_rows, stride, products, norms, first, lows, which);
}
QN_AVX512 static void add_rows_wide(int n_columns, int64_t n_rows, const double *x, const double *w,
                                    const int32_t *which, double *sums, double *weights) {
  add_rows(n_columns, n_rows, x, w, which, sums, weights);
}
#else
#define pick_rows_wide pick_rows
#define add_rows_wide add_rows
#endif

// Rows whose products stay in the cache until they are looked at, and few enough that OpenBLAS multiplies
// them without packing, where that leaves it enough of them.
static int chunk_for(int group, int stride, int n_columns) {
  const int64_t unpacked = (int64_t)UNPACKED / ((int64_t)group * n_columns) / WIDTH * WIDTH;
  const int by_products = ROOM / stride < MOST_ROWS ? ROOM / stride : MOST_ROWS;
  const int by_rows = ROOM / n_columns > LEAST_ROWS ? ROOM / n_columns : LEAST_ROWS; // they are read again
  const int chunk = by_products < by_rows ? by_products : by_rows;
  return unpacked >= LEAST_ROWS && unpacked < chunk ? (int)unpacked : chunk;
}

qn_status qn_nearest_init(qn_nearest *nearest, int n_columns, int64_t max_k, const double *origin,
                          qn_error *err) {
  qn_status status = QN_OK;

  *nearest = (qn_nearest){.n_columns = n_columns};
  nearest->group = max_k < MAX_GROUP ? (int)max_k : MAX_GROUP;
  nearest->stride = (nearest->group + WIDTH - 1) / WIDTH * WIDTH;
  nearest->chunk = chunk_for(nearest->group, nearest->stride, n_columns);
  QN_TRY(qn_doubles_new(1, n_columns, &nearest->origin, err));
  QN_TRY(qn_doubles_new(max_k, n_columns, &nearest->centres, err));
  QN_TRY(qn_doubles_new(max_k + WIDTH, 1, &nearest->norms, err));
  QN_TRY(qn_doubles_new(nearest->chunk, nearest->stride, &nearest->products, err));
  QN_TRY(qn_doubles_new(nearest->chunk, 1, &nearest->lows, err));
  if (origin != NULL) {
    memcpy(nearest->origin, origin, (size_t)n_columns * sizeof(double));
  }
done:
  return status;
}

void qn_nearest_release(qn_nearest *nearest) {
  qn_memory_free(nearest->origin);
  qn_memory_free(nearest->centres);
  qn_memory_free(nearest->norms);
  qn_memory_free(nearest->products);
  qn_memory_free(nearest->lows);
  *nearest = (qn_nearest){0};
}

// With c = centre - o and z = x - o: |z - c|^2 - |z|^2 = |c|^2 - 2 z c = |c|^2 + 2 o c - 2 x c.
void qn_nearest_set(qn_nearest *nearest, int64_t k, const double *centres) {
  const int n_columns = nearest->n_columns;

  nearest->k = (int)k;
  for (int64_t c = 0; c < k; c++) {
    const int64_t first = c / nearest->group * nearest->group;
    const int64_t n = k - first < nearest->group ? k - first : nearest->group;
    double *to = nearest->centres + first * n_columns + (c - first);
    double norm = 0;
    for (int j = 0; j < n_columns; j++) {
      const double value = centres[c * n_columns + j] - nearest->origin[j];
      to[j * n] = value;
      norm += value * (value + 2 * nearest->origin[j]);
    }
    nearest->norms[c] = norm;
  }
}

// Products with a group of centres, the lowest of each row picked.
static void find_in_group(qn_nearest *nearest, int64_t n_rows, const double *x, int first, int32_t *which) {
  const int n_columns = nearest->n_columns;
  const int n = nearest->k - first < nearest->group ? nearest->k - first : nearest->group;
  const int stride = (n + WIDTH - 1) / WIDTH * WIDTH;
  double norms[MAX_GROUP] __attribute__((aligned(64)));

  for (int c = 0; c < stride; c++) {
    norms[c] = c < n ? nearest->norms[first + c] : INFINITY;
  }
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n_rows, n, n_columns, -2.0, x, n_columns,
              nearest->centres + (int64_t)first * n_columns, n, 0.0, nearest->products, stride);
  if (qn_avx512_runs()) {
    pick_rows_wide(n_rows, stride, nearest->products, norms, first, nearest->lows, which);
  } else {
    pick_rows(n_rows, stride, nearest->products, norms, first, nearest->lows, which);
  }
}

void qn_nearest_find(qn_nearest *nearest, int64_t n_rows, const double *x, int32_t *which, double *scores) {
  // what the products' padding holds must be a number: products of other strides lie there, or zeros
  for (int64_t from = 0; from < n_rows; from += nearest->chunk) {
    const int64_t n = n_rows - from < nearest->chunk ? n_rows - from : nearest->chunk;
    for (int64_t i = 0; i < n; i++) {
      nearest->lows[i] = INFINITY;
      which[from + i] = 0;
    }
    for (int first = 0; first < nearest->k; first += nearest->group) {
      find_in_group(nearest, n, x + from * nearest->n_columns, first, which + from);
    }
    if (scores != NULL) {
      memcpy(scores + from, nearest->lows, (size_t)n * sizeof(double));
    }
  }
}

void qn_nearest_add(int n_columns, int64_t n_rows, const double *x, const double *w, const int32_t *which,
                    double *sums, double *weights) {
  if (qn_avx512_runs()) {
    add_rows_wide(n_columns, n_rows, x, w, which, sums, weights);
  } else {
    add_rows(n_columns, n_rows, x, w, which, sums, weights);
  }
}

double qn_squared_distance(const double *a, const double *b, int n) {
  double sums[WIDTH] = {0};
  int j = 0;

  for (; j + WIDTH <= n; j += WIDTH) {
    for (int l = 0; l < WIDTH; l++) {
      sums[l] += (a[j + l] - b[j + l]) * (a[j + l] - b[j + l]);
    }
  }
  double sum = ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
  for (; j < n; j++) {
    sum += (a[j] - b[j]) * (a[j] - b[j]);
  }
  return sum;
}
