// SPDX-License-Identifier: Apache-2.0
// From weighted candidates to k seeds, the same on every rank that has the same candidates.
#pragma once
#include <stdint.h>
#include "base/buffer.h"

/// Local. How many of the rows in the buffer differ from each other.
qn_status qn_candidates_count(const qn_buffer *candidates, int n_columns, int64_t *n_different,
                              qn_error *err);
/// Local. centres [k, n_columns] from candidates [n, n_columns] by k-means++ that takes the best of several
/// draws each time, and then k-means on the candidates.
qn_status qn_candidates_choose(const double *candidates, const double *weights, int64_t n, int n_columns,
                               const double *origin, int64_t k, uint64_t seed, double *centres,
                               qn_error *err);
