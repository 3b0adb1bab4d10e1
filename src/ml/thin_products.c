// SPDX-License-Identifier: Apache-2.0
// c in tiles of 6 rows x 64 columns, which are registers; 128 terms of 64 columns of b lie together.
#include "ml/thin_products.h"
#include <cblas.h>
#include <string.h>
#include "ml/avx512.h"

static void multiply_by_blas(const qn_thin_product *p) {
  const int64_t a_width = p->a_is_transposed ? p->n_rows : p->n_terms;
  const int64_t b_width = p->b_is_transposed ? p->n_terms : p->n_columns;

  cblas_sgemm(CblasRowMajor, p->a_is_transposed ? CblasTrans : CblasNoTrans,
              p->b_is_transposed ? CblasTrans : CblasNoTrans, (int)p->n_rows, (int)p->n_columns,
              (int)p->n_terms, 1, p->a, (int)a_width, p->b, (int)b_width, p->adds ? 1 : 0, p->c,
              (int)p->n_columns);
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

enum {
  LANES = 16,
  TILE_ROWS = 6,
  TILE_VECTORS = 4,
  TILE_COLUMNS = LANES * TILE_VECTORS,
  MOST_TERMS = 128,
  LEAST_ROWS = 16,
  MOST_ROWS = 512
};

// Terms [first_term, + n_terms) of columns [first, + n) of b, columns behind them 0.
typedef struct packed_part {
  int64_t first_term, n_terms, first, n;
  float *values; // [n_terms, TILE_COLUMNS]
} packed_part;

static __mmask16 first_lanes(int64_t n) {
  return (__mmask16)(n >= LANES ? 0xffff : n <= 0 ? 0 : (1u << n) - 1);
}

// --- Arranging b -----------------------------------------------------------------------------------------

QN_AVX512 static void pack_rows(const float *b, int64_t width, const packed_part *part) {
  for (int64_t term = 0; term < part->n_terms; term++) {
    const float *from = b + (part->first_term + term) * width + part->first;
    for (int v = 0; v < TILE_VECTORS; v++) {
      const __mmask16 lanes = first_lanes(part->n - v * LANES);
      _mm512_store_ps(part->values + term * TILE_COLUMNS + v * LANES,
                      _mm512_maskz_loadu_ps(lanes, from + v * LANES));
    }
  }
}

// Four lines of 16 each become 4 x 4 blocks turned over, in place.
QN_AVX512_INLINE void turn_blocks(__m512 v[4]) {
  const __m512 a = _mm512_unpacklo_ps(v[0], v[1]);
  const __m512 b = _mm512_unpackhi_ps(v[0], v[1]);
  const __m512 c = _mm512_unpacklo_ps(v[2], v[3]);
  const __m512 d = _mm512_unpackhi_ps(v[2], v[3]);
  v[0] = _mm512_shuffle_ps(a, c, 0x44);
  v[1] = _mm512_shuffle_ps(a, c, 0xee);
  v[2] = _mm512_shuffle_ps(b, d, 0x44);
  v[3] = _mm512_shuffle_ps(b, d, 0xee);
}

// 16 x 16 numbers turned over: lines of `from`, `from_width` apart, become columns of `to`.
QN_AVX512_INLINE void turn_square(const float *from, int64_t from_width, int n_lines, __mmask16 lanes,
                                  float *to) {
  __m512 v[4][4];

  for (int i = 0; i < LANES; i++) {
    v[i / 4][i % 4] = i < n_lines ? _mm512_maskz_loadu_ps(lanes, from + i * from_width) : _mm512_setzero_ps();
  }
  for (int i = 0; i < 4; i++) {
    turn_blocks(v[i]);
  }
  for (int i = 0; i < 4; i++) { // term 4 q + i, with q the quarter of the line
    const __m512 low = _mm512_shuffle_f32x4(v[0][i], v[1][i], 0x44);
    const __m512 high = _mm512_shuffle_f32x4(v[0][i], v[1][i], 0xee);
    const __m512 low2 = _mm512_shuffle_f32x4(v[2][i], v[3][i], 0x44);
    const __m512 high2 = _mm512_shuffle_f32x4(v[2][i], v[3][i], 0xee);
    _mm512_store_ps(to + i * TILE_COLUMNS, _mm512_shuffle_f32x4(low, low2, 0x88));
    _mm512_store_ps(to + (4 + i) * TILE_COLUMNS, _mm512_shuffle_f32x4(low, low2, 0xdd));
    _mm512_store_ps(to + (8 + i) * TILE_COLUMNS, _mm512_shuffle_f32x4(high, high2, 0x88));
    _mm512_store_ps(to + (12 + i) * TILE_COLUMNS, _mm512_shuffle_f32x4(high, high2, 0xdd));
  }
}

// Room for whole squares: n_terms is rounded up to 16.
QN_AVX512 static void pack_columns(const float *b, int64_t width, const packed_part *part) {
  for (int v = 0; v < TILE_VECTORS; v++) {
    const int64_t left = part->n - v * LANES;
    const int n_lines = left > LANES ? LANES : left > 0 ? (int)left : 0;
    const float *from = b + (part->first + (n_lines > 0 ? v * LANES : 0)) * width + part->first_term;
    for (int64_t term = 0; term < part->n_terms; term += LANES) {
      float *to = part->values + term * TILE_COLUMNS + v * LANES;
      if (n_lines == LANES) {
        turn_square(from + term, width, LANES, first_lanes(part->n_terms - term), to);
      } else {
        turn_square(from + term, width, n_lines, first_lanes(part->n_terms - term), to);
      }
    }
  }
}

// --- Tiles -----------------------------------------------------------------------------------------------

QN_AVX512_INLINE void multiply_tile(const qn_thin_product *p, const packed_part *part, int64_t first_row,
                                    const int n_rows, const int n_vectors) {
  const int64_t a_row = p->a_is_transposed ? 1 : p->n_terms;
  const int64_t a_term = p->a_is_transposed ? p->n_rows : 1;
  const float *a = p->a + first_row * a_row + part->first_term * a_term;
  const __mmask16 last = first_lanes(part->n - (n_vectors - 1) * LANES);
  const bool adds = p->adds || part->first_term > 0;
  float *c = p->c + first_row * p->n_columns + part->first;
  __m512 sums[TILE_ROWS][TILE_VECTORS];

  for (int row = 0; row < n_rows; row++) {
    for (int v = 0; v < n_vectors; v++) {
      const __mmask16 lanes = v + 1 < n_vectors ? 0xffff : last;
      sums[row][v] =
          adds ? _mm512_maskz_loadu_ps(lanes, c + row * p->n_columns + v * LANES) : _mm512_setzero_ps();
    }
  }
  for (int64_t term = 0; term < part->n_terms; term++) {
    __m512 b[TILE_VECTORS];
    for (int v = 0; v < n_vectors; v++) {
      b[v] = _mm512_load_ps(part->values + term * TILE_COLUMNS + v * LANES);
    }
    for (int row = 0; row < n_rows; row++) {
      __m512 factor = _mm512_set1_ps(a[row * a_row + term * a_term]);
      __asm__("" : "+v"(factor)); // once into a register, not with each product
      for (int v = 0; v < n_vectors; v++) {
        sums[row][v] = _mm512_fmadd_ps(factor, b[v], sums[row][v]);
      }
    }
  }
  for (int row = 0; row < n_rows; row++) {
    for (int v = 0; v < n_vectors; v++) {
      const __mmask16 lanes = v + 1 < n_vectors ? 0xffff : last;
      _mm512_mask_storeu_ps(c + row * p->n_columns + v * LANES, lanes, sums[row][v]);
    }
  }
}

QN_AVX512_INLINE void multiply_rows(const qn_thin_product *p, const packed_part *part, const int n_vectors) {
  int64_t row = 0;

  for (; row + TILE_ROWS <= p->n_rows; row += TILE_ROWS) {
    multiply_tile(p, part, row, TILE_ROWS, n_vectors);
  }
  for (; row + 2 <= p->n_rows; row += 2) {
    multiply_tile(p, part, row, 2, n_vectors);
  }
  if (row < p->n_rows) {
    multiply_tile(p, part, row, 1, n_vectors);
  }
}

QN_AVX512 static void multiply_part(const qn_thin_product *p, const packed_part *part) {
  switch ((part->n + LANES - 1) / LANES) {
  case 1:
    multiply_rows(p, part, 1);
    break;
  case 2:
    multiply_rows(p, part, 2);
    break;
  case 3:
    multiply_rows(p, part, 3);
    break;
  default:
    multiply_rows(p, part, 4);
    break;
  }
}

static void multiply_by_tiles(const qn_thin_product *p) {
  float room[MOST_TERMS * TILE_COLUMNS] __attribute__((aligned(64)));
  packed_part part = {.values = room};

  for (part.first = 0; part.first < p->n_columns; part.first += TILE_COLUMNS) {
    part.n = p->n_columns - part.first < TILE_COLUMNS ? p->n_columns - part.first : TILE_COLUMNS;
    for (part.first_term = 0; part.first_term < p->n_terms; part.first_term += MOST_TERMS) {
      const int64_t left = p->n_terms - part.first_term;
      part.n_terms = left < MOST_TERMS ? left : MOST_TERMS;
      if (p->b_is_transposed) {
        pack_columns(p->b, p->n_terms, &part);
      } else {
        pack_rows(p->b, p->n_columns, &part);
      }
      multiply_part(p, &part);
    }
  }
}

static bool pays(const qn_thin_product *p) {
  const int64_t least = p->n_rows < p->n_terms ? p->n_rows : p->n_terms;
  return openblas_get_num_threads() == 1 && p->n_rows >= LEAST_ROWS && p->n_terms > 0 && least <= MOST_ROWS &&
         qn_avx512_runs();
}

void qn_thin_multiply(const qn_thin_product *product) {
  if (pays(product)) {
    multiply_by_tiles(product);
  } else {
    multiply_by_blas(product);
  }
}

#else

void qn_thin_multiply(const qn_thin_product *product) {
  multiply_by_blas(product);
}
#endif
