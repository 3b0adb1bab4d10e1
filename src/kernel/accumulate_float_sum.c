// SPDX-License-Identifier: Apache-2.0
// sum and avg of floating-point numbers, compensated: the rounding error of each addition is exact (Knuth's
// TwoSum) and summed beside the sum, so results carry an error of about 2^-53 once, whatever the number and
// order of rows; different numbers of ranks nearly always give the same bits.
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/bitmap.h"
#include "kernel/accumulator_state.h"
#include "kernel/grow_array.h"

enum { N_LANES = 8 };

// Empty: both are -0.0. An error term is never -0.0, so after the first value neither is `error`.
typedef struct {
  double sum;
  double error;
} float_sum;

typedef struct {
  qn_accumulator head;
  float_sum *sums;
  int64_t *counts; // avg only
  int64_t sum_capacity;
  int64_t count_capacity;
} float_sum_accumulator;

static inline void add(float_sum *to, double value) {
  const double sum = to->sum + value;
  const double part = sum - to->sum;
  to->error += (to->sum - (sum - part)) + (value - part);
  to->sum = sum;
}

static inline bool is_empty(const float_sum *sum) {
  return sum->error == 0.0 && signbit(sum->error);
}

static inline double total(const float_sum *sum) {
  return isfinite(sum->sum) ? sum->sum + sum->error : sum->sum;
}

static qn_status grow(qn_accumulator *accumulator, int64_t n_groups, qn_error *err) {
  float_sum_accumulator *self = (float_sum_accumulator *)accumulator;
  qn_status status = QN_OK;
  const int64_t before = accumulator->n_groups;

  QN_TRY(
      qn_array_grow((void **)&self->sums, &self->sum_capacity, n_groups, (int64_t)sizeof *self->sums, err));
  for (int64_t g = before; g < n_groups; g++) {
    self->sums[g] = (float_sum){.sum = -0.0, .error = -0.0};
  }
  if (accumulator->kind == QN_AGG_AVG) {
    QN_TRY(qn_array_grow_zeroed((void **)&self->counts, &self->count_capacity, before, n_groups,
                                (int64_t)sizeof *self->counts, err));
  }

done:
  return status;
}

// All into one sum: several at once, so that additions need not wait for each other.
static void add_block(float_sum *to, const double *values, int64_t n) {
  double sums[N_LANES] = {0};
  double errors[N_LANES] = {0};
  int64_t k = 0;

  for (; k + N_LANES <= n; k += N_LANES) {
    for (int lane = 0; lane < N_LANES; lane++) {
      const double value = values[k + lane];
      const double sum = sums[lane] + value;
      const double part = sum - sums[lane];
      errors[lane] += (sums[lane] - (sum - part)) + (value - part);
      sums[lane] = sum;
    }
  }
  for (int lane = 0; k > 0 && lane < N_LANES; lane++) {
    add(to, sums[lane]);
    to->error += errors[lane];
  }
  for (; k < n; k++) {
    add(to, values[k]);
  }
}

static qn_status update(qn_accumulator *accumulator, const qn_update *block, qn_error *err) {
  float_sum_accumulator *self = (float_sum_accumulator *)accumulator;
  double scratch[QN_UPDATE_ROWS];
  const double *values = qn_update_load_floats(block, block->argument, scratch);
  const bool is_large = accumulator->n_groups > QN_MANY_GROUPS;
  (void)err;

  if (accumulator->n_groups == 1) {
    add_block(&self->sums[0], values, block->n);
  } else {
    for (int64_t k = 0; k < block->n; k++) {
      if (is_large && k + QN_GROUPS_AHEAD < block->n) {
        __builtin_prefetch(self->sums + block->groups[k + QN_GROUPS_AHEAD], 1);
      }
      add(&self->sums[block->groups[k]], values[k]);
    }
  }
  if (accumulator->kind == QN_AGG_AVG) {
    qn_update_add_counts(block, self->counts, NULL, is_large);
  }
  return QN_OK;
}

