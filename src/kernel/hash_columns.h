// SPDX-License-Identifier: Apache-2.0
// Hashes of rows over key columns. Equal keys (by group_table.h's equality) have equal hashes on every rank
// and machine, whatever the batch they stand in; int32, int64, date and timestamp of equal value hash alike
// only within one type.
#pragma once
#include <stdint.h>
#include "column/batch.h"

/// hashes[i] for rows 0 .. n_rows - 1. Nulls hash to a constant, NaNs to one value, -0.0 as 0.0. n_columns 0:
/// a constant.
void qn_hash_columns(const qn_column *const *columns, int n_columns, int64_t n_rows, uint64_t *hashes);
