// SPDX-License-Identifier: Apache-2.0
// Rows in lanes and blocks, and where their memory comes from.
#include "ml/rows.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/check.h"
#include "base/memory.h"
#include "ml/rows_memory.h"

enum {
  BLOCK_VALUES = 1 << 17, // 1 MiB of float64: with the results of a product it stays in the L2 cache
  MIN_BLOCK_ROWS = 64,
  MAX_BLOCK_ROWS = 4096,
  N_LANES = 240, // divides evenly among most small numbers of ranks
  PAGE_BYTES = 4096,
  HUGE_PAGE_BYTES = 2 << 20
};

typedef struct piece {
  void *data;
  int64_t n_bytes;
  bool is_mapped;
} piece;

enum { X, Y, W, STARTS, COLUMNS, VALUES, N_PIECES };

typedef struct qn_rows_memory {
  piece pieces[N_PIECES];
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

// A file in scratch that nobody else sees, with its bytes set aside at once: a full disk is an error here and
// not a signal later.
static qn_status map_file(const char *scratch, int64_t n_bytes, void **out, qn_error *err) {
  qn_status status = QN_OK;
  char path[4096];
  int fd = -1;

  snprintf(path, sizeof path, "%s/quern-rows-XXXXXX", scratch);
  fd = mkostemp(path, O_CLOEXEC);
  QN_REQUIRE(fd >= 0, err, QN_ERR_IO, "%s: cannot make a file for rows to train on: %s", scratch,
             strerror(errno));
  unlink(path);
  const int failed = posix_fallocate(fd, 0, n_bytes);
  QN_REQUIRE(failed == 0, err, QN_ERR_IO,
             "%s: no room for %lld bytes of rows to train on: %s; choose another folder by --scratch",
             scratch, (long long)n_bytes, strerror(failed));
  void *data = mmap(NULL, (size_t)n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  QN_REQUIRE(data != MAP_FAILED, err, QN_ERR_MEMORY, "cannot map %lld bytes of %s: %s", (long long)n_bytes,
             scratch, strerror(errno));
  qn_memory_count_spilled(n_bytes, 1);
  *out = data;

done:
  if (fd >= 0) {
    close(fd);
  }
  return status;
}

// Large pages where the kernel has them: rows are gone through from end to end, and with small ones addresses
// take as long as numbers.
static void ask_for_huge_pages(void *data, int64_t n_bytes) {
  const uintptr_t mask = ~(uintptr_t)(HUGE_PAGE_BYTES - 1);
  const uintptr_t from = ((uintptr_t)data + HUGE_PAGE_BYTES - 1) & mask;
  const uintptr_t to = ((uintptr_t)data + (uintptr_t)n_bytes) & mask;

  if (from < to) {
    madvise((char *)data + (from - (uintptr_t)data), to - from, MADV_HUGEPAGE);
  }
}

static qn_status take_piece(qn_rows_memory *memory, int which, int64_t n, int64_t width, qn_error *err) {
  qn_status status = QN_OK;
  piece *taken = &memory->pieces[which];
  int64_t n_bytes = 0;

  QN_TRY(qn_mul_size(n, width, &n_bytes, err));
  // What the fit itself needs must have room beside them.
  if (memory->scratch != NULL && n_bytes > 0 && qn_memory_is_tight(n_bytes + n_bytes / 4)) {
    QN_TRY(map_file(memory->scratch, n_bytes, &taken->data, err));
    taken->is_mapped = true;
  } else {
    taken->data = qn_memory_alloc(n_bytes);
    QN_REQUIRE(taken->data != NULL, err, QN_ERR_MEMORY, "no memory for %lld bytes of rows to train on",
               (long long)n_bytes);
    ask_for_huge_pages(taken->data, n_bytes);
  }
  taken->n_bytes = n_bytes;

done:
  return status;
}

static void free_pieces(qn_rows_memory *memory) {
  for (int i = 0; i < N_PIECES; i++) {
    piece *held = &memory->pieces[i];
    if (held->is_mapped) {
      munmap(held->data, (size_t)held->n_bytes);
    } else {
      qn_memory_free(held->data);
    }
    *held = (piece){0};
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

// Pages of mapped rows that were read need not stay in this process's memory.
static void let_go(const void *data, int64_t width, int64_t first, int64_t end) {
  const uintptr_t from = ((uintptr_t)data + (uintptr_t)(first * width)) & ~(uintptr_t)(PAGE_BYTES - 1);
  const uintptr_t to = ((uintptr_t)data + (uintptr_t)(end * width)) & ~(uintptr_t)(PAGE_BYTES - 1);
  if (from < to) {
    madvise((void *)from, to - from, MADV_DONTNEED);
  }
}

static void let_go_before(const qn_rows *rows, int64_t row) {
  if (rows->is_sparse) {
    let_go(rows->columns, sizeof *rows->columns, 0, rows->starts[row]);
    let_go(rows->values, sizeof *rows->values, 0, rows->starts[row]);
  } else {
    const int64_t width = rows->is_float32 ? sizeof(float) : sizeof(double);
    const void *data = rows->is_float32 ? (const void *)rows->x32 : (const void *)rows->x;
    let_go(data, width * rows->n_columns, 0, row);
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
