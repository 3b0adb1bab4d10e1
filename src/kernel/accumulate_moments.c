// SPDX-License-Identifier: Apache-2.0
// Variances and standard deviations: count, mean and sum of squared distances from it, updated by Welford's
// method and merged by Chan, Golub and LeVeque's, which keep their digits where sums of squares lose them.
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/bitmap.h"
#include "kernel/accumulator_state.h"
#include "kernel/grow_array.h"

typedef struct {
  int64_t n;
  double mean;
  double m2;
} moments;

typedef struct {
  qn_accumulator head;
  moments *groups;
  int64_t capacity;
} moments_accumulator;

static qn_status grow(qn_accumulator *accumulator, int64_t n_groups, qn_error *err) {
  moments_accumulator *self = (moments_accumulator *)accumulator;
  return qn_array_grow_zeroed((void **)&self->groups, &self->capacity, accumulator->n_groups, n_groups,
                              (int64_t)sizeof *self->groups, err);
}

static qn_status update(qn_accumulator *accumulator, const qn_update *block, qn_error *err) {
  moments *groups = ((moments_accumulator *)accumulator)->groups;
  double scratch[QN_UPDATE_ROWS];
  const double *values = qn_update_load_floats(block, block->argument, scratch);
  (void)err;

  for (int64_t k = 0; k < block->n; k++) {
    moments *to = &groups[block->groups[k]];
    const double distance = values[k] - to->mean;
    to->n++;
    to->mean += distance / (double)to->n;
    to->m2 += distance * (values[k] - to->mean);
  }
  return QN_OK;
}

static void merge_moments(moments *to, moments more) {
  if (more.n <= 0) {
    return;
  }
  if (to->n == 0) {
    *to = more;
    return;
  }
  const double n = (double)to->n + (double)more.n;
  const double distance = more.mean - to->mean;
  to->mean += distance * ((double)more.n / n);
  to->m2 += more.m2 + distance * distance * ((double)to->n * ((double)more.n / n));
  to->n += more.n;
}

static qn_status merge(qn_accumulator *accumulator, const qn_update *block, const qn_column *state,
                       qn_error *err) {
  moments *groups = ((moments_accumulator *)accumulator)->groups;
  int64_t n_scratch[QN_UPDATE_ROWS];
  double mean_scratch[QN_UPDATE_ROWS];
  double m2_scratch[QN_UPDATE_ROWS];
  const int64_t *n = qn_update_load_ints(block, &state[0], n_scratch);
  const double *mean = qn_update_load_floats(block, &state[1], mean_scratch);
  const double *m2 = qn_update_load_floats(block, &state[2], m2_scratch);
  (void)err;

  for (int64_t k = 0; k < block->n; k++) {
    merge_moments(&groups[block->groups[k]], (moments){.n = n[k], .mean = mean[k], .m2 = m2[k]});
  }
  return QN_OK;
}

static qn_status state(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                       qn_error *err) {
  const moments *groups = ((const moments_accumulator *)accumulator)->groups;
  qn_status status = QN_OK;
  void *counts = NULL, *means = NULL, *m2 = NULL;

  QN_TRY(qn_column_fixed(QN_INT64, n, &out[0], &counts, err));
  QN_TRY(qn_column_fixed(QN_FLOAT64, n, &out[1], &means, err));
  QN_TRY(qn_column_fixed(QN_FLOAT64, n, &out[2], &m2, err));
  for (int64_t i = 0; i < n; i++) {
    ((int64_t *)counts)[i] = groups[first + i].n;
    ((double *)means)[i] = groups[first + i].mean;
    ((double *)m2)[i] = groups[first + i].m2;
  }

done:
  return status;
}

static qn_status result(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                        qn_error *err) {
  const moments *groups = ((const moments_accumulator *)accumulator)->groups;
  const qn_aggregate_kind kind = accumulator->kind;
  const int64_t n_lost = kind == QN_AGG_VAR_SAMP || kind == QN_AGG_STDDEV_SAMP ? 1 : 0; // degrees of freedom
  const bool is_root = kind == QN_AGG_STDDEV_SAMP || kind == QN_AGG_STDDEV_POP;
  qn_status status = QN_OK;
  qn_buffer validity = {0};
  void *values = NULL;

  QN_TRY(qn_result_begin(QN_FLOAT64, n, out, &values, &validity, err));
  for (int64_t i = 0; i < n; i++) {
    const int64_t divisor = groups[first + i].n - n_lost;
    const double variance = divisor > 0 ? groups[first + i].m2 / (double)divisor : 0.0;
    ((double *)values)[i] = is_root ? sqrt(variance) : variance;
    if (divisor > 0) {
      qn_bitmap_set(validity.data, i);
    }
  }
  QN_TRY(qn_column_set_validity_take(out, &validity, err));

done:
  qn_buffer_release(&validity);
  return status;
}

static int64_t n_bytes(const qn_accumulator *accumulator) {
  return ((const moments_accumulator *)accumulator)->capacity * (int64_t)sizeof(moments);
}

static void clear(qn_accumulator *accumulator) {
  (void)accumulator; // grow makes groups empty
}

static void release(qn_accumulator *accumulator) {
  qn_memory_free(((moments_accumulator *)accumulator)->groups);
}

const qn_accumulator_ops qn_accumulate_moments = {
    .size = sizeof(moments_accumulator),
    .grow = grow,
    .update = update,
    .merge = merge,
    .state = state,
    .result = result,
    .n_bytes = n_bytes,
    .clear = clear,
    .release = release,
};
