// SPDX-License-Identifier: Apache-2.0
// PostgreSQL's regular expressions as POSIX extended ones of the C library. \d, \D, \n, \t, \r and escapes in
// brackets are translated; what the C library would read otherwise (lazy quantifiers, lookahead, (?:...), \y)
// is refused.
#pragma once
#include <quern/batch.h>
#include "base/buffer.h"

/// What of a pattern is not supported, for a message; NULL: nothing.
const char *qn_regex_find_unsupported(qn_text pattern);
/// Appends the pattern as the C library wants it, terminated. It must be supported.
qn_status qn_regex_translate(qn_text pattern, qn_buffer *out, qn_error *err);
