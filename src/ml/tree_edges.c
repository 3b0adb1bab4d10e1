// SPDX-License-Identifier: Apache-2.0
// Bins by quantiles of a sample (G. Ke et al., LightGBM, 2017). A row is in the sample by the hash of its
// number among all rows, so the sample is the same on any number of ranks. The columns are shared out: each
// rank sorts its own.
#include "ml/tree_edges.h"
#include <inttypes.h>
#include <math.h>
#include "base/check.h"
#include "base/hash.h"
#include "base/mapped_room.h"
#include "base/memory.h"
#include "kernel/ordered_bits.h"
#include "kernel/sort_radix.h"

enum {
  SAMPLE_ROWS = 100000,
  GATHER_BYTES = 64 << 20, // of values that are gathered at a time,
  GATHER_PART = 16,        // and this part of the budget at most
};

// Values of sampled rows of this rank, column by column.
typedef struct row_sample {
  int64_t n, n_all; // rows of this rank, of all
  double *values;   // [n_columns, n]
  qn_mapped_room room;
} row_sample;

static bool is_sampled(const qn_rows *rows, int64_t row) {
  if (rows->n_total <= SAMPLE_ROWS) {
    return true;
  }
  const double share = (double)SAMPLE_ROWS / (double)rows->n_total;
  return (double)(qn_hash_mix((uint64_t)row + 0x51ed270b2f1ca5b7u) >> 11) < share * 0x1p53;
}

static double without_infinities(double x) {
  return isinf(x) ? copysign(DBL_MAX, x) : x;
}

// Takes the sampled rows of a block, of which `at` precede.
static int64_t sample_block(const qn_rows *rows, const qn_row_block *block, row_sample *out, int64_t at) {
  for (int64_t i = 0; i < block->n_rows; i++) {
    if (is_sampled(rows, block->first_row + i)) {
      for (int j = 0; j < rows->n_columns; j++) {
        out->values[j * out->n + at] = without_infinities(block->x[i * rows->n_columns + j]);
      }
      at++;
    }
  }
  return at;
}

static qn_status sample_rows(qn_comm *comm, const qn_rows *rows, const char *scratch, row_sample *out,
                             qn_error *err) {
  qn_status status = QN_OK;
  double *room = NULL;
  int64_t at = 0;

  for (int64_t i = 0; i < rows->n_local; i++) {
    out->n += is_sampled(rows, rows->first_row + i);
  }
  out->n_all = out->n;
  QN_TRY(qn_comm_reduce_int64(comm, QN_SUM, &out->n_all, 1, err));
  QN_TRY(qn_mapped_room_take(scratch, out->n, (int64_t)rows->n_columns * 8, "a sample of rows", &out->room,
                             err));
  out->values = out->room.data;
  room = qn_memory_alloc(rows->block_rows * rows->n_columns * 8);
  QN_REQUIRE(room != NULL, err, QN_ERR_MEMORY, "no memory for a block of rows with %d columns",
             rows->n_columns);
  for (int64_t b = 0; b < rows->n_blocks; b++) {
    qn_row_block block;
    qn_rows_block(rows, b, &block);
    qn_row_block_densify(&block, room);
    at = sample_block(rows, &block, out, at);
  }
  qn_mapped_room_let_go(&out->room, 0, out->room.n_bytes);

done:
  qn_memory_free(room);
  return status;
}

// A number between two neighbours that only the lower one is not above.
static double edge_between(double lower, double upper) {
  const double middle = lower / 2 + upper / 2;
  return middle >= lower && middle < upper ? middle : lower;
}

// Different values and how often each comes.
static int64_t count_values(const double *values, int64_t i, int64_t n) {
  int64_t end = i + 1;
  while (end < n && values[end] == values[i]) {
    end++;
  }
  return end - i;
}

static int one_bin_a_value(const double *values, int64_t n, double *edges) {
  int n_bins = 0;
  for (int64_t i = 0; i < n; n_bins++) {
    i += count_values(values, i, n);
    if (i < n) {
      edges[n_bins] = edge_between(values[i - 1], values[i]);
    }
  }
  return n_bins;
}

// Values that come so often that they have a bin to themselves; and what is left for the others.
typedef struct bin_plan {
  int64_t often;
  int64_t rest_values;
  int rest_bins;
} bin_plan;

