// SPDX-License-Identifier: Apache-2.0
// Included before each file that tools/tidy.sh looks at: tells the analyzer that qn_fail() returns the status
// it was given, never QN_OK. Without it every QN_TRY() would seem to go on with outputs that were not set.
#pragma once
#include <quern/status.h>

#undef qn_fail
#define qn_fail(err, status, ...) (qn_fail_at((err), (status), __FILE__, __LINE__, __VA_ARGS__), (status))
