// SPDX-License-Identifier: Apache-2.0
// Whether an output is still what was written.
#pragma once
#include <quern/status.h>

enum { QN_PRODUCT_TEXT = 64 };

/// Local. The state of a file or of a staged folder as a text: of a file its size and the hash of its bytes
/// (of a large one the hash of parts of it, and when it was changed); of a folder the hash of its manifest
/// and the names and sizes of its parts, whose contents have checksums of their own. Errors: QN_ERR_IO.
qn_status qn_product_fingerprint(const char *path, char *out, qn_error *err);