static bin_plan plan_bins(const double *values, int64_t n, int max_bins) {
  bin_plan plan = {.often = n / max_bins + 1, .rest_values = n, .rest_bins = max_bins};
  for (int64_t i = 0; i < n;) {
    const int64_t count = count_values(values, i, n);
    if (count >= plan.often) {
      plan.rest_values -= count;
      plan.rest_bins--;
    }
    i += count;
  }
  return plan;
}

static int bins_of_equal_size(const double *values, int64_t n, int max_bins, double *edges) {
  bin_plan plan = plan_bins(values, n, max_bins);
  int n_bins = 0;
  int64_t in_bin = 0;
  for (int64_t i = 0; i < n && n_bins < max_bins - 1;) {
    const int64_t count = count_values(values, i, n);
    const int64_t after = i + count;
    const int64_t next = after < n ? count_values(values, after, n) : 0;
    const double wanted = (double)plan.rest_values / (plan.rest_bins > 0 ? plan.rest_bins : 1);
    const bool is_often = count >= plan.often;
    in_bin += count;
    const bool is_full =
        is_often || (double)in_bin >= wanted || (next >= plan.often && (double)in_bin * 2 >= wanted);
    if (is_full && after < n) {
      edges[n_bins++] = edge_between(values[after - 1], values[after]);
      plan.rest_values -= is_often ? in_bin - count : in_bin;
      plan.rest_bins -= is_often ? 0 : 1;
      in_bin = 0;
    }
    i = after;
  }
  return n_bins + 1;
}

int qn_tree_edges_of_values(const double *values, int64_t n, int max_bins, double *edges) {
  int64_t n_values = 0;
  for (int64_t i = 0; i < n && n_values <= max_bins; n_values++) {
    i += count_values(values, i, n);
  }
  for (int i = 0; i < QN_TREE_BINS; i++) {
    edges[i] = (double)INFINITY;
  }
  if (n == 0) {
    return 1;
  }
  return n_values <= max_bins ? one_bin_a_value(values, n, edges)
                              : bins_of_equal_size(values, n, max_bins, edges);
}

// Sorts a column of the sample, whose parts of each rank lie `stride` columns apart, without NaN.
static int64_t sort_column(const qn_buffer *gathered, const int64_t *sizes, int n_ranks, int n_columns, int j,
                           uint64_t *words, uint64_t *spare) {
  const double *part = (const double *)(const void *)gathered->data;
  int64_t n = 0;
  for (int rank = 0; rank < n_ranks; rank++) {
    const int64_t n_rows = sizes[rank] / 8 / n_columns;
    for (int64_t i = 0; i < n_rows; i++) {
      const double x = part[j * n_rows + i];
      words[n] = (uint64_t)qn_float64_to_ordered(qn_float64_bits(x)) ^ (1ull << 63);
      n += !isnan(x);
    }
    part += sizes[rank] / 8;
  }
  qn_radix_sort_words(words, spare, n);
  double *values = (double *)(void *)spare;
  for (int64_t i = 0; i < n; i++) {
    const uint64_t bits = qn_float64_from_ordered((int64_t)(words[i] ^ (1ull << 63)));
    memcpy(&values[i], &bits, 8);
  }
  return n;
}

// Edges of this rank's columns among [first, first + n): each rank has every n_ranks-th.
static qn_status choose_some(qn_comm *comm, const row_sample *sample, int first, int n, int max_bins,
                             qn_tree_edges *out, qn_error *err) {
  qn_status status = QN_OK;
  const int n_ranks = qn_comm_size(comm);
  qn_buffer gathered = {0};
  int64_t *sizes = qn_memory_alloc((int64_t)n_ranks * 8);
  uint64_t *words = qn_memory_alloc(sample->n_all * 8);
  uint64_t *spare = qn_memory_alloc(sample->n_all * 8);

  QN_REQUIRE(sizes != NULL && words != NULL && spare != NULL, err, QN_ERR_MEMORY,
             "no memory to sort %" PRId64 " values", sample->n_all);
  QN_TRY(qn_comm_gather(comm, sample->values + first * sample->n, n * sample->n * 8, &gathered, sizes, err));
  for (int j = first; j < first + n; j++) {
    if (j % n_ranks == qn_comm_rank(comm)) {
      const int64_t n_values = sort_column(&gathered, sizes, n_ranks, n, j - first, words, spare);
      out->n_bins[j] = qn_tree_edges_of_values((const double *)(const void *)spare, n_values, max_bins,
                                               out->edges + (int64_t)j * QN_TREE_BINS);
    }
  }

done:
  qn_buffer_release(&gathered);
  qn_memory_free(sizes);
  qn_memory_free(words);
  qn_memory_free(spare);
  return status;
}

