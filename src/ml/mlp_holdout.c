// SPDX-License-Identifier: Apache-2.0
// Rows to judge a network by while it is trained: chosen by their number and the seed, so that they are the
// same on any number of ranks.
#include <math.h>
#include "base/check.h"
#include "base/hash.h"
#include "ml/mlp_train.h"

static bool is_held_out(const qn_mlp_training *training, int64_t position) {
  const uint64_t row = (uint64_t)(training->fit->rows->first_row + position);
  const uint64_t hash = qn_hash_combine(qn_hash_mix(training->fit->how->seed ^ 0x686f6c64), row);
  return qn_hash_to_unit(hash) < training->options->holdout;
}

qn_status qn_mlp_keep_out(const qn_mlp_training *training, qn_mini_batches *batches, qn_error *err) {
  qn_status status = QN_OK;
  const int n_lanes = training->fit->rows->end_lane - training->fit->rows->first_lane;
  int64_t n_kept = 0;
  int64_t at = 0;

  for (int64_t step = 0; step < batches->n_steps; step++) {
    const int64_t kept_before = n_kept;
    batches->step_starts[step] = n_kept;
    for (int i = 0; i < n_lanes; i++) {
      int64_t *end = &batches->lane_ends[step * n_lanes + i];
      for (; at < *end; at++) {
        const int64_t position = batches->positions[at];
        batches->positions[n_kept] = position;
        n_kept += !is_held_out(training, position);
      }
      *end = n_kept;
    }
    batches->step_rows[step] = n_kept - kept_before;
  }
  batches->step_starts[batches->n_steps] = n_kept;
  QN_TRY(qn_comm_reduce_int64(training->fit->comm, QN_SUM, batches->step_rows, batches->n_steps, err));

done:
  return status;
}

// The losses of some rows, added to sum[0], and their number, to sum[1].
static void add_losses(qn_mlp_training *training, const int64_t *positions, int64_t n_rows, double *sum) {
  qn_mlp_gather(training, positions, n_rows);
  qn_mlp_forward(&training->net, &training->room, n_rows);
  sum[0] += qn_mlp_losses(training, positions, n_rows, 0);
  sum[1] += (double)n_rows;
}

// Those of a block, not more of them at a time than there is room for.
static void add_block(qn_mlp_training *training, const qn_row_block *block, double *sum) {
  enum { MOST = 256 };
  int64_t positions[MOST];
  const int64_t most = training->room.capacity < MOST ? training->room.capacity : MOST;
  int64_t n = 0;
  for (int64_t i = 0; i < block->n_rows; i++) {
    positions[n] = block->local_row + i;
    n += is_held_out(training, positions[n]);
    if (n == most) {
      add_losses(training, positions, n, sum);
      n = 0;
    }
  }
  if (n > 0) {
    add_losses(training, positions, n, sum);
  }
}

qn_status qn_mlp_holdout_loss(qn_mlp_training *training, double *loss, qn_error *err) {
  qn_status status = QN_OK;
  const qn_rows *rows = training->fit->rows;
  const double *total = NULL;
  qn_lane_sum *sum = NULL;

  QN_TRY(qn_lane_sum_new(training->fit->comm, rows, training->fit->how->exact, 2, &sum, err));
  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    add_block(training, &block, qn_lane_sum_at(sum, block.lane));
    QN_TRY(qn_comm_poll(training->fit->comm, err));
  }
  QN_TRY(qn_lane_sum_finish(sum, &total, err));
  QN_REQUIRE(total[1] > 0, err, QN_ERR_VALUE,
             "mlp: none of %lld rows is held out to stop early by; give more rows, a larger holdout or "
             "early_stopping 0",
             (long long)rows->n_total);
  *loss = total[0] / total[1];

done:
  qn_lane_sum_free(sum);
  return status;
}
