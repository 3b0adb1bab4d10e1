// SPDX-License-Identifier: Apache-2.0
// Splitting rows of all ranks into ranges of their order, one a rank and about as large: each rank samples
// its rows, the samples of all are sorted, and those at equal distances become the bounds. Sort and shuffle
// by range do it.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "comm/comm.h"
#include "exec/order_columns.h"

typedef struct qn_range_sampler qn_range_sampler;
typedef struct qn_range_splits qn_range_splits;

/// Local. `order` must stay as long as the sampler and its splits.
qn_status qn_range_sampler_new(const qn_order_columns *order, int n_ranks, qn_range_sampler **out,
                               qn_error *err);
/// The next rows of this rank.
qn_status qn_range_sampler_add(qn_range_sampler *sampler, const qn_batch *batch, qn_error *err);
void qn_range_sampler_free(qn_range_sampler *sampler);

typedef struct qn_range_options {
  bool splits_ties; // rows that are equal may go to two ranks: the earlier ones (by rank, then by place) to
                    // the lower
  int64_t few_rows; // fewer rows than this in all go to rank 0
} qn_range_options;

/// Collective. The bounds between the ranks' ranges.
qn_status qn_range_splits_new(qn_comm *comm, const qn_range_sampler *sampler, const qn_range_options *options,
                              qn_range_splits **out, qn_error *err);
/// Local. destinations[i] = the rank of row i. first_row: the number of the batch's first row among this
/// rank's.
qn_status qn_range_splits_find(qn_range_splits *splits, const qn_batch *batch, int64_t first_row,
                               int32_t *destinations, qn_error *err);
void qn_range_splits_free(qn_range_splits *splits);
