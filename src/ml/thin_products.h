// SPDX-License-Identifier: Apache-2.0
// Products of float32 matrices of which one has few rows, as the layers of a network have them for the rows
// of a small batch. OpenBLAS arranges both matrices anew for each product; here only one is, a part that
// fits the first-level cache at a time.
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct qn_thin_product {
  int64_t n_rows, n_columns, n_terms;
  const float *a; // [n_rows, n_terms], or transposed
  const float *b; // [n_terms, n_columns], or transposed
  float *c;       // [n_rows, n_columns]
  bool a_is_transposed, b_is_transposed;
  bool adds; // to what is in c
} qn_thin_product;

/// Local. c = a b, or c += a b; by BLAS if neither rows nor terms are few, if it has several threads, or
/// if the processor has no AVX-512. With one thread the way, and with it the rounding, depends on sizes
/// alone.
void qn_thin_multiply(const qn_thin_product *product);
