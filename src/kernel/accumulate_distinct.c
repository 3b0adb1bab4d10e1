// SPDX-License-Identifier: Apache-2.0
// approx_count_distinct. Up to 128 different values a group keeps their 64-bit hashes, and the count is
// exact; beyond that it is a HyperLogLog of 4096 registers (Flajolet et al. 2007) with Ertl's estimator
// (2017, "New cardinality estimation algorithms for HyperLogLog sketches", algorithm 6), standard error 1.04
// / sqrt(4096) = 1.6 %. Which of the two depends on the set of values alone, so any order of updates and
// merges gives the same answer.
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/builder.h"
#include "kernel/accumulator_state.h"
#include "kernel/grow_array.h"
#include "kernel/hash_columns.h"
#include "kernel/sort_radix.h"
#include "kernel/word_pool.h"

enum {
  MAX_HASHES = 128,
  INDEX_BITS = 12,
  N_REGISTERS = 1 << INDEX_BITS,
  MAX_RANK = 64 - INDEX_BITS + 1,
  REGISTER_CLASS = INDEX_BITS - 3, // 4096 bytes as words
};

typedef struct {
  int64_t offset;   // in the pool; 0: no value yet
  int16_t n;        // hashes
  uint8_t class_of; // of the hash table; of REGISTER_CLASS: registers instead
} distinct_group;

typedef struct {
  qn_accumulator head;
  distinct_group *groups;
  int64_t capacity;
  qn_word_pool pool;
} distinct_accumulator;

static qn_status grow(qn_accumulator *accumulator, int64_t n_groups, qn_error *err) {
  distinct_accumulator *self = (distinct_accumulator *)accumulator;
  return qn_array_grow_zeroed((void **)&self->groups, &self->capacity, accumulator->n_groups, n_groups,
                              (int64_t)sizeof *self->groups, err);
}

static bool has_registers(const distinct_group *group) {
  return group->class_of == REGISTER_CLASS;
}

static void raise_register(uint8_t *registers, uint64_t hash) {
  const uint64_t rest = hash << INDEX_BITS;
  const int rank = rest == 0 ? MAX_RANK : __builtin_clzll(rest) + 1;
  uint8_t *to = &registers[hash >> (64 - INDEX_BITS)];
  *to = rank > *to ? (uint8_t)rank : *to;
}

// The place of a hash in a table of 2^class words, or the empty one where it belongs. 0 marks empty places.
static uint64_t *find_place(uint64_t *table, int class_of, uint64_t hash) {
  const uint64_t mask = (UINT64_C(1) << class_of) - 1;
  uint64_t at = hash & mask;
  while (table[at] != 0 && table[at] != hash) {
    at = (at + 1) & mask;
  }
  return &table[at];
}

// Moves the hashes of a group into a table of another size, or into registers.
static qn_status move_hashes(distinct_accumulator *self, distinct_group *group, int after, qn_error *err) {
  qn_status status = QN_OK;
  const int before = group->class_of;
  int64_t offset = 0;

  QN_TRY(qn_word_pool_take(&self->pool, after, &offset, err));
  uint64_t *to = self->pool.words + offset;
  for (int64_t i = 0; group->offset != 0 && i < INT64_C(1) << before; i++) {
    const uint64_t hash = self->pool.words[group->offset + i];
    if (hash != 0 && after == REGISTER_CLASS) {
      raise_register((uint8_t *)to, hash);
    } else if (hash != 0) {
      *find_place(to, after, hash) = hash;
    }
  }
  if (group->offset != 0) {
    qn_word_pool_give(&self->pool, before, group->offset);
  }
  group->offset = offset;
  group->class_of = (uint8_t)after;

done:
  return status;
}

