// SPDX-License-Identifier: Apache-2.0
// Integer keys that fill a small range need no hash table: the key less the lowest one is their group. This
// is what most keys of joins are, since they number the rows of some other table.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "column/batch.h"

typedef struct qn_dense_keys {
  int64_t lowest;
  int64_t n_groups; // keys lowest .. lowest + n_groups - 1; 0: the keys are not dense
} qn_dense_keys;

/// Local. The range of the values of `key`, if it is an integer column (int32, int64, date, timestamp) and
/// they lie within `most_groups` (< 2^31); else n_groups 0. Without any value: n_groups 0.
qn_dense_keys qn_dense_keys_find_range(const qn_column *key, int64_t most_groups);
/// groups[i] = key i - lowest, or -1 if it is null or outside of the range. `key` is of the type of that of
/// the range.
void qn_dense_keys_groups(const qn_dense_keys *keys, const qn_column *key, int32_t *groups);
