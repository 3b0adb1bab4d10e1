// SPDX-License-Identifier: Apache-2.0
// Ranges of values: computed when a row group is written, compared with bounds when one might be read.
#include "store/value_range.h"
#include <math.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "column/bitmap.h"

#define RANGE_TYPE uint8_t
#define RANGE_NAME(name) bool_##name
#define RANGE_LEAST 0
#define RANGE_GREATEST UINT8_MAX
#define RANGE_IS_NAN(value) 0
#define RANGE_NAN 0
#include "store/value_range.inc"

#define RANGE_TYPE int32_t
#define RANGE_NAME(name) int32_##name
#define RANGE_LEAST INT32_MIN
#define RANGE_GREATEST INT32_MAX
#define RANGE_IS_NAN(value) 0
#define RANGE_NAN 0
#include "store/value_range.inc"

#define RANGE_TYPE int64_t
#define RANGE_NAME(name) int64_##name
#define RANGE_LEAST INT64_MIN
#define RANGE_GREATEST INT64_MAX
#define RANGE_IS_NAN(value) 0
#define RANGE_NAN 0
#include "store/value_range.inc"

#define RANGE_TYPE float
#define RANGE_NAME(name) float32_##name
#define RANGE_LEAST -HUGE_VALF
#define RANGE_GREATEST HUGE_VALF
#define RANGE_IS_NAN(value) (isnan(value) != 0)
#define RANGE_NAN NAN
#include "store/value_range.inc"

#define RANGE_TYPE double
#define RANGE_NAME(name) float64_##name
#define RANGE_LEAST -HUGE_VAL
#define RANGE_GREATEST HUGE_VAL
#define RANGE_IS_NAN(value) (isnan(value) != 0)
#define RANGE_NAN (double)NAN
#include "store/value_range.inc"

