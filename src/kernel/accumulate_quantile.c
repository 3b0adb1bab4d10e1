// SPDX-License-Identifier: Apache-2.0
// approx_quantile: a log-linear histogram per group, as HdrHistogram keeps, with a bound on the relative
// error as DDSketch has (Masson, Rim, Lee 2019). A bucket is the exponent and the first 7 bits of the
// mantissa of a number, read off its bits; the answer is the middle of the bucket that holds the value of
// rank ceil(fraction * n), at most 1/256 = 0.4 % off, and never outside what the group has seen. Counts per
// bucket just add up, so any order of updates and merges gives the same answer.
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "column/bitmap.h"
#include "column/builder.h"
#include "kernel/accumulator_state.h"
#include "kernel/grow_array.h"
#include "kernel/ordered_bits.h"
#include "kernel/sort_radix.h"
#include "kernel/word_pool.h"

// A table entry is one word, bucket << 44 | count; 0 is an empty place, and no bucket is 0. Buckets have the
// order of the numbers.
enum {
  MANTISSA_BITS = 7,
  DROPPED_BITS = 52 - MANTISSA_BITS,
  ZERO_BUCKET = 1 << 18,                   // of 0 and the tiniest positive numbers
  INFINITE = 0x7ff << MANTISSA_BITS,       // distance of infinity's bucket from ZERO_BUCKET
  NAN_BUCKET = ZERO_BUCKET + INFINITE + 1, // the last
  FIRST_BUCKET = ZERO_BUCKET - 1 - INFINITE,
  COUNT_BITS = 44,
};

static const uint64_t max_count = (UINT64_C(1) << COUNT_BITS) - 1;

typedef struct {
  int64_t offset; // of the table in the pool; 0: no value yet
  int32_t n;      // buckets in use
  int32_t class_of;
  int64_t least; // ordered words (ordered_bits.h)
  int64_t largest;
} quantile_group;

typedef struct {
  qn_accumulator head;
  quantile_group *groups;
  int64_t capacity;
  qn_word_pool pool;
} quantile_accumulator;

static uint32_t bucket_of(uint64_t bits) {
  const uint64_t magnitude = bits & (UINT64_MAX >> 1);
  if (magnitude > (uint64_t)INFINITE << DROPPED_BITS) {
    return NAN_BUCKET;
  }
  const uint32_t distance = (uint32_t)(magnitude >> DROPPED_BITS);
  return bits >> 63 != 0 ? ZERO_BUCKET - 1 - distance : ZERO_BUCKET + distance;
}

static double bucket_middle(uint32_t bucket) {
  const bool is_negative = bucket < ZERO_BUCKET;
  const uint64_t distance = is_negative ? ZERO_BUCKET - 1 - bucket : bucket - ZERO_BUCKET;
  uint64_t bits = distance << DROPPED_BITS;
  double middle;

  if (bucket == NAN_BUCKET) {
    return NAN;
  }
  bits |= distance > 0 && distance < INFINITE ? UINT64_C(1) << (DROPPED_BITS - 1) : 0;
  memcpy(&middle, &bits, sizeof middle);
  return is_negative ? -middle : middle;
}

