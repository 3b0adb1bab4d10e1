// SPDX-License-Identifier: Apache-2.0
// Merging many sorted runs by normalised keys (sort_rows.h): a loser tree, one comparison per level and row,
// most of them decided by the keys' first eight bytes.
#pragma once
#include <stdint.h>
#include <quern/status.h>

typedef struct qn_merge_head {
  uint64_t prefix;    // first eight bytes, big-endian
  const uint8_t *key; // borrowed; NULL: the run has ended
  int64_t size;
} qn_merge_head;

/// Use: init; set the first key of every run (or NULL, 0); start; then while qn_merge_first() >= 0: take that
/// run's row and qn_merge_next() its next key. A zeroed qn_merge is empty.
typedef struct qn_merge {
  int n_runs;
  qn_merge_head *heads; // per run
  int32_t *losers;      // per inner node of the tree; [0] is the winner
} qn_merge;

qn_status qn_merge_init(qn_merge *merge, int n_runs, qn_error *err);
void qn_merge_release(qn_merge *merge);
/// The first key of a run; the bytes must stay as long as this is the run's key. NULL: it has no rows.
void qn_merge_set(qn_merge *merge, int run, const uint8_t *key, int64_t size);
void qn_merge_start(qn_merge *merge);
/// The run whose key is smallest, of equal ones the one with the smallest number; -1 if all have ended.
int qn_merge_first(const qn_merge *merge);
/// The next key of the run qn_merge_first(); NULL: it has ended.
void qn_merge_next(qn_merge *merge, const uint8_t *key, int64_t size);