static qn_status add_hash(distinct_accumulator *self, distinct_group *group, uint64_t hash, qn_error *err) {
  qn_status status = QN_OK;
  hash = hash == 0 ? 1 : hash;

  if (group->offset != 0 && !has_registers(group)) {
    if (*find_place(self->pool.words + group->offset, group->class_of, hash) == hash) {
      return QN_OK;
    }
  }
  if (!has_registers(group) && group->n >= MAX_HASHES) {
    QN_TRY(move_hashes(self, group, REGISTER_CLASS, err));
  } else if (!has_registers(group) && (group->offset == 0 || 4 * (group->n + 1) > 3 << group->class_of)) {
    QN_TRY(move_hashes(self, group, group->class_of + 1, err)); // tables are at most three quarters full
  }
  if (has_registers(group)) {
    raise_register((uint8_t *)(self->pool.words + group->offset), hash);
  } else {
    *find_place(self->pool.words + group->offset, group->class_of, hash) = hash;
    group->n++;
  }

done:
  return status;
}

static qn_status update(qn_accumulator *accumulator, const qn_update *block, qn_error *err) {
  distinct_accumulator *self = (distinct_accumulator *)accumulator;
  qn_status status = QN_OK;
  uint64_t hashes[QN_UPDATE_ROWS];
  // The block as a column of its own; nulls among its rows are hashed as what lies there, and not looked at.
  const qn_column *argument = block->argument;
  qn_column view = {.type = argument->type, .n_rows = block->n_block, .bytes = argument->bytes};
  const qn_column *key = &view;

  if (argument->offsets != NULL) {
    view.offsets = argument->offsets + block->first;
  } else {
    view.values = (const uint8_t *)argument->values + block->first * qn_type_width(argument->type);
  }
  qn_hash_columns(&key, 1, block->n_block, hashes);
  for (int64_t k = 0; k < block->n; k++) {
    const uint64_t hash = hashes[qn_update_row(block, k) - block->first];
    QN_TRY(add_hash(self, &self->groups[block->groups[k]], hash, err));
  }

done:
  return status;
}

static qn_status merge_registers(distinct_accumulator *self, distinct_group *group, const uint8_t *more,
                                 qn_error *err) {
  qn_status status = QN_OK;

  if (!has_registers(group)) {
    QN_TRY(move_hashes(self, group, REGISTER_CLASS, err));
  }
  uint8_t *registers = (uint8_t *)(self->pool.words + group->offset);
  for (int r = 0; r < N_REGISTERS; r++) {
    QN_REQUIRE(more[r] <= MAX_RANK, err, QN_ERR_FORMAT,
               "a state of approx_count_distinct has %d in register %d, at most %d is possible", more[r], r,
               MAX_RANK);
    registers[r] = more[r] > registers[r] ? more[r] : registers[r];
  }

done:
  return status;
}

static qn_status merge(qn_accumulator *accumulator, const qn_update *block, const qn_column *state,
                       qn_error *err) {
  distinct_accumulator *self = (distinct_accumulator *)accumulator;
  qn_status status = QN_OK;

  for (int64_t k = 0; k < block->n; k++) {
    const qn_text sketch = qn_column_text(&state[0], qn_update_row(block, k));
    distinct_group *group = &self->groups[block->groups[k]];
    if (sketch.size == N_REGISTERS) {
      QN_TRY(merge_registers(self, group, (const uint8_t *)sketch.data, err));
      continue;
    }
    QN_REQUIRE(sketch.size % 8 == 0 && sketch.size <= 8 * MAX_HASHES, err, QN_ERR_FORMAT,
               "a state of approx_count_distinct has %" PRId64 " bytes", sketch.size);
    for (int64_t at = 0; at < sketch.size; at += 8) {
      uint64_t hash;
      memcpy(&hash, sketch.data + at, sizeof hash);
      QN_TRY(add_hash(self, group, hash, err));
    }
  }

done:
  return status;
}

