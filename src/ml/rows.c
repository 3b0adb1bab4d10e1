// SPDX-License-Identifier: Apache-2.0
// Rows in lanes and blocks, and where their memory comes from.
#include "ml/rows.h"
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/mapped_room.h"
#include "base/memory.h"
#include "ml/rows_memory.h"

enum {
  BLOCK_VALUES = 1 << 17, // 1 MiB of float64: with the results of a product it stays in the L2 cache
  MIN_BLOCK_ROWS = 64,
  MAX_BLOCK_ROWS = 4096,
  N_LANES = 240 // divides evenly among most small numbers of ranks
};

enum { X, Y, W, STARTS, COLUMNS, VALUES, N_PIECES };

typedef struct qn_rows_memory {
  qn_mapped_room pieces[N_PIECES];
  const char *scratch; // NULL: never map
  bool is_exact;       // blocks end with their lane
} qn_rows_memory;

int64_t qn_rows_lane_start(const qn_rows *rows, int lane) {
  // No overflow: rows < 2^47 for up to 2^16 lanes.
  return rows->n_total * lane / rows->n_lanes;
}

static int first_lane_of(int n_lanes, int n_ranks, int rank) {
  return (int)((int64_t)n_lanes * rank / n_ranks);
}

void qn_rows_share(int64_t n_total, int n_lanes, int n_ranks, int rank, int64_t *first, int64_t *n) {
  const qn_rows rows = {.n_total = n_total, .n_lanes = n_lanes};

  *first = qn_rows_lane_start(&rows, first_lane_of(n_lanes, n_ranks, rank));
  *n = qn_rows_lane_start(&rows, first_lane_of(n_lanes, n_ranks, rank + 1)) - *first;
}

int qn_rows_lanes_for(int wanted, int n_ranks) {
  const int n = wanted > 0 ? wanted : N_LANES;
  return n * ((n_ranks + n - 1) / n);
}

// --- memory ----------------------------------------------------------------------------------------------

static qn_status take_piece(qn_rows_memory *memory, int which, int64_t n, int64_t width, qn_error *err) {
  return qn_mapped_room_take(memory->scratch, n, width, "rows to train on", &memory->pieces[which], err);
}

static void free_pieces(qn_rows_memory *memory) {
  for (int i = 0; i < N_PIECES; i++) {
    qn_mapped_room_release(&memory->pieces[i]);
  }
}

void qn_rows_free(qn_rows *rows) {
  if (rows != NULL) {
    if (rows->memory != NULL) {
      free_pieces(rows->memory);
    }
    free(rows->memory);
    free(rows);
  }
}

const char *qn_rows_scratch(const qn_rows *rows) {
  return rows->memory->scratch;
}

static int64_t n_blocks_of(int64_t n_rows, int64_t block_rows) {
  return (n_rows + block_rows - 1) / block_rows;
}

// Blocks of a run of rows are as equal as can be, so that none is a small rest.
static void cut(int64_t first, int64_t n_rows, int64_t block_rows, int64_t i, int64_t *start, int64_t *end) {
  const int64_t n_blocks = n_blocks_of(n_rows, block_rows);
  *start = first + n_rows * i / n_blocks;
  *end = first + n_rows * (i + 1) / n_blocks;
}

static void set_blocks(qn_rows *rows) {
  const int64_t most = BLOCK_VALUES / (rows->n_columns > 0 ? rows->n_columns : 1) / 8 * 8;

  rows->block_rows = most < MIN_BLOCK_ROWS ? MIN_BLOCK_ROWS : most > MAX_BLOCK_ROWS ? MAX_BLOCK_ROWS : most;
  if (!rows->memory->is_exact) {
    rows->n_blocks = n_blocks_of(rows->n_local, rows->block_rows);
    return;
  }
  for (int lane = rows->first_lane; lane < rows->end_lane; lane++) {
    rows->n_blocks +=
        n_blocks_of(qn_rows_lane_start(rows, lane + 1) - qn_rows_lane_start(rows, lane), rows->block_rows);
  }
}

