// SPDX-License-Identifier: Apache-2.0
// Values and batches as text: PostgreSQL's forms ("2015-05-17 10:05:03.25", t and f, NaN, shortest float that
// reads back the same).
#pragma once
#include <stdint.h>
#include "base/buffer.h"
#include "column/batch.h"

/// Appends one value; a null appends nothing. Text as it is; binary as \x and hexadecimal digits.
qn_status qn_value_print(const qn_column *column, int64_t row, qn_buffer *out, qn_error *err);
/// Each needs room for 32 bytes, and returns how many the text has; it is not terminated, and what follows it
/// in these 32 bytes may be overwritten.
int qn_print_int64(int64_t value, char *out);
int qn_print_float64(double value, char *out);
int qn_print_float32(float value, char *out);
int qn_print_date(int32_t days, char *out);
int qn_print_timestamp(int64_t microseconds, char *out);
/// A value, not null, of a fixed-width type; the same room.
int qn_print_fixed(const qn_column *column, int64_t row, char *out);
/// Appends the first max_rows rows as an aligned table with a header, NULL for nulls, long text cut at 48
/// columns.
qn_status qn_batch_print(const qn_batch *batch, int64_t max_rows, qn_buffer *out, qn_error *err);
