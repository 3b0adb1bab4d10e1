// SPDX-License-Identifier: Apache-2.0
// quantile_cont and median, exact: every value of a group is kept, 8 bytes each, in a chain of blocks that
// grow up to a page or two, so that a group of a thousand values wastes little and one of a million copies
// nothing. The answer depends on which values there are and on nothing else.
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/bitmap.h"
#include "kernel/accumulator_state.h"
#include "kernel/grow_array.h"
#include "kernel/ordered_bits.h"
#include "kernel/select_word.h"
#include "kernel/word_pool.h"

enum {
  FIRST_CLASS = 2, // blocks of 4 words to begin with, ...
  LAST_CLASS = 10  // ... 1,024 in the end
};

// A block's first word is offset << 8 | class of the block before it, which is full (0: there is none);
// values follow, as ordered words (ordered_bits.h).
typedef struct {
  int64_t block; // the last one's offset in the pool; 0: no value yet
  int64_t n;     // values
  int32_t used;  // words of the last block
  int32_t class_of;
} value_group;

typedef struct {
  qn_accumulator head;
  value_group *groups;
  int64_t capacity;
  qn_word_pool pool;
} values_accumulator;

static double word_to_float(int64_t word) {
  const uint64_t bits = qn_float64_from_ordered(word);
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static qn_status grow(qn_accumulator *accumulator, int64_t n_groups, qn_error *err) {
  values_accumulator *self = (values_accumulator *)accumulator;
  return qn_array_grow_zeroed((void **)&self->groups, &self->capacity, accumulator->n_groups, n_groups,
                              (int64_t)sizeof *self->groups, err);
}

static qn_status add_block(values_accumulator *self, value_group *group, qn_error *err) {
  qn_status status = QN_OK;
  int64_t offset = 0;
  const int class_of = group->block == 0              ? FIRST_CLASS
                       : group->class_of < LAST_CLASS ? group->class_of + 1
                                                      : LAST_CLASS;

  QN_TRY(qn_word_pool_take(&self->pool, class_of, &offset, err));
  self->pool.words[offset] = (uint64_t)group->block << 8 | (uint64_t)group->class_of;
  group->block = offset;
  group->class_of = class_of;
  group->used = 1;

done:
  return status;
}

static inline bool is_full(const value_group *group) {
  return group->block == 0 || group->used == 1 << group->class_of;
}

static qn_status update(qn_accumulator *accumulator, const qn_update *block, qn_error *err) {
  values_accumulator *self = (values_accumulator *)accumulator;
  qn_status status = QN_OK;
  double scratch[QN_UPDATE_ROWS];
  const double *values = qn_update_load_floats(block, block->argument, scratch);
  const bool is_large = self->pool.n_words > QN_MANY_GROUPS;

  for (int64_t k = 0; k < block->n; k++) {
    if (is_large && k + QN_GROUPS_AHEAD < block->n) {
      const value_group *later = &self->groups[block->groups[k + QN_GROUPS_AHEAD]];
      __builtin_prefetch(self->pool.words + later->block + later->used, 1);
    }
    value_group *group = &self->groups[block->groups[k]];
    if (is_full(group)) {
      QN_TRY(add_block(self, group, err));
    }
    self->pool.words[group->block + group->used++] =
        (uint64_t)qn_float64_to_ordered(qn_float64_bits(values[k]));
    group->n++;
  }

done:
  return status;
}

static qn_status merge_words(values_accumulator *self, value_group *group, qn_text words, qn_error *err) {
  qn_status status = QN_OK;

  QN_REQUIRE(words.size % 8 == 0 && words.size > 0, err, QN_ERR_FORMAT,
             "a state of quantile_cont has %" PRId64 " bytes", words.size);
  for (int64_t at = 0; at < words.size;) {
    if (is_full(group)) {
      QN_TRY(add_block(self, group, err));
    }
    const int64_t room = ((INT64_C(1) << group->class_of) - group->used) * 8;
    const int64_t size = words.size - at < room ? words.size - at : room;
    memcpy(self->pool.words + group->block + group->used, words.data + at, (size_t)size);
    group->used += (int32_t)(size / 8);
    group->n += size / 8;
    at += size;
  }

done:
  return status;
}

static qn_status merge(qn_accumulator *accumulator, const qn_update *block, const qn_column *state,
                       qn_error *err) {
  values_accumulator *self = (values_accumulator *)accumulator;
  qn_status status = QN_OK;

  for (int64_t k = 0; k < block->n; k++) {
    const qn_text words = qn_column_text(&state[0], qn_update_row(block, k));
    QN_TRY(merge_words(self, &self->groups[block->groups[k]], words, err));
  }

done:
  return status;
}

// The values of a group, the last ones first.
static void copy_values(const values_accumulator *self, const value_group *group, int64_t *to) {
  const uint64_t *words = self->pool.words;
  uint64_t block = (uint64_t)group->block;
  int64_t used = group->used;

  while (block != 0) {
    const uint64_t before = words[block];
    memcpy(to, words + block + 1, (size_t)(used - 1) * sizeof *to);
    to += used - 1;
    block = before >> 8;
    used = INT64_C(1) << (before & 0xff);
  }
}

static qn_status state(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                       qn_error *err) {
  const values_accumulator *self = (const values_accumulator *)accumulator;
  qn_status status = QN_OK;
  qn_buffer validity = {0}, offsets = {0}, bytes = {0};
  int64_t n_values = 0;

  for (int64_t i = 0; i < n; i++) {
    n_values += self->groups[first + i].n;
  }
  QN_TRY(qn_check_text_bytes(n_values * 8, err));
  QN_TRY(qn_buffer_clear_bits(&validity, n, err));
  QN_TRY(qn_buffer_reserve(&offsets, (n + 1) * (int64_t)sizeof(int32_t), err));
  QN_TRY(qn_buffer_reserve(&bytes, n_values * 8, err));
  offsets.size = (n + 1) * (int64_t)sizeof(int32_t);
  int32_t *ends = (int32_t *)offsets.data;
  ends[0] = 0;
  for (int64_t i = 0; i < n; i++) {
    const value_group *group = &self->groups[first + i];
    copy_values(self, group, (int64_t *)(bytes.data + bytes.size));
    bytes.size += group->n * 8;
    ends[i + 1] = (int32_t)bytes.size;
    if (group->n > 0) {
      qn_bitmap_set(validity.data, i);
    }
  }
  QN_TRY(qn_column_text_take(QN_BINARY, n, &validity, &offsets, &bytes, out, err));

done:
  qn_buffer_release(&bytes);
  qn_buffer_release(&offsets);
  qn_buffer_release(&validity);
  return status;
}

// Between the values around place fraction * (n - 1) of the sorted ones, by how near they are.
static double find_quantile(int64_t *words, int64_t n, double fraction) {
  const double place = fraction * (double)(n - 1);
  const double below = floor(place);
  const int64_t k = (int64_t)below;
  const int64_t low = qn_select_word(words, n, k);
  int64_t high = low;

  if (place > below) {
    high = INT64_MAX;
    for (int64_t i = k + 1; i < n; i++) {
      high = words[i] < high ? words[i] : high;
    }
  }
  const double from = word_to_float(low);
  return high == low ? from : from + (place - below) * (word_to_float(high) - from);
}

static qn_status result(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                        qn_error *err) {
  const values_accumulator *self = (const values_accumulator *)accumulator;
  qn_status status = QN_OK;
  qn_buffer validity = {0}, scratch = {0};
  void *values = NULL;

  QN_TRY(qn_result_begin(QN_FLOAT64, n, out, &values, &validity, err));
  for (int64_t i = 0; i < n; i++) {
    const value_group *group = &self->groups[first + i];
    ((double *)values)[i] = 0.0;
    if (group->n > 0) {
      QN_TRY(qn_buffer_reserve(&scratch, group->n * 8, err));
      copy_values(self, group, (int64_t *)scratch.data);
      ((double *)values)[i] = find_quantile((int64_t *)scratch.data, group->n, accumulator->parameter);
      qn_bitmap_set(validity.data, i);
    }
  }
  QN_TRY(qn_column_set_validity_take(out, &validity, err));

done:
  qn_buffer_release(&scratch);
  qn_buffer_release(&validity);
  return status;
}

static int64_t n_bytes(const qn_accumulator *accumulator) {
  const values_accumulator *self = (const values_accumulator *)accumulator;
  return self->capacity * (int64_t)sizeof *self->groups + self->pool.capacity * (int64_t)sizeof(uint64_t);
}

static void clear(qn_accumulator *accumulator) {
  qn_word_pool_clear(&((values_accumulator *)accumulator)->pool);
}

static void release(qn_accumulator *accumulator) {
  values_accumulator *self = (values_accumulator *)accumulator;
  qn_memory_free(self->groups);
  qn_word_pool_release(&self->pool);
}

const qn_accumulator_ops qn_accumulate_values = {
    .size = sizeof(values_accumulator),
    .grow = grow,
    .update = update,
    .merge = merge,
    .state = state,
    .result = result,
    .n_bytes = n_bytes,
    .clear = clear,
    .release = release,
};
