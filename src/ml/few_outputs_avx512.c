// SPDX-License-Identifier: Apache-2.0
// Products in tiles of registers. Forward, 8 rows x 1 to 3 outputs, with vectors along the columns, whose
// sums over lanes of 8 rows make one vector; back, 1 to 5 outputs x 32 columns over all rows. Losses take 8
// rows side by side.
#include "ml/few_outputs_kernels.h"

#include "base/check.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

enum { WIDTH = 8, TILE_OUTPUTS = 3, BACK_OUTPUTS = 5, BACK_VECTORS = 4, LINE = 64 };

#define WIDE __attribute__((target("avx512f,avx512dq,avx512vl")))
#define INLINE WIDE static inline __attribute__((always_inline))

bool qn_few_outputs_kernels_run(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

// [sum of a, sum of b] of each pair of lanes.
INLINE __m512d add_neighbours(__m512d a, __m512d b) {
  return _mm512_add_pd(_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
}

INLINE __m512d add_halves(__m512d a, __m512d b) {
  return _mm512_add_pd(_mm512_shuffle_f64x2(a, b, 0x88), _mm512_shuffle_f64x2(a, b, 0xdd));
}

// The sum of the lanes of each of 8 vectors.
INLINE __m512d sums_of_eight(const __m512d v[WIDTH]) {
  const __m512d low = add_halves(add_neighbours(v[0], v[1]), add_neighbours(v[2], v[3]));
  const __m512d high = add_halves(add_neighbours(v[4], v[5]), add_neighbours(v[6], v[7]));
  return add_halves(low, high);
}

// What stands behind the last whole vector of a row, and 1 for the intercept.
typedef struct row_end {
  int64_t first;
  __mmask8 columns;
  __m512d one;
} row_end;

INLINE row_end row_end_of(int n_columns) {
  const int rest = n_columns % WIDTH;
  const __m512d zero = _mm512_setzero_pd();
  return (row_end){.first = n_columns - rest,
                   .columns = (__mmask8)((1u << rest) - 1),
                   .one = _mm512_mask_mov_pd(zero, (__mmask8)(1u << rest), _mm512_set1_pd(1))};
}

INLINE __m512d load_end(const row_end *end, const double *row) {
  return _mm512_mask_loadu_pd(end->one, end->columns, row + end->first);
}

// As equal groups of at most `most` as there can be: the size of the next one.
static int next_group(int n, int most) {
  const int n_groups = (n + most - 1) / most;
  return (n + n_groups - 1) / n_groups;
}

// --- Margins ---------------------------------------------------------------------------------------------

// Keeps a vector in its register: read from memory for each product, it would take longer than the product.
INLINE __m512d kept(__m512d v) {
  __asm__("" : "+v"(v));
  return v;
}

INLINE void add_products(__m512d sums[TILE_OUTPUTS][WIDTH], const int row, const int n_outputs, __m512d x,
                         const __m512d *weights) {
  const __m512d own = kept(x);
  for (int k = 0; k < n_outputs; k++) {
    sums[k][row] = _mm512_fmadd_pd(own, weights[k], sums[k][row]);
  }
}

INLINE void margins_of_tile(const qn_few_outputs *few, const double *rows, const row_end *end, int first,
                            const int n_outputs, const char *ahead, double *margins) {
  const int64_t n_columns = few->n_columns;
  const double *weights = few->weights + first * few->stride;
  __m512d sums[TILE_OUTPUTS][WIDTH];
  __m512d weight[TILE_OUTPUTS];

  for (int k = 0; k < n_outputs; k++) {
    for (int row = 0; row < WIDTH; row++) {
      sums[k][row] = _mm512_setzero_pd();
    }
  }
  for (int64_t j = 0; j < end->first; j += WIDTH) {
    __builtin_prefetch(ahead + j * 8, 0, 2);
    for (int k = 0; k < n_outputs; k++) {
      weight[k] = _mm512_load_pd(weights + k * few->stride + j);
    }
    for (int row = 0; row < WIDTH; row++) {
      add_products(sums, row, n_outputs, _mm512_loadu_pd(rows + row * n_columns + j), weight);
    }
  }
  __builtin_prefetch(ahead + end->first * 8, 0, 2);
  for (int k = 0; k < n_outputs; k++) {
    weight[k] = _mm512_load_pd(weights + k * few->stride + end->first);
  }
  for (int row = 0; row < WIDTH; row++) {
    add_products(sums, row, n_outputs, load_end(end, rows + row * n_columns), weight);
  }
  for (int k = 0; k < n_outputs; k++) {
    _mm512_store_pd(margins + k * few->run_rows, sums_of_eight(sums[k]));
  }
}

WIDE void qn_few_outputs_margins(const qn_few_outputs *few, qn_few_rows *rows) {
  const row_end end = row_end_of(few->n_columns);

  for (int64_t row = 0; row < rows->n; row += WIDTH) {
    const double *x = rows->x + row * few->n_columns;
    int n = 0;
    for (int k = 0; k < few->n_outputs; k += n) {
      double *margins = few->margins + k * few->run_rows + row;
      n = next_group(few->n_outputs - k, TILE_OUTPUTS);
      if (n == 1) {
        margins_of_tile(few, x, &end, k, 1, rows->ahead, margins);
      } else if (n == 2) {
        margins_of_tile(few, x, &end, k, 2, rows->ahead, margins);
      } else {
        margins_of_tile(few, x, &end, k, 3, rows->ahead, margins);
      }
      rows->ahead += (end.first + WIDTH) * 8;
    }
  }
}

// --- Losses ----------------------------------------------------------------------------------------------

// e^x for x <= 0, within 1 ulp: x = k ln 2 + r and a Taylor polynomial in r.
INLINE __m512d exp_of(__m512d x) {
  static const double series[] = {1.0 / 479001600.0,
                                  1.0 / 39916800.0,
                                  1.0 / 3628800.0,
                                  1.0 / 362880.0,
                                  1.0 / 40320.0,
                                  1.0 / 5040.0,
                                  1.0 / 720.0,
                                  1.0 / 120.0,
                                  1.0 / 24.0,
                                  1.0 / 6.0,
                                  0.5,
                                  1.0,
                                  1.0};
  const __m512d k = _mm512_roundscale_pd(_mm512_mul_pd(x, _mm512_set1_pd(1.4426950408889634)),
                                         _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512d r = _mm512_fnmadd_pd(k, _mm512_set1_pd(0.693147180369123816490), x);
  r = _mm512_fnmadd_pd(k, _mm512_set1_pd(1.90821492927058770002e-10), r);
  __m512d p = _mm512_set1_pd(1.0 / 6227020800.0);
  for (int i = 0; i < 13; i++) {
    p = _mm512_fmadd_pd(p, r, _mm512_set1_pd(series[i]));
  }
  return _mm512_scalef_pd(p, k);
}

// ln x for x >= 1: the exponent, and 2 artanh((m - 1) / (m + 1)) of the mantissa m by its series.
INLINE __m512d log_of(__m512d x) {
  const __m512d one = _mm512_set1_pd(1);
  const __m512d m = _mm512_getmant_pd(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
  const __m512d s = _mm512_div_pd(_mm512_sub_pd(m, one), _mm512_add_pd(m, one));
  const __m512d q = _mm512_mul_pd(s, s);
  __m512d p = _mm512_set1_pd(1.0 / 33.0);
  for (int i = 31; i > 0; i -= 2) {
    p = _mm512_fmadd_pd(p, q, _mm512_set1_pd(1.0 / (double)i));
  }
  const __m512d of_mantissa = _mm512_mul_pd(_mm512_add_pd(s, s), p);
  return _mm512_fmadd_pd(_mm512_getexp_pd(x), _mm512_set1_pd(0.69314718055994530942), of_mantissa);
}

INLINE double sum_of(__m512d v) {
  double lanes[WIDTH];
  _mm512_storeu_pd(lanes, v);
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

// Largest margin of each row, and that of its class.
INLINE void find_largest(const double *margins, int64_t stride, int n_outputs, __m512d y, __m512d *largest,
                         __m512d *own) {
  __m512d most = _mm512_load_pd(margins);
  __m512d of_class = most;

  for (int k = 1; k < n_outputs; k++) {
    const __m512d margin = _mm512_load_pd(margins + k * stride);
    most = _mm512_max_pd(most, margin);
    of_class = _mm512_mask_mov_pd(of_class, _mm512_cmpeq_pd_mask(y, _mm512_set1_pd(k)), margin);
  }
  *largest = most;
  *own = of_class;
}

WIDE double qn_few_outputs_softmax(const qn_few_outputs *few, int64_t n_rows) {
  const int64_t stride = few->run_rows;
  __m512d loss = _mm512_setzero_pd();

  for (int64_t row = 0; row < n_rows; row += WIDTH) {
    double *margins = few->margins + row;
    const __m512d y = _mm512_load_pd(few->y + row);
    const __m512d w = _mm512_load_pd(few->w + row);
    __m512d largest;
    __m512d own;
    __m512d sum = _mm512_setzero_pd();
    find_largest(margins, stride, few->n_outputs, y, &largest, &own);
    for (int k = 0; k < few->n_outputs; k++) {
      const __m512d power = exp_of(_mm512_sub_pd(_mm512_load_pd(margins + k * stride), largest));
      _mm512_store_pd(margins + k * stride, power);
      sum = _mm512_add_pd(sum, power);
    }
    const __m512d share = _mm512_div_pd(w, sum);
    for (int k = 0; k < few->n_outputs; k++) {
      const __m512d p = _mm512_mul_pd(_mm512_load_pd(margins + k * stride), share);
      const __mmask8 is_own = _mm512_cmpeq_pd_mask(y, _mm512_set1_pd(k));
      _mm512_store_pd(margins + k * stride, _mm512_mask_sub_pd(p, is_own, p, w));
    }
    loss = _mm512_fmadd_pd(w, _mm512_sub_pd(log_of(sum), _mm512_sub_pd(own, largest)), loss);
  }
  return sum_of(loss);
}

WIDE double qn_few_outputs_hinge(const qn_few_outputs *few, int64_t n_rows) {
  const int64_t stride = few->run_rows;
  const __m512d one = _mm512_set1_pd(1);
  __m512d loss = _mm512_setzero_pd();

  for (int64_t row = 0; row < n_rows; row += WIDTH) {
    double *margins = few->margins + row;
    const __m512d y = _mm512_load_pd(few->y + row);
    const __m512d w = _mm512_load_pd(few->w + row);
    for (int k = 0; k < few->n_outputs; k++) {
      const __mmask8 is_own = _mm512_cmpeq_pd_mask(y, _mm512_set1_pd(k));
      const __m512d t = _mm512_mask_mov_pd(_mm512_set1_pd(-1), is_own, one);
      const __m512d margin = _mm512_load_pd(margins + k * stride);
      const __m512d gap = _mm512_max_pd(_mm512_fnmadd_pd(t, margin, one), _mm512_setzero_pd());
      const __m512d weighted = _mm512_mul_pd(w, gap);
      loss = _mm512_fmadd_pd(weighted, gap, loss);
      _mm512_store_pd(margins + k * stride, _mm512_mul_pd(_mm512_mul_pd(_mm512_set1_pd(-2), t), weighted));
    }
  }
  return sum_of(loss);
}

// --- Gradient --------------------------------------------------------------------------------------------

// Columns from j on: n_vectors whole vectors of them, or with `end` what stands there.
INLINE void gradient_of_tile(const qn_few_outputs *few, const qn_few_rows *rows, int64_t j,
                             const row_end *end, int first, const int n_outputs, const int n_vectors,
                             const char *ahead) {
  const double *derivatives = few->margins + first * few->run_rows;
  double *gradient = few->gradient + first * few->stride + j;
  __m512d sums[BACK_OUTPUTS][BACK_VECTORS];

  for (int k = 0; k < n_outputs; k++) {
    for (int v = 0; v < n_vectors; v++) {
      sums[k][v] = _mm512_load_pd(gradient + k * few->stride + v * WIDTH);
    }
  }
  for (int64_t row = 0; row < rows->n; row++) {
    const double *from = rows->x + row * few->n_columns;
    __m512d x[BACK_VECTORS];
    __builtin_prefetch(ahead + row * LINE, 0, 2);
    for (int v = 0; v < n_vectors; v++) {
      x[v] = kept(end != NULL ? load_end(end, from) : _mm512_loadu_pd(from + j + v * WIDTH));
    }
    for (int k = 0; k < n_outputs; k++) {
      const __m512d derivative = kept(_mm512_set1_pd(derivatives[k * few->run_rows + row]));
      for (int v = 0; v < n_vectors; v++) {
        sums[k][v] = _mm512_fmadd_pd(derivative, x[v], sums[k][v]);
      }
    }
  }
  for (int k = 0; k < n_outputs; k++) {
    for (int v = 0; v < n_vectors; v++) {
      _mm512_store_pd(gradient + k * few->stride + v * WIDTH, sums[k][v]);
    }
  }
}

// All columns for n_outputs outputs from `first` on.
INLINE void gradient_of_outputs(const qn_few_outputs *few, qn_few_rows *rows, int first,
                                const int n_outputs) {
  const row_end end = row_end_of(few->n_columns);
  int64_t j = 0;

  for (; j + WIDTH * BACK_VECTORS <= end.first; j += WIDTH * BACK_VECTORS) {
    gradient_of_tile(few, rows, j, NULL, first, n_outputs, BACK_VECTORS, rows->ahead);
    rows->ahead += rows->n * LINE;
  }
  for (; j < end.first; j += WIDTH) {
    gradient_of_tile(few, rows, j, NULL, first, n_outputs, 1, rows->ahead);
  }
  gradient_of_tile(few, rows, j, &end, first, n_outputs, 1, rows->ahead);
}

WIDE void qn_few_outputs_gradient(const qn_few_outputs *few, qn_few_rows *rows) {
  int n = 0;

  for (int k = 0; k < few->n_outputs; k += n) {
    n = next_group(few->n_outputs - k, BACK_OUTPUTS);
    switch (n) {
    case 1:
      gradient_of_outputs(few, rows, k, 1);
      break;
    case 2:
      gradient_of_outputs(few, rows, k, 2);
      break;
    case 3:
      gradient_of_outputs(few, rows, k, 3);
      break;
    case 4:
      gradient_of_outputs(few, rows, k, 4);
      break;
    default:
      gradient_of_outputs(few, rows, k, 5);
      break;
    }
  }
}

#else

bool qn_few_outputs_kernels_run(void) {
  return false;
}

// They are not asked then.
void qn_few_outputs_margins(const qn_few_outputs *few, qn_few_rows *rows) {
  (void)few, (void)rows;
}

double qn_few_outputs_softmax(const qn_few_outputs *few, int64_t n_rows) {
  (void)few, (void)n_rows;
  return 0;
}

double qn_few_outputs_hinge(const qn_few_outputs *few, int64_t n_rows) {
  (void)few, (void)n_rows;
  return 0;
}

void qn_few_outputs_gradient(const qn_few_outputs *few, qn_few_rows *rows) {
  (void)few, (void)rows;
}
#endif
