// SPDX-License-Identifier: Apache-2.0
// Hashes of rows, a block of rows and one column at a time: each column gives one word per row (the value's
// bits, or a text's hash), and one multiplicative mix per column joins them. All bits of a hash are good:
// exchanges take the high ones, tables the low ones.
#include "kernel/hash_columns.h"
#include "base/hash.h"
#include "column/bitmap.h"
#include "column/schema.h"
#include "kernel/ordered_bits.h"
#include "kernel/short_text.h"

enum { BLOCK_ROWS = 512 };

static const uint64_t null_word = 0xa24baed4963ee407u;
static const uint64_t first_salt = 0x9fb21c651e98df25u;

static inline uint64_t fold_multiply(uint64_t a, uint64_t b) {
  const unsigned __int128 product = (unsigned __int128)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_short_text(qn_text_words words, int64_t size) {
  const uint64_t folded = fold_multiply(words.low ^ 0x2d358dccaa6c78a5u, words.high ^ 0x8bb84b93962eacc9u);
  return fold_multiply(folded ^ 0x4b33a62ed433d4a3u, (uint64_t)size ^ 0x4d5a2da51de1aa47u);
}

static void load_text(const qn_column *column, int64_t first, int64_t n, uint64_t *words) {
  const int32_t *offsets = column->offsets + first;
  const uint8_t *bytes = column->bytes;
  const int64_t end = column->offsets[column->n_rows];

  for (int64_t i = 0; i < n; i++) {
    const int64_t start = offsets[i];
    const int64_t size = offsets[i + 1] - start;
    words[i] = size <= 16 ? hash_short_text(qn_text_words_load(bytes, start, size, end), size)
                          : qn_hash_bytes(bytes + start, size, 0);
  }
}

static void load_bytes(const uint8_t *values, int64_t n, uint64_t *words) {
  for (int64_t i = 0; i < n; i++) {
    words[i] = values[i] != 0;
  }
}

static void load_int32(const int32_t *values, int64_t n, uint64_t *words) {
  for (int64_t i = 0; i < n; i++) {
    words[i] = (uint64_t)(int64_t)values[i];
  }
}

static void load_float32(const float *values, int64_t n, uint64_t *words) {
  for (int64_t i = 0; i < n; i++) {
    words[i] = qn_float32_bits(values[i]);
  }
}

static void load_float64(const double *values, int64_t n, uint64_t *words) {
  for (int64_t i = 0; i < n; i++) {
    words[i] = qn_float64_bits(values[i]);
  }
}

static void replace_nulls(const uint8_t *validity, int64_t first, int64_t n, uint64_t *words) {
  for (int64_t i = 0; i < n; i++) {
    words[i] = qn_bitmap_get(validity, first + i) ? words[i] : null_word;
  }
}

// One word per row, equal for equal values; `scratch` or the column's own values.
static const uint64_t *load_words(const qn_column *column, int64_t first, int64_t n, uint64_t *scratch) {
  const bool has_nulls = column->validity != NULL && column->n_nulls != 0;

  switch (column->type) {
  case QN_BOOL:
    load_bytes((const uint8_t *)column->values + first, n, scratch);
    break;
  case QN_INT32:
  case QN_DATE:
    load_int32((const int32_t *)column->values + first, n, scratch);
    break;
  case QN_INT64:
  case QN_TIMESTAMP:
    if (!has_nulls) {
      return (const uint64_t *)column->values + first;
    }
    memcpy(scratch, (const uint64_t *)column->values + first, (size_t)n * sizeof *scratch);
    break;
  case QN_FLOAT32:
    load_float32((const float *)column->values + first, n, scratch);
    break;
  case QN_FLOAT64:
    load_float64((const double *)column->values + first, n, scratch);
    break;
  case QN_UTF8:
  case QN_BINARY:
    load_text(column, first, n, scratch);
    break;
  }
  if (has_nulls) {
    replace_nulls(column->validity, first, n, scratch);
  }
  return scratch;
}

static void hash_block(const qn_column *const *columns, int n_columns, int64_t first, int64_t n,
                       uint64_t *hashes) {
  uint64_t scratch[BLOCK_ROWS];

  for (int c = 0; c < n_columns; c++) {
    const uint64_t *words = load_words(columns[c], first, n, scratch);
    if (c > 0) {
      for (int64_t i = 0; i < n; i++) {
        hashes[i] = qn_hash_combine(hashes[i], words[i]);
      }
    } else if (qn_type_is_text(columns[c]->type)) { // mixed already
      memcpy(hashes, words, (size_t)n * sizeof *hashes);
    } else {
      for (int64_t i = 0; i < n; i++) {
        hashes[i] = qn_hash_mix(words[i] ^ first_salt);
      }
    }
  }
}

void qn_hash_columns(const qn_column *const *columns, int n_columns, int64_t n_rows, uint64_t *hashes) {
  for (int64_t i = 0; n_columns == 0 && i < n_rows; i++) {
    hashes[i] = first_salt;
  }
  for (int64_t first = 0; n_columns > 0 && first < n_rows; first += BLOCK_ROWS) {
    const int64_t n = n_rows - first < BLOCK_ROWS ? n_rows - first : BLOCK_ROWS;
    hash_block(columns, n_columns, first, n, hashes + first);
  }
}
