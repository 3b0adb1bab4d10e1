// SPDX-License-Identifier: Apache-2.0
// Lists of rows by group, made by counting: two passes over the groups and no pointer per row.
#include "kernel/join_index.h"
#include <inttypes.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "kernel/grow_array.h"

enum { AHEAD = 16 };

// Each row goes to the place its group has reached; starts[g] ends as the start of group g + 1.
static void place_rows(const int32_t *groups, int64_t n_rows, int32_t *places, int32_t *rows) {
  for (int64_t i = 0; i < n_rows; i++) {
    if (i + AHEAD < n_rows && groups[i + AHEAD] >= 0) {
      __builtin_prefetch(places + groups[i + AHEAD], 1);
    }
    if (groups[i] >= 0) {
      rows[places[groups[i]]++] = (int32_t)i;
    }
  }
}

static bool has_unique_rows(const int32_t *groups, int64_t n_rows, int64_t n_groups) {
  bool is_unique = n_rows == n_groups;
  for (int64_t i = 0; is_unique && i < n_rows; i++) {
    is_unique = groups[i] == i;
  }
  return is_unique;
}

qn_status qn_join_index_init(qn_join_index *index, const int32_t *groups, int64_t n_rows, int64_t n_groups,
                             qn_error *err) {
  qn_status status = QN_OK;
  // One place more in front, so that starts moved on by one group are the starts again.
  int32_t *starts = qn_memory_alloc((n_groups + 2) * (int64_t)sizeof *starts);
  int32_t *rows = qn_memory_alloc(n_rows * (int64_t)sizeof *rows);

  *index = (qn_join_index){0};
  QN_REQUIRE(starts != NULL && rows != NULL, err, QN_ERR_MEMORY,
             "no memory for a join index of %" PRId64 " rows (%" PRId64 " bytes in use)", n_rows,
             qn_memory_used());
  qn_advise_huge_pages(starts, (n_groups + 2) * (int64_t)sizeof *starts);
  qn_advise_huge_pages(rows, n_rows * (int64_t)sizeof *rows);
  memset(starts, 0, ((size_t)n_groups + 2) * sizeof *starts);
  int32_t *places = starts + 1;
  for (int64_t i = 0; i < n_rows; i++) {
    if (groups[i] >= 0) {
      places[groups[i]]++;
    }
  }
  int32_t start = 0;
  for (int64_t g = 0; g <= n_groups; g++) {
    const int32_t count = places[g];
    places[g] = start;
    start += count;
  }
  place_rows(groups, n_rows, places, rows);
  *index = (qn_join_index){.n_groups = n_groups,
                           .starts = starts,
                           .rows = rows,
                           .is_unique = has_unique_rows(groups, n_rows, n_groups)};
  starts = NULL;
  rows = NULL;

done:
  qn_memory_free(starts);
  qn_memory_free(rows);
  return status;
}

void qn_join_index_release(qn_join_index *index) {
  qn_memory_free(index->starts);
  qn_memory_free(index->rows);
  *index = (qn_join_index){0};
}

int64_t qn_join_index_n_bytes(const qn_join_index *index) {
  return index->starts == NULL
             ? 0
             : (index->n_groups + 2 + index->starts[index->n_groups]) * (int64_t)sizeof(int32_t);
}

static int64_t match_unique(const int32_t *groups, int64_t n_rows, bool keep_unmatched,
                            qn_join_cursor *cursor, int64_t max_pairs, int32_t *probe_rows,
                            int32_t *build_rows) {
  int64_t n_pairs = 0;
  int64_t row = cursor->row;

  for (; row < n_rows && n_pairs < max_pairs; row++) {
    probe_rows[n_pairs] = (int32_t)row;
    build_rows[n_pairs] = groups[row] >= 0 ? groups[row] : -1;
    n_pairs += keep_unmatched || groups[row] >= 0;
  }
  cursor->row = row;
  return n_pairs;
}

// Fetches ahead what a probe row needs: where the list of a later one starts, and the list of one before
// that.
__attribute__((always_inline)) static inline void
fetch_ahead(const qn_join_index *index, const int32_t *groups, int64_t row, int64_t n_rows) {
  if (row + 2 * AHEAD < n_rows && groups[row + 2 * AHEAD] >= 0) {
    __builtin_prefetch(index->starts + groups[row + 2 * AHEAD]);
  }
  if (row + AHEAD < n_rows && groups[row + AHEAD] >= 0) {
    __builtin_prefetch(index->rows + index->starts[groups[row + AHEAD]]);
  }
}

int64_t qn_join_index_match(const qn_join_index *index, const int32_t *groups, int64_t n_rows,
                            bool keep_unmatched, qn_join_cursor *cursor, int64_t max_pairs,
                            int32_t *probe_rows, int32_t *build_rows) {
  int64_t n_pairs = 0;
  int64_t row = cursor->row;
  int32_t taken = cursor->taken;

  if (index->is_unique) {
    return match_unique(groups, n_rows, keep_unmatched, cursor, max_pairs, probe_rows, build_rows);
  }
  while (row < n_rows && n_pairs < max_pairs) {
    fetch_ahead(index, groups, row, n_rows);
    const int32_t group = groups[row];
    const int32_t first = group >= 0 ? index->starts[group] : 0;
    const int32_t count = group >= 0 ? index->starts[group + 1] - first : 0;
    const int64_t room = max_pairs - n_pairs;
    const int32_t n = count - taken <= room ? count - taken : (int32_t)room;
    for (int32_t k = 0; k < n; k++) {
      probe_rows[n_pairs + k] = (int32_t)row;
      build_rows[n_pairs + k] = index->rows[first + taken + k];
    }
    if (count == 0 && keep_unmatched) {
      probe_rows[n_pairs] = (int32_t)row;
      build_rows[n_pairs++] = -1;
    }
    n_pairs += n;
    taken += n;
    if (taken == count) {
      row++;
      taken = 0;
    }
  }
  *cursor = (qn_join_cursor){.row = row, .taken = taken};
  return n_pairs;
}
