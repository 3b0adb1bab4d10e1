// SPDX-License-Identifier: Apache-2.0
// Columns from buffers that kernels have filled.
#pragma once
#include <stdint.h>
#include "base/buffer.h"
#include "column/batch.h"

/// Gives `column` the validity bits in `validity` (qn_bitmap_bytes(n_rows) of them, or none: all rows have
/// values). Takes the buffer's contents, also on failure.
qn_status qn_column_set_validity_take(qn_column *column, qn_buffer *validity, qn_error *err);
/// A text column of n_rows rows of n_rows + 1 int32 offsets and the bytes. Takes all three buffers, also on
/// failure.
qn_status qn_column_text_take(qn_type type, int64_t n_rows, qn_buffer *validity, qn_buffer *offsets,
                              qn_buffer *bytes, qn_column *out, qn_error *err);
/// A buffer of qn_bitmap_bytes(n_bits), all clear.
qn_status qn_buffer_clear_bits(qn_buffer *bits, int64_t n_bits, qn_error *err);
/// QN_ERR_VALUE if n_bytes of text do not fit one column.
qn_status qn_check_text_bytes(int64_t n_bytes, qn_error *err);