static qn_status merge(qn_accumulator *accumulator, const qn_update *block, const qn_column *state,
                       qn_error *err) {
  float_sum_accumulator *self = (float_sum_accumulator *)accumulator;
  double sum_scratch[QN_UPDATE_ROWS];
  double error_scratch[QN_UPDATE_ROWS];
  int64_t count_scratch[QN_UPDATE_ROWS];
  const double *sums = qn_update_load_floats(block, &state[0], sum_scratch);
  const double *errors = qn_update_load_floats(block, &state[1], error_scratch);
  const bool is_large = accumulator->n_groups > QN_MANY_GROUPS;
  (void)err;

  for (int64_t k = 0; k < block->n; k++) {
    if (is_large && k + QN_GROUPS_AHEAD < block->n) {
      __builtin_prefetch(self->sums + block->groups[k + QN_GROUPS_AHEAD], 1);
    }
    float_sum *to = &self->sums[block->groups[k]];
    add(to, sums[k]);
    to->error += errors[k];
  }
  if (accumulator->kind == QN_AGG_AVG) {
    const int64_t *counts = qn_update_load_ints(block, &state[2], count_scratch);
    qn_update_add_counts(block, self->counts, counts, is_large);
  }
  return QN_OK;
}

static qn_status state(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                       qn_error *err) {
  const float_sum_accumulator *self = (const float_sum_accumulator *)accumulator;
  qn_status status = QN_OK;
  qn_buffer validity = {0};
  void *sums = NULL, *errors = NULL, *counts = NULL;

  QN_TRY(qn_result_begin(QN_FLOAT64, n, &out[0], &sums, &validity, err));
  QN_TRY(qn_column_fixed(QN_FLOAT64, n, &out[1], &errors, err));
  for (int64_t i = 0; i < n; i++) {
    const float_sum *sum = &self->sums[first + i];
    ((double *)sums)[i] = sum->sum;
    ((double *)errors)[i] = sum->error;
    if (!is_empty(sum)) {
      qn_bitmap_set(validity.data, i);
    }
  }
  QN_TRY(qn_column_set_validity_take(&out[0], &validity, err));
  if (accumulator->kind == QN_AGG_AVG) {
    QN_TRY(qn_column_fixed(QN_INT64, n, &out[2], &counts, err));
    for (int64_t i = 0; i < n; i++) {
      ((int64_t *)counts)[i] = self->counts[first + i];
    }
  }

done:
  qn_buffer_release(&validity);
  return status;
}

static qn_status result(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                        qn_error *err) {
  const float_sum_accumulator *self = (const float_sum_accumulator *)accumulator;
  qn_status status = QN_OK;
  const bool is_avg = accumulator->kind == QN_AGG_AVG;
  qn_buffer validity = {0};
  void *values = NULL;

  QN_TRY(qn_result_begin(QN_FLOAT64, n, out, &values, &validity, err));
  for (int64_t i = 0; i < n; i++) {
    const float_sum *sum = &self->sums[first + i];
    ((double *)values)[i] = 0.0;
    if (!is_empty(sum)) {
      ((double *)values)[i] = is_avg ? total(sum) / (double)self->counts[first + i] : total(sum);
      qn_bitmap_set(validity.data, i);
    }
  }
  QN_TRY(qn_column_set_validity_take(out, &validity, err));

done:
  qn_buffer_release(&validity);
  return status;
}

static int64_t n_bytes(const qn_accumulator *accumulator) {
  const float_sum_accumulator *self = (const float_sum_accumulator *)accumulator;
  return self->sum_capacity * (int64_t)sizeof *self->sums +
         self->count_capacity * (int64_t)sizeof *self->counts;
}

static void clear(qn_accumulator *accumulator) {
  (void)accumulator; // grow makes groups empty
}

static void release(qn_accumulator *accumulator) {
  float_sum_accumulator *self = (float_sum_accumulator *)accumulator;
  qn_memory_free(self->sums);
  qn_memory_free(self->counts);
}

const qn_accumulator_ops qn_accumulate_float_sum = {
    .size = sizeof(float_sum_accumulator),
    .grow = grow,
    .update = update,
    .merge = merge,
    .state = state,
    .result = result,
    .n_bytes = n_bytes,
    .clear = clear,
    .release = release,
};
