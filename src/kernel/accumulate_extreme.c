// SPDX-License-Identifier: Apache-2.0
// min, max, bool_and, bool_or and any_value (the smallest, so that it does not depend on the order of rows)
// of fixed-width types. Every type becomes an ordered integer, and a maximum is the minimum of the inverted
// integers: one loop does all.
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/bitmap.h"
#include "kernel/accumulator_state.h"
#include "kernel/grow_array.h"
#include "kernel/ordered_bits.h"

typedef struct {
  qn_accumulator head;
  int64_t *least;       // INT64_MAX: no value yet, unless has_largest says otherwise
  uint8_t *has_largest; // the group has had INT64_MAX itself; NULL until that happens
  int64_t least_capacity;
  int64_t largest_capacity;
  int64_t n_marked; // groups that has_largest covers
} extreme_accumulator;

static int64_t inversion(const qn_accumulator *accumulator) {
  return accumulator->kind == QN_AGG_MAX || accumulator->kind == QN_AGG_BOOL_OR ? -1 : 0;
}

static bool is_float(qn_type type) {
  return type == QN_FLOAT32 || type == QN_FLOAT64;
}

// Unlike a sort key a smallest zero keeps its sign, so that the value comes out as it went in.
static int64_t float_to_word(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return qn_float64_to_ordered(value != value ? 0x7ff8000000000000u : bits);
}

static double word_to_float(int64_t word) {
  const uint64_t bits = qn_float64_from_ordered(word);
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static const int64_t *load_words(const qn_update *block, int64_t *scratch) {
  double floats[QN_UPDATE_ROWS];

  if (!is_float(block->argument->type)) {
    return qn_update_load_ints(block, block->argument, scratch);
  }
  const double *values = qn_update_load_floats(block, block->argument, floats);
  for (int64_t k = 0; k < block->n; k++) {
    scratch[k] = float_to_word(values[k]);
  }
  return scratch;
}

static qn_status grow(qn_accumulator *accumulator, int64_t n_groups, qn_error *err) {
  extreme_accumulator *self = (extreme_accumulator *)accumulator;
  qn_status status = QN_OK;

  QN_TRY(qn_array_grow((void **)&self->least, &self->least_capacity, n_groups, (int64_t)sizeof *self->least,
                       err));
  for (int64_t g = accumulator->n_groups; g < n_groups; g++) {
    self->least[g] = INT64_MAX;
  }

done:
  return status;
}

// Marks the groups that have INT64_MAX in this block.
static qn_status mark_largest(extreme_accumulator *self, const qn_update *block, const int64_t *words,
                              int64_t invert, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_groups = self->head.n_groups;

  if (n_groups > self->n_marked) {
    QN_TRY(qn_array_grow((void **)&self->has_largest, &self->largest_capacity, n_groups, 1, err));
    memset(self->has_largest + self->n_marked, 0, (size_t)(n_groups - self->n_marked));
    self->n_marked = n_groups;
  }
  for (int64_t k = 0; k < block->n; k++) {
    self->has_largest[block->groups[k]] |= (words[k] ^ invert) == INT64_MAX;
  }

done:
  return status;
}

static qn_status update(qn_accumulator *accumulator, const qn_update *block, qn_error *err) {
  extreme_accumulator *self = (extreme_accumulator *)accumulator;
  qn_status status = QN_OK;
  const int64_t invert = inversion(accumulator);
  int64_t scratch[QN_UPDATE_ROWS];
  const int64_t *words = load_words(block, scratch);
  int64_t *least = self->least;
  int64_t largest = INT64_MIN;

  if (accumulator->n_groups == 1) {
    int64_t only = least[0];
    for (int64_t k = 0; k < block->n; k++) {
      const int64_t word = words[k] ^ invert;
      only = word < only ? word : only;
      largest = word > largest ? word : largest;
    }
    least[0] = only;
  } else {
    const bool is_large = accumulator->n_groups > QN_MANY_GROUPS;
    for (int64_t k = 0; k < block->n; k++) {
      if (is_large && k + QN_GROUPS_AHEAD < block->n) {
        __builtin_prefetch(least + block->groups[k + QN_GROUPS_AHEAD], 1);
      }
      const int64_t word = words[k] ^ invert;
      int64_t *to = &least[block->groups[k]];
      *to = word < *to ? word : *to;
      largest = word > largest ? word : largest;
    }
  }
  if (largest == INT64_MAX) {
    QN_TRY(mark_largest(self, block, words, invert, err));
  }

done:
  return status;
}

static qn_status merge(qn_accumulator *accumulator, const qn_update *block, const qn_column *state,
                       qn_error *err) {
  (void)state; // its only column is the block's argument
  return update(accumulator, block, err);
}

static void store_word(qn_type type, int64_t word, void *values, int64_t i) {
  switch (type) {
  case QN_BOOL:
    ((uint8_t *)values)[i] = word != 0;
    break;
  case QN_INT32:
  case QN_DATE:
    ((int32_t *)values)[i] = (int32_t)word;
    break;
  case QN_FLOAT32:
    ((float *)values)[i] = (float)word_to_float(word);
    break;
  case QN_FLOAT64:
    ((double *)values)[i] = word_to_float(word);
    break;
  default:
    ((int64_t *)values)[i] = word;
  }
}

static qn_status result(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                        qn_error *err) {
  const extreme_accumulator *self = (const extreme_accumulator *)accumulator;
  const int64_t invert = inversion(accumulator);
  qn_status status = QN_OK;
  qn_buffer validity = {0};
  void *values = NULL;

  QN_TRY(qn_result_begin(accumulator->argument, n, out, &values, &validity, err));
  for (int64_t i = 0; i < n; i++) {
    const int64_t g = first + i;
    const bool has_value = self->least[g] != INT64_MAX || (g < self->n_marked && self->has_largest[g] != 0);
    store_word(accumulator->argument, has_value ? self->least[g] ^ invert : 0, values, i);
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
  const extreme_accumulator *self = (const extreme_accumulator *)accumulator;
  return self->least_capacity * (int64_t)sizeof *self->least + self->largest_capacity;
}

static void clear(qn_accumulator *accumulator) {
  ((extreme_accumulator *)accumulator)->n_marked = 0;
}

static void release(qn_accumulator *accumulator) {
  extreme_accumulator *self = (extreme_accumulator *)accumulator;
  qn_memory_free(self->least);
  qn_memory_free(self->has_largest);
}

const qn_accumulator_ops qn_accumulate_extreme = {
    .size = sizeof(extreme_accumulator),
    .grow = grow,
    .update = update,
    .merge = merge,
    .state = result,
    .result = result,
    .n_bytes = n_bytes,
    .clear = clear,
    .release = release,
};