// Gives all ranks the edges of all columns.
static qn_status share_edges(qn_comm *comm, qn_tree_edges *edges, qn_error *err) {
  qn_status status = QN_OK;
  const int n_ranks = qn_comm_size(comm);
  enum { BYTES = QN_TREE_BINS * 8 };
  qn_buffer mine = {0};
  qn_buffer all = {0};
  int64_t *sizes = qn_memory_alloc((int64_t)n_ranks * 8);

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory for the sizes of %d ranks", n_ranks);
  for (int j = qn_comm_rank(comm); j < edges->n_columns; j += n_ranks) {
    const int64_t n_bins = edges->n_bins[j];
    QN_TRY(qn_buffer_append(&mine, &n_bins, 8, err));
    QN_TRY(qn_buffer_append(&mine, edges->edges + (int64_t)j * QN_TREE_BINS, BYTES, err));
  }
  QN_TRY(qn_comm_gather(comm, mine.data, mine.size, &all, sizes, err));
  const uint8_t *from = all.data;
  for (int rank = 0; rank < n_ranks; rank++) {
    for (int j = rank; j < edges->n_columns; j += n_ranks) {
      int64_t n_bins;
      memcpy(&n_bins, from, 8);
      edges->n_bins[j] = (int)n_bins;
      memcpy(edges->edges + (int64_t)j * QN_TREE_BINS, from + 8, BYTES);
      from += 8 + BYTES;
    }
  }

done:
  qn_buffer_release(&mine);
  qn_buffer_release(&all);
  qn_memory_free(sizes);
  return status;
}

// Columns that are gathered at a time, the same number on all ranks: as many as the least budget allows.
static qn_status agree_on_columns(qn_comm *comm, const qn_rows *rows, int64_t n_sampled, int *n,
                                  qn_error *err) {
  const int64_t part = qn_memory_budget() / GATHER_PART;
  int64_t fit = (part > 0 && part < GATHER_BYTES ? part : GATHER_BYTES) / (8 * (n_sampled + 1));
  const qn_status status = qn_comm_reduce_int64(comm, QN_MIN, &fit, 1, err);
  *n = fit < 1 ? 1 : fit > rows->n_columns ? rows->n_columns : (int)fit;
  return status;
}

qn_status qn_tree_edges_choose(qn_comm *comm, const qn_rows *rows, int max_bins, const char *scratch,
                               qn_tree_edges *out, qn_error *err) {
  qn_status status = QN_OK;
  row_sample sample = {0};
  int n_at_once = 1;
  qn_tree_edges edges = {.n_columns = rows->n_columns};

  edges.n_bins = qn_memory_alloc((int64_t)rows->n_columns * (int64_t)sizeof(int));
  edges.edges = qn_memory_alloc((int64_t)rows->n_columns * QN_TREE_BINS * 8);
  QN_REQUIRE(edges.n_bins != NULL && edges.edges != NULL, err, QN_ERR_MEMORY,
             "no memory for the bins of %d columns", rows->n_columns);
  QN_TRY(sample_rows(comm, rows, scratch, &sample, err));
  QN_TRY(agree_on_columns(comm, rows, sample.n_all, &n_at_once, err));
  for (int first = 0; first < rows->n_columns; first += n_at_once) {
    const int left = rows->n_columns - first;
    QN_TRY(choose_some(comm, &sample, first, left < n_at_once ? left : n_at_once, max_bins, &edges, err));
  }
  QN_TRY(share_edges(comm, &edges, err));
  *out = edges;
  edges = (qn_tree_edges){0};

done:
  qn_mapped_room_release(&sample.room);
  qn_tree_edges_release(&edges);
  return status;
}

void qn_tree_edges_release(qn_tree_edges *edges) {
  qn_memory_free(edges->n_bins);
  qn_memory_free(edges->edges);
  *edges = (qn_tree_edges){0};
}
