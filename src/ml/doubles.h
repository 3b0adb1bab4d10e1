// SPDX-License-Identifier: Apache-2.0
// Room for vectors and matrices, counted in the memory account.
#pragma once
#include <string.h>
#include "base/memory.h"

/// Local. n_rows * n_columns zeros; free them with qn_memory_free().
qn_status qn_doubles_new(int64_t n_rows, int64_t n_columns, double **out, qn_error *err);
