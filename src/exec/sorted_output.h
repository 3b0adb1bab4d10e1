// SPDX-License-Identifier: Apache-2.0
// From a sorter into the next operator.
#pragma once
#include <stdint.h>
#include "exec/run.h"
#include "exec/sorter.h"

/// Collective in that it polls. Finishes the sorter and pushes its first n_rows rows into op->next, as far as
/// that wants any.
qn_status qn_push_sorted(const qn_op *op, qn_sorter *sorter, int64_t n_rows, qn_error *err);
