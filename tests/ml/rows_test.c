// SPDX-License-Identifier: Apache-2.0
// Lanes, blocks and mini-batches, for ranks that are only imagined.
#include <string.h>
#include "base/memory.h"
#include "kit/kit.h"
#include "ml/rows.h"
#include "ml/rows_memory.h"

static qn_rows *new_rows(int64_t n_total, int n_columns, bool is_exact, int n_ranks, int rank) {
  const qn_rows_shape shape = {.n_total = n_total,
                               .n_lanes = qn_rows_lanes_for(0, n_ranks),
                               .n_columns = n_columns,
                               .is_exact = is_exact};
  qn_rows *rows = NULL;

  QN_CHECK_OK(qn_rows_new(&shape, n_ranks, rank, &rows, &kit_error));
  return rows;
}

static void ranks_share_all_rows(void) {
  const int64_t totals[] = {0, 1, 7, 239, 240, 241, 100003};

  for (int t = 0; t < 7; t++) {
    for (int n_ranks = 1; n_ranks <= 9; n_ranks++) {
      int64_t next = 0;
      for (int rank = 0; rank < n_ranks; rank++) {
        int64_t first = 0;
        int64_t n = 0;
        qn_rows_share(totals[t], 240, n_ranks, rank, &first, &n);
        QN_CHECK_INT(first, next);
        next = first + n;
      }
      QN_CHECK_INT(next, totals[t]);
    }
  }
}

static void more_ranks_than_lanes_get_more_lanes(void) {
  QN_CHECK_INT(qn_rows_lanes_for(0, 240), 240);
  QN_CHECK_INT(qn_rows_lanes_for(0, 241), 480);
  QN_CHECK_INT(qn_rows_lanes_for(30, 4), 30);
}

// The starts and ends of the blocks of all ranks, as bits of which rows begin one.
static void note_blocks(int n_ranks, int64_t n_total, uint8_t *begins) {
  int64_t next = 0;

  for (int rank = 0; rank < n_ranks; rank++) {
    qn_rows *rows = new_rows(n_total, 1000, true, n_ranks, rank);
    for (int64_t i = 0; i < rows->n_blocks; i++) {
      qn_row_block block;
      qn_rows_block(rows, i, &block);
      QN_CHECK_INT(block.first_row, next);
      QN_CHECK_INT(block.first_row, rows->first_row + block.local_row);
      QN_CHECK(block.n_rows > 0 && block.n_rows <= rows->block_rows);
      QN_CHECK(qn_rows_lane_start(rows, block.lane) <= block.first_row);
      QN_CHECK(qn_rows_lane_start(rows, block.lane + 1) >= block.first_row + block.n_rows);
      begins[block.first_row] = 1;
      next = block.first_row + block.n_rows;
    }
    qn_rows_free(rows);
  }
  QN_CHECK_INT(next, n_total);
}

static void exact_blocks_do_not_depend_on_ranks(void) {
  enum { N = 40001 };
  static uint8_t one[N];
  static uint8_t many[N];

  note_blocks(1, N, one);
  for (int n_ranks = 2; n_ranks <= 8; n_ranks += 3) {
    memset(many, 0, sizeof many);
    note_blocks(n_ranks, N, many);
    QN_CHECK(memcmp(one, many, N) == 0);
  }
}

static void blocks_cover_the_rows_of_a_rank(void) {
  qn_rows *rows = new_rows(100003, 10, false, 3, 1);
  int64_t next = rows->first_row;

  for (int64_t i = 0; i < rows->n_blocks; i++) {
    qn_row_block block;
    qn_rows_block(rows, i, &block);
    QN_CHECK_INT(block.first_row, next);
    QN_CHECK(block.x == rows->x + block.local_row * 10);
    next += block.n_rows;
  }
  QN_CHECK_INT(next, rows->first_row + rows->n_local);
  qn_rows_free(rows);
}

