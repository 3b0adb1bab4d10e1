// SPDX-License-Identifier: Apache-2.0
// Whether a run goes on, by its folder.
#pragma once
#include <jansson.h>
#include <stdbool.h>

enum { QN_FRESH_SECONDS = 30 };

/// Local. It says that it runs, and one of its processes is alive on this host, or rank 0 is on another and
/// the progress is fresher than QN_FRESH_SECONDS.
bool qn_run_is_alive(const char *folder, const json_t *run);
/// Local. A process that the progress file names is alive on this host.
bool qn_run_has_rank_alive(const char *folder);
