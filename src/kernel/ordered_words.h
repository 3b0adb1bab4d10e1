// SPDX-License-Identifier: Apache-2.0
// Fixed-width values as 64-bit integers of the same order.
#pragma once
#include <stdint.h>
#include "column/batch.h"

/// Rows [first, first + n) of a column that is not text. NaN above all numbers, -0.0 as 0.0, false as 0, true
/// as 1. What null rows give is undefined.
void qn_load_ordered(const qn_column *column, int64_t first, int64_t n, int64_t *words);
