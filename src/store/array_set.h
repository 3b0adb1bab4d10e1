// SPDX-License-Identifier: Apache-2.0
// What the two forms of a set of arrays, bytes and file, share.
#pragma once
#include "store/arrays.h"

enum { QN_ARRAY_MAX_NAME = 200 };

/// Bytes of an array; QN_ERR_ARG for a type or number of dimensions that cannot be kept.
qn_status qn_array_size(qn_type type, int n_dims, const int64_t *dims, int64_t *n_bytes, qn_error *err);
/// Truths must be 0 or 1.
qn_status qn_array_check_values(const char *name, qn_type type, const void *data, int64_t n_bytes,
                                qn_error *err);
/// As qn_arrays_put_text(), from bytes of a file that are not trusted.
qn_status qn_arrays_put_bytes(qn_arrays *arrays, const char *name, const void *text, int64_t size,
                              qn_error *err);