qn_status qn_rows_new(const qn_rows_shape *shape, int n_ranks, int rank, qn_rows **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_rows *rows = calloc(1, sizeof *rows);
  qn_rows_memory *memory = calloc(1, sizeof *memory);
  int64_t n_values = 0;

  if (rows != NULL) {
    rows->memory = memory;
  }
  QN_REQUIRE(rows != NULL && memory != NULL, err, QN_ERR_MEMORY, "no memory for rows to train on");
  memory->scratch = shape->scratch;
  memory->is_exact = shape->is_exact;
  rows->n_total = shape->n_total;
  rows->n_columns = shape->n_columns;
  rows->n_lanes = shape->n_lanes;
  rows->first_lane = first_lane_of(shape->n_lanes, n_ranks, rank);
  rows->end_lane = first_lane_of(shape->n_lanes, n_ranks, rank + 1);
  rows->is_sparse = shape->is_sparse;
  rows->is_float32 = shape->is_float32 && !shape->is_sparse;
  rows->total_weight = (double)shape->n_total;
  qn_rows_share(shape->n_total, shape->n_lanes, n_ranks, rank, &rows->first_row, &rows->n_local);
  set_blocks(rows);
  if (shape->has_label) {
    QN_TRY(take_piece(memory, Y, rows->n_local, sizeof(double), err));
    rows->y = memory->pieces[Y].data;
  }
  if (shape->has_weight) {
    QN_TRY(take_piece(memory, W, rows->n_local, sizeof(double), err));
    rows->w = memory->pieces[W].data;
  }
  if (!shape->is_sparse) {
    QN_TRY(qn_mul_size(rows->n_local, shape->n_columns, &n_values, err));
    QN_TRY(take_piece(memory, X, n_values, rows->is_float32 ? sizeof(float) : sizeof(double), err));
    rows->x = rows->is_float32 ? NULL : memory->pieces[X].data;
    rows->x32 = rows->is_float32 ? memory->pieces[X].data : NULL;
    rows->is_mapped = memory->pieces[X].is_mapped;
  }
  *out = rows;
  rows = NULL;
  memory = NULL;

done:
  if (rows == NULL) {
    free(memory);
  }
  qn_rows_free(rows);
  return status;
}

qn_status qn_rows_new_sparse(qn_rows *rows, int64_t n_values, qn_error *err) {
  qn_status status = QN_OK;
  qn_rows_memory *memory = rows->memory;

  QN_TRY(take_piece(memory, STARTS, rows->n_local + 1, sizeof(int64_t), err));
  QN_TRY(take_piece(memory, COLUMNS, n_values, sizeof(int32_t), err));
  QN_TRY(take_piece(memory, VALUES, n_values, sizeof(double), err));
  rows->starts = memory->pieces[STARTS].data;
  rows->columns = memory->pieces[COLUMNS].data;
  rows->values = memory->pieces[VALUES].data;
  rows->is_mapped = memory->pieces[VALUES].is_mapped;

done:
  return status;
}

double *qn_rows_write_x(qn_rows *rows) {
  return rows->is_float32 ? NULL : rows->memory->pieces[X].data;
}
float *qn_rows_write_x32(qn_rows *rows) {
  return rows->is_float32 ? rows->memory->pieces[X].data : NULL;
}
double *qn_rows_write_y(qn_rows *rows) {
  return rows->memory->pieces[Y].data;
}
double *qn_rows_write_w(qn_rows *rows) {
  return rows->memory->pieces[W].data;
}
int64_t *qn_rows_write_starts(qn_rows *rows) {
  return rows->memory->pieces[STARTS].data;
}
int32_t *qn_rows_write_columns(qn_rows *rows) {
  return rows->memory->pieces[COLUMNS].data;
}
double *qn_rows_write_values(qn_rows *rows) {
  return rows->memory->pieces[VALUES].data;
}

static void copy_values(void *to, const double *from, int64_t n) {
  if (n > 0) {
    memcpy(to, from, (size_t)n * sizeof *from);
  }
}

