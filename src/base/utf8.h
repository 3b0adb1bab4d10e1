// SPDX-License-Identifier: Apache-2.0
// UTF-8: validity (RFC 3629: no surrogates, no overlong forms) and character counts.
#pragma once
#include <stdbool.h>
#include <stdint.h>

/// The offset of the first byte that is not part of valid UTF-8, or -1 if all of it is valid.
int64_t qn_utf8_find_invalid(const void *data, int64_t size);
/// Number of code points in valid UTF-8.
int64_t qn_utf8_length(const void *data, int64_t size);
