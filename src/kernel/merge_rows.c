// SPDX-License-Identifier: Apache-2.0
// A loser tree. Leaves are runs n_runs .. 2 n_runs - 1, node i has the children 2 i and 2 i + 1; each inner
// node keeps the run that lost there, so a new key climbs from its leaf to the top meeting one opponent per
// level.
#include "kernel/merge_rows.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "kernel/short_text.h"
#include "kernel/sort_rows.h"

qn_status qn_merge_init(qn_merge *merge, int n_runs, qn_error *err) {
  *merge = (qn_merge){.n_runs = n_runs};
  merge->heads = calloc((size_t)n_runs + 1, sizeof *merge->heads);
  merge->losers = calloc((size_t)n_runs + 1, sizeof *merge->losers);
  if (merge->heads == NULL || merge->losers == NULL) {
    qn_merge_release(merge);
    return qn_fail(err, QN_ERR_MEMORY, "no memory to merge %d runs", n_runs);
  }
  return QN_OK;
}

void qn_merge_release(qn_merge *merge) {
  free(merge->heads);
  free(merge->losers);
  *merge = (qn_merge){0};
}

void qn_merge_set(qn_merge *merge, int run, const uint8_t *key, int64_t size) {
  uint8_t first[8] = {0};
  if (key != NULL && size > 0) {
    memcpy(first, key, (size_t)(size < 8 ? size : 8));
  }
  merge->heads[run] = (qn_merge_head){.prefix = qn_load_big(first), .key = key, .size = size};
}

// Does run a come before run b?
static bool is_before(const qn_merge *merge, int a, int b) {
  const qn_merge_head *head_a = &merge->heads[a];
  const qn_merge_head *head_b = &merge->heads[b];
  if (head_a->key == NULL || head_b->key == NULL) {
    return head_a->key != NULL || (head_b->key == NULL && a < b);
  }
  if (head_a->prefix != head_b->prefix) {
    return head_a->prefix < head_b->prefix;
  }
  const int order = qn_sort_key_compare(head_a->key, head_a->size, head_b->key, head_b->size);
  return order < 0 || (order == 0 && a < b);
}

// Plays the matches below a node and returns the winner.
static int play(qn_merge *merge, int node) {
  if (node >= merge->n_runs) {
    return node - merge->n_runs;
  }
  const int left = play(merge, 2 * node);
  const int right = play(merge, 2 * node + 1);
  const bool left_wins = is_before(merge, left, right);
  merge->losers[node] = left_wins ? right : left;
  return left_wins ? left : right;
}

void qn_merge_start(qn_merge *merge) {
  if (merge->n_runs > 0) {
    merge->losers[0] = play(merge, 1);
  }
}

int qn_merge_first(const qn_merge *merge) {
  if (merge->n_runs == 0 || merge->heads[merge->losers[0]].key == NULL) {
    return -1;
  }
  return merge->losers[0];
}

void qn_merge_next(qn_merge *merge, const uint8_t *key, int64_t size) {
  int winner = merge->losers[0];
  qn_merge_set(merge, winner, key, size);
  for (int node = (winner + merge->n_runs) / 2; node > 0; node /= 2) {
    if (is_before(merge, merge->losers[node], winner)) {
      const int loser = winner;
      winner = merge->losers[node];
      merge->losers[node] = loser;
    }
  }
  merge->losers[0] = winner;
}
