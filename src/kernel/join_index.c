// SPDX-License-Identifier: Apache-2.0
// Lists of rows by group, made by counting: two passes over the groups and no pointer per row.
#include "kernel/join_index.h"
#include <inttypes.h>
#include <string.h>
#include "base/check.h"
#include "base/memory.h"
#include "kernel/grow_array.h"

enum {
  AHEAD = 16,
  PLACES_IN_FRONT = 16 // of the rows of unique groups: a cache line, of which the last place is used
};

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

static bool has_row_of_each(const int32_t *groups, int64_t n_rows, int64_t n_groups) {
  bool is_identity = n_rows == n_groups;
  for (int64_t i = 0; is_identity && i < n_rows; i++) {
    is_identity = groups[i] == i;
  }
  return is_identity;
}

static qn_status new_array(int64_t n, int32_t **out, qn_error *err) {
  const int64_t size = n * (int64_t)sizeof **out;
  *out = qn_memory_alloc(size);
  if (*out == NULL) {
    return qn_fail(err, QN_ERR_MEMORY,
                   "no memory for a join index of %" PRId64 " bytes (%" PRId64 " bytes in use)", size,
                   qn_memory_used());
  }
  qn_advise_huge_pages(*out, size);
  return QN_OK;
}

// The row of each group, if none has two: then *is_unique. The place in front is that of "no group".
static qn_status index_unique(qn_join_index *index, const int32_t *groups, int64_t n_rows, bool *is_unique,
                              qn_error *err) {
  qn_status status = QN_OK;
  int32_t *memory = NULL;
  *is_unique = true;

  QN_TRY(new_array(index->n_groups + PLACES_IN_FRONT, &memory, err));
  int32_t *rows = memory + PLACES_IN_FRONT;
  memset(memory, 0xff, (size_t)(index->n_groups + PLACES_IN_FRONT) * sizeof *memory);
  for (int64_t i = 0; i < n_rows && *is_unique; i++) {
    if (groups[i] >= 0) {
      *is_unique = rows[groups[i]] < 0;
      rows[groups[i]] = (int32_t)i;
    }
  }
  if (*is_unique) {
    index->rows = rows;
    index->memory = memory;
    index->is_unique = true;
    memory = NULL;
  }

done:
  qn_memory_free(memory);
  return status;
}

static qn_status index_lists(qn_join_index *index, const int32_t *groups, int64_t n_rows, qn_error *err) {
  qn_status status = QN_OK;
  const int64_t n_groups = index->n_groups;

  // One place more in front, so that starts moved on by one group are the starts again.
  QN_TRY(new_array(n_groups + 2, &index->starts, err));
  QN_TRY(new_array(n_rows, &index->rows, err));
  index->memory = index->rows;
  memset(index->starts, 0, ((size_t)n_groups + 2) * sizeof *index->starts);
  int32_t *places = index->starts + 1;
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
  place_rows(groups, n_rows, places, index->rows);

done:
  return status;
}

qn_status qn_join_index_init(qn_join_index *index, const int32_t *groups, int64_t n_rows, int64_t n_groups,
                             qn_error *err) {
  qn_status status = QN_OK;
  qn_join_index made = {.n_groups = n_groups};
  bool is_unique = has_row_of_each(groups, n_rows, n_groups);

  *index = (qn_join_index){0};
  made.is_identity = made.is_unique = is_unique;
  if (!is_unique && n_rows <= n_groups) {
    QN_TRY(index_unique(&made, groups, n_rows, &is_unique, err));
  }
  if (!is_unique) {
    QN_TRY(index_lists(&made, groups, n_rows, err));
  }
  *index = made;
  made = (qn_join_index){0};

done:
  qn_join_index_release(&made);
  return status;
}

void qn_join_index_sort_rows(qn_join_index *index, const int32_t *groups, int64_t n_rows, int32_t *order) {
  int64_t n = index->starts[index->n_groups];

  memcpy(order, index->rows, (size_t)n * sizeof *order);
  for (int64_t i = 0; i < n_rows; i++) {
    if (groups[i] < 0) {
      order[n++] = (int32_t)i;
    }
  }
  qn_memory_free(index->memory);
  index->memory = NULL;
  index->rows = NULL;
}

