// SPDX-License-Identifier: Apache-2.0
// Keeps a page small: the lists of a long run are cut to what matters most, and what was left out is said.
#pragma once
#include <jansson.h>
#include <stdint.h>

/// Local. Cuts the lists of a run's data so that they have about `most` things each; says what was left out
/// in the list `data["left_out"]`. Cutting again, with less, replaces what was said.
void qn_shorten(json_t *data, int64_t most);
