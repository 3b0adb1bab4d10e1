// SPDX-License-Identifier: Apache-2.0
// Numbering rows over the ranks.
#pragma once
#include "exec/run.h"

/// Collective. *before = rows that lower ranks have, if this one has n_rows.
qn_status qn_rows_before(qn_run *run, int64_t n_rows, int64_t *before, qn_error *err);
