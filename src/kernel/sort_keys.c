// SPDX-License-Identifier: Apache-2.0
// Normalised keys. Each key column gives, per row: a byte that says null or not (0 null first, 1 value, 2
// null last), then the value: numbers big-endian with the sign turned, text with each zero byte as 00 ff and
// 00 00 behind. A descending value is the same inverted. No key is the beginning of another one, so keys of
// several columns simply follow each other.
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "column/bitmap.h"
#include "column/schema.h"
#include "kernel/ordered_words.h"
#include "kernel/sort_rows.h"

enum { BLOCK_ROWS = 512 };

static bool is_null_at(const qn_column *key, int64_t row) {
  return key->n_nulls != 0 && qn_column_is_null(key, row);
}

// Bytes of a text with its escapes and its end.
static int64_t escaped_size(const uint8_t *text, int64_t size) {
  int64_t n_zeros = 0;
  for (int64_t i = 0; i < size; i++) {
    n_zeros += text[i] == 0;
  }
  return size + n_zeros + 2;
}

static bool block_has_zeros(const qn_column *key, int64_t first, int64_t n) {
  const int64_t start = key->offsets[first];
  const int64_t size = key->offsets[first + n] - start;
  return size > 0 && memchr(key->bytes + start, 0, (size_t)size) != NULL;
}

// Adds what one key column takes to sizes[0 .. n - 1].
static void add_sizes(const qn_column *key, int64_t first, int64_t n, int64_t *sizes) {
  if (!qn_type_is_text(key->type)) {
    for (int64_t i = 0; i < n; i++) {
      sizes[i] += 1 + qn_type_width(key->type);
    }
    return;
  }
  const bool has_zeros = block_has_zeros(key, first, n);
  for (int64_t i = 0; i < n; i++) {
    const int64_t start = key->offsets[first + i];
    const int64_t size = key->offsets[first + i + 1] - start;
    if (is_null_at(key, first + i)) {
      sizes[i] += 1;
    } else {
      sizes[i] += 1 + (has_zeros ? escaped_size(key->bytes + start, size) : size + 2);
    }
  }
}

static int64_t encode_escaped(const uint8_t *text, int64_t size, uint8_t inversion, uint8_t *to) {
  int64_t n = 0;
  for (int64_t i = 0; i < size; i++) {
    to[n++] = text[i] ^ inversion;
    if (text[i] == 0) {
      to[n++] = 0xff ^ inversion;
    }
  }
  to[n++] = inversion;
  to[n++] = inversion;
  return n;
}

// Writes one text column's part of each key at to + cursors[i] and moves the cursors on.
static void encode_texts(const qn_column *key, qn_order order, int64_t first, int64_t n, uint8_t *to,
                         int64_t *cursors) {
  const bool is_plain = !order.is_descending && !block_has_zeros(key, first, n);
  const uint8_t inversion = order.is_descending ? 0xff : 0;
  const uint8_t null_mark = order.nulls_first ? 0 : 2;

  for (int64_t i = 0; i < n; i++) {
    const int64_t start = key->offsets[first + i];
    const int64_t size = key->offsets[first + i + 1] - start;
    uint8_t *at = to + cursors[i];
    if (is_null_at(key, first + i)) {
      at[0] = null_mark;
      cursors[i] += 1;
    } else if (is_plain) {
      at[0] = 1;
      memcpy(at + 1, size > 0 ? key->bytes + start : at, (size_t)size);
      memset(at + 1 + size, 0, 2);
      cursors[i] += size + 3;
    } else {
      at[0] = 1;
      cursors[i] += 1 + encode_escaped(key->bytes + start, size, inversion, at + 1);
    }
  }
}

static void encode_fixed(const qn_column *key, qn_order order, int64_t first, int64_t n, uint8_t *to,
                         int64_t *cursors) {
  const int width = qn_type_width(key->type);
  const uint64_t inversion = order.is_descending ? UINT64_MAX : 0;
  const uint64_t sign = key->type == QN_BOOL ? 0 : UINT64_C(1) << (8 * width - 1);
  const uint8_t null_mark = order.nulls_first ? 0 : 2;
  int64_t words[BLOCK_ROWS];

  qn_load_ordered(key, first, n, words);
  for (int64_t i = 0; i < n; i++) {
    const bool is_null = is_null_at(key, first + i);
    const uint64_t word = is_null ? 0 : ((uint64_t)words[i] ^ sign) ^ inversion;
    uint8_t *at = to + cursors[i];
    at[0] = is_null ? null_mark : 1;
    for (int b = 0; b < width; b++) {
      at[1 + b] = (uint8_t)(word >> (8 * (width - 1 - b)));
    }
    cursors[i] += 1 + width;
  }
}

static qn_status encode_block(const qn_column *const *keys, const qn_order *orders, int n_keys, int64_t first,
                              int64_t n, qn_buffer *bytes, qn_buffer *offsets, qn_error *err) {
  qn_status status = QN_OK;
  int64_t cursors[BLOCK_ROWS] = {0};
  int64_t end = bytes->size;

  for (int k = 0; k < n_keys; k++) {
    add_sizes(keys[k], first, n, cursors);
  }
  QN_TRY(qn_buffer_reserve(offsets, n * (int64_t)sizeof(int64_t), err));
  int64_t *ends = (int64_t *)(offsets->data + offsets->size);
  for (int64_t i = 0; i < n; i++) {
    const int64_t size = cursors[i];
    cursors[i] = end;
    end += size;
    ends[i] = end;
  }
  QN_TRY(qn_buffer_reserve(bytes, end - bytes->size, err));
  for (int k = 0; k < n_keys; k++) {
    if (qn_type_is_text(keys[k]->type)) {
      encode_texts(keys[k], orders[k], first, n, bytes->data, cursors);
    } else {
      encode_fixed(keys[k], orders[k], first, n, bytes->data, cursors);
    }
  }
  bytes->size = end;
  offsets->size += n * (int64_t)sizeof(int64_t);

done:
  return status;
}

qn_status qn_sort_keys_encode(const qn_column *const *keys, const qn_order *orders, int n_keys,
                              int64_t n_rows, qn_buffer *bytes, qn_buffer *offsets, qn_error *err) {
  qn_status status = QN_OK;

  if (offsets->size == 0) {
    QN_TRY(qn_buffer_append(offsets, &bytes->size, (int64_t)sizeof bytes->size, err));
  }
  for (int64_t first = 0; first < n_rows; first += BLOCK_ROWS) {
    const int64_t n = n_rows - first < BLOCK_ROWS ? n_rows - first : BLOCK_ROWS;
    QN_TRY(encode_block(keys, orders, n_keys, first, n, bytes, offsets, err));
  }

done:
  return status;
}

int qn_sort_key_compare(const uint8_t *a, int64_t a_size, const uint8_t *b, int64_t b_size) {
  const int64_t shared = a_size < b_size ? a_size : b_size;
  const int order = shared > 0 ? memcmp(a, b, (size_t)shared) : 0;
  return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}