static void mapped_rows_keep_their_values(void) {
  const qn_rows_shape shape = {.n_total = 100000, .n_lanes = 240, .n_columns = 20, .scratch = "/tmp"};
  qn_rows *rows = NULL;

  qn_memory_set_budget(qn_memory_used() + (1 << 20));
  QN_CHECK_OK(qn_rows_new(&shape, 1, 0, &rows, &kit_error));
  qn_memory_set_budget(0);
  QN_CHECK(rows->is_mapped);
  for (int64_t i = 0; i < 2000000; i++) {
    qn_rows_write_x(rows)[i] = (double)i;
  }
  double sum = 0;
  for (int64_t b = 0; b < rows->n_blocks; b++) {
    qn_row_block block;
    qn_rows_block(rows, b, &block);
    for (int64_t i = 0; i < block.n_rows * 20; i++) {
      sum += block.x[i];
    }
  }
  QN_CHECK_FLOAT(sum, 1999999.0 * 1000000.0, 0);
  qn_rows_free(rows);
}

static void densify_spreads_sparse_rows(void) {
  const int64_t starts[] = {1, 3, 3};
  const int32_t columns[] = {9, 0, 2};
  const double values[] = {9, 1.5, -2};
  double room[6];
  qn_row_block block = {.n_rows = 2, .n_columns = 3, .starts = starts, .columns = columns, .values = values};

  qn_row_block_densify(&block, room);
  QN_CHECK_FLOAT(block.x[0], 1.5, 0);
  QN_CHECK_FLOAT(block.x[1], 0, 0);
  QN_CHECK_FLOAT(block.x[2], -2, 0);
  QN_CHECK_FLOAT(block.x[3] + block.x[4] + block.x[5], 0, 0);
}

// The sum over the rows of each step of (row + 1) * (row + 1), a fingerprint of what is in it.
static void fingerprint(int n_ranks, int64_t n_total, int64_t batch_rows, double *prints, int64_t *n_steps) {
  for (int rank = 0; rank < n_ranks; rank++) {
    qn_rows *rows = new_rows(n_total, 1, false, n_ranks, rank);
    qn_mini_batches batches = {0};
    QN_CHECK_OK(qn_mini_batches_draw(rows, batch_rows, 7, 3, &batches, &kit_error));
    for (int64_t s = 0; s < batches.n_steps; s++) {
      for (int64_t i = batches.step_starts[s]; i < batches.step_starts[s + 1]; i++) {
        const double row = (double)(rows->first_row + batches.positions[i] + 1);
        prints[s] += row * row;
      }
      if (n_ranks == 1) {
        QN_CHECK_INT(batches.step_rows[s], batches.step_starts[s + 1] - batches.step_starts[s]);
        QN_CHECK(batches.step_rows[s] <= batch_rows + 8 && batches.step_rows[s] >= batch_rows * 3 / 4);
      }
    }
    *n_steps = batches.n_steps;
    qn_mini_batches_release(&batches);
    qn_rows_free(rows);
  }
}

static void mini_batches_do_not_depend_on_ranks(void) {
  double one[200] = {0};
  double five[200] = {0};
  int64_t n_steps = 0;

  fingerprint(1, 20000, 256, one, &n_steps);
  QN_CHECK_INT(n_steps, 79);
  fingerprint(5, 20000, 256, five, &n_steps);
  double all = 0;
  for (int64_t s = 0; s < n_steps; s++) {
    QN_CHECK_FLOAT(one[s], five[s], 0);
    all += one[s];
  }
  QN_CHECK_FLOAT(all, 20000.0 * 20001.0 * 40001.0 / 6.0, 0);
}

int main(void) {
  KIT_RUN(ranks_share_all_rows);
  KIT_RUN(more_ranks_than_lanes_get_more_lanes);
  KIT_RUN(exact_blocks_do_not_depend_on_ranks);
  KIT_RUN(blocks_cover_the_rows_of_a_rank);
  KIT_RUN(mapped_rows_keep_their_values);
  KIT_RUN(densify_spreads_sparse_rows);
  KIT_RUN(mini_batches_do_not_depend_on_ranks);
  return kit_result();
}
