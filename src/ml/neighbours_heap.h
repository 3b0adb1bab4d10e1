// SPDX-License-Identifier: Apache-2.0
// The k best rows of a query: a heap with the worst on top; of equal distances the later row is worse.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>

typedef struct qn_neighbour {
  double distance;
  int64_t row;
} qn_neighbour;

/// Local. n_queries heaps of k at infinite distance each; free them with qn_memory_free().
qn_status qn_neighbours_heaps_new(int64_t n_queries, int64_t k, qn_neighbour **out, qn_error *err);
/// Puts a row in place of the worst.
void qn_neighbours_replace(qn_neighbour *heap, int64_t k, double distance, int64_t row);
/// Nearest first; a heap no more.
void qn_neighbours_sort(qn_neighbour *heap, int64_t k);
