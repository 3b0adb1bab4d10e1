// SPDX-License-Identifier: Apache-2.0
// first of fixed-width types: the value that comes with the smallest order.
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/bitmap.h"
#include "kernel/accumulator_state.h"
#include "kernel/grow_array.h"

typedef struct {
  int64_t order;  // INT64_MAX: no value yet
  uint64_t value; // the value's bytes at the front
} first_value;

typedef struct {
  qn_accumulator head;
  first_value *groups;
  int64_t capacity;
} first_accumulator;

static qn_status grow(qn_accumulator *accumulator, int64_t n_groups, qn_error *err) {
  first_accumulator *self = (first_accumulator *)accumulator;
  qn_status status = QN_OK;

  QN_TRY(
      qn_array_grow((void **)&self->groups, &self->capacity, n_groups, (int64_t)sizeof *self->groups, err));
  for (int64_t g = accumulator->n_groups; g < n_groups; g++) {
    self->groups[g] = (first_value){.order = INT64_MAX};
  }

done:
  return status;
}

static void take_values(first_value *groups, const qn_update *block, const int64_t *order) {
  const uint8_t *values = block->argument->values;
  const size_t width = (size_t)qn_type_width(block->argument->type);

  for (int64_t k = 0; k < block->n; k++) {
    const int64_t row = qn_update_row(block, k);
    first_value *to = &groups[block->groups[k]];
    if (order[row] < to->order) {
      to->order = order[row];
      memcpy(&to->value, values + (size_t)row * width, width);
    }
  }
}

static qn_status update(qn_accumulator *accumulator, const qn_update *block, qn_error *err) {
  (void)err;
  take_values(((first_accumulator *)accumulator)->groups, block, block->order);
  return QN_OK;
}

static qn_status merge(qn_accumulator *accumulator, const qn_update *block, const qn_column *state,
                       qn_error *err) {
  (void)err;
  take_values(((first_accumulator *)accumulator)->groups, block, state[1].values);
  return QN_OK;
}

static qn_status result(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                        qn_error *err) {
  const first_accumulator *self = (const first_accumulator *)accumulator;
  const size_t width = (size_t)qn_type_width(accumulator->argument);
  qn_status status = QN_OK;
  qn_buffer validity = {0};
  void *values = NULL;

  QN_TRY(qn_result_begin(accumulator->argument, n, out, &values, &validity, err));
  for (int64_t i = 0; i < n; i++) {
    const first_value *from = &self->groups[first + i];
    memcpy((uint8_t *)values + (size_t)i * width, &from->value, width);
    if (from->order != INT64_MAX) {
      qn_bitmap_set(validity.data, i);
    }
  }
  QN_TRY(qn_column_set_validity_take(out, &validity, err));

done:
  qn_buffer_release(&validity);
  return status;
}

static qn_status state(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                       qn_error *err) {
  const first_accumulator *self = (const first_accumulator *)accumulator;
  qn_status status = QN_OK;
  void *orders = NULL;

  QN_TRY(result(accumulator, first, n, &out[0], err));
  QN_TRY(qn_column_fixed(QN_INT64, n, &out[1], &orders, err));
  for (int64_t i = 0; i < n; i++) {
    ((int64_t *)orders)[i] = self->groups[first + i].order;
  }

done:
  return status;
}

static int64_t n_bytes(const qn_accumulator *accumulator) {
  return ((const first_accumulator *)accumulator)->capacity * (int64_t)sizeof(first_value);
}

static void clear(qn_accumulator *accumulator) {
  (void)accumulator; // grow makes groups empty
}

static void release(qn_accumulator *accumulator) {
  qn_memory_free(((first_accumulator *)accumulator)->groups);
}

const qn_accumulator_ops qn_accumulate_first = {
    .size = sizeof(first_accumulator),
    .grow = grow,
    .update = update,
    .merge = merge,
    .state = state,
    .result = result,
    .n_bytes = n_bytes,
    .clear = clear,
    .release = release,
};
