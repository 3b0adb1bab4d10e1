// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "expr/expr_node.h"

/// The expression as text that means the same, in the arena; long ones are cut. NULL if there is no memory.
const char *qn_expr_print(const qn_expr *expr, qn_arena *arena);
