// SPDX-License-Identifier: Apache-2.0
// sum and avg of integers, in 128 bits: whether a sum leaves int64 is seen at the end only, so it does not
// depend on the order of rows or the number of ranks.
#include <inttypes.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/bitmap.h"
#include "kernel/accumulator_state.h"
#include "kernel/grow_array.h"

typedef unsigned __int128 wide;

typedef struct {
  qn_accumulator head;
  wide *sums;      // 0: no value yet; else the sum + bias, which is never 0
  int64_t *counts; // avg only
  int64_t sum_capacity;
  int64_t count_capacity;
} int_sum_accumulator;

static const wide bias = (wide)1 << 120;

static qn_status grow(qn_accumulator *accumulator, int64_t n_groups, qn_error *err) {
  int_sum_accumulator *self = (int_sum_accumulator *)accumulator;
  qn_status status = QN_OK;
  const int64_t before = accumulator->n_groups;
  const size_t n_new = (size_t)(n_groups - before);

  QN_TRY(
      qn_array_grow((void **)&self->sums, &self->sum_capacity, n_groups, (int64_t)sizeof *self->sums, err));
  memset(self->sums + before, 0, n_new * sizeof *self->sums);
  if (accumulator->kind == QN_AGG_AVG) {
    QN_TRY(qn_array_grow((void **)&self->counts, &self->count_capacity, n_groups,
                         (int64_t)sizeof *self->counts, err));
    memset(self->counts + before, 0, n_new * sizeof *self->counts);
  }

done:
  return status;
}

static inline void add(wide *sum, wide value) {
  *sum += value + (*sum == 0 ? bias : 0);
}

// The sum of a block, halves apart so that it runs in vectors: each value, with the sign bit turned, is 2^32
// high + low, neither negative.
static wide sum_block(const int64_t *values, int64_t n) {
  uint64_t low = 0;
  uint64_t high = 0;
  for (int64_t k = 0; k < n; k++) {
    const uint64_t turned = (uint64_t)values[k] ^ (UINT64_C(1) << 63);
    low += turned & 0xffffffffu;
    high += turned >> 32;
  }
  return ((wide)high << 32) + low - ((wide)(uint64_t)n << 63);
}

static qn_status update(qn_accumulator *accumulator, const qn_update *block, qn_error *err) {
  int_sum_accumulator *self = (int_sum_accumulator *)accumulator;
  int64_t scratch[QN_UPDATE_ROWS];
  const int64_t *values = qn_update_load_ints(block, block->argument, scratch);
  const bool is_avg = accumulator->kind == QN_AGG_AVG;
  (void)err;

  if (accumulator->n_groups == 1 && block->n > 0) {
    add(&self->sums[0], sum_block(values, block->n));
    if (is_avg) {
      self->counts[0] += block->n;
    }
    return QN_OK;
  }
  for (int64_t k = 0; k < block->n; k++) {
    add(&self->sums[block->groups[k]], (wide)(__int128)values[k]);
  }
  for (int64_t k = 0; is_avg && k < block->n; k++) {
    self->counts[block->groups[k]]++;
  }
  return QN_OK;
}

static qn_status merge(qn_accumulator *accumulator, const qn_update *block, const qn_column *state,
                       qn_error *err) {
  int_sum_accumulator *self = (int_sum_accumulator *)accumulator;
  int64_t low_scratch[QN_UPDATE_ROWS];
  int64_t high_scratch[QN_UPDATE_ROWS];
  const int64_t *low = qn_update_load_ints(block, &state[0], low_scratch);
  const int64_t *high = qn_update_load_ints(block, &state[1], high_scratch);
  (void)err;

  for (int64_t k = 0; k < block->n; k++) {
    add(&self->sums[block->groups[k]], (wide)(uint64_t)high[k] << 64 | (uint64_t)low[k]);
  }
  if (accumulator->kind == QN_AGG_AVG) {
    const int64_t *counts = qn_update_load_ints(block, &state[2], low_scratch);
    for (int64_t k = 0; k < block->n; k++) {
      self->counts[block->groups[k]] += counts[k];
    }
  }
  return QN_OK;
}

static qn_status state(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                       qn_error *err) {
  const int_sum_accumulator *self = (const int_sum_accumulator *)accumulator;
  qn_status status = QN_OK;
  qn_buffer validity = {0};
  void *low = NULL, *high = NULL, *counts = NULL;

  QN_TRY(qn_result_begin(QN_INT64, n, &out[0], &low, &validity, err));
  QN_TRY(qn_column_fixed(QN_INT64, n, &out[1], &high, err));
  for (int64_t i = 0; i < n; i++) {
    const wide kept = self->sums[first + i];
    const wide sum = kept != 0 ? kept - bias : 0;
    ((uint64_t *)low)[i] = (uint64_t)sum;
    ((uint64_t *)high)[i] = (uint64_t)(sum >> 64);
    if (kept != 0) {
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
  const int_sum_accumulator *self = (const int_sum_accumulator *)accumulator;
  qn_status status = QN_OK;
  const bool is_avg = accumulator->kind == QN_AGG_AVG;
  qn_buffer validity = {0};
  void *values = NULL;

  QN_TRY(qn_result_begin(is_avg ? QN_FLOAT64 : QN_INT64, n, out, &values, &validity, err));
  for (int64_t i = 0; i < n; i++) {
    const wide kept = self->sums[first + i];
    const __int128 sum = kept != 0 ? (__int128)(kept - bias) : 0;
    if (is_avg) {
      ((double *)values)[i] = kept != 0 ? (double)sum / (double)self->counts[first + i] : 0.0;
    } else {
      QN_REQUIRE(sum >= INT64_MIN && sum <= INT64_MAX, err, QN_ERR_VALUE,
                 "a sum of integers, about %.17g, does not fit int64; cast the argument to float64",
                 (double)sum);
      ((int64_t *)values)[i] = (int64_t)sum;
    }
    if (kept != 0) {
      qn_bitmap_set(validity.data, i);
    }
  }
  QN_TRY(qn_column_set_validity_take(out, &validity, err));

done:
  qn_buffer_release(&validity);
  return status;
}

static int64_t n_bytes(const qn_accumulator *accumulator) {
  const int_sum_accumulator *self = (const int_sum_accumulator *)accumulator;
  return self->sum_capacity * (int64_t)sizeof *self->sums +
         self->count_capacity * (int64_t)sizeof *self->counts;
}

static void clear(qn_accumulator *accumulator) {
  (void)accumulator; // grow makes groups empty
}

static void release(qn_accumulator *accumulator) {
  int_sum_accumulator *self = (int_sum_accumulator *)accumulator;
  qn_memory_free(self->sums);
  qn_memory_free(self->counts);
}

const qn_accumulator_ops qn_accumulate_int_sum = {
    .size = sizeof(int_sum_accumulator),
    .grow = grow,
    .update = update,
    .merge = merge,
    .state = state,
    .result = result,
    .n_bytes = n_bytes,
    .clear = clear,
    .release = release,
};