static double word_to_float(int64_t word) {
  const uint64_t bits = qn_float64_from_ordered(word);
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static qn_status grow(qn_accumulator *accumulator, int64_t n_groups, qn_error *err) {
  quantile_accumulator *self = (quantile_accumulator *)accumulator;
  qn_status status = QN_OK;

  QN_TRY(
      qn_array_grow((void **)&self->groups, &self->capacity, n_groups, (int64_t)sizeof *self->groups, err));
  for (int64_t g = accumulator->n_groups; g < n_groups; g++) {
    self->groups[g] = (quantile_group){.least = INT64_MAX, .largest = INT64_MIN};
  }

done:
  return status;
}

// The place of a bucket in a table of 2^class words, or the empty one where it belongs.
static uint64_t *find_place(uint64_t *table, int class_of, uint32_t bucket) {
  const uint32_t mask = (UINT32_C(1) << class_of) - 1;
  uint32_t at = (bucket * UINT32_C(0x9e3779b1)) >> (32 - class_of);
  while (table[at] != 0 && table[at] >> COUNT_BITS != bucket) {
    at = (at + 1) & mask;
  }
  return &table[at];
}

static qn_status enlarge(quantile_accumulator *self, quantile_group *group, qn_error *err) {
  qn_status status = QN_OK;
  const int after = group->class_of + 1;
  int64_t offset = 0;

  QN_TRY(qn_word_pool_take(&self->pool, after, &offset, err));
  for (int64_t i = 0; group->offset != 0 && i < INT64_C(1) << group->class_of; i++) {
    const uint64_t entry = self->pool.words[group->offset + i];
    if (entry != 0) {
      *find_place(self->pool.words + offset, after, (uint32_t)(entry >> COUNT_BITS)) = entry;
    }
  }
  if (group->offset != 0) {
    qn_word_pool_give(&self->pool, group->class_of, group->offset);
  }
  group->offset = offset;
  group->class_of = after;

done:
  return status;
}

static qn_status add_count(quantile_accumulator *self, quantile_group *group, uint32_t bucket, uint64_t count,
                           qn_error *err) {
  qn_status status = QN_OK;
  uint64_t *place = NULL;

  if (group->offset != 0) {
    place = find_place(self->pool.words + group->offset, group->class_of, bucket);
  }
  if (place == NULL || *place == 0) {
    if (place == NULL || 4 * (int64_t)(group->n + 1) > INT64_C(3) << group->class_of) {
      QN_TRY(enlarge(self, group, err));
      place = find_place(self->pool.words + group->offset, group->class_of, bucket);
    }
    *place = (uint64_t)bucket << COUNT_BITS;
    group->n++;
  }
  QN_REQUIRE(count <= max_count - (*place & max_count), err, QN_ERR_VALUE,
             "approx_quantile takes at most %" PRIu64 " values of about the same size in a group", max_count);
  *place += count;

done:
  return status;
}

static void widen(quantile_group *group, int64_t least, int64_t largest) {
  group->least = least < group->least ? least : group->least;
  group->largest = largest > group->largest ? largest : group->largest;
}

static qn_status update(qn_accumulator *accumulator, const qn_update *block, qn_error *err) {
  quantile_accumulator *self = (quantile_accumulator *)accumulator;
  qn_status status = QN_OK;
  double scratch[QN_UPDATE_ROWS];
  const double *values = qn_update_load_floats(block, block->argument, scratch);

  for (int64_t k = 0; k < block->n; k++) {
    const uint64_t bits = qn_float64_bits(values[k]);
    const int64_t word = qn_float64_to_ordered(bits);
    quantile_group *group = &self->groups[block->groups[k]];
    QN_TRY(add_count(self, group, bucket_of(bits), 1, err));
    widen(group, word, word);
  }

done:
  return status;
}

// A state: least and largest as ordered words, then the entries, ascending.
static qn_status merge_sketch(quantile_accumulator *self, quantile_group *group, qn_text sketch,
                              qn_error *err) {
  qn_status status = QN_OK;
  int64_t limits[2];

  QN_REQUIRE(sketch.size % 8 == 0 && sketch.size >= 24, err, QN_ERR_FORMAT,
             "a state of approx_quantile has %" PRId64 " bytes", sketch.size);
  memcpy(limits, sketch.data, sizeof limits);
  for (int64_t at = (int64_t)sizeof limits; at < sketch.size; at += 8) {
    uint64_t entry;
    memcpy(&entry, sketch.data + at, sizeof entry);
    const uint32_t bucket = (uint32_t)(entry >> COUNT_BITS);
    QN_REQUIRE(bucket >= FIRST_BUCKET && bucket <= NAN_BUCKET && (entry & max_count) > 0, err, QN_ERR_FORMAT,
               "a state of approx_quantile has a bucket %" PRIu32 " that does not exist or is empty", bucket);
    QN_TRY(add_count(self, group, bucket, entry & max_count, err));
  }
  widen(group, limits[0], limits[1]);

done:
  return status;
}

static qn_status merge(qn_accumulator *accumulator, const qn_update *block, const qn_column *state,
                       qn_error *err) {
  quantile_accumulator *self = (quantile_accumulator *)accumulator;
  qn_status status = QN_OK;

  for (int64_t k = 0; k < block->n; k++) {
    const qn_text sketch = qn_column_text(&state[0], qn_update_row(block, k));
    QN_TRY(merge_sketch(self, &self->groups[block->groups[k]], sketch, err));
  }

done:
  return status;
}

// The entries of a group in order, in scratch; the next group's will overwrite them.
static qn_status sort_entries(const quantile_accumulator *self, const quantile_group *group,
                              qn_buffer *scratch, uint64_t **entries, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n = 0;

  QN_TRY(qn_buffer_reserve(scratch, 2 * (int64_t)group->n * 8, err));
  *entries = (uint64_t *)scratch->data;
  for (int64_t i = 0; group->offset != 0 && i < INT64_C(1) << group->class_of; i++) {
    const uint64_t entry = self->pool.words[group->offset + i];
    if (entry != 0) {
      (*entries)[n++] = entry;
    }
  }
  qn_radix_sort_words(*entries, *entries + n, n);

done:
  return status;
}

static qn_status append_state(const quantile_accumulator *self, const quantile_group *group,
                              qn_buffer *scratch, qn_buffer *text, qn_column_builder *builder,
                              qn_error *err) {
  qn_status status = QN_OK;
  uint64_t *entries = NULL;

  if (group->offset == 0) {
    return qn_column_builder_append_null(builder, err);
  }
  text->size = 0;
  QN_TRY(sort_entries(self, group, scratch, &entries, err));
  QN_TRY(qn_buffer_append(text, &group->least, 8, err));
  QN_TRY(qn_buffer_append(text, &group->largest, 8, err));
  QN_TRY(qn_buffer_append(text, entries, 8 * (int64_t)group->n, err));
  QN_TRY(qn_column_builder_append_text(builder, text->data, text->size, err));

done:
  return status;
}

static qn_status state(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                       qn_error *err) {
  const quantile_accumulator *self = (const quantile_accumulator *)accumulator;
  qn_status status = QN_OK;
  qn_column_builder builder;
  qn_buffer scratch = {0}, text = {0};
  int64_t size = 0;

  qn_column_builder_init(&builder, QN_BINARY);
  for (int64_t i = 0; i < n; i++) {
    size += 16 + 8 * (int64_t)self->groups[first + i].n;
  }
  QN_TRY(qn_check_text_bytes(size, err));
  for (int64_t i = 0; i < n; i++) {
    QN_TRY(append_state(self, &self->groups[first + i], &scratch, &text, &builder, err));
  }
  QN_TRY(qn_column_builder_finish(&builder, out, err));

done:
  qn_buffer_release(&text);
  qn_buffer_release(&scratch);
  qn_column_builder_release(&builder);
  return status;
}

// The value of rank ceil(fraction * n), at least 1, of a group with values.
static double find_quantile(const quantile_group *group, const uint64_t *entries, double fraction) {
  uint64_t total = 0;
  uint64_t below = 0;
  int32_t i = 0;

  for (int32_t k = 0; k < group->n; k++) {
    total += entries[k] & max_count;
  }
  const double wanted = ceil(fraction * (double)total);
  const uint64_t rank = wanted < 1.0 ? 1 : (uint64_t)wanted < total ? (uint64_t)wanted : total;
  while (i < group->n - 1 && below + (entries[i] & max_count) < rank) {
    below += entries[i] & max_count;
    i++;
  }
  // The first and the last value are known exactly, and so no middle lies beyond them.
  const double middle = bucket_middle((uint32_t)(entries[i] >> COUNT_BITS));
  const int64_t word = qn_float64_to_ordered(qn_float64_bits(middle));
  if (rank == 1 || word < group->least) {
    return word_to_float(group->least);
  }
  return rank == total || word > group->largest ? word_to_float(group->largest) : middle;
}

static qn_status result(const qn_accumulator *accumulator, int64_t first, int64_t n, qn_column *out,
                        qn_error *err) {
  const quantile_accumulator *self = (const quantile_accumulator *)accumulator;
  qn_status status = QN_OK;
  qn_buffer validity = {0}, scratch = {0};
  void *values = NULL;
  uint64_t *entries = NULL;

  QN_TRY(qn_result_begin(QN_FLOAT64, n, out, &values, &validity, err));
  for (int64_t i = 0; i < n; i++) {
    const quantile_group *group = &self->groups[first + i];
    ((double *)values)[i] = 0.0;
    if (group->offset != 0) {
      QN_TRY(sort_entries(self, group, &scratch, &entries, err));
      ((double *)values)[i] = find_quantile(group, entries, accumulator->parameter);
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
  const quantile_accumulator *self = (const quantile_accumulator *)accumulator;
  return self->capacity * (int64_t)sizeof *self->groups + self->pool.capacity * (int64_t)sizeof(uint64_t);
}

static void clear(qn_accumulator *accumulator) {
  qn_word_pool_clear(&((quantile_accumulator *)accumulator)->pool);
}

static void release(qn_accumulator *accumulator) {
  quantile_accumulator *self = (quantile_accumulator *)accumulator;
  qn_memory_free(self->groups);
  qn_word_pool_release(&self->pool);
}

const qn_accumulator_ops qn_accumulate_quantile = {
    .size = sizeof(quantile_accumulator),
    .grow = grow,
    .update = update,
    .merge = merge,
    .state = state,
    .result = result,
    .n_bytes = n_bytes,
    .clear = clear,
    .release = release,
};
