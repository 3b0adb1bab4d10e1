// SPDX-License-Identifier: Apache-2.0
// Guesses of how much a plan's nodes will hold, from what is known of the sources. Good to an order of
// magnitude: for people (explain), never for decisions, which are made from what has been counted.
#pragma once
#include "plan/plan.h"

typedef struct qn_resources {
  int n_ranks;
  int64_t budget; // bytes per rank; <= 0: no limit
} qn_resources;

typedef struct qn_estimate {
  double rows; // of all ranks
  double row_bytes;
} qn_estimate;

/// The rows that come out of a node.
qn_estimate qn_plan_estimate(const qn_dataset *node, const qn_resources *resources);
/// The rows that a node must keep before it can go on, all ranks together; rows 0 if it keeps none.
qn_estimate qn_plan_estimate_kept(const qn_dataset *node, const qn_resources *resources);
/// As qn_plan_print(), or with resources as qn_plan_print_expected(), but no new line begins once there are
/// that many bytes: a plan that comes to a node on many ways is as long as there are ways.
qn_status qn_plan_print_up_to(const qn_dataset *root, const qn_resources *resources, int64_t max_bytes,
                              qn_buffer *out, qn_error *err);
/// As qn_plan_print(); behind each node that keeps rows are the guesses of its rows and bytes per rank, and
/// whether they fit into the budget.
qn_status qn_plan_print_expected(const qn_dataset *root, const qn_resources *resources, qn_buffer *out,
                                 qn_error *err);
