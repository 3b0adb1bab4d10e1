// SPDX-License-Identifier: Apache-2.0
// "Did you mean ...": the known name that is nearest to a misspelt one, for error messages.
#pragma once
#include <stdint.h>

/// The index of the name nearest to `wanted` if it is near enough to be meant (case aside, at most a third of
/// its letters differ), else -1.
int64_t qn_nearest_name(const char *wanted, const char *const *names, int64_t n_names);
