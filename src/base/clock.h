// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stdint.h>

/// Nanoseconds of a clock that never goes back.
int64_t qn_clock_ns(void);
