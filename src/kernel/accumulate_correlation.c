// SPDX-License-Identifier: Apache-2.0
// corr: count, means, sums of squared distances from them and of their products, updated by Welford's method
// and merged by Chan, Golub and LeVeque's, as the variances are.
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/bitmap.h"
#include "kernel/accumulator_state.h"
#include "kernel/grow_array.h"

typedef struct {
  int64_t n;
  double mean_x, mean_y;
  double m2_x, m2_y;
  double product; // sum of (x - mean_x) * (y - mean_y)
} correlation;

typedef struct {
  qn_accumulator head;
  correlation *groups;
  int64_t capacity;
} correlation_accumulator;

enum { N_FLOATS = 5 }; // the members behind n, which are the state columns behind the first

static qn_status grow(qn_accumulator *accumulator, int64_t n_groups, qn_error *err) {
  correlation_accumulator *self = (correlation_accumulator *)accumulator;
  return qn_array_grow_zeroed((void **)&self->groups, &self->capacity, accumulator->n_groups, n_groups,
                              (int64_t)sizeof *self->groups, err);
}

static qn_status update(qn_accumulator *accumulator, const qn_update *block, qn_error *err) {
  correlation *groups = ((correlation_accumulator *)accumulator)->groups;
  double scratch_x[QN_UPDATE_ROWS];
  double scratch_y[QN_UPDATE_ROWS];
  const double *x = qn_update_load_floats(block, block->argument, scratch_x);
  const double *y = qn_update_load_floats(block, block->second, scratch_y);
  const bool is_large = accumulator->n_groups > QN_MANY_GROUPS;
  (void)err;

  for (int64_t k = 0; k < block->n; k++) {
    if (is_large && k + QN_GROUPS_AHEAD < block->n) {
      __builtin_prefetch(groups + block->groups[k + QN_GROUPS_AHEAD], 1);
    }
    correlation *to = &groups[block->groups[k]];
    const double part = 1.0 / (double)++to->n;
    const double distance_x = x[k] - to->mean_x;
    const double distance_y = y[k] - to->mean_y;
    to->mean_x += distance_x * part;
    to->mean_y += distance_y * part;
    to->m2_x += distance_x * (x[k] - to->mean_x);
    to->m2_y += distance_y * (y[k] - to->mean_y);
    to->product += distance_x * (y[k] - to->mean_y);
  }
  return QN_OK;
}

static void merge_one(correlation *to, const correlation *more) {
  if (more->n <= 0) {
    return;
  }
  if (to->n == 0) {
    *to = *more;
    return;
  }
  const double part = (double)more->n / ((double)to->n + (double)more->n);
  const double weight = (double)to->n * part;
  const double distance_x = more->mean_x - to->mean_x;
  const double distance_y = more->mean_y - to->mean_y;
  to->mean_x += distance_x * part;
  to->mean_y += distance_y * part;
  to->m2_x += more->m2_x + distance_x * distance_x * weight;
  to->m2_y += more->m2_y + distance_y * distance_y * weight;
  to->product += more->product + distance_x * distance_y * weight;
  to->n += more->n;
}

static qn_status merge(qn_accumulator *accumulator, const qn_update *block, const qn_column *state,
                       qn_error *err) {
  correlation *groups = ((correlation_accumulator *)accumulator)->groups;
  (void)err;

  for (int64_t k = 0; k < block->n; k++) {
    const int64_t row = qn_update_row(block, k);
    const correlation more = {.n = ((const int64_t *)state[0].values)[row],
                              .mean_x = ((const double *)state[1].values)[row],
                              .mean_y = ((const double *)state[2].values)[row],
                              .m2_x = ((const double *)state[3].values)[row],
                              .m2_y = ((const double *)state[4].values)[row],
                              .product = ((const double *)state[5].values)[row]};
    merge_one(&groups[block->groups[k]], &more);
  }
  return QN_OK;
}

static qn_status state(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                       qn_error *err) {
  const correlation *groups = ((const correlation_accumulator *)accumulator)->groups + first;
  qn_status status = QN_OK;
  void *counts = NULL;
  void *floats[N_FLOATS] = {NULL};

  QN_TRY(qn_column_fixed(QN_INT64, n, &out[0], &counts, err));
  for (int c = 0; c < N_FLOATS; c++) {
    QN_TRY(qn_column_fixed(QN_FLOAT64, n, &out[1 + c], &floats[c], err));
  }
  for (int64_t i = 0; i < n; i++) {
    ((int64_t *)counts)[i] = groups[i].n;
    ((double *)floats[0])[i] = groups[i].mean_x;
    ((double *)floats[1])[i] = groups[i].mean_y;
    ((double *)floats[2])[i] = groups[i].m2_x;
    ((double *)floats[3])[i] = groups[i].m2_y;
    ((double *)floats[4])[i] = groups[i].product;
  }

done:
  return status;
}

// Null without two values that differ, on either side: there is no line to be near to.
static qn_status result(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                        qn_error *err) {
  const correlation *groups = ((const correlation_accumulator *)accumulator)->groups + first;
  qn_status status = QN_OK;
  qn_buffer validity = {0};
  void *values = NULL;

  QN_TRY(qn_result_begin(QN_FLOAT64, n, out, &values, &validity, err));
  for (int64_t i = 0; i < n; i++) {
    const double spread = sqrt(groups[i].m2_x) * sqrt(groups[i].m2_y);
    const double found = spread == 0.0 ? 0.0 : groups[i].product / spread;
    ((double *)values)[i] = found > 1.0 ? 1.0 : found < -1.0 ? -1.0 : found; // NaN stays
    if (spread != 0.0) {
      qn_bitmap_set(validity.data, i);
    }
  }
  QN_TRY(qn_column_set_validity_take(out, &validity, err));

done:
  qn_buffer_release(&validity);
  return status;
}

static int64_t n_bytes(const qn_accumulator *accumulator) {
  return ((const correlation_accumulator *)accumulator)->capacity * (int64_t)sizeof(correlation);
}

static void clear(qn_accumulator *accumulator) {
  (void)accumulator; // grow makes groups empty
}

static void release(qn_accumulator *accumulator) {
  qn_memory_free(((correlation_accumulator *)accumulator)->groups);
}

const qn_accumulator_ops qn_accumulate_correlation = {
    .size = sizeof(correlation_accumulator),
    .grow = grow,
    .update = update,
    .merge = merge,
    .state = state,
    .result = result,
    .n_bytes = n_bytes,
    .clear = clear,
    .release = release,
};