qn_status qn_rows_from_memory(qn_comm *comm, const qn_rows_source *source, qn_rows **out, qn_error *err) {
  qn_status status = QN_OK;
  qn_rows *rows = NULL;
  const qn_rows_shape shape = {.n_total = source->n_total,
                               .n_lanes = qn_rows_lanes_for(source->n_lanes, qn_comm_size(comm)),
                               .n_columns = source->n_columns,
                               .has_label = source->y != NULL,
                               .has_weight = source->w != NULL,
                               .is_float32 = source->is_float32,
                               .is_exact = source->is_exact};

  QN_TRY(qn_rows_new(&shape, qn_comm_size(comm), qn_comm_rank(comm), &rows, err));
  const int64_t first = rows->first_row;
  const int64_t n_values = rows->n_local * rows->n_columns;
  const double *x = source->x + first * source->n_columns;
  if (rows->is_float32) {
    for (int64_t i = 0; i < n_values; i++) {
      qn_rows_write_x32(rows)[i] = (float)x[i];
    }
  } else {
    copy_values(qn_rows_write_x(rows), x, n_values);
  }
  if (source->y != NULL) {
    copy_values(qn_rows_write_y(rows), source->y + first, rows->n_local);
  }
  if (source->w != NULL) {
    copy_values(qn_rows_write_w(rows), source->w + first, rows->n_local);
    rows->total_weight = 0;
    for (int64_t i = 0; i < source->n_total; i++) {
      rows->total_weight += source->w[i];
    }
  }
  *out = rows;
  rows = NULL;

done:
  qn_rows_free(rows);
  return status;
}

// --- blocks ----------------------------------------------------------------------------------------------

// The lane of block i and which of its blocks it is.
static void find_in_lanes(const qn_rows *rows, int64_t i, qn_row_block *out, int64_t *start, int64_t *end) {
  int lane = rows->first_lane;

  for (;; lane++) {
    const int64_t first = qn_rows_lane_start(rows, lane);
    const int64_t n_rows = qn_rows_lane_start(rows, lane + 1) - first;
    const int64_t n_blocks = n_blocks_of(n_rows, rows->block_rows);
    if (i < n_blocks) {
      cut(first, n_rows, rows->block_rows, i, start, end);
      break;
    }
    i -= n_blocks;
  }
  out->lane = lane;
}

static void let_go_before(const qn_rows *rows, int64_t row) {
  const qn_mapped_room *pieces = rows->memory->pieces;
  if (rows->is_sparse) {
    qn_mapped_room_let_go(&pieces[COLUMNS], 0, rows->starts[row] * (int64_t)sizeof *rows->columns);
    qn_mapped_room_let_go(&pieces[VALUES], 0, rows->starts[row] * (int64_t)sizeof *rows->values);
  } else {
    const int64_t width = rows->is_float32 ? sizeof(float) : sizeof(double);
    qn_mapped_room_let_go(&pieces[X], 0, width * rows->n_columns * row);
  }
}

void qn_rows_block(const qn_rows *rows, int64_t i, qn_row_block *out) {
  int64_t start = 0;
  int64_t end = 0;

  *out = (qn_row_block){.n_columns = rows->n_columns, .lane = rows->first_lane};
  if (rows->memory->is_exact) {
    find_in_lanes(rows, i, out, &start, &end);
  } else {
    cut(rows->first_row, rows->n_local, rows->block_rows, i, &start, &end);
  }
  const int64_t local = start - rows->first_row;
  out->first_row = start;
  out->local_row = local;
  out->n_rows = end - start;
  if (rows->is_mapped && i > 0) {
    let_go_before(rows, local);
  }
  out->x = rows->x == NULL ? NULL : rows->x + local * rows->n_columns;
  out->x32 = rows->x32 == NULL ? NULL : rows->x32 + local * rows->n_columns;
  if (rows->is_sparse) {
    out->starts = rows->starts + local;
    out->columns = rows->columns;
    out->values = rows->values;
  }
  out->y = rows->y == NULL ? NULL : rows->y + local;
  out->w = rows->w == NULL ? NULL : rows->w + local;
}

void qn_row_block_densify(qn_row_block *block, double *room) {
  const int64_t n_values = block->n_rows * block->n_columns;

  if (block->x32 != NULL) {
    for (int64_t i = 0; i < n_values; i++) {
      room[i] = (double)block->x32[i];
    }
    block->x = room;
  } else if (block->starts != NULL) {
    memset(room, 0, (size_t)n_values * sizeof *room);
    for (int64_t row = 0; row < block->n_rows; row++) {
      for (int64_t p = block->starts[row]; p < block->starts[row + 1]; p++) {
        room[row * block->n_columns + block->columns[p]] = block->values[p];
      }
    }
    block->x = room;
  }
}
