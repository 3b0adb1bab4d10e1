// SPDX-License-Identifier: Apache-2.0
// From conditions to row numbers, without a branch per row.
#include "kernel/select_rows.h"
#include <string.h>
#include "column/bitmap.h"

// Eight conditions at a time: none and all are the frequent cases, the others write every row and step where
// it counts.
static int64_t select_eight(uint64_t conditions, int64_t first, int32_t *rows) {
  int64_t n = 0;
  if (conditions == 0) {
    return 0;
  }
  for (int j = 0; j < 8; j++) {
    rows[n] = (int32_t)(first + j);
    n += (int64_t)((conditions >> (8 * j)) & 1);
  }
  return n;
}

// Eight bits as eight bytes of 0 or 1, the lowest bit first.
static uint64_t spread_bits(uint8_t bits) {
  const uint64_t picked = (bits * 0x0101010101010101u) & 0x8040201008040201u;
  return (picked + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
}

int64_t qn_select_true(const qn_column *condition, int32_t *rows) {
  const uint8_t *values = condition->values;
  const bool has_nulls = condition->validity != NULL && condition->n_nulls != 0;
  const int64_t n_rows = condition->n_rows;
  int64_t n = 0;
  int64_t i = 0;

  for (; i + 8 <= n_rows; i += 8) {
    uint64_t conditions;
    memcpy(&conditions, values + i, sizeof conditions);
    if (has_nulls) {
      conditions &= spread_bits(condition->validity[i >> 3]);
    }
    n += select_eight(conditions, i, rows + n);
  }
  for (; i < n_rows; i++) {
    rows[n] = (int32_t)i;
    n += values[i] != 0 && (!has_nulls || qn_bitmap_get(condition->validity, i));
  }
  return n;
}

void qn_partition_rows(const int32_t *destinations, int64_t n_rows, int32_t n_destinations, int32_t *rows_by,
                       int64_t *starts) {
  memset(starts, 0, ((size_t)n_destinations + 1) * sizeof *starts);
  for (int64_t i = 0; i < n_rows; i++) {
    starts[destinations[i]]++;
  }
  int64_t start = 0;
  for (int32_t d = 0; d <= n_destinations; d++) {
    const int64_t count = starts[d];
    starts[d] = start;
    start += count;
  }
  for (int64_t i = 0; i < n_rows; i++) {
    rows_by[starts[destinations[i]]++] = (int32_t)i;
  }
  // Each start has moved on to the next one's place.
  for (int32_t d = n_destinations; d > 0; d--) {
    starts[d] = starts[d - 1];
  }
  starts[0] = 0;
}
