// SPDX-License-Identifier: Apache-2.0
// The rows of each group, as lists one behind the other: what a hash join looks up. A group table gives build
// rows their groups; the index turns these into lists; probe rows find their group and read its list.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <quern/status.h>

typedef struct qn_join_index {
  int64_t n_groups;
  int32_t *starts; // n_groups + 1: the rows of group g are rows[starts[g] .. starts[g + 1]); or NULL
  // Ascending within a group; is_unique: rows[g] is the row of group g or -1, and rows[-1] is -1. NULL: rows
  // lie by group themselves, so that place i of the lists is row i.
  int32_t *rows;
  bool is_unique;   // no group has two rows, so there are no lists
  bool is_identity; // group g has row g and no other: there is nothing to look up
  void *memory;     // of rows
  bool is_borrowed; // the arrays belong to somebody else
} qn_join_index;

/// Rows with a negative group (keys with nulls, which join nothing) are left out. All groups are < n_groups;
/// n_rows < 2^31.
qn_status qn_join_index_init(qn_join_index *index, const int32_t *groups, int64_t n_rows, int64_t n_groups,
                             qn_error *err);
/// For rows in lists (neither is_unique nor sorted before): order[0 .. n_rows - 1] are the rows by group,
/// those without a group last. Whoever has put them into that order can go on with the index, which needs no
/// lists then.
void qn_join_index_sort_rows(qn_join_index *index, const int32_t *groups, int64_t n_rows, int32_t *order);
void qn_join_index_release(qn_join_index *index);
int64_t qn_join_index_n_bytes(const qn_join_index *index);
/// The index as one run of bytes without addresses, for other processes: its size, and the bytes to out
/// (8-byte aligned).
int64_t qn_join_index_image_size(const qn_join_index *index);
void qn_join_index_write_image(const qn_join_index *index, uint8_t *out);
/// Local. An index over such bytes, which are borrowed. Errors: QN_ERR_FORMAT.
qn_status qn_join_index_from_image(qn_join_index *index, const uint8_t *image, int64_t size, qn_error *err);

/// Rows of a group >= 0.
static inline int32_t qn_join_index_n_rows(const qn_join_index *index, int32_t group) {
  if (index->is_unique) {
    return index->is_identity || index->rows[group] >= 0;
  }
  return index->starts[group + 1] - index->starts[group];
}

/// Where a probe that was cut off goes on. Zeroed at the start of a batch of probe rows.
typedef struct qn_join_cursor {
  int64_t row;   // the next probe row
  int32_t taken; // rows of its list that are done
} qn_join_cursor;

/// Pairs of probe rows and build rows of one group, in order of probe row, then build row; at most max_pairs.
/// A probe row without any build row (group < 0 or an empty list) gives one pair with build row -1 if
/// keep_unmatched, else none. Returns the number of pairs; fewer than max_pairs: the batch is done.
int64_t qn_join_index_match(const qn_join_index *index, const int32_t *groups, int64_t n_rows,
                            bool keep_unmatched, qn_join_cursor *cursor, int64_t max_pairs,
                            int32_t *probe_rows, int32_t *build_rows);
