// SPDX-License-Identifier: Apache-2.0
// Where neighbouring rows differ: the boundaries of partitions, peers and groups in sorted rows.
#pragma once
#include <stdint.h>
#include "column/batch.h"

/// Sets changes[i], for rows 0 .. n_rows - 1 of a batch, to 1 where row i differs from the row before it in
/// one of the columns; others stay as they are. Row 0 is compared with the last row of `before`; if that is
/// NULL it differs. Equal as in GROUP BY: null equals null, NaN equals NaN, -0.0 equals 0.0.
void qn_mark_changes(const qn_batch *before, const qn_batch *batch, const int *columns, int n_columns,
                     uint8_t *changes);
