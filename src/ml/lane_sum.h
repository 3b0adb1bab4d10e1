// SPDX-License-Identifier: Apache-2.0
// Sums of vectors over the rows of all ranks. Each lane adds into the vector that qn_lane_sum_at() gives for
// it. In normal mode that is one vector a rank, and ranks are added with qn_comm_sum_float64(). In exact mode
// each lane has its own and they are added as the nodes of a fixed binary tree over the lanes, so the result
// has the same bits on any number of ranks; a rank keeps at most 2 log2(n_lanes) vectors.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "comm/comm.h"
#include "ml/rows.h"

typedef struct qn_lane_sum qn_lane_sum;

/// Local. Of vectors of n values.
qn_status qn_lane_sum_new(qn_comm *comm, const qn_rows *rows, bool is_exact, int64_t n, qn_lane_sum **out,
                          qn_error *err);
/// Local. Where this lane's terms are to be added (the vector is zero, or holds what was added before); asked
/// for lane by lane in ascending order: a lane that was left is not asked for again before the sum is
/// finished.
double *qn_lane_sum_at(qn_lane_sum *sum, int lane);
/// Collective, inside a run. *total [n], the same on every rank, is valid until the next qn_lane_sum_at(),
/// with which a new sum begins.
qn_status qn_lane_sum_finish(qn_lane_sum *sum, const double **total, qn_error *err);
void qn_lane_sum_free(qn_lane_sum *sum);