void qn_join_index_release(qn_join_index *index) {
  if (!index->is_borrowed) {
    qn_memory_free(index->starts);
    qn_memory_free(index->memory);
  }
  *index = (qn_join_index){0};
}

int64_t qn_join_index_n_bytes(const qn_join_index *index) {
  int64_t n = 0;
  if (index->is_unique) {
    n = index->is_identity ? 0 : index->n_groups + PLACES_IN_FRONT;
  } else if (index->starts != NULL) {
    n = index->n_groups + 2 + (index->rows != NULL ? index->starts[index->n_groups] : 0);
  }
  return n * (int64_t)sizeof(int32_t);
}

static int64_t match_unique(const int32_t *groups, const int32_t *rows, int64_t n_rows, bool keep_unmatched,
                            qn_join_cursor *cursor, int64_t max_pairs, int32_t *restrict probe_rows,
                            int32_t *restrict build_rows) {
  int64_t n_pairs = 0;
  int64_t row = cursor->row;

  for (; row < n_rows && n_pairs < max_pairs; row++) {
    const int32_t group = groups[row];
    const int32_t build_row = rows != NULL ? rows[group] : group;
    probe_rows[n_pairs] = (int32_t)row;
    build_rows[n_pairs] = build_row;
    n_pairs += keep_unmatched || build_row >= 0;
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
  if (index->rows != NULL && row + AHEAD < n_rows && groups[row + AHEAD] >= 0) {
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
    return match_unique(groups, index->is_identity ? NULL : index->rows, n_rows, keep_unmatched, cursor,
                        max_pairs, probe_rows, build_rows);
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
      const int32_t place = first + taken + k;
      build_rows[n_pairs + k] = index->rows != NULL ? index->rows[place] : place;
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

// --- As bytes without addresses

// Behind it the starts and the rows, with the places in front of them.
typedef struct index_image {
  int64_t n_groups, n_starts, n_rows;
  int32_t is_unique, is_identity;
} index_image;

static index_image describe(const qn_join_index *index) {
  index_image image = {
      .n_groups = index->n_groups, .is_unique = index->is_unique, .is_identity = index->is_identity};
  if (index->is_unique) {
    image.n_rows = index->is_identity ? 0 : index->n_groups + PLACES_IN_FRONT;
  } else {
    image.n_starts = index->n_groups + 2;
    image.n_rows = index->rows == NULL ? 0 : index->starts[index->n_groups];
  }
  return image;
}

static int64_t size_of_image(const index_image *image) {
  return (int64_t)sizeof *image + (image->n_starts + image->n_rows) * (int64_t)sizeof(int32_t);
}

int64_t qn_join_index_image_size(const qn_join_index *index) {
  const index_image image = describe(index);
  return size_of_image(&image);
}

void qn_join_index_write_image(const qn_join_index *index, uint8_t *out) {
  const index_image image = describe(index);
  const size_t starts_size = (size_t)image.n_starts * sizeof(int32_t);

  memcpy(out, &image, sizeof image);
  out += sizeof image;
  if (image.n_starts > 0) {
    memcpy(out, index->starts, starts_size);
  }
  if (image.n_rows > 0) {
    memcpy(out + starts_size, index->memory, (size_t)image.n_rows * sizeof(int32_t));
  }
}

qn_status qn_join_index_from_image(qn_join_index *index, const uint8_t *image, int64_t size, qn_error *err) {
  qn_status status = QN_OK;
  index_image about = {0};

  QN_REQUIRE(size >= (int64_t)sizeof about, err, QN_ERR_FORMAT, "%" PRId64 " bytes are no join index", size);
  memcpy(&about, image, sizeof about);
  QN_REQUIRE(size == size_of_image(&about), err, QN_ERR_FORMAT,
             "%" PRId64 " bytes are no join index of %" PRId64 " groups", size, about.n_groups);
  int32_t *arrays = (int32_t *)(uintptr_t)(image + sizeof about); // only read
  *index = (qn_join_index){.n_groups = about.n_groups,
                           .is_unique = about.is_unique != 0,
                           .is_identity = about.is_identity != 0,
                           .is_borrowed = true};
  index->starts = about.n_starts > 0 ? arrays : NULL;
  if (about.n_rows > 0) {
    index->rows = arrays + about.n_starts + (index->is_unique ? PLACES_IN_FRONT : 0);
  }

done:
  return status;
}