static qn_status append_state(const distinct_accumulator *self, const distinct_group *group,
                              qn_column_builder *builder, qn_error *err) {
  uint64_t hashes[MAX_HASHES];
  uint64_t spare[MAX_HASHES];
  int64_t n = 0;

  if (group->offset == 0) {
    return qn_column_builder_append_null(builder, err);
  }
  const uint64_t *words = self->pool.words + group->offset;
  if (has_registers(group)) {
    return qn_column_builder_append_text(builder, words, N_REGISTERS, err);
  }
  for (int64_t i = 0; i < INT64_C(1) << group->class_of; i++) {
    if (words[i] != 0) {
      hashes[n++] = words[i];
    }
  }
  qn_radix_sort_words(hashes, spare, n);
  return qn_column_builder_append_text(builder, hashes, 8 * n, err);
}

static qn_status state(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                       qn_error *err) {
  const distinct_accumulator *self = (const distinct_accumulator *)accumulator;
  qn_status status = QN_OK;
  qn_column_builder builder;
  int64_t size = 0;

  qn_column_builder_init(&builder, QN_BINARY);
  for (int64_t i = 0; i < n; i++) {
    const distinct_group *group = &self->groups[first + i];
    size += has_registers(group) ? N_REGISTERS : 8 * (int64_t)group->n;
  }
  QN_TRY(qn_check_text_bytes(size, err));
  for (int64_t i = 0; i < n; i++) {
    QN_TRY(append_state(self, &self->groups[first + i], &builder, err));
  }
  QN_TRY(qn_column_builder_finish(&builder, out, err));

done:
  qn_column_builder_release(&builder);
  return status;
}

static double sigma(double x) {
  double y = 1.0;
  double z = x;
  double before = 0.0;
  do {
    x *= x;
    before = z;
    z += x * y;
    y += y;
  } while (z != before);
  return z;
}

static double tau(double x) {
  double y = 1.0;
  double z = 1.0 - x;
  double before = 0.0;
  if (x == 0.0 || x == 1.0) {
    return 0.0;
  }
  do {
    x = sqrt(x);
    before = z;
    y *= 0.5;
    z -= (1.0 - x) * (1.0 - x) * y;
  } while (z != before);
  return z / 3.0;
}

// At least one register is not 0.
static double estimate(const uint8_t *registers) {
  int32_t counts[MAX_RANK + 1] = {0};
  const double m = N_REGISTERS;

  for (int r = 0; r < N_REGISTERS; r++) {
    counts[registers[r]]++;
  }
  double z = m * tau(1.0 - counts[MAX_RANK] / m);
  for (int rank = MAX_RANK - 1; rank >= 1; rank--) {
    z = 0.5 * (z + counts[rank]);
  }
  z += counts[0] == 0 ? 0.0 : m * sigma(counts[0] / m);
  return m * m / (2.0 * M_LN2 * z);
}

static qn_status result(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                        qn_error *err) {
  const distinct_accumulator *self = (const distinct_accumulator *)accumulator;
  qn_status status = QN_OK;
  void *values = NULL;

  QN_TRY(qn_column_fixed(QN_INT64, n, out, &values, err));
  for (int64_t i = 0; i < n; i++) {
    const distinct_group *group = &self->groups[first + i];
    int64_t count = group->n;
    if (has_registers(group)) {
      count = (int64_t)llround(estimate((const uint8_t *)(self->pool.words + group->offset)));
    }
    ((int64_t *)values)[i] = count;
  }

done:
  return status;
}

static int64_t n_bytes(const qn_accumulator *accumulator) {
  const distinct_accumulator *self = (const distinct_accumulator *)accumulator;
  return self->capacity * (int64_t)sizeof *self->groups + self->pool.capacity * (int64_t)sizeof(uint64_t);
}

static void clear(qn_accumulator *accumulator) {
  qn_word_pool_clear(&((distinct_accumulator *)accumulator)->pool);
}

static void release(qn_accumulator *accumulator) {
  distinct_accumulator *self = (distinct_accumulator *)accumulator;
  qn_memory_free(self->groups);
  qn_word_pool_release(&self->pool);
}

const qn_accumulator_ops qn_accumulate_distinct = {
    .size = sizeof(distinct_accumulator),
    .grow = grow,
    .update = update,
    .merge = merge,
    .state = state,
    .result = result,
    .n_bytes = n_bytes,
    .clear = clear,
    .release = release,
};
