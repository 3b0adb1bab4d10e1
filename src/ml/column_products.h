// SPDX-License-Identifier: Apache-2.0
// Products of the columns of some rows with each other, as dsyrk makes them: for so few columns OpenBLAS
// spends half of its time on copying.
#pragma once
#include <stdbool.h>
#include <stdint.h>

/// Whether this processor and this number of columns are such that it is faster than BLAS.
bool qn_column_products_pay(int n_columns);
/// Local. Adds x^T x of the rows x [n_rows, n_columns] to products [n_columns, n_columns]: to its upper
/// triangle, and to some of what lies below it. Few rows, which lie in the first-level cache, are fastest;
/// from `ahead` on n_ahead bytes are fetched meanwhile. What is added depends on the rows and their order
/// alone.
void qn_column_products_add(const double *x, int64_t n_rows, int n_columns, const void *ahead,
                            int64_t n_ahead, double *products);
