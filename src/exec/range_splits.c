// SPDX-License-Identifier: Apache-2.0
// Bounds are points of the order (key, rank, row), so that even rows with equal keys have one; a row goes to
// the rank whose number is that of the bounds at or before it. Most rows are placed by their main keys alone.
#include "exec/range_splits.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"
#include "exec/range_sampler.h"
#include "kernel/short_text.h"

typedef struct {
  const uint8_t *key;
  int64_t size;
  int64_t row;
  int rank;
  double weight;   // rows that the sample stands for
  uint64_t prefix; // first eight bytes of the key; 0 if it is shorter
} range_point;

struct qn_range_splits {
  const qn_order_columns *order;
  qn_range_options options;
  int rank;
  int n;               // bounds
  range_point *points; // [n], ascending
  qn_buffer keys;      // of the points
  qn_buffer row_keys, row_offsets;
  int32_t *unsure; // rows whose main keys do not decide, [capacity], and their destinations
  int32_t *found;
  int64_t capacity;
};

typedef struct {
  range_point *points;
  int64_t n, capacity;
  int64_t n_rows; // of all ranks
} point_list;

static int compare_points(const void *a, const void *b) {
  const range_point *left = a;
  const range_point *right = b;
  const int order = qn_sort_key_compare(left->key, left->size, right->key, right->size);
  if (order != 0) {
    return order;
  }
  if (left->rank != right->rank) {
    return left->rank < right->rank ? -1 : 1;
  }
  return (left->row > right->row) - (left->row < right->row);
}

static qn_status add_points(point_list *list, const uint8_t *data, int64_t size, int rank, qn_error *err) {
  qn_status status = QN_OK;
  qn_range_sample *samples = NULL;
  const uint8_t *keys = NULL;
  int64_t n_rows = 0;
  int64_t n = 0;

  QN_TRY(qn_range_samples_read(data, size, rank, &n_rows, &samples, &n, &keys, err));
  if (list->n + n > list->capacity) {
    const int64_t capacity = 2 * (list->n + n);
    range_point *points = realloc(list->points, (size_t)capacity * sizeof *points);
    QN_REQUIRE(points != NULL, err, QN_ERR_MEMORY, "no memory for %" PRId64 " samples", capacity);
    list->points = points;
    list->capacity = capacity;
  }
  for (int64_t i = 0; i < n; i++) {
    list->points[list->n++] = (range_point){.key = keys + samples[i].offset,
                                            .size = samples[i].size,
                                            .row = samples[i].row,
                                            .rank = rank,
                                            .weight = (double)n_rows / (double)n};
  }
  list->n_rows += n_rows;

done:
  free(samples);
  return status;
}

// Gathers the samples of all ranks, in order; the points' keys lie in *all.
static qn_status gather_points(qn_comm *comm, const qn_range_sampler *sampler, qn_buffer *all,
                               point_list *list, qn_error *err) {
  qn_status status = QN_OK;
  const int n_ranks = qn_comm_size(comm);
  qn_buffer message = {0};
  int64_t *sizes = calloc((size_t)n_ranks, sizeof *sizes);
  int64_t at = 0;

  QN_REQUIRE(sizes != NULL, err, QN_ERR_MEMORY, "no memory for the samples of %d ranks", n_ranks);
  QN_TRY(qn_range_sampler_write(sampler, &message, err));
  QN_TRY(qn_comm_gather(comm, message.data, message.size, all, sizes, err));
  for (int r = 0; r < n_ranks; r++) {
    QN_TRY(add_points(list, all->data + at, sizes[r], r, err));
    at += sizes[r];
  }
  if (list->n > 1) {
    qsort(list->points, (size_t)list->n, sizeof *list->points, compare_points);
  }

done:
  free(sizes);
  qn_buffer_release(&message);
  return status;
}

// First eight bytes of a key as a number; 0 for a shorter one.
static uint64_t load_prefix(const uint8_t *key, int64_t size) {
  return size < (int64_t)sizeof(uint64_t) ? 0 : qn_load_big(key);
}

// Takes the points at equal distances as bounds, with copies of their keys.
static qn_status choose_bounds(qn_range_splits *splits, const point_list *list, int n_ranks, qn_error *err) {
  qn_status status = QN_OK;
  double before = 0;
  int64_t i = 0;

  if (list->n == 0 || list->n_rows < splits->options.few_rows) {
    goto done;
  }
  for (int bound = 1; bound < n_ranks; bound++) {
    const double target = (double)list->n_rows * bound / n_ranks;
    while (i + 1 < list->n && before + list->points[i].weight / 2 < target) {
      before += list->points[i++].weight;
    }
    splits->points[splits->n] = list->points[i];
    QN_TRY(qn_buffer_append(&splits->keys, list->points[i].key, list->points[i].size, err));
    splits->n++;
  }
  const uint8_t *key = splits->keys.data;
  for (int b = 0; b < splits->n; b++) {
    splits->points[b].key = key;
    splits->points[b].prefix = load_prefix(key, splits->points[b].size);
    key += splits->points[b].size;
  }

done:
  return status;
}

qn_status qn_range_splits_new(qn_comm *comm, const qn_range_sampler *sampler, const qn_range_options *options,
                              qn_range_splits **out, qn_error *err) {
  qn_status status = QN_OK;
  const int n_ranks = qn_comm_size(comm);
  point_list list = {0};
  qn_buffer all = {0};
  qn_range_splits *splits = calloc(1, sizeof *splits);

  QN_REQUIRE(splits != NULL, err, QN_ERR_MEMORY, "no memory for %d ranges", n_ranks);
  splits->order = sampler->order;
  splits->options = *options;
  splits->rank = qn_comm_rank(comm);
  splits->points = calloc((size_t)n_ranks, sizeof *splits->points);
  QN_REQUIRE(splits->points != NULL, err, QN_ERR_MEMORY, "no memory for %d ranges", n_ranks);
  QN_TRY(gather_points(comm, sampler, &all, &list, err));
  QN_TRY(choose_bounds(splits, &list, n_ranks, err));
  *out = splits;
  splits = NULL;

done:
  free(list.points);
  qn_buffer_release(&all);
  qn_range_splits_free(splits);
  return status;
}

