// SPDX-License-Identifier: Apache-2.0
// Where the bins of a column end: chosen on a sample of the rows, which does not depend on the number of
// ranks.
#pragma once
#include <float.h>
#include <stdint.h>
#include "comm/comm.h"
#include "ml/rows.h"

enum { QN_TREE_BINS = 256 }; // a bin is a byte

typedef struct qn_tree_edges {
  int n_columns;
  int *n_bins;   // [n_columns] bins of numbers, 1 to 255; NaN has the bin behind the last
  double *edges; // [n_columns, QN_TREE_BINS] the largest number of each bin; infinite from the last bin on
} qn_tree_edges;

/// Collective, inside a run. At most max_bins (2 to 255) bins a column: one for each value if there are not
/// more, else bins of about as many rows. The sample lies in `scratch` (NULL: never) where the budget has no
/// room for it.
qn_status qn_tree_edges_choose(qn_comm *comm, const qn_rows *rows, int max_bins, const char *scratch,
                               qn_tree_edges *out, qn_error *err);
void qn_tree_edges_release(qn_tree_edges *edges);

/// Chooses the edges of one column from the values of a sample, ascending and none NaN; edges
/// [QN_TREE_BINS]. Returns the number of bins.
int qn_tree_edges_of_values(const double *values, int64_t n, int max_bins, double *edges);

/// The threshold of "bin <= this": finite, as all numbers of a model are.
static inline double qn_tree_threshold(const qn_tree_edges *edges, int column, int bin) {
  const double edge = edges->edges[(int64_t)column * QN_TREE_BINS + bin];
  return edge < DBL_MAX ? edge : DBL_MAX;
}
