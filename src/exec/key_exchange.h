// SPDX-License-Identifier: Apache-2.0
// Operators that work key by key have the rows of a key on one rank.
#pragma once
#include "exec/run.h"

/// Local. An exchange by node->keys of the rows of node's input, in front of `next`; `next` itself if rows
/// with equal keys are together already. Without keys all rows go to rank 0.
qn_status qn_make_key_exchange(qn_run *run, const qn_dataset *node, qn_op *next, qn_op **out, qn_error *err);
