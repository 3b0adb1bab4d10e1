// SPDX-License-Identifier: Apache-2.0
// A plan as a number: equal for equal plans over equal inputs, in every process and on any number of ranks.
#pragma once
#include <stdbool.h>
#include "plan/plan.h"

/// Local. Hash of the plan below and with `root` as it was written: kinds, expressions, types, options, the
/// identity of sources (so it is whole on rank 0 only), callbacks. What a callback's ctx points at is not
/// covered, nor are the rows of LOCAL nodes. Errors: QN_ERR_MEMORY.
qn_status qn_plan_fingerprint(const qn_dataset *root, uint64_t *out, qn_error *err);
/// Local. Whether rows in memory are below `root`, and the hash of those of this rank: hashes of all ranks
/// are to be added, modulo 2^64. Which rank has which row does not matter.
qn_status qn_plan_rows_hash(const qn_dataset *root, bool *has_rows, uint64_t *out, qn_error *err);
