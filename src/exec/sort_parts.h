// SPDX-License-Identifier: Apache-2.0
// Sorting rows of many batches by many keys of which the first usually decide.
#pragma once
#include <stdint.h>
#include "exec/row_parts.h"
#include "kernel/sort_rows.h"

/// Local. order = the stable permutation that puts the (frozen) rows in order by columns[0 .. n_keys - 1].
/// Only where the first n_main keys are equal the others are looked at: they may be many and long, and
/// encoding them is dear.
qn_status qn_sort_row_parts(qn_row_parts *rows, const int *columns, const qn_order *orders, int n_keys,
                            int n_main, int32_t *order, qn_error *err);
