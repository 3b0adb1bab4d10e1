// SPDX-License-Identifier: Apache-2.0
// Plans for reduce: the node itself, and what aggregates over distinct values become.
#pragma once
#include "plan/plan.h"

/// A reduce by the first n_keys columns of `in`, whose arguments are columns of `in`.
qn_status qn_plan_reduce_node(const qn_dataset *in, int n_keys, const qn_plan_aggregate *aggregates, int n,
                              const char *text, qn_dataset **out, qn_error *err);

/// The same with aggregates over distinct values. classes[i]: 0 for an aggregate over all rows; aggregates
/// over the distinct values of the same expression, with the same filter, share a number from 1 to n_classes.
qn_status qn_plan_reduce_distinct(const qn_dataset *in, int n_keys, const qn_plan_aggregate *aggregates,
                                  const int *classes, int n, int n_classes, const char *text,
                                  qn_dataset **out, qn_error *err);
