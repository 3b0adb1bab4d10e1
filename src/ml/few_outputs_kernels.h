// SPDX-License-Identifier: Apache-2.0
// The loops of few_outputs.h, written for AVX-512. The number of rows is a multiple of 8.
#pragma once
#include <stdbool.h>
#include "ml/few_outputs.h"

/// Rows that are gone through at once.
typedef struct qn_few_rows {
  const double *x; // [n, n_columns]
  int64_t n;
  const char *ahead; // what is fetched, line by line: rows that come next
} qn_few_rows;

bool qn_few_outputs_kernels_run(void);
/// Rows times weights, with the intercepts, to margins.
void qn_few_outputs_margins(const qn_few_outputs *few, qn_few_rows *rows);
/// Margins to derivatives; returns the sum of weight times loss.
double qn_few_outputs_softmax(const qn_few_outputs *few, int64_t n_rows);
double qn_few_outputs_hinge(const qn_few_outputs *few, int64_t n_rows);
/// Adds derivatives times rows to few->gradient.
void qn_few_outputs_gradient(const qn_few_outputs *few, qn_few_rows *rows);