static int compare_bytes(const uint8_t *a, int64_t a_size, const uint8_t *b, int64_t b_size) {
  const int order = memcmp(a, b, (size_t)(a_size < b_size ? a_size : b_size));
  return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

static int compare_values(qn_type type, const uint8_t *a, int64_t a_size, const uint8_t *b, int64_t b_size) {
  switch (type) {
  case QN_BOOL:
    return bool_compare(a, b);
  case QN_INT32:
  case QN_DATE:
    return int32_compare(a, b);
  case QN_INT64:
  case QN_TIMESTAMP:
    return int64_compare(a, b);
  case QN_FLOAT32:
    return float32_compare(a, b);
  case QN_FLOAT64:
    return float64_compare(a, b);
  case QN_UTF8:
  case QN_BINARY:
    return compare_bytes(a, a_size, b, b_size);
  }
  return 0;
}

// Steps back from the end of data[0 .. size - 1] to the start of its last character.
static int32_t start_of_last_character(const uint8_t *data, int32_t size) {
  int32_t start = size - 1;
  while (start > 0 && size - start < 4 && (data[start] & 0xC0) == 0x80) {
    start--;
  }
  return start;
}

// Cuts text so that it fits and, if it is UTF-8, stays so.
static int32_t cut_text(qn_type type, const uint8_t *data, int64_t size, uint8_t *out) {
  int32_t kept = size < QN_RANGE_BYTES ? (int32_t)size : QN_RANGE_BYTES;
  if (type == QN_UTF8 && size > QN_RANGE_BYTES && (data[kept] & 0xC0) == 0x80) {
    kept = start_of_last_character(data, kept);
  }
  memcpy(out, data, (size_t)kept);
  return kept;
}

static uint32_t decode_character(const uint8_t *data, int32_t size) {
  static const uint8_t lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
  uint32_t code = data[0] & lead_bits[size];
  for (int32_t i = 1; i < size; i++) {
    code = (code << 6) | (data[i] & 0x3Fu);
  }
  return code;
}

static int32_t encode_character(uint32_t code, uint8_t *out) {
  const int32_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  for (int32_t i = size - 1; i > 0; i--) {
    out[i] = (uint8_t)(0x80 | (code & 0x3F));
    code >>= 6;
  }
  out[0] = (uint8_t)(lead[size] | code);
  return size;
}

// The text after all that begins with out[0 .. size - 1]: its last character (byte) plus one; the last that
// is not the greatest there is. Returns its size, 0 if there is none.
static int32_t round_up(qn_type type, uint8_t *out, int32_t size) {
  while (size > 0) {
    if (type == QN_BINARY) {
      if (out[size - 1] != UINT8_MAX) {
        out[size - 1]++;
        return size;
      }
      size--;
      continue;
    }
    const int32_t start = start_of_last_character(out, size);
    uint8_t next[4];
    uint32_t code = decode_character(out + start, size - start) + 1;
    code = code == 0xD800 ? 0xE000 : code;
    const int32_t n = code <= 0x10FFFF ? encode_character(code, next) : QN_RANGE_BYTES + 1;
    if (start + n <= QN_RANGE_BYTES) {
      memcpy(out + start, next, (size_t)n);
      return start + n;
    }
    size = start;
  }
  return 0;
}

static void range_of_text(qn_type type, const uint8_t *validity, const int32_t *offsets, const uint8_t *bytes,
                          int64_t n_rows, qn_value_range *out) {
  int64_t least = -1, greatest = -1;
  for (int64_t i = 0; i < n_rows; i++) {
    if (validity != NULL && !qn_bitmap_get(validity, i)) {
      continue;
    }
    const uint8_t *data = bytes + offsets[i];
    const int64_t size = offsets[i + 1] - offsets[i];
    if (least < 0 ||
        compare_bytes(data, size, bytes + offsets[least], offsets[least + 1] - offsets[least]) < 0) {
      least = i;
    }
    if (greatest < 0 ||
        compare_bytes(data, size, bytes + offsets[greatest], offsets[greatest + 1] - offsets[greatest]) > 0) {
      greatest = i;
    }
  }
  if (least < 0) {
    return;
  }
  const int64_t min_size = offsets[least + 1] - offsets[least];
  const int64_t max_size = offsets[greatest + 1] - offsets[greatest];
  out->min_size = cut_text(type, bytes + offsets[least], min_size, out->min);
  out->max_size = cut_text(type, bytes + offsets[greatest], max_size, out->max);
  out->min_is_exact = min_size <= QN_RANGE_BYTES;
  out->max_is_exact = max_size <= QN_RANGE_BYTES;
  out->has_range = 1;
  if (!out->max_is_exact) {
    out->max_size = round_up(type, out->max, out->max_size);
    memset(out->max + out->max_size, 0, (size_t)(QN_RANGE_BYTES - out->max_size));
    out->has_range = out->max_size > 0;
  }
  if (!out->has_range) {
    *out = (qn_value_range){0};
  }
}

void qn_value_range_of(qn_type type, const uint8_t *validity, const void *values, const int32_t *offsets,
                       const uint8_t *bytes, int64_t n_rows, qn_value_range *out) {
  *out = (qn_value_range){0};
  switch (type) {
  case QN_BOOL:
    bool_range(values, validity, n_rows, out);
    break;
  case QN_INT32:
  case QN_DATE:
    int32_range(values, validity, n_rows, out);
    break;
  case QN_INT64:
  case QN_TIMESTAMP:
    int64_range(values, validity, n_rows, out);
    break;
  case QN_FLOAT32:
    float32_range(values, validity, n_rows, out);
    break;
  case QN_FLOAT64:
    float64_range(values, validity, n_rows, out);
    break;
  case QN_UTF8:
  case QN_BINARY:
    range_of_text(type, validity, offsets, bytes, n_rows, out);
    break;
  }
}

void qn_value_range_widen(qn_type type, qn_value_range *range, int64_t n_values, const qn_value_range *more,
                          int64_t n_more) {
  if (n_more == 0) {
    return;
  }
  if (n_values == 0) {
    *range = *more;
    return;
  }
  if (!range->has_range || !more->has_range) {
    *range = (qn_value_range){0};
    return;
  }
  const int min_order = compare_values(type, more->min, more->min_size, range->min, range->min_size);
  if (min_order < 0 || (min_order == 0 && more->min_is_exact)) {
    memcpy(range->min, more->min, QN_RANGE_BYTES);
    range->min_size = more->min_size;
    range->min_is_exact = more->min_is_exact;
  }
  const int max_order = compare_values(type, more->max, more->max_size, range->max, range->max_size);
  if (max_order > 0 || (max_order == 0 && more->max_is_exact)) {
    memcpy(range->max, more->max, QN_RANGE_BYTES);
    range->max_size = more->max_size;
    range->max_is_exact = more->max_is_exact;
  }
}

bool qn_value_range_excludes(qn_type type, const qn_value_range *range, int64_t n_rows, int64_t n_nulls,
                             const qn_bound *bound) {
  const qn_column *value = &bound->value;
  if (n_nulls == n_rows) {
    return true; // a comparison with null is never true
  }
  if (!range->has_range || value->type != type || value->n_rows != 1 || qn_column_is_null(value, 0)) {
    return false;
  }
  const bool is_text = qn_type_is_text(type);
  const uint8_t *data = is_text ? value->bytes + value->offsets[0] : value->values;
  const int64_t size = is_text ? value->offsets[1] - value->offsets[0] : qn_type_width(type);
  const int min_order = compare_values(type, range->min, range->min_size, data, size);
  const int max_order = compare_values(type, range->max, range->max_size, data, size);
  switch (bound->compare) {
  case QN_CMP_EQ:
    return min_order > 0 || max_order < 0;
  case QN_CMP_NE:
    return min_order == 0 && max_order == 0 && range->min_is_exact && range->max_is_exact;
  case QN_CMP_LT:
    return min_order >= 0;
  case QN_CMP_LE:
    return min_order > 0;
  case QN_CMP_GT:
    return max_order <= 0;
  case QN_CMP_GE:
    return max_order < 0;
  }
  return false;
}

bool qn_value_range_is_sound(qn_type type, const qn_value_range *range) {
  if (!range->has_range) {
    return true;
  }
  const bool is_text = qn_type_is_text(type);
  const int32_t least = is_text ? 0 : qn_type_width(type);
  const int32_t most = is_text ? QN_RANGE_BYTES : qn_type_width(type);
  if (range->min_size < least || range->min_size > most || range->max_size < least ||
      range->max_size > most) {
    return false;
  }
  if (type == QN_UTF8 && (qn_utf8_find_invalid(range->min, range->min_size) >= 0 ||
                          qn_utf8_find_invalid(range->max, range->max_size) >= 0)) {
    return false;
  }
  return compare_values(type, range->min, range->min_size, range->max, range->max_size) <= 0;
}
