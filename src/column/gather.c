// SPDX-License-Identifier: Apache-2.0
// Gathering rows by index into a column builder, one tight loop a width; indices below 0 make nulls.
#include "base/check.h"
#include "column/builder.h"

// Bytes that one short copy moves; more than needed, where both sides have them.
enum { SHORT_COPY = 16 };

static bool has_negative(const int32_t *rows, int64_t n_rows) {
  int32_t any = 0;
  for (int64_t i = 0; i < n_rows; i++) {
    any |= rows[i];
  }
  return any < 0;
}

// Always inlined, so that `width` and `may_be_negative` are constants in each loop.
__attribute__((always_inline)) static inline void gather_width(uint8_t *restrict to, const uint8_t *from,
                                                               const int32_t *restrict rows, int64_t n_rows,
                                                               size_t width, bool may_be_negative) {
  for (int64_t i = 0; i < n_rows; i++) {
    if (may_be_negative && rows[i] < 0) {
      memset(to + i * (int64_t)width, 0, width);
    } else {
      memcpy(to + i * (int64_t)width, from + (int64_t)rows[i] * (int64_t)width, width);
    }
  }
}

static void gather_fixed(uint8_t *to, const qn_column *column, const int32_t *rows, int64_t n_rows,
                         bool may_be_negative) {
  const uint8_t *from = column->values;
  switch (qn_type_width(column->type)) {
  case 1:
    gather_width(to, from, rows, n_rows, 1, true);
    break;
  case 4:
    if (may_be_negative) {
      gather_width(to, from, rows, n_rows, 4, true);
    } else {
      gather_width(to, from, rows, n_rows, 4, false);
    }
    break;
  default:
    if (may_be_negative) {
      gather_width(to, from, rows, n_rows, 8, true);
    } else {
      gather_width(to, from, rows, n_rows, 8, false);
    }
  }
}

// Appends the validity of the rows; returns how many are null.
static int64_t gather_validity(uint8_t *to, int64_t first, const qn_column *column, const int32_t *rows,
                               int64_t n_rows) {
  const uint8_t *from = column->n_nulls > 0 ? column->validity : NULL;
  int64_t n_valid = 0;
  for (int64_t i = 0; i < n_rows; i++) {
    const unsigned is_valid = rows[i] >= 0 && (from == NULL || qn_bitmap_get(from, rows[i]));
    const int64_t at = first + i;
    to[at >> 3] = (uint8_t)(to[at >> 3] | (is_valid << (at & 7)));
    n_valid += is_valid;
  }
  return n_rows - n_valid;
}

// Writes where each text will end, starting from `end`; returns where the last one ends. Past INT32_MAX what
// is written is of no use, and the caller fails.
static int64_t gather_ends(int32_t *restrict to, int64_t end, const qn_column *column,
                           const int32_t *restrict rows, int64_t n_rows, bool may_be_negative) {
  const int32_t *offsets = column->offsets;
  for (int64_t i = 0; i < n_rows; i++) {
    if (!may_be_negative || rows[i] >= 0) {
      end += offsets[rows[i] + 1] - offsets[rows[i]];
    }
    to[i] = (int32_t)end;
  }
  return end;
}

// Copies the bytes of the rows. Short texts are copied as 16 bytes where the source has as many; the target
// always has (its slack), and what is copied too much is overwritten by the next row.
static void gather_bytes(uint8_t *restrict to, const qn_column *column, const int32_t *restrict rows,
                         int64_t n_rows) {
  const int32_t *offsets = column->offsets;
  const int64_t last_short = (int64_t)offsets[column->n_rows] - SHORT_COPY;
  for (int64_t i = 0; i < n_rows; i++) {
    if (rows[i] < 0) {
      continue;
    }
    const int64_t first = offsets[rows[i]];
    const int64_t size = offsets[rows[i] + 1] - first;
    if (size <= SHORT_COPY && first <= last_short) {
      memcpy(to, column->bytes + first, SHORT_COPY);
    } else if (size > 0) {
      memcpy(to, column->bytes + first, (size_t)size);
    }
    to += size;
  }
}

// Writes offsets and bytes behind what is counted; *end is where the bytes end then.
static qn_status gather_text(qn_column_builder *builder, const qn_column *column, const int32_t *rows,
                             int64_t n_rows, bool may_be_negative, int64_t *end, qn_error *err) {
  qn_status status = QN_OK;
  QN_TRY(qn_column_builder_reserve(builder, n_rows, 0, err));
  int32_t *ends = (int32_t *)(void *)(builder->values.data + builder->values.size);
  *end = may_be_negative ? gather_ends(ends, builder->bytes.size, column, rows, n_rows, true)
                         : gather_ends(ends, builder->bytes.size, column, rows, n_rows, false);
  QN_TRY(qn_column_builder_reserve(builder, 0, *end - builder->bytes.size, err));
  gather_bytes(builder->bytes.data + builder->bytes.size, column, rows, n_rows);

done:
  return status;
}

qn_status qn_column_builder_append_gather(qn_column_builder *builder, const qn_column *column,
                                          const int32_t *rows, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;
  int64_t n_nulls = 0;
  int64_t end = 0;
  const bool is_text = qn_type_is_text(builder->type);
  if (n_rows <= 0) {
    return QN_OK;
  }
  const bool may_be_negative = has_negative(rows, n_rows);

  if (is_text) {
    QN_TRY(gather_text(builder, column, rows, n_rows, may_be_negative, &end, err));
  } else {
    QN_TRY(qn_column_builder_reserve(builder, n_rows, 0, err));
    gather_fixed(builder->values.data + builder->values.size, column, rows, n_rows, may_be_negative);
  }
  if (may_be_negative || column->n_nulls > 0 || builder->n_nulls > 0) {
    QN_TRY(qn_column_builder_extend_validity(builder, n_rows, err));
    n_nulls = gather_validity(builder->validity.data, builder->n_rows, column, rows, n_rows);
  }
  builder->values.size += n_rows * (is_text ? 4 : qn_type_width(builder->type));
  builder->bytes.size = is_text ? end : 0;
  builder->n_rows += n_rows;
  builder->n_nulls += n_nulls;
  if (builder->n_nulls == 0) {
    builder->validity.size = 0;
  }

done:
  return status;
}
