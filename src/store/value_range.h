// SPDX-License-Identifier: Apache-2.0
// The range of a column's values in a row group or a part: what lets readers leave out rows that cannot
// fulfil a comparison. Long text is cut; then the bounds still hold but are not values of the column. Order
// is the order of sorting: NaN above all numbers, false before true, text by bytes.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "column/source.h"

enum { QN_RANGE_BYTES = 64 };

/// Parts hold it as it lies here (docs/stage-format.md).
typedef struct qn_value_range {
  int32_t min_size; // bytes of min
  int32_t max_size;
  uint8_t has_range; // 0: nothing is known (or there is no value)
  uint8_t min_is_exact;
  uint8_t max_is_exact;
  uint8_t unused[5];
  uint8_t min[QN_RANGE_BYTES]; // a value of the type, or text; zeros behind
  uint8_t max[QN_RANGE_BYTES];
} qn_value_range;

/// The range of n_rows values; `validity` may be NULL. text: offsets and bytes, else values.
void qn_value_range_of(qn_type type, const uint8_t *validity, const void *values, const int32_t *offsets,
                       const uint8_t *bytes, int64_t n_rows, qn_value_range *out);
/// Widens `range`, of n_values values that are not null, by that of n_more.
void qn_value_range_widen(qn_type type, qn_value_range *range, int64_t n_values, const qn_value_range *more,
                          int64_t n_more);
/// True if no row of n_rows, n_nulls of them null, can fulfil the comparison.
bool qn_value_range_excludes(qn_type type, const qn_value_range *range, int64_t n_rows, int64_t n_nulls,
                             const qn_bound *bound);
/// Sizes that fit the type and min <= max: for ranges that come from files.
bool qn_value_range_is_sound(qn_type type, const qn_value_range *range);

/// One side of a range as JSON: a number, true or false, text; binary in hexadecimal digits; floats that JSON
/// has no number for as "NaN", "Infinity", "-Infinity". NULL if there is no memory.
json_t *qn_value_to_json(qn_type type, const uint8_t *value, int64_t size);
/// And back; false if it is no value of the type.
bool qn_value_from_json(qn_type type, const json_t *json, uint8_t *value, int32_t *size);
/// A column of the one value.
qn_status qn_value_to_column(qn_type type, const uint8_t *value, int64_t size, qn_column *out, qn_error *err);
