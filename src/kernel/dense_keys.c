// SPDX-License-Identifier: Apache-2.0
// Two loops a type, without branches on values, so that the compiler makes vectors of them.
#include "kernel/dense_keys.h"
#include "column/bitmap.h"

typedef struct key_range {
  int64_t lowest, highest;
} key_range;

static key_range range_of_int32(const int32_t *values, int64_t n) {
  int32_t lowest = INT32_MAX, highest = INT32_MIN;
  for (int64_t i = 0; i < n; i++) {
    lowest = values[i] < lowest ? values[i] : lowest;
    highest = values[i] > highest ? values[i] : highest;
  }
  return (key_range){.lowest = lowest, .highest = highest};
}

static key_range range_of_int64(const int64_t *values, int64_t n) {
  key_range range = {.lowest = INT64_MAX, .highest = INT64_MIN};
  for (int64_t i = 0; i < n; i++) {
    range.lowest = values[i] < range.lowest ? values[i] : range.lowest;
    range.highest = values[i] > range.highest ? values[i] : range.highest;
  }
  return range;
}

static bool is_short(const qn_column *key) {
  return key->type == QN_INT32 || key->type == QN_DATE;
}

static bool has_nulls(const qn_column *key) {
  return key->validity != NULL && key->n_nulls != 0;
}

static key_range range_of_valid(const qn_column *key) {
  key_range range = {.lowest = INT64_MAX, .highest = INT64_MIN};
  for (int64_t i = 0; i < key->n_rows; i++) {
    if (qn_bitmap_get(key->validity, i)) {
      const int64_t value =
          is_short(key) ? ((const int32_t *)key->values)[i] : ((const int64_t *)key->values)[i];
      range.lowest = value < range.lowest ? value : range.lowest;
      range.highest = value > range.highest ? value : range.highest;
    }
  }
  return range;
}

qn_dense_keys qn_dense_keys_find_range(const qn_column *key, int64_t most_groups) {
  const bool is_integer = is_short(key) || key->type == QN_INT64 || key->type == QN_TIMESTAMP;
  if (!is_integer || key->n_rows == key->n_nulls) {
    return (qn_dense_keys){0};
  }
  const key_range range = has_nulls(key)  ? range_of_valid(key)
                          : is_short(key) ? range_of_int32(key->values, key->n_rows)
                                          : range_of_int64(key->values, key->n_rows);
  const uint64_t distance = (uint64_t)range.highest - (uint64_t)range.lowest;
  return distance < (uint64_t)most_groups
             ? (qn_dense_keys){.lowest = range.lowest, .n_groups = (int64_t)distance + 1}
             : (qn_dense_keys){0};
}

static void groups_of_int32(const int32_t *values, int64_t n, int64_t lowest, int64_t n_groups,
                            int32_t *restrict groups) {
  for (int64_t i = 0; i < n; i++) {
    const uint64_t group = (uint64_t)values[i] - (uint64_t)lowest;
    groups[i] = group < (uint64_t)n_groups ? (int32_t)group : -1;
  }
}

static void groups_of_int64(const int64_t *values, int64_t n, int64_t lowest, int64_t n_groups,
                            int32_t *restrict groups) {
  for (int64_t i = 0; i < n; i++) {
    const uint64_t group = (uint64_t)values[i] - (uint64_t)lowest;
    groups[i] = group < (uint64_t)n_groups ? (int32_t)group : -1;
  }
}

void qn_dense_keys_groups(const qn_dense_keys *keys, const qn_column *key, int32_t *groups) {
  if (is_short(key)) {
    groups_of_int32(key->values, key->n_rows, keys->lowest, keys->n_groups, groups);
  } else {
    groups_of_int64(key->values, key->n_rows, keys->lowest, keys->n_groups, groups);
  }
  for (int64_t i = 0; has_nulls(key) && i < key->n_rows; i++) {
    groups[i] = qn_bitmap_get(key->validity, i) ? groups[i] : -1;
  }
}
