// SPDX-License-Identifier: Apache-2.0
// From conditions to row numbers.
#pragma once
#include <stdint.h>
#include "column/batch.h"

/// The rows where a bool column is true (not null, not false), ascending; returns how many. rows has n_rows
/// places.
int64_t qn_select_true(const qn_column *condition, int32_t *rows);
/// Cuts rows into runs by destination, counting sort: rows_by[starts[d] .. starts[d + 1]) are the rows that
/// go to d, ascending. starts has n_destinations + 1 places.
void qn_partition_rows(const int32_t *destinations, int64_t n_rows, int32_t n_destinations, int32_t *rows_by,
                       int64_t *starts);
