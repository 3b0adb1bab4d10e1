// SPDX-License-Identifier: Apache-2.0
// Sums by bin, of which small nodes fill few: these are found by a bitmap and cleared one by one. For two
// classes Gini's impurity and the variance of the class number choose alike, so two classes are numbers.
#include "ml/forest_split.h"
#include <stdlib.h>
#include "base/check.h"
#include "base/memory.h"

enum { AHEAD = 16, WORDS = QN_TREE_BINS / 64 };

qn_status qn_forest_search_init(qn_forest_search *search, const qn_tree_bins *bins, int n_classes,
                                int64_t min_leaf_rows, qn_error *err) {
  qn_status status = QN_OK;
  const int n_fields = n_classes > 2 ? n_classes : 2;

  *search = (qn_forest_search){
      .bins = bins, .n_classes = n_classes, .min_leaf_rows = min_leaf_rows, .n_fields = n_fields};
  const int64_t bytes = (int64_t)QN_TREE_BINS * n_fields * 8;
  search->cells = qn_memory_alloc(bytes);
  search->rows = calloc(QN_TREE_BINS, sizeof *search->rows);
  search->left = calloc((size_t)n_fields, sizeof *search->left);
  search->total = calloc((size_t)n_fields, sizeof *search->total);
  QN_REQUIRE(search->cells != NULL && search->rows != NULL && search->left != NULL && search->total != NULL,
             err, QN_ERR_MEMORY, "no memory for sums of %d classes", n_fields);
  memset(search->cells, 0, (size_t)bytes);

done:
  return status;
}

void qn_forest_search_release(qn_forest_search *search) {
  qn_memory_free(search->cells);
  free(search->rows);
  free(search->left);
  free(search->total);
}

double qn_forest_score(const qn_forest_search *search, const int64_t *fields) {
  if (search->n_classes <= 2) {
    const double g = (double)fields[0];
    return fields[1] > 0 ? g * g / (double)fields[1] : 0;
  }
  double squares = 0;
  double weight = 0;
  for (int k = 0; k < search->n_fields; k++) {
    squares += (double)fields[k] * (double)fields[k];
    weight += (double)fields[k];
  }
  return weight > 0 ? squares / weight : 0;
}

static void add_item(const qn_forest_search *search, const qn_forest_item *item, int64_t *fields) {
  if (search->n_classes > 2) {
    fields[item->g] += item->h;
  } else {
    fields[0] += item->g;
    fields[1] += item->h;
  }
}

void qn_forest_total(const qn_forest_search *search, const qn_forest_item *items, int64_t n,
                     int64_t *fields) {
  memset(fields, 0, (size_t)search->n_fields * sizeof *fields);
  for (int64_t i = 0; i < n; i++) {
    add_item(search, &items[i], fields);
  }
}

// Sums by bin; which bins there are.
static void fill(qn_forest_search *search, const qn_forest_item *items, int64_t n, int column,
                 uint64_t *present) {
  const uint8_t *bins = qn_tree_bins_column(search->bins, column);
  int64_t *cells = search->cells;
  for (int64_t i = 0; i < n; i++) {
    __builtin_prefetch(bins + items[i + AHEAD < n ? i + AHEAD : i].row);
    const int bin = bins[items[i].row];
    present[bin / 64] |= 1ull << (bin % 64);
    search->rows[bin]++;
    add_item(search, &items[i], cells + (int64_t)bin * search->n_fields);
  }
}

static void clear(qn_forest_search *search, const int *bins, int n) {
  for (int i = 0; i < n; i++) {
    memset(search->cells + (int64_t)bins[i] * search->n_fields, 0, (size_t)search->n_fields * 8);
    search->rows[bins[i]] = 0;
  }
}

static int list_bins(const uint64_t *present, int *bins) {
  int n = 0;
  for (int word = 0; word < WORDS; word++) {
    for (uint64_t bits = present[word]; bits != 0; bits &= bits - 1) {
      bins[n++] = word * 64 + __builtin_ctzll(bits);
    }
  }
  return n;
}

// Score of a split with search->left on the left; the right side is what is left of the total.
static double score_sides(qn_forest_search *search) {
  const int64_t *left = search->left;
  const int64_t *total = search->total;
  if (search->n_classes <= 2) {
    const double g = (double)left[0];
    const double h = (double)left[1];
    const double right_g = (double)(total[0] - left[0]);
    const double right_h = (double)(total[1] - left[1]);
    return h > 0 && right_h > 0 ? g * g / h + right_g * right_g / right_h : 0;
  }
  double squares = 0, weight = 0, right_squares = 0, right_weight = 0;
  for (int k = 0; k < search->n_fields; k++) {
    const double here = (double)left[k];
    const double there = (double)(total[k] - left[k]);
    squares += here * here;
    weight += here;
    right_squares += there * there;
    right_weight += there;
  }
  return weight > 0 && right_weight > 0 ? squares / weight + right_squares / right_weight : 0;
}

static void move_left(qn_forest_search *search, int bin) {
  const int64_t *cell = search->cells + (int64_t)bin * search->n_fields;
  for (int k = 0; k < search->n_fields; k++) {
    search->left[k] += cell[k];
  }
}

// Cuts behind each of the first n_cuts bins, rows with NaN on one side.
static void try_cuts(qn_forest_search *search, const int *bins, int n_numbers, int n_cuts, int column,
                     bool missing_left, int64_t n, qn_forest_split *best) {
  const int n_bins = search->bins->edges.n_bins[column];
  int64_t rows = 0;
  memset(search->left, 0, (size_t)search->n_fields * sizeof *search->left);
  if (missing_left) {
    move_left(search, n_bins);
    rows = search->rows[n_bins];
  }
  for (int i = 0; i < n_cuts; i++) {
    move_left(search, bins[i]);
    rows += search->rows[bins[i]];
    const double score = score_sides(search);
    if (score > best->score && rows >= search->min_leaf_rows && n - rows >= search->min_leaf_rows) {
      // Half-way to the next bin that has rows.
      const int bin = i + 1 < n_numbers ? (bins[i] + bins[i + 1]) / 2 : n_bins - 1;
      const bool is_default_left = search->rows[n_bins] > 0 ? missing_left : rows * 2 > n;
      *best =
          (qn_forest_split){.score = score, .column = column, .bin = bin, .missing_left = is_default_left};
    }
  }
}

bool qn_forest_try_column(qn_forest_search *search, const qn_forest_item *items, int64_t n, int column,
                          qn_forest_split *best) {
  uint64_t present[WORDS] = {0};
  int bins[QN_TREE_BINS];
  fill(search, items, n, column, present);
  const int n_present = list_bins(present, bins);
  const bool has_missing = search->rows[search->bins->edges.n_bins[column]] > 0;
  const int n_numbers = n_present - has_missing;
  if (n_present > 1) {
    try_cuts(search, bins, n_numbers, n_numbers - !has_missing, column, false, n, best);
    if (has_missing) {
      try_cuts(search, bins, n_numbers, n_numbers - 1, column, true, n, best);
    }
  }
  clear(search, bins, n_present);
  return n_present > 1;
}
