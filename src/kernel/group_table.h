// SPDX-License-Identifier: Apache-2.0
// A hash table from keys (rows of key columns) to dense group numbers 0, 1, 2, ... in order of first
// appearance; the heart of reduce, distinct, count distinct and join. Keys are equal as in PostgreSQL's GROUP
// BY: null equals null, NaN equals NaN, -0.0 equals 0.0, text by bytes.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "column/batch.h"

typedef struct qn_group_table qn_group_table;

/// Local. Keys of the given types. n_keys 0 is allowed: one group as soon as a row comes.
qn_status qn_group_table_new(const qn_type *types, int n_keys, qn_group_table **out, qn_error *err);
void qn_group_table_free(qn_group_table *table);
/// groups[i] = the group of row i, made if it is new. hashes are qn_hash_columns() of the keys. n_rows <
/// 2^31.
qn_status qn_group_table_add(qn_group_table *table, const qn_column *const *keys, const uint64_t *hashes,
                             int64_t n_rows, int32_t *groups, qn_error *err);
/// groups[i] = the group of row i, or -1.
void qn_group_table_find(const qn_group_table *table, const qn_column *const *keys, const uint64_t *hashes,
                         int64_t n_rows, int32_t *groups);
int64_t qn_group_table_n_groups(const qn_group_table *table);
int64_t qn_group_table_n_bytes(const qn_group_table *table);
/// The keys of groups [first, first + n) as columns (out: n_keys columns owned by the caller).
/// QN_ERR_VALUE if a text column would pass 2^31 - 1 bytes: ask for fewer groups at a time.
qn_status qn_group_table_keys(const qn_group_table *table, int64_t first, int64_t n, qn_column *out,
                              qn_error *err);
/// The hash of each group, [n_groups].
const uint64_t *qn_group_table_hashes(const qn_group_table *table);
/// A table as one run of bytes without addresses, for other processes to find keys in: its size, and the
/// bytes to out (8-byte aligned).
int64_t qn_group_table_image_size(const qn_group_table *table);
void qn_group_table_write_image(const qn_group_table *table, uint8_t *out);
/// Local. A table over such bytes, which are borrowed (8-byte aligned); only to find keys. Errors:
/// QN_ERR_FORMAT if the bytes are no table of such keys.
qn_status qn_group_table_from_image(const qn_type *types, int n_keys, const uint8_t *image, int64_t size,
                                    qn_group_table **out, qn_error *err);
/// Forgets all groups, keeps the memory.
void qn_group_table_clear(qn_group_table *table);
