// SPDX-License-Identifier: Apache-2.0
// The values of a column (users, or items) and their numbers 0 .. n - 1 in ascending order: the same numbers
// on any number of ranks.
#pragma once
#include <stdint.h>
#include "column/batch.h"
#include "comm/comm.h"
#include "kernel/group_table.h"
#include "store/arrays.h"

typedef struct qn_als_values {
  qn_type type; // int32, int64 or utf8
  int64_t n;
  qn_column column;      // [n] the values, ascending, none null
  qn_group_table *table; // group g is value g
} qn_als_values;

/// Collective, inside a run. The union of what the tables of all ranks hold (each of one key of that type).
/// numbers [groups of `own`]: the number of each of this rank's groups.
qn_status qn_als_values_unite(qn_comm *comm, qn_type type, const qn_group_table *own, qn_als_values *out,
                              int32_t *numbers, qn_error *err);
/// Local. numbers[i]: that of row i of a column of the type, or -1.
qn_status qn_als_values_find(const qn_als_values *values, const qn_column *column, int32_t *numbers,
                             qn_error *err);
/// Local. To and from arrays "<name>_values", for text "<name>_value_starts" and "<name>_value_bytes" (four
/// to an int32).
qn_status qn_als_values_put(const qn_als_values *values, const char *name, qn_arrays *arrays, qn_error *err);
qn_status qn_als_values_get(const qn_arrays *arrays, const char *name, qn_als_values *out, qn_error *err);
/// Local. "'x'" for messages, or the number as text.
void qn_als_values_describe(const qn_als_values *values, int64_t number, char *text, size_t size);
void qn_als_values_release(qn_als_values *values);
