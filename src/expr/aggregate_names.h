// SPDX-License-Identifier: Apache-2.0
// Names of aggregates and window functions, for the lists that take them and for the messages where they have
// no place.
#pragma once
#include <stdbool.h>
#include "expr/expr.h"

/// False if there is no such aggregate. *is_median: the name gives the quantile 0.5.
bool qn_aggregate_find(const char *name, qn_aggregate_kind *kind, bool *is_median);
bool qn_aggregate_is_name(const char *name);
/// False if it is no window function (aggregates are none here).
bool qn_window_find(const char *name, qn_window_kind *kind);
bool qn_window_is_name(const char *name);
