// SPDX-License-Identifier: Apache-2.0
// count(*) and count.
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "kernel/accumulator_state.h"
#include "kernel/grow_array.h"

typedef struct {
  qn_accumulator head;
  int64_t *counts;
  int64_t capacity;
} count_accumulator;

static qn_status grow(qn_accumulator *accumulator, int64_t n_groups, qn_error *err) {
  count_accumulator *self = (count_accumulator *)accumulator;
  return qn_array_grow_zeroed((void **)&self->counts, &self->capacity, accumulator->n_groups, n_groups,
                              (int64_t)sizeof *self->counts, err);
}

static qn_status update(qn_accumulator *accumulator, const qn_update *block, qn_error *err) {
  int64_t *counts = ((count_accumulator *)accumulator)->counts;
  (void)err;

  if (accumulator->n_groups == 1) {
    counts[0] += block->n;
    return QN_OK;
  }
  qn_update_add_counts(block, counts, NULL, accumulator->n_groups > QN_MANY_GROUPS);
  return QN_OK;
}

static qn_status merge(qn_accumulator *accumulator, const qn_update *block, const qn_column *state,
                       qn_error *err) {
  int64_t *counts = ((count_accumulator *)accumulator)->counts;
  int64_t scratch[QN_UPDATE_ROWS];
  const int64_t *more = qn_update_load_ints(block, &state[0], scratch);
  (void)err;

  qn_update_add_counts(block, counts, more, accumulator->n_groups > QN_MANY_GROUPS);
  return QN_OK;
}

static qn_status result(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                        qn_error *err) {
  const count_accumulator *self = (const count_accumulator *)accumulator;
  qn_status status = QN_OK;
  void *values = NULL;

  QN_TRY(qn_column_fixed(QN_INT64, n, out, &values, err));
  if (n > 0) {
    memcpy(values, self->counts + first, (size_t)n * sizeof *self->counts);
  }

done:
  return status;
}

static int64_t n_bytes(const qn_accumulator *accumulator) {
  return ((const count_accumulator *)accumulator)->capacity * (int64_t)sizeof(int64_t);
}

static void clear(qn_accumulator *accumulator) {
  (void)accumulator; // grow sets the counts to zero
}

static void release(qn_accumulator *accumulator) {
  qn_memory_free(((count_accumulator *)accumulator)->counts);
}

const qn_accumulator_ops qn_accumulate_count = {
    .size = sizeof(count_accumulator),
    .grow = grow,
    .update = update,
    .merge = merge,
    .state = result,
    .result = result,
    .n_bytes = n_bytes,
    .clear = clear,
    .release = release,
};
