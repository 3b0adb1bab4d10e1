// SPDX-License-Identifier: Apache-2.0
// Inside of a group table; for group_table.c and its probing loops only.
#pragma once
#include "base/buffer.h"
#include "kernel/group_layout.h"
#include "kernel/group_table.h"

enum { QN_GROUP_BLOCK = 512 }; // rows packed and probed at a time

/// Rows rows[0 .. n - 1]; the hashes of n_known >= n rows are there to fetch ahead by.
typedef qn_status qn_group_add_rows(qn_group_table *table, const uint64_t *rows, const uint64_t *hashes,
                                    int64_t n, int64_t n_known, int32_t *groups, qn_error *err);
typedef void qn_group_find_rows(const qn_group_table *table, const uint64_t *rows, const uint64_t *hashes,
                                int64_t n, int64_t n_known, int32_t *groups);

struct qn_group_table {
  qn_group_layout layout;
  qn_group_add_rows *add_rows;
  qn_group_find_rows *find_rows;
  uint64_t *slots;  // high half: low half of the hash; low half: group + 1; 0: empty
  int64_t n_slots;  // a power of two
  uint64_t *rows;   // layout.n_words per group
  uint64_t *hashes; // per group
  int64_t n_groups;
  int64_t row_capacity;
  int64_t hash_capacity;
  int64_t null_group; // of a table with one key: the group of null, or -1
  qn_buffer bytes;    // of long text
  bool is_borrowed;   // slots, rows and bytes belong to somebody else; there are no hashes
  uint64_t *packed;   // QN_GROUP_BLOCK key rows on their way through add and find
  uint64_t *packed_hashes;
  int32_t *chosen;
  int32_t *chosen_groups;
};

/// Moves the long text of a new key row, given by address, into the table.
qn_status qn_group_table_keep_texts(qn_group_table *table, uint64_t *row, qn_error *err);

static inline bool qn_packed_text_is_equal(const qn_group_table *table, const uint64_t *kept,
                                           const uint64_t *row) {
  if (kept[0] != row[0]) { // sizes or first four bytes differ
    return false;
  }
  const int64_t size = qn_packed_text_size(row);
  if (size <= QN_INLINE_TEXT) {
    return kept[1] == row[1];
  }
  const void *bytes = (const void *)(uintptr_t)row[1]; // NOLINT: packed by address
  return memcmp(table->bytes.data + kept[1], bytes, (size_t)size) == 0;
}
