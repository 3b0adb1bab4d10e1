// SPDX-License-Identifier: Apache-2.0
// Key rows of a group table: the key columns of a row packed into a few 64-bit words, so that keys of any
// types are compared a word at a time. Text takes two words: its size and up to 12 bytes, or size, 4 bytes
// and where the bytes are.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "column/batch.h"

enum { QN_INLINE_TEXT = 12 }; // bytes of text that a key row holds itself

typedef struct qn_group_field {
  qn_type type;
  int offset; // bytes from the start of the row
} qn_group_field;

/// Text fields come first, two words each; then the fixed ones by falling width; then null bits, one per key,
/// unless there is only one key (its table keeps the null group apart).
typedef struct qn_group_layout {
  qn_group_field *fields; // n_keys
  int n_keys;
  int n_texts;
  int n_words;     // per row, >= 1
  int null_offset; // bytes; -1: no null bits
  bool is_dense;   // every byte of a row belongs to a field
} qn_group_layout;

qn_status qn_group_layout_init(qn_group_layout *layout, const qn_type *types, int n_keys, qn_error *err);
void qn_group_layout_release(qn_group_layout *layout);

/// Packs rows [first, first + n) of the key columns. Long text is given by the address of its bytes in the
/// column.
void qn_group_layout_pack(const qn_group_layout *layout, const qn_column *const *keys, int64_t first,
                          int64_t n, uint64_t *rows);
/// Packs rows[0 .. n - 1] of the one key column of the layout.
void qn_group_layout_pack_chosen(const qn_group_layout *layout, const qn_column *key, const int32_t *chosen,
                                 int64_t n, uint64_t *rows);
/// Key number `key` of n rows as a column. Long text is given by its offset into `bytes`. null_row: the row
/// that is null though it has no null bit, or -1.
qn_status qn_group_layout_unpack(const qn_group_layout *layout, int key, const uint64_t *rows, int64_t n,
                                 int64_t null_row, const uint8_t *bytes, qn_column *out, qn_error *err);

static inline int64_t qn_packed_text_size(const uint64_t *words) {
  return (int64_t)(uint32_t)words[0];
}
