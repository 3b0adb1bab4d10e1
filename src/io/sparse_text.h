// SPDX-License-Identifier: Apache-2.0
// Sparse rows as text, "3:0.5 7:1", as libsvm's files hold them.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/batch.h>

/// The next "index:value" from *at on, which goes behind it. False at the end (a comment ends a row too), or
/// with *mistake, which must be NULL before, if what stands there is none: *at is where it begins then.
bool qn_sparse_next(qn_text text, int64_t *at, int64_t *index, double *value, const char **mistake);