void qn_range_splits_free(qn_range_splits *splits) {
  if (splits == NULL) {
    return;
  }
  free(splits->points);
  qn_memory_free(splits->unsure);
  qn_memory_free(splits->found);
  qn_buffer_release(&splits->keys);
  qn_buffer_release(&splits->row_keys);
  qn_buffer_release(&splits->row_offsets);
  free(splits);
}

enum { UNSURE = 2 };

// A row against a bound: below 0 before it, else at or behind it; UNSURE if the key is a part of the row's
// only and does not decide.
static int compare_to_bound(const qn_range_splits *splits, const range_point *bound, const uint8_t *key,
                            int64_t size, int64_t row, bool is_whole) {
  const int64_t shared = size < bound->size ? size : bound->size;
  const int order = shared == 0 ? 0 : memcmp(key, bound->key, (size_t)shared);
  if (order != 0) {
    return order < 0 ? -1 : 1; // memcmp may give any number, UNSURE too
  }
  if (size > bound->size) {
    return 1;
  }
  if (!is_whole) {
    return UNSURE;
  }
  if (size < bound->size) {
    return -1;
  }
  if (!splits->options.splits_ties) {
    return 0;
  }
  if (splits->rank != bound->rank) {
    return splits->rank < bound->rank ? -1 : 1;
  }
  return row < bound->row ? -1 : 0;
}

// The number of bounds at or before the row, or -1 if the key does not decide.
static int32_t find_range(const qn_range_splits *splits, const uint8_t *key, int64_t size, int64_t row,
                          bool is_whole) {
  const uint64_t prefix = load_prefix(key, size);
  int32_t low = 0;
  int32_t high = splits->n;
  while (low < high) {
    const int32_t middle = (low + high) / 2;
    const range_point *bound = &splits->points[middle];
    const bool is_unclear = prefix == 0 || bound->prefix == 0 || prefix == bound->prefix;
    const int order = is_unclear               ? compare_to_bound(splits, bound, key, size, row, is_whole)
                      : prefix < bound->prefix ? -1
                                               : 1;
    if (order == UNSURE) {
      return -1;
    }
    if (order < 0) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

// Encodes the first n_keys keys of all rows and finds their ranges. rows: the numbers of the batch's rows, or
// NULL if they are numbered from first_row.
static qn_status find_by_keys(qn_range_splits *splits, const qn_batch *batch, int n_keys, int64_t first_row,
                              const int32_t *rows, int32_t *destinations, qn_error *err) {
  qn_status status = QN_OK;
  const qn_order_columns *order = splits->order;
  const bool is_whole = n_keys == order->n;

  splits->row_keys.size = 0;
  splits->row_offsets.size = 0;
  QN_TRY(qn_sort_keys_encode(qn_order_columns_of(order, batch), order->orders, n_keys, batch->n_rows,
                             &splits->row_keys, &splits->row_offsets, err));
  const uint8_t *keys = splits->row_keys.data;
  const int64_t *offsets = (const int64_t *)(const void *)splits->row_offsets.data;
  for (int64_t i = 0; i < batch->n_rows; i++) {
    const int64_t row = first_row + (rows == NULL ? i : rows[i]);
    destinations[i] = find_range(splits, keys + offsets[i], offsets[i + 1] - offsets[i], row, is_whole);
  }

done:
  return status;
}

static qn_status make_room(qn_range_splits *splits, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;

  if (n_rows <= splits->capacity) {
    goto done;
  }
  splits->capacity = 0;
  qn_memory_free(splits->unsure);
  qn_memory_free(splits->found);
  splits->unsure = qn_memory_alloc(n_rows * (int64_t)sizeof *splits->unsure);
  splits->found = qn_memory_alloc(n_rows * (int64_t)sizeof *splits->found);
  QN_REQUIRE(splits->unsure != NULL && splits->found != NULL, err, QN_ERR_MEMORY,
             "no memory to split %" PRId64 " rows", n_rows);
  splits->capacity = n_rows;

done:
  return status;
}

qn_status qn_range_splits_find(qn_range_splits *splits, const qn_batch *batch, int64_t first_row,
                               int32_t *destinations, qn_error *err) {
  qn_status status = QN_OK;
  qn_batch *rows = NULL;
  int64_t n = 0;

  if (splits->n == 0) {
    memset(destinations, 0, (size_t)batch->n_rows * sizeof *destinations);
    goto done;
  }
  QN_TRY(find_by_keys(splits, batch, splits->order->n_main, first_row, NULL, destinations, err));
  QN_TRY(make_room(splits, batch->n_rows, err));
  for (int64_t i = 0; i < batch->n_rows; i++) {
    splits->unsure[n] = (int32_t)i;
    n += destinations[i] < 0;
  }
  if (n > 0) {
    QN_TRY(qn_batch_gather(batch, splits->unsure, n, &rows, err));
    QN_TRY(find_by_keys(splits, rows, splits->order->n, first_row, splits->unsure, splits->found, err));
    for (int64_t i = 0; i < n; i++) {
      destinations[splits->unsure[i]] = splits->found[i];
    }
  }

done:
  qn_batch_free(rows);
  return status;
}
