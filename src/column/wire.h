// SPDX-License-Identifier: Apache-2.0
// A batch as one run of bytes, for messages and spill files: a header, then each column's validity, values or
// offsets, and bytes, each 8-byte aligned, ready to use where they land. Bytes that come from outside are
// checked before use: sizes, offsets, types.
#pragma once
#include <stdint.h>
#include "base/buffer.h"
#include "column/batch.h"

/// Bytes that encoding would take.
int64_t qn_wire_size(const qn_batch *batch);
/// Appends the encoded batch (8-byte aligned relative to the start of the appended bytes).
qn_status qn_wire_encode(const qn_batch *batch, qn_buffer *out, qn_error *err);
/// A batch of `schema` whose columns point into `block`, which starts with the encoded bytes at data (8-byte
/// aligned). Errors: QN_ERR_FORMAT if the bytes are not a batch of that schema.
qn_status qn_wire_decode(const qn_schema *schema, qn_block *block, const uint8_t *data, int64_t size,
                         qn_batch **out, qn_error *err);
