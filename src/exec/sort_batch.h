// SPDX-License-Identifier: Apache-2.0
// Sorting the rows of one batch by many keys of which the first usually decide.
#pragma once
#include <stdint.h>
#include "column/batch.h"
#include "kernel/sort_rows.h"

/// rows = the stable permutation that puts the batch in order by its columns columns[0 .. n_keys - 1]. Only
/// where the first n_main keys are equal the others are looked at: they may be many and long, and encoding
/// them is dear.
qn_status qn_sort_batch(const qn_batch *batch, const int *columns, const qn_order *orders, int n_keys,
                        int n_main, int32_t *rows, qn_error *err);
