// SPDX-License-Identifier: Apache-2.0
// Order of rows. Sort keys are turned into normalised keys: bytes whose memcmp order is the rows' order
// (Graefe 2006), so that sorting, merging and splitting ranges compare bytes. Order is PostgreSQL's: NaN
// above all numbers, false before true, text by bytes (C collation).
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/buffer.h"
#include "column/batch.h"

typedef struct qn_order {
  bool is_descending;
  bool nulls_first;
} qn_order;

/// Appends to bytes the normalised keys of all rows; offsets (int64, n_rows + 1 of them, relative to the
/// start of `bytes`) are appended too (the first one only if offsets is empty).
qn_status qn_sort_keys_encode(const qn_column *const *keys, const qn_order *orders, int n_keys,
                              int64_t n_rows, qn_buffer *bytes, qn_buffer *offsets, qn_error *err);
/// Compares two encoded keys like memcmp, the shorter first on a tie.
int qn_sort_key_compare(const uint8_t *a, int64_t a_size, const uint8_t *b, int64_t b_size);

/// rows = the permutation of 0 .. n_rows - 1 that puts them in order; equal rows stay in their order
/// (stable).
qn_status qn_sort_rows(const qn_column *const *keys, const qn_order *orders, int n_keys, int64_t n_rows,
                       int32_t *rows, qn_error *err);
/// As qn_sort_rows(); changes[i], for i < n_rows, becomes 0 if the row at place i of the order equals the one
/// before it in all keys, else 1. `changes` may be NULL.
qn_status qn_sort_rows_marked(const qn_column *const *keys, const qn_order *orders, int n_keys,
                              int64_t n_rows, int32_t *rows, uint8_t *changes, qn_error *err);
/// As qn_sort_rows_marked(), of n_rows normalised keys: key i is bytes[offsets[i] .. offsets[i + 1] - 1].
qn_status qn_sort_encoded_rows(const uint8_t *bytes, const int64_t *offsets, int64_t n_rows, int32_t *rows,
                               uint8_t *changes, qn_error *err);
/// -1, 0, 1: row a of columns a against row b of columns b, without encoding. For small things.
int qn_compare_rows(const qn_column *const *a, int64_t row_a, const qn_column *const *b, int64_t row_b,
                    const qn_order *orders, int n_keys);
