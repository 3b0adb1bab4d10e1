// SPDX-License-Identifier: Apache-2.0
// The rows to train on, as numbers. They lie in `lanes`: equal runs of the rows in their global order, always
// as many of them (240 unless there are more ranks), each lane whole on one rank. In exact mode the blocks
// that are read end with their lanes, so that every block is the same on any number of ranks; else they go on
// over lanes. What is computed lane by lane, and added up lane by lane (lane_sum.h), thus does not depend on
// the number of ranks. In memory, or in a mapped scratch file where the budget is too small.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>
#include "base/mapped_room.h"
#include "comm/comm.h"

/// Some neighbouring rows of one lane. Borrowed until the next qn_rows_block().
typedef struct qn_row_block {
  int lane;          // in exact mode; else the first of this rank
  int64_t first_row; // its number among all rows of all ranks
  int64_t local_row; // its number among this rank's rows
  int64_t n_rows;
  int n_columns;
  const double *x;        // [n_rows, n_columns], row-major; NULL if sparse or float32
  const float *x32;       // the same for rows kept as float32
  const int64_t *starts;  // sparse: [n_rows + 1], where each row begins in columns and values
  const int32_t *columns; // ascending in each row
  const double *values;
  const double *y; // [n_rows] labels or class numbers 0, 1, ...; NULL without a label
  const double *w; // [n_rows] weights; NULL: all 1
} qn_row_block;

typedef struct qn_rows {
  int64_t n_total;   // of all ranks
  int64_t n_local;   // of this one
  int64_t first_row; // number of this rank's first
  int n_columns;
  int n_lanes, first_lane, end_lane; // this rank has lanes [first_lane, end_lane)
  bool is_sparse, is_float32, is_mapped;
  int64_t block_rows;  // rows of a block (the last of a lane may have fewer)
  int64_t n_blocks;    // of this rank
  double total_weight; // of all ranks; n_total without weights
  // This rank's rows, in order; x or x32 or the sparse three are set. Blocks point into them.
  const double *x;
  const float *x32;
  const int64_t *starts;
  const int32_t *columns;
  const double *values;
  const double *y, *w;
  struct qn_rows_memory *memory; // who owns it all
} qn_rows;

/// First row of a lane among all rows: lane * n_total / n_lanes.
int64_t qn_rows_lane_start(const qn_rows *rows, int lane);
/// Local. Block 0 <= i < n_blocks, in order of rows. Reading them in order is fastest where they are mapped.
void qn_rows_block(const qn_rows *rows, int64_t i, qn_row_block *out);
/// Local. The block as dense float64 in x, whatever it is kept as: `room` gets block_rows * n_columns values
/// if they must be converted (else it is not used, and block->x is what it was).
void qn_row_block_densify(qn_row_block *block, double *room);
void qn_rows_free(qn_rows *rows);
/// The folder for what must be kept of each row beside them and has no room in the budget; NULL: none.
const char *qn_rows_scratch(const qn_rows *rows);

/// How many lanes there are: `wanted` (0: as always), or the smallest multiple of it that is not less than
/// the ranks.
int qn_rows_lanes_for(int wanted, int n_ranks);
/// Rows from memory, for tests: every rank gives all the rows and keeps a copy of its own.
typedef struct qn_rows_source {
  int64_t n_total;
  int n_columns;
  const double *x; // [n_total, n_columns]
  const double *y; // [n_total] or NULL
  const double *w; // [n_total] or NULL
  int n_lanes;     // 0: as always
  bool is_exact;   // see qn_training
  bool is_float32;
} qn_rows_source;
qn_status qn_rows_from_memory(qn_comm *comm, const qn_rows_source *source, qn_rows **out, qn_error *err);
/// Which rows of n_total a rank has with that many lanes.
void qn_rows_share(int64_t n_total, int n_lanes, int n_ranks, int rank, int64_t *first, int64_t *n);

/// Mini-batches that do not depend on the number of ranks either: step s of an epoch takes from every lane
/// its share of rows in an order drawn from (seed, epoch, lane). Positions of this rank's rows (0 .. n_local)
/// for the steps of an epoch, step by step.
typedef struct qn_mini_batches {
  int64_t n_steps;
  int64_t *positions;   // [n_local]
  int64_t *step_starts; // [n_steps + 1] into positions
  int64_t *step_rows;   // [n_steps]: rows of the step on all ranks
  // Where a lane's rows end within a step, for sums lane by lane: [n_steps][n_own_lanes] into positions
  int64_t *lane_ends;
  qn_mapped_room room; // where positions lie
} qn_mini_batches;
qn_status qn_mini_batches_draw(const qn_rows *rows, int64_t batch_rows, uint64_t seed, int64_t epoch,
                               qn_mini_batches *out, qn_error *err);
void qn_mini_batches_release(qn_mini_batches *batches);
