// SPDX-License-Identifier: Apache-2.0
// sum and avg of integers, in 128 bits: whether a sum leaves int64 is seen at the end only, so it does not
// depend on the order of rows or the number of ranks. Sums that stay in 64 bits take no more.
#include <inttypes.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/bitmap.h"
#include "kernel/accumulator_state.h"
#include "kernel/grow_array.h"

typedef unsigned __int128 wide;

// A sum is low + 2^64 high. Nearly always low is all there is, so high parts are not even allocated before
// one is not 0. A low part that would be `empty` moves into the high ones whole (see carry()).
typedef struct {
  qn_accumulator head;
  int64_t *lows;   // `empty`: no value yet
  wide *carries;   // what left the lows; NULL: all are 0
  int64_t *counts; // avg only
  int64_t low_capacity;
  int64_t carry_capacity;
  int64_t count_capacity;
} int_sum_accumulator;

static const int64_t empty = INT64_MIN;

static qn_status grow_carries(int_sum_accumulator *self, int64_t before, int64_t n_groups, qn_error *err) {
  return qn_array_grow_zeroed((void **)&self->carries, &self->carry_capacity, before, n_groups,
                              (int64_t)sizeof *self->carries, err);
}

static qn_status grow(qn_accumulator *accumulator, int64_t n_groups, qn_error *err) {
  int_sum_accumulator *self = (int_sum_accumulator *)accumulator;
  qn_status status = QN_OK;
  const int64_t before = accumulator->n_groups;

  QN_TRY(
      qn_array_grow((void **)&self->lows, &self->low_capacity, n_groups, (int64_t)sizeof *self->lows, err));
  for (int64_t g = before; g < n_groups; g++) {
    self->lows[g] = empty;
  }
  if (self->carries != NULL) {
    QN_TRY(grow_carries(self, before, n_groups, err));
  }
  if (accumulator->kind == QN_AGG_AVG) {
    QN_TRY(qn_array_grow_zeroed((void **)&self->counts, &self->count_capacity, before, n_groups,
                                (int64_t)sizeof *self->counts, err));
  }

done:
  return status;
}

static wide sum_of(const int_sum_accumulator *self, int64_t group) {
  const int64_t low = self->lows[group] == empty ? 0 : self->lows[group];
  return (wide)(__int128)low + (self->carries != NULL ? self->carries[group] : 0);
}

// Adds to a sum that its low part cannot take: all of it becomes carry.
static qn_status carry(int_sum_accumulator *self, int64_t group, wide value, qn_error *err) {
  qn_status status = QN_OK;
  if (self->carries == NULL) {
    QN_TRY(grow_carries(self, 0, self->head.n_groups, err));
  }
  self->carries[group] = sum_of(self, group) + value;
  self->lows[group] = 0;

done:
  return status;
}

// Whether the sum with `value` fits the low part; if so it is there.
static inline bool add_low(int64_t *low, int64_t value) {
  int64_t sum;
  const bool is_over = __builtin_add_overflow(*low == empty ? 0 : *low, value, &sum);
  if (__builtin_expect(is_over || sum == empty, 0)) {
    return false;
  }
  *low = sum;
  return true;
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

static qn_status add_wide(int_sum_accumulator *self, int64_t group, wide value, qn_error *err) {
  const int64_t low = (int64_t)value;
  const bool is_small = (wide)(__int128)low == value;
  return is_small && add_low(&self->lows[group], low) ? QN_OK : carry(self, group, value, err);
}

static qn_status update(qn_accumulator *accumulator, const qn_update *block, qn_error *err) {
  int_sum_accumulator *self = (int_sum_accumulator *)accumulator;
  qn_status status = QN_OK;
  int64_t scratch[QN_UPDATE_ROWS];
  const int64_t *values = qn_update_load_ints(block, block->argument, scratch);
  const bool is_avg = accumulator->kind == QN_AGG_AVG;
  const bool is_large = accumulator->n_groups > QN_MANY_GROUPS;
  int64_t *lows = self->lows;

  if (accumulator->n_groups == 1 && block->n > 0) {
    QN_TRY(add_wide(self, 0, sum_block(values, block->n), err));
    if (is_avg) {
      self->counts[0] += block->n;
    }
    goto done;
  }
  for (int64_t k = 0; k < block->n; k++) {
    if (is_large && k + QN_GROUPS_AHEAD < block->n) {
      __builtin_prefetch(lows + block->groups[k + QN_GROUPS_AHEAD], 1);
    }
    if (!add_low(&lows[block->groups[k]], values[k])) {
      QN_TRY(carry(self, block->groups[k], (wide)(__int128)values[k], err));
    }
  }
  if (is_avg) {
    qn_update_add_counts(block, self->counts, NULL, is_large);
  }

done:
  return status;
}

static qn_status merge(qn_accumulator *accumulator, const qn_update *block, const qn_column *state,
                       qn_error *err) {
  int_sum_accumulator *self = (int_sum_accumulator *)accumulator;
  qn_status status = QN_OK;
  int64_t low_scratch[QN_UPDATE_ROWS];
  int64_t high_scratch[QN_UPDATE_ROWS];
  const int64_t *low = qn_update_load_ints(block, &state[0], low_scratch);
  const int64_t *high = qn_update_load_ints(block, &state[1], high_scratch);
  const bool is_large = accumulator->n_groups > QN_MANY_GROUPS;

  for (int64_t k = 0; k < block->n; k++) {
    if (is_large && k + QN_GROUPS_AHEAD < block->n) {
      __builtin_prefetch(self->lows + block->groups[k + QN_GROUPS_AHEAD], 1);
    }
    QN_TRY(add_wide(self, block->groups[k], (wide)(uint64_t)high[k] << 64 | (uint64_t)low[k], err));
  }
  if (accumulator->kind == QN_AGG_AVG) {
    const int64_t *counts = qn_update_load_ints(block, &state[2], low_scratch);
    qn_update_add_counts(block, self->counts, counts, is_large);
  }

done:
  return status;
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
    const wide sum = sum_of(self, first + i);
    ((uint64_t *)low)[i] = (uint64_t)sum;
    ((uint64_t *)high)[i] = (uint64_t)(sum >> 64);
    if (self->lows[first + i] != empty) {
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
    const bool has_value = self->lows[first + i] != empty;
    const __int128 sum = (__int128)sum_of(self, first + i);
    if (is_avg) {
      ((double *)values)[i] = has_value ? (double)sum / (double)self->counts[first + i] : 0.0;
    } else {
      QN_REQUIRE(sum >= INT64_MIN && sum <= INT64_MAX, err, QN_ERR_VALUE,
                 "a sum of integers, about %.17g, does not fit int64; cast the argument to float64",
                 (double)sum);
      ((int64_t *)values)[i] = (int64_t)sum;
    }
    if (has_value) {
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
  return self->low_capacity * (int64_t)sizeof *self->lows +
         self->carry_capacity * (int64_t)sizeof *self->carries +
         self->count_capacity * (int64_t)sizeof *self->counts;
}

static void clear(qn_accumulator *accumulator) {
  (void)accumulator; // grow makes groups empty
}

static void release(qn_accumulator *accumulator) {
  int_sum_accumulator *self = (int_sum_accumulator *)accumulator;
  qn_memory_free(self->lows);
  qn_memory_free(self->carries);
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
